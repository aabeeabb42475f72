"""What the page that learns computes, as Node.js runs it, against Python's own."""

import base64
import csv
import io
import json
import os
import shutil
import subprocess
import zipfile

import numpy as np
import onnx
import pytest
import tiny
from cases import thorough_but
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from apps.page import build as page
from apps.sharing.exported import load_exported
from helpers.images import to_batch
from helpers.models import RECORDED, ROOT
from tools.record import record_page_honesty as honesty


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A function that runs JavaScript with the page's modules → what it returns.

    The modules lie side by side, as in a built page."""
    program = shutil.which("node")
    if not program:
        reason = "needs Node.js"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    folder = tmp_path_factory.mktemp("modules")
    for path in (*page.STATIC.glob("*.js"), *page.TRAIN.glob("*.js")):
        shutil.copy(path, folder)
    (folder / "package.json").write_text('{"type": "module"}')

    def run(imports, body, **data):
        """imports: {module: names}; body: of a function of `data`, as JSON."""
        lines = [
            f'import {{ {names} }} from "./{m}.js";' for m, names in imports.items()
        ]
        (folder / "run.js").write_text(
            "\n".join(
                [
                    'import { readFileSync } from "node:fs";',
                    *lines,
                    "const data = JSON.parse(readFileSync(0));",
                    f"const found = await (async () => {{ {body} }})();",
                    "console.log(JSON.stringify(found ?? null));",
                ]
            ),
            encoding="utf-8",
        )
        done = subprocess.run(
            [program, "run.js"],
            cwd=folder,
            input=json.dumps(data),
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


ROWS = "const rows = (many) => many.map((row) => Float32Array.from(row));"


def features_like_a_networks(labels, width=300, seed=0):
    """Pooled features of ReLU6: never negative, many of them zero, some never else."""
    rng = np.random.default_rng(seed)
    of_class = rng.gamma(0.5, 0.5, (max(labels) + 1, width))
    rows = of_class[labels] * rng.gamma(2, 0.5, (len(labels), width))
    rows[rng.random(rows.shape) < 0.3] = 0
    rows[:, :5] = 0
    rows[:, 5] = 1.25
    return rows.clip(0, 6).astype("float32")


class TestTheHead:
    """Multinomial logistic regression in JavaScript."""

    def fitted(self, node, features, labels, count):
        return node(
            {"head": "fitHead, probabilitiesOf"},
            ROWS
            + """
            const features = rows(data.features);
            const head = fitHead(features, data.labels, data.count);
            return { kernel: head.kernel.map((row) => [...row]), bias: head.bias,
                rows: features.map((row) => [...probabilitiesOf(head, row)]) };""",
            features=features.tolist(),
            labels=labels,
            count=count,
        )

    def compare(self, node, features, labels, count):
        found = self.fitted(node, features, labels, count)
        head = make_pipeline(
            StandardScaler(), LogisticRegression(C=0.01, max_iter=10_000, tol=1e-10)
        ).fit(features.astype(float), labels)
        scaler, regression = head
        kernel = regression.coef_ / scaler.scale_
        bias = regression.intercept_ - kernel @ scaler.mean_
        own = np.array(found["kernel"])
        own_bias = np.array(found["bias"])
        if count == 2:  # scikit-learn keeps the second class's weights only
            assert not own[0].any() and own_bias[0] == 0
            own, own_bias = own[1:], own_bias[1:]
        assert np.abs(own - kernel).max() <= 1e-4
        assert np.abs(own_bias - bias).max() <= 1e-4
        wanted = head.predict_proba(features.astype(float))
        assert np.abs(found["rows"] - wanted).max() <= 1e-4
        assert len(set(wanted.argmax(axis=1))) == count, "or it says nothing"

    @pytest.mark.parametrize("count", [2, 3, 7])
    def test_has_the_optimum_of_scikit_learn(self, node, count):
        labels = [i % count for i in range(60)]
        self.compare(node, features_like_a_networks(labels), labels, count)

    @pytest.mark.parametrize("case", ["one of a class", "all alike", "twice the same"])
    def test_also_where_there_is_little_to_learn_from(self, node, case):
        labels = [0, 1, 1, 2, 2, 2]
        features = features_like_a_networks(labels)
        if case == "all alike":
            features[:] = features[0]
        if case == "twice the same":
            features[2] = features[1]
        found = self.fitted(node, features, labels, 3)
        rows = np.array(found["rows"])
        assert np.isfinite(rows).all()
        assert np.allclose(rows.sum(axis=1), 1)
        if case == "all alike":
            assert np.allclose(rows, [1 / 6, 2 / 6, 3 / 6], atol=1e-4)

    @pytest.mark.thorough
    def test_on_the_features_of_photographs(self, node, shared_data):
        classifier = honesty.load_classifier()
        run = honesty.features_of_page(classifier)
        labels, pictures = [], []
        for label, name in enumerate(("ants", "bees")):
            paths = sorted((shared_data / "hymenoptera" / "train" / name).iterdir())
            pictures += paths[:30]
            labels += [label] * 30
        pictures += sorted((shared_data / "photos").glob("*.jpg"))[:30]
        labels += [2] * 30
        pixels = to_batch(pictures, classifier.size, classifier.rule)
        features = np.concatenate([run(pixels[i : i + 10]) for i in range(0, 90, 10)])
        self.compare(node, features, labels, 3)
        self.compare(node, features[:60], labels[:60], 2)


class TestGroupsAndFolds:
    """Look-alikes, and that they never lie on both sides."""

    def grouped(self, node, features, layouts=None, bursts=None):
        n = len(features)
        noise = np.random.default_rng(1).random((n, 256))
        return node(
            {"groups": "groupsOf"},
            ROWS
            + "return groupsOf(rows(data.features), rows(data.layouts), data.bursts);",
            features=np.asarray(features).tolist(),
            layouts=(noise if layouts is None else np.asarray(layouts)).tolist(),
            bursts=bursts or [None] * n,
        )

    def test_a_burst_is_one_group_however_it_looks(self, node):
        features = np.eye(6)
        groups = self.grouped(node, features, bursts=["a", None, "b", "a", "b", None])
        assert groups == [0, 1, 2, 0, 2, 5]

    def test_features_that_point_the_same_way(self, node):
        rng = np.random.default_rng(0)
        features = rng.random((5, 300)) * (rng.random((5, 300)) < 0.3)
        features[3] = 2 * features[0]
        assert self.grouped(node, features) == [0, 1, 2, 0, 4]

    def test_a_coarse_copy_has_other_features_but_the_same_layout(self, node):
        rng = np.random.default_rng(0)
        layouts = rng.random((3, 256))
        layouts[2] = layouts[0] * 700 + rng.random(256)
        features = np.array([[1, 0, 0.0], [0, 1, 0], [0.75, 0, 0.66]])
        assert self.grouped(node, features, layouts) == [0, 1, 0]
        features[2] = [0.1, 0, 1]  # of something else altogether
        assert self.grouped(node, features, layouts) == [0, 1, 2]

    def test_chains_are_one_group(self, node):
        turned = [[np.cos(angle), np.sin(angle)] for angle in (0, 0.4, 0.8, 1.2)]
        assert self.grouped(node, turned) == [0, 0, 0, 0]
        assert self.grouped(node, [turned[0], turned[3]]) == [0, 1]

    @pytest.mark.parametrize("seed", range(5))
    def test_folds_keep_groups_whole_and_classes_spread(self, node, seed):
        rng = np.random.default_rng(seed)
        labels = [i % 3 for i in range(60)]
        groups = list(range(60))
        for one in range(0, 24, 6):  # some groups of three, of one class each
            groups[one + 3] = groups[one]
            groups[one + 30] = groups[one]
        groups[2] = groups[1]  # and one of two classes
        folds = node(
            {"groups": "foldsOf"},
            "return foldsOf(data.groups, data.labels, 3, 5, data.seed);",
            groups=groups,
            labels=labels,
            seed=int(rng.integers(1000)),
        )
        assert set(folds) == set(range(5))
        for group in set(groups):
            own = {fold for fold, g in zip(folds, groups, strict=True) if g == group}
            assert len(own) == 1
        counts = np.zeros((5, 3), int)
        np.add.at(counts, (folds, labels), 1)
        assert counts.min() >= 2 and counts.max() <= 7

    def test_the_same_each_time_and_others_for_another_seed(self, node):
        body = """const groups = data.labels.map((_, i) => i);
            return [0, 0, 1].map((seed) => foldsOf(groups, data.labels, 2, 5, seed));"""
        one, again, other = node(
            {"groups": "foldsOf"}, body, labels=[i % 2 for i in range(40)]
        )
        assert one == again != other


class TestTheJudgement:
    """Accuracy, interval, matrix, suspects."""

    @pytest.mark.parametrize(("right", "n"), [(0, 5), (3, 9), (37, 40), (40, 40)])
    def test_the_interval_is_wilsons(self, node, right, n):
        low, high = node(
            {"judge": "wilson"}, "return wilson(data.right / data.n, data.n);",
            right=right, n=n,
        )  # fmt: skip
        wanted = binomtest(right, n).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)

    def test_look_alikes_count_as_one_picture(self, node):
        found = node(
            {"judge": "accuracy"},
            "return accuracy(data.answers, data.labels, data.groups);",
            answers=[0, 0, 0, 0, 1, 1],
            labels=[0, 0, 0, 0, 0, 1],
            groups=[0, 0, 0, 0, 4, 5],
        )
        assert found["n"] == 3
        assert found["value"] == pytest.approx(2 / 3), "not five of six"

    def judged(self, node, features, labels, groups, count):
        return node(
            {"judge": "judge"},
            ROWS
            + """const features = rows(data.features);
            return judge(features, data.labels, data.groups, data.count);""",
            features=features.tolist(),
            labels=labels,
            groups=groups,
            count=count,
        )

    def test_planted_wrong_labels_are_the_first_suspects(self, node):
        true = [i % 3 for i in range(60)]
        features = features_like_a_networks(true)
        labels = list(true)
        for i in (4, 17, 30):
            labels[i] = (true[i] + 1) % 3
        found = self.judged(node, features, labels, list(range(60)), 3)
        assert set(found["suspects"][:3]) == {4, 17, 30}
        matrix = found["matrix"]
        positions = sorted(i for row in matrix for cell in row for i in cell)
        assert positions == list(range(60))
        for label, row in enumerate(matrix):
            for answer, cell in enumerate(row):
                assert all(labels[i] == label for i in cell)
                assert all(found["answers"][i] == answer for i in cell)
        right = sum(len(matrix[k][k]) for k in range(3))
        assert found["accuracy"]["value"] == pytest.approx(right / 60)

    def test_no_picture_is_judged_by_what_looks_like_it(self, node):
        """Noise, each picture three times: whoever peeks is always right."""
        rng = np.random.default_rng(0)
        features = np.repeat(rng.random((20, 300)), 3, axis=0).astype("float32")
        labels = [int(label) for label in np.repeat(rng.permutation(20) % 2, 3)]
        groups = [3 * (i // 3) for i in range(60)]
        honest = self.judged(node, features, labels, groups, 2)
        peeking = self.judged(node, features, labels, list(range(60)), 2)
        assert peeking["accuracy"]["value"] > 0.9
        assert honest["accuracy"]["value"] < 0.75
        assert honest["accuracy"]["n"] == 20

    def test_too_few_pictures_that_differ_are_no_accuracy(self, node):
        labels = [0] * 8 + [1] * 8
        groups = [0, 1, 2, 3, 3, 3, 3, 3, *range(8, 16)]
        features = features_like_a_networks(labels)
        found = self.judged(node, features, labels, groups, 2)
        assert found == {"scarce": [0], "counts": [4, 8]}

    @pytest.mark.parametrize(
        ("low", "high", "says"),
        [
            (0.1, 0.3, "Worse than a guess"),
            (0.4, 0.9, "Too few to tell whether it has learned anything"),
            (0.6, 0.95, "too few to tell how good"),
            (0.85, 0.97, "Better than a guess: always answering “ants”"),
        ],
    )
    def test_in_words(self, node, low, high, says):
        said = node(
            {"report": "verdict"},
            """return verdict({ accuracy: data.accuracy, guess: 0.5 },
                [{ name: "ants" }, { name: "bees" }], [20, 20]);""",
            accuracy={"value": (low + high) / 2, "low": low, "high": high, "n": 40},
        )
        assert says in said
        assert "right for 50 %" in said


class TestStrangePictures:
    def test_the_nearest_of_another_group(self, node):
        rng = np.random.default_rng(0)
        features = rng.random((12, 30))
        groups = [0, 0, 2, 3, 3, 3, 6, 7, 8, 9, 10, 11]
        found = node(
            {"strange": "ownDistances"},
            ROWS + "return ownDistances(rows(data.features), data.groups);",
            features=features.tolist(),
            groups=groups,
        )
        units = features / np.linalg.norm(features, axis=1, keepdims=True)
        distances = 1 - units @ units.T
        distances[np.equal.outer(groups, groups)] = np.inf
        assert found == pytest.approx(distances.min(axis=1), abs=1e-5)

    @pytest.mark.parametrize("share", [0, 0.05, 0.3, 1])
    def test_the_threshold_is_numpys_quantile(self, node, share):
        distances = np.random.default_rng(0).random(37).tolist()
        found = node(
            {"strange": "threshold"},
            "return threshold(data.distances, data.share);",
            distances=distances,
            share=share,
        )
        assert found == pytest.approx(np.quantile(distances, 1 - share))


class TestWhatIsTakenAlong:
    def test_a_zip_archive_as_python_reads_it(self, node):
        files = {"ants/a.jpg": "picture", "Bäume/ö 1.png": "", "ants/b.jpg": "x" * 999}
        text = node(
            {"zip": "zip"},
            """const files = Object.entries(data.files).map(([name, text]) =>
                ({ name, data: new Blob([text]) }));
            const whole = await zip(files, new Date(2026, 10, 29, 22, 13, 8));
            return Buffer.from(await whole.arrayBuffer()).toString("base64");""",
            files=files,
        )
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(text))) as archive:
            assert archive.testzip() is None
            found = {name: archive.read(name).decode() for name in archive.namelist()}
            times = {member.date_time for member in archive.infolist()}
        assert found == files
        assert times == {(2026, 11, 29, 22, 13, 8)}

    @pytest.mark.parametrize(
        ("name", "plain"),
        [
            ("ants", "ants"),
            ("a/b\\c:d", "a_b_c_d"),
            ("../..", "_"),
            (" .hidden. ", "hidden"),
            ("CON", "CON_class"),
            ("test", "test_class"),
            ("Bäume 🌳", "Bäume 🌳"),
            ("...", "_"),
        ],
    )
    def test_names_that_any_system_takes(self, node, name, plain):
        found = node({"take": "fileName"}, "return fileName(data.name);", name=name)
        assert found == plain

    def test_the_same_name_twice_becomes_two(self, node):
        found = node(
            {"take": "distinct"},
            "return distinct(data.names);",
            names=["a.jpg", "A.jpg", "a.jpg", "b", "b", "a-2.jpg"],
        )
        assert found == ["a.jpg", "A-2.jpg", "a-3.jpg", "b", "b-2", "a-2-2.jpg"]

    @pytest.mark.parametrize("within", thorough_but([0.25, 0, 1e-7], 0.25))
    def test_a_head_is_put_on_the_network(self, node, tmp_path, within):
        """By JavaScript, as the file in which everything is."""
        classifier = tiny.classifier(10)
        network = page.base_network(classifier, tmp_path / "base.onnx")
        (tmp_path / "network.bin").write_bytes(network)
        rng = np.random.default_rng(0)
        kernel, bias = rng.normal(size=(3, 64)), rng.normal(size=3)
        units = rng.random((2, 64))
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        text = node(
            {"graph": "withFeatures, withHead", "take": "documents"},
            """const network = new Uint8Array(readFileSync(data.path));
            const classes = data.classes.map((name) => ({ name }));
            const head = { kernel: data.kernel, bias: data.bias };
            const known = { names: ["x", "y"], within: data.within, units: data.units };
            const notes = documents(data.about, "Ada's", classes, known);
            const files = [withFeatures(network, 64),
                withHead(network, head, known.units, notes)];
            return files.map((file) => Buffer.from(file).toString("base64"));""",
            path=str(tmp_path / "network.bin"),
            kernel=kernel.tolist(),
            bias=bias.tolist(),
            units=units.tolist(),
            within=within,
            classes=["a", "b", "Bäume"],
            about={
                "size": tiny.SIZE,
                "rule": {"shape": "square", "fraction": 1, "filter": "bilinear"},
                "terms": "mine",
            },
        )
        run, whole = (base64.b64decode(file) for file in text)
        onnx.checker.check_model(onnx.load_from_string(run), full_check=True)
        onnx.checker.check_model(onnx.load_from_string(whole), full_check=True)
        (tmp_path / "whole.onnx").write_bytes(whole)
        exported = load_exported(tmp_path / "whole.onnx")
        assert [name for _, name in exported.classes] == ["a", "b", "Bäume"]
        assert (exported.name, exported.terms) == ("Ada's", "mine")
        outputs = [one.name for one in onnx.load_from_string(whole).graph.output]
        assert outputs == ["probabilities", "distance", "nearest"]
        pictures = ["cat", "coffee", "uniform"]
        import onnxruntime

        session = onnxruntime.InferenceSession(run)
        batch = to_batch(pictures, tiny.SIZE)
        (features,) = session.run(["features"], {"image": batch})
        logits = features @ kernel.T + bias
        wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        assert np.abs(exported.probabilities(pictures) - wanted).max() <= 1e-5
        likeness = features @ units.T / np.linalg.norm(features, axis=1, keepdims=True)
        for picture, row in zip(pictures, likeness, strict=True):
            judged = exported.predict(picture).judged
            assert judged.distance == pytest.approx(1 - row.max(), abs=1e-5)
            assert judged.nearest == "xy"[row.argmax()]
            assert judged.unlike == (1 - row.max() > within)

    def test_its_rounded_weights_are_nearly_the_networks(self, tmp_path):
        classifier = tiny.classifier(10)
        network = page.base_network(classifier, tmp_path / "base.onnx")
        model = onnx.load_from_string(network)
        kinds = {tensor.data_type for tensor in model.graph.initializer}
        assert onnx.TensorProto.INT16 in kinds
        run = onnx.helper.make_tensor_value_info(
            "features", onnx.TensorProto.FLOAT, ["n", 64]
        )
        model.graph.output.append(run)
        import onnxruntime

        session = onnxruntime.InferenceSession(model.SerializeToString())
        batch = to_batch(["cat", "coffee"], tiny.SIZE)
        (features,) = session.run(["features"], {"image": batch})
        wanted = np.asarray(page.base_of(classifier)(batch))
        assert np.abs(features - wanted).max() <= 1e-3 * wanted.max()


# -- what was recorded -----------------------------------------------------------------


class TestHonesty:
    """data/recorded/page_honesty.csv."""

    @pytest.fixture(scope="class")
    @classmethod
    def rows(cls):
        with honesty.RECORDED_HONESTY.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def test_the_interval_holds_the_accuracy_on_new_pictures(self, rows):
        assert [int(row["draw"]) for row in rows] == list(range(honesty.DRAWS))
        assert honesty.covered(rows) >= 85
        assert sum((RECORDED / "SHA256SUMS").read_text().count(n) for n in
                   [honesty.RECORDED_HONESTY.name]) == 1  # fmt: skip

    def test_what_the_docs_say_of_it(self, rows):
        text = (ROOT / "docs" / "train_in_the_page.md").read_text(encoding="utf-8")
        assert f"in {honesty.covered(rows)} of 100" in text
        means = [
            np.mean([float(row[column]) for row in rows])
            for column in ("out_of_fold", "validation")
        ]
        assert f"{means[0]:.2f}" in text and f"{means[1]:.2f}" in text

    @pytest.mark.thorough
    def test_the_first_draws_again(self, rows, node, shared_data):
        again = honesty.measure(shared_data / "hymenoptera", draws=3)
        for row, found in zip(rows, again, strict=False):
            recorded = [float(row[column]) for column in honesty.COLUMNS]
            assert [float(value) for value in found] == pytest.approx(
                recorded, abs=0.051
            ), "other processors round otherwise: two answers of forty at most"
