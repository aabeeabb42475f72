"""Which pictures show the same: copies in other sizes, qualities and crops, shots in a
row, films.

A copy differs from its original everywhere a little and nowhere much: by what JPEG, a
resize or a camera's noise change. Two things differ somewhere much, and be it in a
needle or a faint spot. So what counts is the largest local difference of two small
copies, in light and in colour, on coarse and on fine grids, by what noise may do there.
It follows the pictures when one is a cut-out of the other, or the hand moved (Lucas and
Kanade 1981), and when one is brighter.

Where pixels cannot tell, the order helps: frames of a film are named or taken one after
another, and far more alike than others of their folder."""

from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

SIDE = 64  # cells across and down a copy's light
COLOUR = 32  # cells across and down its colours, which are compared in 16
# the likeness of two pictures that differ by as much as noise may change at most
ALIKE = 0.95
NOISE = {
    64: 6.5,
    32: 3.5,
    16: 2.2,
}  # grey levels it may change in a cell of so many a side
COLOUR_NOISE = 3.6  # levels of Cb and Cr, in a cell of the colours
HOPELESS = (
    14  # times the noise, from which on likeness is under a half and need not be exact
)
# of what a cell differs from those next to it: what another sharpness may change
EDGES = 0.35
BRIGHT = 220  # grey levels from which on a brighter copy may have lost some
SMALL = (
    170  # pixels across and down, below which a cell holds so few that they change more
)
FLAT = 20  # grey levels: the detail of a cell that no edge goes through
RESAMPLED = 2.5  # times the noise of pictures that are where they are, in moved ones
TONES = 8  # grey levels: the deviation without which a picture is of one tone
GREY = 5  # levels of Cb and Cr below which a picture has no colours
# grey levels between neighbours, from which on there is something to see in a cell
STRUCTURE = 6
TEXTURED = (
    0.3  # of the cells must have structure for a movement or a contrast to be believed
)
CANDIDATES = 6  # pictures which each is compared with at a time
MOVED = 3  # of them, in which it is looked for at another place
# other pictures, drawn by lot, of which those with its background are compared as well
MATES = 3
# Where a picture is looked for in another: cells a side, steps, and how much of the
# difference must then be gone for it to be looked for further.
LEVELS = ((8, 3, 0.1), (8, 4, 0.3), (16, 5, 0.6), (32, 5, 0.7))
UNEXPLAINED = (
    0.1  # of the difference may be left by a movement; what is more makes less alike
)
LEAST_MOVE = 0.006  # of a side: less than that is no movement
# of a side that a picture may be wider than it was, for where it lies is not exact
STRETCH = 0.03
# of a side, next to which a moved picture is not compared: nothing lies beyond it
EDGE = 0.045
OVERLAP = 0.4  # of a picture must lie in the other
LAYOUT = 0.85  # correlation of pictures that share a background
RELATED = 0.5  # correlation of such pictures if one of them is cut out
CLIQUE = 0.9  # of copies of one picture must be like the one in their middle
STEP = 0.01  # by which likeness is raised until they are
UNSURE = 0.949  # the likeness of pictures that are alike by way of others only
RESEMBLING = 0.95  # correlation of pictures that may be frames of one film
FOLLOWING = 0.8  # correlation of frames that follow one another, at least
CHANCE = (
    0.02  # of the pairs that do not follow one another are as alike as frames of a film
)
BLOCK = 512  # rows compared at once, for memory
STILL = np.array([0, 1, 0, 0, 0, 1], "float32")  # x, x by u, x by v; y, y by u, y by v


class Look(NamedTuple):
    """A picture as it is compared. light: uint8 (64, 64); colour: uint8 (32, 32, 2), Cb
    and Cr, 128 where there is no colour; size: width and height in pixels."""

    light: np.ndarray
    colour: np.ndarray
    size: tuple


class Pair(NamedTuple):
    """How much two pictures look alike, at most 1, and their positions, the lower one
    first."""

    likeness: float
    first: int
    second: int


def look(image):
    """The `Look` of an RGB PIL image."""
    small = image.resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=3
    ).convert("YCbCr")
    colour = np.asarray(small.resize((COLOUR, COLOUR), Image.Resampling.BOX))[:, :, 1:]
    return Look(np.asarray(small.getchannel(0)), colour, image.size)


def look_alikes(looks, order, threshold=ALIKE, parts=None):
    """The `Pair`s that look alike, the most alike first; where many are alike, also by
    way of others, as few pairs as join them, so that each of these pictures is in one
    of the pairs. looks: a `Look` a picture. order: whole numbers (n,), which differ by
    1 where a picture follows another, as in a film. threshold: the likeness from which
    on two are alike; none are from 1 on. parts: numbers (n,), to find pairs of
    different parts only."""
    if len(looks) < 2 or threshold >= 1:
        return []
    copies = _Copies(looks)
    found = _following(copies, np.asarray(order))
    keys = (
        np.arange(len(looks))
        if parts is None
        else np.unique(parts, return_inverse=True)[1]
    )
    in_order = found[:, keys[found[0].astype(int)] != keys[found[1].astype(int)]]
    still, moved = [np.empty((3, 0))], [in_order]
    rows, tried = np.arange(len(looks)), np.empty(0, int)
    bar = tqdm(desc="comparing", leave=False, delay=2)
    while len(rows):
        bar.update()
        others = _nearest(copies, rows, keys)
        mates = _mates(copies, rows, keys)
        a = np.concatenate((np.repeat(rows, others.shape[1]), mates[0]))
        b = np.concatenate((others.ravel(), mates[1]))
        move = np.tile(np.arange(others.shape[1]) < MOVED, len(rows))
        move = np.concatenate((move, np.ones(len(mates[0]), bool)))
        first, second = np.minimum(a, b), np.maximum(a, b)
        codes, once = np.unique(first * len(looks) + second, return_index=True)
        once = once[(b[once] >= 0) & ~np.isin(codes, tried)]
        tried = np.concatenate((tried, codes))
        found = _compared(copies, first[once], second[once], move[once], keys)
        still, moved = still + found[0], moved + found[1]
        if parts is not None:
            break
        keys = _connected(len(looks), np.concatenate(still + moved, 1), threshold)
        # Who has found nobody but their own has not seen the others yet.
        rows = rows[((others >= 0) & (keys[others] == keys[rows][:, None])).all(1)]
    bar.close()
    still = _without_chains(copies, np.concatenate(still, 1))
    found = np.concatenate((still, *moved), 1)
    first, second, likeness = _fewest(len(looks), found, threshold)
    ranked = np.lexsort((second, first, -likeness))
    found = zip(likeness[ranked].tolist(), first[ranked], second[ranked], strict=True)
    return [Pair(value, int(a), int(b)) for value, a, b in found]


def undecided(looks, keys):
    """How many pictures resemble one of another key as a whole, though they differ
    somewhere, and the `Pair` of the nearest of them; None where there are none. looks:
    a `Look` a picture; keys: (n,), the same for pictures that count as one."""
    if len(looks) < 2:
        return None
    copies, rows = _Copies(looks), np.arange(len(looks))
    nearest = _nearest(copies, rows, np.unique(keys, return_inverse=True)[1])[:, 0]
    like = nearest >= 0
    like[like] = (copies.shape[rows[like]] * copies.shape[nearest[like]]).sum(
        1
    ) >= RESEMBLING
    a, b = rows[like], nearest[like]
    if not len(a):
        return None
    likeness = _likeness(copies, a, b)
    best = likeness.argmax()
    return len(a), Pair(float(likeness[best]), *sorted((int(a[best]), int(b[best]))))


class _Copies:
    """The small copies of all pictures, on several grids."""

    def __init__(self, looks):
        light = np.array([look.light for look in looks], "float32")
        self.light = {side: _shrunk(light, side) for side in (64, 32, 16, 8)}
        colour = np.array([look.colour for look in looks], "float32") - 128
        self.size = np.array([look.size for look in looks], "float32")
        self.colour = np.ascontiguousarray(np.moveaxis(colour, 3, 0))
        self.contrast = self.light[16].std((1, 2))
        self.noise = np.maximum(1, SMALL / np.sqrt(self.size.prod(1))) ** 1.5
        self.grey = np.abs(colour).max((1, 2, 3)) < GREY
        self.textured = (_detail(self.light[32]) > STRUCTURE).mean((1, 2)) > TEXTURED
        # To find candidates: contrast and brightness count little, colours much
        n = len(looks)
        coarse = self.light[16].reshape(n, -1)
        contrast = 40 / np.maximum(coarse.std(1, keepdims=True), TONES)
        colour = colour.reshape(n, 8, 4, 8, 4, 2).mean((2, 4)).reshape(n, -1)
        shape = (coarse - coarse.mean(1, keepdims=True)) * contrast
        self.rows = np.concatenate(
            (shape, 4 * colour * contrast, coarse.mean(1)[:, None] / 4), 1
        )
        self.shape = shape / np.maximum(np.linalg.norm(shape, axis=1, keepdims=True), 1)

    def __len__(self):
        return len(self.size)


def _shrunk(grid, side):
    """Means of the cells of grids (n, s, s), so that `side` are left on a side."""
    while grid.shape[1] > side:
        upper = grid[:, ::2, ::2] + grid[:, ::2, 1::2]
        grid = (upper + grid[:, 1::2, ::2] + grid[:, 1::2, 1::2]) / 4
    return grid


def _detail(grid):
    """How much each cell differs at most from those above, below and beside it."""
    found = np.zeros_like(grid)
    down, across = np.abs(np.diff(grid, axis=1)), np.abs(np.diff(grid, axis=2))
    for part, change in (
        (found[:, 1:], down),
        (found[:, :-1], down),
        (found[:, :, 1:], across),
        (found[:, :, :-1], across),
    ):
        np.maximum(part, change, out=part)
    return found


def _connected(n, found, threshold):
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = found[:2, found[2] >= threshold].astype(int)
    graph = coo_array((np.ones(len(first)), (first, second)), (n, n))
    return connected_components(graph, directed=False)[1]


def _fewest(n, found, threshold):
    """Of all pairs the most alike that join the same pictures: a maximum spanning
    forest."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    found = found[:, found[2] >= threshold]
    found = found[:, np.argsort(-found[2], kind="stable")]
    first, second = found[:2].astype(int)
    once = np.unique(first * n + second, return_index=True)[1]
    first, second, likeness = first[once], second[once], found[2, once]
    tree = minimum_spanning_tree(
        coo_array((2 - likeness, (first, second)), (n, n)).tocsr()
    )
    tree = tree.tocoo()
    return tree.row, tree.col, 2 - tree.data


def _nearest(copies, rows, keys):
    """The nearest pictures of other keys: positions (rows, CANDIDATES), the nearest
    first, -1 where there are no more."""
    count = min(CANDIDATES, len(copies) - 1)
    energy = np.square(copies.rows).sum(1)
    found = []
    for block in np.split(rows, range(BLOCK, len(rows), BLOCK)):
        distance = energy - 2 * copies.rows[block] @ copies.rows.T
        grey = copies.grey[block]  # of which picture in colours are these copies?
        distance[grey] = -(copies.shape[block[grey]] @ copies.shape.T)
        distance[keys[block][:, None] == keys] = np.inf
        best = np.argpartition(distance, count - 1, axis=1)[:, :count]
        far = np.take_along_axis(distance, best, 1)
        ranked = np.argsort(far, axis=1, kind="stable")
        best = np.where(np.isinf(far), -1, best)
        found.append(np.take_along_axis(best, ranked, 1))
    return np.concatenate(found)


def _compared(copies, a, b, move, keys):
    """Compare pictures a and b where they are and, if `move`, moved → two lists of
    arrays (3, m) of positions and likeness."""
    still, moved = [], []
    for some in np.split(np.arange(len(a)), range(BLOCK, len(a), BLOCK)):
        here = _likeness(copies, a[some], b[some])
        still.append(np.stack((a[some], b[some], here)))
        textured = copies.textured[a[some]] & copies.textured[b[some]]
        resized = (copies.size[a[some]] != copies.size[b[some]]).any(1)
        some = some[move[some] & (here < ALIKE) & (textured | resized)]
        for one, other in (
            (a, b),
            (b, a),
        ):  # where the smaller view lies is found better
            place, fit = _followed(copies, one[some], other[some])
            gone = np.abs(place - STILL).max(1) >= LEAST_MOVE
            good = gone & (fit >= LEVELS[-1][2])
            there = np.zeros(len(some))
            there[good] = _likeness(
                copies, one[some[good]], other[some[good]], place[good]
            )
            # What a movement leaves unexplained counts the more.
            there **= np.maximum(1, (1 - fit) / UNEXPLAINED)
            alike = there >= ALIKE
            moved.append(np.stack((a[some], b[some], there))[:, good])
            lost = gone & (fit >= LEVELS[1][2]) & ~alike
            lost &= copies.textured[a[some]] & copies.textured[b[some]]
            moved += _elsewhere(
                copies, one[some[lost]], other[some[lost]], place[lost], keys
            )
            some = some[~alike]
    return still, moved


def _without_chains(copies, found):
    """Copies of one picture are all like one another. Where pictures that have not
    moved are alike only by way of others, they are things of slightly different shades:
    count as less alike."""
    least = ALIKE
    while least < 1:
        keys = _connected(len(copies), found, least)
        chained = False
        for key in np.flatnonzero(np.bincount(keys) > 2):
            group = np.flatnonzero(keys == key)
            own = keys[found[0].astype(int)] == key
            own &= (keys[found[1].astype(int)] == key) & (found[2] >= ALIKE)
            middle = np.bincount(found[:2, own].astype(int).ravel()).argmax()
            others = group[group != middle]
            alike = _likeness(copies, others, np.full(len(others), middle))
            if np.mean(alike >= ALIKE) < CLIQUE:
                found[2, own & (found[2] < least + STEP)] = UNSURE
                chained = True
        if not chained:
            break
        least += STEP
    return found


def _mates(copies, rows, keys):
    """Some pictures that share a background with each: two arrays of positions."""
    random = np.random.default_rng(0)
    others = random.integers(0, len(copies), (len(rows), MATES))
    alike = np.einsum("id,ikd->ik", copies.shape[rows], copies.shape[others]) >= RELATED
    alike &= keys[others] != keys[rows][:, None]
    row, column = np.nonzero(alike)
    return rows[row], others[row, column]


def _elsewhere(copies, a, b, place, keys):
    """Where one picture is cut out of something like another, but not of that: of which
    of those with its background? → arrays (3, m) of positions and likeness."""
    found, grid, done = [], copies.light[16], set()
    for one, other, where in zip(a, b, place, strict=True):
        if where[1] * where[5] > 1:  # it is the first that is cut out of the second
            one, other, where = other, one, _back(where)
        if other in done:
            continue
        done.add(other)
        others = np.flatnonzero(
            (copies.shape @ copies.shape[one] >= LAYOUT) & (keys != keys[other])
        )
        same = np.repeat(where[None], len(others), 0)
        goal = np.broadcast_to(grid[other], (len(others), 16, 16))
        fit = _correlation(_at(grid, others, same), goal, _inside(same, 16))
        others = others[np.argsort(-fit, kind="stable")[:MOVED]]
        same = np.full(len(others), other)
        where, _ = _followed(
            copies, others, same, np.repeat(where[None], len(others), 0)
        )
        likeness = _likeness(copies, others, same, where)
        found.append(
            np.stack((np.minimum(others, other), np.maximum(others, other), likeness))
        )
    return found


def _back(place):
    """The place of a in b, where place (6,) is that of b in a."""
    turn = np.linalg.inv(place.reshape(2, 3)[:, 1:])
    return np.column_stack((-turn @ place[[0, 3]], turn)).ravel().astype("float32")


# -- the largest local difference ------------------------------------------------------


def _likeness(copies, a, b, place=None):
    """Likeness (m,) of pictures a, at a place (m, 6) if they are moved, and b."""
    textured = copies.textured[a] & copies.textured[b]
    swapped = copies.contrast[a] > copies.contrast[b]
    inside = np.ones((len(a), 16, 16), bool) if place is None else _inside(place, 16)
    if place is None:
        light = copies.light
        noise = np.maximum(copies.noise[a], copies.noise[b])
    else:
        moved = _at(copies.light[SIDE], a, place)
        light = {side: _shrunk(moved, side) for side in (32, 16)}
        noise = np.maximum(copies.noise[a], copies.noise[b]) * RESAMPLED
    noise = noise[:, None, None]

    def ranked(one, other, rows=slice(None)):
        """The grids of the picture of less contrast, and of that of more."""
        turn = swapped[rows][:, None, None]
        return np.where(turn, other, one), np.where(turn, one, other)

    def grids(side, rows):
        return ranked(
            light[side][a[rows] if place is None else rows],
            copies.light[side][b[rows]],
            rows,
        )

    rows = np.arange(len(a))
    pale, rich = grids(16, rows)
    colours = [
        ranked(_shrunk(_at(channel, a, place), 16), _shrunk(channel[b], 16))
        for channel in copies.colour
    ]
    low, high = _range(pale, *(one for one, _ in colours))
    room = (255 - _range(rich, *(other for _, other in colours))[1]).clip(1)
    flat = np.minimum(_detail(pale), _detail(rich)) < FLAT
    weight = inside * np.where(textured[:, None, None], room, flat)
    gain, offset = _tone(pale, rich, weight, textured)
    # More light or contrast may have taken some of what was bright, or dark.
    change = np.abs((gain - 1) * pale + offset)
    lost = np.maximum(gain * high + offset - BRIGHT, 255 - BRIGHT - gain * low - offset)
    lost = np.minimum(lost.clip(0), change) * textured[:, None, None]
    coloured = inside & ~(textured & (copies.grey[a] != copies.grey[b]))[:, None, None]
    worst = np.zeros(len(a))
    for one, other in colours:
        edges = np.minimum(_detail(one), _detail(other))
        difference = (np.abs(gain * one - other) - lost / 2).clip(0) * coloured
        difference /= noise * COLOUR_NOISE + EDGES * edges
        worst = np.maximum(worst, difference.max((1, 2)))
    for side in (16, 32, 64) if place is None else (16, 32):
        pale, rich = grids(side, rows)
        difference = np.abs((gain[rows] * pale + offset[rows]).clip(0, 255) - rich)
        difference -= _grown(lost[rows], side)
        difference *= _grown(inside[rows], side)
        edges = np.minimum(_detail(pale), _detail(rich))
        difference /= noise[rows] * NOISE[side] + EDGES * edges
        worst[rows] = np.maximum(worst[rows], difference.max((1, 2)))
        rows = rows[worst[rows] < HOPELESS]
    if place is not None:
        is_likely = _is_rigid(copies, a, b, place) & textured
        worst[~(is_likely | _is_cut_out(copies, a, b, place))] = np.inf
    return ALIKE**worst


def _grown(grid, side):
    return grid.repeat(side // 16, 1).repeat(side // 16, 2)


def _range(light, blue, red):
    """The darkest and the brightest values that the cells may hold, in any of R, G and
    B."""
    channels = np.stack((1.402 * red, 1.772 * blue, -0.344 * blue - 0.714 * red))
    detail = _detail(light)
    return light + channels.min(0) - detail, light + channels.max(0) + detail


def _tone(pale, rich, weight, textured):
    """By what gain and offset (m, 1, 1) one picture becomes the other, in cells that
    count."""
    total = np.maximum(weight.sum((1, 2)), 1)
    toned = pale.std((1, 2)) > TONES
    mean, goal, square, product = (
        (values * weight).sum((1, 2)) / total
        for values in (pale, rich, pale**2, pale * rich)
    )
    variance = square - mean**2
    gain = np.where(toned, product / np.maximum(square, 1), 1).clip(0.8, 1.3)
    slope = ((product - mean * goal) / np.maximum(variance, 1)).clip(0.6, 1.7)
    gain = np.where(textured, slope, gain)
    offset = np.where(textured, goal - slope * mean, 0)
    return gain[:, None, None].astype("float32"), offset[:, None, None].astype(
        "float32"
    )


# -- moved -----------------------------------------------------------------------------


def _points(place, side):
    """Where the cells of a grid lie at places (m, 6): x and y in cells, (m, side²)."""
    ends = (np.arange(side, dtype="float32") + 0.5) / side - 0.5
    u, v = (points.ravel() for points in np.meshgrid(ends, ends))
    x = place[:, 0, None] + place[:, 1, None] * u + place[:, 2, None] * v
    y = place[:, 3, None] + place[:, 4, None] * u + place[:, 5, None] * v
    return (x + 0.5) * side - 0.5, (y + 0.5) * side - 0.5


def _inside(place, side):
    """Which cells lie within the picture, and not at its very edge: bool (m, side,
    side)."""
    x, y = (points / side for points in _points(place, side))
    low, high = EDGE - 0.5 / side, 1 - EDGE - 0.5 / side
    return ((x > low) & (x < high) & (y > low) & (y < high)).reshape(-1, side, side)


def _at(grid, rows, place):
    """The grids (m, side, side) of some pictures at places (m, 6)."""
    if place is None:
        return grid[rows]
    side = grid.shape[1]
    x, y = (points.clip(0, side - 1.001) for points in _points(place, side))
    left, top = x.astype(int), y.astype(int)
    x, y = x - left, y - top
    corner = (rows[:, None] * side + top) * side + left
    cells = grid.reshape(-1)
    upper = cells[corner] * (1 - x) + cells[corner + 1] * x
    lower = cells[corner + side] * (1 - x) + cells[corner + side + 1] * x
    return (upper * (1 - y) + lower * y).reshape(-1, side, side)


def _followed(copies, a, b, place=None):
    """Where pictures b lie in pictures a (m, 6), and how much of the difference that
    explains, from coarse to fine: Gauss and Newton's steps, in which b may be brighter
    or of more contrast."""
    place = np.repeat(STILL[None], len(a), 0) if place is None else place.copy()
    explained, rows = np.zeros(len(a)), np.arange(len(a))
    for side, steps, least in LEVELS:
        if not len(rows):
            break
        found, likeness = _level(copies, a[rows], b[rows], place[rows], side, steps)
        still = copies.light[side]
        before = _correlation(still[a[rows]], still[b[rows]], True)
        explained[rows] = 1 - (1 - likeness) / np.maximum(1 - before, 1e-6)
        good = explained[rows] >= least
        place[rows[good]] = found[good]
        rows = rows[good]
    return place, explained


def _level(copies, a, b, place, side, steps):
    """The best places (m, 6) near `place` on a grid, and the correlation there."""
    finer, goal = copies.light[2 * side], copies.light[side][b]
    ends = (np.arange(side, dtype="float32") + 0.5) / side - 0.5
    u, v = (points.ravel() for points in np.meshgrid(ends, ends))
    best, likeness = place, np.full(len(a), -1.0)
    for _ in range(steps):
        now = _shrunk(_at(finer, a, place), side)
        inside = _inside(place, side)
        found = _correlation(now, goal, inside)
        found[inside.mean((1, 2)) < OVERLAP] = -1
        better = found > likeness
        best = np.where(better[:, None], place, best)
        likeness = np.where(better, found, likeness)
        down, across = (
            change.reshape(len(a), -1) * side
            for change in np.gradient(now, axis=(1, 2))
        )
        rest = (goal - now).reshape(len(a), -1)
        now, inside = now.reshape(len(a), -1), inside.reshape(len(a), -1)
        system = (
            across,
            across * u,
            across * v,
            down,
            down * u,
            down * v,
            now,
            now * 0 + 1,
        )
        system = np.stack(system, 2) * inside[:, :, None]
        square = system.swapaxes(1, 2) @ system
        rest = system.swapaxes(1, 2) @ rest[:, :, None]
        ridge = 1e-5 * np.trace(square, axis1=1, axis2=2) + 1e-3
        square += np.eye(8, dtype="float32") * ridge[:, None, None]
        step = np.linalg.solve(square, rest)[:, :6].reshape(-1, 2, 3)
        turn = place.reshape(-1, 2, 3)[
            :, :, 1:
        ]  # the step was found on the moved picture
        place = place + (turn @ step).reshape(-1, 6).clip(-0.1, 0.1)
    return best, likeness


def _correlation(one, other, inside):
    """Of grids (m, side, side), in the cells that are inside: (m,)."""
    inside = np.broadcast_to(inside, one.shape)
    total = np.maximum(inside.sum((1, 2), keepdims=True), 1)
    one = (one - (one * inside).sum((1, 2), keepdims=True) / total) * inside
    other = (other - (other * inside).sum((1, 2), keepdims=True) / total) * inside
    length = np.sqrt(np.square(one).sum((1, 2)) * np.square(other).sum((1, 2)))
    return (one * other).sum((1, 2)) / np.maximum(length, 1)


def _is_rigid(copies, a, b, place):
    """Whether a camera may have moved so, with which nothing is stretched or skewed:
    (m,)."""
    width, height = (copies.size[a] / copies.size[b][:, :1]).T
    aspect = copies.size[b, 1] / copies.size[b, 0]
    stretch = place[:, 1] * width - place[:, 5] * height / aspect
    skew = place[:, 2] * width / aspect + place[:, 4] * height
    scale = place[:, 1] * width
    return (np.abs(stretch) < STRETCH * scale) & (np.abs(skew) < STRETCH * scale)


def _is_cut_out(copies, a, b, place):
    """Whether, pixel by pixel, one picture is a part of the other: (m,)."""
    scale = place[:, [1, 5]] * copies.size[a] / copies.size[b]
    same = (np.abs(scale - 1) < 0.02).all(1) & (copies.size[a] != copies.size[b]).any(1)
    straight = np.abs(place[:, [2, 4]]).max(1) < 0.02
    edges = np.abs(place[:, [0, 3]]) + np.abs(place[:, [1, 5]]) / 2 - 0.5
    within = (edges < 0.01).all(1)
    # or b's view holds all of a
    around = (np.abs(place[:, [0, 3]]) - np.abs(place[:, [1, 5]]) / 2 + 0.5 < 0.01).all(
        1
    )
    return same & straight & (within | around)


# -- in order --------------------------------------------------------------------------


def _following(copies, order):
    """The pairs that follow one another in films and bursts, as alike as threshold
    ALIKE."""
    found = []
    ranked = np.argsort(order, kind="stable")
    breaks = np.flatnonzero(np.diff(order[ranked]) != 1) + 1
    for folder in np.split(ranked, breaks):
        a, b = folder[:-1], folder[1:]
        random = np.random.default_rng(0)
        x, y = random.integers(0, len(folder), (2, 4000))
        apart = np.abs(x - y) > 8
        x, y = folder[x[apart]], folder[y[apart]]
        if len(a) < 10 or not len(x):
            continue
        near, far = (
            np.square(copies.rows[one] - copies.rows[other]).sum(1)
            for one, other in ((a, b), (x, y))
        )
        alike = near <= np.quantile(far, CHANCE)
        alike &= (copies.shape[a] * copies.shape[b]).sum(1) >= FOLLOWING
        if alike.sum() >= max(5, 5 * CHANCE * len(a)):
            found.append(np.stack((np.minimum(a, b), np.maximum(a, b)))[:, alike])
    pairs = np.concatenate((np.empty((2, 0)), *found), 1)
    return np.concatenate((pairs, np.full((1, pairs.shape[1]), ALIKE)))
