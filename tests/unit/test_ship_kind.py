"""Models of every task as flows: their answers are those of the estimators, for raw inputs of different lengths."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import tidegate as tg
from tests.reference import shipped_onnx as shipped
from tidegate.errors import InputError
from tidegate.ship import Flow, flows
from tidegate.tasks import (
    Composer,
    Forecaster,
    LanguageModel,
    SequenceClassifier,
    SequenceTagger,
    Transcriber,
    Translator,
)
from tidegate.tasks.classification.ballot import SeriesVotes
from tidegate.tasks.classification.convolution import Convolution
from tidegate.tasks.forecast.learn import Choice, with_choice
from tidegate.tasks.speech.task import SpeechBatch
from tidegate.tasks.synthetic.setting import SyntheticSetting
from tidegate.tasks.synthetic.task import Adding
from tidegate.train.batch import Batch
from tidegate.train.layer import make_layer
from tidegate.zoo import graph_of

RANDOM = np.random.default_rng(0)
NEAR = {"atol": 1e-5, "rtol": 1e-5}
SMALL = {"hidden_size": 6, "cell": "gru"}


def untrained(model, data, y=None, choice=None):
    """An estimator with the encoding of the data and random weights."""
    model.graph_ = graph_of(model.cell)
    task = model._read_task(model._source(data, y), model._setting())
    encoding = with_choice(task.panel, task.spans, task.setting, task.encoding, choice) if choice else task.encoding
    torch.manual_seed(0)
    module = encoding.model(make_layer(model.graph_, task.setting), task.setting)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.encoding_, model.model_, model._fitted_setting = encoding, module.eval(), task.setting
    model.data_, model.scores_, model.curve_, model.notes_, model.units_ = task.data, [], (), (), {}
    model.memory_ = model._memory(task)
    return model


@pytest.fixture(autouse=True)
def _in_onnxruntime(monkeypatch):
    """Every flow that these tests evaluate answers the same as ONNX models of sequences and of a step."""
    pytest.importorskip("onnxruntime", reason="it runs the flows as ONNX")
    evaluate, models = Flow.run, {}

    def run(flow, inputs, lengths=None, states=None):
        answer = evaluate(flow, inputs, lengths, states)
        if flow not in models:
            with monkeypatch.context() as plain:  # a model is written with answers of the flow
                plain.setattr(Flow, "run", evaluate)
                models[flow] = shipped.session(tg.ship.onnx(flow))
                if flow.streams:
                    assert tg.ship.selftest(tg.ship.onnx(flow, step=True)) < 5e-5
        assert shipped.flow_error(flow, models[flow], inputs, lengths, states, answer) < 1e-5
        return answer

    monkeypatch.setattr(Flow, "run", run)


def behind(lengths, steps):
    return (np.arange(steps)[:, None] < np.array(lengths))[..., None]


def padded(rows):
    """[T, B, ...] and lengths of sequences [T, ...]."""
    lengths = [len(row) for row in rows]
    values = np.zeros((max(lengths), len(rows), *rows[0].shape[1:]), rows[0].dtype)
    for k, row in enumerate(rows):
        values[: len(row), k] = row
    return values, lengths


@pytest.mark.parametrize("own", [{}, {"tied": True, "embedding_size": 6}, {"tied": True, "embedding_size": 4}])
def test_language(own) -> None:
    model = untrained(LanguageModel(**SMALL, **{"embedding_size": 5, **own}), "shakespeare")
    (flow,) = flows(model)
    symbols = torch.from_numpy(RANDOM.integers(0, model.encoding_.vocabulary, (9, 3)))
    lengths = [9, 4, 0]
    with torch.no_grad():
        logits, _ = model.model_(Batch(symbols, symbols, torch.tensor(lengths)))
    values = flow.run({"symbol": symbols[..., None].numpy()}, lengths).outputs
    np.testing.assert_allclose(values["logits"], behind(lengths, 9) * logits.numpy(), **NEAR)
    np.testing.assert_allclose(values["chances"], behind(lengths, 9) * logits.softmax(-1).numpy(), **NEAR)
    labels = flow.facts["symbols"]["symbol"]
    assert [labels[k] for k in model.encoding_.encode("tide").tolist()] == list("tide")


def rolls(*shape):
    return torch.from_numpy(RANDOM.random((*shape, 88)) < 0.05).float()


def test_music_of_independent_keys() -> None:
    model = untrained(Composer(**SMALL, nade_size=0), "jsb")
    (flow,), x = flows(model), rolls(7, 2)
    with torch.no_grad():
        logits, _ = model.model_(Batch(x, x))
    np.testing.assert_allclose(flow.run({"keys": x.numpy()}).outputs["chances"], logits.sigmoid().numpy(), **NEAR)
    assert flow.outputs[-1].labels[39] == "60"  # middle C


def test_music_with_a_nade_goes_from_key_to_key() -> None:
    model = untrained(Composer(**SMALL, nade_size=5), "jsb")
    layers, keys = flows(model)
    x, chord = rolls(4, 2), rolls(4, 2)
    with torch.no_grad():
        logits, _ = model.model_(Batch(x, chord))
    heard = layers.run({"keys": x.numpy()}).outputs
    below = np.concatenate([np.zeros((1, 8)), chord.reshape(8, 88).numpy().T[:-1]])
    inputs = {
        "key": np.broadcast_to(np.arange(88)[:, None, None], (88, 8, 1)),
        "sounded": below[..., None],
        "hidden": np.broadcast_to(heard["hidden"].reshape(8, 5), (88, 8, 5)),
        "bias": heard["bias"].reshape(8, 88).T[..., None],
    }
    chance = keys.run(inputs).outputs["chance"][..., 0].T.reshape(4, 2, 88)
    np.testing.assert_allclose(chance, logits.sigmoid().numpy(), **NEAR)


@pytest.mark.parametrize("own", [{}, {"bidirectional": False}, {"ends_size": 0}])
def test_tagging(own) -> None:
    model = untrained(SequenceTagger(**SMALL, embedding_size=5, **own), "atis")
    (flow,) = flows(model)
    sentences = [["from", "Rome", "to", "XQZ", "747s", "."], ["to"], ["i", "want"]]
    x, lengths = padded([rows.numpy() for rows in model.encoding_.encode(sentences)])
    inputs = {"word": x[..., :1], "shape": x[..., 1:2], "ends": x[..., 2:]}
    answer = flow.run({one.name: inputs[one.name] for one in flow.inputs}, lengths)
    for k, chances in enumerate(model.predict_proba(sentences)):
        np.testing.assert_allclose(answer.outputs["chances"][: lengths[k], k], chances, **NEAR)
    assert flow.streams == (own.get("bidirectional") is False)
    words = flow.facts["symbols"]["word"]
    assert words[x[0, 0, 0]] == "from"
    assert words[x[3, 0, 0]] == "<unknown>"


SERIES = [RANDOM.normal(size=(int(n), 2)).cumsum(0) for n in RANDOM.integers(20, 50, 24)]


@pytest.mark.parametrize(
    ("pooling", "both", "frame"), [*itertools.product(("last", "mean", "max", "attention"), (False, True), (1, 4))]
)
def test_classification_of_series(pooling, both, frame) -> None:
    own = {"pooling": pooling, "bidirectional": both, "frame": frame, "test_share": 0}
    model = untrained(SequenceClassifier(**SMALL, **own), SERIES, [k % 3 for k in range(24)])
    model.model_.temperature.fill_(1.7)
    (flow,) = flows(model)
    frames = [np.concatenate([x, np.repeat(x[-1:], -len(x) % frame, 0)]).reshape(-1, 2 * frame) for x in SERIES]
    x, lengths = padded(frames)
    np.testing.assert_allclose(flow.run({"values": x}, lengths).outputs["chances"], model.predict_proba(SERIES), **NEAR)
    assert flow.outputs[1].labels == ("0", "1", "2")


def test_classification_of_texts() -> None:
    model, names = untrained(SequenceClassifier(**SMALL, embedding_size=5), "names"), ["Rossi", "Müller", "O"]
    (flow,) = flows(model)
    x, lengths = padded([model.encoding_.reading.encode(name).numpy()[:, None] for name in names])
    np.testing.assert_allclose(flow.run({"unit": x}, lengths).outputs["chances"], model.predict_proba(names), **NEAR)


def test_votes_are_refused_by_name_and_the_layers_can_be_shipped() -> None:
    model = untrained(SequenceClassifier(**SMALL, test_share=0), SERIES, [k % 3 for k in range(24)])
    model.model_.hear(SeriesVotes(Convolution.of(2, 50, 84), 3), (0.7, 0.3))
    with pytest.raises(InputError, match=r"random convolutions .* part='layers'"):
        flows(model)
    (flow,) = flows(model, part="layers")
    frame = model.encoding_.reading.frame
    x = np.concatenate([SERIES[0], np.repeat(SERIES[0][-1:], -len(SERIES[0]) % frame, 0)]).reshape(-1, 1, 2 * frame)
    batch = Batch(
        model.encoding_.reading.encode(SERIES[0])[:, None], torch.zeros(1, dtype=torch.int64), torch.tensor([len(x)])
    )
    with torch.no_grad():
        layers, _ = model.model_.parts(batch)
    np.testing.assert_allclose(flow.run({"values": x}).outputs["logits"], layers.numpy(), **NEAR)
    assert flow.facts["part"] == "layers"


def test_attention_whose_sums_would_overflow_is_refused() -> None:
    own = {"pooling": "attention", "test_share": 0}
    model = untrained(SequenceClassifier(**SMALL, **own), SERIES, [k % 3 for k in range(24)])
    model.model_.attention[2].weight.data.fill_(10.0)
    with pytest.raises(InputError, match="attention reach 120"):
        flows(model)


@pytest.mark.parametrize("own", [{}, {"stack": 3}, {"streaming": True}, {"stack": 2, "normalise": "recording"}])
def test_speech(own) -> None:
    model = untrained(Transcriber(**SMALL, **own), "fsdd")
    if own.get("streaming"):
        encoding = model.encoding_
        model.encoding_ = replace(encoding, filterbank=replace(encoding.filterbank, peak=False))
    bank, stack = model.encoding_.filterbank, model.encoding_.stack
    sound = RANDOM.normal(size=1501).astype(np.float32) * 0.1
    steps = model.encoding_.steps(bank(sound))[:, None]
    with torch.no_grad():
        batch = SpeechBatch(steps, torch.zeros(0, 1, dtype=torch.int64), torch.tensor([len(steps)]))
        wanted = model.model_(batch)[0].numpy()
    if model.encoding_.per_recording:
        with pytest.raises(InputError, match="whole recording"):
            flows(model)
        (flow,), inputs = flows(model, part="layers"), {"spectrum": steps.numpy()}
    else:
        scaled = sound / np.abs(sound).max() if bank.peak else sound
        rows = np.lib.stride_tricks.sliding_window_view(scaled, bank.window)[:: bank.hop]
        rows = np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % stack, 0)])
        (flow,), inputs = flows(model), {"sound": rows.reshape(-1, 1, stack * bank.window)}
    np.testing.assert_allclose(flow.run(inputs).outputs["logits"], wanted, **NEAR)


@pytest.mark.parametrize(("attention", "both"), [*itertools.product(("general", "dot", "additive"), (False, True))])
def test_translation_in_two_flows(attention, both) -> None:
    pairs = [(f"word {k} here", f"mot {k} ici") for k in range(60)]
    own = {"embedding_size": 5, "longest": 8, "source_unit": "word", "target_unit": "word"}
    model = untrained(Translator(**SMALL, **own, attention=attention, bidirectional=both), pairs)
    encoder, decoder = flows(model)
    source = torch.from_numpy(RANDOM.integers(0, len(model.encoding_.source), (7, 2)))
    target = torch.from_numpy(RANDOM.integers(0, len(model.encoding_.target), (5, 2)))
    lengths, steps = [7, 4], decoder.facts["source_steps"]
    with torch.no_grad():
        memory, state = model.model_.read(source, torch.tensor(lengths))
        logits, weights, _ = model.model_.write(target, memory, state)
    read = encoder.run({"source": source[..., None].numpy()}, lengths)

    def beside(value):
        whole = np.zeros((2, steps, value.shape[-1]))
        whole[:, :7] = np.moveaxis(value, 0, 1)
        return np.broadcast_to(whole.reshape(1, 2, -1), (5, 2, whole[0].size))

    there = np.broadcast_to(np.arange(steps) < np.array(lengths)[:, None], (5, 2, steps)).astype(float)
    inputs = {"target": target[..., None].numpy(), "there": there}
    inputs |= {name: beside(read.outputs[name]) for name in ("keys", "values")}
    first = {name: value.reshape(2, 1, -1, value.shape[-1]).mean(2) for name, value in read.states.items()}
    answer = decoder.run(inputs, states=first)
    np.testing.assert_allclose(answer.outputs["logits"], logits.numpy(), **NEAR)
    np.testing.assert_allclose(answer.outputs["attention"][..., :7], weights.numpy(), **NEAR)


def shops(count=400):
    """Two series by the hour, with a price known ahead and a temperature."""
    parts = []
    for k, name in enumerate(["north", "south"]):
        when = pd.date_range("2024-02-01 03:00", periods=count, freq="h")
        price, temperature = RANDOM.normal(10, 2, count).round(2), RANDOM.normal(5, 3, count).round(2)
        own = 100 * (k + 1) + 10 * np.sin(when.hour / 12 * np.pi) + 5 * (when.day_of_week > 4) - price
        own = own + temperature.cumsum() / 10 + RANDOM.normal(size=count)
        part = {"shop": name, "when": when.astype(str), "sold": own, "price": price, "warm": temperature}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts)


SHOPS = shops()


def told(flow, encoding, table, series, first, last):
    """The inputs of rows ``first`` to ``last - 1`` of a table that has further rows, as a caller would give them."""
    times = pd.DatetimeIndex(table["when"] if "when" in table else np.arange(len(table)))
    ahead = {
        "second": times.hour * 3600 + times.minute * 60 + times.second,
        "weekday": times.day_of_week,
        "yearday": times.day_of_year,
        "known": table[list(encoding.known)].to_numpy(),
    }
    near, every = int(not encoding.effect), range(first, last)
    inputs = {}
    for one in flow.inputs:
        if one.name in ahead:
            values = np.asarray(ahead[one.name]).reshape(len(table), -1)
            rows = one.kind.width // values.shape[1]
            value = np.stack([values[t + near : t + near + rows].ravel() for t in every])
        elif one.name == "target":
            value = table["sold"].to_numpy()[first:last, None]
        elif one.name == "columns":
            value = table[list(encoding.columns[1:])].to_numpy()[first:last]
        else:
            value = np.full((last - first, one.kind.width), series if one.name == "series" else 0)
        inputs[one.name] = value[:, None]
    return inputs


def heard(flow, model, table, series, rows):
    """The answer behind ``rows`` rows; the layers begin where the estimator lets them."""
    begin = max(0, rows - model.context)
    before = flow.run(told(flow, model.encoding_, table, series, 0, begin)).states
    kept = {name: value for name, value in before.items() if not name.startswith("layer_")}
    return flow.run(told(flow, model.encoding_, table, series, begin, rows), states=kept)


def rolled(flow, model, table, series, rows, steps):
    """Row by row, each forecast read as the next row."""
    answer = heard(flow, model, table, series, rows)
    made = [answer.outputs["forecast"][-1, 0, 0]]
    for row in range(rows, rows + steps - 1):
        inputs = told(flow, model.encoding_, table, series, row, row + 1)
        for name, source in flow.again.items():
            value = answer.outputs[source][-1:] if isinstance(source, str) else np.full(inputs[name].shape, source)
            inputs[name] = value
        answer = flow.run(inputs, states=answer.states)
        made.append(answer.outputs["forecast"][-1, 0, 0])
    return made


def forecaster(choice, changed, **own):
    """A forecaster with random weights, blend, corrections and spreads, the rows to forecast from, and all rows."""
    steps = own["horizon"]
    past = SHOPS.drop(columns="warm") if choice.strategy == "recursive" and steps > 1 else SHOPS
    hidden = past.groupby("shop").cumcount() >= 400 - steps
    past = past.assign(sold=past["sold"].mask(hidden))
    model = Forecaster(**SMALL, target="sold", series="shop", time="when", known=("price",), context=64, **own)
    model = untrained(model, past, choice=choice)
    ends = dict.fromkeys(model.encoding_.scales, str(pd.Timestamp(SHOPS["when"].iloc[399 - steps]).isoformat()))
    usual = {"usual": dict.fromkeys(ends, 0.3), "lately": dict(zip(ends, (1.4, 0.7), strict=True)), "until": ends}
    effect = tuple(np.linspace(0.1, 0.3, model.encoding_.ahead)) if "effect" in changed else ()
    model.encoding_ = replace(model.encoding_, effect=effect, **(usual if "spread" in changed else {}))
    if choice.strategy == "recursive":
        model.model_.base = model.encoding_.base
    model.model_.share.fill_(0.6)
    model.model_.shift.normal_(0, 0.3)
    return model, past


DIRECT = {
    "last value, quantiles": (Choice("direct", "last"), "", {"horizon": 4, "quantiles": (0.1, 0.25, 0.9)}),
    "season, effect, spread": (
        Choice("direct", "season"),
        "effect spread",
        {"horizon": 30, "quantiles": (0.1, 0.9)},
    ),
    "ridge, one row, logarithm": (Choice("direct", "linear"), "effect", {"horizon": 1, "logarithm": "yes"}),
    "nothing, centred": (Choice("direct", "none"), "", {"horizon": 3, "centre": 9}),
}


@pytest.mark.parametrize("what", DIRECT)
def test_direct_forecasts_in_the_users_units(what) -> None:
    choice, changed, own = DIRECT[what]
    model, past = forecaster(choice, changed, **own)
    (flow,) = flows(model)
    made, steps = model.predict(history=past), own["horizon"]
    for series, name in enumerate(model.encoding_.scales):
        table = SHOPS[SHOPS["shop"] == name].reset_index(drop=True)
        wanted, answer = made[made["shop"] == name], heard(flow, model, table, series, 400 - steps)
        np.testing.assert_allclose(answer.outputs["forecast"][-1, 0], wanted["forecast"], **NEAR)
        for k, level in enumerate(flow.facts.get("quantiles", ())):
            if level != 0.5:
                own_quantile = answer.outputs["quantiles"][-1, 0].reshape(steps, -1)[:, k]
                np.testing.assert_allclose(own_quantile, wanted[str(level)], **NEAR)


@pytest.mark.parametrize(("difference", "changed"), [("last", "effect"), ("linear", ""), ("season", ""), ("none", "")])
def test_recursive_forecasts_read_their_own_rows(difference, changed) -> None:
    own = {"horizon": 5, "logarithm": "yes" if changed else "no", "centre": 5 if difference == "none" else 0}
    model, past = forecaster(Choice("recursive", difference), changed, **own)
    (flow,) = flows(model)
    made = model.predict(history=past)
    for series, name in enumerate(model.encoding_.scales):
        table = SHOPS[SHOPS["shop"] == name].reset_index(drop=True)
        values = rolled(flow, model, table, series, 395, 5)
        np.testing.assert_allclose(values, made[made["shop"] == name]["forecast"], **NEAR)


def test_the_path_of_medians_of_a_model_with_quantiles() -> None:
    model, past = forecaster(Choice("recursive", "last"), "", horizon=3, quantiles=(0.1, 0.9))
    (flow,) = flows(model, part="point")
    model.quantiles, module = (), model.model_
    module.setting = replace(module.setting, quantiles=())
    wanted = model.predict(history=past)
    for series, name in enumerate(model.encoding_.scales):
        table = SHOPS[SHOPS["shop"] == name].reset_index(drop=True)
        made = rolled(flow, model, table, series, 397, 3)
        np.testing.assert_allclose(made, wanted[wanted["shop"] == name]["forecast"], **NEAR)


@pytest.mark.parametrize("count", [2, 30])
@pytest.mark.parametrize(("strategy", "difference"), [("direct", "linear"), ("recursive", "season")])
def test_a_series_may_be_shorter_than_what_is_looked_back_at(strategy, difference, count) -> None:
    own = {"horizon": 13, "centre": 4}
    model = untrained(Forecaster(**SMALL, **own), "elnino", choice=Choice(strategy, difference))
    assert model.encoding_.early > 30
    (flow,) = flows(model)
    values = 25 + RANDOM.normal(size=count).cumsum()
    table = pd.DataFrame({"temperature": values, "sold": values})
    made = model.predict(history=table[["temperature"]])["forecast"]
    if strategy == "direct":
        forecast = heard(flow, model, table, 0, count).outputs["forecast"][-1, 0]
    else:
        forecast = rolled(flow, model, pd.concat([table] * 13, ignore_index=True), 0, count, 13)
    np.testing.assert_allclose(forecast, made, **NEAR)


def test_what_no_step_can_say_of_a_forecast_is_refused() -> None:
    model, _ = forecaster(Choice("recursive", "last"), "", horizon=2, quantiles=(0.1, 0.9))
    with pytest.raises(InputError, match="sample paths"):
        flows(model)
    with pytest.raises(InputError, match="no part 'layers'"):
        flows(model, part="layers")
    model, _ = forecaster(Choice("recursive", "season"), "", horizon=2)
    model.context = 8
    with pytest.raises(InputError, match="25 rows back"):
        flows(model)


def test_generated_problems_and_bare_layers() -> None:
    module = make_layer(graph_of("indrnn"), SyntheticSetting(hidden_size=5))
    model = Adding(setting=SyntheticSetting()).encoding.model(module, SyntheticSetting(hidden_size=5)).eval()
    x = torch.rand(6, 2, 2)
    with torch.no_grad():
        wanted = model(Batch(x, x))[0].numpy()
    np.testing.assert_allclose(flows(model)[0].run({"x": x.numpy()}).outputs["y"], wanted, **NEAR)
    assert isinstance(flows(tg.nn.GRU(2, 3))[0], Flow)


def test_a_folder_is_a_model_and_anything_else_is_refused(tmp_path) -> None:
    untrained(Composer(**SMALL, nade_size=0), "jsb").save_pretrained(tmp_path / "m")
    (flow,) = flows(tmp_path / "m")
    assert flow.facts["task"] == "music"
    assert flow.facts["cell"] == "GRU"
    with pytest.raises(InputError, match="no part 'layers'"):
        flows(tmp_path / "m", part="layers")
    with pytest.raises(InputError, match="no trained model"):
        flows(7)
    with pytest.raises(InputError):
        flows(Composer())
