"""Figures every reader gets: a title, labelled axes, and a text for who cannot see them."""

import base64
import html
import io

BLUE, ORANGE = "#0072B2", "#D55E00"  # Okabe and Ito (2008): told apart with any colour vision


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
    return figure
