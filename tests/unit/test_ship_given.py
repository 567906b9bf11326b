"""What a cell reads beside its input, in files: ONNX, C, flows."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

import tidegate as tg
from tests.reference.given import Timed
from tests.unit.test_ship_c import compiled, floats, library
from tidegate.errors import EmitError
from tidegate.ship.flow import Flow

T, I, H = 6, 3, 5


def layer_of(**arguments):
    torch.manual_seed(0)
    return tg.nn.Recurrent(Timed, I, arguments.pop("hidden", H), **arguments).eval()


def by_definition(layer, x, given):
    """The output in float64, of one sequence [T, width]."""
    exact = deepcopy(layer).double()
    with torch.no_grad(), tg.runtime.eager_only():
        return exact(x.double(), given={name: value.double() for name, value in given.items()})[0].numpy()


def sequence():
    torch.manual_seed(1)
    return torch.randn(T, I), {"dt": torch.rand(T, 1), "m": (torch.rand(T, I) > 0.4).float()}


@pytest.mark.parametrize(
    "arguments", [{}, {"bidirectional": True, "batch_first": True}, {"num_layers": 2, "hidden": I}], ids=str
)
def test_onnx_reads_them_by_name(arguments) -> None:
    pytest.importorskip("onnxruntime", reason="shipped models are run by it")
    layer = layer_of(**arguments)
    model = tg.ship.onnx(layer, reset=True)
    assert {"given.dt", "given.m"} < {one.name for one in model.graph.input}
    assert tg.ship.selftest(model) < 1e-6
    if not layer.bidirectional:
        assert tg.ship.selftest(tg.ship.onnx(layer, step=True)) < 1e-6


@compiled
def test_c_reads_them_behind_the_features(tmp_path) -> None:
    layer, (x, given) = layer_of(), sequence()
    source = tg.ship.c(layer, "timed")
    assert "A row of x holds, one behind the other: x [3], dt [1], m [3]." in source.header
    timed = library(source, tmp_path)
    assert timed.timed_selftest() == 0
    rows, y = torch.cat([x, *given.values()], -1).numpy(), np.zeros((T, H), np.float32)
    state = np.zeros(H + I, np.float32)
    timed.timed_block(floats(state), floats(rows), floats(y), T)
    assert np.abs(y - by_definition(layer, x, given)).max() < 1e-6
    assert library(tg.ship.c(layer_of(bidirectional=True), "both"), tmp_path).both_selftest() == 0


@compiled
def test_flows_have_them_as_inputs(tmp_path) -> None:
    layer, (x, given) = layer_of(), sequence()
    flow = Flow.of(layer, name="flow")
    answer = flow.run({"x": x[:, None], **{name: value[:, None] for name, value in given.items()}})
    assert np.abs(answer.outputs["y"][:, 0] - by_definition(layer, x, given)).max() < 1e-12
    assert library(tg.ship.c(flow, "flow"), tmp_path).flow_selftest() == 0
    pytest.importorskip("onnxruntime", reason="shipped models are run by it")
    assert max(tg.ship.selftest(tg.ship.onnx(flow, step=step)) for step in (False, True)) < 1e-6


def test_what_holds_no_second_input_refuses_it_by_name() -> None:
    with pytest.raises(EmitError, match="layers of Timed above the first read dt and m beside"):
        tg.ship.c(layer_of(num_layers=2, hidden=I), "timed")
    with pytest.raises(EmitError, match="Timed reads dt and m beside its input, for which whole numbers"):
        tg.ship.quantise(layer_of(), torch.randn(T, 2, I))
    with pytest.raises(EmitError, match="RTNeural has no cell that computes Timed"):
        tg.ship.rtneural(layer_of(), torch.nn.Linear(H, 1))
