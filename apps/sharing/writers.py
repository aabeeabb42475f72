"""Write a classifier in other runtimes' formats, as RGB 0…255 → probabilities."""

import gc
import shutil
from contextlib import contextmanager
from zipfile import ZipFile

from apps.sharing.contents import documents_of, raw_network
from apps.sharing.quiet import quiet
from helpers.images import to_batch


def write_onnx(classifier, path):
    """Write a `Classifier` as an ONNX file, untried.
    The input is named "image", the output "probabilities"; metadata_props hold the
    documents."""
    from helpers import keras

    with quiet(), _collecting_often():
        import onnx

        model = _with_softmax(classifier)
        image = keras.InputSpec("float32", model.input_shape, name="image")
        model.export(str(path), format="onnx", input_signature=[image], verbose=False)
        exported = onnx.load(path)
        (start,) = exported.graph.input
        (end,) = exported.graph.output
        for tensor in (start, end):
            first_axis = tensor.type.tensor_type.shape.dim[0]
            first_axis.dim_param = "n"
        _rename(end, "probabilities", exported.graph)
        onnx.helper.set_model_props(exported, documents_of(classifier))
        onnx.save(exported, path)


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
