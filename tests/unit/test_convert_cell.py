"""Cells of one's own: known by their equations, under whatever names and in whatever order of terms."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
import torch

import tidegate as tg
from tidegate import zoo
from tidegate.cell.graph import Op
from tidegate.cell.verify import verify
from tidegate.convert import dump, load
from tidegate.convert.activation import recognised
from tidegate.convert.structure import graph_of, identify
from tidegate.convert.table import GROUPS
from tidegate.errors import EmitError, InputError, SpecError
from tidegate.runtime.path import eager_only

pytestmark = [  # of torch's own ways to change a model
    pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:torch.ao.quantization:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*quantize_per_tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*were assigned during export:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*TypedStorage:UserWarning"),
]
X = torch.linspace(-2, 2, 7 * 2 * 3).reshape(7, 2, 3)


def hard(v):
    return tg.maximum(tg.minimum(0.5 + v * 0.2, 1.0), 0.0)


class Renamed(tg.Cell):
    """An LSTM with its own names, storage order, order of terms, and two ways to write a hard sigmoid."""

    gates = "out new keep write"
    state = "y memory"
    matrices = {"R": "keep write out new"}
    biases = {"W": "out new keep write"}

    def step(self, x, y, memory, R):
        write = hard(R(y).write + x.write)
        keep = tg.minimum(tg.relu(0.2 * (x.keep + R(y).keep) + 0.5), 1.0)
        new = tg.tanh(x.new + R(y).new)
        memory = new * write + memory * keep
        out = hard(x.out + R(y).out)
        return tg.tanh(memory) * out, memory


class Written(tg.Cell):
    """A GRU whose open gate writes, with one bias a gate."""

    gates = "u v w"
    biases = "W"

    def step(self, x, h, U):
        v = tg.sigmoid(x.v + U(h).v)
        u = tg.sigmoid(x.u + U(h).u)
        w = tg.tanh(U(h).w * v + x.w)
        return w * u + h * (1 - u)


class Swish(tg.Cell):
    """A GRU whose gates no other framework could store with the opposite sign."""

    gates = "r z n"

    def step(self, x, h, U):
        r = tg.sigmoid(x.r + U(h).r)
        z = tg.tanh(x.z + U(h).z)
        n = tg.tanh(x.n + r * U(h).n)
        return (1 - z) * h + z * n


class Clamped(tg.Cell):
    """An LSTM with a clip between its states and the output: not an activation of one number that anybody has."""

    gates = "i f g o"
    state = "h c"

    def step(self, x, h, c, U):
        i, f, o = (tg.sigmoid(part) for part in (x.i + U(h).i, x.f + U(h).f, x.o + U(h).o))
        g = tg.tanh(x.g + U(h).g)
        c = f * c + i * g
        return o * tg.tanh(tg.clamp(c, 3.0)), c


def drawn(layer):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) * 2 - 1)
    return layer.eval()


def output(layer):
    with torch.no_grad(), eager_only():
        return layer(X)[0]


def layer_of(cell, **options):
    return drawn(tg.nn.Recurrent(cell, 3, 4, **options))


@pytest.mark.filterwarnings("ignore:the arrays do not say it:tidegate.errors.TidegateWarning")
@pytest.mark.parametrize("bidirectional", [False, True])
def test_names_and_orders_of_a_cell_do_not_matter(bidirectional):
    from tidegate.zoo import keras

    layer = layer_of(Renamed, num_layers=2, bidirectional=bidirectional)
    same = keras.LSTM.variant(recurrent_activation="hard_sigmoid_keras2")
    twin = tg.nn.Recurrent(same, 3, 4, num_layers=2, bidirectional=bidirectional).eval()
    for target in ("keras", "onnx"):
        load(twin, target, layer)
        assert torch.allclose(output(twin), output(layer), atol=1e-6)
        back = layer_of(Renamed, num_layers=2, bidirectional=bidirectional)
        torch.nn.init.zeros_(back.weight_R_l1)
        load(back, target, twin)
        assert torch.equal(back.weight_R_l1, layer.weight_R_l1)


def test_a_gate_that_writes_in_a_cell_of_ones_own():
    layer, twin = layer_of(Written), tg.nn.GRU(3, 4).eval()
    load(twin, "torch", layer)
    assert torch.allclose(output(twin), output(layer), atol=1e-6)


def test_a_single_bias_of_a_candidate_after_the_reset_does_not_stand_for_two():
    """n = tanh(W x + b + r (U h + d)): what torch has in d has no place in b."""
    theirs, layer = drawn(tg.nn.GRU(3, 4)), layer_of(Written)
    with pytest.raises(InputError, match=r"no place for d\.n"):
        load(layer, "torch", theirs)
    with torch.no_grad():
        theirs.bias_hh_l0[8:] = 0
    load(layer, "torch", theirs)
    assert torch.allclose(output(layer), output(theirs), atol=1e-6)


def test_an_activation_that_is_not_even_around_a_half_is_not_negated():
    assert identify(Swish.graph) is None
    with pytest.raises(EmitError, match="torch has no cell that computes Swish"):
        dump(layer_of(Swish), "torch")


def test_an_activation_of_ones_own_is_named():
    with pytest.raises(EmitError, match="no place for the activation of h, which is one of your own"):
        dump(layer_of(Clamped), "onnx")


@pytest.mark.parametrize("name", zoo.CELLS)
def test_every_cell_of_the_zoo_is_what_the_table_says_or_nothing(name):
    from tidegate.convert.table import ROWS

    found = identify(zoo.find(name).graph)
    expected = {**{cell: row for cell, (row, _) in ROWS.items()}, "niaf": "peepholelstm", "noaf": "peepholelstm"}
    assert (found.row if found else None) == expected.get(name)


def test_functions_that_are_nearly_an_activation_are_not_taken_for_one():
    assert str(recognised(lambda v: min(max(0.2 * v + 0.5, 0.0), 1.0))) == "hard_sigmoid_keras2"
    assert recognised(lambda v: min(max(0.2 * v + 0.5, 0.0), 0.999)) is None
    assert recognised(lambda v: min(max(v, 0.0), 1000.0)) is None
    assert recognised(lambda v: np.tanh(v) + 1e-6 * v) is None
    assert recognised(lambda v: 1 / (1 + np.exp(-1.702 * v)) if v > -300 else 0.0) is None


def mutants(graph):
    """Graphs with one node changed: another operation, swapped or other arguments, another block, another number."""
    operations = (Op.ADD, Op.SUB, Op.MUL)
    for k, node in enumerate(graph.nodes):
        others = []
        if node.op in operations:
            others += [replace(node, op=op) for op in operations if op is not node.op]
            others += [replace(node, args=node.args[::-1])]
        others += [replace(node, args=(*node.args[:-1], other)) for other in range(k) if node.args]
        if node.op is Op.PRODUCT:
            blocks = [block.name for block in graph.matrix(node.matrix).blocks]
            others += [replace(node, name=name) for name in blocks if name != node.name]
        if node.op is Op.CONST:
            others += [replace(node, value=value) for value in (0.5, 2.0, -1.0)]
        for other in (other for other in others if other != node):
            mutant = replace(graph, nodes=(*graph.nodes[:k], other, *graph.nodes[k + 1 :]))
            with contextlib.suppress(SpecError):
                verify(mutant)
                yield mutant


@pytest.mark.parametrize("cell", ["rnn", "peepholelstm", "cifg", "gru", "gru/before", "gru/write"])
def test_a_changed_equation_is_not_overlooked(cell):
    """Each cell with one node changed is no row of the table, or one that computes the same from the same pieces."""
    known, tried = 0, 0
    for mutant in mutants(zoo.find(cell).graph):
        tried += 1
        found = identify(mutant)
        if found is None or None in found.activations.values():
            continue
        activations = tuple(found.activations[gates.split()[0]] for gates in GROUPS[found.row])
        if any(len({found.activations[gate] for gate in gates.split()}) > 1 for gates in GROUPS[found.row]):
            continue
        known += 1
        layer, twin = layer_of(mutant), tg.nn.Recurrent(graph_of(found.row, activations), 3, 4).eval()
        load(twin, "onnx", layer)
        assert torch.allclose(output(twin), output(layer), atol=1e-5, equal_nan=True), mutant
    assert known < tried


@pytest.mark.parametrize(
    ("into", "of", "source"),
    [
        (tg.nn.RNN(3, 4), tg.nn.RNN(3, 4, nonlinearity="relu"), "torch"),
        (tg.nn.RNN(3, 4), tg.nn.RNN(3, 4, nonlinearity="relu"), "keras"),
        (tg.nn.RNN(3, 4, nonlinearity="relu"), tg.nn.RNN(3, 4), "linen"),
        (tg.nn.LSTM(3, 4), tg.nn.Recurrent(Renamed, 3, 4), "keras"),
        (tg.nn.Recurrent(Renamed, 3, 4), tg.nn.LSTM(3, 4), "onnx"),
        (tg.nn.GRU(3, 4, reset="before"), tg.nn.GRU(3, 4), "onnx"),
        (tg.nn.GRU(3, 4), tg.nn.GRU(3, 4, update="write"), "gates"),
        (tg.nn.GRU(3, 4), tg.nn.GRU(3, 4, reset="before"), "gates"),
    ],
)
def test_layers_of_ours_do_not_take_weights_with_which_they_would_compute_something_else(into, of, source):
    before = {name: value.clone() for name, value in into.state_dict().items()}
    with pytest.raises(InputError, match=r"compute something else|must be"):
        load(into, source, of)
    assert all(torch.equal(value, before[name]) for name, value in into.state_dict().items())


# Cells of one step.


@pytest.mark.parametrize(
    ("kind", "torchs"), [("LSTMCell", "LSTM"), ("GRUCell", "GRU"), ("RNNCell", "RNN"), ("PeepholeLSTMCell", "LSTM")]
)
def test_a_cell_takes_what_a_layer_takes(kind, torchs):
    cell = getattr(tg.nn, kind)(3, 4)
    whole = getattr(torch.nn, torchs)(3, 4)
    load(cell, "torch", whole)
    layer = getattr(tg.nn, torchs)(3, 4)
    load(layer, "torch", cell)
    assert torch.equal(layer.weight_hh_l0, whole.weight_hh_l0)
    load(layer, "torch", {name.removesuffix("_l0"): -value for name, value in whole.state_dict().items()})
    assert torch.equal(layer.bias_hh_l0, -whole.bias_hh_l0)
    theirs = getattr(torch.nn, kind.removeprefix("Peephole"))(3, 4)
    theirs.load_state_dict(dump(cell, "torch"))
    assert torch.equal(theirs.weight_ih, whole.weight_ih_l0)


def test_a_step_of_a_relu_network_is_not_one_of_tanh():
    relu = torch.nn.RNNCell(3, 4, nonlinearity="relu")
    load(tg.nn.RNNCell(3, 4, nonlinearity="relu"), "torch", relu)
    with pytest.raises(InputError, match="RNN_RELU"):
        load(tg.nn.RNN(3, 4), "torch", relu)


# Where in a model.


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.LSTM(3, 4)
        self.decoder = torch.nn.ModuleDict({"cell": torch.nn.GRUCell(4, 5), "lstm": torch.nn.LSTM(4, 4)})
        self.head = torch.nn.Linear(5, 2)

    def forward(self, x):
        y, _ = self.decoder["lstm"](self.encoder(x)[0])
        return self.head(self.decoder["cell"](y[-1]))


@pytest.mark.parametrize("form", ["module", "state_dict", "scripted", "traced", "exported"])
def test_a_layer_of_a_whole_model(form):
    model = Model()
    whole = {
        "module": lambda: model,
        "state_dict": model.state_dict,
        "scripted": lambda: torch.jit.script(model),
        "traced": lambda: torch.jit.trace(model, X),
        "exported": lambda: torch.export.export(model, (X,)).module(),
    }[form]()
    layer, cell = tg.nn.LSTM(3, 4), tg.nn.GRU(4, 5)
    load(layer, "torch", whole, at="encoder")
    load(cell, "torch", whole, at="decoder.cell")
    assert torch.equal(layer.weight_hh_l0, model.encoder.weight_hh_l0)
    assert torch.equal(cell.bias_ih_l0, model.decoder["cell"].bias_ih)
    with pytest.raises(InputError, match=r"a layer of these sizes under encoder — pass at='encoder'"):
        load(layer, "torch", whole)
    with pytest.raises(InputError, match=r"under decoder\.lstm — pass at='decoder\.lstm'"):
        load(tg.nn.LSTM(4, 4), "torch", whole)
    with pytest.raises(InputError, match=r"nothing at 'encodr'; did you mean 'encoder'"):
        load(layer, "torch", whole, at="encodr")
    with pytest.raises(InputError):
        load(layer, "torch", whole, at="decoder.cell")


def test_a_whole_model_without_such_a_layer_is_refused_by_its_names():
    with pytest.raises(InputError, match=r"also has encoder\.weight_ih_l0, .* which are no part") as caught:
        load(tg.nn.LSTM(30, 40), "torch", Model())
    assert caught.value.code == "CONVERT_NAMES"
    with pytest.raises(InputError, match="at= says where in a torch model a layer is"):
        load(tg.nn.LSTM(3, 4), "onnx", [], at="encoder")


def test_a_quantized_layer_gives_what_its_integers_stand_for():
    model = Model()
    small = torch.ao.quantization.quantize_dynamic(model, {torch.nn.LSTM, torch.nn.GRUCell})
    layer, cell = tg.nn.LSTM(3, 4), tg.nn.GRUCell(4, 5)
    load(layer, "torch", small, at="encoder")
    load(cell, "torch", small, at="decoder.cell")
    step = model.encoder.weight_hh_l0.abs().max() / 127
    assert 0 < (layer.weight_hh_l0 - model.encoder.weight_hh_l0).abs().max() <= step
    assert torch.equal(cell.bias_hh, model.decoder["cell"].bias_hh)
    told = tg.accelerate(small)
    assert dict(told.left)["encoder"] == "quantized; tidegate.convert.load reads its weights"
    assert told.left.keys() == {"encoder", "decoder.cell", "decoder.lstm"}


@pytest.mark.parametrize("how", ["scripted", "traced", "exported"])
def test_accelerate_names_what_torch_has_made_of_a_layer(how):
    model = Model()
    whole = {
        "scripted": lambda: torch.jit.script(model),
        "traced": lambda: torch.jit.trace(model, X),
        "exported": lambda: torch.export.export(model, (X,)).module(),
    }[how]()
    outer = torch.nn.ModuleDict({"whole": whole, "own": torch.nn.LSTM(3, 4)})
    told = tg.accelerate(outer)
    paths = {"whole.encoder", "whole.decoder.cell", "whole.decoder.lstm"}
    assert told.left == dict.fromkeys(paths, f"{how}; tidegate.convert.load reads its weights")
    assert told.swapped.keys() == {"own"}
    assert "left: " + how in str(told)


def test_accelerate_names_a_frozen_model():
    frozen = torch.jit.freeze(torch.jit.script(Model().eval()))
    (reason,) = tg.accelerate(torch.nn.Sequential(frozen)).left.values()
    assert "frozen TorchScript that calls" in reason
