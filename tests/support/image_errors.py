"""`pytest.raises` for an ImageError of one kind."""

from contextlib import contextmanager

import pytest

from safeguards.pictures import ImageError


@contextmanager
def raises(kind, match=None):
    """As `pytest.raises`: an ImageError of this kind has to be raised."""
    with pytest.raises(ImageError, match=match) as caught:
        yield caught
    assert caught.value.kind == kind
