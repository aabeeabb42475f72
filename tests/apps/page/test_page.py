"""The page with no server: what `make page` writes, and what it does in a real
browser."""

import base64
import csv
import dataclasses
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny
from browser import FLAGS, ROOT, Server, browser, free_port, new_page, violations
from cases import thorough_but
from firefox import firefox
from image_errors import raises
from pages import about_of, require_runtime
from PIL import Image, ImageCms
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import expect
from programs import start_nginx
from server import Server as Site
from tiny import SIZE

from apps.many import folder as many
from apps.own_pictures.learn import Learned, new_head, with_head
from apps.page import build as page
from apps.page import card as page_card
from apps.page.build import (
    MOST,
    SAMPLES,
    PageTooLarge,
    RuntimeMissing,
    build_page,
    page_size,
)
from apps.page.card import card_as_html
from apps.sharing.cards import model_card
from apps.sharing.classifier import as_classifier
from apps.sharing.doubts import SURE, sure_from
from apps.sharing.exported import load_exported
from apps.sharing.exporting import export_onnx
from apps.sharing.parity import Parity
from apps.sharing.saving import save_classifier
from helpers import keras, load_classifier, load_image
from helpers.datasets import load_dataset
from helpers.evaluate import accuracy
from helpers.images import ResizeRule, resize
from helpers.models import LICENCES, REGISTRY
from helpers.neighbours import familiar_within
from helpers.training import extract_features
from safeguards.familiar import familiar
from safeguards.model_files import ModelFileError
from safeguards.pictures import DAMAGED
from safeguards.text import plain
from safeguards.whole_files import note_digest

BAD = (
    "<img src=x onerror=window.caught=1>"  # what a stranger may call a class or a file
)
SCREENS = thorough_but([("light", 360), ("dark", 1280)], ("light", 360))
HASHED = re.compile(
    r"([a-z]+)-([0-9a-f]{12})\.([a-z]+)"
)  # the name of a file of the page


@pytest.fixture(scope="module", autouse=True)
def runtime():
    """onnxruntime-web."""
    require_runtime()


@pytest.fixture(scope="module")
def classifier():
    """A tiny random network of classes of ImageNet, with clear answers that differ from
    picture to picture, and with terms."""
    terms = REGISTRY["efficientnet_lite0"].terms
    return dataclasses.replace(tiny.sure(SAMPLES), terms=terms)


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory):
    """The tiny network as an ONNX file."""
    return export_onnx(classifier, tmp_path_factory.mktemp("exported") / "tiny.onnx")


@pytest.fixture(scope="module")
def built(exported, tmp_path_factory):
    """The page, in a folder of a site."""
    return build_page(exported, tmp_path_factory.mktemp("site") / "some" / "where")


class TestWhatIsWritten:
    def test_all_it_needs_with_the_model_and_the_samples_among_it(self, built):
        about = about_of(built)
        assert page_size(built) <= MOST == 25_000_000
        assert [sample["name"] for sample in about["samples"]] == [*SAMPLES]
        files = [about[key] for key in ("model", "script", "binary")]
        files += [sample["file"] for sample in about["samples"]]
        assert all((built / name).is_file() for name in files)
        # What every web server knows, .wasm, .onnx, .gz and .mjs not among it.
        assert {path.suffix for path in built.rglob("*.*")} == {
            ".bin", ".css", ".html", ".jpg", ".js", ".json", ".svg", ".txt"
        }  # fmt: skip
        assert not list(built.parent.glob(".incoming*"))

    def test_every_name_but_one_holds_the_hash_of_what_is_in_the_file(self, built):
        paths = [path for path in built.rglob("*") if path.name != "index.html"]
        assert len(paths) >= 15
        for path in paths:
            _, found, _ = HASHED.fullmatch(path.name).groups()
            assert sha256(path.read_bytes()).hexdigest().startswith(found)
        text = (built / "index.html").read_text(encoding="utf-8")
        assert {*re.search('data-files="([^"]*)"', text)[1].split()} == {
            p.name for p in paths
        }

    def test_a_file_is_named_in_others_as_it_is_called(self, built):
        """And so a change in one changes the name of whatever leads to it, up to
        index.html."""
        named = set()
        for path in [
            built / "index.html",
            *built.glob("*.js"),
            *built.glob("page-*.json"),
        ]:
            text = path.read_text(encoding="utf-8")
            if path.name.startswith("ort-"):
                continue
            text = re.sub('data-files="[^"]*"', "", text)
            found = set(
                re.findall(r'"(?:\./)?([\w-]+\.(?:js|css|svg|txt|json|bin|jpg))"', text)
            )
            assert all((built / name).is_file() for name in found), path
            named |= found
        # start.js finds these two in the list of all files
        named |= {
            path.name
            for kind in ("main-*.js", "page-*.json")
            for path in built.glob(kind)
        }
        assert named == {path.name for path in built.iterdir()} - {"index.html"}

    def test_large_weights_go_to_16_bits(self, built, exported, classifier):
        path = built / about_of(built)["model"]
        assert path.stat().st_size < 0.65 * exported.stat().st_size
        whole, small = onnx.load(exported), onnx.load(path)
        kinds = {tensor.data_type for tensor in small.graph.initializer}
        assert {onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT} <= kinds
        assert whole.metadata_props == small.metadata_props
        assert [
            node.op_type for node in small.graph.node if node.op_type != "Cast"
        ] == [node.op_type for node in whole.graph.node]

    @pytest.mark.parametrize(
        "fault",
        thorough_but(["too large for 16 bits", "an answer moves"], "an answer moves"),
    )
    def test_where_16_bits_are_too_few_the_model_stays_as_it_is(
        self, exported, tmp_path, fault, monkeypatch
    ):
        def edit(model):
            largest = max(
                model.graph.initializer, key=lambda tensor: np.prod(tensor.dims)
            )
            values = onnx.numpy_helper.to_array(largest) * np.float32(1e7)
            largest.CopyFrom(onnx.numpy_helper.from_array(values, largest.name))

        source = exported
        if fault == "an answer moves":
            monkeypatch.setattr(page, "MOVED", 1e-9)
        else:
            source = edited(exported, tmp_path / "large.onnx", edit)
        built = build_page(source, tmp_path / "page")
        assert (built / about_of(built)["model"]).read_bytes() == source.read_bytes()

    @pytest.mark.parametrize(
        ("classes", "headline"),
        [
            (["ants", "bees"], "Ants or bees?"),
            (["a_cup", "no cup", "<b>"], "A cup, no cup or &lt;b&gt;?"),
            (["a", "b", "c", '"main.js"'], "A, b, c or &quot;main.js&quot;?"),
            (["only one"], page.HEADLINE),
            ([*"abcde"], page.HEADLINE),
            (["a" * 30, "b" * 30], page.HEADLINE),
        ],
    )
    def test_the_headline_names_a_few_classes(self, classes, headline):
        assert page._headline(classes) == headline

    def test_terms_and_licences_go_along(self, built):
        (path,) = built.glob("licences-*.txt")
        text = path.read_text(encoding="utf-8")
        assert " ".join(REGISTRY["efficientnet_lite0"].terms.split()) in " ".join(
            text.split()
        )
        for words in ("BSD 3-Clause License", "ONNX Runtime Web", "MIT License"):
            assert words in text
        assert (ROOT / "LICENSES" / "Apache-2.0.txt").read_text(
            encoding="utf-8"
        ) in text
        assert "Creative Commons" not in text, (
            "of a licence that the model's terms do not name"
        )

    @pytest.mark.parametrize("licence", thorough_but(LICENCES, *list(LICENCES)[:1]))
    def test_the_text_of_each_licence_is_found(self, exported, tmp_path, licence):
        terms = f"Somebody publishes it under {licence} ({LICENCES[licence]})."
        classifier = dataclasses.replace(load_exported(exported), terms=terms)
        text = page._licences(classifier)
        assert terms in text
        whole = ROOT / "LICENSES" / f"{licence.replace(' ', '-')}.txt"
        assert whole.read_text(encoding="utf-8") in text

    def test_a_model_without_terms_is_said_to_have_none(self, exported):
        nobodys = dataclasses.replace(load_exported(exported), terms="")
        assert "says nothing of terms" in page._licences(nobodys)

    def test_what_ships_names_no_other_host_but_in_links(self):
        for path in page.STATIC.iterdir():
            text = path.read_text(encoding="utf-8")
            loads = re.sub(
                r'<a href="[^"]*"|xmlns="[^"]*"|http://127\.0\.0\.1:8000', "", text
            )
            assert path.suffix == ".txt" or not re.search(r"://\w", loads), path

    def test_a_saved_model_is_exported_first(self, tmp_path):
        layers = keras.layers
        network = [
            keras.Input((32, 32, 3)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
        rule = ResizeRule("each_side", 0.9, "bicubic")
        mine = as_classifier(
            keras.Sequential(network), ["a cup", "no cup"], "mine", rule
        )
        saved = save_classifier(mine, tmp_path / "mine.keras")
        made = build_page(saved, tmp_path / "page", {"any": "cat"})
        about = about_of(made)
        assert (about["name"], about["size"]) == ("mine", 32)
        assert about["classes"] == ["a cup", "no cup"]
        assert about["rule"] == {
            "shape": "each_side",
            "fraction": 0.9,
            "filter": "bicubic",
        }
        assert [path.name for path in made.glob("*.jpg")] == [
            about["samples"][0]["file"]
        ]

    def test_an_older_page_is_replaced_and_kept_where_a_new_one_fails(
        self, exported, built, tmp_path
    ):
        folder = tmp_path / "page"
        shutil.copytree(built, folder)
        (folder / "index.html").write_text("older")
        (folder / "network-0123456789ab.bin").write_text("older")
        with pytest.raises(FileNotFoundError, match="There is no file"):
            build_page(tmp_path / "none.onnx", folder)
        assert (folder / "index.html").read_text() == "older"
        build_page(exported, folder)
        assert [path.name for path in tmp_path.iterdir()] == ["page"]
        for path in built.rglob("*.*"):
            assert (folder / path.relative_to(built)).read_bytes() == path.read_bytes()
        assert len([*folder.rglob("*")]) == len([*built.rglob("*")])

    @pytest.mark.parametrize(
        "name",
        thorough_but(
            ["thesis.txt", ".git", "mine-0123456789ab.jpg", "network-0123.bin"],
            "thesis.txt",
            "mine-0123456789ab.jpg",
        ),
    )
    def test_nothing_of_yours_is_lost(self, exported, built, tmp_path, name):
        """Such as the history of what was published."""
        folder = tmp_path / "page"
        shutil.copytree(built, folder)
        (folder / name).write_text("mine")
        with pytest.raises(
            FileExistsError, match=f"more than a page, {name}: name another folder"
        ):
            build_page(exported, folder)
        assert (folder / name).read_text() == "mine"

    def test_too_large_a_model_is_refused(self, exported, tmp_path, monkeypatch):
        monkeypatch.setattr(page, "MOST", 10**6)
        with pytest.raises(PageTooLarge, match="more than 1: build on a smaller model"):
            build_page(exported, tmp_path / "page")
        assert not list(tmp_path.iterdir())

    def test_without_onnxruntime_web_it_says_how_to_get_it(
        self, exported, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(page, "RUNTIME", tmp_path / "none")
        with pytest.raises(RuntimeMissing, match="make page.*npm ci.*Node.js"):
            build_page(exported, tmp_path / "page")
        assert not list(tmp_path.iterdir())


def edited(exported, path, edit):
    """A copy of an exported model, with something changed."""
    model = onnx.load(exported)
    edit(model)
    onnx.save(model, path)
    return path


class TestModelsThatCannotBeUsed:
    def refused(self, model, folder):
        with pytest.raises(ModelFileError) as caught:
            build_page(model, folder / "page")
        assert ".incoming" not in str(caught.value), "a path that is gone"
        assert Path(model).name in str(caught.value)
        assert not (folder / "page").exists()
        return str(caught.value)

    def test_no_class_list(self, exported, tmp_path):
        """As Keras's own export writes it: nobody knows what the outputs mean."""
        path = edited(
            exported, tmp_path / "m.onnx", lambda m: m.ClearField("metadata_props")
        )
        assert "export it again" in self.refused(path, tmp_path)

    def test_logits(self, exported, tmp_path):
        """Scaling or softmax left to whoever uses the file."""

        def edit(model):
            (last,) = [n for n in model.graph.node if n.op_type == "Softmax"]
            last.op_type = "Identity"
            del last.attribute[:]

        assert "export_onnx" in self.refused(
            edited(exported, tmp_path / "m.onnx", edit), tmp_path
        )

    def test_channels_first(self, exported, tmp_path):
        def edit(model):
            for dim, value in zip(
                model.graph.input[0].type.tensor_type.shape.dim[1:],
                (3, SIZE, SIZE),
                strict=True,
            ):
                dim.dim_value = value

        self.refused(edited(exported, tmp_path / "m.onnx", edit), tmp_path)

    def test_weights_in_a_second_file(self, exported, tmp_path):
        path = tmp_path / "m.onnx"
        onnx.save(
            onnx.load(exported),
            path,
            save_as_external_data=True,
            location="weights.bin",
        )
        assert (tmp_path / "weights.bin").exists()
        self.refused(path, tmp_path)

    @pytest.mark.parametrize("name", ["m.onnx", "m.tflite", "m.keras", "m.h5"])
    def test_no_model_at_all(self, name, tmp_path):
        (tmp_path / name).write_bytes(b"no model")
        self.refused(tmp_path / name, tmp_path)

    def test_an_unknown_one(self, tmp_path):
        with pytest.raises(ValueError, match="No model called 'none_such'"):
            build_page("none_such", tmp_path / "page")


class TestTheCommand:
    def test_says_what_it_wrote_and_how_to_look_at_it(self, exported, tmp_path, capsys):
        paths = [tmp_path / folder / "nice cup.png" for folder in ("one", "two")]
        for path in paths:
            path.parent.mkdir()
            load_image("coffee").save(path)
        samples = ["--samples", *map(str, paths)]
        assert page.main([str(exported), "--to", str(tmp_path / "page"), *samples]) == 0
        printed = capsys.readouterr().out
        assert f"{tmp_path / 'page'}: " in printed
        assert "http.server --bind 127.0.0.1" in printed
        assert "TO FILL IN" not in printed
        samples = about_of(tmp_path / "page")["samples"]
        assert [sample["name"] for sample in samples] == ["nice cup"] * 2
        assert samples[0] == samples[1], "the same picture, twice"

    @pytest.mark.thorough
    @pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
    def test_the_command_it_prints_can_be_pasted(
        self, exported, tmp_path, capsys, monkeypatch
    ):
        """Whatever the folders of Python and of the page are called."""
        folder = tmp_path / "Ada's (new) $HOME; folder"
        folder.mkdir()
        python = folder / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
        assert page.main([str(exported), "--to", str(folder / "page")]) == 0
        line = capsys.readouterr().out.splitlines()[-1]
        command = ["sh", "-c", f"exec env PYTHONUNBUFFERED=1 {line} 0"]  # any free port
        server = Server(command, r"http://127\.0\.0\.1:\d+/", tmp_path / "log")
        try:
            with urllib.request.urlopen(server.address, timeout=30) as answer:
                assert answer.read() == (folder / "page" / "index.html").read_bytes()
        finally:
            server.close()

    def test_an_error_is_one_line(self, tmp_path, capsys):
        assert (
            page.main([str(tmp_path / "mine.onnx"), "--to", str(tmp_path / "page")])
            == 1
        )
        said = capsys.readouterr().err
        assert said.startswith("No page is written: There is no file")
        assert said.count("\n") == 1

    def test_make_page_without_npm_says_so(self, tmp_path):
        for name in ("apps/page/page.sh", "apps/page/package-lock.json"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "cmp").symlink_to(shutil.which("cmp"))
        done = subprocess.run(
            [shutil.which("sh"), "apps/page/page.sh"],
            cwd=tmp_path,
            env={"PATH": str(tmp_path / "bin")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert "needs npm once" in done.stderr
        assert "nodejs.org" in done.stderr

    def test_the_lock_pins_each_file_by_hash_and_names_no_host(self):
        lock = json.loads(
            (ROOT / "apps" / "page" / "package-lock.json").read_text(encoding="utf-8")
        )
        packages = [entry for path, entry in lock["packages"].items() if path]
        assert len(packages) > 5
        assert all(entry["integrity"].startswith("sha512-") for entry in packages)
        assert not any("resolved" in entry for entry in packages)
        assert (
            "npm ci --ignore-scripts"
            in (ROOT / "apps" / "page" / "page.sh").read_text()
        )


# -- in a browser ----------------------------------------------------------------------


def encoded(image, form, **options):
    """The bytes of a picture file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def chromium(runtime):
    with browser() as started:
        yield started


def serve(folder, log):
    """A folder, as `python -m http.server` serves it to this machine."""
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    return Server(
        [*command, "--directory", str(folder)], r"http://127\.0\.0\.1:\d+/", log
    )


@pytest.fixture(scope="module")
def address(built, tmp_path_factory):
    """The page, below some path of a site."""
    server = serve(built.parent.parent, tmp_path_factory.mktemp("log") / "log")
    yield server.address + "some/where/"
    server.close()


@pytest.fixture(scope="module")
def real():
    """The network that everything uses unless told otherwise."""
    return load_classifier()


@pytest.fixture(scope="module")
def real_page(real, tmp_path_factory):
    """Its page, as `make page` writes it."""
    return build_page(real, tmp_path_factory.mktemp("real") / "page")


@pytest.fixture(scope="module")
def real_address(real_page, tmp_path_factory):
    server = serve(real_page, tmp_path_factory.mktemp("log") / "log")
    yield server.address
    server.close()


@pytest.fixture(scope="module")
def real_visit(chromium, real_address):
    """That page, opened once."""
    opened = Visit(chromium, real_address).ready()
    yield opened
    opened.page.context.close()


def with_modules(function, files):
    """(a JavaScript function that calls one with the page's modules and files, its
    argument)"""
    call = """async (texts) => {
        const all = document.querySelector("script").dataset.files.split(" ");
        const own = (start) => "./" + all.find((name) => name.startsWith(`${start}-`));
        const modules = await Promise.all(
            ["resize", "picture", "model"].map((name) => import(own(name))));
        modules.push({ aboutFile: own("page") });
        const files = texts.map((text) =>
            new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]));
        return (FUNCTION)(Object.assign({}, ...modules), files);
    }""".replace("FUNCTION", function)
    return call, [base64.b64encode(data).decode() for data in files]


def headline(answers, sure=SURE):
    """A pattern for what the page says of [[class, probability], …], best first."""
    name, probability = answers[0]
    if float(probability) < sure:
        return re.compile("^Not sure$")
    return re.compile(f"^{re.escape(name)}: [0-9]+ %$")


WHOLE = json.dumps({"shape": "square", "fraction": 1, "filter": "bilinear"})


class Visit:
    """The page, open in a browser, used as a person does."""

    def __init__(self, chromium, address, script=""):
        self.page = new_page(chromium)
        self.page.add_init_script(script)
        self.requests = []
        self.page.context.on("request", lambda request: self.requests.append(request))
        self.page.goto(address)
        self.loaded = None  # what was asked for until it was ready
        self.problem, self.said = (
            self.page.get_by_role("alert"),
            self.page.get_by_role("status"),
        )
        self.result = self.page.get_by_role("region", name="Answer")

    def ready(self):
        expect(self.said).to_have_text("Ready.")
        self.loaded = [(request.method, request.url) for request in self.requests]
        assert self.page.complaints == []
        return self

    def choose(self, *files):
        """Choose files; a file is a path or {name, mimeType, buffer}."""
        self.page.locator("input[type=file]").set_input_files(*files)

    def send(self, name, data):
        """Choose a file with these bytes."""
        self.choose({"name": name, "mimeType": "", "buffer": data})

    def answers(self, name):
        """[[class, probability], …] of the picture with this name, once it is shown."""
        expect(
            self.result.get_by_role("img", name=f"The picture: {name}", exact=True)
        ).to_be_visible()
        rows = self.result.locator("tr").all()
        return [row.locator("th, td:last-child").all_inner_texts() for row in rows]

    def run(self, function, *files):
        """Call a JavaScript function with the page's modules and files of these
        bytes."""
        return self.page.evaluate(*with_modules(function, files))


@pytest.fixture(scope="module")
def visit(chromium, address):
    """The page, opened once."""
    opened = Visit(chromium, address).ready()
    yield opened
    opened.page.context.close()


@pytest.fixture(scope="module")
def carried(built, tmp_path_factory):
    """The model that the page carries, in Python."""
    path = tmp_path_factory.mktemp("carried") / "model.onnx"
    return load_exported(shutil.copyfile(built / about_of(built)["model"], path))


@pytest.fixture(scope="module")
def expected(carried):
    """What that answers in Python, in the page's words."""

    def answers(picture):
        predictions = carried.predict(picture)
        return [[p.name.replace("_", " "), f"{p.probability:.2f}"] for p in predictions]

    return answers


@pytest.fixture
def keep(request):
    """Keep a screenshot of a page, named after the test."""
    name = re.sub(r"\W+", "_", request.node.nodeid.partition("::")[2])
    folder = request.config.cache.mkdir("screenshots")
    return lambda page: page.screenshot(
        path=folder / f"page_{name}.png", full_page=True
    )


PROBABILITIES = """\
async ({ aboutFile, open, prepare, loadAbout, loadModel }, files) => {
    const about = await loadAbout(aboutFile), model = await loadModel(about), rows = [];
    for (const file of files) {
        const picture = prepare(await open(file, about.most), about);
        rows.push([...(await model(picture)).probabilities]);
    }
    return rows;
}"""
# What the page says of each picture: the class, a doubt or none, and the distance.
JUDGED = """\
async ({ aboutFile, open, prepare, loadAbout, loadModel, judge }, files) => {
    const about = await loadAbout(aboutFile), model = await loadModel(about), rows = [];
    for (const file of files) {
        const values = await model(prepare(await open(file, about.most), about));
        const { answers, doubt } = judge(values, about);
        rows.push([answers[0].name, doubt, values.distance]);
    }
    return rows;
}"""
PIXELS = f"""async ({{ open, prepare }}, [file]) => {{
    const picture = await open(file, {{ bytes: 5e7, pixels: 9e7 }});
    return [...prepare(picture, {{ size: {SIZE}, rule: RULE }})];
}}"""


@pytest.mark.thorough
class TestTheDefaultNetwork:
    """EfficientNet-Lite0, as everybody gets it."""

    def test_its_page_has_at_most_14_megabytes(self, real_page, record_property):
        record_property(
            "size of the page with no server", f"{page_size(real_page) / 1e6:.1f} MB"
        )
        assert page_size(real_page) <= 14_000_000

    def test_photographs_get_the_answers_of_python(
        self, real_visit, real, shared_data, record_property
    ):
        """On the 200 photographs of the test material."""
        paths = sorted((shared_data / "photos").glob("*.jpg"))
        assert len(paths) == 200
        wanted = np.concatenate(
            [real.probabilities(paths[i : i + 20]) for i in range(0, 200, 20)]
        )
        found = [
            real_visit.run(PROBABILITIES, *[p.read_bytes() for p in paths[i : i + 50]])
            for i in range(0, 200, 50)
        ]
        rows = np.concatenate(found)
        same = rows.argmax(axis=1) == wanted.argmax(axis=1)
        difference = np.abs(rows - wanted).max()
        record_property(
            f"page with no server against Python, {len(paths)} pictures",
            f"same answer {accuracy(same, np.ones(len(same), bool))}, "
            f"largest difference {difference:.4f}",
        )
        assert same.mean() >= 0.99
        assert difference <= 0.02
        assert len(set(rows.argmax(axis=1))) > 100, "or it says nothing"

    def test_below_the_headlines_threshold_an_answer_is_a_toss(
        self, real, shared_data, record_property
    ):
        """On pictures that it didn't learn from."""
        paths = sorted((shared_data / "imagenet_val").glob("*.jpg"))
        truth = [path.name.split("_")[0] for path in paths]
        best = [real.predict(path, top=1)[0] for path in paths]
        right = np.array([p.wnid == wnid for p, wnid in zip(best, truth, strict=True)])
        is_sure = np.array([p.probability for p in best]) >= sure_from(1000)
        record_property(
            "answers of the default network that are headlines",
            f"{is_sure.mean():.2f}, right {right[is_sure].mean():.2f}; of the others "
            f"{right[~is_sure].mean():.2f}",
        )
        assert right[~is_sure].mean() <= 0.6
        assert right[is_sure].mean() >= 0.85
        assert is_sure.mean() >= 0.7, "or it would hardly answer"

    def test_the_first_answer_is_there_soon(
        self, chromium, real_address, record_property
    ):
        """How long after the click is reported: it depends on the machine and its other
        work."""
        visit = Visit(chromium, real_address).ready()
        clicked = time.monotonic()
        visit.page.get_by_role("button", name="cat", exact=True).click()
        answers = visit.answers("cat")
        seconds = time.monotonic() - clicked
        record_property(
            "page with no server, first answer after the click", f"{seconds:.2f} s"
        )
        said = visit.page.locator("#time").inner_text()
        record_property("page with no server, of that", said)
        assert {name for name, _ in answers[:2]} <= {
            "tiger cat",
            "Egyptian cat",
            "tabby",
        }
        visit.page.context.close()


@pytest.mark.thorough
class TestSameAnswersAsInPython:
    def test_on_many_pictures(self, visit, carried):
        """Of a tiny network, on pictures that ship."""
        paths = sorted((ROOT / "data" / "computers" / "test").rglob("*.jpg"))[::4]
        assert len(paths) == 60
        rows = np.array(
            visit.run(PROBABILITIES, *[path.read_bytes() for path in paths])
        )
        wanted = carried.probabilities(paths)
        assert (rows.argmax(axis=1) == wanted.argmax(axis=1)).all()
        assert np.abs(rows - wanted).max() <= 0.02
        assert len(set(rows.argmax(axis=1))) > 5, "or it says nothing"

    @pytest.mark.parametrize("shape", ["square", "each_side"])
    @pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
    def test_pictures_become_squares_pixel_by_pixel_the_same(
        self, visit, shape, filter
    ):
        noise = np.random.default_rng(0)
        for width, height, fraction in [
            (320, 240, 1), (150, 600, 0.875), (900, 70, 0.9), (70, 900, 1), (64, 64, 1),
            (65, 12, 0.875), (4, 4, 0.875), (1, 5, 0.5),
        ]:  # fmt: skip
            picture = Image.fromarray(
                noise.integers(0, 256, (height, width, 3), np.uint8)
            )
            rule = ResizeRule(shape, fraction, filter)
            text = json.dumps({"shape": shape, "fraction": fraction, "filter": filter})
            found = visit.run(PIXELS.replace("RULE", text), encoded(picture, "PNG"))
            wanted = np.asarray(resize(picture, SIZE, rule)).ravel()
            assert found == wanted.tolist(), (width, height, rule)

    def test_files_of_all_kinds_are_read_the_same(self, visit):
        for kind, data in kinds().items():
            found = np.array(visit.run(PIXELS.replace("RULE", WHOLE), data))
            difference = np.abs(found - np.asarray(resize(data, SIZE), int).ravel())
            assert difference.max() <= 2, kind  # decoders may round otherwise

    def test_files_that_are_cut_off_are_refused_as_in_python(self, visit):
        for kind, data in cut_off().items():
            with raises(DAMAGED):
                load_image(data)
            with pytest.raises(PlaywrightError, match="damaged or incomplete"):
                visit.run(PIXELS.replace("RULE", WHOLE), data)
                pytest.fail(kind)

    def test_what_follows_a_picture_does_not_matter(self, visit):
        cat = load_image("cat").resize((150, 100))
        for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
            data = encoded(cat, form) + b"more" * 10
            found = np.array(visit.run(PIXELS.replace("RULE", WHOLE), data))
            assert (
                np.abs(found - np.asarray(resize(data, SIZE), int).ravel()).max() <= 2
            ), form

    def test_a_photograph_of_12_megapixels(self, visit, carried, tmp_path):
        """Python decodes it at a part of its size, the browser at all of it."""
        path = tmp_path / "huge.jpg"
        load_image("flower").resize((4000, 3000)).save(path)
        (row,) = visit.run(PROBABILITIES, path.read_bytes())
        (wanted,) = carried.probabilities([path])
        assert np.abs(row - wanted).max() <= 0.05
        assert np.argmax(row) == wanted.argmax()


def kinds():
    """Picture files of all kinds that browsers read and we do, too: {kind: bytes}."""
    cat = load_image("cat").resize((150, 100))
    clear = cat.copy()
    clear.putalpha(Image.linear_gradient("L").resize(cat.size))
    deep = Image.fromarray(np.arange(150 * 100).reshape(100, 150).astype(np.uint16) * 4)
    red = profile_that_swaps_red_and_green()
    files = {
        "PNG, half transparent": encoded(clear, "PNG"),
        "WebP, half transparent": encoded(clear, "WEBP", lossless=True),
        "GIF": encoded(cat, "GIF", save_all=True, append_images=[load_image("coffee")]),
        "palette with a transparent colour": encoded(
            cat.quantize(64), "PNG", transparency=3
        ),
        "grey": encoded(cat.convert("L"), "PNG"),
        "16 bits": encoded(deep, "PNG"),
        "BMP": encoded(cat, "BMP"),
        "BMP with a palette": encoded(cat.quantize(16), "BMP"),
        "JPEG, progressive": encoded(cat, "JPEG", progressive=True),
        "JPEG, with restarts": encoded(cat, "JPEG", restart_marker_rows=1),
        "JPEG, CMYK": encoded(cat.convert("CMYK"), "JPEG"),
        "JPEG with a colour profile": encoded(cat, "JPEG", icc_profile=red),
        "PNG with a colour profile": encoded(cat, "PNG", icc_profile=red),
        "WebP with broken notes": encoded(
            cat, "WEBP", lossless=True, exif=b"MM\0*\0\0\xff\xff"
        ),
    }
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x112] = orientation
        files[f"JPEG, turned {orientation}"] = encoded(cat, "JPEG", exif=exif)
        files[f"PNG, turned {orientation}"] = encoded(cat, "PNG", exif=exif)
        files[f"WebP, turned {orientation}"] = encoded(
            cat, "WEBP", exif=exif, lossless=True
        )
        files[f"WebP, half transparent, turned {orientation}"] = encoded(
            clear, "WEBP", exif=exif, lossless=True
        )
    return files


def cut_off():
    """Picture files whose end is missing: {kind: bytes}."""
    cat = load_image("cat").resize((150, 100))
    whole = {form: encoded(cat, form) for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP")}
    whole["progressive JPEG"] = encoded(cat, "JPEG", progressive=True)
    whole["lossless WEBP"] = encoded(cat, "WEBP", lossless=True)
    whole["PNG with a palette"] = encoded(cat.quantize(16), "PNG")
    return {
        f"{form}, {share:.0%}": data[: int(share * len(data))]
        for form, data in whole.items()
        for share in (0.02, 0.3, 0.6, 0.9, 0.98)
    } | {
        f"JPEG, {missing} bytes missing": whole["JPEG"][:-missing]
        for missing in (1, 2, 3, 20)
    }


def profile_that_swaps_red_and_green():
    """A colour profile whose conversion nobody could overlook."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    places = []
    for at in range(132, 132 + 12 * int.from_bytes(data[128:132], "big"), 12):
        if data[at : at + 4] in (b"rXYZ", b"gXYZ"):
            places.append(at + 4)
    first, second = (bytes(data[at : at + 8]) for at in places)
    data[places[0] : places[0] + 8], data[places[1] : places[1] + 8] = second, first
    return bytes(data)


@pytest.mark.thorough
class TestFirefox:
    """The same in the other kind of browser that there is on Debian."""

    @pytest.fixture(scope="class")
    @classmethod
    def tab(cls, address):
        with firefox() as tab:
            tab.open(address)
            tab.wait("document.getElementById('said').textContent === 'Ready.'")
            yield tab

    def pixels(self, tab, data):
        """What the page makes of a picture file; of one that it refuses, why."""
        function, files = with_modules(PIXELS.replace("RULE", WHOLE), [data])
        refusal = "(error) => error.message"
        return tab.run(f"({function})({json.dumps(files)}).catch({refusal})")

    def test_a_sample_is_named(self, tab, built, expected):
        sample = about_of(built)["samples"][1]
        tab.run("[...document.querySelectorAll('#samples button')][1].click()")
        shown = json.dumps(f"The picture: {sample['name']}")
        tab.wait(
            f"document.getElementById('shown').getAttribute('aria-label') === {shown}"
        )
        rows = tab.run(
            "[...document.querySelectorAll('#answers tr')].map((row) => "
            "[row.firstChild.textContent, row.lastChild.textContent])"
        )
        assert rows == expected(built / sample["file"])

    def test_files_of_all_kinds_are_read_the_same(self, tab):
        for kind, data in kinds().items():
            found = np.array(self.pixels(tab, data))
            difference = np.abs(found - np.asarray(resize(data, SIZE), int).ravel())
            assert difference.max() <= 2, kind

    def test_files_that_are_cut_off_are_refused_as_elsewhere(self, tab):
        for kind, data in cut_off().items():
            assert "damaged or incomplete" in str(self.pixels(tab, data)), kind

    @pytest.mark.parametrize("fault", ["a kind of file is refused", "no WebAssembly"])
    def test_faults_of_hosts_are_told(self, tab, built, address, fault):
        how, said = TestHosts.FAULTS[fault]
        with hosted(built, **how) as host:
            tab.open(host.address)
            tab.wait("document.getElementById('problem').textContent !== ''")
            problem = tab.run("document.getElementById('problem').textContent")
        assert all(words in problem for words in said)
        tab.open(address)


class TestInUse:
    def test_samples(self, visit, built, expected, keep):
        said = []
        for sample in about_of(built)["samples"]:
            name = sample["name"].replace("_", " ")
            visit.page.get_by_role("button", name=name, exact=True).click()
            answers = expected(built / sample["file"])
            said.append(answers)
            assert visit.answers(name) == answers
            expect(visit.said).to_have_text(headline(answers))
        expect(visit.result).to_contain_text(
            re.compile(r"Prepared in \d+ ms, classified in \d+ ms")
        )
        assert len({answers[0][0] for answers in said}) > 2, "or it would show little"
        sure = {float(answers[0][1]) >= SURE for answers in said}
        assert sure == {True, False}, "or it would show one kind of headline"
        keep(visit.page)

    @pytest.mark.thorough
    def test_a_toss_is_no_headline(self, visit, built, expected, keep):
        """Its classes are shown all the same."""
        for sample in about_of(built)["samples"]:
            answers = expected(built / sample["file"])
            name = sample["name"].replace("_", " ")
            visit.page.get_by_role("button", name=name, exact=True).click()
            assert visit.answers(name) == answers
            is_sure = float(answers[0][1]) >= SURE
            caption = visit.result.locator("caption")
            if is_sure:
                expect(caption).to_have_text("Most likely classes")
            else:
                expect(visit.said).to_have_text("Not sure")
                expect(caption).to_contain_text("none of them likely enough")
                keep(visit.page)
            weight = (
                "getComputedStyle(document.querySelector('#answers th')).fontWeight"
            )
            assert visit.page.evaluate(weight) == ("700" if is_sure else "500")

    def test_by_keyboard_alone(self, visit, built, expected):
        visit.page.locator("body").click(position={"x": 1, "y": 1})
        reached = []
        for _ in range(3):
            visit.page.keyboard.press("Tab")
            reached.append(
                visit.page.evaluate(
                    "document.activeElement.id || document.activeElement.textContent"
                )
            )
        assert reached == ["file", "camera", SAMPLES[0]]
        outline = visit.page.evaluate(
            "getComputedStyle(document.activeElement).outlineStyle"
        )
        assert outline == "solid", "seen where one is"
        visit.page.keyboard.press("Enter")
        assert visit.answers(SAMPLES[0]) == expected(
            built / about_of(built)["samples"][0]["file"]
        )

    @pytest.mark.parametrize("way", thorough_but(["drop", "paste"], "drop"))
    def test_dropped_and_pasted(self, visit, expected, way):
        data = encoded(load_image("coffee").resize((200, 300)), "PNG")
        visit.page.evaluate(
            """([way, text]) => {
                const bytes = Uint8Array.from(atob(text), \
(letter) => letter.charCodeAt(0));
                const transfer = new DataTransfer();
                transfer.items.add(new File([bytes], `${way}ped.png`));
                const event = way === "drop"
                    ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true })
                    : new ClipboardEvent("paste", \
{ clipboardData: transfer, bubbles: true });
                document.body.dispatchEvent(event);
            }""",
            [way, base64.b64encode(data).decode()],
        )
        assert visit.answers(f"{way}ped.png") == expected(data)

    @pytest.mark.thorough
    def test_a_link_dropped_is_not_followed(self, visit):
        visit.page.evaluate(
            """() => {
                const transfer = new DataTransfer();
                transfer.setData("text/uri-list", "https://example.org/cat.jpg");
                const options = { dataTransfer: transfer, bubbles: true };
                document.body.dispatchEvent(new DragEvent("drop", options));
            }"""
        )
        expect(visit.problem).to_contain_text("Save the picture first")

    def test_what_is_no_picture_is_told(self, visit, keep):
        png = encoded(load_image("cat"), "PNG")
        for name, data, said in [
            (
                "notes.txt",
                b"no picture",
                "isn't a picture, or it's of a kind that this browser can't read",
            ),
            (
                "page.html",
                b"<!doctype html><title>x</title>",
                "choose a JPEG or PNG file",
            ),
            (
                "drawing.svg",
                b"<svg xmlns='http://www.w3.org/2000/svg'/>",
                "This isn't a picture",
            ),
            ("empty.jpg", b"", "This file is empty"),
            (
                "phone.heic",
                b"\0\0\0\x18ftypheic" + bytes(99),
                "save or export it as JPEG",
            ),
            ("scan.tif", b"II*\0" + bytes(99), "save it as JPEG or PNG"),
            ("half.png", png[: len(png) // 2], "damaged or incomplete"),
        ]:
            visit.send(name, data)
            expect(visit.problem).to_contain_text(f"{name}: This ")
            expect(visit.problem).to_contain_text(said)
            expect(visit.result).to_be_hidden()
        keep(visit.page)

    def test_goes_on_after_an_error(self, visit, expected):
        visit.send("notes.txt", b"no picture")
        expect(visit.problem).to_contain_text("notes.txt: This isn't a picture")
        expect(visit.result).to_be_hidden()
        data = encoded(load_image("uniform"), "PNG")
        visit.send("mine.png", data)
        assert visit.answers("mine.png") == expected(data)
        expect(visit.problem).not_to_be_attached()

    @pytest.mark.thorough
    def test_too_large_ones_are_refused(self, visit, tmp_path):
        with (tmp_path / "large.png").open("wb") as file:
            file.truncate(50_000_001)
        Image.new("1", (10_000, 9_000)).save(tmp_path / "wide.png")
        for name in ("large.png", "wide.png"):
            visit.choose(tmp_path / name)
            said = f"{name}: This picture has more than 50 MB or 89 megapixels"
            expect(visit.problem).to_contain_text(said)

    @pytest.mark.thorough
    def test_the_last_one_chosen_is_shown(self, visit, built, expected):
        files = {
            sample["name"]: sample["file"] for sample in about_of(built)["samples"]
        }
        answers = {name: expected(built / file) for name, file in files.items()}
        chosen = ("cat", "photographer", "coffee")
        assert len({answers[name][0][0] for name in chosen}) == 3
        for name in chosen:
            visit.page.get_by_role("button", name=name, exact=True).click()
        expect(visit.said).to_have_text(headline(answers["coffee"]))
        visit.page.wait_for_timeout(500)
        assert visit.answers("coffee") == answers["coffee"]


# -- none of these ---------------------------------------------------------------------


def knowing(base, network, classes, train, cache):
    """A `Classifier` that knows what it learned from: `base` is where the features come
    from, `network` what answers."""
    features = extract_features(base, train, cache)
    names = [f"secret of {path.stem}" for path in train.paths]
    known = familiar(features, names, familiar_within(features))
    return as_classifier(network, classes, "mine", base.rule, familiar=known)


@pytest.fixture(scope="module")
def knows(tmp_path_factory):
    """A tiny `Classifier` of the shipped computers that knows what it learned from."""
    one = tiny.trained()
    train = load_dataset("computers").train
    cache = tmp_path_factory.mktemp("cache")
    return knowing(one, one.network, train.classes, train, cache)


@pytest.fixture(scope="module")
def knowing_page(knows, tmp_path_factory):
    return build_page(knows, tmp_path_factory.mktemp("knowing") / "page")


@pytest.fixture(scope="module")
def knowing_visit(chromium, knowing_page, tmp_path_factory):
    """Its page, opened once."""
    server = serve(knowing_page, tmp_path_factory.mktemp("log") / "log")
    opened = Visit(chromium, server.address).ready()
    yield opened
    opened.page.context.close()
    server.close()


def agreement(classifier, built, visit, pictures, folder):
    """How Python, the ONNX file that a page carries, and the page judge some pictures,
    bytes: three lists of (class, whether it's like nothing), and the largest difference
    between their distances."""
    path = shutil.copyfile(built / about_of(built)["model"], folder / "model.onnx")
    lists, distances = [], []
    for one in (classifier, load_exported(path)):
        answers = [one.predict(picture) for picture in pictures]
        lists.append([(each[0].name, each.judged.unlike) for each in answers])
        distances.append([each.judged.distance for each in answers])
    rows = visit.run(JUDGED, *pictures)
    unlike = "Like nothing it learned from"
    lists.append([(name, doubt == unlike) for name, doubt, _ in rows])
    distances.append([distance for *_, distance in rows])
    return lists, float(np.ptp(distances, axis=0).max())


def share_agreeing(lists):
    """The share of pictures of which all lists say the same."""
    return np.mean([len(set(each)) == 1 for each in zip(*lists, strict=True)])


class TestNoneOfThese:
    def test_python_the_file_and_the_page_agree(
        self, knows, knowing_page, knowing_visit, tmp_path, record_property
    ):
        test = load_dataset("computers").validation.paths[::4]
        noise = np.random.default_rng(0).integers(0, 256, (12, 90, 120, 3), np.uint8)
        pictures = [path.read_bytes() for path in test]
        pictures += [encoded(Image.fromarray(each), "PNG") for each in noise]
        assert len(pictures) >= 50
        lists, apart = agreement(knows, knowing_page, knowing_visit, pictures, tmp_path)
        share = share_agreeing(lists)
        record_property(
            f"Python, ONNX and page of {len(pictures)} pictures: like nothing or not",
            f"the same of {share:.2f}; distances up to {apart:.4f} apart",
        )
        assert share >= 0.99
        assert apart <= 0.01
        unlike = [is_unlike for _, is_unlike in lists[0]]
        assert len(set(unlike)) == 2, "or it says little"
        assert np.mean(unlike[-12:]) > np.mean(unlike[:-12]), "noise"

    @pytest.mark.thorough
    def test_so_they_do_on_photographs(
        self, chromium, shared_data, tmp_path, record_property
    ):
        """Ants, bees and other things, by the default network."""
        base = load_classifier()
        ours = load_dataset(shared_data / "hymenoptera")
        train = ours.train.subset(20)
        features = extract_features(base, train, tmp_path / "cache")
        names = [path.name for path in train.paths]
        known = familiar(features, names, familiar_within(features))
        head = new_head().fit(features, train.labels)
        learned = Learned("as they are", base, features, head, None, None, None)
        network = with_head(learned, train.classes)
        mine = as_classifier(network, train.classes, "mine", familiar=known)
        built = build_page(mine, tmp_path / "page")
        paths = [*ours.validation.paths[::4]]
        own = len(paths)
        paths += sorted((shared_data / "photos").glob("*.jpg"))[::5]
        server = serve(built, tmp_path / "log")
        try:
            visit = Visit(chromium, server.address).ready()
            pictures = [path.read_bytes() for path in paths]
            lists, apart = agreement(mine, built, visit, pictures, tmp_path)
            visit.page.context.close()
        finally:
            server.close()
        unlike = np.array([is_unlike for _, is_unlike in lists[2]])
        share = share_agreeing(lists)
        record_property(
            f"Python, ONNX and page of {len(paths)} photographs: like nothing or not",
            f"the same of {share:.3f}; distances up to {apart:.4f} apart; unlike "
            f"{unlike[:own].mean():.2f} of its own kinds, {unlike[own:].mean():.2f} of "
            "others",
        )
        assert share >= 0.99
        assert apart <= 0.01
        assert unlike[own:].mean() >= 0.9
        assert unlike[:own].mean() <= 0.2

    def test_it_is_the_headline(self, knowing_visit, knows, keep):
        visit = knowing_visit
        noise = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
        visit.send("shoe.png", encoded(Image.fromarray(noise), "PNG"))
        answers = visit.answers("shoe.png")
        assert {name for name, _ in answers} == {name for _, name in knows.classes}
        expect(visit.said).to_have_text("Like nothing it learned from")
        expect(visit.result.locator("caption")).to_have_text(
            "If it had to be one of its classes"
        )
        expect(visit.page.locator("#about")).to_contain_text(
            "seldom close relatives of its classes"
        )
        keep(visit.page)
        path = load_dataset("computers").train.paths[0]
        visit.choose(path)
        expect(visit.said).not_to_have_text("Like nothing it learned from")
        visit.answers(path.name)
        expect(visit.said).to_have_text(headline(visit.answers(path.name)))

    def test_the_page_knows_the_limit_and_not_what_the_pictures_are_called(
        self, knows, knowing_page
    ):
        about = about_of(knowing_page)
        assert about["within"] == knows.familiar.within
        assert about["samples"] == [], "the photographs show nothing that it knows"
        for path in knowing_page.iterdir():
            assert b"secret of" not in path.read_bytes()

    def test_a_model_that_does_not_know_says_so(self, built):
        assert about_of(built)["within"] is None

    @pytest.mark.thorough
    @pytest.mark.parametrize("fault", ["a distance moves", "a verdict changes"])
    def test_where_16_bits_move_the_distance_the_model_stays_as_it_is(
        self, knows, knowing_page, tmp_path, fault, monkeypatch
    ):
        def large_floats(model):
            tensors = model.graph.initializer
            return [
                tensor.name
                for tensor in tensors
                if tensor.data_type == onnx.TensorProto.FLOAT
                and np.prod(tensor.dims) >= page.LARGE
            ]

        small = onnx.load(knowing_page / about_of(knowing_page)["model"])
        assert large_floats(small) == [], "or the test shows nothing"
        one = knows
        if fault == "a distance moves":
            monkeypatch.setattr(page, "APART", 1e-9)
        else:
            path = tmp_path / "small.onnx"
            onnx.save(small, path)
            whole = load_exported(export_onnx(knows, tmp_path / "whole.onnx"))
            batch = whole.prepare([*SAMPLES])
            before, _ = whole.network.nearest(batch)
            after, _ = load_exported(path).network.nearest(batch)
            moved = np.abs(before - after).argmax()
            between = (float(before[moved]) + float(after[moved])) / 2
            known = dataclasses.replace(knows.familiar, within=between)
            one = dataclasses.replace(knows, familiar=known)
        built = build_page(one, tmp_path / "page")
        carried = onnx.load(built / about_of(built)["model"])
        assert large_floats(carried)

    @pytest.mark.thorough
    def test_a_limit_without_the_distance_is_refused(self, knows, tmp_path):
        """A file edited by hand: the page would wait for what never comes."""

        def edit(model):
            kept = [each for each in model.graph.output if each.name != "distance"]
            del model.graph.output[:]
            model.graph.output.extend(kept)

        source = export_onnx(knows, tmp_path / "whole.onnx")
        path = edited(source, tmp_path / "m.onnx", edit)
        with pytest.raises(ModelFileError, match="cannot be used for a page"):
            build_page(path, tmp_path / "page")


# -- several at once -------------------------------------------------------------------


def as_files(pictures):
    """{name: bytes} as files to choose."""
    return [
        {"name": name, "mimeType": "", "buffer": data}
        for name, data in pictures.items()
    ]


def saved_table(visit):
    """The CSV file that the page offers, as csv reads it: [{column: text}, …]."""
    with visit.page.expect_download() as started:
        visit.page.get_by_role("button", name="Download as CSV").click()
    assert started.value.suggested_filename == "classified.csv"
    with Path(started.value.path()).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


# The words of files' names that stand on more than one line.
BROKEN = """() => {
    const buttons = [...document.querySelectorAll("#rows button")];
    const words = buttons.flatMap((button) => [...button.childNodes]);
    return words.filter((word) => {
        const range = document.createRange();
        range.selectNodeContents(word);
        return range.getClientRects().length > 1;
    }).map((word) => word.textContent);
}"""


class TestSeveralAtOnce:
    def table(self, visit):
        """[[file, answer, probability], …] of the table, once it's whole."""
        expect(visit.page.get_by_role("button", name="Download as CSV")).to_be_visible()
        rows = visit.page.locator("#rows tr").all()
        return [row.locator("th, td").all_inner_texts() for row in rows]

    def test_a_row_for_each(self, knowing_visit, knows, keep, tmp_path):
        visit = knowing_visit
        paths = sorted((ROOT / "data" / "computers" / "test").rglob("*.jpg"))[::8]
        noise = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
        pictures = {path.name: path.read_bytes() for path in paths}
        pictures["=shoe.png"] = encoded(Image.fromarray(noise), "PNG")
        pictures["notes.txt"] = b"no picture"
        visit.choose(as_files(pictures))
        shown = self.table(visit)
        expect(visit.result).to_be_hidden()
        keep(visit.page)
        saved = saved_table(visit)
        assert [row[0] for row in shown] == list(pictures)
        assert [row["path"] for row in saved][:-2] == list(pictures)[:-2]
        assert saved[-2]["path"] == "./=shoe.png", "no formula, and still its path"
        doubts = set()
        for name, cells, row in zip(pictures, shown, saved, strict=True):
            if name == "notes.txt":
                assert cells[1].startswith("This isn't a picture")
                assert row["error"] == cells[1]
                assert row["probability"] == row["name"] == row["note"] == ""
                continue
            answer = knows.predict(pictures[name])
            best = answer[0]
            doubt = "" if best.probability >= SURE else "Not sure"
            if answer.judged.unlike:
                doubt = "Like nothing it learned from"
            doubts.add(doubt)
            assert row["note"] == doubt.lower()
            assert row["name"] == best.name and row["error"] == ""
            assert float(row["probability"]) == pytest.approx(
                best.probability, abs=0.02
            )
            assert cells[1].startswith(doubt or best.name)
            shown_share = f"{float(row['probability']):.2f}"
            assert cells[2] == ("–" if doubt else shown_share)
            if doubt:
                likeliest = f"if it had to be one: {best.name}, {shown_share}"
                assert cells[1].endswith(likeliest)
        assert {"", "Like nothing it learned from"} <= doubts
        expect(visit.said).to_contain_text(f"{len(pictures)} pictures: ")
        expect(visit.page.locator("#progress")).to_be_hidden()  # which says the same
        expect(visit.said).to_contain_text("1 that could not be read")
        assert violations(visit.page, ["html"]) == []
        visit.page.get_by_role("button", name=paths[1].name, exact=True).click()
        visit.answers(paths[1].name)
        assert len(self.table(visit)) == len(pictures), "it stays below"
        visit.choose(paths[0])
        visit.answers(paths[0].name)
        expect(visit.page.locator("#many")).to_be_hidden()

    @pytest.mark.thorough
    def test_they_can_be_dropped(self, visit, expected):
        pictures = {
            f"{name}.png": encoded(load_image(name).resize((90, 60)), "PNG")
            for name in ("cat", "coffee")
        }
        visit.page.evaluate(
            """(pictures) => {
                const dataTransfer = new DataTransfer();
                for (const [name, text] of Object.entries(pictures)) {
                    const bytes = Uint8Array.from(atob(text), (x) => x.charCodeAt(0));
                    dataTransfer.items.add(new File([bytes], name));
                }
                const event = new DragEvent("drop", { dataTransfer, bubbles: true });
                document.body.dispatchEvent(event);
            }""",
            {n: base64.b64encode(data).decode() for n, data in pictures.items()},
        )
        shown = self.table(visit)
        for (name, data), cells in zip(pictures.items(), shown, strict=True):
            best = expected(data)[0]
            assert cells[0] == name
            assert best[0] in cells[1]
            if float(best[1]) >= SURE:
                assert cells[2] == best[1]
            else:
                assert cells[1].startswith("Not sure") and cells[1].endswith(best[1])

    @pytest.mark.thorough
    def test_the_page_can_be_used_meanwhile_and_stops_when_told(self, visit):
        data = encoded(load_image("cat").resize((1500, 1000)), "JPEG")
        visit.page.evaluate(
            "window.ticks = 0; window.ticking = setInterval(() => window.ticks++, 1)"
        )
        visit.choose(as_files({f"{i}.jpg": data for i in range(60)}))
        rows = visit.page.locator("#rows tr")
        expect(rows.nth(3)).to_be_visible()
        visit.page.get_by_role("button", name="Stop", exact=True).click()
        shown = self.table(visit)
        assert 4 <= len(shown) < 60
        expect(visit.said).to_have_text("Stopped.")
        text = visit.page.locator("#progress").inner_text()
        assert text == f"{len(shown)} of 60 pictures"
        visit.page.evaluate("clearInterval(window.ticking)")
        assert visit.page.evaluate("window.ticks") >= len(shown), "between any two"
        assert len(saved_table(visit)) == len(shown)

    @pytest.mark.thorough
    def test_another_choice_takes_its_place(self, visit, expected):
        data = encoded(load_image("cat").resize((900, 600)), "JPEG")
        visit.choose(as_files({f"first {i}.jpg": data for i in range(40)}))
        expect(visit.page.locator("#rows tr").first).to_be_visible()
        visit.choose(as_files({f"second {i}.jpg": data for i in range(3)}))
        shown = self.table(visit)
        assert [row[0] for row in shown] == [f"second {i}.jpg" for i in range(3)]
        expect(visit.said).to_contain_text("3 pictures: ")

    def test_a_choice_that_fails_leaves_the_table(self, visit):
        data = encoded(load_image("cat").resize((90, 60)), "JPEG")
        visit.choose(as_files({f"{i}.jpg": data for i in range(2)}))
        assert len(self.table(visit)) == 2
        visit.send("notes.txt", b"no picture")
        expect(visit.problem).to_contain_text("notes.txt: This isn't a picture")
        assert len(self.table(visit)) == 2
        visit.page.get_by_role("button", name="Use the camera").click()
        expect(visit.problem).to_contain_text("camera")
        assert len(self.table(visit)) == 2
        visit.send("cat.jpg", data)
        expect(visit.result).to_be_visible()
        expect(visit.page.locator("#many")).to_be_hidden()

    def test_no_text_of_a_stranger_runs_in_a_spreadsheet(self, visit):
        """As in apps.many.folder: a class, a file's name, a message."""
        texts = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", 'a"b', "a,b", "a\nb", BAD]
        rows = [
            {"file": text, "name": text, "probability": 0.5, "note": ""}
            for text in texts
        ]
        rows += [{"file": text, "note": text} for text in texts]
        made = visit.page.evaluate(
            """async (rows) => {
                const all = document.querySelector("script").dataset.files.split(" ");
                const name = all.find((name) => name.startsWith("table-"));
                return (await import(`./${name}`)).csv(rows);
            }""",
            rows,
        )
        found = list(csv.DictReader(io.StringIO(made.removeprefix("\ufeff"), "")))
        n = len(texts)
        for text, row, failed in zip(texts, found[:n], found[n:], strict=True):
            for each in (row, failed):
                assert each["path"] == many._path_without_formula(text)
            assert row["name"] == failed["error"] == many._no_formula(text)
            assert row["error"] == failed["name"] == failed["probability"] == ""
            assert float(row["probability"]) == 0.5

    @pytest.mark.parametrize(("scheme", "width"), SCREENS)
    def test_can_be_used_by_everybody(self, visit, scheme, width, keep):
        size = visit.page.viewport_size
        visit.page.set_viewport_size({"width": width, "height": 740})
        visit.page.emulate_media(color_scheme=scheme)
        names = ["IMG_4028.jpg", "a_picture_with_quite_a_long_name_20261129.jpg"]
        data = encoded(load_image("uniform").resize((90, 60)), "PNG")
        files = dict.fromkeys(names, data) | {"notes.txt": b"no picture"}
        visit.choose(as_files(files))
        self.table(visit)
        keep(visit.page)
        found = violations(visit.page, ["html"])
        wide = visit.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        broken = visit.page.evaluate(BROKEN)
        visit.page.set_viewport_size(size)
        visit.page.emulate_media(color_scheme="light")
        assert found == []
        assert wide <= 0
        assert broken == [], "names of files break between words"


# -- the model card --------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_card(knows, tmp_path_factory):
    """A model's file with its card beside it, as `make mine` writes them."""
    folder = tmp_path_factory.mktemp("mine")
    path = export_onnx(knows, folder / "model.onnx")
    note_digest(path)
    labels = np.array([0] * 24)
    answers = np.array([0] * 22 + [1] * 2)
    rows = {
        "accuracy": accuracy(labels, answers),
        "accuracy, all in turn": accuracy([0] * 80, [0] * 80),
        "found of <b>": f"1.00 {plain(BAD)}",
        "ONNX against Keras": Parity(accuracy(labels, labels), 0.0),
    }
    model_card(knows, folder / "model_card.md", f"24 pictures {BAD}", rows)
    return path


class TestTheModelCard:
    def test_a_visitor_gets_one_figure_the_one_to_trust(self):
        row = "| {} | ≈0.93 (0.85–0.99), n = 80 |\n"
        alone = page_card.measured(row.format("accuracy"))
        assert "0.93, on 80 pictures that it hadn't learned from; 95 %" in alone
        trusted = row.format("accuracy, all pictures tested in turn (the figure)")
        both = page_card.measured(trusted + "| accuracy | ≈1.00 (0.76–1.00), n = 12 |")
        assert "0.93, on 80 pictures, each tested by classifiers that hadn't" in both
        assert "1.00" not in both
        assert "Accuracy" not in page_card.measured("a card without a figure")
        assert page_card.measured("") == ""

    def test_it_is_behind_a_link(self, chromium, with_card, tmp_path, keep):
        assert page.main([str(with_card), "--to", str(tmp_path / "page")]) == 0
        server = serve(tmp_path / "page", tmp_path / "log")
        try:
            visit = Visit(chromium, server.address).ready()
            measured = visit.page.locator("#measured")
            expect(measured).to_contain_text(
                "Accuracy: ≈0.92, on 24 pictures that it hadn't learned from; "
                "95 % interval 0.74 to 0.98. Model card"
            )
            with visit.page.context.expect_page() as opened:
                visit.page.get_by_role("link", name="Model card").click()
            card = opened.value  # answers stay in the other tab
            expect(card.get_by_role("heading").first).to_have_text("mine: model card")
            rows = card.get_by_role("row", name="accuracy")
            expect(rows.first).to_contain_text("≈0.92 (0.74–0.98), n = 24")
            expect(rows.last).to_contain_text("≈1.00 (0.95–1.00), n = 80")
            expect(card.locator("main")).to_contain_text(f"1.00 {BAD}")
            expect(card.locator("main")).to_contain_text(f"24 pictures {BAD}")
            assert card.locator("[onerror]").count() == 0
            assert "<!--" not in card.locator("main").inner_text()
            assert violations(card, ["html"]) == []
            card.set_viewport_size({"width": 360, "height": 740})
            wide = "document.documentElement.scrollWidth - innerWidth"
            assert card.evaluate(wide) <= 0
            keep(card)
            card.get_by_role("link", name="Back").click()
            expect(card.get_by_role("heading")).to_have_text(
                "Desktop, handheld, laptop or other?"
            )
            expect(card).to_have_title("mine: Desktop, handheld, laptop or other?")
            visit.page.context.close()
        finally:
            server.close()

    def test_visitors_see_what_it_is_for_first_and_nothing_for_its_author(
        self, chromium, with_card, tmp_path
    ):
        built = build_page(with_card, tmp_path / "page")
        (card,) = built.glob("card-*.html")
        server = serve(built, tmp_path / "log")
        try:
            opened = new_page(chromium)
            opened.goto(server.address + card.name)
            assert opened.get_by_role("heading", level=2).all_inner_texts() == [
                "What it is for, and what it cannot do",
                "What it was made from",
                "How good it is",
            ]
            shown = opened.locator("main").inner_text()
            for words in ("float32", "logits", "Keras", "cosine", "SHA256SUMS"):
                assert words not in shown
            opened.locator("summary").click()
            shown = opened.locator("main").inner_text()
            for words in ("float32", "logits", "ONNX against Keras", "cosine distance"):
                assert words in shown
            for words in ("SHA256SUMS", "load_classifier", "is kept when"):
                assert words not in card.read_text(encoding="utf-8")
            assert violations(opened, ["html"]) == []
            opened.context.close()
        finally:
            server.close()

    def test_what_is_still_to_fill_in_is_counted(self, with_card, tmp_path, capsys):
        for path in with_card.parent.iterdir():
            shutil.copy(path, tmp_path)
        card = tmp_path / "model_card.md"
        said = [
            f"2 places in {card} are still TO FILL IN, and visitors will see them: "
            "fill them in, then run this again.",
            f"1 place in {card} is still TO FILL IN, and visitors will see it: "
            "fill it in, then run this again.",
            "",
        ]
        for line in said:
            command = [str(tmp_path / "model.onnx"), "--to", str(tmp_path / "page")]
            assert page.main(command) == 0
            lines = capsys.readouterr().out.splitlines()
            assert [each for each in lines if "card" in each] == [line] * bool(line)
            text = card.read_text(encoding="utf-8")
            card.write_text(
                text.replace("**TO FILL IN:**", "Mine:", 1), encoding="utf-8"
            )

    def test_a_card_without_the_marks_of_its_parts_is_shown_whole(self):
        """Such as one that somebody wrote anew."""
        made = card_as_html("# mine: model card\n\n## For\n<b> & &lt;i&gt;\n")
        assert "<h2>For</h2>" in made
        assert "&lt;b&gt; &amp; &lt;i&gt;" in made
        assert "details" not in made

    def test_without_one_there_is_no_link(self, built):
        assert not list(built.glob("card-*"))
        assert "measured" not in (built / "index.html").read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        "change",
        thorough_but(["another name", "the model has changed"], "another name"),
    )
    def test_that_of_another_model_stays_out(self, with_card, tmp_path, change, capsys):
        for path in with_card.parent.iterdir():
            shutil.copy(path, tmp_path)
        path = tmp_path / "model.onnx"
        if change == "another name":
            card = tmp_path / "model_card.md"
            text = card.read_text(encoding="utf-8")
            card.write_text(text.replace("# mine:", "# yours:"), encoding="utf-8")
        else:
            edited(path, path, lambda model: setattr(model, "doc_string", "newer"))
        assert page.main([str(path), "--to", str(tmp_path / "page")]) == 0
        assert "model_card.md isn't on it" in capsys.readouterr().out
        assert not list((tmp_path / "page").glob("card-*"))

    @pytest.mark.thorough
    def test_a_fault_of_the_host_is_not_put_down_to_the_card(
        self, chromium, with_card, tmp_path
    ):
        """It's the one file of a page that is a web page itself."""
        built = build_page(with_card, tmp_path / "page")
        with hosted(built, lost=".json") as host:
            visit = Visit(chromium, host.address)
            expect(visit.problem).to_contain_text("page-")
            expect(visit.problem).not_to_contain_text("card-")
            visit.page.context.close()


class TestForEverybody:
    @pytest.mark.parametrize(("scheme", "width"), SCREENS)
    def test_can_be_used_by_everybody_on_any_screen(self, visit, scheme, width, keep):
        size = visit.page.viewport_size
        visit.page.set_viewport_size({"width": width, "height": 740})
        visit.page.emulate_media(color_scheme=scheme)
        visit.page.get_by_role("button", name="uniform", exact=True).click()
        visit.answers("uniform")
        visit.page.locator("summary").click()
        keep(visit.page)
        found = violations(visit.page, ["html"])
        too_wide = visit.page.evaluate(
            "[...document.querySelectorAll('body *')].map(e => [e, "
            "e.getBoundingClientRect()]).filter(([e, box]) => box.right > innerWidth "
            "+ 0.5 && box.width).map(([e]) => e.outerHTML.slice(0, 200))"
        )
        visit.send("notes.txt", b"no picture")
        expect(visit.problem).to_contain_text("notes.txt")
        found += violations(visit.page, ["html"])
        keep(visit.page)
        visit.page.locator("summary").click()
        visit.page.set_viewport_size(size)
        visit.page.emulate_media(color_scheme="light")
        assert found == []
        assert too_wide == []

    def test_tells_what_it_can(self, visit):
        footer = visit.page.locator("footer").inner_text()
        assert "knows 200 classes" in footer
        assert "cannot tell that a picture shows none of them" in footer
        heading = visit.page.get_by_role("heading").inner_text()
        assert visit.page.title() == f"tiny: {heading}"
        assert visit.page.locator("details").get_attribute("open") is None, (
            "200 classes"
        )
        expect(
            visit.page.get_by_text("The picture never leaves this device.")
        ).to_be_visible()

    def test_names_stay_text(self, chromium, exported, tmp_path, keep):
        def edit(model):
            texts = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
            texts["classifier.json"]["name"] = BAD
            texts["classes.json"] = [[BAD, f"{i} {BAD}"] for i in range(200)]
            onnx.helper.set_model_props(
                model, {key: json.dumps(texts[key]) for key in texts}
            )

        strange = edited(exported, tmp_path / "strange.onnx", edit)
        server = serve(
            build_page(strange, tmp_path / "page", {BAD: "cat"}), tmp_path / "log"
        )
        try:
            visit = Visit(chromium, server.address).ready()
            visit.page.get_by_role("button", name=BAD).click()
            assert BAD in visit.answers(BAD)[0][0]
            visit.send(f"{BAD}.png", encoded(load_image("cat"), "PNG"))
            visit.answers(f"{BAD}.png")
            visit.send(f"{BAD}.txt", b"no picture")
            expect(visit.problem).to_contain_text(f"{BAD}.txt: This isn't a picture")
            expect(visit.page.locator("#about")).to_contain_text(BAD)
            expect(visit.page.locator("#classes li").first).to_have_text(f"0 {BAD}")
            keep(visit.page)
            assert visit.page.locator("[onerror]").count() == 0
            assert visit.page.evaluate("window.caught") is None
            visit.page.context.close()
        finally:
            server.close()


class TestPicturesStay:
    """“The picture never leaves this device.”"""

    def test_nothing_is_asked_of_any_host_once_the_page_is_there(
        self, visit, address, expected
    ):
        assert {method for method, _ in visit.loaded} == {"GET"}
        urls = [url for _, url in visit.loaded]
        assert any(re.search(r"/network-\w+\.bin$", url) for url in urls)
        assert all(
            url.startswith((address, "blob:")) and "?" not in url for url in urls
        ), urls
        visit.requests.clear()
        visit.page.context.set_offline(True)  # and so it works without a network
        data = encoded(load_image("uniform"), "PNG")
        visit.send("secret.png", data)
        assert visit.answers("secret.png") == expected(data)
        visit.page.get_by_role("button", name="cat", exact=True).click()
        visit.answers("cat")
        visit.page.context.set_offline(False)
        assert visit.requests == visit.page.asked == visit.page.context.cookies() == []
        kept = "[localStorage.length, sessionStorage.length, document.cookie]"
        assert visit.page.evaluate(kept) == [0, 0, ""]

    @pytest.mark.thorough
    def test_its_rules_let_no_other_host_take_part(
        self, visit, chromium, built, address
    ):
        """What a changed library, say, would try; and that this would have noticed."""
        send = """async (url) => {
            const image = new Image();
            image.src = url + "image";
            await fetch(url + "fetch", { mode: "no-cors" }).catch(() => 0);
            await import(url + "script.js").catch(() => 0);
            const frame = document.createElement("iframe");
            frame.src = url + "frame";
            document.body.append(frame);
            await new Promise((done) => setTimeout(done, 500));
            frame.remove();
        }"""
        with Site() as other:
            threading.Thread(target=other.serve_forever, daemon=True).start()
            visit.page.evaluate(send, other.address)
            assert other.asked == []
            free = new_page(chromium)
            (licences,) = built.glob("licences-*.txt")
            free.goto(address + licences.name)  # which has no rules
            free.evaluate(send, other.address)
            assert {*other.asked} == {"image", "fetch", "script.js", "frame"}
            free.context.close()
            other.shutdown()

    def test_rules(self):
        text = (page.STATIC / "index.html").read_text(encoding="utf-8")
        rules = re.search('Content-Security-Policy" content="([^"]*)"', text)[1]
        rules = dict(rule.strip().split(" ", 1) for rule in rules.split(";"))
        assert (
            rules["default-src"]
            == rules["base-uri"]
            == rules["form-action"]
            == "'none'"
        )
        assert {*" ".join(rules.values()).split()} == {
            "'none'",
            "'self'",
            "blob:",
            "'wasm-unsafe-eval'",
        }
        assert text.index("Content-Security-Policy") < text.index("<script")


class Host(http.server.ThreadingHTTPServer):
    """Serves a folder as some web hosts do. headers: sent with everything, or a
    function of a file's name; types: {suffix: its Content-Type}; missing: the suffix of
    files that it refuses; lost: of files in whose place the connection ends; fallback:
    index.html for what it has not."""

    daemon_threads = True

    def __init__(
        self, folder, headers=None, types=None, missing=None, lost=None, fallback=False
    ):
        super().__init__(("127.0.0.1", 0), partial(Hosted, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server_port}/"
        self.headers = headers if callable(headers) else lambda _: headers or {}
        self.types = types or {}
        self.missing, self.lost, self.fallback = missing, lost, fallback
        self.asked = []


class Hosted(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rpartition("/")[2] or "index.html"
        server, found = self.server, Path(self.translate_path(self.path))
        server.asked.append(name)
        if server.lost and name.endswith(server.lost):
            self.close_connection = True
            self.connection.close()
            return
        refused = server.missing and name.endswith(server.missing)
        if refused or not found.exists():
            if not server.fallback:
                self.send_error(404)
                return
            self.path = "/index.html"
        super().do_GET()

    def guess_type(self, path):
        return self.server.types.get(Path(path).suffix, super().guess_type(path))

    def end_headers(self):
        name = self.path.rpartition("/")[2] or "index.html"
        for header, value in self.server.headers(name).items():
            self.send_header(header, value)
        super().end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def hosted(folder, **how):
    """A `Host` that serves."""
    with Host(folder, **how) as host:
        threading.Thread(target=host.serve_forever, args=(0.05,), daemon=True).start()
        yield host
        host.shutdown()


OWN = "script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'"
NOSNIFF = {"X-Content-Type-Options": "nosniff"}


def policy(text):
    """The headers of a host with such a Content-Security-Policy."""
    return {"headers": {"Content-Security-Policy": text}}


@pytest.mark.thorough
class TestHosts:
    """What web hosts do to pages: each fault is told apart, with what to do."""

    # {what is wrong: (how the host is, what the page says)}
    FAULTS = {
        "a kind of file is refused": (
            {"missing": ".bin"},
            [
                "answers 404 to a request for",
                "-",
                "told to send files that end in .bin",
            ],
        ),
        "half of it was copied": (
            {"missing": ".jpg"},
            ["answers 404 to a request for sample-", "Copy the whole folder"],
        ),
        "one module is not there": (
            {"missing": "resize.js"},
            ["answers 404 to a request for resize-", "Copy the whole folder"],
        ),
        "index.html for all it does not know": (
            {"missing": ".bin", "fallback": True},
            ["sends a web page in place of", "Copy the whole folder"],
        ),
        "the same for a module": (
            {"missing": "model.js", "fallback": True},
            ["sends a web page in place of model-"],
        ),
        "JavaScript as plain text": (
            {"types": {".js": "text/plain"}},
            ["as text/plain", "text/javascript"],
        ),
        "JavaScript as anything": (
            {"types": {".js": "application/octet-stream"}},
            ["as application/octet-stream", "text/javascript"],
        ),
        "no WebAssembly": (
            policy("script-src 'self'"),
            ["Content-Security-Policy: script-src"],
        ),
        "nothing to be fetched": (
            policy("connect-src 'none'"),
            ["Content-Security-Policy: connect-src", "connect-src 'self'"],
        ),
        "sandboxed by the host": (
            policy("sandbox allow-scripts"),
            ["takes its rights away (sandbox)", "Open it by itself: http://127.0.0.1"],
        ),
        "the connection ends": (
            {"lost": ".bin"},
            ["could not be fetched: check the connection"],
        ),
    }

    @pytest.mark.parametrize("fault", FAULTS)
    def test_each_fault_is_told_apart(self, chromium, built, keep, fault):
        how, said = self.FAULTS[fault]
        # The suffixes of modules, whose names have a hash.
        for key in ("missing", "lost"):
            if how.get(key, "").endswith(".js"):
                (path,) = built.glob(f"{how[key].removesuffix('.js')}-*.js")
                how = how | {key: path.name}
        with hosted(built, **how) as host:
            visit = Visit(chromium, host.address)
            for words in said:
                expect(visit.problem).to_contain_text(words)
            if "connection" not in " ".join(said):
                expect(visit.problem).not_to_contain_text("connection")
            expect(
                visit.page.get_by_role("button", name="Choose pictures")
            ).to_be_hidden()
            assert violations(visit.page, ["html"]) == []
            keep(visit.page)
            visit.page.context.close()

    @pytest.mark.parametrize(
        "how",
        [
            {},
            policy(OWN),
            {
                "types": {
                    ".json": "text/plain",
                    ".bin": "text/plain",
                    ".svg": "text/xml",
                }
            },
            {"headers": NOSNIFF},
            {"headers": NOSNIFF | {"Cross-Origin-Embedder-Policy": "require-corp"}},
            policy("require-trusted-types-for 'script'"),
        ],
    )
    def test_others_do_no_harm(self, chromium, built, how):
        with hosted(built, **how) as host:
            visit = Visit(chromium, host.address)
            expect(visit.said).to_have_text("Ready.")
            expect(visit.problem).not_to_be_attached()
            visit.page.context.close()

    @pytest.mark.parametrize(
        "how",
        [
            policy("default-src 'none'; style-src 'self'"),
            {"types": {".js": "text/plain"}, "headers": NOSNIFF},
            {"missing": ".js"},
            {"missing": ".js", "fallback": True},
        ],
    )
    def test_where_no_script_runs_the_page_says_what_it_needs(
        self, chromium, built, how
    ):
        with hosted(built, **how) as host:
            opened = new_page(chromium)
            opened.goto(host.address)
            stuck = opened.get_by_text("This takes long")
            expect(stuck).to_be_attached()
            opened.evaluate(
                "document.getAnimations().forEach((waiting) => waiting.finish())"
            )
            expect(stuck).to_be_visible()
            expect(stuck).to_contain_text("apps/page/README.md")
            opened.context.close()

    @pytest.mark.parametrize("rights", ["allow-scripts", "allow-scripts allow-popups"])
    def test_a_frame_that_takes_rights_away(self, chromium, built, tmp_path, rights):
        with hosted(built) as inner:
            frame = f'<iframe sandbox="{rights}" src="{inner.address}"></iframe>'
            (tmp_path / "index.html").write_text(
                f"<!doctype html><title>x</title>{frame}"
            )
            with hosted(tmp_path) as outer:
                opened = new_page(chromium)
                opened.goto(outer.address)
                problem = opened.frame_locator("iframe").get_by_role("alert")
                expect(problem).to_contain_text("takes its rights away (sandbox)")
                expect(problem).to_contain_text(f"Open it by itself: {inner.address}")
                opened.context.close()

    def test_a_frame_of_another_site_is_as_good_as_a_tab(
        self, chromium, built, tmp_path
    ):
        with hosted(built) as inner:
            frame = f'<iframe src="{inner.address}"></iframe>'
            (tmp_path / "index.html").write_text(
                f"<!doctype html><title>x</title>{frame}"
            )
            with hosted(tmp_path) as outer:
                opened = new_page(chromium)
                opened.goto(outer.address)
                said = opened.frame_locator("iframe").get_by_role("status")
                expect(said).to_have_text("Ready.")
                opened.context.close()

    def test_a_file_that_was_changed_on_the_way(self, chromium, built, tmp_path):
        """As FTP does it in its text mode."""
        shutil.copytree(built, tmp_path / "page")
        (path,) = (tmp_path / "page").glob("network-*.bin")
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        with hosted(tmp_path / "page") as host:
            visit = Visit(chromium, host.address)
            expect(visit.problem).to_contain_text(f"{path.name} is not as it was made")
            expect(visit.problem).to_contain_text("FTP: binary mode")
            visit.page.context.close()

    def test_a_page_opened_from_disk(self, chromium, built, keep):
        opened = new_page(chromium)
        opened.goto((built / "index.html").as_uri())
        problem = opened.get_by_role("alert")
        expect(problem).to_contain_text("opened as a file from disk")
        expect(problem).to_contain_text("python -m http.server")
        keep(opened)
        opened.context.close()

    def test_a_new_page_shows_nothing_of_the_older_one(
        self, chromium, exported, tmp_path
    ):
        """Browsers keep what they have as long as the host lets them."""

        def headers(name):
            keep = "max-age=86400" if HASHED.fullmatch(name) else "no-cache"
            return {"Cache-Control": keep}

        folder = tmp_path / "page"
        build_page(exported, folder, {"mine": "cat"})
        with hosted(folder, headers=headers) as host:
            visit = Visit(chromium, host.address).ready()
            visit.page.get_by_role("button", name="mine").click()
            first = visit.answers("mine")
            host.asked.clear()
            visit.page.goto("about:blank")
            visit.page.goto(host.address)
            visit.ready()
            assert {*host.asked} <= {"index.html"}, "it keeps them"
            build_page(exported, folder, {"mine": "photographer"})
            visit.page.goto("about:blank")
            visit.page.goto(host.address)
            visit.ready()
            visit.page.get_by_role("button", name="mine").click()
            assert visit.answers("mine") != first
            asked = [name for name in host.asked if name != "index.html"]
            assert {HASHED.fullmatch(name)[1] for name in asked} == {"page", "sample"}
            visit.page.context.close()


@pytest.mark.thorough
def test_our_nginx_lets_browsers_keep_all_but_index_html(built, tmp_path):
    """apps/page/static-nginx.conf with the real nginx."""
    nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not nginx:
        reason = "needs nginx (on Debian: apt install nginx-light)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    text, port = (ROOT / "apps" / "page" / "static-nginx.conf").read_text(), free_port()
    changes = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port};",
        "    ssl_certificate /etc/ssl/classify.pem;\n": "",
        "    ssl_certificate_key /etc/ssl/classify.key;\n": "",
        "/var/www/classify": str(built),
    }
    process = start_nginx(
        nginx, tmp_path, text, changes, "include /etc/nginx/mime.types;\n"
    )
    try:
        kept, address = {}, f"http://127.0.0.1:{port}/"
        for _ in range(100):
            assert process.poll() is None, (tmp_path / "error.log").read_text()
            with suppress(OSError), urllib.request.urlopen(address, timeout=30):
                break
            time.sleep(0.1)
        for name in ["", *(path.name for path in built.iterdir())]:
            with urllib.request.urlopen(address + name, timeout=30) as answer:
                kept[name] = answer.headers["Cache-Control"]
    finally:
        process.terminate()
        process.wait()
    assert {kept.pop(""), kept.pop("index.html")} == {"no-cache"}
    assert set(kept.values()) == {"public, max-age=31536000, immutable"}


@pytest.mark.thorough
class TestWhatCanBeMissing:
    def open(self, chromium, address, script, said):
        visit = Visit(chromium, address, script)
        expect(visit.problem).to_contain_text(said)
        assert violations(visit.page, ["html"]) == []
        return visit

    def test_webassembly(self, chromium, address, keep):
        visit = self.open(
            chromium, address, "delete window.WebAssembly", "runs no WebAssembly"
        )
        keep(visit.page)
        expect(visit.page.get_by_role("button", name="Choose pictures")).to_be_hidden()
        visit.page.context.close()

    def test_reading_pictures_truthfully(self, chromium, address):
        """As browsers do that protect against tracking by the drawing surface."""
        script = """
            const drawing = OffscreenCanvasRenderingContext2D.prototype;
            const read = drawing.getImageData;
            drawing.getImageData = function (...place) {
                const found = read.apply(this, place);
                found.data[5] ^= 1;
                return found;
            };"""
        said = "changes what pages read from pictures"
        self.open(chromium, address, script, said).page.context.close()

    @pytest.mark.parametrize(
        ("error", "said"),
        {
            "NotAllowedError": "The camera was not allowed",
            "NotFoundError": "There is no camera on this device",
            "NotReadableError": "used by another program",
            "AbortError": "The camera does not work: a reason",
        }.items(),
    )
    def test_the_camera(self, visit, error, said):
        visit.page.evaluate(
            """(error) => {
                navigator.mediaDevices.getUserMedia = async () => {
                    throw new DOMException("a reason", error);
                };
            }""",
            error,
        )
        visit.page.get_by_role("button", name="Use the camera").click()
        expect(visit.problem).to_contain_text(said)
        expect(visit.page.get_by_role("button", name="Use the camera")).to_be_visible()


def test_without_a_secure_address_the_camera_is_off_and_the_reason_beside_it(
    chromium, address, visit
):
    """As on a phone in the same room. Browsers then have no `mediaDevices`."""
    reason = "The camera works only where the page's address begins with https://."
    expect(visit.page.get_by_role("button", name="Use the camera")).to_be_enabled()
    expect(visit.page.get_by_text(reason)).to_be_hidden()
    script = "Object.defineProperty(navigator, 'mediaDevices', { value: undefined })"
    other = Visit(chromium, address, script).ready()
    expect(other.page.get_by_role("button", name="Use the camera")).to_be_disabled()
    expect(other.page.get_by_text(reason)).to_be_visible()
    assert violations(other.page, ["html"]) == []
    other.page.context.close()


OPENED = """
    window.opened = [];
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await open(wanted);
        opened.push(...stream.getTracks());
        return stream;
    };"""  # keeps the camera's tracks


@pytest.mark.thorough
class TestCamera:
    """Chromium's fake camera, which shows one of the samples."""

    @pytest.fixture(scope="class")
    @classmethod
    def filmed(cls, chromium, real_address, tmp_path_factory):
        film = tmp_path_factory.mktemp("film") / "coffee.mjpeg"
        frame = encoded(
            load_image("coffee").crop((60, 0, 540, 400)).resize((640, 480)),
            "JPEG",
            quality=90,
        )
        film.write_bytes(frame * 30)
        options = [
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={film}",
        ]
        started = chromium.browser_type.launch(
            executable_path=shutil.which("chromium"), args=[*FLAGS, *options]
        )
        visit = Visit(started, real_address, OPENED).ready()
        visit.button = visit.page.locator("#camera")
        yield visit
        started.close()

    def test_answers_five_times_a_second(self, filmed, record_property, keep):
        filmed.button.click()
        assert filmed.answers("the camera")[0][0] == "espresso"
        expect(filmed.said).to_have_text("espresso")
        time = filmed.page.locator("#time")
        # On a machine with much else to do it takes a while until it can.
        expect(time).to_have_text(re.compile(r" ([5-9]|\d\d+) pictures a second"))
        filmed.page.wait_for_timeout(1000)
        rate = re.search(r"\d+ pictures a second", time.inner_text())[0]
        record_property("camera of the page with no server", rate)
        keep(filmed.page)
        assert violations(filmed.page, ["html"]) == []
        filmed.button.click()

    def test_stops_for_a_file_and_when_told(self, filmed):
        expect(filmed.button).to_have_text("Use the camera")
        filmed.button.click()
        filmed.answers("the camera")
        filmed.send("mine.png", encoded(load_image("cat"), "PNG"))
        filmed.answers("mine.png")
        filmed.page.wait_for_timeout(300)
        filmed.answers("mine.png")
        expect(filmed.button).to_have_text("Use the camera")
        filmed.button.click()
        filmed.answers("the camera")
        expect(filmed.button).to_have_text("Stop the camera")
        filmed.button.click()
        time = filmed.page.locator("#time")
        before = time.inner_text()
        filmed.page.wait_for_timeout(300)
        assert time.inner_text() == before
        assert (
            filmed.page.evaluate("opened.map((track) => track.readyState)")
            == ["ended"] * 3
        )

    def test_nothing_is_asked_of_any_host(self, filmed):
        filmed.requests.clear()
        filmed.button.click()
        filmed.page.wait_for_timeout(300)
        filmed.button.click()
        assert filmed.requests == filmed.page.asked == []
