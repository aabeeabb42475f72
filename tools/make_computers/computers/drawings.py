"""Colours and flat pictures: screens, photographs, printed pages (as Pillow
pictures)."""

import colorsys
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from computers.scenes import weighted

# What things are painted in: more reds, browns and blues than greens and purples
HUES = (
    0.99,
    0.01,
    0.04,
    0.07,
    0.1,
    0.13,
    0.16,
    0.3,
    0.38,
    0.48,
    0.54,
    0.57,
    0.6,
    0.63,
    0.75,
    0.92,
)


def colour(rng, saturation=(0.0, 1.0), value=(0.05, 0.9), hue=None):
    """A random colour as RGB in 0…1."""
    hue = (
        HUES[rng.integers(len(HUES))] + rng.normal(0, 0.025)
        if hue is None
        else rng.uniform(*hue)
    )
    return colorsys.hsv_to_rgb(hue % 1, rng.uniform(*saturation), rng.uniform(*value))


def ink(rgb):
    return tuple(int(255 * c) for c in rgb)


def shade(rgb, factor):
    return tuple(min(1.0, c * factor) for c in rgb)


def photo(rng, w, h):
    """A made-up photograph: hills and sky, blobs, or a head and shoulders."""
    y, x = np.mgrid[0:h, 0:w] / max(w, h)
    top, low = (
        np.array(colour(rng, (0.1, 0.8), (0.4, 1))),
        np.array(colour(rng, (0, 0.6), (0.5, 1))),
    )
    t = (y / y.max())[..., None]
    data = top * (1 - t) + low * t
    kind = rng.integers(3)
    if kind == 0:
        for level in np.sort(rng.uniform(0.35, 0.95, rng.integers(2, 5))) * y.max():
            edge = level + sum(
                rng.uniform(0, 0.07) / f * np.sin(2 * math.pi * (f * x + rng.uniform()))
                for f in (1, 2, 5, 9)
            )
            tone = np.array(colour(rng, (0.2, 0.8), (0.1, 0.7)))
            data = np.where(
                (y > edge)[..., None],
                tone * (1 + 0.3 * np.sin(37 * x * y))[..., None],
                data,
            )
    for _ in range(rng.integers(4, 12) if kind == 1 else 1):
        cx, cy, r = rng.uniform(), rng.uniform() * y.max(), rng.uniform(0.04, 0.2)
        mask = ((x - cx) ** 2 + (y - cy) ** 2 < r * r)[..., None]
        data = np.where(mask, np.array(colour(rng, (0.1, 0.9), (0.2, 1))), data)
    image = Image.fromarray(np.uint8(np.clip(data, 0, 1) * 255))
    if kind == 2:
        draw, skin = (
            ImageDraw.Draw(image),
            ink(colour(rng, (0.3, 0.6), (0.3, 0.9), (0.04, 0.09))),
        )
        cx, top = w * rng.uniform(0.35, 0.65), h * rng.uniform(0.15, 0.3)
        r = min(w, h) * rng.uniform(0.14, 0.2)
        draw.ellipse(
            (cx - 2.2 * r, top + 2.2 * r, cx + 2.2 * r, h * 1.6), fill=ink(colour(rng))
        )
        draw.ellipse(
            (cx - 1.15 * r, top - 0.25 * r, cx + 1.15 * r, top + 2 * r),
            fill=ink(colour(rng, (0.2, 0.7), (0.05, 0.5), (0.03, 0.1))),
        )
        draw.ellipse((cx - r * 0.9, top, cx + r * 0.9, top + 2.4 * r), fill=skin)
    return image.filter(ImageFilter.GaussianBlur(0.6))


def write_lines(draw, rng, box, fill, step, indent=0.0):
    """Words as bars, line by line, in a box (left, top, right, bottom)."""
    left, top, right, bottom = box
    while top + step * 0.6 < bottom:
        x, end = (
            left + indent * rng.integers(0, 4),
            left + (right - left) * rng.choice([1, 1, 1, rng.uniform(0.2, 0.9)]),
        )
        while x < end - 1:
            word = min(step * rng.uniform(0.6, 3), end - x)
            draw.rectangle((x, top, x + word, top + step * 0.3), fill=fill)
            x += word + step * 0.45
        top += step
    return draw


def draw_window(image, rng, box):
    """A program's window: title bar, perhaps a side bar, text, pictures or a table."""
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = map(int, box)
    dark = rng.uniform() < 0.35
    paper = ink(colour(rng, (0, 0.25), (0.08, 0.2) if dark else (0.85, 1)))
    text = ink(colour(rng, (0, 0.6), (0.45, 0.75) if dark else (0.35, 0.65)))
    bar, step = (
        max(4, (bottom - top) // 14),
        max(4, (bottom - top) // int(rng.integers(20, 34))),
    )
    draw.rectangle((left, top, right, bottom), fill=paper, outline=(90, 90, 95))
    draw.rectangle(
        (left, top, right, top + bar), fill=ink(colour(rng, (0, 0.8), (0.25, 0.9)))
    )
    for i in range(3):
        draw.ellipse(
            (right - (i + 1) * bar, top + 1, right - (i + 0.3) * bar, top + bar - 2),
            fill=ink(colour(rng)),
        )
    top += bar + 2
    if rng.uniform() < 0.5:
        side = left + (right - left) * rng.uniform(0.15, 0.3)
        draw.rectangle(
            (left + 1, top, side, bottom - 1),
            fill=ink(colour(rng, (0, 0.6), (0.2, 0.9))),
        )
        write_lines(draw, rng, (left + 4, top + 3, side - 4, bottom - 3), text, step)
        left = side
    kind = rng.integers(4)
    if kind == 0:
        for y in np.arange(top, bottom, step):
            draw.line((left, y, right, y), fill=(150, 150, 150))
        for x in np.linspace(left, right, 7):
            draw.line((x, top, x, bottom), fill=(150, 150, 150))
            write_lines(
                draw, rng, (x + 2, top + 2, x + (right - left) / 12, bottom), text, step
            )
    elif kind == 1:
        middle = (top + bottom) // 2
        w, h = int(right - left - 8), int(middle - top - 6)
        if w > 8 and h > 8:
            image.paste(photo(rng, w, h), (int(left + 4), int(top + 4)))
        write_lines(
            draw, rng, (left + 6, middle + 4, right - 6, bottom - 4), text, step
        )
    else:
        tone = text if kind == 2 else ink(colour(rng, (0.4, 0.9), (0.5, 0.9)))
        write_lines(
            draw,
            rng,
            (left + 6, top + 4, right - 6, bottom - 4),
            tone,
            step,
            6 if kind == 3 else 0,
        )


def icon(draw, rng, x, y, s):
    draw.rounded_rectangle(
        (x, y, x + s, y + s), s * 0.22, fill=ink(colour(rng, (0.1, 0.9), (0.3, 1)))
    )
    mark, q = ink(colour(rng, (0, 0.3), (0.7, 1))), s * rng.uniform(0.2, 0.35)
    (draw.ellipse if rng.uniform() < 0.5 else draw.rectangle)(
        (x + q, y + q, x + s - q, y + s - q), fill=mark
    )


def draw_screen(rng, w, h):
    """A big screen's picture: desktop with windows, one large window, or a
    photograph."""
    image = (
        photo(rng, w, h)
        if rng.uniform() < 0.7
        else Image.new("RGB", (w, h), ink(colour(rng, (0.2, 0.8), (0.15, 0.8))))
    )
    draw, bar = ImageDraw.Draw(image), h // 16
    style = weighted(rng, windows=6, full=2.5, photo=1.5)
    if style == "full":
        draw_window(image, rng, (0, 0, w - 1, h - bar))
    elif style == "windows":
        for i in range(rng.integers(4, 12)):
            icon(draw, rng, 6, 6 + i * bar * 1.5, bar)
        for _ in range(rng.integers(1, 4)):
            ww, wh = w * rng.uniform(0.35, 0.65), h * rng.uniform(0.4, 0.7)
            x, y = (
                rng.uniform(0.06, 0.94) * (w - ww),
                rng.uniform(0.02, 0.9) * (h - bar - wh),
            )
            draw_window(image, rng, (x, y, x + ww, y + wh))
    if style != "photo":
        draw.rectangle((0, h - bar, w, h), fill=ink(colour(rng, (0, 0.7), (0.1, 0.9))))
        for i in range(rng.integers(4, 9)):
            icon(draw, rng, 4 + i * bar * 1.3, h - bar + 2, bar - 4)
    return image


def draw_small_screen(rng, w, h):
    """A phone's or PDA's picture: icons, a list, a conversation, a photograph, a map or
    a call."""
    image = photo(rng, w, h)
    draw, bar = ImageDraw.Draw(image), max(6, h // 22)
    style = weighted(rng, icons=6, list=2, chat=1.5, photo=1, map=1, calendar=1)
    if style not in ("photo", "icons"):
        light = rng.uniform() < 0.65
        draw.rectangle(
            (0, 0, w, h),
            fill=ink(colour(rng, (0, 0.15), (0.85, 1) if light else (0.05, 0.2))),
        )
    text = ink(colour(rng, (0, 0.3), (0.2, 0.5)))
    if style == "icons":
        columns = int(rng.integers(3, 5))
        s = w / (columns * 1.45 + 0.45)
        rows = int((h - 3 * bar) / (s * 1.75)) - (rng.uniform() < 0.3)
        for row in range(rows):
            for column in range(columns):
                x, y = s * (0.45 + 1.45 * column), 2 * bar + row * s * 1.75
                if row == rows - 1:
                    y = h - s * 1.4
                icon(draw, rng, x, y, s)
                if row < rows - 1:
                    draw.rectangle(
                        (x + s * 0.1, y + s * 1.12, x + s * 0.9, y + s * 1.2),
                        fill=(235, 235, 235),
                    )
    elif style == "list":
        for y in np.arange(2.5 * bar, h, 2.6 * bar):
            icon(draw, rng, bar * 0.6, y, bar * 1.8)
            write_lines(
                draw, rng, (bar * 3, y, w - bar, y + bar * 1.9), text, bar * 0.9
            )
            draw.line((0, y + bar * 2.2, w, y + bar * 2.2), fill=(170, 170, 175))
    elif style == "chat":
        y, tones = (
            2.5 * bar,
            [ink(colour(rng, (0.2, 0.9), (0.5, 0.9))) for _ in range(2)],
        )
        while y < h - 4 * bar:
            who, high = int(rng.integers(2)), bar * rng.uniform(1.5, 4)
            x = w * (0.05 + 0.25 * who)
            draw.rounded_rectangle(
                (x, y, x + w * 0.65, y + high), bar * 0.6, fill=tones[who]
            )
            write_lines(
                draw,
                rng,
                (x + bar / 2, y + bar / 2, x + w * 0.6, y + high - 2),
                (245, 245, 245),
                bar * 0.8,
            )
            y += high + bar * 0.6
    elif style == "map":
        for _ in range(14):
            a, b = rng.uniform(0, [w, h], (2, 2))
            draw.line(
                (*(2 * a - b), *(3 * b - 2 * a)),
                fill=ink(colour(rng, (0, 0.6), (0.6, 1))),
                width=int(rng.integers(2, 9)),
            )
        draw.ellipse(
            (w * 0.45, h * 0.45, w * 0.55, h * 0.45 + w * 0.1), fill=(220, 40, 40)
        )
    elif style == "calendar":
        for row in range(6):
            for column in range(7):
                x, y = w * (column + 0.15) / 7, h * (0.2 + 0.12 * row)
                draw.rectangle(
                    (x, y, x + w * 0.1, y + h * 0.08),
                    fill=ink(colour(rng, (0, 0.5), (0.4, 0.95))),
                )
    draw.rectangle((0, 0, w, bar), fill=ink(colour(rng, (0, 0.7), (0.05, 0.6))))
    return image


def draw_page(rng, w, h, lined=False):
    """A printed page with or without a picture, or ruled paper with handwriting."""
    image = Image.new(
        "RGB", (w, h), ink(colour(rng, (0, 0.12), (0.85, 0.97), (0.08, 0.16)))
    )
    draw, m = ImageDraw.Draw(image), int(w * 0.1)
    if lined:
        for y in range(m, h, max(6, h // 24)):
            draw.line((0, y, w, y), fill=(150, 175, 215))
    top = m
    if rng.uniform() < 0.4:
        image.paste(photo(rng, w - 2 * m, h // 3), (m, m))
        top = m + h // 3 + m // 2
    write_lines(
        draw,
        rng,
        (m, top, w - m, h - m if not lined else h * rng.uniform(0.4, 0.9)),
        ink(colour(rng, (0, 0.6), (0.3, 0.6))),
        h / (30 if lined else rng.uniform(36, 56)),
    )
    return image


def draw_cover(rng, w, h):
    """A book's or box's front: a colour, a title, perhaps a picture or bands."""
    image = Image.new("RGB", (w, h), ink(colour(rng, (0, 0.9), (0.1, 0.9))))
    draw = ImageDraw.Draw(image)
    if rng.uniform() < 0.5:
        image.paste(
            photo(rng, int(w * 0.8), int(h * 0.45)), (int(w * 0.1), int(h * 0.4))
        )
    for _ in range(rng.integers(0, 3)):
        y = rng.uniform(0, h)
        draw.rectangle(
            (0, y, w, y + h * rng.uniform(0.02, 0.15)), fill=ink(colour(rng))
        )
    write_lines(
        draw,
        rng,
        (w * 0.12, h * 0.1, w * 0.88, h * 0.34),
        ink(colour(rng, (0, 0.5), (0.6, 1))),
        h * 0.1,
    )
    return image


def draw_room(rng, n=256):
    """The blurred rest of a room."""
    image = Image.new("RGB", (n, n), ink(colour(rng, (0, 0.35), (0.3, 0.9))))
    draw = ImageDraw.Draw(image)
    floor = rng.uniform(0.3, 0.8) * n
    draw.rectangle(
        (0, floor, n, n), fill=ink(colour(rng, (0.1, 0.6), (0.15, 0.6), (0.03, 0.12)))
    )
    for _ in range(rng.integers(5, 14)):
        x, w, h = (
            rng.uniform(-0.1, 1) * n,
            rng.uniform(0.05, 0.35) * n,
            rng.uniform(0.08, 0.7) * n,
        )
        y = rng.choice([floor - h + rng.uniform(0, 20), rng.uniform(0, n)])
        draw.rectangle(
            (x, y, x + w, y + h), fill=ink(colour(rng, (0, 0.6), (0.05, 0.95)))
        )
        if rng.uniform() < 0.4:
            for i in range(1, 5):
                draw.line(
                    (x, y + i * h / 5, x + w, y + i * h / 5),
                    fill=ink(colour(rng, (0, 0.4))),
                    width=3,
                )
    if rng.uniform() < 0.5:
        x, y = rng.uniform(0, 0.8, 2) * n
        draw.rectangle((x, y / 2, x + n * 0.25, y / 2 + n * 0.4), fill=(255, 255, 250))
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(2, 7)))
