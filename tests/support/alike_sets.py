"""Sets of pictures as people have them, made here, of which it is known what shows the same thing.

Each function returns [(class, thing, picture)] in the order in which the files are named: pictures
of one thing should count as one, those of two things as two."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

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
    """As a camera gives it: with noise (of this deviation, in grey levels), a little too bright."""
    pixels = np.asarray(image, "float32") * random.uniform(0.97, 1.03)
    pixels += random.normal(0, grain, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype("uint8"))


def part(canvas, place, side, turn, shade, random, defect=False, seed=0):
    """Draw a metal part: a plate with holes, turned by some degrees, perhaps with a scratch."""
    own = Image.new("L", (100, 100), 0)
    draw = ImageDraw.Draw(own)
    draw.rounded_rectangle((10, 25, 90, 75), 8, fill=255)
    draw.ellipse((18, 40, 38, 60), fill=0)
    draw.rectangle((60, 42, 82, 50), fill=0)
    face = Image.new("RGB", (100, 100), shade)
    if defect:
        pen = ImageDraw.Draw(face)
        x, y = random.uniform(15, 60), random.uniform(30, 60)
        pen.line((x, y, x + random.uniform(10, 30), y + random.uniform(-15, 15)), (30, 25, 20), 4)
    face, own = (
        im.rotate(turn, Image.Resampling.BICUBIC).resize((side, side)) for im in (face, own)
    )
    canvas.paste(face, (round(place[0] - side / 2), round(place[1] - side / 2)), own)


def fixed_camera(
    n=60, spread=0.3, turns=180, side=70, grain=4.0, seed=0, shots=1, shades=(170, 170)
):
    """n good and n bad parts, each put under the same camera on the same bench.
    spread: how far from the middle they lie, in widths; turns: in degrees; side: in pixels;
    shots: of each part in a row, which does not move; shades: grey levels of good and bad parts."""
    random = np.random.default_rng(seed)
    bench = photo(3).filter(ImageFilter.GaussianBlur(2))
    found = []
    for label, grey in zip(("good", "bad"), shades, strict=True):
        for i in range(n):
            canvas = bench.copy()
            place = [SIZE[k] * (0.5 + random.uniform(-spread, spread)) for k in (0, 1)]
            shade = tuple(int(v) for v in random.normal(grey, 12) + random.normal(0, 3, 3))
            part(canvas, place, side, random.uniform(-turns, turns), shade, random, label == "bad")
            found += [(label, f"{label} {i}", grained(canvas, random, grain)) for _ in range(shots)]
    return found


def scans(n=30, seed=0, tilt=0.4):
    """Letters and invoices, scanned: black lines of words on white pages of one layout."""
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
            page = page.rotate(random.normal(0, tilt), Image.Resampling.BICUBIC, fillcolor=250)
            found.append((label, f"{label} {i}", grained(page.convert("RGB"), random, 2)))
    return found


def products(n=30, seed=0, alike=False):
    """Mugs and vases on white, in the middle, as a shop shows them. alike: all of one colour."""
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
                draw.rectangle((150 - width, 150 - height, 150 + width, 150 + height), fill=colour)
            else:
                neck = random.uniform(10, 30)
                draw.ellipse((150 - width, 150, 150 + width, 150 + height), fill=colour)
                draw.rectangle((150 - neck, 150 - height, 150 + neck, 200), fill=colour)
            for _ in range(int(random.integers(1, 5))):  # what is printed on it
                x, y = 150 + random.uniform(-30, 10), 150 + random.uniform(-20, 40)
                ink = tuple(int(c) for c in random.integers(0, 255, 3))
                draw.ellipse((x, y, x + random.uniform(8, 30), y + random.uniform(8, 30)), fill=ink)
            found.append((label, f"{label} {i}", page.filter(ImageFilter.GaussianBlur(1))))
    return found


def moved(image, random, shift=0.015, turn=0.7, zoom=0.01):
    """The next shot from the hand: moved by this share of the width, turned by so many degrees."""
    width, height = image.size
    angle = math.radians(random.normal(0, turn))
    scale = (1 + random.normal(0, zoom)) * 0.9
    x = width / 2 + random.normal(0, shift) * width
    y = height / 2 + random.normal(0, shift) * width
    a, b = scale * math.cos(angle), -scale * math.sin(angle)
    c = x - a * width / 2 - b * height / 2
    f = y + b * width / 2 - a * height / 2
    return image.transform(
        image.size, Image.Transform.AFFINE, (a, b, c, -b, a, f), Image.Resampling.BICUBIC
    )


def bursts(n=10, shots=6, seed=0, grain=4.0, **how):
    """n scenes, of each so many shots from the hand in a row; half of the scenes a class."""
    random = np.random.default_rng(seed)
    return [
        (f"class {i % 2}", f"scene {i}", grained(moved(photo(i), random, **how), random, grain))
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
    """Films of one fixed camera: in each somebody walks by, this share of the width a frame."""
    random = np.random.default_rng(seed)
    found = []
    for clip in range(clips):
        room = photo(1)
        coat = tuple(int(c) for c in random.integers(0, 255, 3))
        width, height, y = random.uniform(18, 35), random.uniform(70, 150), random.uniform(100, 200)
        start = random.uniform(0.1, 0.4)
        for frame in range(frames):
            canvas = room.copy()
            draw = ImageDraw.Draw(canvas)
            x = SIZE[0] * (start + speed * frame)
            draw.rectangle((x - width, y - height / 2, x + width, y + height / 2), fill=coat)
            draw.ellipse((x - 14, y - height / 2 - 26, x + 14, y - height / 2 + 2), (210, 160, 130))
            found.append((f"class {clip % 2}", f"clip {clip}", grained(canvas, random)))
    return found


CHANGES = {
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "twice the size": lambda image: image.resize((image.width * 2, image.height * 2)),
    "quality 20": lambda image: image,  # how it is written is what differs
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "less contrast": lambda image: image.point(lambda value: 40 + value * 3 // 4),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "sharper": lambda image: image.filter(ImageFilter.SHARPEN),
    "3 % cut off": lambda image: cropped(image, 0.03, 0.03, 0.03, 0.03),
    "10 % cut off on one side": lambda image: cropped(image, 0.1, 0, 0, 0),
    "12 % cut off below": lambda image: cropped(image, 0, 0, 0, 0.12),
    "8 % cut off all around": lambda image: cropped(image, 0.08, 0.08, 0.08, 0.08),
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
