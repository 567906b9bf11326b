"""``explain.run`` on a trained model of every task, against the task's own loss and the forecasts that it makes."""

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

import tidegate as tg
from tidegate.cli import main
from tidegate.errors import InputError
from tidegate.explain import ablate, attribute
from tidegate.explain.driver import ForecastReader, drivers
from tidegate.explain.kind import KINDS
from tidegate.explain.kind.base import Reader, halved
from tidegate.explain.kind.forecast import Smooth
from tidegate.explain.lag import lag_of
from tidegate.explain.record import _along
from tidegate.explain.subject import subject_of
from tidegate.records import ContextRecord
from tidegate.tasks import (
    Composer,
    Forecaster,
    LanguageModel,
    SequenceClassifier,
    SequenceTagger,
    Transcriber,
    Translator,
)

SMALL = {"hidden_size": 6, "epochs": 1, "seed": 0}
CHORDS = [[60, 64, 67], [62, 65], [], [55], [57, 60, 64, 69]]


def book(folder):
    path = folder / "book.txt"
    path.write_text("".join(f"line {k * k % 97} of a book that says little\n" for k in range(150)))
    return path


def texts(folder):
    path = folder / "texts.csv"
    rows = "".join(f"{'ab'[k % 2]},{'ab'[k % 2] * (k % 5 + 2)} {k}\n" for k in range(60))
    path.write_text("label,text\n" + rows)
    return path


def series(folder):
    path = folder / "series.npz"
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    np.savez(path, x=rng.normal(size=(60, 20, 2)) + y[:, None, None], y=y)
    return path


def tagged(folder):
    path = folder / "a.conll"
    path.write_text("".join(f"to O\ntown{k % 7} B-city\nby O\ntrain{k} O\n\n" for k in range(40)))
    return path


def pairs(folder):
    path = folder / "a.tsv"
    path.write_text("".join(f"word {k} here\tmot {k} ici\n" for k in range(60)))
    return path


def pieces(folder):
    path = folder / "a.json"
    rows = [[CHORDS[(k + t) % 5] for t in range(12 + k)] for k in range(8)]
    path.write_text(json.dumps({"train": rows, "valid": rows[:3], "test": rows[2:]}))
    return path


def tones(folder):
    home = folder / "tones"
    home.mkdir()
    lines = ["path,text,speaker"]
    for k in range(24):
        word, rng = ("rise", "fall")[k % 2], np.random.default_rng(k)
        time = np.linspace(0, 1, 1600)
        hertz = 300 + 1200 * (time if word == "rise" else 1 - time) * rng.uniform(0.8, 1.2)
        soundfile.write(home / f"{k}.wav", 0.5 * np.sin(2 * np.pi * np.cumsum(hertz) / 8000), 8000)
        lines.append(f"{k}.wav,{word},s{k % 6}")
    (home / "texts.csv").write_text("\n".join(lines) + "\n")
    return home


def sales(folder):
    path = folder / "sales.csv"
    rng = np.random.default_rng(0)
    price = 1 + 0.1 * rng.normal(size=240)
    sold = 30 + 8 * np.sin(2 * np.pi * np.arange(240) / 12) - 9 * price + 0.3 * rng.normal(size=240)
    days = np.datetime64("2020-01-01") + np.arange(240)
    rows = (f"{day},{s:.5f},{p:.5f},{k % 5}\n" for k, (day, s, p) in enumerate(zip(days, sold, price, strict=True)))
    path.write_text("day,sold,price,shop\n" + "".join(rows))
    return path


FORECAST = {"target": "sold", "time": "day", "horizon": 4, "window": 16, "context": 32, "season": 12}
MADE = {
    "language": (LanguageModel, {"embedding_size": 4}, book),
    "texts": (SequenceClassifier, {"embedding_size": 4}, texts),
    "series": (SequenceClassifier, {"votes": False}, series),
    "votes": (SequenceClassifier, {}, series),
    "tagging": (SequenceTagger, {"embedding_size": 4, "ends_size": 4}, tagged),
    "translation": (Translator, {"embedding_size": 4, "source_unit": "word", "target_unit": "word"}, pairs),
    "music": (Composer, {"nade_size": 4}, pieces),
    "speech": (Transcriber, {}, tones),
    "direct": (Forecaster, FORECAST | {"strategy": "direct", "known": ("price",), "quantiles": (0.1, 0.9)}, sales),
    "recursive": (Forecaster, FORECAST | {"strategy": "recursive", "known": ("price",), "difference": "linear"}, sales),
    "logs": (Forecaster, FORECAST | {"strategy": "direct", "logarithm": "yes", "difference": "last"}, sales),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Trains a model once, saves it, and gives its folder, its data and the model."""
    known = {}

    def make(name):
        if name not in known:
            kind, settings, write = MADE[name]
            folder = tmp_path_factory.mktemp(name)
            data = write(folder)
            with torch.enable_grad():  # whichever test asks first
                model = kind(**SMALL, **settings).fit(data)
            model.save_pretrained(folder / "model")
            known[name] = folder / "model", data, model
        return known[name]

    return make


@pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
@pytest.mark.parametrize("name", MADE)
def test_a_model_of_every_task_explains_itself(made, name, tmp_path) -> None:
    folder, data, model = made(name)
    before = {key: value.clone() for key, value in model.model_.state_dict().items()}
    found = tg.explain.run(str(folder), str(data), sequences=4)
    record = found.record
    assert record.sequences == len(record.traces) > 1
    assert record.lag >= 2
    assert record.lag_from
    assert {flow.layer for flow in record.flow} <= {layer.name for layer in record.layers}
    assert all(flow.median[0] == 0 for flow in record.flow)  # lag 1 is the reference
    assert {memory.layer for memory in record.memory} == {layer.name for layer in record.layers}
    assert all(len(own.values) == len(own.lags) for own in record.attributions)
    assert not [
        check for check in record.checks if check.passed is False and check.name in ("padding", "chunks", "resets")
    ]
    assert math.isclose(sum(share.share for share in record.shares), 1) or not record.shares
    assert {len(trace.labels) for trace in record.traces} == set(_lengths(model, data, 4))
    found.to_json(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["lag"] == record.lag
    found.to_npz(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert {key.partition("/")[0] for key in arrays} >= set(found.gates)
    assert all(torch.equal(before[key], value) for key, value in model.model_.state_dict().items())


def _lengths(model, data, count):
    subject = subject_of(model, data, "auto", count)
    return subject.aim.lengths.tolist()


@pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
@pytest.mark.parametrize("name", ["language", "tagging", "translation", "music"])
@torch.no_grad()
def test_losses_of_all_steps_sum_to_that_of_the_task(made, name) -> None:
    _, data, model = made(name)
    task = model.tested(data)
    kind = KINDS[task.name](model.model_, task)
    batch = kind.draw(3)
    outputs = kind.ask(kind.model, batch)
    total = 0.0
    for step in range(len(batch.inputs)):
        losses = kind.loss(outputs, batch, torch.full((3,), step).minimum(kind.lengths(batch) - 1))
        total += float(losses[(step < kind.lengths(batch)) & batch.scored()[step]].sum())
    found = task.measure(outputs, batch)
    expected = found.error if name == "translation" else found.loss.item()  # without label smoothing
    assert total == pytest.approx(expected, rel=1e-6)  # the task computes some losses in float32


@pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
@pytest.mark.parametrize("name", ["language", "tagging", "music", "series", "direct", "recursive"])
def test_the_whole_history_gives_the_same_losses_and_a_shorter_one_others(made, name) -> None:
    _, data, model = made(name)
    subject = subject_of(model, data, "auto", 4)
    whole = subject.kind.shortened(subject.aim, int(subject.aim.lengths.max()))
    assert torch.allclose(whole.losses(), subject.aim.losses(), rtol=1e-9)
    short = subject.kind.shortened(subject.aim, 2)
    assert not torch.allclose(short.losses(), subject.aim.losses(), rtol=1e-9)


@pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
@pytest.mark.parametrize("name", ["direct", "recursive", "logs"])
@pytest.mark.parametrize("horizon", [1, 4])
def test_contributions_sum_to_the_forecast_that_the_model_makes(made, name, horizon) -> None:
    _, data, model = made(name)
    task = model.tested(data)
    kind = KINDS["forecast"](model.model_, task)
    batch = kind.draw(5)
    made_by_model = task.forecasts(model.model_, "test")
    origins = batch.first + len(batch.levels) - 1
    places = [made_by_model.origin.tolist().index(origin) for origin in origins.tolist()]
    records, lost = drivers(kind, batch, horizon)
    assert not lost
    assert records[0].answer == pytest.approx(made_by_model.point[places, horizon - 1].mean(), rel=1e-5)
    assert records[1].answer == pytest.approx(made_by_model.point[places[-1], horizon - 1], rel=1e-5)
    for record in records:
        _check_sum(record)


def _check_sum(record) -> None:
    assert not record.abstained
    parts = sum(part.share for part in record.parts)
    assert record.start + parts == pytest.approx(
        record.answer, abs=record.completeness_error * abs(record.answer - record.start) + 1e-9
    )
    assert sum(value for row in record.values for value in row) == pytest.approx(parts, rel=1e-9)


@pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
def test_a_window_without_an_attribution_has_no_part_in_the_mean(made, monkeypatch) -> None:
    _, data, model = made("direct")
    kind = KINDS["forecast"](model.model_, model.tested(data))
    batch = kind.draw(4)
    reader = ForecastReader(kind, batch, 2)
    whole = reader(*reader.given()).detach()

    def missed(rows):
        def attributed(*arguments, **named):
            found = attribute(*arguments, **named)
            found.by_lag[rows] = torch.nan
            for name, values in found.values.items():
                values.transpose(0, int(name == "x0"))[rows] = torch.nan
            return replace(found, abstained="chaos")

        return attributed

    monkeypatch.setattr("tidegate.explain.driver.attribute", missed([1, 3]))
    (mean, last), lost = drivers(kind, batch, 2)
    assert lost == "attribution of 2 of 4 windows: chaos"
    assert mean.target == "mean of 2 forecasts 2 rows ahead"
    assert mean.answer == pytest.approx(float(whole[[0, 2]].mean()), rel=1e-9)
    assert last.answer == pytest.approx(float(whole[2]), rel=1e-9)
    for record in (mean, last):
        parts = sum(part.share for part in record.parts)
        assert record.start + parts == pytest.approx(record.answer, rel=1e-3)
        assert not record.abstained
    monkeypatch.setattr("tidegate.explain.driver.attribute", missed([0, 1, 2, 3]))
    (record,), lost = drivers(kind, batch, 2)
    assert (record.abstained, record.values, lost) == ("chaos", (), "")


@pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
@pytest.mark.parametrize("name", MADE)
def test_a_copy_learns_from_sequences_of_the_training_part(made, name) -> None:
    folder, data, _ = made(name)
    subject = subject_of(str(folder), str(data), "auto", 2)
    lesson = subject.lessons()
    kind = copy.copy(subject.kind)
    kind.split = "train"
    drawn = kind.draw(64)
    seen = 0
    for step in range(math.ceil(kind.size(drawn) / 8)):
        x, loss, named = lesson(step)
        losses = loss(subject.aim.model(x, **named))
        assert losses.shape == (kind.size(named["batch"]),)
        assert losses.isfinite().all()
        assert losses.requires_grad
        seen += len(losses)
    assert seen == kind.size(drawn)
    assert torch.equal(lesson(0)[0], lesson(step + 1)[0])


def test_the_gradient_of_a_recursive_forecast_is_that_of_finite_differences(made) -> None:
    _, data, model = made("recursive")
    task = model.tested(data)
    kind = KINDS["forecast"](model.model_, task)
    reader = ForecastReader(kind, kind.draw(2), 4)
    given = [value.clone().requires_grad_() for value in reader.given()]
    gradients = torch.autograd.grad(reader(*given).sum(), given)
    rng = np.random.default_rng(0)
    for which, gradient in enumerate(gradients):
        direction = torch.from_numpy(rng.normal(size=gradient.shape))
        with torch.no_grad():
            moved = [
                [v + sign * 1e-6 * direction if k == which else v for k, v in enumerate(given)] for sign in (1, -1)
            ]
            slope = float((reader(*moved[0]) - reader(*moved[1])).sum() / 2e-6)
        assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
@pytest.mark.parametrize("name", ["direct", "recursive", "logs"])
def test_a_plain_forecast_as_torch_computes_it_is_the_same(made, name) -> None:
    _, data, model = made(name)
    encoding = model.tested(data).encoding
    levels = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 3)))
    for forecast, reach in ((encoding.base, encoding.reach), (encoding.plainly, encoding.early)):
        for row in (59, 4):  # the latter has no whole past
            found = Smooth(forecast, reach)(levels, torch.tensor(row), 4)
            assert torch.allclose(found, forecast(levels, torch.tensor(row), 4), atol=1e-12)


@pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
def test_votes_have_their_share_and_layers_are_explained_without_them(made) -> None:
    _, data, model = made("votes")
    subject = subject_of(model, data, "auto", 6)
    parts = subject.kind.parts(subject.aim.batch)
    with torch.no_grad():
        whole = subject.kind.whole(subject.aim.batch)[0]
    assert torch.allclose(sum(parts.values()), whole)
    assert set(subject.shares) == {"votes", "layers"}
    assert subject.kind.model.votes is None
    record = tg.explain.run(model, data, sequences=6).record.attributions[0]
    best = whole.topk(2).values
    assert record.answer == pytest.approx(float((best[:, 0] - best[:, 1]).mean()), rel=1e-9)
    assert record.start + sum(part.share for part in record.parts) == pytest.approx(record.answer, rel=1e-9)


@pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
def test_shares_do_not_depend_on_how_many_sequences_are_explained(made) -> None:
    _, data, model = made("direct")
    one, four = (subject_of(model, data, "auto", count).shares for count in (1, 4))
    assert one == four
    assert sum(one.values()) == pytest.approx(1)


class TestData:
    @pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
    def test_of_the_file_of_the_training_only_the_test_part_is_used(self, made) -> None:
        _, data, model = made("texts")
        assert len(model.tested(data).parts["test"].items) < 15

    @pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
    def test_of_another_file_all_rows_are(self, made, tmp_path) -> None:
        _, data, model = made("texts")
        (tmp_path / "more.csv").write_text(data.read_text() + "a,aaa 99\n")
        assert len(model.tested(tmp_path / "more.csv").parts["test"].items) == 61

    def test_without_data_a_bundled_set_is_known_again_and_another_is_asked_for(self, made) -> None:
        _, _, model = made("texts")
        with pytest.raises(InputError, match="does not hold the data"):
            model.tested()

    def test_a_forecaster_remembers_its_last_rows(self, made) -> None:
        folder, _, _ = made("direct")
        assert tg.explain.run(str(folder), sequences=2).record.data == "the history of the model"


class TestLag:
    def test_given(self, made) -> None:
        _, data, model = made("direct")
        subject = subject_of(model, data, "auto", 2)
        assert lag_of(subject, 5, None) == (5, "given")
        for lag in (1, 10_000, True, "five"):
            with pytest.raises(InputError, match="lag="):
                lag_of(subject, lag, None)

    def test_auto_is_the_season_of_a_series(self, made) -> None:
        _, data, model = made("direct")
        assert lag_of(subject_of(model, data, "auto", 2), "auto", None) == (12, "the season of the training rows")

    def test_auto_of_a_text_is_the_reach_of_its_context(self, made) -> None:
        _, data, model = made("language")
        context = ContextRecord((1, 2, 4, 8, 16), (5, 4, 3, 2, 2), "loss", reach=8)
        lag, how = lag_of(subject_of(model, data, "auto", 2), "auto", context)
        assert lag == 7
        assert "last 8 steps" in how

    @pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
    def test_auto_of_sequences_is_their_median_length(self, made) -> None:
        _, data, model = made("series")
        assert lag_of(subject_of(model, data, "auto", 3), "auto", None)[0] == 19


class TestTarget:
    @pytest.mark.parametrize(
        ("name", "target"),
        [("language", "first"), ("language", "9999"), ("direct", "horizon:5"), ("direct", "7"), ("series", "3")],
    )
    @pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
    def test_what_is_no_target_is_refused(self, made, name, target) -> None:
        _, data, model = made(name)
        with pytest.raises(InputError, match="target="):
            subject_of(model, data, target, 2)

    def test_a_step_and_all(self, made) -> None:
        _, data, model = made("language")
        assert subject_of(model, data, "7", 2).aim.steps.tolist() == [6, 6]
        steps = subject_of(model, data, "all", 4).aim.steps
        assert len(set(steps.tolist())) > 1


class Tagger(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = torch.nn.LSTM(3, 12), torch.nn.Linear(12, 2)

    def forward(self, x):
        return self.head(self.lstm(x)[0])


class TestModule:
    def test_a_module_of_torch_stays_as_it_is_and_is_explained(self) -> None:
        torch.manual_seed(0)
        model, x = Tagger(), torch.randn(40, 5, 3)
        before = copy.deepcopy(model.state_dict())
        found = tg.explain.run(model, x, lag=30)
        assert found.record.layers[0].name == "lstm.l0"
        assert "vanishing" in [line.name for line in found.verdicts]
        assert type(model.lstm) is torch.nn.LSTM
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())

    def test_a_loss_of_the_callers(self) -> None:
        torch.manual_seed(0)
        model, x = Tagger(), torch.randn(20, 5, 3)
        found = tg.explain.run(model, x, lag=5, loss=lambda output: output[-1, :, 0])
        assert found.record.attributions[0].completeness_error < 1e-6

    def test_ragged_sequences(self) -> None:
        torch.manual_seed(0)
        found = tg.explain.run(tg.nn.GRU(3, 8), torch.randn(20, 3, 3), lag=5, lengths=[20, 12, 8])
        padding = next(check for check in found.checks if check.name == "padding")
        assert padding.value == 0
        assert [len(trace.labels) for trace in found.record.traces] == [20, 12, 8]

    def test_what_cannot_be_is_refused(self, made) -> None:
        x = torch.randn(20, 5, 3)
        with pytest.raises(InputError, match="needs an input"):
            tg.explain.run(Tagger())
        with pytest.raises(InputError, match="takes no lengths"):
            tg.explain.run(Tagger(), x, lengths=[3] * 5)
        with pytest.raises(InputError, match="sequences="):
            tg.explain.run(Tagger(), x, sequences=0)
        with pytest.raises(InputError, match="checks="):
            tg.explain.run(Tagger(), x, checks="some")
        with pytest.raises(InputError, match="loss= and lengths= are for a torch module"):
            tg.explain.run(str(made("texts")[0]), loss=torch.sum)

    @pytest.mark.parametrize("batch_first", [False, True])
    def test_answers_without_an_axis_of_features_are_named(self, batch_first) -> None:
        torch.manual_seed(0)
        layer = torch.nn.Sequential(tg.nn.GRU(3, 1, batch_first=batch_first))
        layer.register_forward_hook(lambda module, given, outputs: outputs[0][..., 0])
        x = torch.randn(4, 6, 3)
        with pytest.raises(InputError, match=r"\[4, 6\].*no axis of features; expected \[., ., features\]") as caught:
            tg.explain.run(layer, x, lag=2)
        last = "output[:, -1]" if batch_first else "output[-1]"
        assert f"loss=lambda output: {last}" in caught.value.fix
        found = tg.explain.run(layer, x, lag=2, loss=lambda output: output[:, -1] if batch_first else output[-1])
        assert found.record.attributions

    def test_answers_for_each_sequence(self) -> None:
        torch.manual_seed(0)
        layer = torch.nn.Sequential(tg.nn.GRU(3, 1))
        layer.register_forward_hook(lambda module, given, outputs: outputs[0][-1, :, 0])  # [B]
        assert tg.explain.run(layer, torch.randn(4, 6, 3), lag=2).record.attributions
        layer.register_forward_hook(lambda module, given, outputs: outputs[:2])
        with pytest.raises(InputError, match=r"returns shape \[2\].*with B = 6"):
            tg.explain.run(layer, torch.randn(4, 6, 3), lag=2)

    def test_fresh_weights_beside_the_trained_ones(self) -> None:
        torch.manual_seed(0)
        found = tg.explain.run(Tagger(), torch.randn(20, 3, 3), lag=5, compare_init=True)
        assert [check.name for check in found.checks].count("fresh weights") == 2


def test_a_reader_shares_the_parts_of_its_model_also_when_copied() -> None:
    model = Tagger()
    reader = copy.deepcopy(Reader(model, None, None))
    assert reader.lstm is vars(reader)["inner"].lstm
    reader.head = torch.nn.Linear(12, 7)
    assert vars(reader)["inner"].head is reader.head
    assert model.head is not reader.head


def test_contexts_are_powers_of_two_and_the_whole() -> None:
    assert [halved(n) for n in (1, 2, 7, 8)] == [[1], [1, 2], [1, 2, 4, 7], [1, 2, 4, 8]]


class TestCommand:
    def test_exit_codes(self, made, capsys) -> None:
        folder, data, _ = made("direct")
        words = ["explain", str(folder), str(data), "--sequences", "2"]
        assert main(words) == 0
        assert "gradient" in capsys.readouterr().out
        names = {line.name for line in tg.explain.run(str(folder), str(data), lag=30, sequences=2).verdicts}
        assert "vanishing" in names
        assert main([*words, "--lag", "30", "--fail-on", "vanishing,padding"]) == 1
        assert main([*words, "--lag", "30", "--fail-on", "padding"]) == 0
        capsys.readouterr()
        assert main([*words, "--fail-on", "vanishng"]) == 2
        assert "did you mean 'vanishing'" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            (["--lag", "soon"], "neither auto nor a number"),
            (["--lag", "1"], "neither auto nor a number"),
            (["--lag", "31000"], "the most steps before a target"),
            (["--target", "horizon:9"], "no horizon"),
            (["--sequences", "0"], "--sequences must be between 1 and 256"),
            (["--out", "nowhere/page.html"], "there is no folder nowhere"),
        ],
    )
    def test_bad_options(self, made, capsys, options, says) -> None:
        folder, data, _ = made("direct")
        assert main(["explain", str(folder), str(data), *options]) == 2
        assert says in capsys.readouterr().err

    def test_a_pickle_is_refused_by_name(self, tmp_path, capsys) -> None:
        torch.save({}, tmp_path / "model.pt")
        assert main(["explain", str(tmp_path / "model.pt")]) == 2
        assert "is a pickle" in capsys.readouterr().err

    def test_files(self, made, tmp_path, capsys) -> None:
        folder, data, _ = made("direct")
        files = [tmp_path / name for name in ("page.html", "all.json", "gates.npz")]
        words = [word for pair in zip(("--out", "--json", "--npz"), map(str, files), strict=True) for word in pair]
        assert main(["explain", str(folder), str(data), "--sequences", "2", *words]) == 0
        assert all(file.stat().st_size > 1000 for file in files)
        assert files[0].stat().st_size < 1_000_000


def test_that_own_answers_are_taken_as_data_is_said(made) -> None:
    for name, horizon, said in (("recursive", 3, True), ("recursive", 1, False), ("direct", 3, False)):
        folder, data, _ = made(name)
        subject = subject_of(str(folder), str(data), f"horizon:{horizon}", 2)
        assert any("rows 1 to 2: they are taken as data" in text for text in subject.left_out) == said


class TestAll:
    def test_units_features_and_silence(self, made) -> None:
        folder, data, _ = made("series")
        record = tg.explain.run(str(folder), str(data), sequences=4, checks="all").record
        units, features = record.ablations
        assert (units.part, units.count, len(units.changes)) == ("units", 12, 12)
        assert [change.name for change in features.changes] != []
        assert {change.name for change in features.changes} == {"channel 1", "channel 2"}
        aim = subject_of(str(folder), str(data), "auto", 4).aim
        direct = ablate(aim.model, aim.x, aim.loss, lengths=aim.lengths)
        assert {c.name: c.change for c in units.changes} == pytest.approx({c.name: c.change for c in direct.changes})
        assert any("it reads from both ends, so there is no after" in text for text in record.left_out)
        folder, data, _ = made("direct")
        (silence,) = tg.explain.run(str(folder), str(data), sequences=2, checks="all").record.silences
        assert (silence.layer, silence.unit) == ("layer", "steps")
        assert "steps" in silence.sentence
        assert " s." not in silence.sentence

    @pytest.mark.filterwarnings("ignore::tidegate.errors.DataWarning")
    def test_of_texts_features_are_left_out_and_of_speech_times_are_seconds(self, made) -> None:
        folder, data, _ = made("texts")
        record = tg.explain.run(str(folder), str(data), sequences=2, checks="all").record
        assert [one.part for one in record.ablations] == ["units"]
        assert any("tokens have no mean" in text for text in record.left_out)
        folder, data, _ = made("speech")
        record = tg.explain.run(str(folder), str(data), sequences=2, checks="all").record
        assert any("silence behind" in text and "end" in text for text in record.left_out) or record.silences
        assert all(silence.unit == "s" for silence in record.silences)

    def test_of_a_fast_run_it_is_said_what_is_missing(self, made) -> None:
        folder, data, _ = made("series")
        record = tg.explain.run(str(folder), str(data), sequences=2).record
        assert (record.ablations, record.silences) == ((), ())
        assert any("checks='all'" in text and "silence" in text for text in record.left_out)


def test_a_bound_is_the_mean_of_the_longest_sequences() -> None:
    bound = torch.tensor([[math.nan, math.nan, math.nan], [0.0, 0.0, 0.0], [1.0, 2.0, 9.0], [2.0, 4.0, math.nan]])
    assert _along(bound, 5) == (0.0, 1.5, 3.0, None)


def test_a_model_with_a_test_file_of_its_own_is_explained_on_it_and_not_on_its_training(made, tmp_path) -> None:
    data, other = series(tmp_path), tmp_path / "other.npz"
    rng = np.random.default_rng(1)
    np.savez(other, x=rng.normal(size=(30, 20, 2)), y=np.arange(30) % 2)
    model = SequenceClassifier(**SMALL, votes=False).fit(data, test=other)
    assert "30" in model.tested(other).data.split
    for given, says in ((None, "does not hold the data"), (data, "is what the model was trained on")):
        with pytest.raises(InputError, match=says):
            model.tested(given)


def test_every_task_can_be_explained() -> None:
    assert set(KINDS) == set(tg.tasks.TABLE)
