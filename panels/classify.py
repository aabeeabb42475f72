"""Classify pictures from an address, from files or from the samples."""

import base64
import html
import io
import time
from functools import cache, lru_cache, partial

import ipywidgets

from helpers.images import load_image, sample_names
from helpers.models import REGISTRY, WeightsUnavailable, has_weights, load_classifier
from panels._parts import LABELS, Work, alert, bar_table, fetch_web, figure, remember, seen
from safeguards.pictures import ImageError

MOST = 10  # answers a picture


def classify_widget(classifier, top=5, threshold=0.0):
    """A panel that classifies pictures from a web address, from files or from the samples, with
    this classifier or any model whose weights are on this machine; in a cell that is run again it
    shows the same pictures.
    classifier: a `Classifier`; top: how many answers, 1…10; threshold: 0…1, the panel calls itself
    not sure below it. Returns an ipywidgets VBox with the parts `address` (Enter or leaving it
    starts), `button`, `upload`, `sample`, `model`, `top`, `threshold` and `result`, where errors
    are told, too. ValueError where top or threshold is out of range."""
    if not (1 <= top <= MOST and 0 <= threshold <= 1):
        raise ValueError(f"top is {top}, threshold {threshold}: give 1…{MOST} and 0…1.")
    others = [name for name in REGISTRY if name != classifier.name]
    names = [classifier.name, *filter(has_weights, others)]
    panel = ipywidgets.VBox()
    panel.address = address = ipywidgets.Text(description="Address", placeholder="https://…")
    address.continuous_update = False  # value: on Enter or leaving
    panel.button = button = ipywidgets.Button(description="Classify", icon="search")
    panel.upload = upload = ipywidgets.FileUpload(description="Choose files", multiple=True)
    panel.sample = sample = ipywidgets.ToggleButtons(description="or a sample")
    sample.options, sample.value = sample_names(), None
    panel.model = model = ipywidgets.Dropdown(description="Model", options=names)
    panel.top = ipywidgets.IntSlider(top, 1, MOST, description="Answers")
    panel.threshold = ipywidgets.FloatSlider(threshold, min=0, max=1, step=0.05)
    panel.threshold.description = "Not sure below"
    panel.result = result = ipywidgets.HTML()
    work = Work(result, button)
    chosen, answers, about = classifier, [], (classifier.name, tuple(classifier.classes))
    pictures = _pictures.get(about, [])  # (name, sample, bytes or ImageError) each

    def classify(new=None):
        nonlocal pictures
        pictures = _pictures[about] = new or pictures
        with work("Classifying …" if len(pictures) < 2 else f"Classifying {len(pictures)} …"):
            answers[:] = [_answer(name, source, chosen) for name, source in pictures]
        draw()

    def draw(_=None):
        values = panel.top.value, panel.threshold.value
        result.value = "<hr>".join(answer(*values) for answer in answers)

    def by_address():
        url, sample.value = address.value.strip(), None
        with work("Fetching the picture …"):
            try:
                fetched = fetch_web(url)
            except ImageError as error:
                fetched = error
        classify([(url, fetched)])

    def by_click():
        classify() if pictures and not address.value.strip() else by_address()

    def by_sample(change):
        if name := change["new"]:
            address.value = ""  # which starts nothing
            classify([(name, name)])

    def by_upload(change):
        if files := change["new"]:
            upload.value = ()  # so that the same file can be chosen again
            sample.value, address.value = None, ""
            classify([(file["name"], bytes(file["content"])) for file in files])

    def choose(_=None):
        nonlocal chosen
        if model.value == chosen.name:
            return
        problem, own = "", model.value == classifier.name
        with work(f"Loading {model.value} …"):
            try:
                chosen = classifier if own else _loaded(model.value)
            except WeightsUnavailable as error:
                problem = alert(error, "No model")
        model.value = chosen.name
        classify()
        result.value = problem + result.value

    remember(("classify", *about), address=address, sample=sample, model=model,
             top=panel.top, threshold=panel.threshold)  # fmt: skip
    work.on_click(by_click)
    work.observe(address, lambda change: change["new"].strip() and by_address())
    work.observe(sample, by_sample)
    work.observe(upload, by_upload)
    work.observe(model, choose)
    work.observe(panel.top, draw)
    work.observe(panel.threshold, draw)
    if pictures:
        classify()
    choose()  # which does nothing unless another model was chosen before
    button.button_style, upload.accept = "primary", "image/*"
    sample.add_class("sample-pictures")
    for part, tip in (
        (address, "Address of a picture on the web; Enter classifies it"),
        (button, "Classify this address, or the pictures below once more"),
        (upload, "Choose one or several pictures of your own"),
        (sample, "Classify one of the samples"),
        (model, "Models whose weights are on this machine"),
        (panel.top, "How many answers are shown"),
        (panel.threshold, "Answers less probable than this count as not sure"),
    ):
        part.tooltip, part.layout.max_width = tip, "100%"
        if part not in (button, upload):
            part.style = LABELS
    address.layout.width = "34em"
    # Five pictures a row, or what a phone has room for.
    sample.layout.max_width = "min(100%, 600px)"
    files = ipywidgets.HTML(description="or your files", style=LABELS)
    limit = ipywidgets.HTML(
        "Up to 10 MB at once, from make lab and make app 64 MB: more does not arrive."
    )
    row = partial(ipywidgets.HBox, layout=ipywidgets.Layout(flex_flow="row wrap"))
    panel.children = [
        row([address, button]),
        row([files, upload, limit]),
        sample,
        model,
        row([panel.top, panel.threshold]),
        result,
        ipywidgets.HTML(_thumbnails()),
    ]
    return panel


_pictures = {}  # name and classes of a classifier → what its panel showed last, for this session


@lru_cache(maxsize=2)  # to go to and fro between; more could fill the memory
def _loaded(name):
    return load_classifier(name)


def _answer(name, source, classifier):
    """Classify one picture → a function of (top, threshold) that returns its part of the result."""
    try:
        if isinstance(source, ImageError):
            raise source
        image = load_image(source)
    except ImageError as error:
        said = str(error)  # an address is named in it
        failed = alert(said if said.startswith(name) else f"{name}: {said}")
        return lambda top, threshold: failed
    started = time.perf_counter()
    predictions = classifier.predict(image, MOST)
    seconds = time.perf_counter() - started
    small = image.copy()
    small.thumbnail((240, 240))
    shown = figure(small, f"Classified: {name}", name) + seen(image, classifier)
    return partial(_section, shown, predictions, seconds, classifier)


def _section(shown, predictions, seconds, classifier, top, threshold):
    first = predictions[0]
    best = html.escape(f"{first.name.replace('_', ' ')} {first.probability:.2f}")
    said = f"<b>{best}</b>"
    if first.probability < threshold:
        said = f"<b>Not sure: below {threshold:.2f}.</b> The likeliest is {best}."
    return (
        "<div style='display: flex; flex-wrap: wrap; gap: 1em; line-height: 1.5'>"
        f"{shown}<div style='flex: 1 1 300px'><p role='status'>{said}</p>"
        f"{bar_table(predictions[:top], threshold)}"
        f"<p>Prepared and classified in {seconds:.2f} s by {html.escape(classifier.name)}, which "
        f"knows {len(classifier.classes)} classes and none called “none of these”.</p></div></div>"
    )


@cache
def _thumbnails():
    """A style sheet that puts the samples' pictures on their buttons, which bear their names."""
    rules = (
        ".sample-pictures .widget-toggle-button { width: 118px; height: 84px; margin: 0;"
        " padding: 62px 0 0; line-height: 20px; background: no-repeat center 5px }"
        ".sample-pictures > label.widget-label { display: inline-block; text-align: right }"
        ".sample-pictures .mod-active { outline: 3px solid; outline-offset: -3px }"
        ".sample-pictures .mod-active::before { content: '✓ ' }"
    )
    for name in sample_names():
        image, file = load_image(name), io.BytesIO()
        image.thumbnail((76, 56))
        image.save(file, "JPEG", quality=80)
        data = base64.b64encode(file.getvalue()).decode()
        rules += (
            f".sample-pictures [data-value='{name}']"
            f" {{ background-image: url(data:image/jpeg;base64,{data}) }}"
        )
    return f"<style>{rules}</style>"
