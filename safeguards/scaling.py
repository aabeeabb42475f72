"""What a network's preprocessing does to colours, found by trying it, as layers."""

import numpy as np

BLACK = (0, 0, 0)
WHITE = (255, 255, 255)
RED = (255, 0, 0)
BLUE = (0, 0, 255)
OTHER = (9, 99, 199)


def preprocessed(x, preprocess_input):
    """RGB in 0…255, a Keras tensor (n, size, size, 3), preprocessed by layers.
    ValueError where preprocess_input is no scaling of colour channels."""
    import keras

    reverses, scale, offset = _scaling(preprocess_input)
    if reverses:
        x = keras.ops.flip(x, axis=-1)
    changes_numbers = scale != [1, 1, 1] or offset != [0, 0, 0]
    if changes_numbers:
        # In half precision neighbouring pixel values would become one.
        layer = keras.layers.Rescaling(
            _as_one(scale), _as_one(offset), name="preprocess", dtype="float32"
        )
        x = layer(x)
    return x


def _as_one(numbers):
    """The number that three of them all are, otherwise the three.
    With three, ONNX Runtime is slow: a tenth of a small network's time goes there."""
    first = numbers[0]
    return first if numbers == [first] * len(numbers) else numbers


def unchanged(batch):
    """The `preprocess_input` of a network that takes RGB in 0…255 as it is."""
    return batch


def _scaling(preprocess_input):
    """(whether colours are reversed, scale, offset) of a preprocess_input."""
    colours = np.array([BLACK, WHITE, RED, BLUE, OTHER], "float32")
    pictures = colours[:, None, None]  # of one pixel each
    prepared = preprocess_input(pictures)[:, 0, 0]
    black, white, red, blue, other = prepared
    reverses = bool((red - black).argmax() > (blue - black).argmax())
    scale = (white - black) / 255
    expected = np.array(OTHER, "float32")
    if reverses:
        expected = expected[::-1]
    expected = expected * scale + black
    if not np.allclose(other, expected, atol=1e-3):
        raise ValueError("preprocess_input must scale and shift each colour by itself.")
    return reverses, scale.tolist(), black.tolist()
