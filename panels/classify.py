"""Classify pictures from an address, from files or from the samples."""

import base64
import html
import io
import time
from functools import cache, lru_cache

import ipywidgets

from helpers.images import load_image, sample_names
from helpers.models import REGISTRY, WeightsUnavailable, has_weights, load_classifier
from panels._common import (
    LABELS,
    Worker,
    alert_html,
    bar_table,
    fetch_web,
    figure_html,
    network_input_html,
    persist_values,
    readable,
    receive_files,
    wrapping_row,
)
from safeguards.pictures import ImageError

MAX_ANSWERS = 10  # a picture
THUMBNAIL = (240, 240)  # pixels of a classified picture
SAMPLE_THUMBNAIL = (76, 56)  # pixels of a picture on a sample's button
SAMPLE_QUALITY = 80  # of their JPEG

# a classifier's name and classes → the pictures its panel showed last, for this session
_last_pictures = {}


def classify_widget(classifier, top=5, threshold=0.0):
    """A panel that classifies pictures from a web address, from files or samples.

    It uses this classifier or any model whose weights are on this machine. In a cell
    that is run again it shows the same pictures.

    classifier: a `Classifier`; top: how many answers, 1…10; threshold: 0…1, the panel
    says that it isn't sure below it. Returns an ipywidgets VBox with the attributes
    `address` (Enter or leaving it starts), `button`, `upload` (a new one after files
    that were too large), `limit`, which tells of them, `sample`, `model`, `top`,
    `threshold` and `result`, where errors are told, too. Raises ValueError if top or
    threshold is out of range.
    """
    if not (1 <= top <= MAX_ANSWERS and 0 <= threshold <= 1):
        raise ValueError(
            f"top is {top}, threshold {threshold}: give 1…{MAX_ANSWERS} and 0…1."
        )
    panel = _make_widgets(classifier, top, threshold)
    worker = Worker(panel.result, panel.button)
    key = (classifier.name, tuple(classifier.classes))
    pictures = _last_pictures.get(key, [])  # (name, sample, bytes or ImageError) each
    chosen = classifier
    answers = []

    def classify(new=None):
        nonlocal pictures, answers
        pictures = new or pictures
        _last_pictures[key] = pictures
        count = "" if len(pictures) < 2 else f" {len(pictures)}"
        with worker.busy(f"Classifying{count} …"):
            answers = [_answer(name, source, chosen) for name, source in pictures]
        draw()

    def draw(_=None):
        sections = [
            answer(panel.top.value, panel.threshold.value) for answer in answers
        ]
        panel.result.value = "<hr>".join(sections)

    def classify_address():
        url = panel.address.value.strip()
        panel.sample.value = None
        with worker.busy("Fetching the picture …"):
            try:
                fetched = fetch_web(url)
            except ImageError as error:
                fetched = error
        classify([(url, fetched)])

    def on_button():
        if pictures and not panel.address.value.strip():
            classify()
        else:
            classify_address()

    def on_address(change):
        if change["new"].strip():
            classify_address()

    def on_sample(change):
        name = change["new"]
        if name:
            panel.address.value = ""  # which starts nothing
            classify([(name, name)])

    def on_upload(change):
        files = change["new"]
        if files:
            panel.upload.value = ()  # so that the same file can be chosen again
            panel.sample.value = None
            panel.address.value = ""
            classify([(file["name"], bytes(file["content"])) for file in files])

    def on_model(_=None):
        nonlocal chosen
        name = panel.model.value
        if name == chosen.name:
            return
        problem = ""
        with worker.busy(f"Loading {name} …"):
            try:
                chosen = classifier if name == classifier.name else _load_model(name)
            except WeightsUnavailable as error:
                problem = alert_html(error, "No model")
        panel.model.value = chosen.name  # the former one if there was a problem
        classify()
        panel.result.value = problem + panel.result.value

    persist_values(
        ("classify", *key),
        address=panel.address,
        sample=panel.sample,
        model=panel.model,
        top=panel.top,
        threshold=panel.threshold,
    )
    worker.on_click(on_button)
    worker.observe(panel.address, on_address)
    worker.observe(panel.sample, on_sample)
    receive_files(panel, worker, on_upload)
    worker.observe(panel.model, on_model)
    worker.observe(panel.top, draw)
    worker.observe(panel.threshold, draw)
    if pictures:
        classify()
    on_model()  # which does nothing unless another model was chosen before
    return panel


def _make_widgets(classifier, top, threshold):
    """The panel with its widgets, laid out and labelled, without what they do."""
    panel = ipywidgets.VBox()
    panel.address = ipywidgets.Text(description="Address", placeholder="https://…")
    panel.address.continuous_update = False  # a change is Enter, or leaving the field
    panel.button = ipywidgets.Button(description="Classify", icon="search")
    panel.button.button_style = "primary"
    panel.upload = ipywidgets.FileUpload(description="Choose files", multiple=True)
    panel.upload.accept = "image/*"
    panel.sample = ipywidgets.ToggleButtons(description="or a sample")
    panel.sample.options = sample_names()
    panel.sample.value = None
    panel.sample.add_class("sample-pictures")
    others = [name for name in REGISTRY if name != classifier.name]
    names = [classifier.name, *filter(has_weights, others)]
    panel.model = ipywidgets.Dropdown(description="Model", options=names)
    panel.top = ipywidgets.IntSlider(top, 1, MAX_ANSWERS, description="Answers")
    panel.threshold = ipywidgets.FloatSlider(threshold, min=0, max=1, step=0.05)
    panel.threshold.description = "Not sure below"
    panel.result = ipywidgets.HTML()

    tooltips = {
        panel.address: "Address of a picture on the web; Enter classifies it",
        panel.button: "Classify this address, or the pictures below once more",
        panel.upload: "Choose one or several pictures of your own",
        panel.sample: "Classify one of the samples",
        panel.model: "Models whose weights are on this machine",
        panel.top: "How many answers are shown",
        panel.threshold: "Answers less probable than this count as not sure",
    }
    for widget, tooltip in tooltips.items():
        widget.tooltip = tooltip
        widget.layout.max_width = "100%"
        if widget not in (panel.button, panel.upload):
            widget.style = LABELS
    panel.address.layout.width = "34em"
    # Five pictures a row, or what a phone has room for.
    panel.sample.layout.max_width = "min(100%, 600px)"
    files = ipywidgets.HTML(description="or your files", style=LABELS)
    panel.limit = ipywidgets.HTML()
    panel.children = [
        wrapping_row(panel.address, panel.button),
        wrapping_row(files, panel.upload, panel.limit),
        panel.sample,
        panel.model,
        wrapping_row(panel.top, panel.threshold),
        panel.result,
        ipywidgets.HTML(_sample_styles()),
    ]
    return panel


@lru_cache(maxsize=2)  # to go to and fro between; more could fill the memory
def _load_model(name):
    return load_classifier(name)


def _answer(name, source, classifier):
    """Classify one picture.

    source: what `load_image` takes, or the ImageError that was met when fetching it.
    Returns a function of (top, threshold) that gives the picture's section as HTML, so
    that the sliders need no new prediction.
    """
    try:
        if isinstance(source, ImageError):
            raise source
        image = load_image(source)
    except ImageError as error:
        message = str(error)
        if not message.startswith(name):  # where it does, it is about the address
            message = f"{name}: {message}"
        failed = alert_html(message)
        return lambda top, threshold: failed
    started = time.perf_counter()
    predictions = classifier.predict(image, MAX_ANSWERS)
    seconds = time.perf_counter() - started
    thumbnail = image.copy()
    thumbnail.thumbnail(THUMBNAIL)
    figures = figure_html(thumbnail, f"Classified: {name}", name)
    figures += network_input_html(image, classifier)
    judged = getattr(predictions, "judged", None)
    footer = (
        f"<p>Prepared and classified in {seconds:.2f} s by "
        f"{html.escape(classifier.name)}, which knows {len(classifier.classes)} "
        f"classes{' and none called “none of these”' if judged is None else ''}.</p>"
    )

    def section(top, threshold):
        return (
            "<div style='display: flex; flex-wrap: wrap; gap: 1em; line-height: 1.5'>"
            f"{figures}<div style='flex: 1 1 300px'>"
            f"<p role='status'>{_summary(predictions[0], threshold, judged)}</p>"
            f"{bar_table(predictions[:top], threshold)}{footer}</div></div>"
        )

    return section


def _summary(best, threshold, judged):
    """The best `Prediction` as HTML, marked if it is below the threshold, or if the
    picture is like nothing that the classifier learned from.

    judged: a `Judged`, or None where the classifier can't tell."""
    answer = html.escape(f"{readable(best.name)} {best.probability:.2f}")
    if judged is not None and judged.unlike:
        return f"<b>Like nothing it learned from.</b> Of its classes, {answer}."
    if best.probability < threshold:
        return f"<b>Not sure: below {threshold:.2f}.</b> The likeliest is {answer}."
    return f"<b>{answer}</b>"


@cache
def _sample_styles():
    """A style sheet that puts each sample's picture on its button, above the name."""
    rules = (
        ".sample-pictures .widget-toggle-button { width: 118px; height: 84px;"
        " margin: 0; padding: 62px 0 0; line-height: 20px;"
        " background: no-repeat center 5px }"
        ".sample-pictures > label.widget-label { display: inline-block;"
        " text-align: right }"
        ".sample-pictures .mod-active { outline: 3px solid; outline-offset: -3px }"
        ".sample-pictures .mod-active::before { content: '✓ ' }"
    )
    for name in sample_names():
        image = load_image(name)
        image.thumbnail(SAMPLE_THUMBNAIL)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=SAMPLE_QUALITY)
        data = base64.b64encode(file.getvalue()).decode()
        rules += (
            f".sample-pictures [data-value='{name}']"
            f" {{ background-image: url(data:image/jpeg;base64,{data}) }}"
        )
    return f"<style>{rules}</style>"
