"""What compare says, for each kind of outcome."""

import pytest

from tidegate.compare.answer import answer, with_rivals
from tidegate.compare.statistic import interval, pairs
from tidegate.records import AnswerRecord, BaselineRecord, CellRecord

NOISE = [0.00, 0.03, -0.02, 0.01, -0.03]


def cell(name: str, tests: list[float], flops: int = 100, diverged: int = 0) -> CellRecord:
    estimate = interval(tests) if tests else None
    return CellRecord(
        name=name,
        graph={},
        source="",
        differs="",
        hidden_size=1,
        parameters=flops,
        parameter_gap=0.0,
        flops_per_step=flops,
        finished=len(tests),
        diverged=diverged,
        mean=estimate.mean if estimate else None,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        train_seconds=1.0,
        step_p50_us=1.0,
        step_p99_us=1.0,
        exported_bytes=1,
    )


def ask(tests: dict[str, list[float]], baselines: tuple[BaselineRecord, ...] = (), **flops: int) -> AnswerRecord:
    cells = [cell(name, values, flops.get(name, 100)) for name, values in tests.items()]
    compared = pairs({name: dict(enumerate(values)) for name, values in tests.items()})
    return answer(cells, compared, with_rivals(cells, baselines), "data")


def around(mean: float, order: int = 0) -> list[float]:
    return [mean + NOISE[(k + order) % 5] for k in range(5)]


def test_a_clear_winner_is_named() -> None:
    found = ask({"a": around(1.0), "b": around(2.0, 1), "c": around(3.0, 2)})
    assert found.winner == found.recommended == "a"
    assert found.headline.startswith("Take a: reliably better on data than b and c")


def test_no_difference_recommends_the_cheapest() -> None:
    found = ask({"a": around(1.0), "b": around(1.001, 2)}, a=200, b=100)
    assert found.winner is None
    assert found.recommended == "b"
    assert "No reliable difference" in found.headline
    assert any("would miss a difference" in reason for reason in found.reasons)


def test_the_loser_is_named_even_if_the_winner_is_not() -> None:
    found = ask({"a": around(1.0), "b": around(1.001, 2), "c": around(3.0, 3)})
    assert found.winner is None
    assert "c is reliably worse than a" in found.headline


def test_few_seeds_are_no_evidence() -> None:
    found = ask({"a": around(1.0)[:3], "b": around(9.0)[:3]})
    assert found.winner is None
    assert found.recommended is None
    assert "No evidence" in found.headline


def test_a_baseline_as_good_comes_first() -> None:
    found = ask({"a": around(1.0), "b": around(2.0)}, (BaselineRecord("naive", 1.001, ""),))
    assert found.headline.startswith("A baseline without any network (naive) does as well")
    assert found.alerts == ("Baseline naive scores 1.001; a, the best cell, 0.998.",)


def test_a_baseline_that_is_better_than_all_says_so() -> None:
    found = ask({"a": around(1.0), "b": around(2.0)}, (BaselineRecord("naive", 0.5, ""),))
    assert found.headline.startswith("A baseline without any network (naive) beats every cell")


def test_a_baseline_that_is_worse_is_not_mentioned() -> None:
    found = ask({"a": around(1.0), "b": around(2.0)}, (BaselineRecord("naive", 5.0, ""),))
    assert "baseline" not in found.headline
    assert found.alerts == ()


def ask_with_failures(*cells: CellRecord) -> AnswerRecord:
    scores = {"a": around(1.0), "b": around(2.0, 1), "c": around(3.0, 2)}
    return answer(cells, pairs({name: dict(enumerate(tests)) for name, tests in scores.items()}), (), "data")


def test_a_cell_with_diverged_runs_wins_nothing_and_unsettles_the_rest() -> None:
    found = ask_with_failures(cell("a", around(1.0)[:4], diverged=1), cell("b", around(2.0)), cell("c", around(3.0)))
    assert (found.winner, found.recommended) == (None, "b")
    assert "Runs of a diverged" in found.headline
    assert any("1 of 5 runs of a diverged" in reason for reason in found.reasons)


def test_a_bad_cell_that_diverges_does_not_spoil_the_answer() -> None:
    found = ask_with_failures(cell("a", around(1.0)), cell("b", around(2.0)), cell("c", around(3.0)[:2], diverged=3))
    assert found.winner == "a"
    assert "Runs of c diverged" in found.headline


def test_the_only_cell_that_trains_is_taken_but_has_won_nothing() -> None:
    found = ask_with_failures(cell("a", around(1.0)), cell("b", [], diverged=5))
    assert (found.winner, found.recommended) == (None, "a")


def test_nothing_finished() -> None:
    found = answer([cell("a", [], diverged=5)], (), (), "data")
    assert found.recommended is None
    assert "diverged" in found.headline


@pytest.mark.parametrize("count", [1, 5])
def test_one_cell_is_no_comparison(count: int) -> None:
    found = ask({"a": around(1.0)[:count]})
    assert "nothing to compare" in found.headline
