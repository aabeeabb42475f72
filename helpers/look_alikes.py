"""Which pictures show the same: copies in other sizes, qualities and crops, shots in a row, films.

Small grey copies are compared, in three ways:

1. As they are. Unrelated photographs hardly ever correlate at 0.95; two shots of one thing do.
2. By what differs. Parts under a fixed camera, scanned pages or products on white all correlate at
   0.95, since most of each picture is what they share. Where a dozen or more are that alike, their
   mean picture is taken away first. Two of them are alike if they differ much less than others do.
3. Moved. A picture that lies within another, shifted or enlarged, was cut out of it, or the hand
   moved between two shots (Lucas and Kanade 1981 find the place)."""

from itertools import product
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

SIDE = 64  # pixels, of a grey copy
COARSE = 16  # pixels, for pictures as they are: averages out what JPEG and sharpening do
FINE = 32  # pixels, for what differs: a screw on a bench is a pixel or two
TINT = 8  # pixels, of the colours
CONTRAST = 40  # grey levels: the deviation every copy is given, an ordinary photograph's
NOISE = 1.5  # grey levels that noise and JPEG may change in a fine copy
GREY = 5  # levels of Cb and Cr below which a picture counts as one without colours
LAYOUT = 12  # pictures: from fewer, no mean picture can be told from a burst of one thing
NEIGHBOUR = 0.85  # correlation of others whose layout a smaller group may share
KIND = 24  # pictures of a group that may share a layout of its own, as parts of one kind do
NEXT = 0.5  # likeness of pictures that follow one another in a film
MIDDLE = 0.8  # of each side: how much of a picture is looked for in another
TINY = 8  # pixels, for finding out where it is worth looking
PROMISING = 0.6  # correlation of such copies from which on it is
HELPS = 0.7  # of the difference of tiny copies: what remains at most where moving them may help
CANDIDATES = 5  # pictures at most in which each is looked for
BLURS = 2.5, 1.0  # pixels: much for large movements first, then little for small ones
ROUGHLY = 0.9  # correlation of much blurred copies below which they are not looked at closely
POINTS = 18  # across and down, at which a moved picture is compared
PLACES = 6  # across and down, of which the one with the largest difference counts
EXPLAINED = 0.75  # of the difference must go when a picture is moved, or it was no movement
# of a movement, at once and altogether: pixels across and down, zoom, turn in radians
FARTHEST = (-4, -4, -0.1, -0.05), (4, 4, 0.1, 0.05)
LIMITS = (-16, -16, 0.6, -0.12), (16, 16, 1.2, 0.12)
BLOCK = 1024  # rows compared at once, for memory
MANY = 10**6  # edges kept before those that join nothing new go


class Look(NamedTuple):
    """A picture as it is compared. grey: uint8 (64, 64); tint: uint8 (8, 8, 2), Cb and Cr, 128
    where there is no colour; aspect: width / height."""

    grey: np.ndarray
    tint: np.ndarray
    aspect: float


class Pair(NamedTuple):
    """How much two pictures look alike, at most 1, and their positions, the lower one first."""

    likeness: float
    first: int
    second: int


def look(image):
    """The `Look` of an RGB PIL image."""
    small = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("YCbCr")
    tint = np.asarray(small.resize((TINT, TINT), Image.Resampling.BOX))[:, :, 1:]
    return Look(np.asarray(small.getchannel(0)), tint, image.width / image.height)


def look_alikes(looks, order, threshold=0.95, parts=None):
    """The `Pair`s that look alike, the most alike first; where many are alike, also by way of
    others, as few pairs as join them, so that each of these pictures is in one of the pairs.
    looks: a `Look` a picture. order: whole numbers (n,), which differ by 1 where a picture follows
    another, as in a film. threshold: the likeness from which on two are alike; none are from 1 on.
    parts: numbers (n,), to find pairs of different parts only."""
    if len(looks) < 2 or threshold >= 1:
        return []
    copies = _Copies(looks, order)
    parts = None if parts is None else np.asarray(parts)
    found = _Forest(len(looks), parts)
    keys, nearest = _as_they_are(copies, threshold)
    for group in _groups(keys):
        _by_what_differs(copies, group, nearest, threshold, found)
    _moved(copies, threshold, found)
    return found.pairs()


class _Copies:
    """The small copies of all pictures, standardised: a brighter copy of a picture is the same."""

    def __init__(self, looks, order):
        self.grey = np.array([look.grey for look in looks], "float32")
        self.aspect = np.array([look.aspect for look in looks], "float32")
        self.order = np.asarray(order)
        self.coarse = _unit(_shrunk(self.grey, COARSE))
        fine = _shrunk(self.grey, FINE)
        self.fine = _unit(fine) * (CONTRAST * FINE)
        tint = np.array([look.tint for look in looks], "float32").reshape(len(looks), -1) - 128
        self.scale = CONTRAST / np.maximum(fine.std(1), 1)
        self.coloured = _deviation(tint) > GREY
        self.tint = tint * self.scale[:, None]
        # What a tone on the whole picture, as of sepia or of another light, does not explain
        tone = _unit(_shrunk(self.grey, TINT))[:, :, None]
        pattern = tint.reshape(len(looks), -1, 2)
        pattern = pattern - pattern.mean(1, keepdims=True)
        pattern = (pattern - tone * (tone * pattern).sum(1, keepdims=True)).reshape(len(looks), -1)
        self.patterned = _deviation(pattern) > GREY
        self.pattern = pattern * self.scale[:, None]

    def __len__(self):
        return len(self.grey)

    def other_colours(self, rows, others):
        """Where colours differ more than they agree: bool (rows, others). A grey or toned copy has
        no other colours; two pictures of one tone each have, if it is not the same."""
        both = self.patterned[rows][:, None] & self.patterned[others]
        neither = ~self.patterned[rows][:, None] & ~self.patterned[others]
        neither &= self.coloured[rows][:, None] & self.coloured[others]
        return np.where(
            both,
            _disagree(self.pattern[rows], self.pattern[others]),
            neither & _disagree(self.tint[rows], self.tint[others]),
        )


def _deviation(rows):
    return np.sqrt(np.square(rows).mean(1))


def _disagree(a, b):
    energy = np.square(a).sum(1)[:, None] + np.square(b).sum(1)
    return 2 * a @ b.T < energy / 2


def _shrunk(grey, side):
    """Square copies (n, s, s), smaller: (n, side²)."""
    step = grey.shape[1] // side
    return grey.reshape(len(grey), side, step, side, step).mean((2, 4)).reshape(len(grey), -1)


def _unit(rows):
    """Rows without their mean, of length 1: the product of two is their correlation."""
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


class _Forest:
    """Of all pairs that are added the most alike that join the same pictures: a maximum spanning
    forest, so memory stays small where thousands are alike."""

    def __init__(self, n, parts=None):
        from scipy.sparse import csr_array

        self.parts = parts
        self.best = csr_array((n, n))  # likeness + 3, as 0 is no pair

    def add(self, rows, others, likeness):
        """Add pairs, each once: positions and likenesses, three arrays of one length."""
        from scipy.sparse import coo_array

        keep = rows != others
        if self.parts is not None:
            keep &= self.parts[rows] != self.parts[others]
        rows, others, likeness = rows[keep], others[keep], likeness[keep]
        places = np.minimum(rows, others), np.maximum(rows, others)
        new = coo_array((likeness + 3.0, places), self.best.shape)
        self.best = self.best.maximum(new.tocsr())
        if self.best.nnz > MANY:
            self.reduced()

    def reduced(self):
        """The pairs that are needed, as arrays: positions, the lower one first, and likenesses."""
        from scipy.sparse.csgraph import minimum_spanning_tree

        costs = self.best.copy()
        costs.data = 8 - costs.data
        tree = minimum_spanning_tree(costs).tocoo()
        tree.data = 8 - tree.data
        self.best = tree.tocsr()
        return tree.row, tree.col, tree.data - 3

    def keys(self):
        """A number for each position, the same for those that are joined."""
        return _connected(self.best)

    def pairs(self):
        """The `Pair`s, the most alike first."""
        first, second, likeness = self.reduced()
        order = np.lexsort((second, first, -likeness))
        found = zip(likeness[order].tolist(), first[order], second[order], strict=True)
        return [Pair(value, int(a), int(b)) for value, a, b in found]


def _connected(graph):
    from scipy.sparse.csgraph import connected_components

    return connected_components(graph, directed=False)[1]


def _groups(keys):
    """The positions of those with the same key, an array for each key that two or more have."""
    order = np.argsort(keys, kind="stable")
    parted = np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)
    return [group for group in parted if len(group) > 1]


# -- 1. as they are --------------------------------------------------------------------------------


def _as_they_are(copies, threshold):
    """Keys (n,), the same for pictures that correlate, also by way of others; and the nearest of
    each picture, positions (n, LAYOUT), itself first, -1 in the place of any that is no NEIGHBOUR.
    """
    from scipy.sparse import coo_array

    n = len(copies)
    keys, nearest = np.arange(n), np.full((n, LAYOUT), -1)
    everything = np.arange(n)
    for start in range(0, n, BLOCK):
        rows = everything[start : start + BLOCK]
        likeness = copies.coarse[rows] @ copies.coarse.T
        likeness[np.arange(len(rows)), rows] = 2  # itself comes first
        k = min(n, LAYOUT)
        best = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(likeness, best, 1)
        ranked = np.argsort(-values, axis=1, kind="stable")
        best = np.take_along_axis(best, ranked, 1)
        near = np.take_along_axis(values, ranked, 1) >= NEIGHBOUR
        nearest[rows, :k] = np.where(near, best, -1)
        likeness[copies.other_colours(rows, everything)] = -1
        likeness[everything < rows[:, None]] = -1  # each pair once
        a, b = np.nonzero(likeness >= threshold)
        # a picture is joined to the first one of its group so far, and to those it is like now
        first = np.unique(keys, return_index=True)[1][keys]
        a, b = np.concatenate((rows[a], everything)), np.concatenate((b, first))
        keys = _connected(coo_array((np.ones(len(a), bool), (a, b)), (n, n)))
    return keys, nearest


# -- 2. by what differs ----------------------------------------------------------------------------


def _by_what_differs(copies, group, nearest, threshold, found):
    """Add to `found` the pairs of a group of alike pictures that are not alike just by layout."""
    context = group
    if len(group) < LAYOUT:
        others = nearest[group].T.ravel()  # the nearest of each come first
        others = list(dict.fromkeys(others[(others >= 0) & ~np.isin(others, group)].tolist()))
        context = np.concatenate((group, others[: LAYOUT - len(group)])).astype(int)
    if len(context) < LAYOUT or (len(group) >= LAYOUT and _hand_held(copies, group, threshold)):
        for rows in np.split(group, range(BLOCK, len(group), BLOCK)):
            likeness = copies.coarse[rows] @ copies.coarse[group].T
            likeness[copies.other_colours(rows, group)] = -1
            likeness[group <= rows[:, None]] = -1
            a, b = np.nonzero(likeness >= threshold)
            found.add(rows[a], group[b], likeness[a, b])
        return
    # What is joined decides; what is told may be pairs of different parts only.
    own, told = _Forest(len(copies)), _Forest(len(copies), found.parts)
    for rows, likeness in _differences(copies, context):
        likeness[~np.isin(rows, group)] = -1
        likeness[:, ~np.isin(context, group)] = -1
        likeness[context <= rows[:, None]] = -1
        a, b = np.nonzero(likeness >= threshold)
        own.add(rows[a], context[b], likeness[a, b])
        told.add(rows[a], context[b], likeness[a, b])
    films = _films(copies, context, group)
    for forest in (own, told):
        forest.add(*films)
    first, second, likeness = told.reduced()
    for kind in _groups(own.keys()):
        if KIND <= len(kind) < len(group):
            _by_what_differs(copies, kind, nearest, threshold, found)
        else:
            there = np.isin(first, kind)
            found.add(first[there], second[there], likeness[there])


def _differences(copies, context):
    """Blocks of likeness by what differs: yields (positions, floats (positions, context))."""
    fine, tint = copies.fine[context], copies.tint[context]
    level = NOISE * np.median(copies.scale[context])
    fine, noise = _weighted(fine, level)
    coloured = copies.coloured[context]
    # A pixel of the colours stands for as many of the fine copy, and counts as much as all of them.
    tint, more = _weighted(tint * (FINE / TINT), level * (FINE / TINT), coloured)
    energy, colours = np.square(fine).sum(1), np.square(tint).sum(1)
    for start in range(0, len(context), BLOCK):
        rows = slice(start, start + BLOCK)
        both = coloured[rows][:, None] & coloured
        usual = energy[rows][:, None] + energy
        excess = usual - 2 * fine[rows] @ fine.T - noise
        usual_colours = (colours[rows][:, None] + colours) * both
        usual = usual + usual_colours
        excess += usual_colours - 2 * (tint[rows] @ tint.T) * both - more * both
        yield context[rows], 1 - excess.clip(0) / np.maximum(usual, 1e-6)


def _weighted(rows, noise, counted=None):
    """Rows without the mean of those counted, less where nothing but noise differs; and the sum of
    squares that noise (its deviation) alone makes of the difference of two."""
    known = rows if counted is None or not counted.any() else rows[counted]
    rows = rows - known.mean(0)
    variance = np.square(known - known.mean(0)).mean(0)
    weights = variance / (variance + noise**2)
    return rows * np.sqrt(weights), 2 * noise**2 * weights.sum()


def _films(copies, context, group):
    """The pairs of a group that follow one another, positions and likenesses, if it is a film or a
    burst: if those that do are more alike than nine tenths of the others of their folder."""
    none = np.empty(0, int), np.empty(0, int), np.empty(0)
    ranked = context[np.argsort(copies.order[context], kind="stable")]
    follow = np.diff(copies.order[ranked]) == 1
    a, b = ranked[:-1][follow], ranked[1:][follow]
    if len(a) < 10:
        return none
    random = np.random.default_rng(0)
    x, y = random.integers(0, len(ranked), (2, 4000))
    x, y = np.minimum(x, y), np.maximum(x, y)
    breaks = np.concatenate(([0], np.cumsum(np.diff(copies.order[ranked]) != 1)))
    apart = (y - x > 3) & (breaks[x] == breaks[y])
    x, y = ranked[x[apart]], ranked[y[apart]]
    if len(x) < 20:
        return none
    near, far = (_pairwise(copies, context, *pairs) for pairs in ((a, b), (x, y)))
    if np.median(near) <= np.quantile(far, 0.9):
        return none
    alike = (near >= NEXT) & np.isin(a, group) & np.isin(b, group)
    return a[alike], b[alike], near[alike]


def _pairwise(copies, context, a, b):
    """Likeness by what differs, of some pairs of positions."""
    place = np.full(len(copies), -1)
    place[context] = np.arange(len(context))
    result = np.empty(len(a), "float32")
    for rows, likeness in _differences(copies, context):
        here = np.isin(a, rows)
        result[here] = likeness[place[a[here]] - place[rows[0]], place[b[here]]]
    return result


# -- 3. moved --------------------------------------------------------------------------------------


def _hand_held(copies, group, threshold):
    """Whether a group is shots of one scene from the hand: between two the whole picture moves."""
    random = np.random.default_rng(0)
    a, b = random.integers(0, len(group), (2, 48))
    a, b = group[a[a != b]], group[b[a != b]]
    return np.mean(_registered(copies, a, b, _still(len(a))) >= threshold) >= 0.5


def _windows():
    """Where the middle of a picture may lie in another: (left, top, right, bottom) in 0…1."""
    for across, down in (
        *((side, side) for side in (MIDDLE, 0.72, 0.64)),
        *((MIDDLE, 0.6), (0.6, MIDDLE)),  # where a side was cut off
    ):
        for left, top in product(_places(across), _places(down)):
            yield left, top, left + across, top + down


def _places(side):
    return np.linspace(0, 1 - side, round((1 - side) / 0.1) + 1)


def _cut(grey, left, top, right, bottom):
    """Tiny copies of a part of each picture, of length 1: (n, TINY²)."""
    across, down = _averages(left, right), _averages(top, bottom)
    return _unit((down @ grey @ across.T).reshape(len(grey), -1))


def _averages(start, end):
    """A matrix (TINY, SIDE) that averages the pixels between two places in 0…1."""
    edges, pixels = np.linspace(start, end, TINY + 1) * SIDE, np.arange(SIDE)
    shares = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shares = shares.clip(0)
    return (shares / shares.sum(1, keepdims=True)).astype("float32")


def _moved(copies, threshold, found):
    """Add to `found` what lies within another picture, moved."""
    n = len(copies)
    edge = (1 - MIDDLE) / 2
    middle = _cut(copies.grey, edge, edge, 1 - edge, 1 - edge)
    windows = list(_windows())
    parts = np.stack([_cut(copies.grey, *window) for window in windows])
    k = min(CANDIDATES, n - 1)
    keys = found.keys()
    pairs = []
    for start in tqdm(range(0, n, BLOCK), "comparing", leave=False, delay=2):
        rows = np.arange(start, min(start + BLOCK, n))
        unmoved = copies.coarse[rows] @ copies.coarse.T
        near = (unmoved >= PROMISING) & (unmoved < threshold)
        unmoved = middle[rows] @ middle.T
        best = parts[0, rows] @ middle.T
        for part in parts[1:]:
            np.maximum(best, part[rows] @ middle.T, out=best)
        best[(1 - best > HELPS * (1 - unmoved)) & ~near] = -1
        best[np.arange(len(rows)), rows] = -1
        if found.parts is not None:
            best[found.parts[rows][:, None] == found.parts] = -1
        else:
            best[keys[rows][:, None] == keys] = -1  # joined already
        others = np.argpartition(-best, k - 1, axis=1)[:, :k]
        a, b = np.nonzero(np.take_along_axis(best, others, 1) >= PROMISING)
        pairs.append(np.column_stack((rows[a], others[a, b])))
    pairs = np.concatenate(pairs)
    for some in np.split(pairs, range(512, len(pairs), 512)):
        if not len(some):
            continue
        a, b = some.T
        fit = np.einsum("wpd,pd->wp", parts[:, a], middle[b])
        left, top, right, bottom = np.array(windows)[fit.argmax(0)].T
        zoom = np.maximum(right - left, bottom - top) / MIDDLE
        x, y = ((left + right) / 2 - 0.5) * SIDE, ((top + bottom) / 2 - 0.5) * SIDE
        start = np.column_stack((x, y, zoom, 0 * x)).astype("float32")
        likeness = _registered(copies, a, b, start)
        same = (likeness >= threshold) & ~copies.other_colours(a, b).diagonal()
        for once in (same & (a < b), same & (a > b)):
            found.add(a[once], b[once], likeness[once])


def _registered(copies, a, b, start):
    """Likeness (n,) of the middle of pictures b to what is at its best place in pictures a, where
    the two differ most; -1 where moving it there does not explain most of the difference.
    start: where to begin, (n, 4): shifts in pixels, zoom, turn in radians."""
    likeness = np.full(len(a), -1.0)
    place, roughly = _pair(copies, a, b, BLURS[0]).follow(start)
    near = roughly >= ROUGHLY
    if near.any():
        a, b, place = a[near], b[near], place[near]
        pair = _pair(copies, a, b, BLURS[1])
        place, after = pair.follow(place)
        unmoved = _Followed(copies, a, BLURS[1], np.ones(len(a)), pair.goal).at(_still(len(a)))[0]
        explained = 1 - after <= (1 - EXPLAINED) * (1 - _correlation(unmoved, pair.goal))
        difference = _unit(pair.at(place)[0]) - _unit(pair.goal)
        side = POINTS // PLACES
        squares = np.square(difference).reshape(len(a), PLACES, side, PLACES, side)
        worst = squares.mean((2, 4)).max((1, 2)) * POINTS**2
        likeness[near] = np.where(explained & pair.inside(place), 1 - worst / 2, -1)
    return likeness


def _pair(copies, a, b, blur):
    """Pictures a, in which the middle of pictures b is to be followed."""
    goal = _Followed(copies, b, blur, np.ones(len(b))).at(_still(len(b)))[0]
    return _Followed(copies, a, blur, copies.aspect[b] / copies.aspect[a], goal)


def _still(n):
    return np.tile(np.array([0, 0, 1, 0], "float32"), (n, 1))


def _correlation(a, b):
    return (_unit(a) * _unit(b)).sum(1)


class _Followed:
    """Blurred copies, and a square grid of points in each that can be moved.
    ratio: (n,), the aspect of what is looked for by that of these pictures; goal: the grey values
    of what is looked for, (n, POINTS²)."""

    def __init__(self, copies, rows, blur, ratio, goal=None):
        from scipy.ndimage import gaussian_filter

        self.goal = goal

        grey = gaussian_filter(copies.grey[rows], (0, blur, blur), mode="nearest")
        changes = np.gradient(grey, axis=(2, 1))
        self.pixels = np.stack((grey, *changes), 3).reshape(-1, 3)
        grid = np.linspace(-0.5, 0.5, POINTS, dtype="float32") * MIDDLE * SIDE
        across, down = (points.ravel() for points in np.meshgrid(grid, grid))
        self.u = across * (ratio / np.maximum(ratio, 1))[:, None]
        self.v = down / np.maximum(ratio, 1)[:, None]
        aspect = copies.aspect[rows][:, None]  # the copies are squares, the pictures are not
        self.turned_u, self.turned_v = -self.v / aspect, self.u * aspect

    def where(self, place):
        """The points in pixels, x and y (n, POINTS²), at places (n, 4)."""
        x, y, zoom, turn = place.T[:, :, None]
        x = (SIDE - 1) / 2 + x + zoom * self.u + turn * self.turned_u
        y = (SIDE - 1) / 2 + y + zoom * self.v + turn * self.turned_v
        return x, y

    def inside(self, place):
        """Whether all points lie in the picture, or next to it: bool (n,)."""
        x, y = self.where(place)
        return (np.minimum(x, y).min(1) > -2) & (np.maximum(x, y).max(1) < SIDE + 1)

    def at(self, place):
        """Grey values and their changes across and down: three of (n, POINTS²)."""
        x, y = (points.clip(0, SIDE - 1.001) for points in self.where(place))
        left, top = x.astype(int), y.astype(int)
        x, y = (x - left)[:, :, None], (y - top)[:, :, None]
        corner = (np.arange(len(left))[:, None] * SIDE + top) * SIDE + left
        upper = self.pixels[corner] * (1 - x) + self.pixels[corner + 1] * x
        lower = self.pixels[corner + SIDE] * (1 - x) + self.pixels[corner + SIDE + 1] * x
        return np.moveaxis(upper * (1 - y) + lower * y, 2, 0)

    def follow(self, place, steps=5):
        """The places near `place` where the points are most like the goal, and how much: Gauss and
        Newton's steps, in which the goal may be brighter or of more contrast."""
        best, likeness = place, np.full(len(place), -1.0)
        for _ in range(steps):
            now, across, down = self.at(place)
            found = _correlation(now, self.goal)
            better = found > likeness
            best = np.where(better[:, None], place, best)
            likeness = np.where(better, found, likeness)
            zoomed = across * self.u + down * self.v
            turned = across * self.turned_u + down * self.turned_v
            system = np.stack((across, down, zoomed, turned, -self.goal, now), 2)
            system -= system.mean(1, keepdims=True)
            system, rest = system[:, :, :5], -system[:, :, 5]
            square = np.einsum("nki,nkj->nij", system, system)
            square += np.eye(5) * (1e-5 * np.trace(square, axis1=1, axis2=2)[:, None, None] + 1e-6)
            step = np.linalg.solve(square, np.einsum("nki,nk->ni", system, rest)[:, :, None])
            place = (place + step[:, :4, 0].clip(*FARTHEST)).clip(*LIMITS).astype("float32")
        return best, likeness
