"""Sets of pictures as people have them, made here, of which it is known what shows the
same thing.

Each function returns [(class, thing, picture)] in the order in which the files are
named: pictures of one thing should count as one, those of two things as two."""

import functools
import math

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from helpers.images import load_image

PHOTOS = ("cat", "coffee", "flower", "building", "photographer", "uniform")
SIZE = (320, 240)  # pixels


def photo(i, size=SIZE):
    """Part of one of the sample photographs: a different scene for each i up to 30."""
    image = load_image(PHOTOS[i % len(PHOTOS)])
    corner = i // len(PHOTOS)
    if corner:
        width, height = image.size
        left = (corner - 1) % 2 * width // 2
        top = (corner - 1) // 2 * height // 2
        image = image.crop((left, top, left + width // 2, top + height // 2))
    return image.resize(size, Image.Resampling.BICUBIC)


def grained(image, random, grain=4.0):
    """As a camera gives it: with noise (of this deviation, in grey levels), a little
    too bright."""
    pixels = np.asarray(image, "float32") * random.uniform(0.97, 1.03)
    pixels += random.normal(0, grain, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype("uint8"))


def part(canvas, place, side, turn, shade, random, defect=False, seed=0):
    """Draw a metal part: a plate with holes, turned by some degrees, perhaps with a
    scratch."""
    own = Image.new("L", (100, 100), 0)
    draw = ImageDraw.Draw(own)
    draw.rounded_rectangle((10, 25, 90, 75), 8, fill=255)
    draw.ellipse((18, 40, 38, 60), fill=0)
    draw.rectangle((60, 42, 82, 50), fill=0)
    face = Image.new("RGB", (100, 100), shade)
    if defect:
        pen = ImageDraw.Draw(face)
        x, y = random.uniform(15, 60), random.uniform(30, 60)
        pen.line(
            (x, y, x + random.uniform(10, 30), y + random.uniform(-15, 15)),
            (30, 25, 20),
            4,
        )
    face, own = (
        im.rotate(turn, Image.Resampling.BICUBIC).resize((side, side))
        for im in (face, own)
    )
    canvas.paste(face, (round(place[0] - side / 2), round(place[1] - side / 2)), own)


def fixed_camera(
    n=60, spread=0.3, turns=180, side=70, grain=4.0, seed=0, shots=1, shades=(170, 170)
):
    """n good and n bad parts, each put under the same camera on the same bench. spread:
    how far from the middle they lie, in widths; turns: in degrees; side: in pixels;
    shots: of each part in a row, which does not move; shades: grey levels of good and
    bad parts."""
    random = np.random.default_rng(seed)
    bench = photo(3).filter(ImageFilter.GaussianBlur(2))
    found = []
    for label, grey in zip(("good", "bad"), shades, strict=True):
        for i in range(n):
            canvas = bench.copy()
            place = [SIZE[k] * (0.5 + random.uniform(-spread, spread)) for k in (0, 1)]
            shade = tuple(
                int(v) for v in random.normal(grey, 12) + random.normal(0, 3, 3)
            )
            part(
                canvas,
                place,
                side,
                random.uniform(-turns, turns),
                shade,
                random,
                label == "bad",
            )
            found += [
                (label, f"{label} {i}", grained(canvas, random, grain))
                for _ in range(shots)
            ]
    return found


def scans(n=30, seed=0, tilt=0.4):
    """Letters and invoices, scanned: black lines of words on white pages of one
    layout."""
    random = np.random.default_rng(seed)
    found = []
    for label in ("letter", "invoice"):
        for i in range(n):
            page = Image.new("L", (420, 594), 250)
            draw = ImageDraw.Draw(page)
            draw.rectangle((40, 30, 140, 60), fill=90)  # the letterhead
            lines = int(random.integers(12, 30))
            for line in range(lines):
                x, y = 40, 110 + 15 * line
                if label == "invoice" and line > 3:
                    draw.line((40, y + 11, 380, y + 11), 180)
                    x += int(random.integers(0, 3)) * 20
                end = 380 if line % 5 else random.integers(100, 380)
                while x < end:
                    word = int(random.integers(8, 40))
                    draw.rectangle((x, y, min(x + word, 380), y + 6), fill=60)
                    x += word + 6
            page = page.rotate(
                random.normal(0, tilt), Image.Resampling.BICUBIC, fillcolor=250
            )
            found.append(
                (label, f"{label} {i}", grained(page.convert("RGB"), random, 2))
            )
    return found


def products(n=30, seed=0, alike=False):
    """Mugs and vases on white, in the middle, as a shop shows them. alike: all of one
    colour."""
    random = np.random.default_rng(seed)
    found = []
    for label in ("mug", "vase"):
        for i in range(n):
            page = Image.new("RGB", (300, 300), "white")
            draw = ImageDraw.Draw(page)
            colour = tuple(int(c) for c in random.integers(20, 200, 3))
            colour = (120, 60, 50) if alike else colour
            width, height = random.uniform(45, 75), random.uniform(50, 90)
            if label == "mug":
                side = random.choice([-1, 1])
                x = 150 + side * width
                draw.ellipse((x - 30, 120, x + 30, 190), outline=colour, width=12)
                draw.rectangle(
                    (150 - width, 150 - height, 150 + width, 150 + height), fill=colour
                )
            else:
                neck = random.uniform(10, 30)
                draw.ellipse((150 - width, 150, 150 + width, 150 + height), fill=colour)
                draw.rectangle((150 - neck, 150 - height, 150 + neck, 200), fill=colour)
            for _ in range(int(random.integers(1, 5))):  # what is printed on it
                x, y = 150 + random.uniform(-30, 10), 150 + random.uniform(-20, 40)
                ink = tuple(int(c) for c in random.integers(0, 255, 3))
                draw.ellipse(
                    (x, y, x + random.uniform(8, 30), y + random.uniform(8, 30)),
                    fill=ink,
                )
            found.append(
                (label, f"{label} {i}", page.filter(ImageFilter.GaussianBlur(1)))
            )
    return found


def moved(image, random, shift=0.015, turn=0.7, zoom=0.01):
    """The next shot from the hand: moved by this share of the width, turned by so many
    degrees."""
    width, height = image.size
    angle = math.radians(random.normal(0, turn))
    scale = (1 + random.normal(0, zoom)) * 0.9
    x = width / 2 + random.normal(0, shift) * width
    y = height / 2 + random.normal(0, shift) * width
    a, b = scale * math.cos(angle), -scale * math.sin(angle)
    c = x - a * width / 2 - b * height / 2
    f = y + b * width / 2 - a * height / 2
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        (a, b, c, -b, a, f),
        Image.Resampling.BICUBIC,
    )


def bursts(n=10, shots=6, seed=0, grain=4.0, **how):
    """n scenes, of each so many shots from the hand in a row; half of the scenes a
    class."""
    random = np.random.default_rng(seed)
    return [
        (
            f"class {i % 2}",
            f"scene {i}",
            grained(moved(photo(i), random, **how), random, grain),
        )
        for i in range(n)
        for _ in range(shots)
    ]


def pan(clips=8, frames=25, seed=0, travel=0.35):
    """Films: the camera goes over a scene by this share of its width."""
    random = np.random.default_rng(seed)
    found = []
    for clip in range(clips):
        scene = photo(clip, (480, 360))
        for frame in range(frames):
            x = 480 * travel * frame / (frames - 1)
            view = scene.crop((round(x), 40, round(x) + 300, 280)).resize(SIZE)
            found.append((f"class {clip % 2}", f"clip {clip}", grained(view, random)))
    return found


def walk(clips=8, frames=25, seed=0, speed=0.02):
    """Films of one fixed camera: in each somebody walks by, this share of the width a
    frame."""
    random = np.random.default_rng(seed)
    found = []
    for clip in range(clips):
        room = photo(1)
        coat = tuple(int(c) for c in random.integers(0, 255, 3))
        width, height, y = (
            random.uniform(18, 35),
            random.uniform(70, 150),
            random.uniform(100, 200),
        )
        start = random.uniform(0.1, 0.4)
        for frame in range(frames):
            canvas = room.copy()
            draw = ImageDraw.Draw(canvas)
            x = SIZE[0] * (start + speed * frame)
            draw.rectangle(
                (x - width, y - height / 2, x + width, y + height / 2), fill=coat
            )
            draw.ellipse(
                (x - 14, y - height / 2 - 26, x + 14, y - height / 2 + 2),
                (210, 160, 130),
            )
            found.append((f"class {clip % 2}", f"clip {clip}", grained(canvas, random)))
    return found


SAVED = {
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "twice the size": lambda image: image.resize((image.width * 2, image.height * 2)),
    "quality 30": lambda image: image,  # how it is written is what differs
    "10 % darker": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
}
CUT = {
    "3 % cut off": lambda image: cropped(image, 0.03, 0.03, 0.03, 0.03),
    "10 % cut off on one side": lambda image: cropped(image, 0.1, 0, 0, 0),
    "8 % cut off all around": lambda image: cropped(image, 0.08, 0.08, 0.08, 0.08),
}
CHANGES = {
    **SAVED,
    **CUT,
    "10 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "less contrast": lambda image: image.point(lambda value: 40 + value * 3 // 4),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "sharper": lambda image: image.filter(ImageFilter.SHARPEN),
    "12 % cut off below": lambda image: cropped(image, 0, 0, 0, 0.12),
    "to a square": lambda image: cropped(image, 0.125, 0, 0.125, 0),
    "off the middle": lambda image: cropped(image, 0.12, 0.02, 0.03, 0.1),
}


def cropped(image, left, top, right, bottom):
    """Without these shares of its sides."""
    width, height = image.size
    box = width * left, height * top, width * (1 - right), height * (1 - bottom)
    return image.crop(tuple(round(edge) for edge in box))


def copies(change, n=24, of=photo):
    """n photographs, and what a site, a phone or a person made of half of them."""
    originals = [(f"class {i % 2}", f"photo {i}", of(i)) for i in range(n)]
    return originals + [
        (label, thing, CHANGES[change](image)) for label, thing, image in originals[::2]
    ]


# -- different things ------------------------------------------------------------------


def plain(n=48, seed=0, draw_one=None, ground="white", size=(300, 300)):
    """n pictures of one ground on which `draw_one(draw, random, i)` draws what
    differs."""
    random = np.random.default_rng(seed)
    found = []
    for i in range(n):
        page = Image.new("RGB", size, ground)
        draw_one(ImageDraw.Draw(page), random, i)
        found.append(
            (f"class {i % 2}", f"thing {i}", page.filter(ImageFilter.GaussianBlur(1)))
        )
    return found


def colour(random):
    return tuple(int(value) for value in random.integers(0, 230, 3))


def one_circle(draw, random, i):
    """One circle, in random colours."""
    draw.ellipse((90, 90, 210, 210), fill=colour(random))


def grey_circle(draw, random, i):
    """One circle, in another grey each time."""
    draw.ellipse((90, 90, 210, 210), fill=(10 + 5 * (i * 29 % 48),) * 3)


def sized_circle(draw, random, i):
    """A circle of one colour, in another size each time."""
    radius = 20 + 2.5 * (i * 29 % 48)
    draw.ellipse(
        (150 - radius, 150 - radius, 150 + radius, 150 + radius), fill=(40, 60, 160)
    )


def placed_circle(draw, random, i):
    """A circle of one colour, in another place each time."""
    x, y = 30 + 30 * (i % 8), 40 + 35 * (i // 8)
    draw.ellipse((x - 20, y - 20, x + 20, y + 20), fill=(40, 60, 160))


def polygon(draw, random, i):
    """Triangles to octagons in random colours, sizes and turns."""
    draw.regular_polygon(
        (150, 150, random.uniform(50, 120)),
        3 + i % 6,
        random.uniform(0, 90),
        fill=colour(random),
    )


def letters(draw, random, i):
    """A word of four letters in one place: black on white."""
    font = ImageFont.load_default(70)
    letters = (chr(65 + int(k)) for k in random.integers(0, 26, 4))
    draw.text((40, 110), "".join(letters), fill="black", font=font)


def chart(draw, random, i):
    """A curve in one frame, as in a report."""
    draw.rectangle((30, 20, 280, 270), outline="black")
    steps = 250 * np.linspace(0, 1, 40)
    values = 145 + np.cumsum(random.normal(0, 8, 40))
    draw.line(
        [(30 + x, y) for x, y in zip(steps, values, strict=True)], (200, 30, 30), 3
    )


def cells(draw, random, i):
    """Dots on a plain ground, as under a microscope."""
    for _ in range(int(random.integers(5, 30))):
        x, y, radius = (
            random.uniform(10, 290),
            random.uniform(10, 290),
            random.uniform(5, 14),
        )
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (150, 90, 170))


def swatch(draw, random, i):
    """Nothing but a colour."""
    draw.rectangle((0, 0, 300, 300), colour(random))


def gauges(n=48, seed=0, ground="white", step=5.0):
    """A gauge, of which nothing but the needle moves; no two within `step` degrees."""
    random = np.random.default_rng(seed)
    found = []
    for i, k in enumerate(random.permutation(n)):
        page = (
            photo(4, (300, 300))
            if ground == "wall"
            else Image.new("RGB", (300, 300), ground)
        )
        draw = ImageDraw.Draw(page)
        draw.ellipse((50, 50, 250, 250), fill=(245, 245, 240), outline="black", width=4)
        for mark in range(11):
            angle = math.radians(135 + 27 * mark)
            across, down = math.cos(angle), math.sin(angle)
            ends = (
                150 + 80 * across,
                150 + 80 * down,
                150 + 92 * across,
                150 + 92 * down,
            )
            draw.line(ends, "black", 3)
        angle = math.radians(135 + step * k + random.uniform(0, step / 10))
        draw.line(
            (150, 150, 150 + 75 * math.cos(angle), 150 + 75 * math.sin(angle)),
            (190, 20, 20),
            4,
        )
        page = grained(page.filter(ImageFilter.GaussianBlur(1)), random, 2)
        found.append((f"class {i % 2}", f"gauge {i}", page))
    return found


def xrays(n=48, seed=0, blob=12.0):
    """One chest; in each a faint blob in another place, of so many grey levels."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:320, 0:320] / 320
    chest = 200 - 110 * np.exp(-(((x - 0.3) / 0.13) ** 2) - ((y - 0.5) / 0.3) ** 2)
    chest -= 110 * np.exp(-(((x - 0.7) / 0.13) ** 2) - ((y - 0.5) / 0.3) ** 2)
    chest += 12 * np.sin(y * 60) * (np.abs(x - 0.5) < 0.35)
    found = []
    for i in range(n):
        left, top = 0.14 + 0.1 * (i % 8), 0.2 + 0.11 * (i // 8)
        left, top = (
            left + random.uniform(-0.01, 0.01),
            top + random.uniform(-0.01, 0.01),
        )
        own = chest + blob * np.exp(
            -(((x - left) / 0.035) ** 2) - ((y - top) / 0.035) ** 2
        )
        page = Image.fromarray(own.clip(0, 255).astype("uint8")).convert("RGB")
        found.append((f"class {i % 2}", f"patient {i}", grained(page, random, 2)))
    return found


def patients(n=60, spread=0.01, blob=10.0, seed=0):
    """Chests whose lungs differ in place, size and density by about this share; every
    other one has a faint blob of so many grey levels somewhere."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:320, 0:320] / 320
    found = []
    for i in range(n):
        apart, down, dense, wide, tall = random.normal(0, spread, 5)
        own = 200 + 12 * np.sin(y * 60 + random.uniform(0, 0.6)) * (
            np.abs(x - 0.5) < 0.35
        )
        for middle in (0.3 - apart, 0.7 + apart):
            across = (x - middle) / (0.13 + wide / 2)
            along = (y - 0.5 + down) / (0.3 + tall)
            own -= (110 + 200 * dense) * np.exp(-(across**2) - along**2)
        if i % 2:
            left, top = random.uniform(0.2, 0.8, 2)
            own += blob * np.exp(
                -(((x - left) / 0.035) ** 2) - ((y - top) / 0.035) ** 2
            )
        page = Image.fromarray(own.clip(0, 255).astype("uint8")).convert("RGB")
        found.append((f"class {i % 2}", f"patient {i}", grained(page, random, 2)))
    return found


def displays(n=48, seed=0):
    """Seven-segment digits of one instrument under a fixed camera."""
    random = np.random.default_rng(seed)
    segments = [
        "012345",
        "12",
        "01346",
        "01236",
        "1256",
        "02356",
        "023456",
        "012",
        "0123456",
    ]
    segments.append("012356")
    lines = [
        (0, 0, 1, 0),
        (1, 0, 1, 1),
        (1, 1, 1, 2),
        (0, 2, 1, 2),
        (0, 1, 0, 2),
        (0, 0, 0, 1),
    ]
    lines.append((0, 1, 1, 1))
    found = []
    for i, number in enumerate(random.choice(1000, n, replace=False)):
        page = photo(3)
        draw = ImageDraw.Draw(page)
        draw.rectangle((90, 70, 230, 150), (15, 25, 15))
        for place, digit in enumerate(f"{number:03}"):
            for segment in segments[int(digit)]:
                ends = np.array(lines[int(segment)]) * 25 + (105 + 42 * place, 85) * 2
                draw.line(tuple(ends.tolist()), (80, 255, 90), 5)
        found.append((f"class {i % 2}", f"number {number}", grained(page, random)))
    return found


def textures(n=48, seed=0):
    """Patches of one cloth: nothing in them is in the same place."""
    random = np.random.default_rng(seed)
    found = []
    for i in range(n):
        weave = Image.fromarray(random.integers(0, 256, (120, 160), "uint8"))
        weave = np.asarray(weave.resize((320, 240), Image.Resampling.BICUBIC), float)
        pixels = (80 + weave / 2)[:, :, None] + (20, 0, -20)
        page = Image.fromarray(pixels.clip(0, 255).astype("uint8"))
        found.append((f"class {i % 2}", f"patch {i}", page))
    return found


def stars(n=48, seed=0):
    """Points on black."""

    def points(draw, random, i):
        for _ in range(60):
            x, y, size = (
                random.uniform(0, 300),
                random.uniform(0, 300),
                random.uniform(1, 5),
            )
            draw.ellipse((x, y, x + size, y + size), (250, 250, 240))

    return plain(n, seed, points, "black")


def in_one_place(n=60, seed=0):
    """Parts of one shape in one place under a fixed camera: each has its own shade and
    scratch."""
    random = np.random.default_rng(seed)
    bench, found = photo(3).filter(ImageFilter.GaussianBlur(2)), []
    for label in ("good", "bad"):
        for i in range(n):
            canvas = bench.copy()
            shade = tuple(
                int(v) for v in random.normal(170, 12) + random.normal(0, 3, 3)
            )
            part(
                canvas,
                (160, 120),
                70,
                random.uniform(-3, 3),
                shade,
                random,
                label == "bad",
            )
            found.append((label, f"{label} {i}", grained(canvas, random)))
    return found


def bumped(n=48, each=8, side=30, bump=8):
    """Parts under a camera that somebody bumps after each so many, by up to so many
    pixels."""
    random = np.random.default_rng(0)
    found = []
    for i, (label, thing, image) in enumerate(fixed_camera(n, side=side)):
        if i % each == 0:
            left, top = 16 + random.integers(-bump, bump + 1, 2)
        found.append((label, thing, image.crop((left, top, left + 288, top + 208))))
    return found


def results(n=24, seed=0):
    """Pages of one text, of which a line says the result: positive or negative."""
    random = np.random.default_rng(seed)
    font = ImageFont.load_default(10)
    found = []
    for i in range(n):
        page = Image.new("L", (500, 700), 250)
        draw = ImageDraw.Draw(page)
        for line in range(40):
            words = "Lorem ipsum dolor sit amet, consectetur adipiscing elit"
            if line == 20:
                words = f"Patient {random.integers(1e6, 9e6)} {RESULTS[i % 2]}"
            draw.text((32, 32 + 15 * line), words, 30, font)
        found.append((RESULTS[i % 2], f"page {i}", page.convert("RGB")))
    return found


RESULTS = ("positive", "negative")
PLAIN = {
    "one circle in random colours": one_circle,
    "one circle in greys": grey_circle,
    "circles of other sizes": sized_circle,
    "circles in other places": placed_circle,
    "polygons": polygon,
    "words": letters,
    "charts": chart,
    "cells under a microscope": cells,
    "nothing but a colour": swatch,
}
APART = {
    "fixed camera": fixed_camera,
    "fixed camera, small parts": lambda: fixed_camera(side=30),
    "fixed camera, large parts": lambda: fixed_camera(side=160, spread=0.1),
    "fixed camera, parts nearly in one place": lambda: fixed_camera(
        spread=0.05, turns=8
    ),
    "fixed camera, parts of two colours": lambda: fixed_camera(shades=(90, 230)),
    "fixed camera, one shape in one place": in_one_place,
    "scans": lambda: scans(20),
    "products on white": products,
    "products of one colour on white": lambda: products(alike=True),
    **{name: functools.partial(plain, draw_one=draw) for name, draw in PLAIN.items()},
    "gauges on white": gauges,
    "gauges on a wall": lambda: gauges(ground="wall"),
    "x-rays": xrays,
    "displays": displays,
    "cloth": textures,
    "stars": stars,
    "photographs": lambda: [
        (f"class {i % 2}", f"photo {i}", photo(i)) for i in range(30)
    ],
}
