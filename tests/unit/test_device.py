"""Layers on other devices than the CPU: the path that they take there, forced on the CPU, and its choice on meta."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import tidegate as tg
from tidegate.errors import InputError
from tidegate.nn import device, recurrent
from tidegate.runtime import Steps, eager_only

T, B, I, H = 7, 5, 3, 4
PLAIN = {
    "lstm": lambda **options: tg.nn.LSTM(I, H, dtype=torch.float64, **options),
    "gru": lambda **options: tg.nn.GRU(I, H, dtype=torch.float64, **options),
    "rnn": lambda **options: tg.nn.RNN(I, H, dtype=torch.float64, **options),
    "relu": lambda **options: tg.nn.RNN(I, H, nonlinearity="relu", dtype=torch.float64, **options),
    "by name": lambda **options: tg.nn.Recurrent("gru", I, H, dtype=torch.float64, **options),
    "projected": lambda **options: tg.nn.LSTM(I, 6, proj_size=H, dtype=torch.float64, **options),
}
LAYOUTS = ("full", "ragged", "resets", "ragged with resets", "packed", "empty")
LENGTHS = [3, 0, 7, 5, 1]


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes layers on the CPU run as on another device."""

    def force() -> None:
        for module in (device, recurrent):
            monkeypatch.setattr(module, "is_elsewhere", lambda _: True)

    return force


def results(layer: tg.nn.Recurrent, layout: str, *, given: bool) -> list[torch.Tensor]:
    """Output, last states and all gradients of a call that is the same for the same arguments."""
    torch.manual_seed(1)
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    runs = layer.num_layers * (1 + layer.bidirectional)
    states = [
        torch.randn(runs, B, width, dtype=torch.float64, requires_grad=True) for width in layer.cells[0].state_widths
    ]
    hx = None if not given else states[0] if len(states) == 1 else tuple(states)
    marks = torch.rand(T, B) < 0.3
    more: dict[str, Any] = {"reset": marks} if "resets" in layout else {}
    if "ragged" in layout:
        more["lengths"] = LENGTHS
    elif layout == "empty":
        more["lengths"] = [0] * B
    read = pack_padded_sequence(x, [3, 2, 7, 5, 1], enforce_sorted=False) if layout == "packed" else x
    output, last = layer(read, hx, **more)
    output = output.data if isinstance(output, PackedSequence) else output
    values = [output, *(last if isinstance(last, tuple) else (last,))]
    loss = sum((value * torch.randn_like(value)).sum() for value in values)
    wanted = [x, *states, *layer.parameters()]
    gradients = torch.autograd.grad(loss, wanted, allow_unused=True) if loss.requires_grad else [None] * len(wanted)
    zeros = (torch.zeros_like(tensor) for tensor in wanted)
    return [*values, *(zero if own is None else own for own, zero in zip(gradients, zeros, strict=True))]


def assert_equal(got: list[torch.Tensor], wanted: list[torch.Tensor]) -> None:
    for own, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", PLAIN)
def test_torchs_function_computes_what_the_engine_does(kind: str, layout: str, forced: Any) -> None:
    torch.manual_seed(0)
    layers = [
        PLAIN[kind](num_layers=1, bidirectional=True, bias=False),
        PLAIN[kind](num_layers=2),
        PLAIN[kind](num_layers=2, bidirectional=True),
    ]
    fused = [results(layer, layout, given=k > 0) for k, layer in enumerate(layers)]
    assert {layer.last_path for layer in layers} == {"fused"}
    forced()
    for k, layer in enumerate(layers):
        assert_equal(results(layer, layout, given=k > 0), fused[k])
        assert layer.last_path == "torch: device is cpu"


def test_whole_stacks_are_one_call(forced: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for resets in two directions, which cut the sequences differently in each."""
    shapes = []
    original = device.run
    monkeypatch.setattr(device, "run", lambda *args: shapes.append(args[-1]) or original(*args))
    forced()
    layer = PLAIN["lstm"](num_layers=3, bidirectional=True, dropout=0.5)
    results(layer, "ragged", given=True)
    layer.eval()
    results(layer, "ragged", given=True)
    results(layer, "resets", given=True)
    assert shapes == [(3, 2, 0.5), (3, 2, 0.0), (1, 2, 0.0), (1, 2, 0.0), (1, 2, 0.0)]


def test_dropout_and_options_of_weights(forced: Any) -> None:
    """Torch draws dropout as for torch.nn; a generator of one's own draws it between layers, as on the CPU."""
    x = torch.randn(T, B, I, dtype=torch.float64)
    stacked = PLAIN["gru"](num_layers=2, dropout=0.5)
    dropped = PLAIN["gru"](num_layers=2, weight_dropout=0.5, input_dropout=0.2)
    ours = [layer(x, generator=torch.Generator().manual_seed(3)) for layer in (stacked, dropped)]
    forced()
    again = [layer(x, generator=torch.Generator().manual_seed(3)) for layer in (stacked, dropped)]
    torch.testing.assert_close(again, ours)
    assert stacked.last_path == dropped.last_path == "torch: device is cpu"
    twin = torch.nn.GRU(I, H, 2, dropout=0.5, dtype=torch.float64)
    twin.load_state_dict(stacked.state_dict())
    torch.manual_seed(4)
    expected = twin(x)
    torch.manual_seed(4)
    torch.testing.assert_close(stacked(x), expected, rtol=0, atol=0)


@pytest.mark.parametrize("layer", [
    tg.nn.GRU(I, H, reset="before"),
    tg.nn.GRU(I, H, update="write"),
    tg.nn.LSTM(I, H, zoneout=0.1),
    tg.nn.LSTM(I, H, layer_norm=True),
    tg.nn.PeepholeLSTM(I, H),
    tg.nn.Recurrent("mgu", I, H),
], ids=str)  # fmt: skip
def test_what_torch_lacks_runs_by_its_definition(layer: tg.nn.Recurrent) -> None:
    layer = layer.to("meta")
    layer(torch.zeros(T, B, I, device="meta"))
    assert layer.last_path == "eager: device is meta"
    with tg.strict(), pytest.raises(InputError, match="device is meta"):
        layer(torch.zeros(T, B, I, device="meta"))


def test_resets_to_learned_states_run_by_the_definition() -> None:
    layer = tg.nn.LSTM(I, H, learn_initial_state=True, device="meta")
    x = torch.zeros(T, B, I, device="meta")
    layer(x)
    assert layer.last_path == "torch: device is meta"
    layer.trace(x)
    layer(x, reset=torch.zeros(T, B, dtype=torch.bool, device="meta"))
    assert layer.last_path == "eager: device is meta"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", PLAIN)
def test_plain_layers_on_another_device_take_torchs_function(kind: str, dtype: torch.dtype) -> None:
    layer = PLAIN[kind](num_layers=2, bidirectional=True).to("meta", dtype)
    x = torch.zeros(T, B, I, device="meta", dtype=dtype)
    for more in ({}, {"lengths": LENGTHS}):
        with tg.strict():
            y, _ = layer(x, **more)
        assert (y.device.type, y.dtype, tuple(y.shape)) == ("meta", dtype, (T, B, 2 * H))
        assert layer.last_path == "torch: device is meta"
    with eager_only():
        layer(x)
    assert layer.last_path == "eager: eager_only is on"
    layer.trace(x)
    assert layer.last_path == "eager: device is meta"


def test_wrong_parameters_are_named(forced: Any) -> None:
    forced()
    layer = PLAIN["lstm"](num_layers=2)
    layer.weight_hh_l1 = torch.nn.Parameter(torch.zeros(3, 3, dtype=torch.float64))
    with pytest.raises(InputError, match="weight_hh_l1 has the shape"):
        layer(torch.zeros(T, B, I, dtype=torch.float64))


def test_modes_are_those_of_torch() -> None:
    """By ``mode`` torch finds the layout of weights that cuDNN reads."""
    for kind, mode in zip(PLAIN, ("LSTM", "GRU", "RNN_TANH", "RNN_RELU", "GRU", "LSTM"), strict=True):
        layer = PLAIN[kind]()
        assert layer.mode == mode
        assert [tuple(w.shape) for w in layer._flat_weights] == [tuple(p.shape) for p in layer.parameters()]


def test_pieces_between_resets() -> None:
    steps = Steps(np.array([2, 2, 1]))  # rows: a0 b0 a1 b1 a2
    resets = np.array([False, True, False, False, True])
    pieces = device.Pieces.between(steps, resets, 3, reverse=False)
    assert pieces.steps.sizes.tolist() == [3, 2]  # a0 a1, b0 b1, a2
    assert pieces.order.tolist() == [0, 1, 4, 2, 3]
    assert pieces.begins.tolist() == [0, 3, 3]
    assert pieces.ends.tolist() == [2, 1, 3 + 2]
    back = device.Pieces.between(steps, resets, 3, reverse=True)
    assert back.steps.sizes.tolist() == [3, 1, 1]  # a2 a1 a0, b1, then after its reset b0
    assert back.begins.tolist() == [3, 1, 3]


@pytest.mark.parametrize(("more", "runs"), [({}, 2), ({"lengths": torch.tensor(LENGTHS)}, 1)], ids=["even", "ragged"])
def test_the_operation_runs_torchs_function(more: Any, runs: int, forced: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under torch's compilers: forward, and for gradients again, by the definition where sequences are ragged."""
    layer, original, calls = PLAIN["gru"](bidirectional=True), device.run, []
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)

    def gradients() -> list[torch.Tensor]:
        return [*torch.autograd.grad(sum(v.sin().sum() for v in layer(x, **more)), [x, *layer.parameters()])]

    monkeypatch.setattr(recurrent, "wants_operator", lambda: True)
    wanted = gradients()
    forced()
    monkeypatch.setattr(device, "run", lambda *args: calls.append(1) or original(*args))
    assert_equal(gradients(), wanted)
    assert len(calls) == runs
