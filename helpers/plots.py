"""Figures that every reader gets: titles, axis labels and a description in words."""

import base64
import html
import io
import math
from textwrap import wrap

import numpy as np

# Okabe and Ito (2008): told apart with any colour vision.
BLUE = "#0072B2"
ORANGE = "#D55E00"
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#56B4E9")  # and green, pink, sky blue

DPI = 72  # pixels per inch of a figure's size
# Confusion matrices of more classes get smaller cells, in inches.
MANY_CLASSES = 8
CELL = 0.8
SMALL_CELL = 0.4
LONG_NAME = 10  # letters: more don't fit side by side below the columns
TITLE_WIDTH = 20  # letters per line over a picture of a gallery


def image_tag(picture, alt, width=None):
    """An HTML <img> that holds a PIL image or a matplotlib figure.
    alt: what it shows, for readers who can't see it; width: CSS pixels, None: its own.
    ValueError without alt."""
    if not alt.strip():
        raise ValueError(
            "Say in alt what the picture shows, for readers who cannot see it."
        )
    png = io.BytesIO()
    if hasattr(picture, "savefig"):
        picture.savefig(png, dpi=DPI, bbox_inches="tight")
    else:
        picture.save(png, "png")
    data = base64.b64encode(png.getvalue()).decode()
    size = f' width="{width}"' if width else ""
    return f'<img alt="{html.escape(alt)}"{size} src="data:image/png;base64,{data}">'


def show(picture, alt, width=None):
    """Display an `image_tag`; unlike Jupyter's own display it has an alt text."""
    import matplotlib.pyplot as plt
    from IPython.display import HTML, display

    display(HTML(image_tag(picture, alt, width)))
    if hasattr(picture, "savefig"):
        plt.close(picture)  # otherwise Jupyter shows it once more


def confusion_figure(matrix, classes, title):
    """A matplotlib figure of a confusion matrix: rows are the truth, columns answers.
    matrix: ints (n, n), as `helpers.evaluate.confusion` returns; classes: n names.
    ValueError where these don't fit together."""
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay

    matrix = np.asarray(matrix)
    side = len(classes)
    if matrix.shape != (side, side):
        raise ValueError(
            f"A matrix of shape {matrix.shape}, but names of {side} classes."
        )
    many = side > MANY_CLASSES
    cell = SMALL_CELL if many else CELL
    width = 1.8 + cell * side
    height = 1.2 + cell * side
    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    upright = many or max(map(len, classes)) > LONG_NAME
    drawing = ConfusionMatrixDisplay(matrix, display_labels=classes)
    drawing.plot(
        ax=axes,
        cmap="Blues",
        colorbar=False,
        values_format="d",
        xticks_rotation="vertical" if upright else "horizontal",
    )
    axes.set(title=title, xlabel="predicted", ylabel="true")
    return _without_formulas(figure)


def curves(histories, title):
    """A matplotlib figure of loss and accuracy over the epochs, of one run or several.
    Training is dashed, validation solid.
    histories: {name of the run: its Keras History, or a list or tuple of those of its
    stages, to be drawn one after the other}. ValueError where one lacks the loss or
    accuracy of training or validation, or for too many runs to tell apart."""
    from matplotlib.figure import Figure

    if not 1 <= len(histories) <= len(COLOURS):
        raise ValueError(
            f"{len(histories)} runs: between 1 and {len(COLOURS)} can be told apart."
        )
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    for metric, axes in (("loss", loss_axes), ("accuracy", accuracy_axes)):
        for (run, history), colour in zip(histories.items(), COLOURS, strict=False):
            _draw_run(axes, run, history, metric, colour)
        axes.set(title=f"{title}: {metric}", xlabel="epoch", ylabel=metric)
        axes.xaxis.get_major_locator().set_params(integer=True)
    accuracy_axes.legend(fontsize="small")
    return figure


def _draw_run(axes, run, history, metric, colour):
    """Draw one metric of a run, with dotted lines between its stages."""
    if not isinstance(history, list | tuple):
        history = [history]
    stages = [stage.history for stage in history]
    lines = (("training", metric, ".--"), ("validation", f"val_{metric}", ".-"))
    for pictures, key, style in lines:
        for stage in stages:
            if key not in stage:
                known = ", ".join(stage)
                raise ValueError(f"The run {run!r} has no {key}, only {known}.")
        values = np.concatenate([stage[key] for stage in stages])
        epochs = range(1, len(values) + 1)
        axes.plot(epochs, values, style, color=colour, label=f"{run}, {pictures}")
    last_epoch = 0
    for stage in stages[:-1]:
        last_epoch += len(stage[metric])
        axes.axvline(last_epoch + 0.5, color=colour, linestyle=":")


def gallery(images, titles, title, columns=8):
    """A matplotlib figure of many pictures in rows.
    images: a list of PIL images or arrays (height, width, 3); titles: a text for each;
    columns: pictures per row. ValueError without pictures, or with other titles than
    one for each."""
    from matplotlib.figure import Figure

    if not 0 < len(images) == len(titles):
        raise ValueError(
            f"{len(images)} pictures, {len(titles)} titles: give one title a picture."
        )
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    size = (1.4 * columns, 0.4 + 1.6 * rows)  # inches
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.set_axis_off()
    for axes, image, text in zip(cells, images, titles, strict=False):
        axes.imshow(image)
        lines = []
        for line in text.splitlines():
            lines += wrap(line, TITLE_WIDTH)
        axes.set_title("\n".join(lines), fontsize="small")
    return _without_formulas(figure)


def _without_formulas(figure):
    """The figure with its texts as they are: $ in a class name begins no formula."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    return figure
