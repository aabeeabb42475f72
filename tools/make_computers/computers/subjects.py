"""The four classes' subjects, built around the origin, their fronts towards -y."""

import colorsys
import math

import numpy as np

from computers.drawings import colour, draw_screen, draw_small_screen, shade
from computers.scenes import CLUTTER, weighted
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
from computers.things import THINGS, mug, one_book


def panel(s, rng, at, w, h, t, case, screen, bezel, chin=0.0, r=0.01, rim=None):
    """A flat device lying on z = 0, its screen upwards and its top towards +y. screen:
    a picture, or None where it is off; bezel, chin: the widths of the rim, rim: its
    material. Returns the screen's height z."""
    s.put(at, prism(rectangle(w, h, r), 0, t), case, min(0.0025, t * 0.3), y=h / 2)
    if rim is not None:
        s.put(
            at,
            prism(
                rectangle(
                    w - 0.35 * bezel, h - 0.35 * bezel, max(r - 0.2 * bezel, 0.001)
                ),
                t - 0.0003,
                t + 0.0004,
            ),
            rim,
            y=h / 2,
        )
    ws, hs = w - 2 * bezel, h - 2 * bezel - chin
    if screen is None:
        front = s.material((0.012,) * 3, rng.uniform(0.05, 0.2), coat=0.5)
    else:
        front = s.glass(screen, rng.uniform(0.6, 1.5), rng.uniform(0.06, 0.3))
    s.put(at, quad(ws, hs, t + 0.0009), front, y=h / 2 + chin / 2)
    return t + 0.0009


def mouse(s, rng, at):
    case = s.casing()[0]
    points, faces, _ = ball(0.03, 0.055, 0.034, 0)
    points[:, 0] *= 1 - 0.12 * np.cos(points[:, 1] / 0.055 * 2)
    s.put(at, (points, faces, None), case)
    s.put(
        at,
        box(0.0016, 0.05, 0.002),
        s.plastic((0.03,) * 3),
        y=0.026,
        z=0.0305,
        tilt=-20,
    )
    s.put(
        at,
        tube([(-0.004, 0.03, 0.03), (0.004, 0.03, 0.03)], 0.006, 10),
        s.plastic((0.05,) * 3),
    )
    if rng.uniform() < 0.6:
        lead = curve(
            [
                (0, 0.054, 0.008),
                (0.01, 0.1, 0.003),
                (-0.03, 0.2, 0.003),
                (rng.uniform(-0.1, 0.1), 0.32, 0.003),
            ]
        )
        s.put(
            at, tube(lead, 0.002, 6), s.plastic((0.08,) * 3), seen=False, ground=False
        )


def keyboard(s, rng, at):
    full = rng.uniform() < 0.7
    w, d = (0.44 if full else 0.3), rng.uniform(0.125, 0.16)
    case, rgb = s.casing()
    caps = s.plastic(
        (rng.uniform(0.05, 0.15),) * 3
        if rng.uniform() < 0.6
        else (rng.uniform(0.75, 0.93),) * 3,
        0.5,
    )
    at, h = at @ place(tilt=rng.uniform(1, 5)), rng.uniform(0.01, 0.02)
    s.put(at, box(w, d, h, 0.008), case, 0.003)
    inner, well, base = d - 0.016, s.plastic((0.07,) * 3), h - 0.0005
    s.put(
        at,
        box((0.285 if full else w - 0.014), inner + 0.004, 0.001),
        well,
        x=-w / 2 + (0.15 if full else w / 2),
        z=base,
    )
    s.put(
        at,
        keys(0.28 if full else w - 0.018, inner, 0.008),
        caps,
        x=-w / 2 + (0.15 if full else w / 2),
        z=base + 0.0006,
    )
    if full:
        s.put(
            at,
            keys(
                0.054,
                inner,
                0.008,
                [[1] * 3, [1] * 3, [1] * 3, [0.4], [1], [1] * 3],
                0.14,
            ),
            caps,
            x=w / 2 - 0.118,
            z=base + 0.0006,
        )
        s.put(
            at,
            keys(0.076, inner * 5 / 6, 0.008, [[1] * 4] * 4 + [[2, 1, 1]]),
            caps,
            x=w / 2 - 0.047,
            y=-inner / 12,
            z=base + 0.0006,
        )


def tower(s, rng, at):
    w, d, h = rng.uniform(0.15, 0.22), rng.uniform(0.36, 0.46), rng.uniform(0.34, 0.46)
    case, rgb = s.casing()
    s.put(at, box(w, d, h, 0.004), case, 0.004)
    face = at @ place(y=-d / 2, tilt=90)  # x right, y up, z towards the viewer
    front = s.casing()[0] if rng.uniform() < 0.4 else case
    s.put(face, box(w * 0.99, h * 0.985, 0.012), front, 0.004, y=h / 2)
    dark, z, y = s.plastic((0.04,) * 3, 0.3), 0.0122, h * 0.93
    trim = s.plastic(shade(rgb, 0.75), 0.4)
    for _ in range(rng.integers(1, 4)):  # drive bays
        s.put(face, box(w * 0.84, 0.038, 0.002), trim, 0.001, y=y - 0.02, z=z)
        s.put(face, box(w * 0.74, 0.003, 0.0025), dark, y=y - 0.014, z=z)
        s.put(face, box(0.014, 0.006, 0.004), dark, x=w * 0.33, y=y - 0.03, z=z)
        y -= 0.046
    if rng.uniform() < 0.5:
        s.put(face, box(w * 0.6, 0.022, 0.002), trim, 0.001, y=y - 0.015, z=z)
        s.put(face, box(w * 0.5, 0.0025, 0.003), dark, y=y - 0.012, z=z)
        y -= 0.04
    button = lathe([(0.011, 0), (0.011, 0.003), (0, 0.004)], 20)
    x = rng.uniform(-0.2, 0.2) * w
    s.put(face, button, s.metal(), x=x, y=y - 0.025, z=z)
    s.put(
        face,
        box(0.005, 0.005, 0.003),
        s.material(colour(rng, (0.5, 1), (0.8, 1)), glow=3.0),
        x=x + 0.03,
        y=y - 0.025,
        z=z,
    )
    for i in range(2):
        s.put(face, box(0.014, 0.006, 0.001), dark, x=(i - 0.5) * 0.03, y=y - 0.05, z=z)
    kind = rng.integers(3)
    if kind == 0:
        s.put(
            face,
            merge(
                [
                    (box(w * 0.7, 0.004, 0.001), place(0, h * 0.05 + i * 0.011))
                    for i in range(9)
                ]
            ),
            dark,
            z=z,
        )
    elif kind == 1:
        holes = [
            (
                lathe([(0.003, 0), (0.003, 0.0005), (0, 0.0005)], 8),
                place((i - 4) * 0.012, h * 0.06 + j * 0.012),
            )
            for i in range(9)
            for j in range(8)
        ]
        s.put(face, merge(holes), dark, z=z)
    else:
        s.put(face, box(w * 0.5, h * 0.12, 0.002), trim, 0.002, y=h * 0.14, z=z)
    if rng.uniform() < 0.4:  # a window or vents in the sides
        for x in (-1, 1):
            s.put(
                at,
                merge(
                    [(box(0.001, 0.1, 0.004), place(0, 0, i * 0.011)) for i in range(8)]
                ),
                dark,
                x=x * w / 2,
                y=-d * 0.1,
                z=h * 0.3,
            )


def monitor(s, rng, at, all_in_one=False):
    aspect = rng.choice([16 / 9, 16 / 10, 4 / 3, 5 / 4]) if not all_in_one else 16 / 9
    h = rng.uniform(0.29, 0.34)
    w = h * aspect
    case, rgb = s.casing()
    bezel = rng.uniform(0.008, 0.024)
    chin = rng.uniform(0.05, 0.08) if all_in_one else rng.choice([0, 0, 0.012, 0.025])
    rim = (
        s.plastic((0.03,) * 3, 0.25) if rng.uniform() < 0.5 and not all_in_one else None
    )
    lift, tilt = rng.uniform(0.07, 0.14), rng.uniform(-2, 10)
    at = at @ place(yaw=rng.normal(0, 9))
    metal = s.metal() if rng.uniform() < 0.3 else case
    foot = rng.integers(3)
    if foot == 0:
        s.put(at, box(w * 0.45, 0.18, 0.01, 0.02), metal, 0.002)
    elif foot == 1:
        s.put(
            at,
            lathe([(0, 0), (0.12, 0), (0.12, 0.008), (0.03, 0.016), (0, 0.016)], 40),
            metal,
        )
    else:
        for x in (-1, 1):
            s.put(
                at, tube([(0, 0.03, 0.02), (x * w * 0.3, -0.08, 0.006)], 0.008), metal
            )
    s.put(
        at,
        prism(rectangle(rng.uniform(0.04, 0.12), 0.022, 0.006), 0, lift + h * 0.45),
        metal,
        y=0.045,
        z=0.006,
        tilt=0,
    )
    off = rng.uniform() < 0.1
    picture = None if off else draw_screen(rng, 384, int(384 / aspect))
    face = at @ place(z=lift, tilt=90 - tilt)
    top = panel(
        s,
        rng,
        face,
        w,
        h + chin,
        0.02 + 0.01 * all_in_one,
        case,
        picture,
        bezel,
        chin,
        0.006,
        rim,
    )
    s.put(
        face,
        prism(rectangle(w * 0.6, h * 0.6, 0.02), -0.025, 0, 1.3),
        case,
        0.004,
        y=h / 2,
    )
    if not all_in_one:
        s.put(
            face,
            box(0.012, 0.003, 0.001),
            s.material((0.3, 0.8, 0.4), glow=1.0),
            x=w * 0.42,
            y=max(bezel, chin + bezel) * 0.5,
            z=top,
        )
    return w


def crt(s, rng, at):
    h = rng.uniform(0.3, 0.36)
    w = h * 1.18
    case, rgb = s.casing()
    at = at @ place(yaw=rng.normal(0, 10))
    s.put(
        at,
        lathe([(0, 0), (0.14, 0), (0.13, 0.02), (0.06, 0.03), (0.06, 0.05), (0, 0.05)]),
        case,
    )
    face = at @ place(y=-0.12, z=0.045, tilt=90 - rng.uniform(-1, 6))
    s.put(face, prism(rectangle(w, h, 0.02), -0.09, 0), case, 0.006, y=h / 2)
    s.put(
        face,
        prism(rectangle(w * 0.68, h * 0.66, 0.03), -0.36, -0.089, 1.4),
        case,
        0.01,
        y=h / 2,
    )
    ws, hs = w - 0.06, h - 0.075
    for x, y, ww, hh in (
        (0, -hs / 2 - 0.006, ws + 0.024, 0.012),
        (0, hs / 2 + 0.006, ws + 0.024, 0.012),
        (-ws / 2 - 0.006, 0, 0.012, hs),
        (ws / 2 + 0.006, 0, 0.012, hs),
    ):
        s.put(
            face,
            box(ww, hh, 0.004),
            s.plastic(shade(rgb, 0.6)),
            0.001,
            x=x,
            y=y + h / 2 + 0.012,
        )
    glass = sheet(
        lambda u, v: (
            (u - 0.5) * ws,
            (v - 0.5) * hs,
            0.007 - 0.012 * ((u - 0.5) ** 2 + (v - 0.5) ** 2),
        ),
        12,
        12,
    )
    front = (
        s.material((0.03, 0.035, 0.03), 0.08, coat=1.0)
        if rng.uniform() < 0.1
        else s.glass(draw_screen(rng, 280, 210), rng.uniform(0.5, 1.2), 0.06)
    )
    s.put(face, glass, front, y=h / 2 + 0.012)
    for i in range(4):
        s.put(
            face,
            box(0.014, 0.007, 0.003),
            s.plastic(shade(rgb, 0.7)),
            0.001,
            x=w * 0.12 + i * 0.022,
            y=0.018,
        )
    return w


def desktop(s, rng, variant):
    here = place(y=0.12)
    w = (
        crt(s, rng, here)
        if variant == "crt"
        else monitor(s, rng, here, all_in_one=variant == "all_in_one")
    )
    front = -0.14 if variant != "crt" else -0.26
    board = rng.normal(0, 0.02)
    keyboard(
        s, rng, place(board, front - rng.uniform(0.01, 0.05), 0.001, rng.normal(0, 5))
    )
    side = 1 if rng.uniform() < 0.85 else -1
    mouse(
        s,
        rng,
        place(
            board + side * rng.uniform(0.27, 0.3),
            front - rng.uniform(0.02, 0.06),
            0.001,
            rng.normal(0, 12),
        ),
    )
    if variant != "all_in_one":
        side = rng.choice([-1, 1])
        x = side * (w / 2 + rng.uniform(0.11, 0.16))
        y = rng.uniform(0.1, 0.22)
        if variant == "behind":  # the screen hides a part of it
            x, y = side * w * rng.uniform(0.36, 0.46), 0.42
        s.fits = rng.uniform() < 0.6  # else the frame's edge may cut it
        tower(s, rng, place(x, y, 0, rng.normal(0, 8)))
        s.fits = True
    if rng.uniform() < 0.25:  # loudspeakers
        case = s.casing()[0]
        for x in (-1, 1):
            spot = place(x * (w / 2 + 0.05), 0.0 if variant != "crt" else -0.1, 0)
            s.put(spot, box(0.075, 0.08, 0.17), case, 0.004, seen=False)
            for z, r in ((0.055, 0.03), (0.125, 0.018)):
                s.put(
                    spot,
                    lathe([(0, 0), (r, 0), (r, 0.004), (r * 0.85, 0.001), (0, -0.006)]),
                    s.plastic((0.05,) * 3),
                    y=-0.041,
                    z=z,
                    tilt=90,
                    seen=False,
                )


def laptop(s, rng, variant):
    w = {
        "thin": rng.uniform(0.29, 0.34),
        "thick": rng.uniform(0.3, 0.35),
        "wide": rng.uniform(0.36, 0.41),
    }[variant]
    d = w * rng.uniform(0.64, 0.74)
    t = rng.uniform(0.01, 0.016) if variant == "thin" else rng.uniform(0.018, 0.03)
    case, rgb = s.casing()
    deck = case if rng.uniform() < 0.6 else s.casing()[0]
    at, r = place(yaw=rng.normal(0, 8)), rng.uniform(0.004, 0.014)
    s.put(at, prism(rectangle(w, d, r), 0.002, t), case, min(0.003, t * 0.25))
    s.put(at, prism(rectangle(w - 0.004, d - 0.004, r), t - 0.0002, t + 0.0004), deck)
    dark_keys = rng.uniform() < 0.7
    caps = s.plastic(
        (rng.uniform(0.03, 0.12) if dark_keys else rng.uniform(0.7, 0.92),) * 3, 0.5
    )
    kw, kd = w * rng.uniform(0.84, 0.93), d * rng.uniform(0.44, 0.5)
    ky = d * 0.5 - kd / 2 - d * rng.uniform(0.07, 0.12)
    s.put(
        at,
        box(kw + 0.006, kd + 0.006, 0.0006),
        s.plastic((0.05,) * 3 if dark_keys else shade(rgb, 0.7), 0.5),
        y=ky,
        z=t,
    )
    s.put(
        at,
        keys(kw, kd, 0.0028, gap=rng.uniform(0.12, 0.22), top=0.94),
        caps,
        y=ky,
        z=t + 0.0006,
    )
    pw, pd = w * rng.uniform(0.26, 0.38), d * rng.uniform(0.22, 0.3)
    py = -d / 2 + pd / 2 + d * 0.05
    s.put(
        at,
        prism(rectangle(pw + 0.003, pd + 0.003, 0.004), t, t + 0.0007),
        s.plastic(shade(rgb, 0.55), 0.4),
        y=py,
    )
    s.put(
        at,
        prism(rectangle(pw, pd, 0.003), t, t + 0.001),
        s.plastic(shade(rgb, rng.uniform(0.75, 1.15)), 0.3),
        y=py,
    )
    if rng.uniform() < 0.3:
        s.put(
            at,
            box(pw, 0.012, 0.0016),
            s.plastic(shade(rgb, 0.6)),
            0.0004,
            y=py - pd / 2 + 0.008,
            z=t,
        )
    for x in (-1, 1) if rng.uniform() < 0.4 else ():
        grille = [
            (lathe([(0.0013, 0), (0, 0.0001)], 6), place(0, (j - 8) * 0.005))
            for j in range(16)
        ]
        s.put(
            at,
            merge(grille),
            s.plastic((0.05,) * 3),
            x=x * w * 0.47,
            y=ky,
            z=t + 0.0012,
        )
    opening = float(np.clip(rng.normal(108, 9), 92, 132))
    lid, thick = (
        at @ place(y=d / 2 - 0.004, z=t + 0.003, tilt=180 - opening),
        0.006 if variant == "thin" else 0.011,
    )
    s.put(
        at,
        tube(
            [(-w * 0.35, d / 2 - 0.004, t), (w * 0.35, d / 2 - 0.004, t)],
            min(0.007, t * 0.45),
        ),
        s.plastic(shade(rgb, 0.5)),
    )
    picture = None if rng.uniform() < 0.1 else draw_screen(rng, 384, int(384 * d / w))
    rim = s.plastic((0.03,) * 3, 0.25) if rng.uniform() < 0.6 else None
    bezel = rng.uniform(0.006, 0.02)
    top = panel(
        s,
        rng,
        lid @ place(z=-thick / 2),
        w,
        d * 0.97,
        thick,
        case,
        picture,
        bezel,
        rng.choice([0, 0.008, 0.015]),
        r,
        rim,
    )
    s.put(
        lid,
        lathe([(0.0018, 0), (0, 0.0003)], 10),
        s.plastic((0.02,) * 3, 0.1),
        y=d * 0.97 - bezel / 2,
        z=top - thick / 2,
    )


def device(s, rng, variant):
    """A handheld lying face up with its foot on the origin: function(matrix) and its
    size."""
    case, rgb = s.casing()
    tone = s.plastic(shade(rgb, 0.6) if sum(rgb) > 0.9 else (0.6,) * 3, 0.35)
    w, h, t = {
        "phone": (
            rng.uniform(0.066, 0.08),
            rng.uniform(0.132, 0.162),
            rng.uniform(0.008, 0.011),
        ),
        "pda": (
            rng.uniform(0.075, 0.088),
            rng.uniform(0.118, 0.135),
            rng.uniform(0.012, 0.018),
        ),
        "keys": (
            rng.uniform(0.066, 0.08),
            rng.uniform(0.11, 0.128),
            rng.uniform(0.011, 0.016),
        ),
        "bar": (
            rng.uniform(0.047, 0.055),
            rng.uniform(0.108, 0.13),
            rng.uniform(0.013, 0.019),
        ),
    }[variant]
    rim = s.plastic((0.03,) * 3, 0.2) if rng.uniform() < 0.5 else None

    def build(at):
        def put(shape, material, **where):
            s.put(at, shape, material, **where)

        bezel = rng.uniform(0.003, 0.006)
        share = {
            "phone": rng.choice([0.0, 0.0, 0.09]),
            "pda": rng.uniform(0.22, 0.27),
            "keys": rng.uniform(0.4, 0.46),
            "bar": rng.uniform(0.5, 0.56),
        }[variant]
        head = h * (rng.uniform(0.02, 0.09) if variant != "phone" or share else 0.0)
        chin, r = h * share, rng.uniform(0.08, 0.22) * w
        off = rng.uniform() < 0.05
        hs = h - chin - 2 * bezel - head
        ws = w - 2 * bezel - (0.008 if variant in ("pda", "bar", "keys") else 0)
        picture = None if off else draw_small_screen(rng, 180, int(180 * hs / ws))
        s.put(
            at, prism(rectangle(w, h, r, 7), 0, t), case, min(0.003, t * 0.3), y=h / 2
        )
        face = (
            s.plastic((0.02,) * 3, 0.12)
            if variant == "phone" and rng.uniform() < 0.75
            else rim
        )
        if face is not None:
            put(
                prism(
                    rectangle(w - 0.003, h - 0.003, max(r - 0.0015, 0.002), 7),
                    t - 0.0002,
                    t + 0.0003,
                ),
                face,
                y=h / 2,
            )
        ys = chin + bezel + hs / 2
        if variant != "phone":
            put(
                prism(rectangle(ws + 0.004, hs + 0.004, 0.002), t, t + 0.0005),
                s.plastic((0.05,) * 3),
                y=ys,
            )
        front = (
            s.material((0.012,) * 3, 0.06, coat=0.5)
            if off
            else s.glass(picture, rng.uniform(0.6, 1.5), rng.uniform(0.05, 0.2))
        )
        put(quad(ws, hs, t + 0.0007), front, y=ys)
        put(
            prism(rectangle(w * 0.2, 0.0022, 0.001), t, t + 0.0006),
            s.plastic((0.1,) * 3),
            y=h - max(head, 0.006) / 2 - 0.002,
        )
        button = lathe([(1, 0), (0.95, 0.18), (0, 0.2)], 24)
        if variant == "phone" and share:
            put(
                button,
                s.plastic((0.08,) * 3, 0.2),
                y=chin * 0.5 + bezel / 2,
                z=t,
                scale=0.0055,
            )
        elif variant == "pda":
            size = w * 0.085
            put(
                prism(rectangle(w * 0.26, chin * 0.62, 0.006), t, t + 0.0015),
                tone,
                y=chin * 0.52,
            )
            put(
                button,
                s.plastic(shade(rgb, 0.4)),
                y=chin * 0.52,
                z=t + 0.001,
                scale=w * 0.06,
            )
            for x in (-0.37, -0.22, 0.22, 0.37):
                put(
                    button,
                    tone,
                    x=x * w,
                    y=chin * (0.52 - 0.9 * abs(x) + 0.27),
                    z=t,
                    scale=size * 0.8,
                )
        else:
            rows, columns = (4, 10) if variant == "keys" else (4, 3)
            caps = s.plastic(
                (rng.uniform(0.1, 0.2),) * 3
                if sum(rgb) > 1.2 or rng.uniform() < 0.3
                else (rng.uniform(0.7, 0.9),) * 3,
                0.35,
            )
            deep = chin * 0.68
            put(
                keys(w * 0.88, deep, 0.0022, [[1] * columns] * rows, 0.2, 0.88),
                caps,
                y=deep / 2 + bezel + 0.002,
                z=t,
            )
            yb = deep + bezel + 0.002 + (chin - deep) * 0.45
            put(prism(rectangle(w * 0.2, chin * 0.2, 0.003), t, t + 0.002), tone, y=yb)
            for x in (-1, 1):
                put(
                    prism(rectangle(w * 0.24, chin * 0.1, 0.002), t, t + 0.0014),
                    tone,
                    x=x * w * 0.3,
                    y=yb + chin * 0.03,
                )
        put(box(0.0015, 0.014, t * 0.35), tone, x=w / 2, y=h * 0.7, z=t * 0.3)

    return build, w, h, t


def hand(s, rng, at, w, h, t):
    """A simple right or left hand round the lower half of a device that lies at
    `at`."""
    skin = colorsys.hsv_to_rgb(
        rng.uniform(0.045, 0.075), rng.uniform(0.3, 0.6), rng.uniform(0.35, 0.92)
    )
    m = rng.choice([-1.0, 1.0])  # +1: the thumb on the right
    low, out, shapes = -0.014, w / 2 + 0.009, []
    ends = (0.004, 0.006, 0.006, 0.003)
    for i, (y, r) in enumerate(
        zip(
            np.linspace(0.02, 0.087, 4) + h * 0.12,
            (0.0072, 0.0082, 0.0085, 0.008),
            strict=True,
        )
    ):
        path = [
            (m * 0.03, y - 0.006, low - 0.016),
            (0, y, low - 0.012),
            (-m * (out - 0.006), y + 0.002, low - 0.002),
            (-m * (out + 0.001), y + 0.003, t * 0.6),
            (-m * (out - 0.005 - ends[i]), y + 0.004, t + 0.008),
        ]
        shapes.append(tube(curve(path, 16), np.linspace(1.15, 0.85, 16) * r, 12))
    up = rng.uniform(0.35, 0.6) * h
    thumb = [
        (m * 0.025, -0.018, low - 0.012),
        (m * (out + 0.004), 0.012, low + 0.004),
        (m * (out + 0.005), up * 0.6, t * 0.7),
        (m * (out - 0.006), up, t + 0.009),
    ]
    shapes.append(tube(curve(thumb, 18), np.linspace(0.017, 0.0092, 18), 14))
    palm, faces, _ = ball(0.043, 0.052, 0.02)
    shapes.append((palm + (m * 0.004, 0.022, low - 0.014), faces, None))
    arm = [
        (m * 0.004, 0.0, low - 0.014),
        (m * 0.012, -0.06, low - 0.028),
        (m * 0.05, -0.3, low - 0.075),
    ]
    shapes.append(tube(curve(arm, 12), np.linspace(0.03, 0.036, 12), 18))
    material = s.material(skin, 0.5, soft=0.15)
    body = s.add(
        merge([(shape, np.eye(4)) for shape in shapes]), material, at, seen=False
    )
    fuse = body.modifiers.new("fuse", "REMESH")
    fuse.mode, fuse.voxel_size, fuse.use_smooth_shade = "VOXEL", 0.0022, True
    soften = body.modifiers.new("soften", "SMOOTH")
    soften.iterations = 5
    if rng.uniform() < 0.6:  # a sleeve
        cuff = tube(
            np.array(arm[1:]) + [(m * 0.006, -0.04, -0.006), (0, -0.02, 0)],
            [0.042, 0.05],
            20,
        )
        s.put(at, cuff, s.plastic(rough=0.9), seen=False)


def handheld(s, rng, variant):
    build, w, h, t = device(s, rng, variant)
    pose = weighted(rng, lying=1.2, stand=2.5, leaning=2.5, held=3.5)
    yaw = rng.normal(0, 10)
    if pose == "lying":
        at = place(yaw=rng.normal(0, 22), tilt=rng.uniform(0, 6), z=0.001)
    elif pose == "held":
        at = place(
            z=rng.uniform(0.09, 0.14), tilt=rng.uniform(45, 80), yaw=rng.normal(0, 14)
        ) @ place(roll=rng.normal(0, 8))
        hand(s, rng, at, w, h, t)
    else:
        tilt = rng.uniform(38, 74)
        slope = math.radians(tilt)
        base = place(yaw=yaw)
        at = base @ place(z=0.003 if pose == "leaning" else 0.012, tilt=tilt)
        if pose == "stand":
            case = s.casing()[0]
            s.put(base, box(w * 0.9, 0.1, 0.005, 0.006), case, 0.001, y=0.035, z=0.001)
            s.put(base, box(w * 0.7, 0.006, 0.018), case, 0.001, y=-t * 1.3, z=0.004)
            s.put(
                at, box(w * 0.55, h * 0.75, 0.004), case, 0.001, y=h * 0.38, z=-0.0045
            )
            s.put(base, box(w * 0.8, 0.02, 0.009), case, 0.001, y=0.004, z=0.003)
        else:  # against a pile of books, a box or a mug
            s.fits = False
            high = h * math.sin(slope) * rng.uniform(0.55, 0.85)
            y = high / math.tan(slope) + 0.002
            turned = base @ place(y=y)
            kind = rng.integers(3)
            if kind == 0:
                one, z = int(rng.integers(2, 5)), 0.0
                for _ in range(one):
                    one_book(
                        s,
                        rng,
                        turned @ place(rng.normal(0, 0.01), 0.075, z),
                        rng.uniform(0.18, 0.24),
                        0.15,
                        high / one - 0.001,
                    )
                    z += high / one
            elif kind == 1:
                s.put(
                    turned,
                    box(rng.uniform(0.09, 0.2), 0.08, high),
                    s.plastic(rough=0.7),
                    0.0015,
                    y=0.04,
                )
            else:
                grown = high / 0.095
                mug(s, rng, turned @ place(y=0.046 * grown, scale=grown))
            s.fits = True
    build(at)


def other(s, rng, variant):
    build, radius, _ = THINGS[variant]
    build(s, rng, place(yaw=rng.normal(0, 10)))
    taken = [radius]
    for side in (-1, 1):  # often with company
        if rng.uniform() < 0.3:
            name = weighted(rng, **{k: v for k, v in CLUTTER.items() if k != "paper"})
            thing, reach, _ = THINGS[name]
            s.fits = rng.uniform() < 0.5
            thing(
                s,
                rng,
                place(
                    side * (taken[0] + reach) * 0.95,
                    rng.uniform(-0.3, 0.6) * taken[0],
                    0,
                    rng.normal(0, 20),
                ),
            )
            s.fits = True
