"""The protocol held against itself, on runs stored in benchmarks/results (see benchmarks/check_compare.py)."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "check_compare.py"


@pytest.fixture(scope="module")
def check():
    module_spec = importlib.util.spec_from_file_location("check_compare", SCRIPT)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


def test_a_cell_against_itself_wins_no_more_often_than_the_level_allows(check) -> None:
    runs = check.load()
    assert runs.shape == (100, 2)
    assert len(np.unique(runs)) == 200  # independent first parameters: no run is another one's copy
    assert check.false_winners(runs) <= 66


def test_a_planted_shift_is_found(check) -> None:
    assert check.found_shifts(check.load()) >= 750


def test_the_check_notices_a_dishonest_protocol(check, monkeypatch) -> None:
    """Naming the lower mean the winner must fail the A/A check."""
    monkeypatch.setattr(check, "winner", lambda a, b: "a" if a.mean() < b.mean() else "b")
    assert check.false_winners(check.load()) > 66
