"""How many cores a process may use."""

import os

import pytest

from safeguards import cores


@pytest.mark.parametrize(
    "quota, expected",
    [
        ("max 100000", 8),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("800000 100000", 8),
        ("6400000 100000", 8),
        ("nonsense", 8),
        (None, 8),
    ],
)
def test_a_container_may_use_its_share(monkeypatch, tmp_path, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert cores.usable_cores() == expected


def test_without_affinity_the_machine_counts(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "none")
    for count, expected in ((4, 4), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert cores.usable_cores() == expected
