"""How nbgrader works on the course that `make editions` writes into build/nbgrader."""

import atexit
import sys
from collections import Counter
from pathlib import Path

import nbformat
from nbgrader.converters import Autograde
from nbgrader.preprocessors import NbGraderPreprocessor

c = get_config()  # noqa: F821


NOT_GRADED = []  # sentences on what was handed in, to be said at the end


@atexit.register
def say_what_is_not_graded():
    """nbgrader says much on its way; this must not be lost in it."""
    for sentence in NOT_GRADED:
        print(sentence, file=sys.stderr)


class SubmissionError(Exception):
    """What a learner handed in cannot be graded; says which file, and what to do."""


class OneOfEach(NbGraderPreprocessor):
    """Refuses a notebook in which a learner copied one of nbgrader's cells: which of
    the two counts is for a person to say. nbgrader itself would then stop at this
    learner, and with it the grading of all who follow."""

    def preprocess(self, notebook, resources):
        marks = [cell.metadata.get("nbgrader") or {} for cell in notebook.cells]
        times = Counter(mark["grade_id"] for mark in marks if "grade_id" in mark)
        if copied := sorted(name for name, count in times.items() if count > 1):
            name = f"{resources['unique_key']}.ipynb"
            NOT_GRADED.append(
                f"{Path(resources['metadata']['path'], name)} is not graded: it has "
                f"more than one cell {', '.join(copied)}. Open it, delete the copies "
                "that should not count, save it, and run nbgrader autograde again."
            )
            raise SubmissionError(NOT_GRADED[-1])
        return notebook, resources


def look_at(notebooks, **_):
    """Note which files nbgrader cannot grade because of their names, or damage."""
    for path in map(Path, notebooks):
        released = Path("release", path.parent.name)
        names = sorted(known.name for known in released.glob("*.ipynb"))
        if path.name not in names:
            NOT_GRADED.append(
                f"{path} is not graded: the assignment's file is called "
                f"{' or '.join(names)}. If this is the one that counts, rename it to "
                "that, and run nbgrader autograde again."
            )
            continue
        try:
            nbformat.read(path, as_version=4)
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            NOT_GRADED.append(
                f"{path} is not graded: it is no notebook, perhaps cut off on its way. "
                "Ask the learner for it again."
            )


c.CourseDirectory.course_id = "transfer_learning"
# A released cell keeps the lesson's own stub, which runs untouched; nothing is put in
# its place.
c.ClearSolutions.code_stub = {"python": ""}
# Seconds for a cell; the longest of the lessons takes a minute on two busy cores.
c.ExecutePreprocessor.timeout = 600
c.Autograde.sanitize_preprocessors = [
    OneOfEach,
    *Autograde.sanitize_preprocessors.default(),
]
c.Autograde.pre_convert_hook = look_at
# A check that a learner deleted is put back, and judges what they wrote.
c.OverwriteCells.add_missing_cells = True
# For release and collect on a server of many: a folder that all can write.
# c.Exchange.root = "/srv/nbgrader/exchange"
