"""Classify a picture from an address or a sample."""

import html

import ipywidgets

from helpers.images import ImageError, fetch, load_image, sample_names
from helpers.plots import bars, image_tag


def classify_widget(classifier, top=5):
    """A panel that classifies a picture from a web address or a sample.
    classifier: what `load_classifier` returns; top: how many bars. Returns an ipywidgets VBox with
    the parts `address` (Enter starts it), `button`, `sample` and `result` (errors too)."""
    address = ipywidgets.Text(description="Address", placeholder="https://…")
    address.layout.width, address.continuous_update = "30em", False  # value: on Enter or leaving
    button = ipywidgets.Button(description="Classify", icon="search", button_style="primary")
    options = [("choose …", None), *((name, name) for name in sample_names())]
    sample = ipywidgets.Dropdown(description="or a sample", options=options)
    result = ipywidgets.HTML()

    def classify(name, read):
        if name == sample.value:
            address.value = ""  # which starts nothing
        button.disabled = True  # a click that also leaves the field starts it only once
        result.value = "<p role='status'>Working …</p>"
        try:
            predictions = classifier.predict(image := read(name), top)
            said = str(predictions)[1:-1].replace("_", " ")
            alt = f"Bar chart of the top {len(predictions)}: {said}"
            chart = bars(predictions, f"What {classifier.name} sees")
            image.thumbnail((320, 320))
            result.value = image_tag(image, f"Classified: {name}") + image_tag(chart, alt)
        except ImageError as error:
            result.value = f"<p role='alert'><b>No picture:</b> {html.escape(str(error))}</p>"
        finally:
            button.disabled = False

    def by_address(_):
        sample.value = None
        classify(address.value.strip(), _read_address)

    button.on_click(by_address)
    address.observe(lambda change: change["new"].strip() and by_address(change), "value")
    sample.observe(lambda change: change["new"] and classify(change["new"], load_image), "value")
    panel = ipywidgets.VBox([ipywidgets.HBox([address, button]), sample, result])
    panel.address, panel.button, panel.sample, panel.result = address, button, sample, result
    return panel


def _read_address(url):  # through fetch, so that no path on this machine is read
    if not url.lower().startswith(("http://", "https://")):
        raise ImageError("Give an http:// or https:// address. For your own file see Now yours.")
    return load_image(fetch(url))
