"""Where a picture lies in another.

A place (6,) is x, x by u, x by v; y, y by u, y by v, of a point (u, v) of the other
picture, all in sides from the middle."""

import numpy as np

STILL = np.array([0, 1, 0, 0, 0, 1], "float32")
LEAST_MOVE = 0.006  # of a side: less than that is no movement
SAME_SCALE = 0.02  # of a side, by which it may be off where something is cut off
CUT = 0.01  # of a side, by which the edges of what is cut out may be off
EDGE = 0.045  # of a side, next to which a moved picture is not compared


def ends(side):
    """u and v of the cells of a grid: (side²,) each."""
    across = (np.arange(side, dtype="float32") + 0.5) / side - 0.5
    u, v = np.meshgrid(across, across)
    return u.ravel(), v.ravel()


def points(place, side):
    """Where the cells of a grid lie at places (m, 6): x and y in cells, (m, side²)."""
    u, v = ends(side)
    x = place[:, 0, None] + place[:, 1, None] * u + place[:, 2, None] * v
    y = place[:, 3, None] + place[:, 4, None] * u + place[:, 5, None] * v
    half = side / 2 - 0.5
    return x * side + half, y * side + half


def inside(place, side):
    """Which cells lie within the picture, and not at its very edge: bool (m, side,
    side)."""
    x, y = points(place, side)
    low = EDGE * side - 0.5
    high = (1 - EDGE) * side - 0.5
    found = (x > low) & (x < high) & (y > low) & (y < high)
    return found.reshape(-1, side, side)


def at(grids, place, side):
    """Grids (m, side, side) of what lies at places (m, 6) in grids (m, k, k), whose
    outer cells have the same middles, bilinearly."""
    m, k = len(grids), grids.shape[1]
    finer = (k - 1) / (side - 1)
    x, y = ((cells * finer).clip(0, k - 1.001) for cells in points(place, side))
    left = x.astype(int)
    top = y.astype(int)
    x -= left
    y -= top
    top += np.arange(m)[:, None] * k
    top *= k
    top += left
    cells = grids.reshape(-1)
    upper = cells.take(top)
    upper += (cells.take(top + 1) - upper) * x
    top += k
    lower = cells.take(top)
    lower += (cells.take(top + 1) - lower) * x
    lower -= upper
    lower *= y
    lower += upper
    return lower.reshape(m, side, side)


def back(place):
    """The places (m, 6) of a in b, where those of b in a are given."""
    halves = place.reshape(-1, 2, 3)
    turn = np.linalg.inv(halves[:, :, 1:])
    shift = -turn @ halves[:, :, :1]
    return np.concatenate((shift, turn), 2).reshape(-1, 6).astype("float32")


def is_movement(place):
    """Whether places are others than that of a picture on itself: bool (m,)."""
    return np.abs(place - STILL).max(1) >= LEAST_MOVE


def is_rigid(copies, a, b, place, tolerance):
    """Whether a camera may have moved so, with which nothing is stretched or skewed by
    more than this share of a side: bool (m,)."""
    width, height = (copies.size[a] / copies.size[b][:, :1]).T
    aspect = copies.size[b, 1] / copies.size[b, 0]
    scale = place[:, 1] * width
    stretch = np.abs(scale - place[:, 5] * height / aspect)
    skew = np.abs(place[:, 2] * width / aspect + place[:, 4] * height)
    return (stretch < tolerance * scale) & (skew < tolerance * scale)


def is_cut_out(copies, a, b, place):
    """Whether, pixel by pixel, one picture is a part of the other: bool (m,)."""
    scale = place[:, [1, 5]] * copies.size[a] / copies.size[b]
    is_same = (np.abs(scale - 1) < SAME_SCALE).all(1)
    is_same &= (copies.size[a] != copies.size[b]).any(1)
    is_straight = np.abs(place[:, [2, 4]]).max(1) < SAME_SCALE
    middle = np.abs(place[:, [0, 3]])
    half = np.abs(place[:, [1, 5]]) / 2
    is_within = (middle + half < 0.5 + CUT).all(1)
    is_around = (middle - half < CUT - 0.5).all(1)  # b's view holds all of a
    return is_same & is_straight & (is_within | is_around)
