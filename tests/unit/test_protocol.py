"""The protocol held against itself; benchmarks/ has the scripts and the stored runs."""

from dataclasses import replace

import numpy as np
import pytest

from tidegate.cli import main
from tidegate.compare.answer import answer


@pytest.fixture(scope="module")
def check(benchmark_script):
    return benchmark_script("check_compare")


def test_a_cell_against_itself_wins_no_more_often_than_the_level_allows(check) -> None:
    runs = check.load()
    assert runs.shape == (100, 2)
    assert len(np.unique(runs)) == 200  # independent first parameters: no run is another one's copy
    assert [cells for cells in (2, 3, 4) if check.false_winners(runs, cells) > 66] == []


def test_a_planted_shift_is_found(check) -> None:
    assert check.found_shifts(check.load()) >= 750


def test_the_check_notices_a_dishonest_protocol(check, monkeypatch) -> None:
    """Naming the lower mean the winner must fail the A/A check."""
    monkeypatch.setattr(check, "winner", lambda scores: "ab"[scores.mean(axis=0).argmin()])
    assert check.false_winners(check.load()) > 66


def test_a_third_cell_that_is_worse_changes_nothing(check) -> None:
    """Among drawn scores; the benchmark draws 10,000 sets."""
    assert check.changed_by_a_third(500) == 0


def test_the_check_notices_a_third_cell_that_is_taken_for_its_cost(check, monkeypatch) -> None:
    def cheapest(cells, *others):
        return replace(answer(cells, *others), recommended=min(cells, key=lambda cell: cell.flops_per_step).name)

    monkeypatch.setattr(check, "answer", cheapest)
    assert check.changed_by_a_third(50) > 0


def test_a_killed_comparison_ends_as_an_uninterrupted_one(benchmark_script, tmp_path) -> None:
    resume = benchmark_script("check_resume")
    words = "compare elnino --cells gru --seeds 2 --trials 1 --parameters 2k --epochs 60 --workers 1"

    def here(folder, command) -> None:
        assert main([*command, "--out", str(folder)]) == 0

    assert resume.check(1, 0, tmp_path, words.split(), here)
