"""Files that appear whole or not at all."""

import pytest

from safeguards.whole_files import atomic_write


def test_a_file_is_there_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    with atomic_write(path) as part:
        part.write_text("half")
        assert not path.exists() and part.suffix == path.suffix
        part.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path, fault):
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(fault), atomic_write(path) as part:
        part.write_text("half")
        raise fault
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
