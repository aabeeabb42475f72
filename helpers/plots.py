"""Figures that every reader gets: titles, axis labels and a description in words."""

import base64
import html
import io
import math
from textwrap import wrap

import numpy as np
from PIL import Image

# Okabe and Ito (2008): told apart with any colour vision.
BLUE = "#0072B2"
ORANGE = "#D55E00"
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#56B4E9")  # and green, pink, sky blue

WIDTH = 8  # of a figure, in inches
DPI = 96  # pixels per inch of a figure's size
PALETTE = 256  # colours of a figure's PNG: a third of the bytes, and looks the same
# Confusion matrices of more classes get smaller cells, in inches.
MANY_CLASSES = 8
CELL = 0.8
SMALL_CELL = 0.4
LONG_NAME = 10  # letters: more don't fit side by side below the columns
NARROW = 1.4  # the least width of a picture in a gallery, in inches
LINE_HEIGHT = 0.3  # of the titles over its pictures, in inches
TITLE_HEIGHT = 0.4  # of its own title, in inches
TITLE_WIDTH = 20  # letters per line over a picture of a gallery


def image_tag(picture, alt, width=None):
    """An HTML <img> that holds a PIL image or a matplotlib figure.
    alt: what it shows, for readers who can't see it; width: CSS pixels, None: its own.
    ValueError without alt."""
    if not alt.strip():
        raise ValueError(
            "Say in alt what the picture shows, for readers who cannot see it."
        )
    if hasattr(picture, "savefig"):
        picture = _drawn(picture).quantize(PALETTE)
    png = io.BytesIO()
    picture.save(png, "png", optimize=True)
    data = base64.b64encode(png.getvalue()).decode()
    size = f' width="{width}"' if width else ""
    return f'<img alt="{html.escape(alt)}"{size} src="data:image/png;base64,{data}">'


def _drawn(figure):
    """A matplotlib figure as an RGB PIL image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(DPI)
    # Not savefig, which draws it twice where there's a layout, and compresses it.
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def show(picture, alt, width=None):
    """Display an `image_tag`; unlike Jupyter's own display it has an alt text."""
    import matplotlib.pyplot as plt
    from IPython.display import HTML, display

    display(HTML(image_tag(picture, alt, width)))
    if hasattr(picture, "savefig"):
        plt.close(picture)  # otherwise Jupyter shows it once more


def subplots(rows=1, columns=1, height=3.5, title=None):
    """A matplotlib figure in the style of the lessons and its axes, to draw into.
    rows, columns: of axes; height: of the whole figure, in inches; title: its finding.
    Returns (figure, axes); axes are one `Axes`, or an array of them, as
    `matplotlib.pyplot.subplots` returns them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    if title:
        figure.suptitle(title)
    axes = figure.subplots(rows, columns)
    for each in np.ravel(axes):
        each.spines[["top", "right"]].set_visible(False)
        each.set_prop_cycle(color=COLOURS)
    return figure, axes


def confusion_figure(matrix, classes, title):
    """A matplotlib figure of a confusion matrix: rows are the truth, columns answers.
    matrix: ints (n, n), as `sklearn.metrics.confusion_matrix` returns them; classes: n
    names. ValueError where these don't fit together."""
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
    size = (max(WIDTH, width), height)
    figure = Figure(figsize=size, layout="constrained")
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
    if not 1 <= len(histories) <= len(COLOURS):
        raise ValueError(
            f"{len(histories)} runs: between 1 and {len(COLOURS)} can be told apart."
        )
    figure, (loss_axes, accuracy_axes) = subplots(1, 2)
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
    side = max(NARROW, WIDTH / columns)  # of a picture, in inches
    width = max(WIDTH, side * columns)
    height = TITLE_HEIGHT + (side + LINE_HEIGHT) * rows
    size = (width, height)
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
        # Without y matplotlib would look for ticks to stay clear of, for long.
        axes.set_title("\n".join(lines), fontsize="small", y=1)
    return _without_formulas(figure)


def _without_formulas(figure):
    """The figure with its texts as they are: $ in a class name begins no formula."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    return figure
