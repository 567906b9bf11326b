"""Intervals that follow recent misses, against loops written out."""

import json

import numpy as np
import pandas as pd
import pytest

from tidegate.tasks import Forecaster, from_pretrained
from tidegate.tasks.forecast.spread import MOST, PRIOR, WINDOW, spreads

OPTIONS = {"target": "y", "strategy": "direct", "difference": "last", "logarithm": "no", "hidden_size": 4, "epochs": 1}
HORIZON = 3


def by_loops(at, origin, ratio, usual, gap):
    steps = ratio.shape[1]
    total = count = 0.0
    for i, row in enumerate(origin):
        for k in range(1, steps + 1):
            if at - WINDOW * steps < row + k <= at and np.isfinite(ratio[i, k - 1]):
                total += min(ratio[i, k - 1], MOST * usual) * gap / steps
                count += gap / steps
    return (PRIOR * steps * usual + total) / ((PRIOR * steps + count) * usual)


class TestSpreads:
    @pytest.mark.parametrize("gap", [1, 4])
    def test_by_loops(self, gap):
        rng = np.random.default_rng(0)
        origin = np.arange(7, 7 + 60 * gap, gap)
        ratio = rng.exponential(0.4, (60, HORIZON))
        ratio[rng.random(ratio.shape) < 0.1] = np.nan
        ratio[5, 1] = 80.0
        at = np.array([0, 7, 8, 9, 30, 100, 250])
        wanted = [by_loops(row, origin, ratio, 0.3, gap) for row in at]
        assert spreads(at, origin, ratio, 0.3) == pytest.approx(np.array(wanted), rel=1e-12)

    def test_nothing_known_leaves_intervals_as_they_are(self):
        ratio = np.full((5, HORIZON), 0.2)
        assert (spreads(np.array([9, 10]), np.arange(10, 15), ratio, 0.5) == 1).all()
        assert (spreads(np.array([50]), np.arange(10, 15), ratio, 0.0) == 1).all()

    def test_twice_the_misses_make_intervals_nearly_twice_as_wide(self):
        ratio = np.full((400, HORIZON), 0.6)
        (found,) = spreads(np.array([390]), np.arange(400), ratio, 0.3)
        assert found == pytest.approx((PRIOR + 2 * WINDOW) / (PRIOR + WINDOW))


def noisy(rows, spread, seed=0, start="2020-01-01"):
    rng = np.random.default_rng(seed)
    days = pd.date_range(start, periods=rows, freq="D")
    wave = 10 * np.sin(2 * np.pi * days.day_of_week.to_numpy() / 7)
    return pd.DataFrame({"day": days, "y": wave + spread * rng.normal(size=rows)})


@pytest.fixture(scope="module")
def calmer():
    """A series whose noise falls to a third where the test begins, and its forecaster."""
    frame = noisy(900, np.where(np.arange(900) < 700, 1.0, 1 / 3))
    options = {"horizon": HORIZON, "time": "day", "quantiles": (0.1, 0.9), "valid_share": 0.15, "test_share": 0.2}
    return Forecaster(**OPTIONS, **options).fit(frame), frame


def width(frame):
    return (frame["0.9"] - frame["0.1"]).to_numpy()


class TestForecasts:
    def test_intervals_become_narrow_where_misses_become_small(self, calmer):
        model, _ = calmer
        widths = width(model.backtest()).reshape(-1, HORIZON).mean(1)
        assert widths[-1] < 0.55 * widths[0]
        last = model.backtest().iloc[-60 * HORIZON :]
        assert 0.7 < last["truth"].between(last["0.1"], last["0.9"]).mean() < 0.95  # without, 1

    def test_no_interval_knows_what_comes_after_its_origin(self, calmer):
        model, frame = calmer
        late = frame.copy()
        late.loc[850:, "y"] *= 3
        before, after = (model.backtest(data) for data in (noisy(300, 1.0), noisy(300, 1.0).assign(y=_jump)))
        known = (before["origin"] < before["day"].iloc[0] + pd.Timedelta(100, "D")).to_numpy()
        assert np.array_equal(width(before)[known], width(after)[known])
        assert (width(before)[~known][-30:] < width(after)[~known][-30:]).all()

    def test_a_forecast_goes_on_with_the_width_of_late(self, calmer, tmp_path):
        model, frame = calmer
        last = width(model.backtest())[-HORIZON:]
        assert width(model.predict()) == pytest.approx(last, rel=0.15)
        pd.testing.assert_frame_equal(model.predict(), model.predict(history=frame))
        model.save_pretrained(tmp_path)
        pd.testing.assert_frame_equal(model.predict(), from_pretrained(tmp_path).predict())

    def test_rows_after_the_training_data_count_and_those_in_it_do_not(self, calmer):
        model, frame = calmer
        start = frame["day"].iloc[-1] + pd.Timedelta(1, "D")
        wild = pd.concat([frame, noisy(120, 3.0, seed=1, start=start)])
        calm = pd.concat([frame, noisy(120, 1 / 3, seed=1, start=start)])
        usual = width(model.predict()).mean()
        assert width(model.predict(history=wild)).mean() > 3 * usual
        assert width(model.predict(history=calm)).mean() == pytest.approx(usual, rel=0.3)
        shaken = frame.assign(y=np.where(np.arange(900) < 600, 4, 1) * frame["y"])
        assert np.allclose(width(model.predict(history=shaken)), width(model.predict()))

    def test_a_model_of_an_earlier_version_keeps_its_intervals(self, calmer, tmp_path):
        model, _ = calmer
        model.save_pretrained(tmp_path)
        card = tmp_path / "model.json"
        text = json.loads(card.read_text())
        for name in ("usual", "lately", "until"):
            del text["encoding"][name]
        card.write_text(json.dumps(text))
        old = from_pretrained(tmp_path)
        widths = width(old.backtest(noisy(300, 1.0))).reshape(-1, HORIZON)
        assert np.allclose(widths, widths[0], rtol=0.2)
        assert np.isfinite(width(old.predict())).all()


def _jump(frame):
    """The same values up to half a year, and three times the noise from there on."""
    return np.where(np.arange(len(frame)) < 270, frame["y"], 3 * frame["y"])
