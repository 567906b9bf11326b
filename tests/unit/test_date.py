"""Dates of forecasts: how they are read, which step they have, and what forecasts say of them."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from tests.unit import refusal
from tidegate import cli
from tidegate.data import Dating, Layout, Source, csv_of, cycles, later, read_panel
from tidegate.errors import InputError, TidegateWarning
from tidegate.tasks import Forecaster
from tidegate.tasks.forecast.setting import ForecastSetting

MONTHS = pd.date_range("2010-01-01", periods=120, freq="MS")
DAYS = pd.date_range("2020-01-01", periods=100, freq="D")
YEARLY = [f"01/06/{year}" for year in range(1960, 2010)]  # 1 June, or 6 January
BERLIN = pd.date_range("2024-10-20", periods=300, freq="h", tz="Europe/Berlin")
LOCAL = [str(moment) for moment in BERLIN.tz_localize(None)]
QUICK = {"hidden_size": 4, "epochs": 1, "horizon": 2}


def wave(rows):
    return [50 + 10 * np.sin(row / 3) + row * 7 % 5 for row in range(rows)]


def table(cells, **columns):
    return pd.DataFrame({"date": list(cells), "sales": wave(len(cells)), **columns})


def clock(cells, **dating):
    source = Source("memory", "a.csv", csv_of(table(cells)))
    return read_panel(source, Layout("sales", time="date", dating=Dating(**dating)), 5, "of the test").clock


def ahead(found, count=1):
    """The first row and the next rows, as forecasts have them."""
    times = found.continued(0, len(found.times), count, found.step).shown
    return [str(time).removesuffix(" 00:00:00") for time in (times[0], *times[-count:])]


def refused(code, cells, *parts, **dating):
    refusal.refused(code, lambda: clock(cells, **dating), *parts)


READ = {  # cells: the first row, and the one after the last
    "months, day first": (MONTHS.strftime("%d/%m/%Y"), "2010-01-01", "2020-01-01"),
    "months, rows missing": (MONTHS.delete([7, 50, 51]).strftime("%d/%m/%Y"), "2010-01-01", "2020-01-01"),
    "quarters, day first": (MONTHS[::3].strftime("%d/%m/%Y"), "2010-01-01", "2020-01-01"),
    "weeks, day first": (DAYS[::7].strftime("%d/%m/%Y"), "2020-01-01", "2020-04-15"),
    "days, month first": (DAYS.strftime("%m/%d/%Y"), "2020-01-01", "2020-04-10"),
    "hours of nine days, month first": (
        pd.date_range("2024-01-01", periods=200, freq="h").strftime("%m/%d/%Y %I:%M %p"),
        "2024-01-01",
        "2024-01-09 08:00:00",
    ),
    "dots": ([text.replace("/", ".") for text in YEARLY], "1960-06-01", "2010-06-01"),
    "years of two digits": (MONTHS.strftime("%d/%m/%y"), "2010-01-01", "2020-01-01"),
    "the year first, of two digits": (DAYS.strftime("%y-%m-%d"), "2020-01-01", "2020-04-10"),
    "across the century": (pd.date_range("1995-01-01", periods=90, freq="MS").strftime("%m/%d/%y"), "1995-01-01", None),
    "YYYYMM": (MONTHS.strftime("%Y%m"), "2010-01-01", "2020-01-01"),
    "YYYYMMDD": (DAYS.strftime("%Y%m%d"), "2020-01-01", "2020-04-10"),
    "DDMMYYYY": (DAYS.strftime("%d%m%Y"), "2020-01-01", "2020-04-10"),
    "YYYY.MM": (MONTHS.strftime("%Y.%m"), "2010-01-01", "2020-01-01"),
    "years": ([str(year) for year in range(1900, 1960)], "1900-01-01", "1960-01-01"),
    "row numbers like months": ([str(row) for row in range(201001, 201061)], "201001", "201061"),
    "row numbers beyond 2200": ([str(row) for row in range(2000, 2300)], "2000", "2300"),
    "the 15th": ([f"{day:%Y-%m}-15" for day in MONTHS], "2010-01-15", "2020-01-15"),
    "each 15 June": ([f"{year}-06-15" for year in range(1960, 2010)], "1960-06-15", "2010-06-15"),
    "month ends": ([f"{day - pd.Timedelta(1, 'D'):%d/%m/%Y}" for day in MONTHS], "2009-12-31", "2019-12-31"),
    "twice a month": (pd.date_range("2020-01-01", periods=60, freq="SMS"), "2020-01-01", "2022-07-01"),
    "third Fridays": (pd.date_range("2020-01-01", periods=60, freq="WOM-3FRI"), "2020-01-17", "2025-01-17"),
    "working days": (pd.date_range("2020-01-01", periods=62, freq="B"), "2020-01-01", "2020-03-27"),
    "names of months": (MONTHS.strftime("%b %Y"), "2010-01-01", "2020-01-01"),
    "long names": (MONTHS.strftime("%A, %d %B %Y"), "2010-01-01", "2020-01-01"),
    "names, American": (DAYS.strftime("%b %d, %Y"), "2020-01-01", "2020-04-10"),
    "names, SAS": (DAYS.strftime("%d%b%Y"), "2020-01-01", "2020-04-10"),
    "1980Q1": ([f"{day.year}Q{day.quarter}" for day in MONTHS[::3]], "2010-01-01", "2020-01-01"),
    "Q1 1980": ([f"Q{day.quarter} {day.year}" for day in MONTHS[::3]], "2010-01-01", "2020-01-01"),
    "ISO weeks": (pd.date_range("2019-12-30", periods=60, freq="W-MON").strftime("%G-W%V"), "2019-12-30", "2021-02-22"),
    "Eurostat": (MONTHS.strftime("%YM%m"), "2010-01-01", "2020-01-01"),
    "24:00": (
        [f"{hour - pd.Timedelta('1s'):%d.%m.%Y} {hour.hour or 24}:00" for hour in BERLIN[4:64].tz_localize(None)],
        "2024-10-20 04:00:00",
        "2024-10-22 16:00:00",
    ),
    "half seconds": (
        [moment.isoformat() for moment in pd.date_range("2024-01-01", periods=60, freq="500ms")],
        "2024-01-01",
        "2024-01-01 00:00:30",
    ),
}


class TestReading:
    @pytest.mark.parametrize("case", READ)
    def test_read_from_all_rows(self, case):
        cells, first, following = READ[case]
        found = ahead(clock(cells))
        assert found[0] == first
        assert following in (None, found[1])

    @pytest.mark.parametrize("days", [YEARLY, [f"{text} 12:00" for text in YEARLY]])
    def test_two_readings_are_asked_about(self, days):
        parts = ["'01/06/1960", "row 1", "1960-06-01 or 1960-01-06", "day_first=True or day_first=False", "'%d/%m/%Y'"]
        refused("SERIES_AMBIGUOUS", days, *parts)
        assert ahead(clock(days, day_first=True))[1][:10] == "2010-06-01"
        assert ahead(clock(days, day_first=False))[1][:10] == "2010-01-06"

    def test_digits_that_begin_with_zero_are_dates(self):
        refused("SERIES_AMBIGUOUS", [f"0106{year}" for year in range(1960, 2010)], "1960-06-01 or 1960-01-06")
        assert ahead(clock([f"{year}0615" for year in range(1960, 2010)]))[1] == "2010-06-15"

    def test_eight_digits_may_be_dates_or_numbers(self):
        cells = [f"2102{year}" for year in range(1960, 2010)]
        refused("SERIES_AMBIGUOUS", cells, "1960-02-21 or the number 21021960", "date_format='%d%m%Y'", "time=")
        assert ahead(clock(cells, form="%d%m%Y"))[1] == "2010-02-21"

    def test_a_format_is_an_answer_too(self):
        assert ahead(clock(YEARLY, form="%m/%d/%Y"))[1] == "2010-01-06"
        assert ahead(clock([text.replace("/", "|") for text in YEARLY], form="%d|%m|%Y"))[1] == "2010-06-01"

    @pytest.mark.parametrize(
        ("cells", "dating", "code", "parts"),
        [
            (
                MONTHS.strftime("%d/%m/%Y"),
                {"day_first": False},
                "SERIES_STEP",
                ["no regular step", "1 day (110 times)"],
            ),
            (MONTHS.strftime("%Y%m"), {"form": "number"}, "SERIES_STEP", ["1 (110 times) and 89 (9 times)"]),
            (MONTHS.strftime("%Y%m"), {"day_first": True}, "DAY_FIRST", ["nothing to decide", "'201001'"]),
            (DAYS.strftime("%m/%d/%Y"), {"day_first": True}, "SERIES_TIME", ["row 13", "'01/13/2020'", "DD/MM/YYYY"]),
            ([*DAYS.strftime("%m/%d/%Y"), "31/12/2020"], {}, "SERIES_TIME", ["MM/DD/YYYY", "row 101", "'31/12/2020'"]),
            (DAYS.strftime("%d/%m/%Y"), {"form": "%d.%m.%Y"}, "SERIES_TIME", ["DD.MM.YYYY", "row 1", "date_format="]),
            (DAYS.strftime("%d/%m/%Y"), {"form": "%d/%m"}, "DATE_FORMAT", ["'%d/%m'", "year"]),
            (DAYS.strftime("%d/%m/%Y"), {"form": "%Q"}, "DATE_FORMAT", ["'%Q'", "strptime"]),
            (YEARLY, {"form": "%d/%m/%Y", "day_first": True}, "DATE_FORMAT", ["both"]),
            (["1. Mai 2020", "2. Mai 2020"] * 10, {}, "SERIES_TIME", ["'1. Mai 2020'", "31 Jan 2024", "date_format="]),
            ([f"{hour}:00" for hour in range(24)], {}, "SERIES_TIME", ["'0:00'", "2024-01-31"]),
            (MONTHS.shift(-800).strftime("%d/%m/%y"), {}, "SERIES_ORDER", ["1950 to 2049"]),
            (["2020-01-01", "2020-02-30"] * 9, {}, "SERIES_TIME", ["row 2", "'2020-02-30'"]),
            ([*map(str, range(9)), "ten"], {}, "SERIES_TIME", ["row 10", "'ten'"]),
        ],
    )
    def test_refused(self, cells, dating, code, parts):
        refused(code, cells, *parts, **dating)

    def test_no_step_names_those_seen(self):
        days = [f"2020-{month:02}-{day}" for month, day in itertools.product(range(1, 13), ("05", "20"))]
        refused("SERIES_STEP", days, "no regular step", "15 days (16 times), 16 days (6 times) and 14 days (1 times)")

    def test_settings_without_times(self):
        for name, dating in {"day_first": {"day_first": True}, "time_zone": {"zone": "UTC"}}.items():
            layout = Layout("sales", dating=Dating(**dating))
            with pytest.raises(InputError, match=f"{name}=.*no column of times"):
                read_panel(Source("memory", "a.csv", csv_of(table(DAYS))), layout, 8, "of the test")


class TestZone:
    def test_days_with_changing_offsets_are_local(self):
        days = pd.date_range("2020-01-01", periods=200, tz="Europe/Berlin")
        cells = [day.isoformat() for day in days]
        found = clock(cells)
        assert ahead(found) == ["2020-01-01", "2020-07-19"]
        assert "offsets in 'date' change" in found.warnings[0]
        named = clock(cells, zone="Europe/Berlin")
        assert ahead(named) == ["2020-01-01 00:00:00+01:00", "2020-07-19 00:00:00+02:00"]
        assert named.step == "D"
        assert named.warnings == ()

    @pytest.mark.parametrize("freq", ["MS", "YS-JUN", "W-SUN"])
    def test_months_with_changing_offsets(self, freq):
        dates = pd.date_range("2020-01-01", periods=40, freq=freq, tz="Europe/Berlin")
        for cells in ([date.isoformat() for date in dates], [date.tz_convert("UTC").isoformat() for date in dates]):
            found = clock(cells, zone="Europe/Berlin")
            assert found.step == freq
            assert found.continued(0, 40, 1, freq).index[-1] == dates[-1] + pd.tseries.frequencies.to_offset(freq)

    def test_hours_with_changing_offsets_are_regular(self):
        found = clock([hour.isoformat() for hour in BERLIN])
        assert found.step == "h"
        assert ahead(found) == ["2024-10-20 00:00:00+02:00", "2024-11-01 11:00:00+01:00"]
        assert list(found.wall.hour[:5]) == [0, 1, 2, 3, 4]
        assert found.written([0, -1]) == ["2024-10-20T00:00:00+02:00", "2024-11-01T10:00:00+01:00"]

    def test_one_offset_is_kept(self):
        days = [f"{day:%Y-%m-%d}T00:00:00+09:00" for day in DAYS]
        assert ahead(clock(days)) == ["2020-01-01 00:00:00+09:00", "2020-04-10 00:00:00+09:00"]

    def test_an_hour_twice_names_the_clock(self):
        refused("SERIES_CLOCK", LOCAL, "clocks go back", "row 172", "time_zone=Europe/Berlin")
        quarters = pd.date_range("2024-11-01", periods=400, freq="15min", tz="America/New_York")
        refused("SERIES_CLOCK", [str(moment) for moment in quarters.tz_localize(None)], "clocks go back")
        refused("SERIES_REPEATED", [*map(str, DAYS[:20]), str(DAYS[19])], "twice")

    @pytest.mark.parametrize(("zone", "start"), [("Europe/Berlin", "2024-10-20"), ("America/New_York", "2024-10-28")])
    @pytest.mark.parametrize("freq", ["h", "15min"])
    def test_local_times_of_a_zone(self, zone, start, freq):
        for first in (start, "2024-03-05"):  # autumn, and the hour that spring skips
            moments = pd.date_range(first, periods=2800, freq=freq, tz=zone)
            found = clock([str(moment) for moment in moments.tz_localize(None)], zone=zone)
            assert (found.times == moments).all()
            assert found.step == freq
            assert found.warnings == ()

    def test_only_the_second_of_two_hours(self):
        moments = pd.date_range("2009-01-28", periods=100, freq="6h", tz="America/Sao_Paulo")
        found = clock([str(moment) for moment in moments.tz_localize(None)], zone="America/Sao_Paulo")
        assert (found.times == moments).all()
        assert found.warnings == ()

    def test_rows_missing_around_the_change(self):
        quarters = pd.date_range("2024-10-26", periods=200, freq="15min", tz="Europe/Berlin")
        for missing in ([106], [110, 111], [105, 107]):  # 02:30 summer time, 02:30 and 02:45 winter time
            left = quarters.delete(missing)
            found = clock([str(moment) for moment in left.tz_localize(None)], zone="Europe/Berlin")
            assert (found.times == quarters).all()
            assert (found.wall == quarters.tz_localize(None)).all()
            assert f"{len(missing)} of 200 rows" in found.warnings[0]

    def test_what_a_zone_cannot_have(self):
        hours = [str(hour) for hour in pd.date_range("2024-03-25", periods=300, freq="h")]
        refused("SERIES_TIME", hours, "'2024-03-31 02:00:00'", "skip an hour", "time_zone=", zone="Europe/Berlin")
        refused("TIME_ZONE", LOCAL, "did you mean 'Europe/Berlin'", zone="Europe/Berln")
        refused("TIME_ZONE", [str(row) for row in range(50)], "time_zone=UTC", zone="UTC")
        refused("SERIES_TIME", ["2020-01-01T00:00Z", "2020-01-01T01:00"] * 9, "offset", "row 2")
        both = ["2020-01-01T00:00+00:00[UTC]", "2020-01-01T01:00+01:00[Europe/Berlin]"]
        refused("TIME_ZONE", both * 9, "UTC and Europe/Berlin")

    def test_a_midnight_that_a_zone_skips(self):
        days = [str(day.date()) for day in pd.date_range("2018-10-01", periods=60)]
        found = clock(days, zone="America/Sao_Paulo")
        assert found.step == "D"
        assert found.warnings == ()

    def test_days_go_on_over_a_change_of_the_clock(self):
        last = pd.Timestamp("2024-10-26", tz="Europe/Berlin")
        assert [str(day) for day in later(last, "D", 2)] == ["2024-10-27 00:00:00+02:00", "2024-10-28 00:00:00+01:00"]
        assert later(last, "1 month on day 31", 1)[0] == pd.Timestamp("2024-11-30", tz="Europe/Berlin")

    def test_the_calendar_is_that_of_local_time(self):
        wall = clock([hour.isoformat() for hour in BERLIN], zone="Europe/Berlin").wall
        day = cycles(wall, np.timedelta64(99, "D"), np.timedelta64(1, "h"))["day"]
        assert (day * 24).round().tolist() == BERLIN.hour.tolist()


class TestLearnt:
    """A trained model reads new data as it read the training data."""

    @pytest.mark.parametrize(
        ("train", "new", "wanted"),
        [
            ("%d/%m/%Y", "%m/%d/%Y", "DD/MM/YYYY"),
            ("%d/%m/%Y", "%d.%m.%Y", "DD/MM/YYYY"),
            ("%Y-%m-%d", "%d/%m/%Y", "YYYY-MM-DD"),
            ("%Y%m%d", "%d%m%Y", "YYYYMMDD"),
            ("%d/%m/%Y", "%Y-%m-%dT00:00Z", "without an offset"),
            ("%Y-%m-%dT00:00Z", "%Y-%m-%dT00:00", "with an offset"),
        ],
    )
    def test_another_spelling_is_refused(self, train, new, wanted):
        found = clock(DAYS.strftime(train))
        learnt = {"form": found.form, "zone": found.zone, "step": found.step, "learnt": True}
        refused("SERIES_TIME", DAYS.strftime(new), wanted, "as in training", **learnt)

    def test_the_same_spelling_has_the_same_meaning(self):
        learnt = {"form": "%m/%d/%Y", "zone": "", "step": "D", "learnt": True}
        january = [f"01/{day:02}/2020" for day in range(1, 13)]  # alone, they look like months
        assert ahead(clock(january, **learnt)) == ["2020-01-01", "2020-01-13"]
        assert ahead(clock(DAYS.strftime("%Y-%m-%d"), **learnt)) == ["2020-01-01", "2020-04-10"]

    def test_a_few_rows_have_the_learnt_step(self):
        learnt = {"form": "%Y-%m-%d", "zone": "", "step": "B", "learnt": True}
        week = [f"2020-01-{day:02}" for day in range(13, 18)]  # alone, they look like any days
        assert ahead(clock(week, **learnt), 1)[1] == "2020-01-20"

    def test_numbers_stay_numbers(self):
        learnt = {"form": "number", "zone": "", "step": "1.0", "learnt": True}
        assert ahead(clock([str(row) for row in range(1990, 2000)], **learnt)) == ["1990", "2000"]
        refused("SERIES_TIME", DAYS.strftime("%Y-%m-%d"), "as in training", **learnt)


class TestForecaster:
    def test_a_frame_goes_on_in_its_zone(self, tmp_path):
        days = pd.date_range("2020-01-01", periods=80, tz="Asia/Tokyo", name="date")
        frame = pd.DataFrame({"sales": wave(80)}, index=days)
        model = Forecaster(target="sales", time="date", **QUICK).fit(frame)
        found = model.predict()
        assert str(found["date"][0]) == "2020-03-21 00:00:00+09:00"
        assert found["date"].dtype == days.dtype
        pd.testing.assert_frame_equal(model.predict(history=frame), found)
        model.save_pretrained(tmp_path)
        pd.testing.assert_frame_equal(Forecaster.from_pretrained(tmp_path).predict(), found)
        assert str(model.backtest()["date"].iloc[-1]) == "2020-03-20 00:00:00+09:00"

    @pytest.mark.parametrize(
        ("dates", "step"), [("%Y-%m-%d", "fortnight"), ("%Y-%m-%d", "0 months on day 3"), ("number", "nan")]
    )
    def test_a_damaged_step(self, tmp_path, dates, step):
        model = Forecaster(target="sales", time="date", **QUICK).fit(table(DAYS))
        model.save_pretrained(tmp_path)
        card = json.loads((tmp_path / "model.json").read_text())
        card["encoding"] |= {"dates": dates, "step": step}
        (tmp_path / "model.json").write_text(json.dumps(card))
        with pytest.raises(InputError, match="no readable model"):
            Forecaster.from_pretrained(tmp_path)

    def test_periods_are_their_first_days(self):
        quarters = pd.period_range("1980Q1", periods=60, freq="Q", name="date")
        content = csv_of(pd.DataFrame({"sales": wave(60)}, index=quarters)).decode()
        assert content.splitlines()[2].startswith("1980-04-01")

    def test_columns_of_the_data_keep_their_names(self):
        frame = pd.DataFrame({"step": ["a"] * 60 + ["b"] * 60, "0.1": [*range(1, 61)] * 2, "sales": wave(120)})
        model = Forecaster(target="sales", series="step", time="0.1", quantiles=(0.1, 0.9), **QUICK).fit(frame)
        with pytest.warns(TidegateWarning) as notes:
            found = model.predict()
        assert [str(note.message).split("'")[3] for note in notes] == ["step_", "0.1_"]
        assert list(found.columns) == ["step", "0.1", "step_", "forecast", "0.1_", "0.9"]
        assert found["step"].tolist() == ["a", "a", "b", "b"]
        assert found["0.1"].tolist() == [61, 62, 61, 62]
        with pytest.warns(TidegateWarning):
            assert list(model.backtest().columns)[:4] == ["step", "origin", "0.1", "step_"]

    @pytest.mark.parametrize("column", ["forecast", "origin", "truth", "series", "0.9"])
    def test_any_name_of_a_time_column(self, column):
        frame = pd.DataFrame({column: DAYS, "sales": wave(100)})
        model = Forecaster(target="sales", time=column, quantiles=(0.1, 0.9), **QUICK).fit(frame)
        if column == "series":
            assert model.backtest()["series"].iloc[-1] == DAYS[-1]
        else:
            with pytest.warns(TidegateWarning, match=f"'{column}_'"):
                found = model.backtest()
            assert found[column].iloc[-1] == DAYS[-1]
            assert f"{column}_" in found

    def test_yes_and_no_are_numbers(self):
        flags = [row % 7 == 0 for row in range(100)]
        written = [flags, [str(flag).upper() for flag in flags]]
        written += [[yes if flag else no for flag in flags] for yes, no in ((" yes", "No"), ("WAHR", "FALSCH"))]
        for column in written:
            source = Source("memory", "a.csv", csv_of(table(DAYS, holiday=column)))
            for known in ((), ("holiday",)):
                panel = read_panel(source, Layout("sales", time="date", known=known), 8, "of the test")
                assert panel.columns == ("sales", "holiday")
                assert panel.values[:, 1].tolist() == list(map(float, flags))  # noqa: PD011
        source = Source("memory", "a.csv", csv_of(table(DAYS, holiday=["true", "yes"] * 50)))
        with pytest.raises(InputError, match="'true', which is not a number"):
            read_panel(source, Layout("sales", time="date", known=("holiday",)), 8, "of the test")


class TestShell:
    @pytest.fixture
    def run(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)

        def run(cells, *options):
            table(cells).to_csv("a.csv", index=False)
            train = ["train", "forecast", "a.csv", "--target", "sales", "--time", "date", "--epochs", "1"]
            code = cli.main([*train, "--hidden-size", "4", "--out", "m", *options])
            return code, " ".join(capsys.readouterr().err.split())

        return run

    def test_the_options_that_an_error_names_work(self, run, capsys):
        code, error = run(YEARLY)
        assert code == 2
        assert "--day-first or --no-day-first, or with --date-format %d/%m/%Y or --date-format %m/%d/%Y" in error
        assert run(YEARLY, "--day-first")[0] == 0
        assert cli.main(["forecast", "m", "--out", "f.csv"]) == 0
        assert pd.read_csv("f.csv")["date"].tolist() == ["2010-06-01"]
        code, error = run(YEARLY, "--no-day-first")
        assert code == 2
        assert "m holds a model that was trained with --day-first" in error

    def test_a_zone(self, run):
        assert "--time-zone Europe/Berlin" in run(LOCAL)[1]
        assert run(LOCAL, "--time-zone", "Europe/Berlin")[0] == 0
        assert cli.main(["forecast", "m", "--horizon", "2", "--out", "f.csv"]) == 0
        assert pd.read_csv("f.csv")["date"].tolist() == ["2024-11-01 11:00:00+01:00", "2024-11-01 12:00:00+01:00"]

    def test_settings_are_in_the_configuration(self, capsys):
        assert cli.main(["train", "forecast", "--no-day-first", "--time-zone", "UTC", "--print-config"]) == 0
        assert "day_first = false\n" in capsys.readouterr().out
        assert ForecastSetting().day_first is None
