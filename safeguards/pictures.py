"""Pictures from strangers: read and decoded within limits of time and memory."""

import io
import math
import os
import re
import struct
import time
import warnings
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import NamedTuple

from PIL import (
    ExifTags,
    Image,
    ImageFile,
    TiffImagePlugin,
    UnidentifiedImageError,
)
from PIL.Image import Transpose

from safeguards import heic
from safeguards.depths import (
    Numbers,
    describe_tiff,
    doubts,
    misread,
    misses_data,
    numbers_in,
)
from safeguards.text import printable

# JPEG includes phones' MPO; HEIC is read besides where pillow-heif is installed.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SEVERAL = ("PNG", "WEBP", "GIF", "TIFF")  # may hold several frames or pages
MOST_PAGES = 1000  # of a TIFF that are counted
SUBFILE_TYPE = 254  # a tag of a TIFF, of each page, …
NO_PAGE = 0b101  # … and its bits of smaller copies and masks
MAX_BYTES = 50_000_000
MAX_PIXELS = 89_478_485  # Pillow's own limit against decompression bombs
FETCHING_SECONDS = 30  # for what is at an address
DECODING_SECONDS = 10  # of computing
JPEG_SCANS = 100  # each goes through all the pixels again
METADATA_BYTES = 2**16  # of each entry that may say which way is up
DRAFT_PIXELS = 2_000_000  # a JPEG of no more is always decoded at its full size

# The kinds of ImageError.
UNREACHABLE = "unreachable"  # nothing could be read from this address, path or file
NO_HTTP = "no http"  # an address that leads to neither http:// nor https://
NOT_AN_IMAGE = "not an image"  # what was given is no picture, or in no known format
DAMAGED = "damaged"  # the picture's end or something else is missing or wrong
TOO_LARGE = "too large"  # more than MAX_BYTES or MAX_PIXELS, or too costly to decode

COSTLY_ADVICE = (
    "It is made to take much memory or time: save the picture anew, or use another."
)
TOO_LARGE_ADVICE = (
    f"Over {MAX_BYTES // 10**6} MB or {MAX_PIXELS // 10**6} megapixels: "
    "use a smaller copy."
)

# How to turn a picture, by the orientation that its Exif data give.
TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
# After which of these turns the file's last columns come first, and its last rows.
MIRRORED_ACROSS = (2, 3, 6, 7)
MIRRORED_DOWN = (3, 4, 7, 8)


class ImageError(ValueError):
    """A picture can't be used; says why, and what to do next.
    kind: UNREACHABLE, NO_HTTP, NOT_AN_IMAGE, DAMAGED or TOO_LARGE of this module."""

    def __init__(self, message, kind):
        super().__init__(message)
        self.kind = kind


class Whole(NamedTuple):
    """Where a whole picture lies in what was decoded of it, both upright.
    size: its width and height in pixels of the file; scale: how many of these became
    one, across and down: 1, 2, 4 or 8; left, top: decoded pixels before it, under 1,
    where the decoder's last column or row, of which it fills only a part, comes first.
    """

    size: tuple[int, int]
    scale: int = 1
    left: float = 0
    top: float = 0


class Decoded(NamedTuple):
    """A decoded picture. image: an upright PIL image of any mode; numbers: what its
    values mean; doubts: why it may not show what was meant, a list of sentences' ends;
    whole: a `Whole`."""

    image: Image.Image
    numbers: Numbers
    doubts: list[str]
    whole: Whole


def fetch(url):
    """The bytes at an http(s) address, at most MAX_BYTES. Raises an ImageError."""
    # Only now: most pictures are files, and what reads addresses takes long to import.
    from safeguards.addresses import (
        FetchError,
        SchemeError,
        TooMuchError,
        download,
    )

    file = io.BytesIO()
    shown = printable(f"{url:.200}")
    try:
        download(url, file, MAX_BYTES, FETCHING_SECONDS, accept="image/jpeg, image/*")
    except TooMuchError as error:
        raise ImageError(TOO_LARGE_ADVICE, TOO_LARGE) from error
    except SchemeError as error:
        message = (
            f"{shown} isn't an http(s):// address: save the picture and pass its path."
        )
        raise ImageError(message, NO_HTTP) from error
    except FetchError as error:
        raise ImageError(
            f"{shown} cannot be read ({error}). Check it and your connection, or save "
            "the picture in a browser and use that file.",
            UNREACHABLE,
        ) from error
    return file.getvalue()


def read(source, advice):
    """The bytes of a picture from an http(s) address, a path, bytes, a binary file or
    an ipywidgets upload, at most MAX_BYTES. advice: what can be passed instead, for the
    ImageError where there is nothing to read."""
    if isinstance(source, str):
        bare = source.strip()
        if re.match(r"(?i)[a-z][a-z0-9+.-]+://|(data|file|blob):", bare):
            return _checked(fetch(bare), advice)
        if not os.path.lexists(os.path.expanduser(source)):  # a name may end in a blank
            source = bare
    if isinstance(source, (tuple, list)):
        if len(source) != 1:
            raise ImageError(
                f"{len(source)} uploads: pass one, the first is upload.value[0].",
                NOT_AN_IMAGE,
            )
        source = source[0]
    if isinstance(source, dict):
        source = source.get("content")
    if isinstance(source, (bytes, bytearray, memoryview)):
        source = io.BytesIO(source)
    is_path = isinstance(source, (str, os.PathLike))
    if not is_path and not hasattr(source, "read"):
        raise ImageError(
            f"This {type(source).__name__} is no picture. {advice}", NOT_AN_IMAGE
        )
    try:
        if is_path:
            with open(os.path.expanduser(source), "rb") as file:
                data = file.read(MAX_BYTES + 1)
        else:
            data = source.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(
            f"{source!r:.200} cannot be read ({reason}). {advice}", UNREACHABLE
        ) from error
    return _checked(data, advice)


def _checked(data, advice):
    """The bytes as they are; an ImageError where they are none, or too many."""
    if not data or not isinstance(data, bytes):
        raise ImageError(
            f"There is nothing to read, or only text. {advice}", NOT_AN_IMAGE
        )
    if len(data) > MAX_BYTES:
        raise ImageError(TOO_LARGE_ADVICE, TOO_LARGE)
    return data


def decode(source, short_side=None):
    """A picture's bytes or a PIL image → `Decoded`. Raises an ImageError.
    short_side: how many pixels the short side needs at least, so that a large JPEG can
    be decoded at a half, a quarter or an eighth of its size; None: all there are."""
    with faults_explained(source):
        if isinstance(source, Image.Image):
            image = source
        elif heic.kind_of(source) == heic.HEIC:
            image = _read_heic(source).image
        else:
            image = _opened(source)
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        if 0 in image.size:
            raise ImageError(
                "This picture has no pixels: nothing is left of it.", NOT_AN_IMAGE
            )
        numbers = numbers_in(image)
        size = image.size
        scale = 1
        if image is not source and short_side is not None:
            scale = _reduce(image, short_side)
        image.load()
        turn = _turn_of(image)
        upright = image.transpose(TURNS[turn]) if turn else image
        whole = _whole(size, scale, upright.size, turn)
        # Whoever wants it reduced, many pictures mostly, doesn't ask for doubts.
        is_asked = image is not source and short_side is None
        frames = _frames(image.format, source) if is_asked else 1
        return Decoded(upright, numbers, doubts(image, numbers, frames), whole)


@contextmanager
def faults_explained(source):
    """ImageErrors for all that can go wrong as a picture is decoded or converted.

    source: what `decode` takes; its bytes may tell what it is."""
    data = b"" if isinstance(source, Image.Image) else source
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd metadata
            yield
    except (Image.DecompressionBombError, MemoryError) as error:
        raise ImageError(TOO_LARGE_ADVICE, TOO_LARGE) from error
    except ImageError:
        raise
    except Exception as error:  # a decoder may raise anything on a damaged file
        raise _explained(data, isinstance(error, UnidentifiedImageError)) from error


class _Bounded(io.BytesIO):
    """Bytes for a decoder that has DECODING_SECONDS, and not much more to read than
    there is: some files consist of pieces that take long each, or of a hundred
    references to the same megabyte."""

    def __init__(self, data):
        super().__init__(data)
        self.end = time.thread_time() + DECODING_SECONDS
        self.left = 4 * len(data) + 2**20
        self.tiff = data[:2] in (b"II", b"MM")

    def read(self, size=-1):
        # Pillow keeps all tags of a TIFF; those over a megabyte it reads in such
        # pieces, and goes on without what it does not get.
        skipped = self.tiff and size == ImageFile.SAFEBLOCK
        found = super().read(0 if skipped else size)
        self.left -= len(found)
        if self.left < 0 or time.thread_time() > self.end:
            raise ImageError(COSTLY_ADVICE, TOO_LARGE)
        return found


def _opened(data):
    """The picture in a file, not decoded; ImageError where that could take for ever."""
    if data[:2] == b"\xff\xd8":
        # By chance the marker of a scan is in other data as well.
        if data.count(b"\xff\xda") > JPEG_SCANS + len(data) / 2**15:
            raise ImageError(COSTLY_ADVICE, TOO_LARGE)
        if misses_data(data):
            raise ImageError(
                "Data are missing from it: save or download the picture again.", DAMAGED
            )
    file = _Bounded(data)
    image = Image.open(file, formats=FORMATS)
    # It may read a block for each of its strips.
    file.left += ImageFile.MAXBLOCK * len(image.tile)
    tags = getattr(image, "tag_v2", {})
    tile = TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH
    if math.prod(int(tags.get(side, 1)) for side in tile) > MAX_PIXELS:
        raise ImageError(COSTLY_ADVICE, TOO_LARGE)
    if misread(image):
        raise UnidentifiedImageError
    return image


def _frames(kind, data):
    """How many frames or pages a file holds that was decoded well. Smaller copies of
    another page, and masks, don't count."""
    if kind not in SEVERAL:
        return 1
    count = 1
    # Anew, as a picture that was decoded loses its pixels; what's damaged after the
    # first frame was never seen, and does no harm.
    with suppress(Exception), Image.open(_Bounded(data), formats=[kind]) as image:
        if kind != "TIFF":
            return image.n_frames
        while count < MOST_PAGES:
            image.seek(image.tell() + 1)
            count += not image.tag_v2.get(SUBFILE_TYPE, 0) & NO_PAGE
    return count


def _reduce(image, short_side):
    """Let a large JPEG be decoded at a fraction of its size → how many pixels, across
    and down, become one: 1 of another file."""
    width, height = image.size
    if width * height <= DRAFT_PIXELS:
        return 1
    reduced = image.draft(None, (short_side, short_side))
    if reduced is None:  # only JPEG's decoder can do that
        return 1
    _, box = reduced
    return round(width / box[2])


def _whole(size, scale, decoded_size, turn):
    """The `Whole` of a picture. size: as stored in the file, in its pixels;
    decoded_size: upright; turn: an orientation, see TURNS, or None."""
    if turn and turn >= 5:  # from 5 on, sides change places
        size = size[::-1]
    left = top = 0
    if turn in MIRRORED_ACROSS:
        left = decoded_size[0] - size[0] / scale
    if turn in MIRRORED_DOWN:
        top = decoded_size[1] - size[1] / scale
    return Whole(size, scale, left, top)


def _turn_of(image):
    """The orientation that a picture's metadata give, one of TURNS; None where it's
    upright (TIFFs, Pillow has turned already)."""
    about = Image.new("1", (1, 1))
    about.info = {
        name: value[:METADATA_BYTES]
        for name, value in image.info.items()
        if isinstance(value, bytes | str)
    }
    turn = None
    with suppress(Exception):  # broken metadata cannot say which way is up
        turn = about.getexif().get(ExifTags.Base.Orientation)
        turn = turn if turn in TURNS else None
    return turn


def _read_heic(data, with_image=True):
    """What is in a HEIC file, as `safeguards.heic.Found`. Raises an ImageError."""
    from safeguards.addresses import hosted

    if hosted():
        raise ImageError(
            "This is HEIC, as iPhones write it, which isn't read here: let the phone "
            "export it as JPEG.",
            NOT_AN_IMAGE,
        )
    if not heic.installed():
        raise ImageError(
            "This is HEIC, as iPhones write it: let the phone export it as JPEG, or "
            f"have HEIC read here: type “{heic.command()}” in a terminal.",
            NOT_AN_IMAGE,
        )
    try:
        found = heic.read(data, MAX_PIXELS, with_image)
    except heic.HeicError as error:
        if error.kind == heic.UNUSABLE:
            message = (
                f"This is HEIC, and pillow-heif cannot read it here ({error}): let the "
                f"phone export it as JPEG, or install that anew: “{heic.command()}”."
            )
            raise ImageError(message, NOT_AN_IMAGE) from error
        if error.kind == heic.TOO_LARGE:
            raise ImageError(TOO_LARGE_ADVICE, TOO_LARGE) from error
        if error.kind == heic.COSTLY:
            raise ImageError(COSTLY_ADVICE, TOO_LARGE) from error
        raise _damaged("This HEIC file") from error
    _heic_notes[sha256(data).digest()] = found.size, _time_in(_exif_in(found.exif))
    return found


_heic_notes = {}  # SHA-256 of a HEIC file → (its size, when it was taken)


def _notes_of_heic(data):
    """(size, when it was taken) of a HEIC file, which isn't decoded for that."""
    key = sha256(data).digest()
    if key not in _heic_notes:
        _read_heic(data, with_image=False)
    return _heic_notes[key]


def stored(data):
    """(format, width, height) of a picture file's bytes, as they are in the file, but
    HEIC's upright. Raises what Pillow raises, or an ImageError for HEIC."""
    if heic.kind_of(data) == heic.HEIC:
        (width, height), _ = _notes_of_heic(data)
        return heic.HEIC, width, height
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return image.format, image.width, image.height


def taken(data):
    """When a picture was taken, as its camera wrote it into the file's bytes.
    It's a text that sorts by time, or None where it wrote nothing that can be read."""
    try:
        if heic.kind_of(data) == heic.HEIC:
            _, time_taken = _notes_of_heic(data)
            return time_taken
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _time_in(image.getexif())
    except (OSError, SyntaxError, ValueError, struct.error):  # of damaged Exif data
        return None


def _exif_in(notes):
    """A HEIC file's Exif data, bytes, as Pillow's Exif, empty where damaged."""
    exif = Image.Exif()
    with suppress(SyntaxError, ValueError, struct.error):
        exif.load(notes)
    return exif


def _time_in(exif):
    """What `taken` returns, of Exif data."""
    try:
        entries = exif.get_ifd(ExifTags.IFD.Exif)
    except (OSError, SyntaxError, ValueError, struct.error):  # of damaged Exif data
        return None
    time_taken = str(entries.get(ExifTags.Base.DateTimeOriginal, ""))
    fraction = str(entries.get(ExifTags.Base.SubsecTimeOriginal, "")).strip()
    known = re.fullmatch(r"\d{4}(:\d\d){2} \d\d(:\d\d){2}", time_taken)
    return f"{time_taken} {fraction}" if known else None


def _damaged(what="It"):
    return ImageError(
        f"{what} is damaged or incomplete: save or download the picture again.",
        DAMAGED,
    )


def _explained(data, unknown):
    """Why these bytes could not be read as a picture, as an ImageError.
    unknown: whether Pillow knows no way to read them."""
    start = data[:1000]
    text = re.sub(rb"(?s)<!--.*?(-->|$)|<\?.*?(\?>|$)", b"", start)
    root = re.search(rb"(?i)<(?:!doctype\s+)?(?:\w+:)?([a-z]+)", text)
    if root and root[1].lower() == b"svg":
        return ImageError(
            "This is a drawing, SVG, not a picture: export it as PNG.", NOT_AN_IMAGE
        )
    if re.search(rb"(?i)<html|<!doctype html", start):
        return ImageError(
            "This is a web page: copy the address of the picture in it.", NOT_AN_IMAGE
        )
    kind = heic.kind_of(start)
    if kind == heic.FILM:
        return ImageError(
            "This is a film, no picture. A Live Photo's picture is the file of the "
            "same name that ends in .HEIC or .JPG; of another film, save one as JPEG.",
            NOT_AN_IMAGE,
        )
    if kind == heic.AVIF:
        return ImageError("This is AVIF: save it as JPEG or PNG.", NOT_AN_IMAGE)
    held = None
    # Of a damaged TIFF there is nothing to say.
    with suppress(Exception), warnings.catch_warnings(action="ignore"):
        held = unknown and describe_tiff(_Bounded(data))
    if held:
        return ImageError(
            f"This TIFF holds {held}, which cannot be read: save it with 8 bits.",
            NOT_AN_IMAGE,
        )
    known = rb"\xff\xd8|\x89PNG|RIFF|GIF8|BM|II[*+]\0|MM\0[*+]"
    if re.match(known, start) or not start:
        return _damaged()
    return ImageError(
        f"No picture in a known format: save it as one of {', '.join(FORMATS)}.",
        NOT_AN_IMAGE,
    )
