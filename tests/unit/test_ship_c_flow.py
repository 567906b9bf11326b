"""C of flows: compiled here, it answers what the float64 reference of the flow answers."""

from __future__ import annotations

import ctypes
import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tidegate as tg
from tests.unit.test_ship_c import FLAGS, compiled, library
from tests.unit.test_ship_kind import SERIES, SMALL, forecaster, untrained
from tidegate.errors import InputError
from tidegate.ship.flow import OPS, Draft, Flow
from tidegate.tasks import Forecaster, LanguageModel, SequenceClassifier, Transcriber
from tidegate.tasks.forecast.learn import Choice

RANDOM = np.random.default_rng(0)
STEPS = 12
EXAMPLES = Path(__file__).parents[2] / "examples"


def structure(flow: Flow, group) -> type[ctypes.Structure]:
    """The structure of the inputs or outputs, as the header has it."""
    fields = []
    for one in group:
        kind = getattr(one, "kind", None) or flow.kinds[one.node]
        number = ctypes.c_int32 if kind.dtype == "int" else ctypes.c_float
        fields.append((one.name, number * kind.width if kind.width > 1 else number))
    return type("Structure", (ctypes.Structure,), {"_fields_": fields})


def steps(flow: Flow, inputs: dict[str, np.ndarray], folder: Path) -> dict[str, np.ndarray]:
    """What the C of a flow answers to inputs [T, width], step by step."""
    c = library(tg.ship.c(flow, "model"), folder)
    assert c.model_selftest() == 0
    into, out = structure(flow, flow.inputs)(), structure(flow, flow.outputs)()
    size = 8 * len(flow.states) + 8 * sum(state.first.size + flow.kinds[state.node].width for state in flow.states)
    state = ctypes.create_string_buffer(size + 64)
    c.model_reset(state)
    made = {one.name: [] for one in flow.outputs}
    rows = []
    for t in range(len(next(iter(inputs.values())))):
        for one in flow.inputs:
            row = inputs[one.name][t].tolist()
            setattr(into, one.name, row[0] if one.kind.width == 1 else type(getattr(into, one.name))(*row))
        rows.append(bytes(into))
        c.model_step(state, ctypes.byref(into), ctypes.byref(out))
        for name, values in made.items():
            values.append(np.atleast_1d(np.array(getattr(out, name))))
    whole = (ctypes.c_char * (len(rows) * ctypes.sizeof(out)))()
    c.model_reset(state)
    c.model_block(state, b"".join(rows), whole, ctypes.c_size_t(len(rows)))
    assert bytes(whole)[-ctypes.sizeof(out) :] == bytes(out)
    return {name: np.stack(values) for name, values in made.items()}


def check(flow: Flow, folder: Path, near: float = 1e-5, **given: np.ndarray) -> None:
    """The C answers what the flow does, to drawn inputs."""
    inputs = {}
    for one in flow.inputs:
        shape = (STEPS, one.kind.width)
        if one.limit:
            inputs[one.name] = RANDOM.integers(0, one.limit, shape)
        else:
            mean, sd = np.array(one.mean or 0.0), np.array(one.sd or 1.0)
            inputs[one.name] = (mean + sd * RANDOM.normal(size=shape)).astype(np.float32)
    inputs |= given
    made = steps(flow, inputs, folder)
    lasts = [one.name for one in flow.outputs if one.last]
    for t in range(STEPS) if lasts else [STEPS - 1]:
        wanted = flow.run({name: value[: t + 1, None] for name, value in inputs.items()}).outputs
        for name, value in wanted.items():
            own = made[name][t : t + 1] if name in lasts else made[name][: t + 1]
            right = value if name in lasts else value[:, 0]
            np.testing.assert_allclose(own, right, rtol=near, atol=near * max(1.0, np.abs(right).max()))


def all_operations() -> Flow:
    """A flow with every operation, in blocks and without, of one number and of several."""
    draft = Draft("everything")
    x, one = draft.input("double", 6, "numbers"), draft.input("k", 1, "a number")
    symbol, more = draft.input("state", 1, "a symbol", limit=5), draft.input("many", 3, "symbols", limit=4)
    draft.again |= {"double": "double", "k": 1.0}
    ups = [draft.add(op, x) for op in ("tanh", "sigmoid", "relu", "wave", "softmax", "sort")]
    draft.output("double", ups[0], "its name is a word of C")
    draft.output("pointwise", draft.concat(*ups, draft.add("exp", one), draft.add("log", x * x + 0.5)), "pointwise")
    pairs = [x + one, one - x, x * x[::-1], x / (one * one + 1.0), draft.add("minimum", x, one)]
    draft.output("pairs", draft.concat(*pairs, draft.add("maximum", x, [0.1, 0.2, -0.3, 0.4, 0.5, -0.6])), "of two")
    places = [x[1:4], x[::2], x[(3, 3, 1, 1)], x[(0, 1, 0, 1)], x[(5, 0, 3)], x[5], one[(0, 0)], (x + 1.0)[(2, 2, 4)]]
    draft.output("places", draft.concat(*places), "other orders")
    table = RANDOM.normal(size=(5, 3))
    draft.output("looked_up", draft.add("embed", symbol, table=table), "a row")
    draft.output("number", draft.add("embed", symbol, table=table[:, :1]) + draft.add("number", symbol), "a number")
    summed = draft.add("embed", more, table=table[:4]) + draft.add("number", more[(2, 1, 0)])
    draft.output("summed", summed, "rows")
    blocks = [
        draft.add("linear", x, weight=RANDOM.normal(size=(2, 3)), bias=RANDOM.normal(size=2), blocks=2),
        draft.add("linear", x * 2.0, weight=RANDOM.normal(size=(1, 6))),
        draft.add("linear", one, weight=RANDOM.normal(size=(2, 1))),
        draft.add("softmax", x, blocks=2),
        draft.add("sort", x, blocks=3),
        draft.add("linear", x, weight=RANDOM.normal(size=(2, 2)), blocks=3),
    ]
    draft.output("blocks", draft.concat(*blocks), "in blocks")
    remembered = [
        draft.window(x, 3),
        draft.window(one, 4, 0.5),
        draft.window(one * 2.0, 2),
        draft.add("sum", x),
        draft.add("sum", 1.0),
        draft.add("highest", one),
        draft.recurrent(x, tg.nn.LSTM(6, 3, 2, learn_initial_state=True), "first"),
        draft.recurrent(draft.concat(x[:2], one), tg.nn.GRU(3, 2), "second"),
    ]
    draft.output("remembered", draft.concat(*remembered), "what remembers", last=True)
    return draft.flow()


@compiled
def test_every_operation_is_written_as_c(tmp_path) -> None:
    flow = all_operations()
    assert {node.op for node in flow.nodes} == set(OPS)
    check(flow, tmp_path)


def classifier():
    own = {"pooling": "attention", "bidirectional": False, "frame": 4, "test_share": 0}
    return untrained(SequenceClassifier(**SMALL, **own), SERIES, [k % 3 for k in range(24)])


DIRECT = {"horizon": 6, "quantiles": (0.1, 0.25, 0.9), "centre": 3}
TASKS = {
    "direct forecast": lambda: forecaster(Choice("direct", "season"), "effect spread", **DIRECT)[0],
    "recursive forecast": lambda: forecaster(Choice("recursive", "linear"), "", horizon=5, logarithm="yes")[0],
    "series": classifier,
    "speech": lambda: untrained(Transcriber(**SMALL, streaming=True, stack=2), "fsdd"),
    "language": lambda: untrained(LanguageModel(**SMALL, embedding_size=5, tied=True, layers=2), "shakespeare"),
}


@compiled
@pytest.mark.parametrize("task", TASKS)
def test_models_of_tasks_are_written_as_c(task, tmp_path) -> None:
    (flow,) = tg.ship.flows(TASKS[task]())
    given = {"rolling": np.repeat([0.0, 1.0], STEPS // 2)[:, None]} if task == "recursive forecast" else {}
    check(flow, tmp_path, **given)


@compiled
def test_layers_begin_again_alone_and_symbols_out_of_range_change_nothing(tmp_path) -> None:
    draft = Draft("two")
    x, symbol = draft.input("x", 2, "numbers"), draft.input("s", 1, "a symbol", limit=3)
    hidden = draft.recurrent(x, tg.nn.GRU(2, 3))
    draft.output("both", draft.concat(hidden, draft.add("sum", x), draft.add("number", symbol)), "both")
    flow = draft.flow()
    c = library(tg.ship.c(flow, "model"), tmp_path)
    into, out = structure(flow, flow.inputs)(), structure(flow, flow.outputs)()
    state = ctypes.create_string_buffer(64)
    c.model_reset(state)
    into.x[0], into.s = 1.0, 2

    def answer():
        assert c.model_step(state, ctypes.byref(into), ctypes.byref(out)) == 0
        return np.array(out.both)

    first = answer()
    second = answer()
    c.model_reset_layer(state)
    third = answer()
    assert not np.array_equal(first[:3], second[:3])
    np.testing.assert_array_equal(first[:3], third[:3])
    np.testing.assert_array_equal(third[3:], [3, 0, 2])
    before = bytes(state)
    for symbol_out in (3, -1):
        into.s = symbol_out
        assert c.model_step(state, ctypes.byref(into), ctypes.byref(out)) == 2
    assert bytes(state) == before


def program(source: tg.ship.Source, example: str, folder: Path) -> Path:
    """A program of the examples, compiled with the C of a model."""
    source.write(folder)
    made = [str(folder / f"{source.name}.o"), str(folder / "program")]
    compiler, standard = ("g++", "-std=c++11") if example.endswith("pp") else ("gcc", "-std=c99")
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    model = ["gcc", *FLAGS, "-c", str(folder / f"{source.name}.c"), "-o", made[0]]
    own = [compiler, standard, "-Wall", "-Wextra", "-Werror", f"-I{folder}", str(EXAMPLES / example), *made[:1]]
    for command in (model, [*own, "-o", made[1]]):
        subprocess.run(command, check=True)
    return Path(made[1])


def said(program: Path, numbers: np.ndarray) -> list[list[str]]:
    text = "\n".join(map(repr, numbers.ravel().tolist()))
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


@compiled
def test_the_program_in_c_forecasts_what_the_estimator_forecasts(tmp_path) -> None:
    own = {"horizon": 12, "strategy": "direct", "logarithm": "no"}
    model = untrained(Forecaster(**SMALL, **own), "elnino", choice=Choice("direct", "season"))
    model.model_.share.fill_(0.5)
    forecast = program(tg.ship.c(tg.ship.flows(model)[0], "elnino"), "forecast.c", tmp_path)
    rows = pd.read_csv(io.StringIO(model.memory_["history"]))["temperature"].to_numpy()
    assert len(rows) > model.context
    printed = [float(value) for _, value in said(forecast, rows)]
    np.testing.assert_allclose(printed, model.predict()["forecast"], rtol=1e-5)


@compiled
def test_the_program_in_c_plus_plus_classifies_what_the_estimator_classifies(tmp_path) -> None:
    model = classifier()
    classify = program(tg.ship.c(tg.ship.flows(model)[0], "series"), "classify.cpp", tmp_path)
    for values, chances in zip(SERIES[:3], model.predict_proba(SERIES[:3]), strict=True):
        ((label, chance),) = said(classify, values)
        assert label == str(chances.argmax())
        assert float(chance) == pytest.approx(chances.max(), rel=1e-5)


def test_what_reads_from_the_end_is_refused() -> None:
    with pytest.raises(InputError, match="no steps"):
        tg.ship.c(Flow.of(tg.nn.GRU(2, 3, bidirectional=True)), "both")


def test_labels_are_strings_of_c() -> None:
    draft = Draft("labelled")
    x = draft.input("x", 3, "a comment that would end: */")
    draft.output("y", x, "the same", labels=['a"b\\', "Grüße?", "ends \n"])
    source = tg.ship.c(draft.flow(), "model")
    assert (
        'model_y_labels[3] = {\n    "a\\042b\\134",\n    "Gr\\303\\274\\303\\237e\\077",\n    "ends \\012"'
        in source.body
    )
    assert "would end: * /" in source.header
