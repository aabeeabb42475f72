"""Things on a desk. Each stands on z = 0 around the matrix `at`, its front towards
-y."""

import colorsys
import math

import numpy as np
from PIL import Image, ImageDraw

from computers.drawings import (
    colour,
    draw_cover,
    draw_page,
    ink,
    photo,
    shade,
    write_lines,
)
from computers.shapes import (
    ball,
    box,
    curve,
    keys,
    lathe,
    merge,
    place,
    prism,
    quad,
    rectangle,
    sheet,
    tube,
)


def mug(s, rng, at):
    r, h, clay = (
        rng.uniform(0.036, 0.045),
        rng.uniform(0.08, 0.11),
        s.plastic(rough=0.2),
    )
    flare = rng.uniform(0.85, 1.1)
    s.put(
        at,
        lathe(
            [
                (0, 0),
                (r * 0.9, 0),
                (r, 0.006),
                (r * flare, h),
                (r * flare - 0.004, h),
                (r - 0.004, 0.008),
                (0, 0.008),
            ]
        ),
        clay,
    )
    turn = rng.uniform(-150, 150)
    loop = curve(
        [
            (r * 0.97, 0, h * 0.82),
            (r + 0.026, 0, h * 0.75),
            (r + 0.028, 0, h * 0.4),
            (r * 0.95, 0, h * 0.2),
        ]
    )
    s.put(at, tube(loop, 0.0055), clay, yaw=turn)
    s.put(
        at,
        lathe([(0, 0), (r * 0.94, 0)]),
        s.plastic((0.12, 0.06, 0.03), 0.1),
        z=h * 0.8,
    )


def cup(s, rng, at):
    clay = s.plastic(rough=0.15)
    s.put(
        at,
        lathe(
            [
                (0, 0.004),
                (0.04, 0.004),
                (0.075, 0.014),
                (0.075, 0.017),
                (0.04, 0.008),
                (0, 0.008),
            ]
        ),
        clay,
    )
    s.put(
        at,
        lathe(
            [
                (0, 0.008),
                (0.022, 0.008),
                (0.036, 0.03),
                (0.042, 0.06),
                (0.039, 0.06),
                (0, 0.02),
            ]
        ),
        clay,
    )
    s.put(
        at,
        tube(curve([(0.036, 0, 0.052), (0.062, 0, 0.048), (0.032, 0, 0.022)]), 0.004),
        clay,
        yaw=rng.uniform(0, 360),
    )
    s.put(at, lathe([(0, 0), (0.038, 0)]), s.plastic((0.15, 0.08, 0.04), 0.1), z=0.05)


def one_book(s, rng, at, w, d, h):
    """A closed book lying, its spine towards -y."""
    cover = s.material((0,) * 3, rng.uniform(0.3, 0.8), image=draw_cover(rng, 160, 220))
    cloth = s.plastic(rough=0.6)
    s.put(at, box(w, d, 0.0025), cloth)
    s.put(at, box(w - 0.01, d - 0.008, h - 0.005), s.paper(), z=0.0025)
    s.put(at, box(w, d, 0.0025), cloth, z=h - 0.0025)
    s.put(at, box(w, 0.003, h), cloth, y=-d / 2)
    s.put(at, quad(d, w, h + 0.0004), cover, yaw=90)
    label = s.material((0,) * 3, 0.6, image=draw_cover(rng, 180, 24))
    s.put(at, quad(w * 0.8, h * 0.7), label, y=-d / 2 - 0.0018, z=h / 2, tilt=90)


def books(s, rng, at):
    z = 0.0
    for _ in range(rng.integers(1, 6)):
        w, d, h = (
            rng.uniform(0.17, 0.27),
            rng.uniform(0.12, 0.19),
            rng.uniform(0.012, 0.045),
        )
        one_book(
            s,
            rng,
            at @ place(rng.normal(0, 0.008), rng.normal(0, 0.008), z, rng.normal(0, 9)),
            w,
            d,
            h,
        )
        z += h + 0.0008


def open_book(s, rng, at):
    w, d, thick = (
        rng.uniform(0.13, 0.19),
        rng.uniform(0.18, 0.26),
        rng.uniform(0.01, 0.03),
    )
    lined = rng.uniform() < 0.4
    s.put(at, box(2 * w + 0.012, d + 0.01, 0.003), s.plastic(), bevel=0.001)
    for side in (-1, 1):
        page = s.material((0,) * 3, 0.85, image=draw_page(rng, 150, 200, lined))
        t = thick * rng.uniform(0.5, 1)

        def leaf(u, v, side=side, t=t):
            x = u if side > 0 else 1 - u
            return (
                side * x * w,
                (v - 0.5) * d,
                0.003
                + t * (np.sin(np.minimum(x * 3, 1) * math.pi / 2) * (1 - 0.35 * x * x)),
            )

        s.put(at, sheet(leaf, 14, 2), page)
        block = [
            (
                x * w,
                0.003 + t * math.sin(min(x * 3, 1) * math.pi / 2) * (1 - 0.35 * x * x),
            )
            for x in np.linspace(0, 1, 12)
        ]
        outline = np.array([(0, 0.003), *[(w, 0.003)], *block[::-1]]) * (side, 1)
        shape = prism(outline if side > 0 else outline[::-1], -d / 2, d / 2 - 0.0005)
        s.put(at, shape, s.paper(), tilt=90, z=-0.0006)


def plant(s, rng, at):
    r, h = rng.uniform(0.045, 0.07), rng.uniform(0.07, 0.12)
    s.put(
        at,
        lathe(
            [
                (0, 0),
                (r * 0.75, 0),
                (r, h),
                (r * 0.92, h),
                (r * 0.9, h * 0.85),
                (0, h * 0.85),
            ]
        ),
        s.plastic(rough=0.7),
    )
    green = s.material(colour(rng, (0.4, 0.8), (0.2, 0.6), (0.2, 0.38)), 0.45)
    kind, length = rng.integers(3), rng.uniform(0.1, 0.24)
    for i in range(int(rng.integers(12, 30))):
        tall = length * rng.uniform(0.5, 1)
        bend, wide = (
            rng.uniform(0.2, 1.0),
            (0.008, 0.022, 0.035)[kind] * rng.uniform(0.7, 1.2),
        )

        def leaf(u, v, tall=tall, bend=bend, wide=wide):
            w = wide * np.sin(
                math.pi * np.clip(u, 0.02, 1) ** (0.6 if kind == 0 else 1.4)
            )
            return (
                tall * bend * u**1.6,
                (v - 0.5) * 2 * w,
                tall * (u - 0.45 * bend * u**2) + np.abs(v - 0.5) * w * 0.6,
            )

        s.put(
            at,
            sheet(leaf, 9, 5),
            green,
            z=h * 0.8,
            yaw=i * 137.5 + rng.normal(0, 15),
            ground=i < 8,
        )


def pen(s, rng, at):
    body, turn = s.plastic(rough=0.25), rng.uniform(0, 180)
    s.put(at, tube([(-0.065, 0, 0.005), (0.055, 0, 0.005)], 0.0045, 8), body, yaw=turn)
    s.put(
        at,
        tube([(0.055, 0, 0.005), (0.072, 0, 0.005)], [0.004, 0.001], 8),
        s.metal(),
        yaw=turn,
    )


def paper(s, rng, at):
    for i in range(rng.integers(1, 4)):
        page = s.material(
            (0,) * 3, 0.9, image=draw_page(rng, 140, 200, rng.uniform() < 0.4)
        )
        s.put(
            at,
            quad(0.21, 0.297),
            page,
            z=0.0006 + 0.0004 * i,
            yaw=rng.normal(0, 12),
            ground=False,
        )


def sticky(s, rng, at):
    s.put(
        at,
        box(0.076, 0.076, rng.uniform(0.002, 0.02)),
        s.plastic(colour(rng, (0.3, 0.8), (0.7, 0.98)), 0.9),
        yaw=rng.uniform(0, 90),
    )


def lamp(s, rng, at):
    case, rgb = s.casing()
    s.put(
        at, lathe([(0, 0), (0.08, 0), (0.08, 0.012), (0.03, 0.022), (0, 0.022)]), case
    )
    turn = rng.uniform(-60, 60)
    if rng.uniform() < 0.5:  # a jointed arm
        knee, head = (
            np.array([rng.uniform(-0.12, -0.02), 0, rng.uniform(0.18, 0.24)]),
            np.array([rng.uniform(0.08, 0.16), 0, rng.uniform(0.28, 0.36)]),
        )
        for a, b in ((np.array([0, 0, 0.02]), knee), (knee, head)):
            s.put(at, tube([a, b], 0.006), case, yaw=turn)
        s.put(
            at,
            tube([knee - (0, 0.008, 0), knee + (0, 0.008, 0)], 0.011),
            case,
            yaw=turn,
        )
        shape = lathe(
            [(0.022, 0.06), (0.03, 0.05), (0.065, -0.02), (0.062, -0.02), (0.026, 0.05)]
        )
        head = at @ place(yaw=turn) @ place(*head, roll=rng.uniform(-35, 35))
        s.put(head, shape, case)
        s.put(
            head,
            ball(0.024, 0.024, 0.03),
            s.material((1, 0.9, 0.7), glow=rng.uniform(0, 6)),
        )
    else:  # a shade on a foot
        high = rng.uniform(0.16, 0.26)
        s.put(
            at,
            tube([(0, 0, 0.02), (0, 0, high + 0.05)], rng.uniform(0.006, 0.02)),
            case,
        )
        low, up = rng.uniform(0.08, 0.12), rng.uniform(0.05, 0.08)
        cloth = s.material(
            colour(rng, (0, 0.5), (0.5, 0.95)),
            0.9,
            glow=rng.uniform(0, 0.8) * (rng.uniform() < 0.5),
        )
        s.put(
            at,
            lathe(
                [
                    (low, high),
                    (up, high + 0.13),
                    (up - 0.002, high + 0.13),
                    (low - 0.002, high),
                ]
            ),
            cloth,
        )


def frame(s, rng, at):
    w, h = rng.uniform(0.12, 0.22), rng.uniform(0.14, 0.22)
    edge, deep = rng.uniform(0.01, 0.03), rng.uniform(0.008, 0.018)
    wood = (
        s.casing()[0]
        if rng.uniform() < 0.4
        else s.plastic(colour(rng, (0.3, 0.7), (0.15, 0.7), (0.05, 0.12)))
    )
    stand = at @ place(tilt=90 - rng.uniform(8, 18))
    for x, y, ww, hh in (
        (0, edge / 2, w, edge),
        (0, h - edge / 2, w, edge),
        (-w / 2 + edge / 2, h / 2, edge, h),
        (w / 2 - edge / 2, h / 2, edge, h),
    ):
        s.put(stand, box(ww, hh, deep), wood, 0.002, x=x, y=y)
    s.put(stand, box(w, h, deep * 0.4), s.plastic((0.1,) * 3), y=h / 2)
    image = (
        draw_page(rng, 200, 200)
        if rng.uniform() < 0.15
        else photo(rng, 200, int(200 * h / w))
    )
    if rng.uniform() < 0.5:
        mount = Image.new("RGB", image.size, (238, 234, 226))
        mount.paste(
            image.resize((130, int(image.height * 0.65))),
            (35, int(image.height * 0.175)),
        )
        image = mount
    s.put(
        stand,
        quad(w - 2 * edge, h - 2 * edge, deep * 0.5),
        s.material((0,) * 3, 0.35, coat=0.4, image=image),
        y=h / 2,
    )
    s.put(at, box(0.04, 0.002, h * 0.8), s.plastic((0.1,) * 3), y=0.09, tilt=18)


def calculator(s, rng, at):
    case, rgb = s.casing()
    w, h, t = (
        rng.uniform(0.07, 0.12),
        rng.uniform(0.12, 0.17),
        rng.uniform(0.008, 0.018),
    )
    at = at @ place(tilt=rng.uniform(4, 14))
    s.put(at, prism(rectangle(w, h, 0.008), 0, t), case, 0.002)
    lcd = Image.new(
        "RGB", (120, 34), ink(colour(rng, (0.1, 0.3), (0.5, 0.7), (0.17, 0.3)))
    )
    ImageDraw.Draw(lcd).text(
        (114, 3), str(rng.integers(10**5)), (25, 30, 25), anchor="ra", font_size=26
    )
    s.put(
        at,
        quad(w * 0.86, h * 0.17, t + 0.0006),
        s.material((0,) * 3, 0.2, coat=0.5, image=lcd),
        y=h * 0.33,
    )
    s.put(
        at,
        quad(w * 0.3, h * 0.05, t + 0.0006),
        s.plastic((0.12, 0.06, 0.06), 0.2),
        y=h * 0.455,
        x=w * 0.25,
    )
    tones = [
        s.plastic(shade(rgb, 0.5) if sum(rgb) > 1 else (0.55,) * 3),
        s.plastic(),
        s.plastic((0.85,) * 3 if sum(rgb) < 1.5 else (0.15,) * 3),
    ]
    rows, columns = int(rng.integers(4, 7)), int(rng.integers(4, 6))
    for i in range(columns):
        tone = tones[0 if i < columns - 1 else 1]
        s.put(
            at,
            keys(w * 0.86 / columns, h * 0.62, 0.004, [[1]] * rows, 0.22),
            tone,
            x=(i + 0.5 - columns / 2) * w * 0.86 / columns,
            y=-h * 0.13,
            z=t,
        )


def notepad(s, rng, at):
    w, d, h = rng.uniform(0.1, 0.2), rng.uniform(0.14, 0.26), rng.uniform(0.005, 0.02)
    s.put(at, box(w, d, h), s.paper())
    picture = (
        draw_page(rng, 160, 220, True)
        if rng.uniform() < 0.7
        else draw_cover(rng, 160, 220)
    )
    s.put(at, quad(w, d, h + 0.0005), s.material((0,) * 3, 0.85, image=picture))
    if rng.uniform() < 0.7:
        wire = s.metal()
        ring = tube(
            [
                (0, math.cos(a) * 0.006, h / 2 + math.sin(a) * (h / 2 + 0.004))
                for a in np.linspace(0, 2 * math.pi, 9)
            ],
            0.0009,
            5,
        )
        s.put(
            at,
            merge([(ring, place(x)) for x in np.linspace(-w * 0.45, w * 0.45, 20)]),
            wire,
            y=d / 2 - 0.004,
        )
    if rng.uniform() < 0.5:
        pen(
            s,
            rng,
            at @ place(rng.uniform(-0.03, 0.03), rng.uniform(-0.05, 0.03), h + 0.0005),
        )


def stapler(s, rng, at):
    case, at = s.casing()[0], at @ place(yaw=rng.uniform(-40, 40))
    s.put(at, box(0.15, 0.034, 0.01, 0.008), case, 0.003)
    s.put(at, box(0.13, 0.016, 0.012), s.metal(), 0.001, x=0.004, z=0.022, roll=-5)
    s.put(
        at,
        prism(rectangle(0.14, 0.032, 0.012), 0, 0.02, 0.88),
        case,
        0.004,
        z=0.034,
        x=0.004,
        roll=-6,
    )
    s.put(at, box(0.026, 0.03, 0.035), case, 0.002, x=-0.056, z=0.006)


def parcel(s, rng, at):
    w, d, h = rng.uniform(0.1, 0.24), rng.uniform(0.08, 0.18), rng.uniform(0.05, 0.16)
    card = (
        colour(rng, (0.3, 0.5), (0.45, 0.75), (0.07, 0.1))
        if rng.uniform() < 0.6
        else colour(rng, (0, 0.9), (0.2, 0.9))
    )
    s.put(at, box(w, d, h), s.plastic(card, 0.8), 0.0015)
    if rng.uniform() < 0.6:
        s.put(
            at,
            box(w * 1.003, 0.045, h + 0.0006),
            s.plastic(shade(card, rng.uniform(0.7, 1.3)), 0.25),
        )
    if rng.uniform() < 0.6:
        label = s.material((0,) * 3, 0.7, image=draw_cover(rng, 120, 80))
        s.put(
            at,
            quad(w * 0.4, h * 0.5),
            label,
            x=rng.uniform(-0.2, 0.2) * w,
            y=-d / 2 - 0.001,
            z=h * 0.5,
            tilt=90,
        )


def clock(s, rng, at):
    case, rgb = s.casing()
    r, deep, n = rng.uniform(0.05, 0.11), rng.uniform(0.03, 0.06), 160
    face = Image.new(
        "RGB",
        (n, n),
        ink(
            colour(rng, (0, 0.3), (0.75, 1))
            if rng.uniform() < 0.7
            else colour(rng, (0, 0.6), (0.05, 0.3))
        ),
    )
    draw, dark = ImageDraw.Draw(face), sum(face.getpixel((5, 5))) > 380
    tone = (20, 20, 25) if dark else (235, 235, 230)
    for i in range(12):
        a = i * math.pi / 6
        draw.text(
            (n / 2 + n * 0.39 * math.sin(a), n / 2 - n * 0.39 * math.cos(a)),
            str(i or 12),
            tone,
            anchor="mm",
            font_size=18,
        )
    for length, width in ((0.22, 7), (0.33, 4)):
        a = rng.uniform(0, 2 * math.pi)
        draw.line(
            (
                n / 2,
                n / 2,
                n / 2 + n * length * math.sin(a),
                n / 2 - n * length * math.cos(a),
            ),
            tone,
            width,
        )
    stand = at @ place(z=r + 0.012, tilt=90 - rng.uniform(0, 12))
    if rng.uniform() < 0.7:
        s.put(
            stand,
            lathe(
                [
                    (0, -deep),
                    (r, -deep),
                    (r * 1.04, 0),
                    (r * 0.95, 0.006),
                    (r * 0.95, 0),
                ],
                48,
            ),
            case,
        )
        disc = lathe([(0, 0), (r * 0.96, 0)], 48)
        s.put(
            stand,
            (disc[0], disc[1], disc[0][:, :2] / (2 * r) + 0.5),
            s.material((0,) * 3, 0.3, coat=0.5, image=face),
            z=0.001,
        )
        for x in (-0.6, 0.6):
            s.put(
                at,
                tube(
                    [(x * r, deep / 2, 0.004), (x * r * 0.75, deep / 2, r * 0.5)], 0.006
                ),
                case,
            )
        if rng.uniform() < 0.6:
            for x in (-0.5, 0.5):
                s.put(
                    at,
                    ball(r * 0.42, r * 0.42, r * 0.3, 0),
                    s.metal(),
                    x=x * r * 1.1,
                    y=deep / 2,
                    z=r * 1.95,
                    roll=x * 60,
                )
    else:
        s.put(stand, prism(rectangle(2.2 * r, 2.2 * r, r * 0.3), -deep, 0), case, 0.004)
        s.put(
            stand,
            quad(1.9 * r, 1.9 * r, 0.001),
            s.material((0,) * 3, 0.3, coat=0.5, image=face),
        )


def typewriter(s, rng, at):
    case, rgb = s.casing()
    w, d = rng.uniform(0.3, 0.36), rng.uniform(0.28, 0.34)
    side = [
        (-d / 2, 0),
        (d / 2, 0),
        (d / 2, 0.1),
        (0.02, 0.11),
        (-0.02, 0.05),
        (-d / 2, 0.025),
    ]
    s.put(at, prism(side, -w / 2, w / 2), case, 0.008, tilt=90, yaw=90)
    cap = lathe(
        [(0.0, 0), (0.006, 0), (0.0085, 0.012), (0.0075, 0.015), (0, 0.0145)], 14
    )
    shapes = [
        (
            cap,
            place(
                (i - 4.5 + 0.3 * (j % 2)) * w * 0.083,
                -d / 2 + 0.028 + j * 0.026,
                0.03 + 0.0065 * j,
            ),
        )
        for j in range(4)
        for i in range(10)
    ]
    s.put(
        at,
        merge(shapes),
        s.plastic((0.06,) * 3 if sum(rgb) > 0.9 else (0.85, 0.82, 0.75)),
    )
    s.put(
        at,
        box(w * 0.5, 0.014, 0.012, 0.004),
        s.plastic((0.08,) * 3),
        y=-d / 2 + 0.008,
        z=0.028,
    )
    s.put(
        at,
        tube([(-w * 0.56, 0.06, 0.125), (w * 0.56, 0.06, 0.125)], 0.019, 16),
        s.plastic((0.07,) * 3, 0.6),
    )
    for x in (-1, 1):
        s.put(
            at,
            tube([(x * w * 0.55, 0.06, 0.125), (x * w * 0.6, 0.06, 0.125)], 0.022, 16),
            s.metal(),
        )
    s.put(
        at, tube([(-w * 0.53, 0.05, 0.125), (-w * 0.6, -0.02, 0.15)], 0.004), s.metal()
    )
    if rng.uniform() < 0.8:

        def bent(u, v):
            return (u - 0.5) * 0.21, 0.078 + 0.03 * v**2, 0.135 + v * 0.15

        s.put(
            at,
            sheet(bent, 2, 8),
            s.material((0,) * 3, 0.9, image=draw_page(rng, 160, 120)),
        )


def pencil_cup(s, rng, at):
    r, h = rng.uniform(0.032, 0.045), rng.uniform(0.08, 0.11)
    tin = s.plastic() if rng.uniform() < 0.7 else s.metal()
    s.put(
        at,
        lathe([(0, 0), (r, 0), (r, h), (r - 0.003, h), (r - 0.003, 0.005), (0, 0.005)]),
        tin,
    )
    for _ in range(rng.integers(3, 9)):
        a, b = rng.uniform(0, 2 * math.pi, 2)
        low, high = (
            np.array([math.cos(a), math.sin(a), 0]) * r * 0.5,
            np.array([math.cos(b), math.sin(b), 0]) * r * 0.85,
        )
        low[2], high[2] = 0.01, h
        top = low + (high - low) * rng.uniform(1.4, 1.9)
        s.put(at, tube([low, top], 0.0042, 7), s.plastic(), ground=False)
        s.put(
            at,
            tube([top, top + (top - low) * 0.06], [0.004, 0.001], 7),
            s.plastic((0.8, 0.65, 0.45)),
            ground=False,
        )


def bottle(s, rng, at):
    r, h = rng.uniform(0.03, 0.042), rng.uniform(0.18, 0.26)
    skin = (
        s.material(colour(rng, (0, 0.6), (0.5, 1)), 0.05, glass=0.9)
        if rng.uniform() < 0.4
        else s.plastic(rough=0.2)
    )
    s.put(
        at,
        lathe(
            [
                (0, 0),
                (r * 0.95, 0),
                (r, 0.008),
                (r, h * 0.62),
                (r * 0.85, h * 0.72),
                (r * 0.42, h * 0.84),
                (r * 0.4, h * 0.95),
                (0, h * 0.95),
            ]
        ),
        skin,
    )
    s.put(
        at,
        lathe([(0, 0), (r * 0.47, 0), (r * 0.47, h * 0.08), (0, h * 0.08)]),
        s.plastic(),
        z=h * 0.93,
    )
    if rng.uniform() < 0.7:
        band = sheet(
            lambda u, v: (
                r * 1.01 * np.sin(2 * math.pi * u),
                -r * 1.01 * np.cos(2 * math.pi * u),
                h * (0.2 + 0.32 * v),
            ),
            36,
            2,
        )
        s.put(at, band, s.material((0,) * 3, 0.5, image=draw_cover(rng, 240, 90)))


def vase(s, rng, at):
    r, h = rng.uniform(0.03, 0.06), rng.uniform(0.12, 0.2)
    z = np.linspace(0, 1, 14)
    profile = r * (
        0.75
        + rng.uniform(0.2, 0.5) * np.sin(z * math.pi * rng.uniform(0.8, 1.5))
        - 0.25 * z
    )
    s.put(
        at,
        lathe(
            [
                (0, 0),
                *zip(profile, z * h, strict=True),
                (profile[-1] * 0.8, h * 0.97),
                (0, h * 0.5),
            ]
        ),
        s.plastic(rough=0.15),
    )
    green, petals = (
        s.plastic(colour(rng, (0.4, 0.8), (0.2, 0.5), (0.22, 0.36))),
        s.plastic(colour(rng, (0.3, 0.9), (0.5, 0.98)), 0.7),
    )
    for i in range(rng.integers(3, 9)):
        a, spread = i * 2.4, rng.uniform(0.02, 0.08)
        top = np.array(
            [math.cos(a) * spread, math.sin(a) * spread, h + rng.uniform(0.05, 0.14)]
        )
        s.put(
            at,
            tube(
                curve(
                    [(0, 0, h * 0.7), (top[0] * 0.4, top[1] * 0.4, h + 0.03), top], 8
                ),
                0.0022,
                6,
            ),
            green,
            ground=False,
        )
        petal = ball(0.013, 0.006, 0.003)
        shapes = [
            (petal, place(*top, yaw=k * 360 / 7) @ place(0.013, 0, 0, roll=-25))
            for k in range(7)
        ]
        s.put(at, merge(shapes), petals, ground=False)
        s.put(
            at,
            ball(0.008, 0.008, 0.006),
            s.plastic((0.8, 0.6, 0.15)),
            x=top[0],
            y=top[1],
            z=top[2],
            ground=False,
        )


def fruit(s, rng, at):
    bowl = rng.uniform() < 0.5
    if bowl:
        s.put(
            at,
            lathe(
                [
                    (0, 0),
                    (0.045, 0),
                    (0.1, 0.035),
                    (0.115, 0.065),
                    (0.111, 0.065),
                    (0.09, 0.035),
                    (0, 0.012),
                ]
            ),
            s.plastic(rough=0.25),
        )
    hue = rng.uniform(-0.02, 0.28)
    for i in range(rng.integers(1, 6)):
        r, a = rng.uniform(0.032, 0.042), i * 2 * math.pi / 5
        out = (0.055 if bowl else 0.07) * (i > 0)
        skin = s.material(
            colorsys.hsv_to_rgb(
                (hue + rng.normal(0, 0.02)) % 1,
                rng.uniform(0.6, 0.9),
                rng.uniform(0.5, 0.95),
            ),
            0.3,
        )
        z = (0.05 if bowl else 0) + r * 0.9
        s.put(
            at,
            ball(r, r, r * 0.92),
            skin,
            x=out * math.cos(a),
            y=out * math.sin(a),
            z=z,
        )
        s.put(
            at,
            tube([(0, 0, r * 0.85), (0.003, 0, r * 1.15)], 0.0015, 6),
            s.plastic((0.25, 0.17, 0.1)),
            x=out * math.cos(a),
            y=out * math.sin(a),
            z=z,
        )


def radio(s, rng, at):
    case, rgb = (
        s.casing()
        if rng.uniform() < 0.5
        else (
            s.plastic(colour(rng, (0.4, 0.7), (0.2, 0.5), (0.04, 0.09))),
            (0.4, 0.3, 0.2),
        )
    )
    w, h, d = rng.uniform(0.2, 0.3), rng.uniform(0.11, 0.18), rng.uniform(0.06, 0.1)
    s.put(
        at,
        prism(rectangle(w, h, 0.015), 0, d),
        case,
        0.004,
        y=d / 2,
        z=h / 2 + 0.004,
        tilt=90,
    )
    left = rng.choice([-1, 1])
    slats = [
        (
            box(w * 0.5, 0.003, h * 0.025),
            place(left * w * 0.2, -d / 2 - 0.001, h * (0.15 + 0.055 * i)),
        )
        for i in range(13)
    ]
    s.put(
        at,
        merge(slats),
        s.plastic((0.12,) * 3 if sum(rgb) > 0.8 else (0.7, 0.65, 0.55)),
    )
    dial = Image.new(
        "RGB", (120, 50), ink(colour(rng, (0.1, 0.4), (0.6, 0.95), (0.08, 0.16)))
    )
    write_lines(ImageDraw.Draw(dial), rng, (8, 8, 112, 44), (60, 40, 30), 10)
    s.put(
        at,
        quad(w * 0.33, h * 0.25),
        s.material((0,) * 3, 0.3, coat=0.4, image=dial),
        x=-left * w * 0.27,
        y=-d / 2 - 0.001,
        z=h * 0.72,
        tilt=90,
    )
    for x in (-0.08, 0.08):
        knob = lathe([(0.014, 0), (0.016, 0.004), (0.014, 0.016), (0, 0.016)], 20)
        s.put(
            at,
            knob,
            s.metal(),
            x=-left * w * 0.27 + x * w,
            y=-d / 2,
            z=h * 0.3,
            tilt=90,
        )
    s.put(
        at,
        tube(
            [(w * 0.4, d * 0.3, h), (w * rng.uniform(-0.1, 0.6), d * 0.3, h * 1.9)],
            0.002,
            6,
        ),
        s.metal(),
        ground=False,
    )


def teapot(s, rng, at):
    r, clay = rng.uniform(0.06, 0.085), s.plastic(rough=0.15)
    z = np.linspace(-0.95, 0.9, 16)
    h = r * rng.uniform(0.75, 1)
    at = at @ place(z=h * 0.95, yaw=rng.uniform(-50, 50) + 180 * (rng.uniform() < 0.5))
    s.put(
        at,
        lathe(
            [
                (0, -0.95 * h),
                *zip(r * np.sqrt(1 - z**2), z * h, strict=True),
                (0, 0.9 * h),
            ]
        ),
        clay,
    )
    s.put(at, ball(r * 0.5, r * 0.5, h * 0.22, 0), clay, z=h * 0.88)
    s.put(at, ball(r * 0.12, r * 0.12, r * 0.12), clay, z=h * 1.16)
    s.put(
        at,
        tube(
            curve([(r * 0.8, 0, -h * 0.35), (r * 1.35, 0, 0), (r * 1.75, 0, h * 0.75)]),
            np.linspace(0.2, 0.1, 20) * r,
        ),
        clay,
    )
    s.put(
        at,
        tube(
            curve(
                [
                    (-r * 0.8, 0, h * 0.55),
                    (-r * 1.6, 0, h * 0.6),
                    (-r * 1.55, 0, -h * 0.2),
                    (-r * 0.9, 0, -h * 0.4),
                ]
            ),
            r * 0.09,
        ),
        clay,
    )


def globe(s, rng, at):
    r = rng.uniform(0.07, 0.1)
    sea, land = (
        colour(rng, (0.3, 0.7), (0.4, 0.8), (0.5, 0.62)),
        [ink(colour(rng, (0.3, 0.6), (0.4, 0.8), (0.08, 0.35))) for _ in range(4)],
    )
    image = Image.new("RGB", (256, 128), ink(sea))
    draw = ImageDraw.Draw(image)
    for i in range(rng.integers(7, 12)):
        x, y = rng.uniform(0, 256), rng.uniform(20, 108)
        points = [
            (
                x + rng.uniform(10, 30) * math.cos(a),
                y + rng.uniform(8, 26) * math.sin(a),
            )
            for a in np.linspace(0, 6.2, 11)
        ]
        draw.polygon(points, fill=land[i % 4])
    skin = sheet(
        lambda u, v: (
            np.sin(math.pi * v) * np.cos(2 * math.pi * u) * r,
            np.sin(math.pi * v) * np.sin(2 * math.pi * u) * r,
            -np.cos(math.pi * v) * r,
        ),
        36,
        18,
    )
    centre, metal = at @ place(z=r + 0.06), s.metal()
    s.put(
        centre,
        skin,
        s.material((0,) * 3, 0.25, coat=0.5, image=image),
        roll=23,
        yaw=rng.uniform(-60, 60),
    )
    arc = [
        (r * 1.1 * math.sin(a), 0, r * 1.1 * math.cos(a))
        for a in np.linspace(-0.1, math.pi + 0.1, 24)
    ]
    s.put(centre, tube(arc, 0.004, 8), metal, roll=23)
    s.put(
        at,
        lathe(
            [
                (0, 0),
                (0.065, 0),
                (0.06, 0.014),
                (0.012, 0.024),
                (0.009, 0.06),
                (0, 0.06),
            ]
        ),
        s.casing()[0],
    )


def tape(s, rng, at):
    at = (
        at @ place(z=rng.uniform(0.035, 0.045), yaw=rng.uniform(-40, 40), tilt=90)
        if rng.uniform() < 0.4
        else at @ place(z=0.012)
    )
    r, w = 0.035 if at[2, 3] > 0.02 else 0.045, 0.012
    film = s.material(colour(rng, (0.1, 0.6), (0.5, 0.9)), 0.15)
    s.put(at, lathe([(r, -w), (r, w), (r * 0.72, w), (r * 0.72, -w), (r, -w)]), film)
    s.put(
        at,
        lathe(
            [
                (r * 0.71, -w),
                (r * 0.71, w),
                (r * 0.65, w),
                (r * 0.65, -w),
                (r * 0.71, -w),
            ]
        ),
        s.plastic((0.9, 0.88, 0.8)),
    )


def candle(s, rng, at):
    r, h = rng.uniform(0.025, 0.04), rng.uniform(0.07, 0.16)
    s.put(
        at,
        lathe([(0, 0), (r * 2, 0), (r * 2.1, 0.012), (r * 1.9, 0.014), (0, 0.006)]),
        s.plastic() if rng.uniform() < 0.5 else s.metal(),
    )
    wax = s.material(colour(rng, (0, 0.7), (0.6, 0.95)), 0.4, soft=0.4)
    s.put(
        at,
        lathe(
            [
                (r, 0.006),
                (r, h),
                (r * 0.9, h + 0.002),
                (r * 0.6, h - 0.004),
                (0, h - 0.005),
            ]
        ),
        wax,
    )
    s.put(
        at,
        tube([(0, 0, h - 0.005), (0.001, 0, h + 0.01)], 0.0013, 6),
        s.plastic((0.1,) * 3),
    )


# The radius that each takes, and whether it is low enough to stand in front
THINGS = {
    "mug": (mug, 0.06, False),
    "cup": (cup, 0.08, True),
    "books": (books, 0.15, False),
    "open_book": (open_book, 0.2, True),
    "plant": (plant, 0.12, False),
    "pen": (pen, 0.07, True),
    "paper": (paper, 0.0, True),
    "sticky": (sticky, 0.05, True),
    "lamp": (lamp, 0.13, False),
    "frame": (frame, 0.12, False),
    "calculator": (calculator, 0.1, True),
    "notepad": (notepad, 0.14, True),
    "stapler": (stapler, 0.08, True),
    "box": (parcel, 0.15, False),
    "clock": (clock, 0.1, False),
    "typewriter": (typewriter, 0.22, False),
    "pencil_cup": (pencil_cup, 0.05, False),
    "bottle": (bottle, 0.05, False),
    "vase": (vase, 0.08, False),
    "fruit": (fruit, 0.11, False),
    "radio": (radio, 0.16, False),
    "teapot": (teapot, 0.14, False),
    "globe": (globe, 0.11, False),
    "tape": (tape, 0.05, True),
    "candle": (candle, 0.08, False),
}
