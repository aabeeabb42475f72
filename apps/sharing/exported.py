"""Run an exported file, in onnxruntime or LiteRT, as a `Classifier`."""

from pathlib import Path
from threading import Lock
from zipfile import ZipFile

import numpy as np

from apps.sharing.quiet import quiet
from helpers.images import ResizeRule, resize
from helpers.labels import decode
from helpers.models import Classifier
from safeguards.cores import usable_cores
from safeguards.familiar import DOCUMENT, Answer, read_document
from safeguards.keys import key_of
from safeguards.model_files import DOCUMENTS, ModelFileError, parse_details
from safeguards.scaling import unchanged
from safeguards.whole_files import digest

# Pictures that are in ONNX Runtime at a time, which keeps the memory that it once took.
# More take no less time.
PIECE = 4
SMALLEST = 1e-30  # the probability whose logarithm stands for that of smaller ones


class Exported(Classifier):
    """An exported file as a `Classifier`.
    `network` runs its graph: RGB 0…255 → probabilities."""

    def probabilities(self, images):
        """What the graph gives: float32 (pictures, classes), each row sums to 1."""
        return self._in_parts(self.network, images)

    def forward(self, batch):
        """Logarithms of the probabilities: the graph's logits, apart from a constant
        for each picture."""
        return np.log(np.maximum(self.network(batch), SMALLEST))

    def answers(self, batch):
        """(probabilities, a list of `Judged`), of one run of the graph.
        Instead of the list None, where it isn't known what the classifier learned
        from."""
        if self.familiar is None:
            return self.network(batch), None
        if self.familiar.features is None:  # they are in the graph, which compares
            names = ["probabilities", "distance", "nearest"]
            probabilities, *pairs = self.network.outputs(names, batch)
            pairs = zip(*(column[:, 0] for column in pairs), strict=True)
            return probabilities, [self.familiar.judged(*pair) for pair in pairs]
        names = ["probabilities", "features"]
        probabilities, features = self.network.outputs(names, batch)
        return probabilities, self.familiar.judge(features)

    def predict(self, image, top=5):
        """As `Classifier.predict`, of one run of the graph."""
        (row,), judged = self.answers(self.prepare([image]))
        predictions = decode(row, self.classes, top)
        return predictions if judged is None else Answer(predictions, *judged)

    def key(self):
        """SHA-256, in hexadecimal, of all that predictions depend on: see
        `safeguards.keys`."""
        return key_of(
            self.network, self.size, self.rule, resize, unchanged, self.network.digest
        )


def load_exported(path, threads=None):
    """Load a file of `export_onnx` or `export_litert` as an `Exported`.
    onnxruntime or LiteRT runs it, without TensorFlow. threads: how many cores one call
    keeps busy, None: all; with 1, several threads can call it side by side.
    Open only files of people you trust: unlike `load_classifier`, this leaves all
    checks to the runtime.
    ModelFileError for a file of another kind, or without class list and resize rule;
    FileNotFoundError where there's none."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check its name and folder.")
    loaders = {".onnx": _load_onnx, ".tflite": _load_litert}
    if path.suffix not in loaders:
        raise ModelFileError(
            f"{path} should end in .onnx or .tflite: load_classifier reads .keras."
        )
    try:
        load = loaders[path.suffix]
        run, documents = load(path, threads or usable_cores())
        run.digest = digest(path)
        details = parse_details(documents, ResizeRule)
        known = None
        if DOCUMENT in documents:
            known = read_document(documents[DOCUMENT])
        return Exported(
            network=run, preprocess_input=unchanged, familiar=known, **details
        )
    except MemoryError:
        raise
    except Exception as error:  # the runtimes raise their own kinds for a damaged file
        raise ModelFileError(
            f"{path} is no file of export_onnx or export_litert ({error}): export it "
            "again."
        ) from error


def _load_onnx(path, threads):
    """(a function from pictures to probabilities, {document: text})"""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )

    def outputs_of(names, batch):
        """The outputs of these names for a batch: a list of arrays."""
        pieces = []
        for start in range(0, max(len(batch), 1), PIECE):
            inputs = {"image": batch[start : start + PIECE]}
            pieces.append(session.run(names, inputs))
        return [np.concatenate(arrays) for arrays in zip(*pieces, strict=True)]

    def run(batch):
        (probabilities,) = outputs_of(["probabilities"], batch)
        return probabilities

    def nearest(batch):
        outputs = outputs_of(["distance", "nearest"], batch)
        return [output[:, 0] for output in outputs]

    def features(batch):
        (outputs,) = outputs_of(["features"], batch)
        return outputs

    run.outputs = outputs_of
    run.nearest = nearest
    run.features = features
    return run, session.get_modelmeta().custom_metadata_map


def _load_litert(path, threads):
    """(a function from pictures to probabilities, {document: text})"""
    with ZipFile(path) as file:
        documents = {name: file.read(name).decode() for name in DOCUMENTS}
    with quiet():
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
    start = interpreter.get_input_details()[0]["index"]
    end = interpreter.get_output_details()[0]["index"]
    lock = Lock()  # an interpreter holds one picture at a time

    def run(batch):
        rows = []
        for picture in batch:
            with lock:
                interpreter.set_tensor(start, picture[None])
                interpreter.invoke()
                rows.append(interpreter.get_tensor(end)[0])
        return np.stack(rows)

    return run, documents
