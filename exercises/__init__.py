"""The exercises: `check`, and each lesson's judges (lesson 04's are in lesson_04.py).

`check("05.2", answer)` tries the answer out, gives hints, and never tells the solution.
`_core.py` holds what all lessons share: `check`, the three kinds of exercise, `Hint`.
"""

from exercises._core import Feedback, check
