"""Interactive parts for the lessons (ipywidgets 8)."""

import html

import ipywidgets

from helpers.images import ImageError, fetch, load_image, sample_names
from helpers.plots import bars, image_tag


def classify_widget(classifier, top=5):
    """A panel that classifies a picture from a web address or a sample.
    classifier: what `load_classifier` returns; top: how many bars. Returns an ipywidgets VBox with
    the parts `address` (Enter starts it), `button`, `sample` and `result` (errors too)."""
    address = ipywidgets.Text(description="Address", placeholder="https://…")
    address.layout.width = "30em"
    address.continuous_update = False  # the value comes with Enter, or when the field is left
    button = ipywidgets.Button(description="Classify", icon="search", button_style="primary")
    sample = ipywidgets.Dropdown(
        description="or a sample", options=[("choose …", None), *((n, n) for n in sample_names())]
    )
    result = ipywidgets.HTML()

    def classify(name, read):
        button.disabled = True  # a click that also leaves the field starts it only once
        result.value = "<p role='status'>Working …</p>"
        try:
            image = read(name)
            predictions = classifier.predict(image, top)
        except ImageError as error:
            result.value = f"<p role='alert'><b>No picture:</b> {html.escape(str(error))}</p>"
        else:
            guesses = ", ".join(f"{p.name} {p.probability:.2f}" for p in predictions)
            image.thumbnail((320, 320))
            chart = bars(predictions, f"What {classifier.name} sees")
            alt = f"Bar chart of the top {len(predictions)}: {guesses.replace('_', ' ')}"
            result.value = image_tag(image, f"Classified: {name}") + image_tag(chart, alt)
        finally:
            button.disabled = False

    def by_address(_):
        if url := address.value.strip():
            sample.value = None
            # Through fetch: what is typed here is an address, never a path on this machine.
            classify(url, lambda url: load_image(fetch(url)))
        else:
            result.value = "<p role='alert'>Type or paste the address of a picture first.</p>"

    button.on_click(by_address)
    address.observe(by_address, "value")
    sample.observe(lambda change: change["new"] and classify(change["new"], load_image), "value")
    panel = ipywidgets.VBox([ipywidgets.HBox([address, button]), sample, result])
    panel.address, panel.button, panel.sample, panel.result = address, button, sample, result
    return panel
