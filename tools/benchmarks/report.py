"""What the benchmarks share: ratios with their spread, tables and charts, and a toy to
try them."""

import argparse
import os
import shutil
from typing import NamedTuple

import numpy as np
from PIL import Image

from helpers.datasets import load_dataset
from helpers.images import ResizeRule
from helpers.models import DEFAULT, Classifier, has_weights, load_classifier
from helpers.plots import COLOURS
from safeguards.scaling import unchanged
from safeguards.whole_files import atomic_write

PALETTE = 32  # colours of a chart


class Ratio(NamedTuple):
    """One time over another: the median of n rounds, and the middle half of them, which
    of one round says nothing and is not shown."""

    value: float
    low: float
    high: float
    n: int

    def __repr__(self):
        spread = f" ({short(self.low)}–{short(self.high)})" if self.n > 1 else ""
        return f"{short(self.value)}{spread}, n = {self.n}"


class Part(NamedTuple):
    """What a benchmark found. text: what was compared, Markdown; rows: dicts with the
    same keys, the table; figure: the chart, or None; alt: what it shows, for who cannot
    see it."""

    title: str
    text: str
    rows: list
    figure: object = None
    alt: str = ""


def ratio(over, under):
    """Two arrays of seconds, (n,), of the same rounds → `Ratio`. Each round is divided
    by itself: what disturbed the machine then disturbed both."""
    found = np.divide(over, under)
    return Ratio(*map(float, np.percentile(found, (50, 25, 75))), len(found))


def short(value):
    """A number with three digits, or all those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def table(rows):
    """Dicts with the same keys as a Markdown table."""
    lines = [[*rows[0]], ["---"] * len(rows[0]), *([*row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def in_words(part):
    """A `Part` as Markdown, without its chart: title, text and table."""
    return f"{part.title}\n\n{part.text}\n\n{table(part.rows)}"


def axes_of(figure, columns=1):
    """The axes of a figure, side by side, with a light grid behind what is drawn."""
    found = figure.subplots(1, columns, squeeze=False).ravel()
    for axes in found:
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
    return found


def ratio_bars(axes, groups, xlabel, title):
    """Draw `Ratio`s as horizontal bars, the middle half as a line: {group: {name:
    Ratio}}, a group a network. At 1 both take the same time."""
    rows = [
        (f"{name}\n{group}", found)
        for group, of in groups.items()
        for name, found in of.items()
    ]
    names = list(next(iter(groups.values())))
    colours = [
        COLOURS[names.index(name) % len(COLOURS)]
        for of in groups.values()
        for name in of
    ]
    values = np.array([found[:3] for _, found in rows])
    spread = np.abs(values[:, 1:] - values[:, :1]).T
    drawn = axes.barh(
        range(len(rows)), values[:, 0], xerr=spread, color=colours, ecolor="0.3"
    )
    axes.bar_label(drawn, [short(value) for value in values[:, 0]], padding=4)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize="small")
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.axvline(1, color="0.3", linestyle="--")
    axes.set(xlabel=xlabel, title=title)


def grown(curves, what, measured, yscale="linear"):
    """How something grows: {name: {number: Ratio to the smallest number}} → the rows,
    figure and alt text of a `Part`. what: the numbers are of; measured: of what the
    ratios are."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 3.4), layout="constrained")
    axes, numbers = axes_of(figure)[0], [*next(iter(curves.values()))]
    for (name, of), colour, mark in zip(curves.items(), COLOURS, "os^Dv", strict=False):
        value, low, high, _ = np.transpose([*of.values()])
        style = {"marker": mark, "color": colour, "capsize": 3, "label": name}
        axes.errorbar(numbers, value, [value - low, high - value], **style)
    axes.axhline(1, color="0.3", linestyle="--")
    unit = f"{measured} (1: with {numbers[0]:,})"
    axes.set(
        xscale="log", yscale=yscale, xlabel=what, ylabel=unit, title=f"More {what}"
    )
    axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
    axes.minorticks_off()
    if yscale == "linear":
        axes.set_ylim(bottom=0)
    else:
        axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(fontsize="small")
    rows = [
        {unit: name} | {f"{number:,} {what}": of[number] for number in numbers[1:]}
        for name, of in curves.items()
    ]
    ends = ", ".join(
        f"{name} {short(of[numbers[-1]].value)}" for name, of in curves.items()
    )
    return rows, figure, f"Lines, {unit}, over {what}. With {numbers[-1]:,}: {ends}."


def said(groups):
    """The bars of `ratio_bars` in words, for its alt text."""
    return "; ".join(
        f"{group}: "
        + ", ".join(f"{name} {short(found.value)}" for name, found in of.items())
        for group, of in groups.items()
    )


def write(parts, top, folder):
    """Write {name: Part} as RESULTS.md, below `top`, and charts into a folder. Each
    file appears whole or not at all, the text last. Raises an OSError."""
    texts = [top]
    for name, part in parts.items():
        texts.append(f"## {in_words(part)}")
        if part.figure is not None:
            with atomic_write(folder / "charts" / f"{name}.png") as file:
                part.figure.savefig(file, dpi=72, bbox_inches="tight")
                _use_palette(file)
            texts.append(f"![{part.alt}](charts/{name}.png)")
    with atomic_write(folder / "RESULTS.md") as file:
        file.write_text("\n\n".join(texts) + "\n", encoding="utf-8", newline="\n")


def _use_palette(file):
    """Write a PNG again with a palette: a chart's few colours take a quarter of the
    bytes so."""
    with Image.open(file) as image:
        image = image.convert("RGB")
    image = image.quantize(PALETTE, dither=Image.Dither.NONE)
    image.save(file, "PNG", optimize=True)


def toy(size=16, classes=("desktop", "handheld", "laptop", "other")):
    """A `Classifier` of three layers with random weights: quick, and right about
    nothing."""
    from helpers import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu")(
        keras.layers.Rescaling(1 / 255)(inputs)
    )
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(x))
    network = keras.Model(inputs, keras.layers.Dense(len(classes))(x))
    return Classifier(
        "toy", network, size, ResizeRule(), unchanged, tuple((c, c) for c in classes)
    )


def classifiers(quick):
    """What is compared with: the default network, and MobileNetV2 where its weights
    are; or a toy."""
    if quick:
        return [toy()]
    return [
        load_classifier(name) for name in (DEFAULT, "mobilenet_v2") if has_weights(name)
    ]


def linked(folder, count):
    """A new folder with `count` names for the training pictures of computers, in turns:
    hard links to one copy of each."""
    originals = load_dataset().train.paths
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:06}.jpg"
        if number < len(originals):
            shutil.copyfile(originals[number], path)
        else:
            os.link(folder / f"{number % len(originals):06}.jpg", path)
    return folder


def alone(measure, about):
    """The command line of one benchmark: prints its table, and writes nothing."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="try it, on a toy, instead of measuring"
    )
    part = measure(parser.parse_args().quick)
    print(in_words(part))
