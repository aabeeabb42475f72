"""Lesson 00: answers that are right and wrong."""

from exercise_cases import Case

START = "def second_name(predictions):\n"

CASES = {
    "00.2": Case(
        wrong={
            START + "    return predictions[2].name\n": "With which number",
            START + "    return predictions[0].name\n": "With which number",
            START + "    return predictions[-2].name\n": "from the end",
            START
            + "    return predictions.name[1]\n": "'list' object has no attribute "
            "'name'",
            START + "    return predictions[0].name[1]\n": "A single letter",
            START + "    return predictions[1]\n": "a whole guess",
            START + "    return str(predictions[1])\n": "a whole guess, as text",
            START + "    return predictions[1].wnid\n": "WordNet id",
            START + "    return predictions[1].probability\n": "A name is text",
            START + "    return [prediction.name for prediction in predictions]\n": (
                "several things"
            ),
            START + "    print(predictions[1].name)\n": "`return` missing",
            START + "    return 'tabby cat'\n": "use the list",
            START + "    predictions.pop(0)\n    return predictions[0].name\n": (
                "taking anything out"
            ),
            "second_name = 'tabby'\n": "without brackets",
        },
        right=[
            START
            + "    names = [prediction.name for prediction in predictions]\n"
            + "    return names[1]\n",
            START + "    first, second, *rest = predictions\n    return second[1]\n",
            START
            + (
                "    return sorted(predictions, key=lambda guess: "
                "-guess.probability)[1].name\n"
            ),
        ],
    ),
}
