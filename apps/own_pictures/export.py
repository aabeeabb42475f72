"""Write what was learned as files that others can use, and describe it on cards."""

import numpy as np

from apps.own_pictures.front import small
from apps.own_pictures.intake import data_card
from apps.own_pictures.judging import judged_by, most_frequent_errors
from apps.own_pictures.learn import compared
from apps.sharing.cards import model_card
from apps.sharing.classifier import as_classifier
from apps.sharing.exported import load_exported
from apps.sharing.exporting import export_onnx
from apps.sharing.parity import parity_of
from apps.sharing.saving import save_classifier
from helpers.evaluate import accuracy
from helpers.models import AT_ONCE
from helpers.timing import latency
from safeguards.text import plain
from safeguards.whole_files import note_digest

SAME = 0.99  # of their answers have to be the same
CLOSE = 0.02  # and no probability further off than this from what was measured


def write_models(model, known, test, probabilities, name, results):
    """Write model.keras and model.onnx, and check that they answer as was measured.

    model: of logits; known: the `Familiar` of what it learned from, or None; test,
    probabilities: the test `Pictures` and what was measured on them, (n, classes);
    name: the classifier's; results: a folder.
    Returns (the `Classifier`, the exported one, the `Parity` of its answers and what
    was measured). RuntimeError where they differ."""
    classifier = as_classifier(model, test.classes, name=name, familiar=known)
    keras_file = save_classifier(classifier, results / "model.keras")
    onnx_file = export_onnx(classifier, results / "model.onnx")
    for path in (keras_file, onnx_file):
        note_digest(path)
    exported = load_exported(onnx_file)
    some = compared(test)
    squares = test[some].array(classifier.size, classifier.rule)
    answers = np.concatenate([exported.network(part) for part in _parts(squares)])
    agreement = parity_of(probabilities[some], answers)
    if agreement.same.value < SAME or agreement.difference > CLOSE:
        raise RuntimeError(
            "The exported file answers otherwise than what was measured: "
            f"{agreement}. Please report this."
        )
    return classifier, exported, agreement


def _parts(squares):
    """An array of pictures in pieces that take little memory in a network."""
    return np.split(squares, range(AT_ONCE, len(squares), AT_ONCE))


def write_cards(
    classifier, exported, measured, intake, parts, probabilities, in_turn, results
):
    """Write model_card.md and data_card.md → their paths.

    measured: {measure: `Estimate` or text}; intake: from `look_through`; parts: {name:
    `Pictures`}, of which "to judge by" are the test's; probabilities: on the test;
    in_turn: an `InTurn` of all pictures, or None."""
    test = parts["to judge by"]
    told = f"{len(test)} pictures from the same folder, used only for testing"
    judged, said = judged_by(intake, test, probabilities, in_turn)
    answers = said.argmax(axis=1)
    how = ""
    if in_turn is not None:
        how = ", tested in turn"
        told += (
            f"; “tested in turn”: all {len(judged)}, each by classifiers that hadn't "
            "learned from it. The first interval allows for the luck of what was "
            "learned from, those of the classes don't"
        )
    rows = dict(measured)
    if intake.decided:
        rows["labels that a person decided on"] = intake.decisions
    rows[f"most frequent errors{how}"] = most_frequent_errors(judged, answers)
    for label, name in enumerate(map(plain, test.classes)):
        own = judged.labels == label
        rows[f"{name} found{how}"] = accuracy(judged.labels[own], answers[own])
    picture = classifier.prepare(small(test.paths[:1]))
    times = latency({"ONNX": lambda: exported.network(picture)})
    rows["one answer, ONNX, on the computer it was made on"] = times["ONNX"]
    decided = intake.decided_in(judged)
    if decided:
        told += (
            f". The labels of {decided} of these were decided on where an answer "
            "contradicted them, so the accuracy may be a little too high"
        )
    return (
        model_card(classifier, results / "model_card.md", told, rows),
        data_card(intake, results / "data_card.md", parts),
    )
