"""HEIC files for tests: small ones by pillow-heif, large ones of one tile, repeated, as
phones build them (ISO/IEC 23008-12, 6.6.2.3)."""

import io
import struct

TILE = 512  # pixels a side, as of iPhones


def heic(image, **options):
    """A PIL image as a HEIC file's bytes, made quickly."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    quick = {"preset": "ultrafast"}
    image.save(file, "HEIF", enc_params=quick, **options)
    return file.getvalue()


def box(kind, *parts):
    payload = b"".join(parts)
    return struct.pack(">I", 8 + len(payload)) + kind + payload


def full_box(kind, version, flags, *parts):
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def tiled(tile, width, height, quarter_turns=0, brand=b"heic"):
    """A picture of (width, height) pixels, each of its tiles the same image.
    tile: a PIL image of TILE pixels a side; quarter_turns: anticlockwise, by which it's
    to be turned for showing."""
    data = heic(tile)
    pixels = data[data.index(b"mdat") + 4 :]
    start = data.index(b"hvcC") - 4
    (length,) = struct.unpack(">I", data[start : start + 4])
    decoder = data[start : start + length]
    across = -(-width // TILE)
    down = -(-height // TILE)
    grid = struct.pack(">BBBBII", 0, 1, down - 1, across - 1, width, height)
    ftyp = box(b"ftyp", brand, bytes(4), b"mif1heic")
    properties = box(
        b"ipco",
        decoder,
        full_box(b"ispe", 0, 0, struct.pack(">II", TILE, TILE)),
        full_box(b"ispe", 0, 0, struct.pack(">II", width, height)),
        box(b"irot", bytes([quarter_turns])),
    )
    # Items 1, the grid, and 2, the tile; the numbers of their properties, from 1.
    of_items = struct.pack(">IHBBBHBBB", 2, 1, 2, 3, 4, 2, 2, 0x81, 2)
    references = [2] * (across * down)

    def meta(place):
        return full_box(
            b"meta",
            0,
            0,
            full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, 0, struct.pack(">H", 1)),
            full_box(b"iinf", 0, 0, struct.pack(">H", 2), item(1, b"grid"),
                     item(2, b"hvc1")),
            full_box(b"iref", 0, 0, box(b"dimg", struct.pack(
                f">HH{len(references)}H", 1, len(references), *references))),
            box(b"iprp", properties, full_box(b"ipma", 0, 0, of_items)),
            full_box(b"iloc", 1, 0, bytes([0x44, 0]), struct.pack(">H", 2),
                     struct.pack(">HHHHII", 1, 1, 0, 1, 0, len(grid)),
                     struct.pack(">HHHHII", 2, 0, 0, 1, place, len(pixels))),
            box(b"idat", grid),
        )  # fmt: skip

    place = len(ftyp) + len(meta(0)) + 8
    return ftyp + meta(place) + box(b"mdat", pixels)


def item(number, kind):
    return full_box(b"infe", 2, 0, struct.pack(">HH", number, 0), kind, b"\0")
