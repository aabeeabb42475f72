"""Progress bars: seen by people who watch, never kept in a saved notebook."""

import pytest
from tqdm import auto, notebook

from safeguards.progress import progress_bar


@pytest.mark.parametrize("value, shown", [(None, True), ("", True), ("1", False)])
def test_a_notebook_has_a_bar_unless_bars_are_off(monkeypatch, value, shown):
    displayed = []
    monkeypatch.setattr(auto, "tqdm", notebook.tqdm_notebook)
    monkeypatch.setattr(auto, "notebook_tqdm", notebook.tqdm_notebook)
    monkeypatch.setattr(notebook, "display", displayed.append)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    if value is not None:
        monkeypatch.setenv("TQDM_DISABLE", value)
    with progress_bar(3, "features") as bar:
        bar.update(3)
    assert bool(displayed) == shown
