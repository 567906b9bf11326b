"""What a forecaster reads: several targets of one table."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.unit.refusal import refused
from tidegate import nn
from tidegate.data import Source
from tidegate.tasks import Forecaster
from tidegate.tasks.forecast.score import quantile_scores
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.forecast.task import ForecastTask

LEVELS = (0.1, 0.5, 0.9)
QUICK = {"hidden_size": 8, "epochs": 2}


def wave(rows=200, seed=0, period=12):
    noise = np.random.default_rng(seed).normal(size=rows).cumsum()
    return (np.sin(2 * np.pi * np.arange(rows) / period) + 0.1 * noise).tolist()


def of_frame(frame, **options):
    raw = Source("/nowhere/a.csv", "a.csv", frame.to_csv(index=False).encode())
    return ForecastTask(raw, ForecastSetting(**{"target": "y", "strategy": "direct", **options}))


def fresh(task):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return task.model(lambda features: nn.GRU(features, 5)).eval()


@pytest.fixture(scope="module")
def wide():
    """Two sites of three columns of very different sizes, a text and a row number."""
    rows = np.arange(90)
    parts = [
        pd.DataFrame(
            {
                "site": site,
                "day": pd.date_range("2024-01-01", periods=90),
                "load, kW": 1e6 + 1e4 * np.array(wave(90, seed)),
                "temp": wave(90, seed + 1),
                "row": rows,
                "sky": ["clear", "rain", "snow"] * 30,
                "wind": wave(90, seed + 2),
            }
        )
        for seed, site in ((0, "a"), (5, "b"))
    ]
    return pd.concat(parts, ignore_index=True)


SITES = {"series": "site", "time": "day", "horizon": 3}


class TestSeveralTargets:
    def test_they_are_read_as_if_melted(self, wide):
        """The same windows, scales and scores as of a long table with a row for each value."""
        task = of_frame(wide, **SITES, target="all", quantiles=(0.1,))
        names = ["load, kW", "temp", "wind"]
        long = wide.melt(["site", "day"], names, "name", "y").assign(shop=lambda f: f["name"] + " of " + f["site"])
        other = of_frame(long[["shop", "day", "y"]], series="shop", time="day", horizon=3, quantiles=(0.1,))
        assert dict(zip(task.panel.names, task.panel.targets, strict=True)) == {
            f"{name} of {site}": name for site in "ab" for name in names
        }
        assert task.encoding.scales == other.encoding.scales
        places = [other.panel.names.index(name) for name in task.panel.names]
        for mine, theirs in enumerate(places):
            left, right = (
                grid.levels[span.start : span.end]
                for grid, span in ((task.grid, task.grid.spans[mine]), (other.grid, other.grid.spans[theirs]))
            )
            assert torch.equal(left, right)
        mine, theirs = ({score.name: score for score in each.scores(fresh(each), 0.0)} for each in (task, other))
        for name in ("MASE", "sMAPE", "coverage of 0.1 to 0.5"):
            assert mine[name].baselines == pytest.approx(theirs[name].baselines)
        assert "MAE" not in mine

    def test_all_leaves_out_what_is_no_series_of_numbers(self, wide):
        notes = of_frame(wide.assign(open="yes", flat=2.5), **SITES, target="all").data.warnings
        for part in ("'row' was left out: it rises", "'sky' was not taken", "'flat' was left out: it holds one value"):
            assert sum(part in note for note in notes) == 1

    def test_scores_are_in_standard_deviations_of_each(self, wide):
        task = of_frame(wide, **SITES, target="temp,wind", quantiles=(0.1, 0.9))
        forecasts = task.forecasts(fresh(task), "test")
        sd = np.array([task.encoding.scales[task.panel.names[series]][1] for series in forecasts.series])
        miss = (task.truth(forecasts) - forecasts.point) / sd[:, None]
        values = task.score_values(forecasts)
        assert values["MSE/var"] == pytest.approx((miss**2).mean())
        scaled = quantile_scores(forecasts.quantiles / sd[:, None, None], task.truth(forecasts) / sd[:, None], LEVELS)
        assert values["CRPS/sd"] == pytest.approx(scaled["CRPS"])

    @pytest.mark.parametrize("target", ["all", '"load, kW",temp', ["load, kW", "temp"]])
    def test_a_forecast_names_its_target(self, wide, target, tmp_path):
        frame = wide.drop(columns="wind")
        made = Forecaster(target=target, **SITES, **QUICK).fit(frame)
        found = made.predict()
        assert list(found.columns) == ["site", "target", "day", "step", "forecast"]
        assert found["target"].tolist() == (["load, kW"] * 3 + ["temp"] * 3) * 2
        assert found[found["target"] == "load, kW"]["forecast"].between(0.9e6, 1.1e6).all()
        made.save_pretrained(tmp_path)
        again = Forecaster.from_pretrained(tmp_path)
        pd.testing.assert_frame_equal(again.predict(), found)
        more = frame.assign(late=1.0)  # no target of this model
        pd.testing.assert_frame_equal(again.predict(history=more), found)
        assert [axes.get_ylabel() for axes in made.plot().axes] == ["load, kW", "temp"] * 2
        assert "target" in made.backtest()

    def test_each_target_may_end_elsewhere_where_columns_are_known(self, wide):
        one = wide[wide["site"] == "a"].reset_index(drop=True)
        one.loc[85:, "temp"] = np.nan
        one.loc[88:, "wind"] = np.nan
        made = Forecaster(target="temp,wind", time="day", known=("load, kW",), horizon=2, **QUICK).fit(one)
        found = made.predict()
        days = one["day"].dt.strftime("%d").tolist()
        assert found["day"].dt.strftime("%d").tolist() == [*days[85:87], *days[88:90]]

    @pytest.mark.parametrize(
        ("options", "code", "parts"),
        [
            ({"target": "temp,windy"}, "COLUMN", ("'windy'", "did you mean 'wind'")),
            ({"target": "temp,temp"}, "SERIES_TWICE", ("'temp' twice",)),
            ({"target": "temp,sky"}, "SERIES_VALUE", ("'sky'", "'clear'", "row 1")),
            ({"target": "temp,wind", "known": ("wind",)}, "SERIES_TWICE", ("'wind' is both target= and known=",)),
            ({"target": "temp,day"}, "SERIES_TWICE", ("'day' is both target= and time=",)),
            ({"target": "all", "known": ("load, kW", "temp", "wind")}, "SERIES_TARGET", ("has none", "'row'")),
        ],
    )
    def test_what_cannot_be_meant(self, wide, options, code, parts):
        refused(code, lambda: of_frame(wide, **SITES, **options), *parts)

    def test_a_column_called_all_is_that_column(self):
        frame = pd.DataFrame({"all": wave(), "y": wave(seed=1)})
        task = of_frame(frame, target="all")
        assert task.panel.targets == ("all",)
        assert "target='all' is the column of that name" in task.data.warnings
        assert of_frame(frame.rename(columns={"all": "x"}), target="all").panel.targets == ("x", "y")

    def test_labels_that_would_be_the_same(self):
        frame = pd.DataFrame({"shop": ["x of y"] * 60 + ["y"] * 60, "a": wave(120)})
        frame = frame.assign(**{"a of x": frame["a"] + 1})
        refused("SERIES_LABEL", lambda: of_frame(frame, target="all", series="shop"), "'a of x of y'")
