"""Lesson 02: answers that are right and wrong."""

from exercise_cases import Case

CENTRED = "def centred(pixels):\n"
CARD = "def from_card(photograph, side, means):\n"
SQUARE = CARD + "    pixels = np.asarray(resize(photograph, side), dtype='float32')\n"
PIXELS = "    pixels = (pixels - means)[..., ::-1]\n"
BATCH = "    return pixels[np.newaxis]\n"

CASES = {
    "02.2": Case(
        wrong={
            CENTRED + "    return pixels / 255\n": "What must still be done",
            CENTRED + "    pixels /= 127.5\n    pixels -= 1\n    return pixels\n": (
                "has changed"
            ),
            CENTRED + "    return 2 * pixels / 255 - 1\n": "wrong for uint8",
            CENTRED + "    return pixels\n": "Nothing is scaled yet",
            CENTRED + "    return pixels / 127.5\n": "where does 0 belong",
            CENTRED + "    return pixels / 128 - 1\n": "How many steps",
            CENTRED
            + "    low, high = pixels.min(), pixels.max()\n"
            + "    return 2 * ((pixels - low) / (high - low)) - 1\n": "own darkest",
            CENTRED + "    return (pixels / 127.5 - 1)[0]\n": "came back with shape",
            CENTRED + "    return 1 - pixels / 127.5\n": "is that from −1 to 1",
            CENTRED
            + "    return keras.applications.xception.preprocess_input(pixels)\n": (
                "has changed"
            ),
        },
        right=[
            CENTRED + "    return (pixels.astype('float32') - 127.5) / 127.5\n",
            CENTRED
            + "    return keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)\n",
            CENTRED
            + (
                "    return "
                "keras.applications.mobilenet_v2.preprocess_input(pixels.copy())\n"
            ),
            CENTRED + "    return np.interp(pixels, (0, 255), (-1, 1)).tolist()\n",
        ],
    ),
    "02.3": Case(
        wrong={
            SQUARE + PIXELS + "    return pixels\n": "which axis is missing",
            SQUARE
            + PIXELS
            + "    return np.stack([pixels], axis=-1)\n": "the network takes",
            SQUARE + "    pixels = pixels - means\n" + BATCH: "Red still comes first",
            SQUARE + "    pixels = pixels[..., ::-1] - means\n" + BATCH: "but whose",
            SQUARE
            + "    pixels = pixels - means[::-1]\n"
            + BATCH: "means were reversed",
            SQUARE + "    pixels = pixels[..., ::-1]\n" + BATCH: "What about the means",
            SQUARE + BATCH: "Only the size has changed",
            SQUARE
            + "    batch = pixels[np.newaxis]\n"
            + "    return keras.applications.vgg16.preprocess_input(batch.copy())\n": (
                "VGG16's means"
            ),
            SQUARE
            + "    pixels = (pixels - pixels.mean(axis=(0, 1)))[..., ::-1]\n"
            + BATCH: "over this one picture",
            SQUARE + PIXELS + "    return pixels[np.newaxis] / 255\n": "much too small",
            SQUARE + "    pixels = pixels / 255\n" + PIXELS + BATCH: "before the means",
            SQUARE.replace("side)", "side, SQUASH)") + PIXELS + BATCH: "was squashed",
            SQUARE.replace(
                "resize(photograph, side)", "photograph.resize((side, side))"
            )
            + PIXELS
            + BATCH: "was squashed",
            CARD
            + "    cut = photograph.crop(crop_box(*photograph.size, ResizeRule()))\n"
            + (
                "    pixels = np.asarray(cut.resize((side, side), Image.NEAREST), "
                "'float32')\n"
            )
            + PIXELS
            + BATCH: "picked, not averaged",
            CARD
            + (
                "    cut = photograph.crop((0, 0, min(photograph.size), "
                "min(photograph.size)))\n"
            )
            + "    pixels = np.asarray(resize(cut, side), 'float32')\n"
            + PIXELS
            + BATCH: "from a corner",
            SQUARE
            + PIXELS
            + "    return pixels[np.newaxis].astype(int) % 256\n": "below 0",
            CARD
            + "    photograph.thumbnail((2 * side, 2 * side))\n"
            + SQUARE.removeprefix(CARD)
            + PIXELS
            + BATCH: "photograph itself was changed",
        },
        right=[
            CARD
            + "    pixels = to_batch([photograph], side, ResizeRule())\n"
            + "    return pixels[..., ::-1] - np.array(means)[::-1]\n",
            CARD
            + "    length = min(photograph.size)\n"
            + "    left, top = (n // 2 - length // 2 for n in photograph.size)\n"
            + "    cut = photograph.crop((left, top, left + length, top + length))\n"
            + "    small = cut.resize((side, side), Image.LANCZOS)\n"
            + "    red, green, blue = (np.float32(band) for band in small.split())\n"
            + "    r, g, b = means\n"
            + (
                "    return np.stack([blue - b, green - g, red - r], "
                "axis=-1)[None].tolist()\n"
            ),
        ],
        names="from helpers.images import SQUASH, ResizeRule, crop_box\n"
        "from helpers.images import resize, to_batch",
    ),
}
