"""Forecasts from many rows beside the truth, in Python and from the shell."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.unit.refusal import refused
from tidegate import cli
from tidegate.tasks import Forecaster

QUICK = {"hidden_size": 8, "epochs": 2, "strategy": "direct"}


def wave(rows, seed=0):
    noise = np.random.default_rng(seed).normal(size=rows).cumsum()
    return np.sin(2 * np.pi * np.arange(rows) / 12) + 0.1 * noise


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a table of two targets, and a model of them."""
    folder = tmp_path_factory.mktemp("backtest")
    days = pd.date_range("2024-01-01", periods=200)
    frame = pd.DataFrame({"day": days, "load": 1e3 * wave(200), "price": wave(200, 1), "promo": np.arange(200) % 5})
    frame.to_csv(folder / "a.csv", index=False)
    made = Forecaster(target="load,price", time="day", known=("promo",), horizon=4, quantiles=(0.1, 0.9), **QUICK)
    made.fit(folder / "a.csv").save_pretrained(folder / "m")
    return folder, made


class TestBacktest:
    def test_of_the_training_file_its_test_is_forecast(self, home):
        folder, made = home
        again = Forecaster.from_pretrained(folder / "m")
        own, found = made.backtest(), again.backtest(folder / "a.csv")
        assert found["origin"].iloc[0] == pd.Timestamp("2024-06-18")  # the last row before the test
        pd.testing.assert_frame_equal(found, own)
        refused("BACKTEST_DATA", again.rolled, "pass data")

    def test_of_other_files_all_rows_but_the_first(self, home):
        folder, made = home
        other = pd.read_csv(folder / "a.csv").iloc[:120]
        origins = made.backtest(other)["origin"].unique()
        assert list(origins) == [*pd.date_range("2024-02-29", periods=57)]  # half of the rows are history

    def test_errors_by_step_against_the_frame(self, home):
        _, made = home
        rolled = made.rolled(stride=3)
        frame, steps = rolled.frame, rolled.by_step()
        sd = frame["target"].map({name: made.encoding_.scales[name][1] for name in ("load", "price")})
        miss = (frame["truth"] - frame["forecast"]) / sd
        inside = frame["truth"].between(frame["0.1"], frame["0.9"])
        assert steps["MAE/sd"].tolist() == pytest.approx(miss.abs().groupby(frame["step"]).mean().tolist())
        squares = (miss**2).groupby(frame["step"]).mean() ** 0.5
        assert steps["RMSE/sd"].tolist() == pytest.approx(squares.tolist())
        assert steps["coverage of 0.1 to 0.9"].tolist() == pytest.approx(
            (100 * inside.groupby(frame["step"]).mean()).tolist()
        )
        values = pd.DataFrame({"load": 1e3 * wave(200), "price": wave(200, 1)})
        values.index = pd.date_range("2024-01-01", periods=200)
        still = [row.truth - values[row.target][row.origin] for row in frame.itertuples()]
        expected = (np.abs(still) / sd).groupby(frame["step"]).mean()
        assert steps["persistence MAE/sd"].tolist() == pytest.approx(expected.tolist())

    def test_one_target_is_scored_in_its_own_unit(self):
        made = Forecaster(target="y", horizon=2, **QUICK).fit(pd.DataFrame({"y": 1e3 * wave(120)}))
        rolled = made.rolled()
        origin = rolled.forecasts.origin[:, None] - rolled.grid.spans[0].start
        truth = 1e3 * wave(120)
        expected = np.abs(truth[origin + np.array([1, 2])] - truth[origin]).mean(0)
        assert rolled.by_step()["persistence MAE"].tolist() == pytest.approx(expected.tolist())

    def test_figure(self, home):
        _, made = home
        load, price, errors = made.rolled().figure().axes
        assert [axes.get_ylabel() for axes in (load, price, errors)] == ["load", "price", "MAE/sd"]
        truth, *paths = load.get_lines()
        assert truth.get_label() == "truth"
        starts = [pd.Timestamp(path.get_xdata()[0]) for path in paths]
        assert set(np.diff(starts)) == {pd.Timedelta(4, "D")}  # one behind the other
        assert [line.get_label() for line in errors.get_lines()][:2] == ["model", "persistence"]
        assert len(load.collections) == len(paths)


class TestHeldOut:
    def test_what_is_known_ahead_need_not_go_on(self, home):
        _, made = home
        refused("KNOWN_AHEAD", made.predict, "0 future rows")
        found = made.predict(held_out=True)
        assert list(found.columns) == ["target", "origin", "day", "step", "truth", "forecast", "0.1", "0.9"]
        assert found["day"].iloc[-1] == pd.Timestamp("2024-07-18")
        assert found["truth"].iloc[:4].tolist() == pytest.approx((1e3 * wave(200)[-4:]).tolist())
        assert len(made.plot(held_out=True).axes) == 2


class TestShell:
    def test_table_and_files(self, home, monkeypatch, capsys):
        folder, made = home
        monkeypatch.chdir(folder)
        assert cli.main(["backtest", "m", "a.csv", "--stride", "2", "--out", "b.csv", "--plot", "b.svg"]) == 0
        out = capsys.readouterr().out
        assert "errors by step ahead of 28 forecasts on a.csv" in out
        assert [line.split()[0] for line in out.splitlines() if line[:1].isdigit() or line.startswith("all")] == [
            *"1234",
            "all",
        ]
        found = pd.read_csv("b.csv", parse_dates=["origin", "day"])
        pd.testing.assert_frame_equal(found, made.backtest(stride=2), check_dtype=False)
        assert "<svg" in (folder / "b.svg").read_text()
        assert cli.main(["backtest", "m", "a.csv", "--out", "b.json"]) == 0
        rows = json.loads((folder / "b.json").read_text())
        assert rows[0]["truth"] == made.backtest()["truth"][0]
        assert cli.main(["forecast", "m", "--held-out", "--plot", "c.svg"]) == 0
        assert "truth" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "part"),
        [
            (["m"], "does not hold the rows of its test"),
            (["m", "a.csv", "--stride", "0"], "--stride must be at least 1"),
            (["m", "a.csv", "--plot", "a.gif"], "a.gif"),
            (["m", "b"], "no file"),
            (["n", "a.csv"], "n"),
        ],
    )
    def test_what_cannot_be_meant(self, home, monkeypatch, capsys, arguments, part):
        monkeypatch.chdir(home[0])
        assert cli.main(["backtest", *arguments]) == 2
        assert part in capsys.readouterr().err
