"""What is in a picture, as plain data drawn from a seed. Lengths in metres, angles in
degrees."""

import math
from hashlib import sha256

import numpy as np


def seed_of(*words):
    """A seed for a picture, from its path."""
    return int.from_bytes(
        sha256("/".join(map(str, words)).encode()).digest()[:8], "big"
    )


def weighted(rng, **weights):
    """One of the names, with probabilities in proportion to the weights."""
    values = np.array(list(weights.values()), float)
    return str(rng.choice(list(weights), p=values / values.sum()))


# How often each thing, and each variant of a class's subject, comes up (relative
# weights)
CLUTTER = {
    "mug": 3, "books": 3, "plant": 2, "pen": 3, "paper": 3, "sticky": 2,
    "pencil_cup": 2, "bottle": 1, "lamp": 1, "frame": 1, "notepad": 2, "fruit": 1,
    "box": 1.5, "stapler": 1, "tape": 1, "cup": 1,
}  # fmt: skip
SUBJECTS = {
    "desktop": {"tower": 5, "behind": 2, "crt": 1.6, "all_in_one": 1.2},
    "laptop": {"thin": 5, "thick": 3, "wide": 2},
    "handheld": {"phone": 5, "pda": 3, "keys": 1.5, "bar": 1},
    "other": {
        "books": 2.2, "open_book": 1.2, "mug": 2.5, "lamp": 3, "plant": 3,
        "calculator": 0.4, "frame": 0.4, "notepad": 1.2, "stapler": 0.7, "box": 1,
        "clock": 1.2, "typewriter": 0.35, "pencil_cup": 2, "bottle": 2, "vase": 2.2,
        "fruit": 2, "radio": 0.6, "teapot": 2.5, "globe": 1.5, "tape": 1, "candle": 1.5,
    },
}  # fmt: skip
CLASSES = tuple(SUBJECTS)


def sample_setting(rng):
    """Everything around the subject. It is told nothing of the class, so it cannot tell
    it."""
    u = rng.uniform
    return {
        "desk": weighted(rng, wood=5, planks=2, plain=4, cloth=1.5, stone=1.5),
        "wall": weighted(rng, plaster=4, room=5, stripes=1, brick=1, tiles=1, planks=1),
        "desk_seed": int(rng.integers(2**31)),
        "wall_distance": u(0.25, 1.6),  # behind the subject, in its radii
        "wall_picture": bool(u() < 0.25),
        "texture": math.exp(u(-0.5, 0.5)),
        "light": {
            "azimuth": u(-150, 150),
            "elevation": u(30, 75),
            "size": math.exp(u(math.log(0.3), math.log(3))),
            "warmth": u(-1, 1),
            "fill": u(0.2, 0.8),
            "blinds": bool(u() < 0.15),
            "second": u(0, 0.7) if u() < 0.5 else 0.0,
            "second_azimuth": u(-180, 180),
        },
        "camera": {
            "azimuth": float(np.clip(rng.normal(0, 18), -45, 45)),
            "elevation": u(22, 47),
            "focal": math.exp(u(math.log(30), math.log(75))),
            "fill": u(0.84, 1.02),
            "shift": [u(-0.03, 0.03), u(-0.03, 0.03)],
            "roll": float(rng.normal(0, 2.0)),
            "aperture": u(0, 0.012),
        },
        "exposure": u(-0.6, 0.7),
        "tint": [float(x) for x in np.exp(rng.normal(0, 0.06, 3))],
        "contrast": u(0.85, 1.15),
        "noise": math.exp(u(math.log(0.003), math.log(0.012))),
        "bytes": u(5200, 8200),
        "vignette": u(0, 0.35),
        "clutter": [weighted(rng, **CLUTTER) for _ in range(rng.integers(0, 5))],
    }


def sample_scene(kind, seed):
    """A picture's parameters, as plain data. kind: one of CLASSES; seed: any integer ≥
    0."""
    setting, subject, detail = np.random.SeedSequence(seed).spawn(3)
    rng = np.random.default_rng(subject)
    return {
        "kind": kind,
        "variant": weighted(rng, **SUBJECTS[kind]),
        "setting": sample_setting(np.random.default_rng(setting)),
        "detail": int(np.random.default_rng(detail).integers(2**63)),
    }
