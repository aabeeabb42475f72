"""What one run leaves for the next: its settings, decisions on labels, answers, and
what was filled in on its cards."""

import csv
import json
import os
import shlex
import shutil
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.models import DEFAULT
from safeguards.folders import file_digest, name_of
from safeguards.look_alikes import ALIKE
from safeguards.text import printable
from safeguards.whole_files import atomic_write

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "run.json"
ANSWERS = "answers.csv"
CORRECTIONS = "my_corrections.csv"
SUSPECTS = "suspected_labels.txt"
OUT_OF_FOLD = "out_of_fold.npz"
IN_TURN = "in_turn.npz"
CARDS = ("model_card.md", "data_card.md")
# What the next run on the same folder goes on from.
CARRIED = (CORRECTIONS, "my_corrections_retired.csv", ANSWERS, IN_TURN, *CARDS)
COLUMNS = ("picture", "part", "label", "answer", "probability")


class Settings(NamedTuple):
    """How a run was made.

    pictures: the folder's path, a text; network: a name of the registry; likeness: from
    which on two pictures counted as one; tune: whether fine-tuning was tried; made: the
    day, as in 2026-11-29."""

    pictures: str
    network: str
    likeness: float
    tune: bool
    made: str

    @property
    def command(self):
        """The command that makes it again in the project's folder, as one can see it.

        Below the project or the home the folder is named from there, as you'd type it:
        reports are for others, too."""
        words = ["make", "mine", f"PICTURES={_short(Path(self.pictures))}"]
        if self.network != DEFAULT:
            words.insert(0, f"TRANSFER_MODEL={self.network}")
        if self.likeness != ALIKE:
            words.append(f"ALIKE={self.likeness:g}")
        if self.tune:
            words.append("TUNE=1")
        return printable(" ".join(words))


class Answer(NamedTuple):
    """What was answered for a picture: names of classes, and a probability of 0…1."""

    part: str
    label: str
    answer: str
    probability: float


def _short(folder):
    """The path of a folder as one types it in the project's folder, quoted."""
    home = Path(os.path.expanduser("~")).resolve()
    if folder.is_relative_to(ROOT):
        return shlex.quote(folder.relative_to(ROOT).as_posix())
    if folder != home and folder.is_relative_to(home):
        return f"~/{shlex.quote(folder.relative_to(home).as_posix())}"
    return shlex.quote(str(folder))


def shown_path(path):
    """A path as you would type it in the project's folder."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def write_settings(results, pictures, network, likeness, tune=False):
    """Note how a run is made, in run.json in its folder of results → `Settings`."""
    today = date.today().isoformat()
    folder = str(Path(pictures).expanduser().resolve())
    settings = Settings(folder, network, likeness, tune, today)
    with atomic_write(Path(results) / SETTINGS) as draft:
        text = json.dumps(settings._asdict(), indent=1, ensure_ascii=False)
        draft.write_text(text + "\n", encoding="utf-8", errors="surrogateescape")
    return settings


def read_settings(results):
    """The `Settings` of a folder of results, or None where it has none."""
    try:
        path = Path(results) / SETTINGS
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        return Settings(**json.loads(text))
    except (FileNotFoundError, NotADirectoryError):
        return None


def carry_over(earlier, results, pictures):
    """Copy what an earlier run leaves for the next into a new folder of results.

    Nothing is copied if it was about another folder of pictures, since its decisions
    would mean nothing there. pictures: the folder's path. Returns a list of the names
    of the files that were copied."""
    settings = read_settings(earlier)
    folder = str(Path(pictures).expanduser().resolve())
    if settings is None or settings.pictures != folder:
        return []
    copied = []
    for name in CARRIED:
        if (earlier / name).is_file():
            shutil.copyfile(earlier / name, results / name)
            copied.append(name)
    return copied


def write_answers(path, pictures, probabilities, test):
    """Write what was answered as a table, CSV: a line for each picture.

    pictures: `Pictures`; probabilities: (n, classes), of heads that hadn't learned from
    them; test: the `Pictures` that the run judges by. Names are paths below the
    folder."""
    tests = set(test.paths)
    classes = pictures.classes
    with (
        atomic_write(path) as draft,
        draft.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row, answer in enumerate(probabilities.argmax(axis=1)):
            picture = pictures.paths[row]
            writer.writerow(
                [
                    name_of(picture),
                    "test" if picture in tests else "learned from",
                    classes[pictures.labels[row]],
                    classes[answer],
                    f"{probabilities[row, answer]:.3f}",
                ]
            )


def read_answers(path):
    """The table of `write_answers`: {picture's name: `Answer`}; {} where there's none.
    ValueError for a file that is no such table."""
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            head, *rows = list(csv.reader(file)) or [()]
    except FileNotFoundError:
        return {}
    if tuple(head) != COLUMNS:
        raise ValueError(
            f"{path} isn't what an earlier run wrote: move it away, and run this again."
        )
    return {
        name: Answer(part, label, answer, float(probability))
        for name, part, label, answer, probability in rows
    }


def earlier_answers(answers, test):
    """What an earlier run answered for pictures that it judged by as well.

    answers: from `read_answers`; test: the `Pictures` to judge by now. Returns
    (positions in `test`, class positions), ints (n,) each, without pictures that the
    earlier run learned from, or answered with a class that there isn't any more."""
    positions = []
    labels = []
    for position, path in enumerate(test.paths):
        earlier = answers.get(name_of(path))
        if earlier and earlier.part == "test" and earlier.answer in test.classes:
            positions.append(position)
            labels.append(test.classes.index(earlier.answer))
    return np.array(positions, int), np.array(labels, int)


def write_in_turn(results, pictures, votes):
    """Keep what all pictures were answered when they were tested in turn.

    pictures: `Pictures`, with their labels as they are now; votes: floats (n, classes),
    the share of rounds in which each class was the answer, or None where they weren't
    tested so: then an earlier run's are removed. Pictures are known by their files'
    hashes: one that was moved into another class is still the same."""
    if votes is None:
        (Path(results) / IN_TURN).unlink(missing_ok=True)
        return
    with atomic_write(Path(results) / IN_TURN) as draft, draft.open("wb") as file:
        digests = np.array([file_digest(path).hex() for path in pictures.paths])
        classes = np.array(pictures.classes)
        labels = pictures.labels
        np.savez(file, digests=digests, classes=classes, votes=votes, labels=labels)


def earlier_in_turn(results, pictures):
    """What an earlier run answered for these `Pictures` when it tested all in turn.

    Returns (positions in `pictures`, ints (n,); votes, floats (n, classes), as for
    `write_in_turn`; the labels of then, ints (n,)); none where there was no such run,
    or with other classes."""
    no_rows = np.array([], int)
    nothing = no_rows, np.zeros((0, len(pictures.classes))), no_rows
    try:
        with np.load(Path(results) / IN_TURN) as kept:
            rows = {digest: row for row, digest in enumerate(kept["digests"].tolist())}
            classes, votes, labels = kept["classes"], kept["votes"], kept["labels"]
    except FileNotFoundError:
        return nothing
    digests = [file_digest(path).hex() for path in pictures.paths]
    both = [position for position, digest in enumerate(digests) if digest in rows]
    if classes.tolist() != list(pictures.classes) or not both:
        return nothing
    then = [rows[digests[position]] for position in both]
    return np.array(both), votes[then], labels[then]


def write_out_of_fold(results, pictures, probabilities):
    """Keep what heads said that hadn't learned from a picture, for `labels_panel`.
    pictures: `Pictures`; probabilities: floats (n, classes)."""
    with atomic_write(Path(results) / OUT_OF_FOLD) as draft, draft.open("wb") as file:
        names = np.array([name_of(path) for path in pictures.paths])
        classes = np.array(pictures.classes)
        np.savez(file, names=names, classes=classes, probabilities=probabilities)


def labels_panel(results):
    """A panel to decide on the labels that a run suspected, the worst first, and to
    look again at what was decided.

    results: the run's folder. Decisions go to my_corrections.csv there, where the next
    run finds them. Returns what `label_cleaner` returns, or a widget that says so where
    there is nothing to decide. ValueError where the folder holds no run."""
    import ipywidgets

    from apps.own_pictures.intake import look_through
    from helpers.cleaning import suspicion
    from panels import label_cleaner

    results = Path(results)
    settings = read_settings(results)
    if settings is None or not (results / OUT_OF_FOLD).is_file():
        raise ValueError(
            f"{printable(str(results))} holds no finished run: make one with "
            "make mine PICTURES=FOLDER."
        )
    corrections = results / CORRECTIONS
    intake = look_through(settings.pictures, settings.likeness, corrections)
    given = intake.given
    with np.load(results / OUT_OF_FOLD) as kept:
        names = kept["names"].tolist()
        probabilities = dict(zip(names, kept["probabilities"], strict=True))
        known_classes = kept["classes"].tolist()
    if known_classes != list(given.classes):
        raise ValueError(
            "The folder has other classes than at the last run: run make mine again."
        )
    # As if a head agreed with the label of each picture that none was asked about.
    said = np.eye(len(given.classes))[given.labels]
    for position, path in enumerate(given.paths):
        said[position] = probabilities.get(name_of(path), said[position])
    decided = np.isin(np.arange(len(given)), list(intake.decided))
    suspected = (said.argmax(axis=1) != given.labels) & ~decided
    first = int((suspected | decided).sum())
    if not first:
        return ipywidgets.HTML("No label is suspected: there is nothing to decide.")
    # The suspected come first, then the decided, then the rest, which isn't shown.
    order = np.lexsort((-suspicion(said, given.labels), ~decided, ~suspected))
    doubt = np.empty(len(given))
    doubt[order] = np.arange(len(given), 0, -1)

    def then():
        used = (results / SETTINGS).stat().st_mtime_ns
        if corrections.stat().st_mtime_ns < used:
            return (
                "The classifier was made with these decisions: nothing is left to do."
            )
        return (
            "Now end make labels (Ctrl+C in its terminal, then y), and run the same "
            f"command again: {settings.command}"
        )

    return label_cleaner(given, doubt, corrections, said, first, then)
