"""How nbgrader works on the course that `make editions` writes into build/nbgrader."""

import logging
from collections import Counter
from pathlib import Path

from nbgrader.apps import AutogradeApp  # noqa: F401 (the converters expect it first)
from nbgrader.converters import Autograde
from nbgrader.preprocessors import NbGraderPreprocessor

c = get_config()  # noqa: F821


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
            path = Path(
                resources["metadata"]["path"], f"{resources['unique_key']}.ipynb"
            )
            raise SubmissionError(
                f"{path} is not graded: it has more than one cell {', '.join(copied)}. "
                "Open it, delete the copies that should not count, save it, and run "
                "nbgrader autograde again; all others keep their marks."
            )
        return notebook, resources


def name_strangers(assignment, student, notebooks):
    """Say which files nbgrader passes over because of their names."""
    for path in map(Path, notebooks):
        released = Path("release", path.parent.name)
        names = sorted(known.name for known in released.glob("*.ipynb"))
        if path.name not in names:
            logging.getLogger("traitlets").error(
                "%s is not graded: the assignment's file is called %s. If this is the "
                "one that counts, rename it to that, and run nbgrader autograde again.",
                path,
                " or ".join(names),
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
c.Autograde.pre_convert_hook = name_strangers
# A check that a learner deleted is put back, and judges what they wrote.
c.OverwriteCells.add_missing_cells = True
# For release and collect on a server of many: a folder that all can write.
# c.Exchange.root = "/srv/nbgrader/exchange"
