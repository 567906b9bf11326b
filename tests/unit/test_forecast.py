"""Forecasts against loops written out: what is read, what is forecast, how it is scored."""

import io
import itertools
import math

import matplotlib.dates
import numpy as np
import pandas as pd
import pytest
import torch

from tests.unit.refusal import refused
from tidegate import cli, nn, tasks
from tidegate.data import Layout, Source, later, read_panel
from tidegate.tasks import Forecaster, from_pretrained
from tidegate.tasks.forecast import model
from tidegate.tasks.forecast.baseline import naive
from tidegate.tasks.forecast.origin import histories
from tidegate.tasks.forecast.score import point_scores, quantile_scores
from tidegate.tasks.forecast.season import season
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.forecast.task import ForecastTask

DIFFERENCES = ["last", "season", "linear", "none"]
DIRECT = {"strategy": "direct", "difference": "last", "logarithm": "no"}
QUICK = {"hidden_size": 8, "epochs": 2}


def source(content, name="a.csv"):
    return Source(f"/nowhere/{name}", name, content if isinstance(content, bytes) else content.encode())


def walk(rows=200, seed=0):
    return np.random.default_rng(seed).normal(size=rows).cumsum().tolist()


def wave(rows=200, seed=0, period=12):
    return (np.sin(2 * np.pi * np.arange(rows) / period) + 0.1 * np.array(walk(rows, seed))).tolist()


def forecast(values, *, extra=None, **options):
    rows = [f"{y!r},{x!r}" for y, x in zip(values, extra, strict=True)] if extra is not None else map(repr, values)
    header = "y,x" if extra is not None else "y"
    return ForecastTask(source("\n".join([header, *rows])), ForecastSetting(target="y", **{**DIRECT, **options}))


def table(series, *, start="2020-01-01", freq="D"):
    """Series of several lengths below each other, with dates."""
    parts = [
        pd.DataFrame({"shop": name, "day": pd.date_range(start, periods=len(values), freq=freq), "y": values})
        for name, values in series.items()
    ]
    return pd.concat(parts, ignore_index=True)


def of_frame(frame, encoding=None, **options):
    return ForecastTask(
        source(frame.to_csv(index=False)), ForecastSetting(target="y", **{**DIRECT, **options}), encoding
    )


def generator(seed):
    return torch.Generator().manual_seed(seed)


def fresh(task, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return task.model(lambda features: nn.GRU(features, 5)).eval()


class TestOneStep:
    """What a comparison of cells learns: one row ahead, no quantiles."""

    def test_statistics_are_of_training_only(self):
        values = walk()
        task = forecast(values)
        shifted = forecast(values[:140] + [1000 + 50 * value for value in values[140:]])
        train = np.array(values[:140])
        inputs, others = (one.grid.inputs[one.grid.spans[0].start :][:140] for one in (task, shifted))
        assert torch.equal(inputs, others)
        scaled = (train - train.mean()) / train.std()
        assert inputs[:, 0].numpy() == pytest.approx(scaled, rel=1e-4, abs=1e-5)
        assert task.encoding.change == (pytest.approx(np.diff(train).std() / train.std()),)

    def test_targets_are_the_next_change(self):
        values = walk()
        task = forecast(values)
        (batch,) = task.batches("test")
        change = batch.targets[batch.scored()][:, 0].numpy() * task.encoding.change[0] * np.std(values[:140])
        assert change == pytest.approx(np.diff(values)[169:], rel=1e-3, abs=1e-4)
        known = batch.inputs[1:, 0, 1]
        assert known.numpy() == pytest.approx(batch.targets[:-1, 0, 0].numpy())

    @pytest.mark.parametrize("rows", [40, 200, 5000, 60_000])
    def test_training_windows_stay_in_training(self, rows):
        task = forecast(walk(rows))
        batches = list(task.batches("train", generator(0)))
        seen = torch.cat([(batch.first + torch.arange(len(batch.inputs))[:, None]).flatten() for batch in batches])
        last = task.grid.spans[0].first - 2  # the last row of training is only a target
        assert seen.min() >= 0
        assert seen.max() <= last
        assert len(seen.unique()) > 0.6 * last

    def test_error_is_in_standard_deviations_of_training(self):
        values = walk()
        task = forecast(values)
        (batch,) = task.batches("test")
        measure = task.measure(torch.zeros(*batch.targets.shape, 1), batch)
        expected = np.abs(np.diff(values))[169:].mean() / np.std(values[:140])
        assert measure.count == 30
        assert task.score(measure.error, measure.count) == pytest.approx(expected, rel=1e-5)
        assert measure.loss.item() == pytest.approx(measure.error)
        assert task.baselines()[0].score == pytest.approx(expected)

    def test_columns_constant_in_training_are_left_out(self):
        task = forecast(walk(), extra=[1.0] * 150 + [2.0] * 50)
        assert task.encoding.columns == ("y",)
        assert task.data.warnings == ("column 'x' was left out: it is constant in training",)

    def test_warnings_of_the_reader_arrive(self):
        rows = "\n".join(f"a {row},{value}" for row, value in enumerate(walk()))
        assert ForecastTask(source("kind,y\n" + rows), ForecastSetting(target="y")).data.warnings == (
            "column 'kind' was left out: it holds 200 different texts, and at most 32 become inputs",
        )

    def test_repeated_windows_are_reported(self):
        values = walk()
        assert "rows of validation and test repeat" in forecast(values[:140] + values[:60]).data.warnings[0]

    def test_el_nino_scores_what_it_always_did(self):
        found = {record.name: record for record in tasks.load("elnino").baselines()}
        scores = [found[name].score for name in ("persistence", "drift", "seasonal naive", "ridge")]
        assert scores == pytest.approx([0.4369, 0.4373, 0.4267, 0.1762], abs=5e-5)
        assert found["seasonal naive"].how.startswith("the value 12 rows before")

    @pytest.mark.parametrize(
        ("values", "code"),
        [
            ([1.0] * 150 + [2.0] * 50, "SERIES_CONSTANT"),
            ([float(row) for row in range(200)], "SERIES_LINE"),
            (walk(39), "SERIES_SHORT"),
        ],
    )
    def test_series_that_cannot_be_learnt(self, values, code):
        refused(code, lambda: forecast(values))


class TestRows:
    @pytest.mark.parametrize("difference", DIFFERENCES)
    @pytest.mark.parametrize("horizon", [1, 5, 14])
    def test_targets_are_differences_from_what_they_say(self, difference, horizon):
        values = np.array(wave(300))
        task = forecast(values.tolist(), horizon=horizon, difference=difference, season=12)
        mean, sd = task.encoding.scales[""]
        z = (values - mean) / sd
        offset = task.grid.spans[0].start
        for batch in itertools.islice(task.batches("train", generator(0)), 2):
            for row, first in enumerate(batch.first.tolist()):
                for step in (0, len(batch.inputs) - 1):
                    t = first - offset + step
                    for k in range(1, horizon + 1):
                        base = {
                            "last": z[t],
                            "season": z[t + k - 12 * math.ceil(k / 12)],
                            "none": 0.0,
                            "linear": z[t] + self.change(task, z, t, k) if difference == "linear" else None,
                        }[difference]
                        expected = (z[t + k] - base) / task.encoding.change[k - 1]
                        assert batch.targets[step, row, k - 1].item() == pytest.approx(expected, abs=1e-4)

    def change(self, task, z, t, k):
        *weights, constant = task.encoding.forecaster.weights[:, k - 1]
        return constant + sum(weight * z[t - back] for back, weight in enumerate(reversed(weights)))

    @pytest.mark.parametrize("difference", DIFFERENCES)
    @pytest.mark.parametrize("strategy", ["direct", "recursive"])
    def test_answers_become_forecasts_in_the_unit_of_the_series(self, difference, strategy):
        task = forecast(wave(300), horizon=5, difference=difference, season=12, strategy=strategy)
        origins = np.array([280])
        (batch,) = histories(task.grid, [origins + task.grid.spans[0].start], 64, 5)
        perfect = batch.targets[0].unsqueeze(-1)  # [1, 5, 1]
        found = task.grid.in_units(perfect, batch.series, torch.tensor(origins + task.grid.spans[0].start))
        assert found[0, :, 0] == pytest.approx(wave(300)[281:286], abs=1e-4)

    @pytest.mark.parametrize("horizon", [1, 7])
    @pytest.mark.parametrize("split", ["train", "valid", "test"])
    @pytest.mark.parametrize("lengths", [(60,), (1500,), (60, 61, 300), (90,) * 70])
    def test_every_origin_once_behind_its_own_history(self, lengths, split, horizon):
        series = {
            f"s{k:02}": [1000 * k + row for row in np.random.default_rng(k).permutation(n)]
            for k, n in enumerate(lengths)
        }
        task = of_frame(table(series), series="shop", horizon=horizon)
        found = []
        for batch in task.batches(split):
            scored = batch.scored()
            for row in range(scored.shape[1]):
                span, values = task.grid.spans[batch.series[row]], list(series.values())[batch.series[row]]
                first, length = int(batch.first[row]) - span.start, int(batch.lengths[row])
                mean, sd = task.grid.scales[batch.series[row]]
                own = (np.array(values[first : first + length]) - mean) / sd
                assert batch.inputs[:length, row, 0].numpy() == pytest.approx(own, abs=1e-4)
                rows = first + torch.nonzero(scored[:, row])[:, 0]
                assert batch.context == min(256, max(0, span.bounds(split)[0] - 1 - span.start))
                found += [(int(batch.series[row]), origin) for origin in rows.tolist()]
        expected = []
        for k, (span, n) in enumerate(zip(task.grid.spans, lengths, strict=True)):
            first, last = (row - span.start for row in span.bounds(split))
            expected += [(k, origin) for origin in range(n) if first <= origin + 1 and origin + horizon < last]
        assert sorted(found) == expected

    @pytest.mark.parametrize("difference", DIFFERENCES)
    def test_nothing_fitted_heeds_the_test(self, difference):
        rng = np.random.default_rng(3)
        frame = table({"a": wave(300), "b": wave(240, 1)}, freq="h").assign(
            x=rng.normal(size=540), k=rng.normal(size=540)
        )
        options = {
            "series": "shop",
            "time": "day",
            "known": ("k",),
            "horizon": 4,
            "difference": difference,
            "season": 12,
        }
        task = of_frame(frame, **options)
        other = frame.copy()
        for name, span in zip(("a", "b"), task.grid.spans, strict=True):
            late = (frame["shop"] == name).to_numpy() & (frame.groupby("shop").cumcount() >= span.second - span.start)
            other.loc[late.to_numpy(), ["y", "x", "k"]] = rng.normal(50, 9, (int(late.sum()), 3))
        changed = of_frame(other, **options)
        assert changed.encoding == task.encoding
        for left, right in zip(
            task.batches("train", generator(0)), changed.batches("train", generator(0)), strict=True
        ):
            assert torch.equal(left.inputs, right.inputs)
            assert torch.equal(left.targets, right.targets)
        for left, right in zip(task.naive(), changed.naive(), strict=True):
            rows = np.arange(70, 90)
            assert np.array_equal(left.forecast(0, rows, 4), right.forecast(0, rows, 4))

    @pytest.mark.parametrize("strategy", ["direct", "recursive"])
    def test_forecasts_do_not_know_the_future_but_what_is_known_ahead(self, strategy):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"y": wave(), "x": rng.normal(size=200), "k": rng.normal(size=200)})
        options = {"horizon": 4, "strategy": strategy, "known": ("k",), "quantiles": (0.1, 0.9), "difference": "none"}
        task = of_frame(frame, **options)
        made, before = fresh(task), task.forecasts(fresh(task), "test").quantiles
        late = frame.copy()
        late.loc[180:, ["y", "x"]] += 9.0
        after = of_frame(late, **options).forecasts(made, "test")
        known = after.origin - task.grid.spans[0].start < 180
        assert known.sum() == 11
        assert np.array_equal(after.quantiles[known], before[known])
        assert not np.allclose(after.quantiles[~known], before[~known])
        late = frame.copy()
        late.loc[180:, "k"] += 9.0
        ahead = of_frame(late, **options).forecasts(made, "test").quantiles
        assert np.array_equal(ahead[:7], before[:7])  # origins to 175 forecast to 179
        assert not np.allclose(ahead[7], before[7])

    def test_files_of_their_own_are_the_splits(self, tmp_path):
        frame = table({"a": wave(90), "b": wave(120, 1)})
        place = frame.groupby("shop").cumcount()
        parts = {"train": frame[place < 60], "valid": frame[(place >= 60) & (place < 75)], "test": frame[place >= 75]}
        for name, part in parts.items():
            part.to_csv(tmp_path / f"{name}.csv", index=False)
        options = ForecastSetting(target="y", series="shop", time="day", horizon=3)
        paths = {name: tmp_path / f"{name}.csv" for name in ("valid", "test")}
        task = tasks.load(tmp_path / "train.csv", setting=options, **paths)
        sizes = [(span.first - span.start, span.second - span.start, span.end - span.start) for span in task.grid.spans]
        assert sizes == [(60, 75, 90), (60, 75, 120)]
        refused(
            "SPLIT", lambda: tasks.load(tmp_path / "train.csv", setting=options, valid=tmp_path / "valid.csv"), "test="
        )
        refused(
            "SERIES_ORDER",
            lambda: tasks.load(tmp_path / "train.csv", setting=options, test=tmp_path / "train.csv"),
            "2020-01-01",
        )


class TestModels:
    @pytest.mark.parametrize("difference", DIFFERENCES)
    @pytest.mark.parametrize("centre", [0, 10])
    def test_a_recursive_forecast_reads_its_own_answers(self, difference, centre):
        """Against a series that is made longer by each answer and read again from its beginning."""
        frame = pd.DataFrame({"y": wave(), "k": np.random.default_rng(0).normal(size=200)})
        options = {"difference": difference, "season": 12, "known": ("k",), "centre": centre}
        task = of_frame(frame, horizon=5, strategy="recursive", **options)
        made = fresh(task)
        torch.nn.init.normal_(made.head.weight, generator=generator(0))
        forecasts = task.forecasts(made, "test")
        grown = frame.copy()
        origin = int(forecasts.origin[3]) - task.grid.spans[0].start
        one = ForecastSetting(target="y", horizon=1, strategy="recursive", **options)
        for step in range(1, 6):
            again = ForecastTask(source(grown.to_csv(index=False)), one, task.encoding)
            (window,) = histories(again.grid, [np.array([origin + step - 1 + again.grid.spans[0].start])], 999, 1)
            plain = model.Window(**{**vars(window), "last": False, "context": 0})
            answer = made(plain)[0][-1:][0]  # [1, 1, 1]
            value = again.grid.in_units(
                answer.detach(), window.series, torch.tensor([origin + step - 1 + again.grid.spans[0].start])
            ).item()
            assert forecasts.point[3, step - 1] == pytest.approx(value, rel=1e-4, abs=1e-4)
            grown.loc[origin + step, "y"] = value

    @pytest.mark.parametrize("strategy", ["direct", "recursive"])
    def test_quantiles_do_not_cross(self, strategy):
        task = forecast(walk(), horizon=6, strategy=strategy, quantiles=(0.9, 0.1, 0.25))
        found = task.forecasts(fresh(task), "test")
        assert found.levels == (0.1, 0.25, 0.5, 0.9)
        assert (np.diff(found.quantiles) >= 0).all()
        assert len(found.quantiles) == 25

    def test_sample_paths_of_a_random_walk_spread_like_the_root_of_time(self):
        task = forecast(walk(400), horizon=16, strategy="recursive", quantiles=(0.1, 0.9))
        made = fresh(task)
        torch.nn.init.zeros_(made.head.weight)
        normal = torch.distributions.Normal(0.0, 1.0)
        made.head.bias.data = normal.icdf(torch.tensor(model.LADDER))
        found = task.forecasts(made, "test").quantiles.mean(0)
        step = task.encoding.change[0] * task.encoding.scales[""][1]
        widths = (found[:, 2] - found[:, 0]) / (2 * 1.2816 * step)
        assert widths == pytest.approx(np.sqrt(np.arange(1, 17)), rel=0.15)

    def test_gradients_pass_through_a_forecast_of_several_rows(self):
        task = forecast(walk(), extra=walk(seed=1), horizon=6, known=("x",), difference="none")
        made = fresh(task).train()
        batch = next(task.batches("train", generator(0)))
        measure = task.measure(made(batch)[0], batch)
        measure.loss.backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in made.parameters())

    def test_loss_is_the_pinball_written_out(self):
        task = forecast(walk(), horizon=2, quantiles=(0.2,))
        (batch,) = task.batches("test")
        outputs = torch.randn(*batch.targets.shape, 2, generator=generator(0))
        total = 0.0
        for time, row in torch.nonzero(batch.scored()).tolist():
            for k, scale in enumerate(task.encoding.change):
                for level, output in zip((0.2, 0.5), outputs[time, row, k].tolist(), strict=True):
                    miss = (batch.targets[time, row, k].item() - output) * scale
                    total += 2 * (level * miss if miss > 0 else (level - 1) * miss) / 4
        assert task.measure(outputs, batch).loss.item() == pytest.approx(total, rel=1e-4)

    @pytest.mark.parametrize("strategy", ["direct", "recursive"])
    def test_what_is_known_ahead_is_used(self, strategy):
        rng = np.random.default_rng(0)
        known = rng.normal(size=600)
        frame = pd.DataFrame({"y": known + 0.05 * rng.normal(size=600), "k": known})
        made = Forecaster(
            target="y", known=("k",), horizon=3, strategy=strategy, difference="none", hidden_size=16, epochs=15
        )
        made.fit(frame)
        score = made.scores_[0]
        assert score.value < 0.1 * score.baselines["persistence"]
        assert score.baselines["ridge"] < 0.1 * score.baselines["persistence"]


class TestScores:
    @pytest.mark.parametrize("quantiles", [(), (0.1, 0.9)])
    def test_training_without_a_whole_season_still_shows_the_spread_of_baselines(self, quantiles):
        times = pd.date_range("2024-01-01", periods=60, freq="500ms")  # a day has 172,800 of these
        frame = pd.DataFrame({"date": times, "sales": np.sqrt(np.arange(60.0))})
        options = {"epochs": 1, "hidden_size": 4, "strategy": "direct", "difference": "last", "quantiles": quantiles}
        model = Forecaster(target="sales", time="date", **options).fit(frame)
        assert model.encoding_.season > 60
        assert model.predict().date[0] == pd.Timestamp("2024-01-01 00:00:30")
        assert np.isfinite([*model.scores_[0].baselines.values()]).all()

    def test_by_hand(self):
        truth, point = np.array([[1.0, -2.0], [4.0, 0.0]]), np.array([[2.0, -2.0], [1.0, 0.0]])
        found = point_scores(point, truth, np.array([0.5, 2.0]), np.array([2.0, 3.0]))
        assert found["MSE/var"] == pytest.approx((1 / 4 + 9 / 9) / 4)
        assert found["MASE"] == pytest.approx((1 / 0.5 + 0 + 3 / 2 + 0) / 4)
        assert found["sMAPE"] == pytest.approx(200 * (1 / 3 + 0 + 3 / 5 + 0) / 4)
        assert found["MAE"] == pytest.approx(1.0)
        assert found["RMSE"] == pytest.approx(math.sqrt(10 / 4))

    def test_quantiles_by_hand(self):
        truth = np.array([[1.0], [5.0]])
        quantiles = np.array([[[0.0, 1.0, 3.0]], [[0.0, 2.0, 4.0]]])
        found = quantile_scores(quantiles, truth, (0.1, 0.5, 0.9))
        losses = [0.1 * 1, 0.0, 0.1 * 2, 0.1 * 5, 0.5 * 3, 0.9 * 1]
        assert found == {"CRPS": pytest.approx(2 * sum(losses) / 6), "coverage": pytest.approx(50.0)}

    def test_mase_divides_by_the_seasonal_error_of_training_rows(self):
        values = wave()
        task = forecast(values, season=12)
        misses = [abs(values[row] - values[row - 12]) for row in range(12, 140)]
        assert task.encoding.naive[""] == pytest.approx(np.mean(misses))

    def test_baselines_by_hand(self):
        levels = np.tile([0.0, 1.0, 0.0, -1.0], 20)
        levels[-1] = 3.0
        found = {baseline.name: baseline for baseline in naive([levels], 4)}
        rows = np.array([74, 76])
        assert found["persistence"].forecast(0, rows, 3).tolist() == [[0, 0, 0], [0, 0, 0]]
        assert found["drift"].forecast(0, np.array([73]), 2)[0] == pytest.approx([1 + 1 / 73, 1 + 2 / 73])
        assert found["seasonal naive"].forecast(0, rows, 6)[0].tolist() == [-1, 0, 1, 0, -1, 0]

    @pytest.mark.parametrize("period", [5, 12, 24])
    def test_period_of_a_noisy_sine_on_a_slope(self, period):
        time = np.arange(240)
        noise = 0.1 * np.random.default_rng(0).normal(size=240)
        assert season(np.sin(2 * np.pi * time / period) + 0.05 * time + noise)[0] == period

    def test_noise_has_no_period(self):
        assert season(np.random.default_rng(0).normal(size=400)) == (0, 0.0)
        assert "seasonal naive" not in [record.name for record in forecast(walk()).baselines()]

    @pytest.mark.parametrize(("freq", "expected"), [("MS", 12), ("ME", 12), ("D", 7), ("h", 24)])
    def test_dates_tell_a_usual_season(self, freq, expected):
        noise = np.random.default_rng(0).normal(size=1200)
        assert of_frame(table({"a": noise}, freq=freq), series="shop", time="day").encoding.season == expected

    @pytest.mark.parametrize(
        ("freq", "rows", "expected"),
        [("MS", 60, ("year",)), ("h", 600, ("day", "week")), ("D", 1200, ("week", "year")), ("YS", 90, ())],
    )
    def test_cycles_that_training_saw_twice_are_inputs(self, freq, rows, expected):
        task = of_frame(table({"a": walk(rows)}, freq=freq, start="1950-01-01"), series="shop", time="day")
        assert task.encoding.cycles == expected
        assert next(task.batches("valid")).inputs.shape[-1] == 2 + 2 * len(expected)


class TestReader:
    def test_a_long_table_is_sorted_out(self):
        frame = table({"b": [1.0, 2.0, 4.0], "a": [7.0, 8.0, 6.0]}).sort_values("day")
        read = read_panel(source(frame.to_csv(index=False)), Layout("y", series="shop", time="day"), 2, "")
        assert read.names == ("a", "b")
        assert read.starts == (0, 3, 6)
        assert read.values[:, 0].tolist() == [7, 8, 6, 1, 2, 4]  # noqa: PD011  (not pandas')
        assert read.clock.step == "D"

    @pytest.mark.parametrize("freq", ["MS", "ME", "QS", "YS", "W-SUN", "D", "h", "15min", "B"])
    def test_steps_of_the_calendar(self, freq):
        dates = pd.date_range("2020-01-01", periods=12, freq=freq)
        content = pd.DataFrame({"t": dates[:9], "y": range(9)}).to_csv(index=False)
        clock = read_panel(source(content), Layout("y", time="t"), 2, "").clock
        assert later(clock.times[-1], clock.step, 3).tolist() == dates[9:].tolist()

    def test_years_as_numbers(self):
        clock = read_panel(source("t,y\n1.5,1\n2.0,2\n2.5,0\n"), Layout("y", time="t"), 2, "").clock
        assert later(clock.times[-1], clock.step, 2).tolist() == [3.0, 3.5]

    @pytest.mark.parametrize("freq", ["D", "MS"])
    def test_missing_rows_are_told(self, freq):
        frame = table({"a": walk(60)}, freq=freq).drop(index=30)
        told = of_frame(frame, series="shop", time="day").data.warnings[0]
        assert told.startswith("1 of 60 rows is missing in 'day' of the series 'a', the first after")

    def test_parquet_holds_the_same(self):
        pytest.importorskip("pyarrow")
        frame, raw = table({"a": walk(60), "b": walk(50, 1)}), io.BytesIO()
        frame.to_parquet(raw)
        layout = Layout("y", series="shop", time="day")
        left = read_panel(source(frame.to_csv(index=False)), layout, 2, "")
        right = read_panel(source(raw.getvalue(), "a.parquet"), layout, 2, "")
        assert np.array_equal(left.values, right.values)
        assert left.clock.times.equals(right.clock.times)


@pytest.fixture(scope="module")
def shops():
    frame = table({"north": wave(120), "south": (100 + 30 * np.array(wave(90, 1))).tolist()})
    return frame.assign(price=np.random.default_rng(0).normal(size=210)).reset_index(drop=True)


@pytest.fixture(scope="module")
def fitted(shops):
    made = Forecaster(
        target="y", series="shop", time="day", known=("price",), horizon=4, quantiles=(0.1, 0.9), **DIRECT, **QUICK
    )
    return made.fit(open_end(shops, 6))


def open_end(frame, rows):
    """The table with the target of the last rows of each series empty."""
    place = frame.groupby("shop").cumcount(ascending=False)
    return frame.assign(y=frame["y"].where(place >= rows))


class TestForecaster:
    @pytest.mark.parametrize("strategy", ["recursive", "direct"])
    def test_doubles_are_trained_saved_and_loaded(self, strategy, tmp_path):
        options = {"strategy": strategy, "difference": "linear", "horizon": 3, "quantiles": (0.1, 0.9)}
        model = Forecaster(precision="float64", epochs=1, hidden_size=4, target="y", **options).fit(
            pd.DataFrame({"y": walk()})
        )
        model.save_pretrained(tmp_path)
        assert model.predict().equals(Forecaster.from_pretrained(tmp_path).predict())

    def test_predict_goes_on_where_the_target_ends(self, fitted, shops):
        found = fitted.predict()
        assert list(found.columns) == ["shop", "day", "step", "forecast", "0.1", "0.9"]
        assert found["shop"].tolist() == ["north"] * 4 + ["south"] * 4
        dates = shops[shops["shop"] == "south"]["day"].iloc[-6:-2]
        assert found["day"].iloc[4:].tolist() == dates.tolist()
        assert found["forecast"].iloc[4:].between(0, 200).all()
        assert (found["0.1"] <= found["forecast"]).all()
        assert (found["forecast"] <= found["0.9"]).all()

    def test_history_may_be_given_and_is_the_same(self, fitted, shops):
        pd.testing.assert_frame_equal(fitted.predict(), fitted.predict(history=open_end(shops, 6)))
        assert not fitted.predict()["forecast"].equals(fitted.predict(history=open_end(shops, 5))["forecast"])

    def test_an_unknown_series_is_scaled_by_its_own_past(self, fitted, shops):
        other = shops[shops["shop"] == "north"].assign(shop="new", y=lambda f: 1e6 + 1e3 * f["y"])
        assert fitted.predict(history=open_end(other, 4))["forecast"].between(0.99e6, 1.01e6).all()

    def test_saved_and_read_back(self, fitted, tmp_path, shops):
        fitted.save_pretrained(tmp_path)
        again = from_pretrained(tmp_path)
        assert again.encoding_ == fitted.encoding_
        pd.testing.assert_frame_equal(again.predict(), fitted.predict())
        refused("BACKTEST_DATA", again.backtest)
        assert again.evaluate(shops)[0].value > 0

    def test_backtest_is_what_the_scores_are_of(self, fitted):
        found = fitted.backtest()
        assert list(found.columns) == ["shop", "origin", "day", "step", "truth", "forecast", "0.1", "0.9"]
        scores = {score.name: score.value for score in fitted.scores_}
        assert (found["truth"] - found["forecast"]).abs().mean() == pytest.approx(scores["MAE"])
        inside = found["truth"].between(found["0.1"], found["0.9"]).mean()
        assert 100 * inside == pytest.approx(scores["coverage of 0.1 to 0.9"])
        assert (found["day"] - found["origin"] == pd.to_timedelta(found["step"], "D")).all()
        thin = fitted.backtest(stride=3)
        both = found.merge(thin, on=["shop", "origin", "step"])
        assert len(both) == len(thin) < len(found)
        assert both["forecast_x"].to_numpy() == pytest.approx(both["forecast_y"].to_numpy(), rel=1e-4)

    def test_what_cannot_be_forecast(self, fitted, shops):
        refused("HORIZON", lambda: fitted.predict(5), "4 rows ahead, not 5", "horizon=5")
        refused("SETTING_RANGE", lambda: fitted.predict(0), "at least 1")
        refused("KNOWN_AHEAD", lambda: fitted.predict(history=open_end(shops, 2)), "for 2 future rows", "'price'", "4")
        refused("COLUMN", lambda: fitted.predict(history=shops.drop(columns="price")), "'price'")
        weekly = shops.assign(day=shops["day"].iloc[0] + 7 * (shops["day"] - shops["day"].iloc[0]))
        refused("SERIES_OTHER_STEP", lambda: fitted.predict(history=weekly), "'W-WED'", "'D'")

    def test_a_recursive_model_goes_as_far_as_is_asked(self):
        made = Forecaster(target="y", horizon=3, strategy="recursive", **QUICK).fit(pd.DataFrame({"y": wave()}))
        assert made.predict(20)["step"].tolist() == list(range(1, 21))
        assert made.predict(20)["forecast"].iloc[:3].tolist() == pytest.approx(made.predict()["forecast"].tolist())

    def test_series_of_pandas_with_dates(self):
        index = pd.date_range("2000-01-01", periods=80, freq="MS")
        made = Forecaster(target="y", time="time", **QUICK).fit(pd.Series(wave(80), index=index, name="y"))
        assert made.predict()["time"].tolist() == [pd.Timestamp("2006-09-01")]

    def test_picture(self, fitted, shops):
        figure = fitted.plot(history=shops, held_out=True)
        assert [axes.get_title(loc="left") for axes in figure.axes] == ["north", "south"]
        axes = figure.axes[0]
        lines = {line.get_label(): line for line in axes.get_lines()}
        assert set(lines) == {"history", "truth", "forecast"}
        truth = shops[shops["shop"] == "north"]["y"].iloc[-5:]
        assert lines["truth"].get_ydata() == pytest.approx(truth.to_numpy())
        assert [band.get_label() for band in axes.collections] == ["80 % interval"]
        last = matplotlib.dates.num2date(matplotlib.dates.date2num(lines["forecast"].get_xdata()[-1]))
        assert last.date() == shops[shops["shop"] == "north"]["day"].iloc[-1].date()


class TestShell:
    def test_train_and_forecast(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        train = "train forecast elnino --time month --horizon 6 --quantiles 0.1 0.9 --epochs 1 --hidden-size 4 --out m"
        assert cli.main(train.split()) == 0
        capsys.readouterr()
        assert cli.main(["forecast", "m", "--out", "f.csv", "--plot", "f.svg"]) == 0
        assert capsys.readouterr().out.split() == ["wrote", "f.csv", "wrote", "f.svg"]
        found = pd.read_csv("f.csv")
        assert found["month"].tolist() == [f"2011-0{month}-01" for month in range(1, 7)]
        assert "<svg" in (tmp_path / "f.svg").read_text()
        assert cli.main(["forecast", "m", "--horizon", "2"]) == 0
        assert "2011-02-01" in capsys.readouterr().out
        assert cli.main(["forecast", "m", "--plot", "f.gif"]) == 2
        assert "f.gif" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("options", "part"),
        [
            (["--quantiles", "1.5"], "--quantiles has 1.5"),
            (["--known", "y"], "--target and --known both name the column 'y'"),
            (["--horizon", "0"], "--horizon 0 is out of range"),
            (["--horizon", "900"], "at least 2728 are needed"),
            (["--difference", "season", "--season", "400"], "set --season"),
        ],
    )
    def test_settings_that_cannot_be_meant(self, tmp_path, monkeypatch, capsys, options, part):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "a.csv").write_text("y\n" + "\n".join(map(repr, walk(300))))
        assert cli.main(["train", "forecast", "a.csv", "--target", "y", *options]) == 2
        assert part in capsys.readouterr().err
