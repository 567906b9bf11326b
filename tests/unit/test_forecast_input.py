"""What a forecaster reads: several targets of one table, texts, gaps."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.unit.refusal import refused
from tidegate import nn
from tidegate.data import Source
from tidegate.errors import TidegateWarning
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


@pytest.fixture(scope="module")
def weather():
    rng = np.random.default_rng(0)
    sky = rng.choice(["clear", "rain", "snow"], 200)
    holiday = np.where(rng.random(200) < 0.2, rng.choice(["Easter", "May"], 200), "")
    days = pd.date_range("2024-01-01", periods=200)
    return pd.DataFrame({"day": days, "y": wave() + (sky == "rain"), "sky": sky, "holiday": holiday})


def ends_early(frame, rows):
    return frame.assign(y=frame["y"].where(np.arange(len(frame)) < len(frame) - rows))


class TestTexts:
    def test_they_are_read_as_pandas_would_spread_them(self, weather):
        spread = pd.get_dummies(weather, columns=["sky", "holiday"], prefix_sep="=", dtype=float)
        spread = spread.drop(columns="holiday=")
        for known in ((), ("sky", "holiday")):
            options = {"time": "day", "horizon": 3}
            ours = of_frame(weather, **options, known=known)
            others = tuple(spread.columns[2:]) if known else ()
            theirs = of_frame(spread, **options, known=others)
            assert ours.encoding.columns + ours.encoding.known == ("y", *spread.columns[2:])
            assert torch.equal(ours.grid.inputs, theirs.grid.inputs)
            assert torch.equal(ours.grid.ahead, theirs.grid.ahead)
        assert any("'holiday' is read as 2 inputs of 0 and 1: 'Easter', 'May'; empty" in n for n in ours.data.warnings)

    def test_saved_and_read_back(self, weather, tmp_path):
        history = ends_early(weather, 5)
        made = Forecaster(target="y", time="day", known=("sky", "holiday"), horizon=4, **QUICK).fit(history)
        made.save_pretrained(tmp_path)
        again = Forecaster.from_pretrained(tmp_path)
        assert again.encoding_ == made.encoding_
        assert again.encoding_.categories == {"sky": ("clear", "rain", "snow"), "holiday": ("", "Easter", "May")}
        pd.testing.assert_frame_equal(again.predict(), made.predict())
        pd.testing.assert_frame_equal(again.predict(history=history), made.predict())
        refused("COLUMN", lambda: again.predict(history=history.drop(columns="sky")), "'sky'")

    def test_an_unknown_text_is_noted_and_an_empty_one_refused(self, weather):
        history = ends_early(weather, 5)
        made = Forecaster(target="y", time="day", known=("sky", "holiday"), horizon=4, **QUICK).fit(history)
        fog = history.assign(sky=history["sky"].where(history.index != 197, "fog"))
        with pytest.warns(TidegateWarning, match=r"'sky' holds 'fog'.* in 1 row, the first is row 198"):
            made.predict(history=fog)
        empty = history.assign(sky=history["sky"].where(history.index < 197, ""))
        refused("SERIES_VALUE", lambda: made.predict(history=empty), "'sky'", "row 198", "3 of 200", "up to the last")

    def test_texts_that_training_lacks_are_no_inputs(self, weather):
        late = weather.assign(sky=weather["sky"].where(weather.index < 170, "fog"))
        task = of_frame(late, time="day", known=("sky",))
        assert task.encoding.categories["sky"] == ("clear", "rain", "snow")
        assert "column 'sky=fog' was left out: it is constant in training" in task.data.warnings

    @pytest.mark.parametrize("cells", [["1", "two"] * 100, ["2024-01-01", "2024-01-02"] * 100, ["true", "yes"] * 100])
    def test_what_may_be_meant_as_numbers_is_refused(self, weather, cells):
        refused("SERIES_VALUE", lambda: of_frame(weather.assign(k=cells), known=("k",)), "'k'", "not a number")


class TestGaps:
    def test_rows_and_cells_are_filled_as_pandas_would(self):
        """Missing rows and cells of the target and of what is known: straight lines; other inputs: the value before."""
        rng = np.random.default_rng(0)
        whole = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=200), "y": wave()})
        whole = whole.assign(k=rng.normal(size=200), x=rng.normal(size=200), open=rng.integers(0, 2, 200))
        gone = [5, 40, 41, 42, 150]
        holes = whole.astype({"open": float})
        holes.loc[[20, 21, 199 - 3], ["y", "k", "x"]] = np.nan
        expected = holes.copy()
        expected.loc[gone, ["y", "k", "x", "open"]] = np.nan
        expected[["y", "k"]] = expected[["y", "k"]].interpolate()
        expected[["x", "open"]] = expected[["x", "open"]].ffill()
        options = {"time": "day", "known": ("k", "open"), "horizon": 3}
        found, wanted = of_frame(holes.drop(index=gone), **options), of_frame(expected, **options)
        assert found.panel.columns == wanted.panel.columns == ("y", "x", "k", "open")
        assert found.panel.values == pytest.approx(wanted.panel.values, nan_ok=True)  # noqa: PD011
        assert found.panel.clock.times.equals(wanted.panel.clock.times)
        notes = found.data.warnings
        assert notes[0].startswith("5 of 200 rows are missing in 'day', the first after 2024-01-05, at most 3 in a row")
        assert "3 empty cells of 'y' are filled by straight lines, the first in row 20 below the header" in notes
        assert "3 empty cells of 'x' are filled by the value before, the first in row 20 below the header" in notes

    @pytest.mark.parametrize("freq", ["h", "MS", "B", "QS", "W-SUN", "15min"])
    @pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
    def test_steps_of_the_calendar(self, freq, zone):
        times = pd.date_range("2024-01-01", periods=120, freq=freq, tz=zone)
        frame = pd.DataFrame({"time": [str(time) for time in times.tz_localize(None)], "y": wave(120)})
        read = of_frame(frame.drop(index=[30, 31, 77]), time="time", time_zone=zone).panel
        assert read.clock.times.equals(times) or list(read.clock.times) == list(times)
        assert len(read.values) == 120

    def test_numbers_as_times(self):
        frame = pd.DataFrame({"year": np.arange(1900, 2000) / 2, "y": wave(100)})
        read = of_frame(frame.drop(index=[50, 60, 61]), time="year").panel
        assert read.clock.times.tolist() == frame["year"].tolist()

    def test_rows_beside_the_grid_are_told(self):
        days = pd.date_range("2024-01-01", periods=100).to_list()
        days[50] += pd.Timedelta(5, "h")
        task = of_frame(pd.DataFrame({"day": days, "y": wave(100)}), time="day")
        assert "2 steps in 'day' are not 'D'" in task.data.warnings[0]
        assert "as if they followed each other" in task.data.warnings[0]

    def test_a_target_may_begin_later_and_end_sooner(self, wide):
        one = wide[wide["site"] == "a"].reset_index(drop=True)
        one.loc[:9, "temp"] = np.nan
        one.loc[87:, "wind"] = np.nan
        task = of_frame(one, target="temp,wind", time="day", horizon=2, quantiles=())
        assert task.panel.starts == (0, 80, 170)
        assert task.panel.future == (0, 3)
        assert "'temp' is empty in the first 10 rows, which are left out" in task.data.warnings
        assert "'wind' is empty in the last 3 rows, which are left out" in task.data.warnings
        made = Forecaster(target="temp,wind", time="day", horizon=2, **QUICK).fit(one)
        days = made.predict()["day"].dt.strftime("%d").tolist()
        assert days == [*pd.date_range("2024-03-31", periods=2).strftime("%d"), *one["day"].dt.strftime("%d")[87:89]]

    def test_a_bound_is_kept_to(self):
        frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=100), "y": wave(100)})
        holes = frame.assign(y=frame["y"].where(frame.index % 9 != 3))
        refused("SERIES_GAPS", lambda: of_frame(holes), "lacks 11 of 100 values, the first in row 4", "fill=")
        grid = of_frame(holes, fill=0.2).grid
        assert grid.truth[grid.spans[0].start + 3] == pytest.approx((holes["y"][2] + holes["y"][4]) / 2)
        gone = frame.drop(index=range(30, 45))
        refused("SERIES_GAPS", lambda: of_frame(gone, time="day"), "15 of 100 rows are missing", "after 2024-01-30")
        assert len(of_frame(gone, time="day", fill=0.2).panel.values) == 100
        refused("SERIES_GAPS", lambda: of_frame(frame.drop(index=4), time="day", fill=0.0), "1 of 100 rows is missing")


class TestTimesInSeveralColumns:
    hours = pd.date_range("2024-02-27", periods=120, freq="h")

    def times(self, time="date,hour", **columns):
        frame = pd.DataFrame({**columns, "y": wave(120)})
        return of_frame(frame, time=time).panel.clock

    @pytest.mark.parametrize(
        "clock",
        [
            lambda hours: hours.hour,
            lambda hours: hours.hour.astype(float),
            lambda hours: hours.strftime("%H:%M"),
            lambda hours: hours.strftime("%H%M"),
            lambda hours: hours.hour * 100,
            lambda hours: hours.strftime("%I:%M %p"),
            lambda hours: hours.strftime("%I %p"),
        ],
    )
    @pytest.mark.parametrize("day", ["%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%Y-%m-%d 00:00:00", "%b %d, %Y"])
    def test_a_date_and_a_time_of_day(self, day, clock):
        found = self.times(date=self.hours.strftime(day), hour=clock(self.hours))
        assert found.times.equals(self.hours)
        assert found.step == "h"

    def test_hours_from_1_to_24(self):
        found = self.times(date=self.hours.strftime("%Y-%m-%d"), hour=self.hours.hour + 1)
        assert found.times.equals(self.hours + pd.Timedelta(1, "h"))

    def test_year_month_day_and_hour(self):
        parts = {name: getattr(self.hours, name) for name in ("year", "month", "day", "hour")}
        assert self.times("year,month,day,hour", **parts).times.equals(self.hours)
        months = pd.date_range("2010-01-01", periods=120, freq="MS")
        assert self.times("year,month", year=months.year, month=months.month).times.equals(months)

    @pytest.mark.parametrize(
        ("time", "change", "code", "parts"),
        [
            ("date,clock", {}, "COLUMN", ("'clock'", "time=")),
            ("hour,hour", {}, "SERIES_TWICE", ("'hour,hour'",)),
            ("date,hour", {"hour": "25"}, "SERIES_TIME", ("'hour'", "row 3", "'25'", "such as 13")),
            ("date,hour", {"hour": "noon"}, "SERIES_TIME", ("'hour'", "row 3", "'noon'")),
            ("date,hour", {"date": "soon"}, "SERIES_TIME", ("'date,hour'", "row 3", "'soon 02:00'")),
            ("year,month,day", {"month": "13"}, "SERIES_TIME", ("'month'", "row 3", "'13'", "from 1 to 12")),
            ("month,year,day", {}, "SERIES_TIME", ("'month'", "the year")),
            ("date,hour", {"date": "2024-02-29"}, "SERIES_ORDER", ("'date,hour'", "2024-02-29 02:00", "row 4")),
        ],
    )
    def test_what_is_no_time(self, time, change, code, parts):
        names = ("year", "month", "day", "hour")
        frame = pd.DataFrame({name: getattr(self.hours, name).astype(str) for name in names})
        frame = frame.assign(date=self.hours.strftime("%Y-%m-%d"), y=wave(120))
        for name, cell in change.items():
            frame[name] = frame[name].astype(object)
            frame.loc[2, name] = cell
        refused(code, lambda: of_frame(frame, time=time), *parts)

    def test_a_column_has_one_purpose(self):
        frame = pd.DataFrame({"date": self.hours.strftime("%Y-%m-%d"), "hour": self.hours.hour, "y": wave(120)})
        for options in ({"known": ("hour",)}, {"target": "y,hour"}):
            refused("SERIES_TWICE", lambda options=options: of_frame(frame, time="date,hour", **options), "'hour'")

    @pytest.mark.parametrize("time", ["date, hour", ["date", "hour"]])
    def test_saved_and_read_back(self, time, tmp_path):
        frame = pd.DataFrame({"date": self.hours.strftime("%Y-%m-%d"), "hour": self.hours.hour, "y": wave(120)})
        made = Forecaster(target="y", time=time, horizon=2, **QUICK).fit(frame)
        made.save_pretrained(tmp_path)
        again = Forecaster.from_pretrained(tmp_path)
        found = again.predict()
        name = "date,hour" if isinstance(time, list) else time
        assert found[name].tolist() == [*pd.date_range("2024-03-03", periods=2, freq="h")]
        pd.testing.assert_frame_equal(again.predict(history=frame), found)


class TestMemory:
    @pytest.mark.parametrize("make", [list, tuple, np.array, pd.Series, lambda y: pd.Series(y, name="value")])
    def test_one_series(self, make):
        made = Forecaster(horizon=2, **QUICK).fit(make(wave(80)))
        assert made.encoding_.columns == ("value",)
        found = made.predict(history=make(wave(60)))
        assert found["forecast"].tolist() == made.predict(history=np.array(wave(60)))["forecast"].tolist()

    def test_columns_of_an_array_are_targets(self):
        values = np.column_stack([wave(80), wave(80, 1)])
        made = Forecaster(horizon=2, **QUICK).fit(values)
        assert made.predict()["target"].unique().tolist() == ["value 1", "value 2"]
        named = Forecaster(target=["a", "b"], horizon=2, **QUICK).fit(values.tolist())
        assert named.predict()["forecast"].tolist() == made.predict()["forecast"].tolist()
        assert named.predict(history=values[:50])["target"].tolist() == ["a", "a", "b", "b"]
        refused("FIT_DATA", lambda: named.predict(history=values[:, :1]), "1 columns", "names 2")

    @pytest.mark.parametrize("index", [None, "day"])
    def test_an_index_of_dates_is_the_time(self, index):
        days = pd.date_range("2024-01-01", periods=80, name=index)
        frame = pd.DataFrame({"y": wave(80)}, index=days)
        name = index or "time"
        with pytest.warns(TidegateWarning, match=f"index of dates is used as the time; time='{name}'"):
            made = Forecaster(target="y", horizon=2, **QUICK).fit(frame)
        found = made.predict()
        assert found[name].tolist() == [*pd.date_range("2024-03-21", periods=2)]
        assert made.predict(history=frame.iloc[:50])[name].tolist() == [*pd.date_range("2024-02-20", periods=2)]

    @pytest.mark.parametrize("data", [["a", "b"], [[1, 2], [3]], np.ones((2, 2, 2)), [], 5])
    def test_what_is_no_series(self, data):
        refused("FIT_DATA", lambda: Forecaster().fit(data))


def test_a_season_that_repeats_exactly_has_no_mase():
    frame = pd.DataFrame({"y": np.tile([1.0, 5.0, 2.0, 7.0], 40)})
    task = of_frame(frame, season=4)
    assert any("there is no MASE" in warning for warning in task.data.warnings)
    assert "MASE" not in [score.name for score in task.scores(fresh(task), 0.0)]
