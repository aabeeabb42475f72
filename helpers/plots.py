"""Figures every reader gets: a title, labelled axes, and a text for who cannot see them."""

import base64
import html
import io
from textwrap import wrap

import numpy as np

# Okabe and Ito (2008): told apart with any colour vision
BLUE, ORANGE, GREEN, PINK, SKY = COLOURS = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"


def image_tag(picture, alt, width=None):
    """An HTML <img> that holds a PIL image or a matplotlib figure.
    alt: what it shows, for who cannot see it, else ValueError; width: CSS pixels, None: its own."""
    if not alt.strip():
        raise ValueError("Say in alt what the picture shows, for readers who cannot see it.")
    buffer = io.BytesIO()
    if hasattr(picture, "savefig"):
        picture.savefig(buffer, dpi=72, bbox_inches="tight")
    else:
        picture.save(buffer, "png")
    size, data = f' width="{width}"' if width else "", base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}"{size} src="data:image/png;base64,{data}">'


def show(picture, alt, width=None):
    """Display what `image_tag` makes, with its alt text (Jupyter's own display has none)."""
    import matplotlib.pyplot as plt
    from IPython.display import HTML, display

    display(HTML(image_tag(picture, alt, width)))
    if hasattr(picture, "savefig"):
        plt.close(picture)  # else Jupyter shows it once more


def bars(predictions, title):
    """A matplotlib figure of horizontal bars, one a `Prediction`, the likeliest on top."""
    from matplotlib.figure import Figure

    figure, rows = Figure(figsize=(5, 0.5 + 0.35 * len(predictions))), range(len(predictions))
    axes = figure.add_subplot()
    drawn = axes.barh(rows, [p.probability for p in predictions], color=BLUE)
    axes.bar_label(drawn, fmt="%.2f", padding=3)
    axes.set_yticks(rows, [p.name.replace("_", " ") for p in predictions])
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.1), xlabel="probability", title=title)
    return _literal(figure)


def confusion_figure(matrix, classes, title):
    """A matplotlib figure of a confusion matrix: a row a true class, a column a predicted one.
    matrix: ints (n, n), as `helpers.evaluate.confusion` returns; classes: n names."""
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay

    matrix, side = np.asarray(matrix), len(classes)
    if matrix.shape != (side, side):
        raise ValueError(f"A matrix of shape {matrix.shape}, but names of {side} classes.")
    many = side > 8  # then the cells are smaller, and the names below them upright
    cell = 0.4 if many else 0.8
    figure = Figure(figsize=(1.8 + cell * side, 1.2 + cell * side))
    axes = figure.add_subplot()
    drawing = ConfusionMatrixDisplay(matrix, display_labels=classes)
    upright = "vertical" if many or max(map(len, classes)) > 10 else "horizontal"
    drawing.plot(ax=axes, cmap="Blues", colorbar=False, values_format="d", xticks_rotation=upright)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    return _literal(figure)


def curves(histories, title):
    """A matplotlib figure of loss and accuracy over the epochs, of one run or several.
    histories: {name of the run: its Keras History, or those of its stages in a list or tuple, which
    are drawn one after the other}. Training is dashed, validation solid. ValueError where one
    lacks loss, accuracy or their values on validation pictures."""
    from matplotlib.figure import Figure

    if not 1 <= len(histories) <= len(COLOURS):
        raise ValueError(f"{len(histories)} runs: between 1 and {len(COLOURS)} can be told apart.")
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    panels = dict(zip(("loss", "accuracy"), figure.subplots(1, 2), strict=True))
    for (name, run), colour in zip(histories.items(), COLOURS, strict=False):
        stages = [stage.history for stage in (run if isinstance(run, list | tuple) else [run])]
        for measure, axes in panels.items():
            for part, key, line in (("training", "", ".--"), ("validation", "val_", ".-")):
                if missing := [stage for stage in stages if key + measure not in stage]:
                    found = ", ".join(missing[0])
                    raise ValueError(f"The run {name!r} has no {key + measure}, only {found}.")
                values = np.concatenate([stage[key + measure] for stage in stages])
                epochs = range(1, len(values) + 1)
                axes.plot(epochs, values, line, color=colour, label=f"{name}, {part}")
            for end in np.cumsum([len(stage[measure]) for stage in stages])[:-1]:
                axes.axvline(end + 0.5, color=colour, linestyle=":")
    for measure, axes in panels.items():
        axes.set(title=f"{title}: {measure}", xlabel="epoch", ylabel=measure)
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels["accuracy"].legend(fontsize="small")
    return figure


def gallery(images, titles, title, columns=8):
    """A matplotlib figure of many pictures in rows. images: a list of PIL images or arrays (height,
    width, 3); titles: a text for each; columns: pictures a row. ValueError where there are none."""
    from matplotlib.figure import Figure

    if not 0 < len(images) == len(titles):
        raise ValueError(f"{len(images)} pictures, {len(titles)} titles: give one title a picture.")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.4 * columns, 0.4 + 1.6 * rows), layout="constrained")
    figure.suptitle(title)
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in places:
        axes.set_axis_off()
    for axes, image, text in zip(places, images, titles, strict=False):
        axes.imshow(image)
        lines = [part for line in text.splitlines() for part in wrap(line, 20)]
        axes.set_title("\n".join(lines), fontsize="small")
    return _literal(figure)


def _literal(figure):
    """The figure with its texts as they are: in the name of a class, $ begins no formula."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    return figure
