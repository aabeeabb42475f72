"""What there is to say of pictures of a data set that show the same.

`pictures` are a `Pictures` of `helpers.pictures`, and what is known of each is its
`Fingerprint`."""

import numpy as np

from safeguards.look_alikes import SMALLEST, is_tiny, turned_pairs
from safeguards.text import counted


def told(folder, parts, known, pairs):
    """Ends of sentences that begin with a data set's name.

    parts: a list of `pictures`; known: of each part a list; pairs: (likeness, path,
    path) of pictures that look alike in different parts, the most alike first."""
    files = []
    for pictures, prints in zip(parts, known, strict=True):
        labels = pictures.labels.tolist()
        files += zip(pictures.paths, labels, prints, strict=True)
    return [
        *_of_parts(folder, pairs),
        *_of_turned(folder, parts, files),
        *_of_classes(folder, files),
        *_of_tiny(files),
    ]


def _of_parts(folder, pairs):
    """That pictures look like ones in other parts."""
    if not pairs:
        return []
    alike = set()
    for _, first, second in pairs:
        alike |= {first, second}
    likeness, first, second = pairs[0]
    return [
        f"at least {len(alike)} pictures look like one in another part, which may "
        f"flatter scores. Most alike: {first.relative_to(folder)} and "
        f"{second.relative_to(folder)} (likeness {likeness:.2f}). See "
        "find_near_duplicates."
    ]


def _of_turned(folder, parts, files):
    """That pictures are mirrored or turned copies of ones in other parts."""
    part_of_each = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    pairs = turned_pairs([known.look for *_, known in files], part_of_each)
    if not pairs:
        return []
    count = len({position for pair in pairs for position in pair})
    first, second = (files[position][0].relative_to(folder) for position in pairs[0])
    return [
        f"{count} pictures show the same as one in another part that was mirrored or "
        f"turned, such as {first} and {second}, which may flatter scores: remove one "
        "of each two."
    ]


def _of_classes(folder, files):
    """That files show the same in two classes."""
    first_of = {}  # key → {class: its first path}
    for path, label, known in files:
        first_of.setdefault(known.key, {}).setdefault(label, path)
    in_two = {key: first for key, first in first_of.items() if len(first) > 1}
    if not in_two:
        return []
    count = sum(known.key in in_two for _, _, known in files)
    first = next(iter(in_two.values())).values()
    named = " and ".join(str(path.relative_to(folder)) for path in first)
    return [
        f"{count} files show the same in two classes, such as {named}: remove the "
        "wrong one of each."
    ]


def _of_tiny(files):
    """That pictures are too small to be compared."""
    count = sum(is_tiny(known.look) for _, _, known in files)
    if not count:
        return []
    have = "has" if count == 1 else "have"
    return [
        f"{counted(count, 'picture')} {have} fewer than {SMALLEST} x {SMALLEST} "
        "pixels: of such, only exact copies count as one."
    ]


def too_few(pictures, label, count, n, keys, exact, alike):
    """What to say where a class has too few different pictures for n parts.

    count: how many it has that no class before it has; keys: what was to stay together;
    exact: keys of the same pixels; alike: pairs of paths that look alike."""
    is_own = pictures.labels == label
    is_before = (pictures.labels < label) & np.isin(keys, keys[is_own])
    before = [pictures.classes[i] for i in np.unique(pictures.labels[is_before])]
    joined = []
    if len(np.unique(exact[is_own])) >= n:  # there would be enough but for those alike
        own_paths = set(pictures[is_own].paths)
        joined = [pair for pair in alike if own_paths.intersection(pair)]
    alone = "those that look alike count once" if joined else "copies count once"
    if before:
        alone += f"; some show the same as pictures of {' and '.join(before)}: "
        alone += "remove the wrong ones"
    text = (
        f"{pictures.name} has {counted(count, 'different picture')} of "
        f"{pictures.classes[label]} ({alone}), too few for {n} parts: add some that "
        "show something else, or remove this class."
    )
    if joined:
        first, second = (path.name for path in joined[-1])
        text += (
            f" If {first} and {second} do not show the same, raise the threshold for "
            "the pairs."
        )
    return text
