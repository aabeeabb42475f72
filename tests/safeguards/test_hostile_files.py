"""Strangers' pictures: whatever a file holds, an RGB picture or an ImageError comes of
it, soon."""

import io
import subprocess
import sys
import time
from collections import Counter

import hostile
import numpy as np
import pytest
from cases import thorough_but
from hostile import (
    bmp,
    chunk,
    corpus,
    encoded,
    exif,
    gif,
    jpeg,
    outcome,
    picture,
    png,
    scans,
    tiff,
)
from image_errors import raises
from lessons import SUPPORT
from PIL import Image

from helpers.images import load_image
from safeguards import pictures
from safeguards.pictures import DAMAGED, NOT_AN_IMAGE, TOO_LARGE, ImageError

SECONDS = (
    5  # of computing, of the slowest file; a machine that is busy or slow included
)
# What must not come of these: they hold a whole picture, or none.
PICTURES = (
    "jpeg", "png", "webp", "gif", "bmp", "tiff", "tiff of big endian",
    "bmp upside down", "tiff that follows itself", "jpeg of 50 scans",
    "gif of 300 frames", "gif with many comments", "jpeg and zip", "gif and script",
    "png and html", "jpeg after jpeg", "CMYK tiff", "LAB tiff", "GIF of 1×1",
    "PNG of 1×60000", "JPEG of 60000×1", "cmyk jpeg with a profile",
    "jpeg with a broken profile", "jpeg with exif to itself", "jpeg with an exif bomb",
    "png exif bomb", "png of 16-bit colours", "png of 1-bit palette", "animated png",
    "animated webp", "tiff of three pages", "jpeg turned by a text",
    "jpeg turned by 65535",
)  # fmt: skip
ERRORS = {
    TOO_LARGE: (
        "png pixel bomb", "png of 9500×9500", "png claims 2^31",
        "gif claims 65535×65535", "jpeg claims 65500×65500", "tiff claims 2^31",
        "tiff with huge tiles", "bmp claims 2^31", "webp claims 16 million",
        "jpeg of 1000 scans",
    ),
    NOT_AN_IMAGE: (
        "nothing", "html", "svg", "postscript", "ppm", "pcx", "ico", "jpeg 2000", "pdf",
        "heic", "zip", "program", "pickle", "html, then jpeg",
    ),
    DAMAGED: (
        "jpeg cut before SOS", "jpeg cut within SOS", "png cut in IDAT",
        "webp cut in VP8L", "gif cut at 500", "bmp cut at -1", "tiff cut at -9",
        "png of another's signature", "png text bomb", "png profile bomb",
        "tiff with strips beyond the end",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def files():
    return corpus()


def test_corpus_gives_pictures_or_image_errors(files, record_property):
    found, slowest = {}, (0, "")
    for name, data in files.items():
        start = time.process_time()
        found[name] = outcome(data)
        slowest = max(slowest, (time.process_time() - start, name))
    assert len(found) >= 60
    assert [name for name in PICTURES if found[name] != "picture"] == []
    for kind, names in ERRORS.items():
        assert [name for name in names if found[name] != kind] == [], kind
    assert slowest[0] < SECONDS, slowest
    counts = ", ".join(
        f"{kind} {n}" for kind, n in Counter(found.values()).most_common()
    )
    record_property(
        "hostile picture files", f"{len(found)} tried: {counts}; nothing else"
    )


def test_other_programs_read_the_sound_ones(files):
    """The corpus would prove little if what is meant to be sound were not."""
    for name in ("jpeg", "png", "webp", "gif", "bmp", "tiff", "tiff of big endian"):
        with Image.open(io.BytesIO(files[name])) as image:
            image.load()
    assert np.asarray(load_image(tiff(tail=bytes(range(0, 160, 10)))))[1, 2, 0] == 60


@pytest.mark.parametrize("turn", [*range(10), 255, 65535])
def test_each_orientation_also_the_invalid(turn):
    upright = load_image(jpeg())
    image = load_image(jpeg(exif=exif(t274=turn)))
    assert image.size == (upright.size[::-1] if turn in (5, 6, 7, 8) else upright.size)
    if turn not in range(2, 9):
        assert np.array_equal(image, upright)


def test_odd_metadata_do_not_hide_the_orientation():
    """More of it than is looked at, in front of and behind what counts; a broken Exif
    folder."""
    thumbnail = bytes(60_000)
    for data in (exif(t37510=thumbnail), exif(t33432="©")):
        image = load_image(jpeg(exif=data))
        assert image.size == (32, 48)
    raw = tiff(
        (274, 3, 1, 6),
        *[(50000 + i, 7, 50_000, -1) for i in range(99)],
        tail=bytes(50_000),
    )
    big = png(
        chunk(b"eXIf", raw + bytes(10**6)),
        width=4,
        height=2,
        data=hostile.zlib.compress(bytes(26)),
    )
    assert load_image(big).size == (2, 4)
    xmp = chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>')
    assert load_image(
        png(xmp, width=4, data=hostile.zlib.compress(bytes(26)))
    ).size == (2, 4)


def test_nothing_of_the_file_stays_with_the_picture(files):
    for name in ("jpeg", "png", "gif", "tiff", "webp"):
        assert load_image(files[name]).info == {}
        assert not load_image(files[name]).getexif()


ENDLESS = {
    "gif of many comments": lambda: gif(comment=b"!\xfe\1x\0" * 9_000_000),
    "gif of one long comment": lambda: gif(
        comment=b"!\xfe" + b"\1x" * 20_000_000 + b"\0"
    ),
    "bmp of single pixels": lambda: bmp(
        9_400, 9_400, compression=1, body=b"\1\1" * 20_000_000
    ),
    "png of many chunks": lambda: png(chunk(b"prVt") * 4_000_000),
}


@pytest.mark.parametrize(
    "kind", thorough_but(ENDLESS, "gif of many comments", "png of many chunks")
)
def test_what_takes_too_long_is_given_up(kind, monkeypatch):
    """Up to 50 MB of small pieces, each of which costs time: minutes without the
    limit."""
    monkeypatch.setattr(pictures, "DECODING_SECONDS", 0.3)
    data, start = ENDLESS[kind](), time.thread_time()
    with raises(TOO_LARGE, match="made to take much memory or time"):
        load_image(data)
    assert time.thread_time() - start < 2


def peak(code):
    """Megabytes a process needed at most for these lines, beside those for its
    libraries."""
    lines = (
        f"import hostile\nbefore = hostile.peak()\n{code}\nprint(hostile.peak() - "
        "before)"
    )
    run = [sys.executable, "-c", lines]
    done = subprocess.run(run, capture_output=True, text=True, cwd=SUPPORT)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


# what would take gigabytes: tags that share bytes, strips, tiles, Exif, pixels
BOMBS = (
    "hostile.tiff(*[(50000 + i, 7, 10**6, -1) for i in range(2000)], "
    "tail=bytes(10**6))",
    "hostile.tiff((273, 4, 10**7, -1), (279, 4, 10**7, -1), (278, 3, 1, 1), (257, 4, "
    "1, 10**7), tail=bytes(4 * 10**7))",
    "hostile.tiff((322, 4, 1, 60000), (323, 4, 1, 60000), (324, 4, 1, -1))",
    "hostile.png(hostile.chunk(b'eXIf', hostile.tiff(*[(50000 + i, 7, 10**6, -1) for "
    "i in range(2000)], tail=bytes(10**6))))",
    "hostile.empty(20_000)",
)


def test_memory_stays_bounded(record_property):
    bombs = peak("\n".join(f"hostile.outcome({code})" for code in BOMBS))
    assert bombs < 300
    # the largest picture that is allowed, of the mode that takes most: 9,400 × 9,400
    # with alpha
    largest = peak(
        "hostile.outcome(hostile.png(width=9400, height=9400, colour=6,"
        " data=hostile.zlib.compress(bytes(9400 * 37601), 1)))"
    )
    assert largest < 1500
    text = f"{bombs:.0f} for bombs, {largest:.0f} for the largest that is allowed"
    record_property("memory for hostile pictures, MB", text)


def test_scans_are_counted_but_not_those_in_other_data():
    with raises(TOO_LARGE):
        load_image(scans(150))
    film = np.random.default_rng(0).bytes(3_000_000)  # as phones append it
    assert film.count(b"\xff\xda") > 20
    assert load_image(jpeg() + film).size == (48, 32)


def test_memory_that_is_refused_is_an_image_error(monkeypatch):
    def none_left(*_, **__):
        raise MemoryError

    data = encoded(picture("L"), "PNG")
    monkeypatch.setattr(Image.Image, "convert", none_left)
    with pytest.raises(ImageError, match="use a smaller copy"):
        load_image(data)


def fuzz(first, last, folder):
    command = [sys.executable, "-m", "hostile", str(first), str(last), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SUPPORT)
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n(the file is in {folder})"
    return hostile.json.loads(done.stdout)


def check_fuzz(parts, record_property):
    found = sum((Counter(part["found"]) for part in parts), Counter())
    slowest, highest = (
        max(part["slowest"] for part in parts),
        max(part["peak"] for part in parts),
    )
    assert slowest[0] < 4 * SECONDS, slowest
    assert highest < 1500
    counts = ", ".join(f"{kind} {n}" for kind, n in found.most_common())
    record_property(
        "damaged variants of them",
        f"{found.total()} tried: {counts}; nothing else; slowest {slowest[0]:.1f} s, "
        f"at most {highest:.0f} MB",
    )
    assert {"picture", DAMAGED, NOT_AN_IMAGE, TOO_LARGE} <= {*found}


@pytest.mark.parametrize("tries", thorough_but([150, 600], 150))
def test_damaged_variants(tries, tmp_path, record_property):
    """In a process of limited memory: a decoder that crashed would take this one with
    it."""
    check_fuzz([fuzz(0, tries, tmp_path)], record_property)


@pytest.mark.slow
def test_twenty_thousand_damaged_variants(tmp_path, record_property):
    steps = range(0, 21_000, 1000)
    check_fuzz(
        [fuzz(first, first + 1000, tmp_path) for first in steps[:-1]], record_property
    )
