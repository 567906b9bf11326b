"""What compare says, for each kind of outcome."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        layers=1,
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


@pytest.mark.parametrize(("flops", "taken"), [(90, "b"), (91, "a"), (150, "a")])
def test_cost_breaks_a_tie_from_a_tenth_on(flops, taken) -> None:
    found = ask({"a": around(1.0), "b": around(1.001, 2)}, a=100, b=flops)
    assert (found.winner, found.recommended) == (None, taken)
    assert found.headline.startswith("No reliable difference on data between a and b: take ")
    assert ("probably" in found.headline) == (taken == "a")
    assert ("10 % fewer operations per step than a" in found.why) == (taken == "b")
    assert "would miss a true difference below" in found.reasons[0]


def test_equal_scores_take_the_cheaper() -> None:
    """Every cell has the same score where a forecast is its anchor alone."""
    found = ask({"a": around(1.0), "b": around(1.0)}, a=100, b=99)
    assert found.recommended == "b"
    assert "the same mean" in found.headline
    assert found.reasons == ("a and b have the same mean over 5 seeds.",)


def test_the_loser_is_named_even_if_the_winner_is_not() -> None:
    found = ask({"a": around(1.0), "b": around(1.001, 2), "c": around(3.0, 3)})
    assert found.winner is None
    assert "c is reliably worse than a" in found.headline


def test_a_cheap_cell_whose_mean_is_third_is_not_recommended() -> None:
    wide = [1.0, 9.0, 1.0, 9.0, 1.0]
    found = ask({"a": around(1.0), "b": around(2.0), "c": wide}, c=1)
    assert (found.winner, found.recommended) == (None, "a")
    assert "b is reliably worse than a" in found.headline
    assert found.reasons[0].startswith("a is reliably better than b: by 1")


scores = st.lists(st.floats(-1e3, 1e3), min_size=18, max_size=18)


@given(scores, st.integers(3, 6), st.floats(1e-6, 1e3), st.tuples(*[st.integers(1, 1000)] * 3))
def test_a_third_cell_that_is_worse_changes_nothing(values, seeds, gap, flops) -> None:
    a, b, c = (values[k * seeds : (k + 1) * seeds] for k in range(3))
    worst = max(sum(a), sum(b)) / seeds + gap
    shift = max(0.0, worst - sum(c) / seeds)
    c = [score + shift for score in c]
    costs = dict(zip("abc", flops, strict=True))
    two, three = ask({"a": a, "b": b}, **costs), ask({"a": a, "b": b, "c": c}, **costs)
    assert two.reasons[0] in three.reasons
    assert three.recommended == two.recommended
    assert three.recommended != "c"
    assert three.winner in (None, two.winner)


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
