"""Figures every reader gets: a title, labelled axes, and a text for who cannot see them."""

import base64
import html
import io

BLUE, ORANGE = "#0072B2", "#D55E00"  # Okabe and Ito (2008): told apart with any colour vision


def image_tag(picture, alt, width=None):
    """An HTML <img> that holds the picture itself.

    picture: a PIL image or a matplotlib figure; alt: what it shows, for readers who cannot see
    it; width: CSS pixels, None for its own size. ValueError where alt is empty.
    """
    if not alt.strip():
        raise ValueError("Say in alt what the picture shows, for readers who cannot see it.")
    buffer = io.BytesIO()
    if hasattr(picture, "savefig"):
        picture.savefig(buffer, format="png", dpi=72, bbox_inches="tight")
    else:
        picture.save(buffer, format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    style = f' width="{width}"' if width else ""
    return f'<img alt="{html.escape(alt)}"{style} src="data:image/png;base64,{data}">'


def show(picture, alt, width=None):
    """Display a figure or a PIL image with its alt text, and close the figure.

    Jupyter's own display of figures carries no alt text; this HTML reaches JupyterLab, web pages
    and exports alike. Arguments as for `image_tag`.
    """
    from IPython.display import HTML, display

    display(HTML(image_tag(picture, alt, width)))
    if hasattr(picture, "savefig"):
        import matplotlib.pyplot as plt

        plt.close(picture)


def bars(predictions, title):
    """A matplotlib figure of horizontal bars, one a `Prediction`, the likeliest on top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 0.5 + 0.35 * len(predictions)))
    axes = figure.add_subplot()
    drawn = axes.barh(range(len(predictions)), [p.probability for p in predictions], color=BLUE)
    axes.bar_label(drawn, fmt="%.2f", padding=3)
    axes.set_yticks(range(len(predictions)), [p.name.replace("_", " ") for p in predictions])
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.1), xlabel="probability", title=title)
    return figure
