"""HEIC, as iPhones write pictures: recognised, and decoded by a program of its own.

The decoder is libheif, in the package pillow-heif, which is installed only where
somebody asks for it (requirements/heic.txt). Nothing of ours can interrupt it while it
decodes, so `decode_heic.py` does that as a program that can be ended. The boxes are
those of ISO/IEC 14496-12, the brands those of ISO/IEC 23008-12."""

import base64
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from safeguards.text import typed

# What a file that starts with an ftyp box is.
HEIC = "HEIC"
AVIF = "AVIF"
FILM = "a film"

HEIC_BRANDS = {
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs",
}  # fmt: skip
AVIF_BRANDS = {b"avif", b"avis"}
IMAGE_BRANDS = {b"mif1", b"msf1"}  # pictures of any coding: other brands say which
BRANDS_BYTES = 256  # of a list of brands that are read

PROGRAM = Path(__file__).with_name("decode_heic.py")
REQUIREMENTS = Path(__file__).parents[1] / "requirements" / "heic.txt"
SECONDS = 60  # that decoding may take by the clock, on a computer at other work, too
COMPUTING_SECONDS = 30  # of all threads; a picture of 48 megapixels needs about 4
EXIF_BYTES = 2**16  # of notes; a phone writes a few thousand
BYTES_A_PIXEL = {"L": 1, "LA": 2, "I;16": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}

# The kinds of HeicError.
DAMAGED = "damaged"
TOO_LARGE = "too large"  # more pixels than asked for
COSTLY = "costly"  # decoding takes too much time or memory
UNUSABLE = "unusable"  # pillow-heif is there, but can't be used


class HeicError(Exception):
    """A HEIC picture can't be decoded. kind: DAMAGED, TOO_LARGE, COSTLY or
    UNUSABLE."""

    def __init__(self, kind, reason=""):
        super().__init__(reason)
        self.kind = kind


class Found(NamedTuple):
    """What was in a HEIC file. size: width and height in pixels, upright; exif: what
    its camera wrote, bytes, or b""; image: an upright PIL image, or None where only the
    rest was asked for."""

    size: tuple[int, int]
    exif: bytes
    image: Image.Image | None


def kind_of(data):
    """HEIC, AVIF or FILM, as a file's first bytes say; None of other files."""
    if data[4:8] != b"ftyp":
        return None
    length = min(int.from_bytes(data[:4]), BRANDS_BYTES)
    main = data[8:12]
    brands = {main} | {data[i : i + 4] for i in range(16, length, 4)}
    if main in HEIC_BRANDS:
        return HEIC
    if main in AVIF_BRANDS:
        return AVIF
    if main in IMAGE_BRANDS:
        return AVIF if brands & AVIF_BRANDS and not brands & HEIC_BRANDS else HEIC
    return FILM


def installed():
    """Whether pillow-heif is there to read HEIC."""
    return importlib.util.find_spec("pillow_heif") is not None


def command():
    """The line to type that installs it."""
    return typed(sys.executable, "-m", "pip", "install", "-r", REQUIREMENTS)


def read(data, most_pixels, with_image=True):
    """The primary picture in a HEIC file's bytes, turned as the file says → `Found`.

    Its size is looked at before it's decoded: no more than most_pixels. Colours stay as
    they are in the file, as of JPEGs. with_image: False leaves out decoding. Raises a
    HeicError; then and when interrupted, the program that decodes is ended."""
    task = json.dumps(
        {
            "most_pixels": most_pixels,
            "seconds": COMPUTING_SECONDS,
            "exif_bytes": EXIF_BYTES,
            "with_image": with_image,
        }
    )
    try:
        # -P: its own folder is no place to import packages from.
        finished = subprocess.run(
            [sys.executable, "-P", str(PROGRAM), task],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.TimeoutExpired as error:
        raise HeicError(COSTLY) from error
    except OSError as error:  # such as no memory for another program
        raise HeicError(UNUSABLE, str(error)) from error
    return _parse(finished.stdout, most_pixels, with_image)


def _parse(answer, most_pixels, with_image):
    """The `Found` in what `decode_heic.py` wrote; HeicError for anything else."""
    line, _, pixels = answer.partition(b"\n")
    try:
        said = json.loads(line)
        if "problem" in said:
            raise HeicError(said["problem"], said["reason"])
        width, height = said["size"]
        exif = base64.b64decode(said["exif"])
        if width * height > most_pixels:
            raise HeicError(TOO_LARGE)
        if not with_image:
            return Found((width, height), exif, None)
        mode = said["mode"]
        if len(pixels) != width * height * BYTES_A_PIXEL[mode]:
            raise HeicError(COSTLY)  # ended while it wrote
    except (ValueError, LookupError, TypeError) as error:
        # It was ended by a limit of its own, or by a fault of the decoder.
        raise HeicError(COSTLY) from error
    image = Image.frombytes(mode, (width, height), pixels)
    return Found((width, height), exif, image)
