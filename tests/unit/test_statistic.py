"""The statistics of compare against scipy, hand-worked numbers, and planted cases."""

import math

import numpy as np
import pytest
from scipy import stats

from tidegate.compare.statistic import LEVEL, detectable_effect, interval, pairs


def by_seed(values) -> dict[int, float]:
    return dict(enumerate(values))


def test_interval_equals_scipys() -> None:
    values = [8.41, 8.52, 8.47, 8.39, 8.60]
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    found = interval(values)
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)


def test_interval_of_one_value_claims_nothing() -> None:
    found = interval([3.0])
    assert found.mean == 3.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_pair_equals_scipys_paired_test() -> None:
    a, b = [1.0, 2.0, 3.5, 4.0, 5.2], [1.5, 2.1, 3.9, 4.8, 5.0]
    (pair,) = pairs({"a": by_seed(a), "b": by_seed(b)})
    assert pair.p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert pair.difference == pytest.approx(np.mean(a) - np.mean(b))
    assert pair.wins == 4
    assert pair.probability > 0.5


def test_pairs_use_common_seeds_only() -> None:
    (pair,) = pairs({"a": {0: 1.0, 1: 2.0, 2: 3.0}, "b": {1: 2.5, 2: 3.4, 7: 0.0}})
    assert pair.seeds == 2
    assert pair.difference == pytest.approx(-0.45)


def test_pairs_without_two_common_seeds_are_left_out() -> None:
    assert pairs({"a": {0: 1.0}, "b": {0: 2.0}}) == ()


def test_a_pair_is_judged_by_its_own_scores_alone() -> None:
    draw = np.random.default_rng(3)
    scores = {name: by_seed(draw.normal(shift, 1.0, 8)) for name, shift in (("a", 0), ("b", 1), ("c", 3))}
    for pair in pairs(scores):
        assert pairs({name: scores[name] for name in (pair.a, pair.b)}) == (pair,)


def test_equal_scores_are_no_difference_and_constant_differences_are_certain() -> None:
    same = by_seed([1.0, 2.0, 3.0])
    (pair,) = pairs({"a": same, "b": same})
    assert (pair.p, pair.probability) == (1.0, 0.5)
    (pair,) = pairs({"a": by_seed([1.0, 2.0, 3.0]), "b": by_seed([2.0, 3.0, 4.0])})
    assert (pair.p, pair.probability) == (0.0, 1.0)


def test_probability_predicts_a_new_seed() -> None:
    """The predicted chance that a new difference lies below a sixth one drawn is uniform, as it must be."""
    draw = np.random.default_rng(0)
    differences = draw.normal(-0.5, 1.0, (2000, 6))
    predicted = [
        pairs({"a": by_seed(row[:5] - row[5]), "b": by_seed(np.zeros(5))})[0].probability for row in differences
    ]
    assert stats.kstest(predicted, "uniform").pvalue > 0.01


@pytest.mark.parametrize("n", [3, 5, 10, 20])
def test_detectable_effect_has_the_power_it_says(n: int) -> None:
    effect = detectable_effect(n, LEVEL)
    draw = np.random.default_rng(n)
    samples = draw.normal(effect, 1.0, (4000, n))
    found = stats.ttest_1samp(samples, 0.0, axis=1).pvalue < LEVEL
    assert np.mean(found) == pytest.approx(0.80, abs=0.02)


def test_reliable_needs_the_level_and_enough_seeds() -> None:
    def reliable(seeds: int, shift: float) -> bool:
        noise = [0.01 * (-1) ** k for k in range(seeds)]
        (pair,) = pairs({"a": by_seed(noise), "b": by_seed([shift] * seeds)})
        return pair.reliable

    assert reliable(5, 1.0)
    assert not reliable(4, 1.0)
    assert not reliable(5, 0.005)
