"""Picture files made to do harm, or just odd ones; and what comes of seeded damage to
them.

    python tests/support/hostile.py FIRST LAST FOLDER [MEGABYTES]

reads the variants FIRST … LAST - 1 of the corpus, in at most so much memory, and prints
what came out as JSON. Each is in FOLDER while it is read: what is left there after a
crash caused it."""

import io
import json
import random
import re
import resource
import struct
import sys
import time
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from helpers.images import load_image
from safeguards.pictures import ImageError

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NAMES = ("SOI", "APP0", "APP1", "DQT", "SOF", "DHT", "SOS")
MARKERS = dict(zip(NAMES, b"\xd8\xe0\xe1\xdb\xc0\xc4\xda", strict=True))


def picture(mode="RGB", size=(48, 32)):
    """A small picture of many colours."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), "uint8")
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image, format, **options):
    """The bytes of a picture file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def exif(**tags):
    """Exif data as Pillow writes them."""
    data = Image.Exif()
    data.update({0x0112: 6} | {int(k[1:]): v for k, v in tags.items()})
    return data


def chunk(kind, data=b"", size=None, check=None):
    """A chunk of a PNG, perhaps with a false size or check sum."""
    size = len(data) if size is None else size
    check = zlib.crc32(kind + data) if check is None else check
    return struct.pack(">I", size) + kind + data + struct.pack(">I", check)


def png(*extra, width=2, height=2, depth=8, colour=2, data=None, before=True):
    """A PNG by hand: (width, height, depth, colour) are what its header claims."""
    pixels = zlib.compress(bytes(14)) if data is None else data
    head = chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    )
    body = (
        [*extra, chunk(b"IDAT", pixels)] if before else [chunk(b"IDAT", pixels), *extra]
    )
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(body) + chunk(b"IEND")


def empty(side):
    """A PNG of many black pixels in few bytes."""
    data = zlib.compress(bytes((side // 8 + 1) * side), 1)
    return png(width=side, height=side, depth=1, colour=0, data=data)


def tiff(*changes, tail=b"\0" * 64, following=0, order="<", count=None):
    """A TIFF by hand, 4×4 grey pixels; changes: (tag, type, count, value) instead or
    besides."""
    tags = {
        256: (3, 1, 4),
        257: (3, 1, 4),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
    }
    tags |= {273: (4, 1, -1), 277: (3, 1, 1), 278: (3, 1, 4), 279: (4, 1, 16)}
    tags |= {tag: rest for tag, *rest in changes}
    end = 8 + 2 + 12 * len(tags) + 4
    data = b"II*\0" if order == "<" else b"MM\0*"
    data += struct.pack(order + "IH", 8, len(tags) if count is None else count)
    for tag, (kind, n, value) in sorted(tags.items()):
        value = end if value == -1 else value
        short = struct.pack(order + "H2x", value) if kind == 3 and n == 1 else None
        data += struct.pack(order + "HHI", tag, kind, n) + (
            short or struct.pack(order + "I", value)
        )
    return data + struct.pack(order + "I", following) + tail


def bmp(width=4, height=4, bits=8, compression=0, body=bytes(16), colours=256, head=40):
    """A BMP by hand, with the header's claims."""
    palette = bytes(4 * 256) if bits <= 8 else b""
    start = 14 + 40 + len(palette)
    return (
        b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start)
        + struct.pack("<IiiHHIIiiII", head, width, height, 1, bits, compression,
                      len(body), 0, 0, colours, 0) + palette + body
    )  # fmt: skip


def gif(frames=1, screen=None, comment=b""):
    """A GIF, with a false screen and comment blocks, or of many frames."""
    more = [picture("L").rotate(i) for i in range(1, frames)]
    data = encoded(picture("L"), "GIF", save_all=frames > 1, append_images=more)
    if screen:
        data = data[:6] + struct.pack("<HH", *screen) + data[10:]
    place = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    return data[:place] + comment + data[place:]


def jpeg(**options):
    return encoded(picture(), "JPEG", **options)


def resized(data, width, height):
    """A JPEG whose header claims another size."""
    place = next(data.index(m) for m in (b"\xff\xc0", b"\xff\xc2") if m in data)
    return data[: place + 5] + struct.pack(">HH", height, width) + data[place + 9 :]


def scans(count):
    """A progressive JPEG with its last scan again and again."""
    data = encoded(picture(size=(640, 640)), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * count + b"\xff\xd9"


def corpus():
    """{name: bytes} of every kind of file that was thought of; the same on every
    machine."""
    good = {
        "jpeg": jpeg(
            exif=exif(), icc_profile=SRGB, comment=b"<script>alert(1)</script>"
        ),
        "png": encoded(picture("RGBA"), "PNG", exif=exif()),
        "webp": encoded(picture("RGBA"), "WEBP", exif=exif(), lossless=True),
        "gif": gif(),
        "bmp": encoded(picture(), "BMP"),
        "tiff": encoded(picture(), "TIFF", compression="tiff_lzw", exif=exif()),
    }
    files = dict(good)
    # cut: at each kind of marker or chunk, before and after it
    for name, code in MARKERS.items():
        place = good["jpeg"].index(bytes([0xFF, code]))
        for shift, where in ((0, "before"), (2, "after"), (5, "within")):
            files[f"jpeg cut {where} {name}"] = good["jpeg"][: place + shift]
    for kind in (b"IHDR", b"eXIf", b"IDAT", b"IEND"):
        files[f"png cut in {kind.decode()}"] = good["png"][
            : good["png"].index(kind) + 6
        ]
    for kind in (b"VP8X", b"VP8L", b"EXIF"):
        files[f"webp cut in {kind.decode()}"] = good["webp"][
            : good["webp"].index(kind) + 9
        ]
    for name, places in (
        ("gif", (6, 13, 500, -1)),
        ("bmp", (2, 20, 54, -1)),
        ("tiff", (4, 9, -9)),
    ):
        files |= {f"{name} cut at {p}": good[name][:p] for p in places}
    # headers that lie
    files |= {
        "jpeg claims 65500×65500": resized(jpeg(), 65500, 65500),
        "jpeg claims 0×0": resized(jpeg(), 0, 0),
        "jpeg claims more": resized(jpeg(), 480, 320),
        "png claims 2^31": png(width=2**31 - 1, height=2**31 - 1),
        "png claims 60000×60000": png(width=60000, height=60000),
        "png claims no width": png(width=0),
        "png of depth 7": png(depth=7),
        "png of colour 5": png(colour=5),
        "png with false sum": png(chunk(b"gAMA", b"\0\1\2\3", check=1)),
        "png with endless chunk": png(chunk(b"tEXt", b"a", size=2**31 - 1)),
        "png with no data": png(data=b""),
        "png with too much data": png(data=zlib.compress(bytes(10**7))),
        "png with data for one row": png(data=zlib.compress(bytes(7))),
        "gif claims 65535×65535": gif(screen=(65535, 65535)),
        "gif claims 0×0": gif(screen=(0, 0)),
        "bmp claims 2^31": bmp(2**31 - 1, 2**31 - 1),
        "bmp claims negative width": bmp(-4, 4),
        "bmp upside down": bmp(4, -4),
        "bmp of 1000 bits": bmp(bits=1000),
        "bmp with a huge header": bmp(head=2**31),
        "bmp with 2^31 colours": bmp(colours=2**31),
        "bmp in jpeg": bmp(compression=4, body=jpeg()),
        "bmp run-length ends early": bmp(60, 60, compression=1, body=b"\4\1\0\1"),
        "bmp run-length jumps far": bmp(
            9000, 9000, compression=1, body=b"\0\2\xff\xff" * 400
        ),
        "tiff claims 2^31": tiff((256, 4, 1, 2**31 - 1), (257, 4, 1, 2**31 - 1)),
        "tiff of width 0": tiff((256, 3, 1, 0)),
        "tiff with huge tiles": tiff(
            (322, 4, 1, 60000),
            (323, 4, 1, 60000),
            (324, 4, 1, -1),
            (325, 4, 1, 9),
            (259, 3, 1, 5),
        ),
        "tiff with 65535 samples": tiff((277, 3, 1, 65535)),
        "tiff of unknown compression": tiff((259, 3, 1, 9999)),
        "tiff with 2^30 strips": tiff((273, 4, 2**30, -1), (278, 3, 1, 1)),
        "tiff with strips beyond the end": tiff((273, 4, 1, 2**31)),
        "tiff with rows per strip 0": tiff((278, 3, 1, 0)),
        "tiff claims 9999 tags": tiff(count=9999),
        "tiff of big endian": tiff(order=">"),
        "webp claims 16 million": good["webp"].replace(
            good["webp"][24:30], b"\xff\xff\xff\xff\xff\xff"
        ),
        "webp claims 4 GB": b"RIFF\xff\xff\xff\xffWEBP" + good["webp"][12:],
    }
    # what unfolds, loops, or never ends
    shared = bytes(100_000)
    entries = [(50000 + i, 7, len(shared), -1) for i in range(2000)]
    text = zlib.compress(bytes(2 * 10**7))
    files |= {
        "png text bomb": png(chunk(b"zTXt", b"a\0\0" + text)),
        "png international text bomb": png(chunk(b"iTXt", b"a\0\1\0\0\0" + text)),
        "png of text bombs": png(
            *[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**6)))] * 99
        ),
        "png profile bomb": png(chunk(b"iCCP", b"a\0\0" + text)),
        "png exif bomb": png(chunk(b"eXIf", tiff(*entries, tail=shared))),
        "png pixel bomb": empty(20_000),
        "png of 9500×9500": empty(9_500),
        "png of many chunks": png(*[chunk(b"prVt")] * 20_000),
        "tiff whose tags share bytes": tiff(*entries, tail=shared),
        "tiff that follows itself": tiff(following=8),
        "tiff that goes back and forth": tiff(
            following=122, tail=struct.pack("<HI", 0, 8) + bytes(60)
        ),
        "tiff that points at itself": tiff((330, 4, 1, 8), (34665, 4, 1, 8)),
        "jpeg of 1000 scans": scans(1000),
        "jpeg of 50 scans": scans(50),
        "gif of 300 frames": gif(300),
        "gif with a long comment": gif(comment=b"!\xfe" + b"\1x" * 100_000 + b"\0"),
        "gif with many comments": gif(comment=b"!\xfe\1x\0" * 30_000),
        "gif with an endless comment": gif(
            comment=b"!\xfe" + (b"\xff" + b"x" * 255) * 400
        ),
        "jpeg with exif to itself": jpeg(
            exif=b"Exif\0\0" + tiff((34665, 4, 1, 8), following=8)
        ),
        "jpeg with an exif bomb": jpeg(
            exif=b"Exif\0\0"
            + tiff(
                *[(50000 + i, 7, 30_000, -1) for i in range(2000)], tail=bytes(30_000)
            )
        ),
    }
    # other things in a picture's clothes
    html = b"<!doctype html><img src=x onerror=alert(1)>"
    files |= {
        "nothing": b"",
        "one zero": b"\0",
        "a million zeros": bytes(10**6),
        "html": html,
        "svg": b"<svg "
        b"xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) "
        b"(w) file\n",
        "ppm": b"P6 1 1 255 abc",
        "pcx": encoded(picture("P"), "PCX"),
        "ico": encoded(picture(), "ICO"),
        "jpeg 2000": encoded(picture(), "JPEG2000"),
        "pdf": encoded(picture(), "PDF"),
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "zip": b"PK\3\4" + bytes(100),
        "program": b"\x7fELF\2\1\1" + bytes(100),
        "pickle": b"\x80\4cos\nsystem\n(S'id'\ntR.",
        "jpeg and zip": jpeg() + b"PK\3\4" + bytes(30) + b"PK\5\6" + bytes(18),
        "gif and script": b"GIF89a/*" + gif()[8:] + b"*/=1;alert(1)",
        "png and html": png(before=False) + html,
        "html, then jpeg": html + jpeg(),
        "bmp and pdf": bmp() + b"%PDF-1.4",
        "png of another's signature": b"\x89PNG\r\n\x1a\n" + jpeg(),
        "jpeg of another's signature": b"\xff\xd8" + good["png"],
        "jpeg after jpeg": jpeg() * 3,
    }
    # right, but rare
    files |= {
        f"{m} png": encoded(picture(m), "PNG") for m in ("1", "L", "LA", "P", "I;16")
    }
    files |= {
        f"{m} tiff": encoded(picture(m), "TIFF")
        for m in ("CMYK", "LAB", "YCbCr", "F", "I")
    }
    files |= {
        f"{f} of {w}×{h}": encoded(picture(size=(w, h)), f)
        for w, h, f in (
            (1, 1, "PNG"),
            (1, 60000, "PNG"),
            (60000, 1, "JPEG"),
            (1, 1, "GIF"),
            (1, 1, "WEBP"),
        )
    }
    files |= {
        f"jpeg turned by {o}": jpeg(exif=exif(t274=o)) for o in (*range(10), 255, 65535)
    }
    files |= {
        "jpeg turned by a text": jpeg(exif=b"Exif\0\0" + tiff((274, 2, 4, 0x41414141))),
        "jpeg turned by several": jpeg(exif=b"Exif\0\0" + tiff((274, 3, 2, 6))),
        "png turned by its text": png(
            chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'),
            height=2,
        ),
        "cmyk jpeg with a profile": encoded(picture("CMYK"), "JPEG", icc_profile=SRGB),
        "jpeg with a broken profile": jpeg(icc_profile=b"\xff" * 9000),
        "jpeg, progressive": jpeg(progressive=True),
        "jpeg, two pictures": encoded(
            picture(), "MPO", save_all=True, append_images=[picture()]
        ),
        "png of 16-bit colours": png(depth=16, data=zlib.compress(bytes(26))),
        "png of 1-bit palette": png(
            chunk(b"PLTE", b"\1\2\3"),
            depth=1,
            colour=3,
            data=zlib.compress(b"\0\xff\0\xff"),
        ),
        "png without its palette": png(colour=3, data=zlib.compress(b"\0\1\2" * 2)),
        "png with a long palette": png(
            chunk(b"PLTE", bytes(3 * 900)),
            colour=3,
            data=zlib.compress(b"\0\xff\xff" * 2),
        ),
        "animated png": encoded(
            picture(), "PNG", save_all=True, append_images=[picture("L")]
        ),
        "animated webp": encoded(
            picture(), "WEBP", save_all=True, append_images=[picture("L")]
        ),
        "tiff of three pages": encoded(
            picture(), "TIFF", save_all=True, append_images=[picture("L"), picture("1")]
        ),
    }
    return files


def variant(seed, files):
    """(the file's name, bytes) of a file with damage that this number decides."""
    draw = random.Random(seed)
    names = list(files)
    name = names[seed % len(names)]
    data = bytearray(files[name])
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        near = min(
            len(data), draw.choice((16, 64, 400, 10**6))
        )  # most of what matters is in front
        place = draw.randrange(near) if near else 0
        kind = draw.randrange(7)
        if kind == 0:
            data[place : place + 1] = bytes([draw.randrange(256)])
        elif kind == 1 and place < len(data):
            data[place] ^= 1 << draw.randrange(8)
        elif kind == 2:
            number = draw.choice(
                (0, 1, 2**15 - 1, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
            )
            data[place : place + 4] = struct.pack(draw.choice((">I", "<I")), number)
        elif kind == 3:
            del data[place : place + draw.randrange(1, 64)]
        elif kind == 4:
            data[place:place] = data[place : place + draw.randrange(1, 64)]
        elif kind == 5:
            data[place:place] = draw.randbytes(draw.randrange(1, 32))
        else:
            other = files[draw.choice(names)]
            data[place:] = other[place : place + 10**6]
    return name, bytes(data)


def outcome(data):
    """ "picture", or the kind of ImageError; anything else is raised, as a fault of
    ours."""
    try:
        image = load_image(data)
    except ImageError as error:
        assert str(error), "it says why"
        return error.kind
    assert type(image) is Image.Image and image.mode == "RGB" and not image.info
    image.tobytes()  # it was decoded
    return "picture"


def peak():
    """Megabytes this process has held at most (Linux; its ru_maxrss counts the
    parent's, too)."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0.0
    return int(re.search(r"VmHWM:\s*(\d+)", status.read_text())[1]) / 1000


def main(first, last, folder, megabytes=2000):
    warnings.simplefilter("error")  # none may reach a learner
    limit = int(megabytes) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    files, found, slowest = corpus(), Counter(), (0, "")
    marker = Path(folder) / f"{first}-{last}"
    for seed in range(int(first), int(last)):
        name, data = variant(seed, files)
        marker.write_bytes(data)
        start = time.process_time()
        try:
            found[outcome(data)] += 1
        except BaseException as error:
            error.add_note(f"variant {seed} of {name!r}, kept as {marker}")
            raise
        slowest = max(slowest, (time.process_time() - start, f"{seed} of {name}"))
    marker.unlink()
    print(json.dumps({"found": found, "slowest": slowest, "peak": peak()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
