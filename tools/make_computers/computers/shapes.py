"""Shapes: (vertices (n, 3), faces, texture coordinates per vertex or None)."""

import math

import numpy as np


def place(x=0.0, y=0.0, z=0.0, yaw=0.0, tilt=0.0, roll=0.0, scale=1.0):
    """A 4×4 matrix: roll about y, then tilt about x, then yaw about z, then the
    move."""
    cy, sy = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
    ct, st = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    cr, sr = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    turn = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, ct, -st], [0, st, ct]]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]]) * scale
    matrix[:3, 3] = x, y, z
    return matrix


def prism(outline, low, high, top=1.0):
    """An outline (n, 2), anticlockwise, raised from z = low to high; top: its scale up
    there."""
    outline, n = np.asarray(outline, float), len(outline)
    centre = outline.mean(0)
    upper = centre + (outline - centre) * top
    points = np.concatenate(
        [np.c_[outline, np.full(n, low)], np.c_[upper, np.full(n, high)]]
    )
    sides = [(i, (i + 1) % n, n + (i + 1) % n, n + i) for i in range(n)]
    return points, [tuple(range(n))[::-1], tuple(range(n, 2 * n)), *sides], None


def rectangle(w, d, r=0.0, n=5):
    """The outline of a rectangle about the origin with rounded corners."""
    if r <= 0:
        return np.array([[-w, -d], [w, -d], [w, d], [-w, d]]) / 2
    angles = np.linspace(0, math.pi / 2, n)
    arcs = [
        np.c_[np.cos(angles + k * math.pi / 2), np.sin(angles + k * math.pi / 2)] * r
        for k in range(4)
    ]
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * (
        np.array([w, d]) / 2 - r
    )
    return np.concatenate(
        [arc + corner for arc, corner in zip(arcs, corners, strict=True)]
    )


def box(w, d, h, r=0.0, top=1.0):
    """A block standing on z = 0, about the z axis."""
    return prism(rectangle(w, d, r), 0, h, top)


def merge(shapes):
    """Several shapes, each with its matrix, as one."""
    points, faces, count = [], [], 0
    for (p, f, _), m in shapes:
        points.append(p @ m[:3, :3].T + m[:3, 3])
        faces += [tuple(i + count for i in face) for face in f]
        count += len(p)
    return np.concatenate(points), faces, None


def sheet(function, nu, nv):
    """A surface from function(u, v) → x, y, z with u, v in 0…1 as arrays."""
    u, v = np.meshgrid(np.linspace(0, 1, nu), np.linspace(0, 1, nv))
    points = np.stack(
        [np.broadcast_to(c, u.shape) for c in function(u, v)], -1
    ).reshape(-1, 3)
    faces = [
        (j * nu + i, j * nu + i + 1, (j + 1) * nu + i + 1, (j + 1) * nu + i)
        for j in range(nv - 1)
        for i in range(nu - 1)
    ]
    return points, faces, np.c_[u.ravel(), v.ravel()]


def quad(w, h, z=0.0):
    """A flat picture about the origin, seen from above."""
    return sheet(lambda u, v: ((u - 0.5) * w, (v - 0.5) * h, z), 2, 2)


def lathe(profile, n=36):
    """A profile of (radius, z), from the bottom up, turned about the z axis."""
    r, z = np.array(profile, float).T
    angle = np.linspace(0, 2 * math.pi, n, endpoint=False)
    points = np.stack(
        [
            np.outer(r, np.cos(angle)),
            np.outer(r, np.sin(angle)),
            np.repeat(z[:, None], n, 1),
        ],
        -1,
    )
    faces = [
        (j * n + i, j * n + (i + 1) % n, (j + 1) * n + (i + 1) % n, (j + 1) * n + i)
        for j in range(len(r) - 1)
        for i in range(n)
    ]
    return points.reshape(-1, 3), faces, None


def ball(rx, ry, rz, lower=-90.0):
    """An ellipsoid about the origin, from a latitude up."""
    latitude = np.radians(np.linspace(lower, 90, 13))
    points, faces, _ = lathe(np.c_[np.cos(latitude), np.sin(latitude)], 24)
    return points * (rx, ry, rz), faces, None


def tube(path, radius, n=10):
    """A round rod along points, with round ends; radius: one, or one a point."""
    path = np.asarray(path, float)
    radius = np.broadcast_to(radius, len(path)).astype(float)
    ahead = np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    rings = [
        (path[0] - ahead[0] * radius[0] * s, ahead[0], radius[0] * c)
        for s, c in ((1, 0.05), (0.7, 0.7))
    ]
    rings += list(zip(path, ahead, radius, strict=True))
    rings += [
        (path[-1] + ahead[-1] * radius[-1] * s, ahead[-1], radius[-1] * c)
        for s, c in ((0.7, 0.7), (1, 0.05))
    ]
    angle, points = np.linspace(0, 2 * math.pi, n, endpoint=False), []
    side = np.cross(ahead[0], [0.31, 0.57, 0.76])
    for centre, axis, r in rings:
        side = side - axis * (side @ axis)
        side /= np.linalg.norm(side)
        across = np.cross(axis, side)
        points.append(
            centre
            + r * (np.outer(np.cos(angle), side) + np.outer(np.sin(angle), across))
        )
    faces = [
        (j * n + i, j * n + (i + 1) % n, (j + 1) * n + (i + 1) % n, (j + 1) * n + i)
        for j in range(len(rings) - 1)
        for i in range(n)
    ]
    return np.concatenate(points), faces, None


def curve(points, n=20):
    """A smooth path through a few points (Catmull-Rom)."""
    p = np.asarray(points, float)
    p = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    path = []
    for t in np.linspace(0, len(p) - 3 - 1e-9, n):
        i, t = int(t), t % 1
        a, b, c, d = p[i : i + 4]
        path.append(
            b
            + t * (c - a) / 2
            + t**2 * (2 * a - 5 * b + 4 * c - d) / 2
            + t**3 * (3 * b - a - 3 * c + d) / 2
        )
    return np.array(path)


MAIN_ROWS = (
    [1] + [0.25] + [1] * 12 + [0.75], [1] * 13 + [2], [1.5] + [1] * 12 + [1.5],
    [1.75] + [1] * 11 + [2.25], [2.25] + [1] * 10 + [2.75],
    [1.25] * 3 + [6] + [1.25] * 3 + [1.5],
)  # fmt: skip


def keys(w, d, h, rows=MAIN_ROWS, gap=0.14, top=0.86):
    """Rows of key caps of given widths, on z = 0, filling w × d."""
    shapes, pitch = [], d / len(rows)
    for j, row in enumerate(rows):
        x, unit = -w / 2, w / sum(row)
        for width in row:
            if width > 0.5:
                cap = box(width * unit - gap * pitch, pitch * (1 - gap), h, 0, top)
                shapes.append(
                    (cap, place(x + width * unit / 2, d / 2 - (j + 0.5) * pitch))
                )
            x += width * unit
    return merge(shapes)
