"""Where the camera stands, and what it makes of the light: exposure, white balance,
JPEG."""

import io
import math

import numpy as np
from PIL import Image


def fit_camera(points, azimuth, elevation, focal, fill, shift, roll):
    """Where a camera stands so that the points fill the frame: (location, rotation,
    distance). points: (n, 3); focal: mm on a 36 mm square sensor; fill: the share of
    the frame that the longer side of their outline takes; rotation: (3, 3), columns
    right, up, backwards."""
    a, e = math.radians(azimuth), math.radians(elevation)
    back = np.array(
        [math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)]
    )
    right = np.array([math.cos(a), math.sin(a), 0])
    up, half = np.cross(back, right), 18 / focal
    x, y, z = (points @ axis for axis in (right, up, back))
    centre = np.array([x.mean(), y.mean(), z.mean()])
    distance = np.ptp(points, axis=0).max() * 2 / half
    for _ in range(12):
        depth = distance - (z - centre[2])
        px, py = (x - centre[0]) / depth, (y - centre[1]) / depth
        centre[:2] += (
            distance * np.array([px.max() + px.min(), py.max() + py.min()]) / 2
        )
        extent = max(np.ptp(px), np.ptp(py))
        distance = max(distance * extent / (2 * half * fill), np.ptp(z) * 0.75)
    centre[:2] += distance * half * 2 * np.array(shift)
    location = centre[0] * right + centre[1] * up + (centre[2] + distance) * back
    c, s = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    return (
        location,
        np.stack([c * right + s * up, c * up - s * right, back], 1),
        distance,
    )


def develop(light, setting, rng):
    """What a camera does: linear light (n, n, 3) → an RGB picture of n pixels a side.
    Exposure and white balance go to the setting's own targets, as an automatic camera's
    would."""
    light = np.maximum(light, 0)
    n = len(light)
    clipped = np.minimum(light, 4 * np.median(light) + 1e-6)
    mean = clipped.mean((0, 1))
    gain = (mean.mean() / mean) ** 0.5 * setting["tint"]
    light = light * gain * (0.2 * 2 ** setting["exposure"] / (clipped * gain).mean())
    r = np.linspace(-1, 1, n) ** 2
    light = light * (1 - setting["vignette"] * (r[:, None] + r)[..., None] / 2)
    film = (
        light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
    )  # ACES-like
    signal = np.clip(film, 0, 1) ** (setting["contrast"] / 2.2)
    grain = rng.normal(0, setting["noise"], signal.shape) + rng.normal(
        0, setting["noise"], (n, n, 1)
    )
    return Image.fromarray(np.uint8(np.clip(signal + grain, 0, 1) * 255 + 0.5))


def compress(picture, target):
    """JPEG bytes at the quality that comes nearest to the setting's target, as a file's
    size would else tell how much detail its class has."""
    low, high, best = 60, 96, b""
    while low <= high:
        middle, file = (low + high) // 2, io.BytesIO()
        picture.save(file, "JPEG", quality=middle, optimize=True)
        best = min(
            best or file.getvalue(),
            file.getvalue(),
            key=lambda data: abs(len(data) - target),
        )
        low, high = (middle + 1, high) if file.tell() < target else (low, middle - 1)
    return best
