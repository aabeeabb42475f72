"""Where one picture is cut out of another, or the hand has moved.

Lucas and Kanade's search (1981), from coarse to fine, for a place at which two pictures
agree; see `places`."""

from typing import NamedTuple

import numpy as np

from safeguards.look_alikes import places
from safeguards.look_alikes.copies import (
    BLOCK,
    COLOUR,
    SIDE,
    blocks,
    comparable,
    correlations,
    shrunk,
    softened,
)
from safeguards.look_alikes.cuts import cuts
from safeguards.look_alikes.differences import moved_differences
from safeguards.look_alikes.slopes import gone_of, is_promising, system_of


class Level(NamedTuple):
    """How long to look on a grid of so many cells a side; and what must be so then for
    a picture to be looked for further: how much of the difference is gone, and what the
    correlation is there, at least; and by what part of a side the place may be
    stretched, which cameras don't do."""

    side: int
    steps: int
    gone: float
    correlation: float
    stretch: float


LEVELS = (
    Level(8, 3, 0.2, 0.85, 0.2),
    Level(8, 4, 0.3, 0.9, 0.1),
    Level(16, 5, 0.6, 0.965, 0.05),
    Level(32, 5, 0.7, 0.975, 0.03),
)
ROUGHLY_FOUND = 2  # levels, after which the place is right, if not the picture
UNEXPLAINED = 0.1  # of the difference may be left; what is more makes less alike
ACROSS = 2  # times as much a movement between classes counts
RELATED = 0.3  # correlation below which a picture is not looked for in another
OVERLAP = 0.4  # of a picture must lie in the other
LIKELY = 0.9  # correlation at a rough place of a picture with what is cut out of it
LOOKED_AT = 3  # pictures of which something may be cut out, at most
LONGEST_STEP = 0.1  # of a side
STIFFNESS = 1e-5  # of its size, by which a system of equations is kept solvable


def moved_pairs(copies, a, b, limit=1):
    """Look for pictures b in pictures a, and the other way round → a, b and differences
    (k,), of these pairs, where something was found, and of others in which one may be
    cut out of the other. See `differences`. In two classes, what isn't cut out has to
    be more alike: it may be two small things under a camera that moved."""
    is_textured = copies.is_textured[a] & copies.is_textured[b]
    is_resized = (copies.size[a] != copies.size[b]).any(1)
    worth = (is_textured | is_resized) & (correlations(copies, a, b) >= RELATED)
    a, b = a[worth], b[worth]
    worth = is_promising(copies, a, b)
    a, b = a[worth], b[worth]
    found = []
    lost = []
    for _ in range(2):  # the smaller view is found better in the larger one
        place, gone, passed = followed(copies, a, b)
        difference = _differences_at(copies, a, b, place, gone, passed, limit)
        found.append((a, b, difference))
        is_lost = (difference > 1) & (passed >= ROUGHLY_FOUND)
        is_lost &= places.is_movement(place)
        is_lost &= copies.is_textured[a] & copies.is_textured[b]
        lost.append((a[is_lost], b[is_lost], place[is_lost], gone[is_lost]))
        still_open = difference > 1
        a, b = b[still_open], a[still_open]
    lost = [np.concatenate(parts) for parts in zip(*lost, strict=True)]
    found.append(_cut_out_of_others(copies, *lost, limit))
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def cut_pairs(copies, limit=1):
    """As `moved_pairs`, of all pictures that may be `cuts` of others."""
    a, b, place = cuts(copies)
    passed = np.full(len(a), len(LEVELS))
    return a, b, _differences_at(copies, a, b, place, np.ones(len(a)), passed, limit)


def _differences_at(copies, a, b, place, gone, passed, limit):
    """How much pictures a at their places and b differ: (m,), infinite where they
    haven't moved as a camera moves, nor is anything cut off."""
    is_good = (passed == len(LEVELS)) & places.is_movement(place)
    textured = copies.is_textured[a] & copies.is_textured[b]
    is_cut_out = places.is_cut_out(copies, a, b, place)
    is_good &= textured | is_cut_out
    is_good &= comparable(copies, a, b)
    found = np.full(len(a), np.inf)
    good = np.flatnonzero(is_good)
    for some in blocks(len(good), BLOCK):
        some = good[some]
        one, other, where = a[some], b[some], place[some]
        fine = copies.light[SIDE][one].astype("float32")
        fine = places.at(fine, where, SIDE)
        light = {side: shrunk(fine, side) for side in (32, 16)}
        colour = copies.colour[COLOUR][:, one]
        colour = [shrunk(places.at(grids, where, COLOUR), 16) for grids in colour]
        cells = places.inside(where, 16)
        found[some] = moved_differences(copies, one, other, light, colour, cells, limit)
    is_of_two = (copies.classes[a] != copies.classes[b]) & ~is_cut_out
    found[is_of_two] *= ACROSS
    # What a movement leaves unexplained counts the more.
    return found * np.maximum(1, (1 - gone) / UNEXPLAINED)


def _cut_out_of_others(copies, a, b, place, gone, limit):
    """Where pictures b are cut out of something like pictures a, or these of b, but not
    of that: of which of all pictures? → a, b and differences (k,)."""
    is_first = place[:, 1] * place[:, 5] > 1  # it is the first that is cut out
    place = np.where(is_first[:, None], places.back(place), place)
    part = np.where(is_first, a, b)
    best = np.lexsort((-gone, part))
    best = best[np.unique(part[best], return_index=True)[1]]
    part, place = part[best], place[best]
    whole = np.full((len(part), LOOKED_AT), -1)
    for some in blocks(len(part), BLOCK):
        fit = _fit_at(copies, part[some], places.back(place[some]))
        fit[np.arange(len(some)), part[some]] = 0
        for rank in range(LOOKED_AT):
            top = fit.argmax(1)
            is_likely = fit[np.arange(len(some)), top] >= LIKELY
            whole[some, rank] = np.where(is_likely, top, -1)
            fit[np.arange(len(some)), top] = 0
    row, column = np.nonzero(whole >= 0)
    whole, part = whole[row, column], part[row]
    found = followed(copies, whole, part, place[row])
    return whole, part, _differences_at(copies, whole, part, *found, limit)


def _fit_at(copies, part, place):
    """The correlation of pictures, laid at places over all others, with what is there:
    (m, n)."""
    cells = places.inside(place, 16).reshape(len(part), -1).astype("float32")
    laid = places.at(copies.light[16][part], place, 16).reshape(len(part), -1)
    total = cells.sum(1, keepdims=True).clip(1)
    laid = (laid - (laid * cells).sum(1, keepdims=True) / total) * cells
    laid /= np.linalg.norm(laid, axis=1, keepdims=True).clip(1)
    grids = copies.light[16].reshape(len(copies), -1)
    spread = cells @ np.square(grids).T - np.square(cells @ grids.T) / total
    return laid @ grids.T / np.sqrt(spread.clip(1))


def followed(copies, a, b, place=None):
    """Where pictures b lie in pictures a (m, 6), how much of the difference that
    explains (m,), and how many of LEVELS they passed (m,): Gauss and Newton's steps, in
    which b may be brighter or of more contrast. place: where to begin, if not where
    they are."""
    place = np.repeat(places.STILL[None], len(a), 0) if place is None else place.copy()
    gone = np.zeros(len(a))
    passed = np.zeros(len(a), int)
    rows = np.arange(len(a))
    for level in LEVELS:
        still = copies.light[level.side]
        for some in blocks(len(rows), BLOCK):
            some = rows[some]
            one, other = a[some], b[some]
            found, correlation = _level(copies, one, other, place[some], level)
            before = _correlation(still[one], still[other], True)
            gone[some] = gone_of(before, correlation)
            is_good = gone[some] >= level.gone
            is_good &= correlation >= level.correlation
            is_good &= places.is_rigid(copies, one, other, found, level.stretch)
            place[some[is_good]] = found[is_good]
            passed[some] += is_good
        rows = rows[passed[rows] > LEVELS.index(level)]
    return place, gone, passed


def _level(copies, a, b, place, level):
    """The best places (m, 6) near `place` on a grid, and the correlation there."""
    side = level.side
    finer, goal = softened(copies.light[2 * side][a]), copies.light[side][b]
    best, likeness = place, np.full(len(a), -1.0)
    for step in range(level.steps):
        now = places.at(finer, place, side)
        cells = places.inside(place, side)
        found = _correlation(now, goal, cells)
        found[cells.mean((1, 2)) < OVERLAP] = -1
        is_better = found > likeness
        best = np.where(is_better[:, None], place, best)
        likeness = np.where(is_better, found, likeness)
        if step == level.steps - 1:
            break
        system = system_of(now)
        weighted = system * cells.reshape(len(a), -1, 1)
        rest = (goal - now).reshape(len(a), -1, 1)
        square = weighted.swapaxes(1, 2) @ system
        rest = weighted.swapaxes(1, 2) @ rest
        ridge = STIFFNESS * np.trace(square, axis1=1, axis2=2) + 1e-3
        square += np.eye(8, dtype="float32") * ridge[:, None, None]
        move = np.linalg.solve(square, rest)[:, :6].reshape(-1, 2, 3)
        # The step was found on the moved picture.
        turn = place.reshape(-1, 2, 3)[:, :, 1:]
        move = (turn @ move).reshape(-1, 6)
        place = place + move.clip(-LONGEST_STEP, LONGEST_STEP)
    return best, likeness


def _correlation(one, other, inside):
    """Of grids (m, side, side), in the cells that are inside: (m,)."""
    inside = np.broadcast_to(inside, one.shape)
    total = np.maximum(inside.sum((1, 2), keepdims=True), 1)
    one = (one - (one * inside).sum((1, 2), keepdims=True) / total) * inside
    other = (other - (other * inside).sum((1, 2), keepdims=True) / total) * inside
    length = np.sqrt(np.square(one).sum((1, 2)) * np.square(other).sum((1, 2)))
    return (one * other).sum((1, 2)) / np.maximum(length, 1)
