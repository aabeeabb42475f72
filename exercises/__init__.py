"""`check("05.2", answer)`: judges an exercise by what the answer does, hints, never tells."""

from exercises._core import Verdict, check
