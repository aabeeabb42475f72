"""Write a classifier in other runtimes' formats, as RGB 0…255 → probabilities."""

import gc
import shutil
from contextlib import contextmanager
from types import SimpleNamespace
from zipfile import ZipFile

import numpy as np

from apps.sharing.contents import documents_of, raw_network
from apps.sharing.quiet import quiet
from helpers.images import to_batch
from safeguards.familiar import DOCUMENT, document


def write_onnx(classifier, path):
    """Write a `Classifier` as an ONNX file, untried.
    The input is named "image", the output "probabilities"; metadata_props hold the
    documents. Where it's known which images the classifier learned from, there are two
    more outputs: "distance" to the nearest of them, and which that is, "nearest"."""
    with quiet(), _collecting_often():
        import onnx

        exported = _onnx_of(_with_softmax(classifier))
        (start,) = exported.graph.input
        (end,) = exported.graph.output
        for tensor in (start, end):
            first_axis = tensor.type.tensor_type.shape.dim[0]
            first_axis.dim_param = "n"
        _rename(end, "probabilities", exported.graph)
        documents = documents_of(classifier)
        if classifier.familiar is not None:
            _add_distance(exported.graph, classifier.familiar)
            documents[DOCUMENT] = document(classifier.familiar)
        onnx.helper.set_model_props(exported, documents)
        onnx.save(exported, path)


def _add_distance(graph, known):
    """Let an ONNX graph say how far its features are from the nearest it knows.
    known: a `Familiar`. Its features stay float16 in the file."""
    import onnx

    helper = onnx.helper
    table = onnx.numpy_helper.from_array(known.features.T.copy(), "familiar/features")
    one = onnx.numpy_helper.from_array(np.float32(1), "familiar/one")
    first = onnx.numpy_helper.from_array(np.array([1]), "familiar/first")
    graph.initializer.extend([table, one, first])
    features = _features_in(graph)
    steps = [
        ("LpNormalization", [features], ["unit"], {"axis": 1, "p": 2}),
        ("Cast", [table.name], ["table"], {"to": onnx.TensorProto.FLOAT}),
        ("MatMul", ["familiar/unit", "familiar/table"], ["likeness"], {}),
        ("TopK", ["familiar/likeness", first.name], ["best", "nearest"], {"axis": 1}),
        ("Sub", [one.name, "familiar/best"], ["distance"], {}),
    ]
    ends = ("distance", "nearest")
    for kind, inputs, names, settings in steps:
        outputs = [name if name in ends else f"familiar/{name}" for name in names]
        graph.node.append(helper.make_node(kind, inputs, outputs, **settings))
    for name, dtype in zip(ends, ("FLOAT", "INT64"), strict=True):
        kind = getattr(onnx.TensorProto, dtype)
        graph.output.append(helper.make_tensor_value_info(name, kind, ["n", 1]))


def add_features(path):
    """Let the graph in an ONNX file give "features" as well, float32 (n, d): what its
    last dense layer works on. ValueError where it doesn't end in one."""
    import onnx

    model = onnx.load(path)
    features = _features_in(model.graph)
    model.graph.node.append(onnx.helper.make_node("Identity", [features], ["features"]))
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(
            "features", onnx.TensorProto.FLOAT, ["n", "d"]
        )
    )
    onnx.save(model, path)


def _features_in(graph):
    """The name of what goes into the last dense layer of an ONNX graph.
    ValueError where the graph doesn't end in one."""
    made_by = {output: node for node in graph.node for output in node.output}
    name = graph.output[0].name
    while name in made_by:
        node = made_by[name]
        if node.op_type in ("MatMul", "Gemm"):
            return node.input[0]
        name = node.input[0]
    raise ValueError(
        "its last layer isn't a dense one, so it has no features to compare"
    )


def _onnx_of(model):
    """A network as an ONNX model, by tf2onnx.
    Keras's own export, `model.export`, does the same, but stops at three things: at
    functions that TensorFlow compiles by themselves (grouped convolutions), at numbers
    that are no variables (Normalization), and at Erfc (GELU), which ONNX hasn't."""
    import tensorflow as tf
    import tf2onnx

    # Keras's own export does this first: without it NumPy 2 breaks tf2onnx.
    from keras.src.export.tf2onnx_lib import patch_tf2onnx

    def answer(image):
        return model(image, training=False)

    image = tf.TensorSpec(model.input_shape, tf.float32, name="image")
    was_eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)  # functions inside become part of the graph
    try:
        graph = tf.compat.v1.wrap_function(answer, [image])
    finally:
        tf.config.run_functions_eagerly(was_eager)
    patch_tf2onnx()
    # Of a function tf2onnx asks for nothing but its graph.
    function = SimpleNamespace(get_concrete_function=lambda *_: graph)
    exported, _ = tf2onnx.convert.from_function(function, [image])
    _hold_numbers(exported.graph, graph.graph.captures)
    _without_erfc(exported.graph)
    return exported


def _hold_numbers(graph, captures):
    """Put numbers into an ONNX graph that it would take as inputs.
    captures: (the numbers, the input they are for), in TensorFlow's terms."""
    import onnx

    values = {inside.name: outside for outside, inside in captures}
    used = {name for node in graph.node for name in node.input}
    for each in list(graph.input):
        if each.name not in values:
            continue
        graph.input.remove(each)
        if each.name in used:
            numbers = values[each.name].numpy()
            graph.initializer.append(onnx.numpy_helper.from_array(numbers, each.name))


def _without_erfc(graph):
    """Write erfc(x), which ONNX doesn't know, as 1 − erf(x)."""
    import onnx

    nodes = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type == "Erfc":
            (result,) = node.output
            node.op_type = "Erf"
            node.output[0] = f"{result}/erf"
            minus = onnx.helper.make_node("Sub", ["one", node.output[0]], [result])
            nodes.append(minus)
    if len(nodes) > len(graph.node):
        one = onnx.numpy_helper.from_array(np.float32(1), "one")
        graph.initializer.append(one)
        del graph.node[:]
        graph.node.extend(nodes)


def _rename(output, name, graph):
    """Give an output of an ONNX graph another name, also where it's worked out."""
    for node in graph.node:
        for i, each in enumerate(node.output):
            if each == output.name:
                node.output[i] = name
    output.name = name


def write_litert(classifier, path, calibration=None):
    """Write a `Classifier` as a LiteRT file, untried, with the documents as a zip
    archive at its end.
    calibration: pictures to scale int8 by, or None for float32."""
    folder = path.with_name("graph")
    with quiet():
        import tensorflow as tf

        _save_graph(_with_softmax(classifier), folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
        if calibration is not None:
            pixels = to_batch(calibration, classifier.size, classifier.rule)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([row[None]] for row in pixels)
        path.write_bytes(converter.convert())
    shutil.rmtree(folder)
    with ZipFile(path, "a") as file:
        for name, text in documents_of(classifier).items():
            file.writestr(name, text)


def _with_softmax(classifier):
    """A keras.Model for RGB 0…255 → probabilities, float32."""
    from helpers import keras

    inputs = keras.Input((classifier.size, classifier.size, 3))
    # Without training=False some layers, such as CenterCrop, take it for training, and
    # let the BatchNormalization after them do so, too.
    logits = raw_network(classifier)(inputs, training=False)
    outputs = keras.layers.Softmax(dtype="float32")(logits)
    return keras.Model(inputs, outputs)


def _save_graph(model, folder):
    """Write what a network computes as a SavedModel.
    Keras's own export traces it several times, which takes five times as long."""
    import tensorflow as tf

    @tf.function(autograph=False)
    def answer(image):
        return {"probabilities": model(image, training=False)}

    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    module.answer = answer
    image = tf.TensorSpec(model.input_shape, tf.float32, name="image")
    signature = module.answer.get_concrete_function(image)
    tf.saved_model.save(module, str(folder), signatures=signature)


@contextmanager
def _collecting_often():
    """Collect garbage often while tf2onnx works, and only what's new.
    It copies the graph some hundred times. The copies refer to themselves, are large,
    and few by Python's count, so they'd pile up (0.9 GB for EfficientNet-Lite0)."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.collect()
    gc.set_threshold(700, 2, 1)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
