"""Readers that differ do not share a key, whichever kind of file they differ in."""

import io

import pytest
from cases import thorough_but
from PIL import Image

from helpers.images import ResizeRule, resize
from safeguards.keys import key_of
from safeguards.scaling import unchanged


class Network:
    """As little as a key needs."""

    digest = "none"

    def __call__(self, batch):
        return batch[:, 0, 0]


KINDS = {
    "GIF": lambda image: image.format == "GIF",
    "moving": lambda image: getattr(image, "n_frames", 1) > 1,
    "WebP": lambda image: image.format == "WEBP",
    "BMP": lambda image: image.format == "BMP",
    "TIFF": lambda image: image.format == "TIFF" and image.mode == "RGB",
    "TIFF of 16 bits": lambda image: image.format == "TIFF" and image.mode == "I;16",
    "TIFF of floats": lambda image: image.format == "TIFF" and image.mode == "F",
    "PNG of 16 bits": lambda image: image.format == "PNG" and image.mode == "I;16",
    "clear colour of 16 bits": lambda image: is_clear(image) and image.mode == "I;16",
    "clear grey": lambda image: is_clear(image) and image.mode == "L",
    "clear in a palette": lambda image: is_clear(image) and image.mode == "P",
    "clear colour": lambda image: is_clear(image) and image.mode == "RGB",
    "colour profile": lambda image: "icc_profile" in image.info,
    "progressive": lambda image: "progressive" in image.info,
    "wide": lambda image: image.width > 2 * image.height,
    "tall": lambda image: image.height > 2 * image.width,
    "tiny": lambda image: image.width < 16,
    **{
        f"turned {turn}": lambda image, turn=turn: image.getexif().get(0x0112) == turn
        for turn in range(2, 9)
    },
}


def is_clear(image):
    return "transparency" in image.info and image.format == "PNG"


@pytest.mark.parametrize("kind", thorough_but(KINDS, "TIFF of 16 bits", "turned 6"))
def test_a_reader_that_reads_one_kind_otherwise_has_another_key(kind):
    def other(data, size, rule):
        image = resize(data, size, rule)
        if KINDS[kind](Image.open(io.BytesIO(data))):
            image = image.transpose(Image.Transpose.ROTATE_90)
        return image

    keys = [
        key_of(Network(), 32, ResizeRule(), each, unchanged) for each in (resize, other)
    ]
    assert keys[0] != keys[1]
    assert keys[0] == key_of(Network(), 32, ResizeRule(), resize, unchanged)
