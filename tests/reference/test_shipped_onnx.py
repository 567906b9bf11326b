"""Every cell as an ONNX model, in onnxruntime, against its equations in float64."""

import numpy as np
import pytest
import torch

import tidegate as tg
from tests.reference import shipped_onnx as shipped
from tests.sample import ALONE, VARIED
from tidegate import sigmoid, tanh, zoo
from tidegate.ship.onnx.form import Form, form_of

pytest.importorskip("onnxruntime", reason="shipped models are run by it")

NATIVE = {
    *("rnn", "rnn/relu", "lstm", "peepholelstm", "gru", "gru/write", "gru/before", "gru/before/write", "lstm1997"),
    *("v", "nig", "nfg", "nog", "niaf", "noaf", "cifg", "np", "mgu", "janet", "ligru", "ugrnn", "mut1", "mut2"),
    *("indrnn", "mingru", "minlstm", "qrnn", "ran", "atr", "lightru", "minimalrnn", "miru1", "miru2"),
    *("antisymmetricrnn", "gatedantisymmetricrnn"),
}
OPTIONS = [
    {"layer_norm": True},
    {"state_clip": 0.2},
    {"zoneout": 0.3},
    {"learn_initial_state": True},
    {"heads": 3},
    {"layer_norm": True, "state_clip": {"c": 0.3}, "zoneout": {"h": 0.2}, "learn_initial_state": True},
]
CLOSE = 1e-5


def layer_of(cell, **options):
    torch.manual_seed(0)
    graph = zoo.graph_of(cell)
    return shipped.scaled(tg.nn.Recurrent(cell, 6 if graph.input_axis == "H" else 5, 6, **options))


def worst(layer, rng=None, **writing):
    """The largest error over ragged, empty and full batches, with and without given states."""
    rng = rng or np.random.default_rng(0)
    running, off = shipped.session(tg.ship.onnx(layer, **writing)), 0.0
    for T, lengths, states in ((9, None, False), (7, [0, 7, 1], True), (1, [1, 0], False), (0, None, True)):
        B, ragged = 2 if lengths is None else len(lengths), writing.get("lengths", True)
        given, resets = lengths if ragged else None, writing.get("reset", False)
        call = shipped.drawn(layer, rng, T, B, lengths=given, states=states, resets=resets)
        off = max(off, shipped.error(layer, running, call))
    return off


@pytest.mark.parametrize(
    ("cell", "native"), [(cell, native) for cell in ALONE for native in (True, False) if native or cell in VARIED]
)
def test_every_cell_of_the_zoo(cell, native) -> None:
    layer = layer_of(cell, bidirectional=True)
    assert worst(layer, native=native) < CLOSE
    assert (isinstance(form_of(layer.graph), Form)) == (cell in NATIVE)


@pytest.mark.parametrize("cell", ["lstm", "gru/write", "mgu", "slstm"])
def test_stacks_batch_first_without_bias_and_with_resets(cell) -> None:
    assert worst(layer_of(cell, num_layers=2, bidirectional=True, batch_first=True, bias=False)) < CLOSE
    assert worst(layer_of(cell, num_layers=2, bidirectional=True), reset=True) < CLOSE
    assert worst(layer_of(cell), lengths=False) < CLOSE


@pytest.mark.parametrize("options", OPTIONS)
def test_options(options) -> None:
    layer = layer_of("lstm", bidirectional=True, **options)
    assert worst(layer) < CLOSE
    assert worst(layer, reset=True) < CLOSE


def test_means_of_the_input_alone_where_there_is_no_step() -> None:
    assert worst(layer_of("minlstm", layer_norm=True, bidirectional=True)) < CLOSE


def test_projection() -> None:
    assert worst(layer_of("lstm", proj_size=3, num_layers=2, bidirectional=True)) < CLOSE


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("cell", ["lstm", "janet", "mut1", "fgr", "slstm", "adaptivescrn"])
def test_a_model_of_a_step_walks_through_the_sequence(cell, native) -> None:
    layer = layer_of(cell, num_layers=1 if zoo.find(cell).graph.input_axis == "H" else 2, learn_initial_state=True)
    rng = np.random.default_rng(0)
    call = shipped.drawn(layer, rng, 5, 2, resets=True)
    running = shipped.session(tg.ship.onnx(layer, step=True, reset=True, native=native))
    answers = [output.name for output in running.get_outputs()]
    states, rows = {}, []
    for x, reset in zip(call.x, call.reset, strict=True):
        got = dict(zip(answers, running.run(None, {"x": x, "reset": reset, **states}), strict=True))
        rows.append(got.pop("y"))
        states = {name.replace("next", "state"): value for name, value in got.items()}
    ends = {name.replace("state", "next"): value for name, value in states.items()}
    assert shipped.difference({"y": np.stack(rows), **ends}, shipped.exact(layer, call)) < CLOSE


# Own cells: the equations count, not the names.


class Odd(tg.Cell):
    """A GRU whose reset gate acts before, in other words, other names and another order."""

    gates = "w q m"
    state = "s"
    matrices = {"A": "q m", "C": "w"}
    biases = "W"

    def step(self, x, s, A, C):
        q = sigmoid(A(s).q - -x.q)
        w = sigmoid(C(s).w + x.w)
        m = tanh(A(q * s).m + 1 + x.m)
        return s + (m - s) * w


class Leaky(tg.Cell):
    """A simple network that moves a tenth of the way, and reads its input as it is."""

    gates = "n"
    input = "H"
    biases = "W"
    vectors = "a"

    def step(self, x, h, U, a):
        n = tanh(x.n + U(h).n + 0.5 * x.raw * x.raw + a * h)
        return 0.9 * h + 0.1 * n


class HardLSTM(tg.Cell):
    """Keras 2's hard sigmoid, a leaky relu and a softsign."""

    gates = "i f g o"
    state = "h c"
    vectors = "p_i"

    def step(self, x, h, c, U, p):
        def hard(v):
            return tg.maximum(tg.minimum(0.2 * v + 0.5, 1.0), 0.0)

        i = hard(x.i + U(h).i + p.i * c)
        f = hard(x.f + U(h).f)
        g = tg.maximum(x.g + U(h).g, 0.25 * (x.g + U(h).g))
        o = hard(x.o + U(h).o)
        c = c * f + g * i
        h = o * (c / (1 + tg.maximum(c, -c)))
        return h, c


class TwoScales(tg.Cell):
    """Almost a GRU: its gates do not add up to one."""

    gates = "z n"

    def step(self, x, h, U):
        z = sigmoid(x.z + U(h).z)
        n = tanh(x.n + U(h).n)
        return z * h + (1 - sigmoid(2 * (x.z + U(h).z))) * n


class MixedGates(tg.Cell):
    """Its gates have two activations, which no node has."""

    gates = "i f g"
    state = "h c"

    def step(self, x, h, c, U):
        i = tg.relu(x.i + U(h).i)
        f = sigmoid(x.f + U(h).f)
        g = tanh(x.g + U(h).g)
        c = f * c + i * g
        h = tanh(c)
        return h, c


class Swish(tg.Cell):
    """A candidate that ONNX has no activation for."""

    gates = "n"

    def step(self, x, h, U):
        n = x.n + U(h).n
        return n * sigmoid(n)


@pytest.mark.parametrize(
    ("cell", "kind"),
    [(Odd, "GRU"), (Leaky, "GRU"), (HardLSTM, "LSTM"), (TwoScales, "LSTM"), (MixedGates, ""), (Swish, "")],
)
def test_own_cells_are_known_by_their_equations(cell, kind) -> None:
    layer = layer_of(cell, bidirectional=True)
    found = form_of(layer.graph)
    assert (found.kind if isinstance(found, Form) else "") == kind
    assert worst(layer) < CLOSE


def test_a_long_run_keeps_gates_that_are_not_there_exactly_open() -> None:
    rng = np.random.default_rng(0)
    for cell in ("nfg", "lstm1997", "nig", "nog", "janet", "ugrnn"):
        layer = layer_of(cell)
        running = shipped.session(tg.ship.onnx(layer))
        assert shipped.error(layer, running, shipped.drawn(layer, rng, 1000, 2, lengths=[1000, 600])) < CLOSE
