"""What an ONNX file says of itself, what is refused, and what its runtime is told."""

import json

import numpy as np
import pytest
import torch

import tidegate as tg
from tests.reference import shipped_onnx as shipped
from tests.unit.refusal import refused
from tidegate.errors import BackendError
from tidegate.ship.flow import Draft, Flow

onnx = pytest.importorskip("onnx", reason="it checks what has been written")
runtime = pytest.importorskip("onnxruntime", reason="shipped models are run by it")


def layer_of(cell="gru", **options):
    torch.manual_seed(0)
    return shipped.scaled(tg.nn.Recurrent(cell, 3, 4, **options))


def told(model):
    return {entry.key: entry.value for entry in model.metadata_props}


def held(model):
    """Constants by value, those of bodies too."""
    graphs = [model.graph, *(a.g for node in model.graph.node for a in node.attribute if a.name == "body")]
    arrays = [onnx.numpy_helper.to_array(tensor) for graph in graphs for tensor in graph.initializer]
    return {array.tobytes() for array in arrays if array.ndim > 1 and array.size > 8}


@pytest.mark.parametrize("opset", [15, 17, 18, 22, 26])
def test_every_opset_passes_the_checker_and_its_own_test(opset) -> None:
    for layer in (layer_of(), layer_of("slstm", layer_norm=True, bidirectional=True)):
        model = tg.ship.onnx(layer, opset=opset, reset=True)
        onnx.checker.check_model(model, full_check=True)
        assert model.opset_import[0].version == opset
        assert tg.ship.selftest(model) < 1e-5
    assert tg.ship.onnx(layer_of()).ir_version == 8


def test_a_file_says_what_it_is(tmp_path) -> None:
    layer = layer_of("fgr", num_layers=2)
    model = tg.ship.onnx(layer, tmp_path / "x.onnx")
    said = told(model)
    assert json.loads(said["tidegate.lowering"]) == ["scan: 5 states"] * 2
    assert said["tidegate.graph_hash"] == layer.graph.hash
    assert "tanh" in said["tidegate.equations"]
    assert json.loads(said["tidegate.states"])[1] == {"input": "state.0.c", "output": "next.0.c", "width": 4}
    assert tg.ship.selftest(tmp_path / "x.onnx") < 1e-5
    assert (tmp_path / "x.onnx").read_bytes() == model.SerializeToString()


def test_a_node_that_would_multiply_by_zeros_is_a_scan() -> None:
    for units, kind in ((64, "native"), (65, "scan")):
        model = tg.ship.onnx(tg.nn.Recurrent("mingru", 3, units).eval())
        assert shipped.lowerings(model)[0].startswith(kind)
        assert tg.ship.selftest(model) < 1e-5


class Long(tg.Cell):
    """Equations that nobody could read."""

    gates = "n"

    def step(self, x, h, U):
        n = x.n + U(h).n
        for _ in range(150):
            n = tg.tanh(n)
        return n


def test_equations_too_long_to_be_read_are_written_all_the_same() -> None:
    model = tg.ship.onnx(layer_of(Long))
    assert "operations" in told(model)["tidegate.equations"]
    assert tg.ship.selftest(model) < 1e-5


@pytest.mark.parametrize("cell", ["lstm", "janet"])
def test_a_model_of_a_step_has_the_same_weights(cell) -> None:
    layer = layer_of(cell, num_layers=2)
    whole, step = tg.ship.onnx(layer), tg.ship.onnx(layer, step=True)
    assert held(whole) == held(step)
    assert not [node for node in step.graph.node if node.op_type == "Scan"]
    assert tg.ship.selftest(step) < 1e-5


def test_inputs_that_must_be_given() -> None:
    model = tg.ship.onnx(layer_of(learn_initial_state=True), optional=False)
    assert not {value.name for value in model.graph.input} & {tensor.name for tensor in model.graph.initializer}
    assert tg.ship.selftest(model) < 1e-5


def test_a_wrong_runtime_fails_the_self_test() -> None:
    model = tg.ship.onnx(layer_of())

    def deaf(content, given):
        right = tg.ship.onnx(layer_of())
        return {output.name: np.zeros(4) for output in right.graph.output}

    def zeros(content, given):
        return {"y": np.zeros((4, 2, 4), np.float32), "next.0.h": np.zeros((2, 4), np.float32)}

    assert tg.ship.selftest(model, zeros) > 0.01
    with pytest.raises(BackendError, match="the runtime gave"):
        tg.ship.selftest(model, deaf)
    del model.metadata_props[:]
    refused("SHIP_SELFTEST", lambda: tg.ship.selftest(model))


def test_lengths_beyond_the_batch_are_an_error_and_not_an_answer() -> None:
    for cell in ("lstm", "fgr"):
        running = shipped.session(tg.ship.onnx(layer_of(cell)))
        x = np.zeros((3, 2, 3), np.float32)
        with pytest.raises(Exception, match=r"sequence_lens|invalid index"):
            running.run(None, {"x": x, "lengths": np.array([3, 4])})
        assert np.isfinite(running.run(None, {"x": np.full_like(x, np.nan), "lengths": np.array([0, 0])})[0]).all()


def windowed() -> Flow:
    draft = Draft("lags")
    x = draft.input("x", 1, "a number")
    draft.output("y", draft.add("window", x, rows=3, before="first"), "the last three")
    return draft.flow()


@pytest.mark.parametrize(
    ("code", "call"),
    [
        ("SHIP_DTYPE", lambda: tg.ship.onnx(layer_of().double())),
        ("SHIP_STEP", lambda: tg.ship.onnx(layer_of(bidirectional=True), step=True)),
        ("SHIP_STEP", lambda: tg.ship.onnx(Flow.of(layer_of(bidirectional=True)), step=True)),
        ("SHIP_OPSET", lambda: tg.ship.onnx(layer_of(), opset=7)),
        ("SHIP_RESET", lambda: tg.ship.onnx(windowed(), reset=True)),
        ("SHIP_MODEL", lambda: tg.ship.onnx(torch.nn.Linear(2, 3))),
    ],
)
def test_what_cannot_be_written_is_refused(code, call) -> None:
    refused(code, call)


def every_operation() -> Flow:
    """A flow with each operation of the table, and one with symbols."""
    draft = Draft("all")
    x, s = draft.input("x", 4, "numbers"), draft.input("s", 2, "symbols", limit=5)
    table = np.arange(20.0).reshape(5, 4) / 10
    hidden = draft.recurrent(x + draft.add("embed", s, table=table), layer_of_width(4), name="layer")
    y = draft.add("linear", draft.add("concat", hidden, 0.5, x[:1]), weight=np.ones((2, 3)) / 3, blocks=2)
    y = y * draft.add("wave", x[1]) - draft.add("number", s[:1]) / 3.0
    y = draft.add("maximum", draft.add("minimum", y, 2.0), -2.0)
    y = draft.add("log", draft.add("exp", draft.add("tanh", y))) + draft.add("relu", y) + draft.add("sigmoid", y)
    y = draft.add("concat", y, draft.add("window", y, rows=2, before=0.25))
    y = draft.add("softmax", y, blocks=2) + draft.add("sort", y, blocks=3)
    draft.output("total", draft.add("sum", y) / draft.add("sum", 1.0), "the mean so far", last=True)
    draft.output("highest", draft.add("highest", y), "the highest so far")
    draft.output("x", draft.add("window", x, rows=3, before="first"), "has the name of an input")
    return draft.flow()


def layer_of_width(width):
    torch.manual_seed(0)
    return tg.nn.LSTM(width, 4, num_layers=2, learn_initial_state=True).eval()


def test_every_operation_of_a_flow() -> None:
    flow, rng = every_operation(), np.random.default_rng(0)
    running = shipped.session(tg.ship.onnx(flow))
    inputs = {"x": rng.standard_normal((6, 3, 4)).astype(np.float32), "s": rng.integers(0, 5, (6, 3, 2))}
    assert shipped.flow_error(flow, running, inputs, None, None, flow.run(inputs)) < 1e-5
    lengths = [6, 0, 2]
    first = flow.run(inputs, lengths)
    inputs["s"][3:, 2] = 99  # padding may be anything
    inputs["x"][3:, 2] = np.nan
    states = {name: value.astype(np.float32) for name, value in first.states.items()}
    assert shipped.flow_error(flow, running, inputs, lengths, states, flow.run(inputs, lengths, states)) < 1e-5
    nothing = {name: value[:0] for name, value in inputs.items()}
    assert shipped.flow_error(flow, running, nothing, None, states, flow.run(nothing, None, states)) < 1e-5
    inputs["s"][0, 0, 0] = -1
    with pytest.raises(Exception, match=r"out of data bounds|indices"):
        shipped.flow_error(flow, running, inputs, lengths, None, first)


def test_a_flow_walks_step_by_step_and_is_reset() -> None:
    flow, rng = every_operation(), np.random.default_rng(0)
    running = shipped.session(tg.ship.onnx(flow, step=True, reset=True))
    names = [output.name for output in running.get_outputs()]
    inputs = {"x": rng.standard_normal((6, 2, 4)).astype(np.float32), "s": rng.integers(0, 5, (6, 2, 2))}
    states, rows = {}, []
    for k in range(6):
        given = {name: value[k] for name, value in inputs.items()} | {"reset": np.array([k == 4, False])}
        got = dict(zip(names, running.run(None, given | states), strict=True))
        states = {f"state.{state.name}": got[f"next.{state.name}"] for state in flow.states}
        rows.append(got)
    fresh, whole = flow.run({name: value[4:] for name, value in inputs.items()}), flow.run(inputs)
    for at, answer, sequence in ((0, fresh, 0), (1, whole, 1)):
        np.testing.assert_allclose(rows[5]["total"][at], answer.outputs["total"][sequence], atol=1e-5)
        np.testing.assert_allclose(rows[5]["highest"][at], answer.outputs["highest"][-1, sequence], atol=1e-5)
        np.testing.assert_allclose(rows[5]["next.x"][at], answer.outputs["x"][-1, sequence], atol=1e-5)


def test_names_inside_a_running_maximum_are_those_of_nothing_else() -> None:
    draft = Draft("named")
    x = draft.input("x", 1, "a number")
    draft.output("row", draft.add("highest", x) + draft.constant([1.0, 2.0]), "the highest so far, and more")
    draft.output("before", draft.add("highest", x * 2.0), "the highest so far")
    flow, inputs = draft.flow(), {"x": np.random.default_rng(0).standard_normal((6, 3, 1)).astype(np.float32)}
    running = shipped.session(tg.ship.onnx(flow))
    assert shipped.flow_error(flow, running, inputs, [6, 0, 2], None, flow.run(inputs, [6, 0, 2])) < 1e-5
