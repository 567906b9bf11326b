"""The ridge regression of forecasts, its blend with the layers, and intervals, against formulas written out."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tidegate.tasks.forecast.blend import blended, corrections
from tidegate.tasks.forecast.ridge import Check, Linear, ahead_of, features, ridge
from tidegate.tasks.forecast.score import cover_interval
from tidegate.tasks.forecast.split import Span


def wave(rows, seed=0, period=12):
    rng = np.random.default_rng(seed)
    return np.sin(2 * np.pi * np.arange(rows) / period) + 0.1 * rng.normal(size=rows).cumsum()


def check(rows=(160, 120), horizon=5):
    series = [wave(count, seed) for seed, count in enumerate(rows)]
    return Check(series, [Span(0, len(one) - 60, len(one) - 30, len(one)) for one in series], horizon)


class TestRidge:
    @pytest.mark.parametrize("recursive", [False, True])
    def test_against_another_implementation(self, recursive):
        given = check()
        fit = ridge(given, lags=(4,), recursive=recursive)
        steps = 1 if recursive else 5
        rows, changes = [], []
        for levels, span in zip(given.series, given.spans, strict=True):
            for t in range(3, span.first - steps):
                rows.append(
                    [levels[t - 3] - levels[t], levels[t - 2] - levels[t], levels[t - 1] - levels[t], levels[t]]
                )
                changes.append([levels[t + k] - levels[t] for k in range(1, steps + 1)])
        rows, changes = np.array(rows), np.array(changes)
        found = []
        for kept in (3, 4):
            other = Ridge(alpha=fit.strength * len(rows)).fit(rows[:, :kept], changes)
            weights, coefficients = np.zeros((5, steps)), np.atleast_2d(other.coef_)
            weights[:3] = coefficients[:, :3].T
            weights[3] = -coefficients[:, :3].sum(1) + (coefficients[:, 3] if kept == 4 else 0.0)
            weights[4] = other.intercept_
            found.append(Linear(weights))
        best = min(found, key=given.error)
        assert fit.linear.weights == pytest.approx(best.weights, abs=1e-8)
        assert fit.error == pytest.approx(given.error(best))

    def test_error_is_that_of_every_origin_in_validation(self):
        given = check(rows=(100,))
        linear = Linear(np.array([[0.3, 0.2, 0.1, 0.0, 0.0], [-0.3, -0.2, -0.1, 0.0, 0.1], [0.0, 0.1, 0.0, 0.0, 0.0]]))
        (levels,), (span,) = given.series, given.spans
        squares = []
        for t in range(span.first - 1, span.second - 5):
            for k in range(5):
                weights = linear.weights[:, k]
                value = levels[t] + weights[0] * levels[t - 1] + weights[1] * levels[t] + weights[2]
                squares.append((levels[t + k + 1] - value) ** 2)
        assert given.error(linear) == pytest.approx(np.mean(squares))

    def test_strength_is_searched_to_where_it_stops(self):
        rng = np.random.default_rng(0)
        noise = Check([rng.normal(size=400)], [Span(0, 300, 350, 400)], 3)
        assert ridge(noise, lags=(64,)).strength > 0.1
        exact = Check([np.sin(np.arange(400.0))], [Span(0, 300, 350, 400)], 3)
        assert ridge(exact, lags=(8,)).strength < 1e-6

    def test_a_week_of_hours_is_found(self):
        hours = np.arange(2000)
        levels = np.sin(2 * np.pi * hours / 24) * (1 + (hours // 24 % 7 > 4))
        fit = ridge(Check([levels + 0.1 * wave(2000)], [Span(0, 1400, 1700, 2000)], 24), period=24)
        assert fit.linear.order >= 168

    @pytest.mark.parametrize("horizon", [1, 3, 7, 10])
    def test_further_steps_read_forecasts(self, horizon):
        linear = Linear(np.random.default_rng(0).normal(size=(5, 3)) / 4)
        levels, path = wave(40), wave(40)[:31].tolist()
        while len(path) < 31 + horizon:
            now = path[-4:]
            path += [now[-1] + float(np.dot([*now, 1.0], linear.weights[:, k])) for k in range(3)]
        assert linear.forecast(levels, np.array([30]), horizon)[0] == pytest.approx(path[31 : 31 + horizon])

    def test_before_the_start_the_first_value_is_repeated(self):
        assert features(np.array([5.0, 6.0, 7.0]), np.array([0, 2]), 3).tolist() == [[5, 5, 5], [5, 6, 7]]
        assert ahead_of(np.array([5.0, 6.0, 7.0]), np.array([0]), 2).tolist() == [[6, 7]]

    def test_as_text_and_back(self):
        linear = Linear(np.random.default_rng(0).normal(size=(5, 3))).rounded()
        assert np.array_equal(Linear.from_text(linear.to_text()).weights, linear.weights)
        for text in ("", "3:", "0:AAAA", "2:AAAAAAAAAAA=", "x:" + linear.to_text()[2:], "4:" + linear.to_text()[2:]):
            with pytest.raises(ValueError, match=r"."):
                Linear.from_text(text)
        with pytest.raises(ValueError, match="finite"):
            Linear.from_text(Linear(np.full((2, 1), np.nan)).to_text())


class TestBlend:
    def drawn(self, good, count=200, steps=4, seed=0):
        """A plain forecast with independent errors, and one of layers with smaller or larger ones."""
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=(count, steps))
        plain = truth + rng.normal(size=truth.shape)
        net = truth + good * rng.normal(size=truth.shape)
        return net, plain, truth, np.zeros(count, int), np.arange(count)

    def test_by_hand(self):
        net, plain, truth, series, origin = self.drawn(0.5)
        found = blended(net, plain, truth, series, origin)
        scores, gains = {}, []
        for share in np.arange(21) / 20:
            excess = (np.abs(truth - share * net - (1 - share) * plain) - np.abs(truth - plain)).mean(1)
            if share <= 50 / 54:
                gains.append(-excess.mean())
            means = [excess[at : at + 4].mean() for at in range(0, 200, 4)]
            scores[share] = excess.mean() + 1.0051 * np.std(means, ddof=1) / np.sqrt(50)  # t(0.84, 49) = 1.0051
        best = min((share for share in scores if share <= 50 / 54), key=scores.get)
        assert found.share == pytest.approx(best)
        assert found.gain == pytest.approx(max(gains))
        assert found.plain == pytest.approx(np.abs(truth - plain).mean())

    def test_layers_that_only_add_noise_get_nothing(self):
        net, plain, truth, series, origin = self.drawn(0.5)
        worse = plain + (plain - truth)
        assert blended(worse, plain, truth, series, origin).share == 0
        assert blended(plain, plain, truth, series, origin).share == 0
        assert blended(np.full_like(net, np.nan), plain, truth, series, origin).share == 0

    def test_few_rows_of_validation_are_no_evidence(self):
        net, plain, truth, series, origin = self.drawn(0.1, count=4)
        assert blended(net, plain, truth, series, origin).share == 0
        net, plain, truth, series, origin = self.drawn(0.1, count=12)
        assert 0 < blended(net, plain, truth, series, origin).share <= 3 / 7

    @pytest.mark.parametrize("count", [60, 2000])
    def test_corrected_intervals_cover_what_they_say(self, count):
        rng, levels, covered = np.random.default_rng(0), (0.1, 0.5, 0.9), []
        for _ in range(40):
            miss = rng.normal(size=(count, 3))[..., None] - np.array([-0.3, 0.0, 0.2])
            shift = corrections(miss, levels, 10 * count)
            assert (shift[:, 1] == 0).all()
            fresh = rng.normal(size=(4000, 3))
            low, high = -0.3 + shift[:, 0], 0.2 + shift[:, 2]
            covered.append(((low <= fresh) & (fresh <= high)).mean())
        assert np.mean(covered) == pytest.approx(0.8, abs=0.01)

    def test_each_step_has_its_own_correction_where_there_are_enough_origins(self):
        rng = np.random.default_rng(0)
        miss = (rng.normal(size=(500, 2)) * [1, 5])[..., None] * np.ones(3)
        shift = corrections(miss, (0.1, 0.5, 0.9), 500)
        assert shift[:, 2] == pytest.approx([1.28, 6.4], rel=0.15)
        assert shift[:, 0] == pytest.approx([-1.28, -6.4], rel=0.15)
        pooled = corrections(miss[:50], (0.1, 0.5, 0.9), 50)
        assert (pooled[0] == pooled[1]).all()

    def test_few_blocks_widen_intervals(self):
        miss = np.random.default_rng(0).normal(size=(400, 2))[..., None] * np.ones(3)
        wide, narrow = (corrections(miss, (0.1, 0.5, 0.9), blocks) for blocks in (2, 400))
        assert (wide[:, 0] < narrow[:, 0]).all()
        assert (wide[:, 2] > narrow[:, 2]).all()
        assert wide[0, 2] == pytest.approx(1.64, abs=0.2)  # the quantile (2 * 0.9 + 2) / 4


def test_interval_of_the_coverage():
    rng = np.random.default_rng(0)
    series, origin = np.repeat([0, 1], 300), np.concatenate([np.arange(300), 1000 + np.arange(300)])
    low, high = cover_interval(rng.random((600, 5)) < 0.8, series, origin)
    assert low < 80 < high
    assert high - low == pytest.approx(4 * 100 * np.sqrt(0.16 / 3000), rel=0.25)
    whole = np.repeat(rng.random(60) < 0.8, 5)  # five rows in a row lie inside or outside together
    low, high = cover_interval(np.repeat(whole[:, None], 5, axis=1), np.zeros(300, int), np.arange(300))
    assert high - low > 4 * 100 * np.sqrt(0.16 / 60) * 0.5
    assert cover_interval(np.ones((9, 5), bool), np.zeros(9, int), np.arange(9)) is None
