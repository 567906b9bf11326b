"""The option ``layer_norm`` of layers, and norms in cells of one's own."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import Tensor

import tidegate as tg
from tests.reference.compare import assert_equal
from tidegate.cell import Cell, layer_norm, mean, sigmoid, sqrt, tanh, variance
from tidegate.errors import InputError, SpecError
from tidegate.runtime import eager_only

MAKERS = {
    "rnn": tg.nn.RNN,
    "lstm": tg.nn.LSTM,
    "gru": tg.nn.GRU,
    "peephole": tg.nn.PeepholeLSTM,
    "mgu": lambda *sizes, **options: tg.nn.Recurrent("mgu", *sizes, **options),
}
every_layer = pytest.mark.parametrize("name", MAKERS)


class Normed(Cell):
    """A user's cell: norms of a product unsliced, of parts together and of the input; means by themselves."""

    gates = "z n"
    matrices = {"U": "z n", "V": "n"}
    vectors = "p_z"

    def step(self, x, h, U, V, p):
        u = layer_norm(U(h))
        first, second = layer_norm(x.z, x.n)
        z = sigmoid(first + p.z * u.z + mean(h))
        n = tanh(second + z * u.n + V(layer_norm(x.raw)).n / sqrt(0.5 + variance(h, z)))
        return z * h + (1 - z) * n


def results(layer: torch.nn.Module, x: Tensor, **call: object) -> dict[str, Tensor]:
    """Output, last states and every gradient of a weighted sum of them."""
    x = x.clone().requires_grad_()
    y, state = layer(x, **call)
    states = state if isinstance(state, tuple) else (state,)
    found = {"y": y, **{f"last {k}": s for k, s in enumerate(states)}}
    weight = torch.Generator().manual_seed(1)
    loss = sum((v * torch.randn(v.shape, generator=weight, dtype=v.dtype)).sum() for v in found.values())
    leaves = {"x": x, **dict(layer.named_parameters())}
    grads = torch.autograd.grad(loss, list(leaves.values()))
    return {k: v.detach() for k, v in found.items()} | {f"d {n}": g for n, g in zip(leaves, grads, strict=True)}


def test_a_cell_of_ones_own_with_norms_runs_fused_as_by_its_definition():
    layer = tg.nn.Recurrent(Normed, 3, 70, bidirectional=True, dtype=torch.float64)
    x, lengths = torch.randn(6, 9, 3, dtype=torch.float64), [6, 6, 5, 4, 3, 2, 1, 0, 6]
    with tg.strict():
        fused = results(layer, x, lengths=lengths)
    with eager_only():
        assert_equal(fused, results(layer, x, lengths=lengths))


def test_its_derivatives_equal_differences():
    layer = tg.nn.Recurrent(Normed, 3, 4, dtype=torch.float64)
    x = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], x)
    with eager_only():
        assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], x)


def test_functions_on_numbers_and_tensors():
    row = torch.tensor([[1.0, 2.0, 6.0]])
    assert mean(row, row).tolist() == [[3.0]]
    assert variance(row).item() == pytest.approx(14 / 3)
    torch.testing.assert_close(layer_norm(row), torch.nn.functional.layer_norm(row, (3,)))
    both = layer_norm(row, row + 1)
    torch.testing.assert_close(torch.cat(both, -1), torch.nn.functional.layer_norm(torch.cat([row, row + 1], -1), (6,)))
    assert (mean(1, 2, 6.0), variance(1, 2, 6), sqrt(9)) == (3, pytest.approx(14 / 3), 3)
    assert layer_norm(2.0) == 0


@every_layer
def test_gains_begin_at_one_and_biases_behind_a_norm_at_zero(name):
    layer = MAKERS[name](3, 5, 2, bidirectional=True, layer_norm=True)
    kinds = {n: n.partition("_")[0] for n, _ in layer.named_parameters()}
    assert {n for n, kind in kinds.items() if kind == "norm"} > {"norm_ih_l0", "norm_hh_l1_reverse"}
    for n, parameter in layer.named_parameters():
        wanted = {"norm": 1.0, "bias": 0.0}.get(kinds[n])
        assert (parameter == wanted).all() if wanted is not None else parameter.abs().max() <= 5**-0.5


@every_layer
def test_weights_of_the_plain_layer_load(name):
    plain, normed = MAKERS[name](3, 5), MAKERS[name](3, 5, layer_norm="each")
    missing, unexpected = normed.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all(n.startswith("norm_") or n == "bias_c_l0" for n in missing)


def test_the_names_and_shapes_of_an_lstm():
    layer = tg.nn.LSTM(3, 5, layer_norm=True)
    added = {n: tuple(p.shape) for n, p in layer.named_parameters() if n not in tg.nn.LSTM(3, 5).state_dict()}
    assert added == {"norm_ih_l0": (20,), "norm_hh_l0": (20,), "norm_c_l0": (5,), "bias_c_l0": (5,)}


def test_without_bias_there_are_gains_alone():
    names = [n for n, _ in tg.nn.LSTM(3, 5, bias=False, layer_norm=True).named_parameters()]
    assert names == ["weight_ih_l0", "weight_hh_l0", "norm_ih_l0", "norm_hh_l0", "norm_c_l0"]


def test_it_is_printed_where_it_is_on():
    assert repr(tg.nn.LSTM(3, 5, layer_norm=True)) == "LSTM(3, 5, layer_norm=all)"
    assert repr(tg.nn.GRU(3, 5, layer_norm="each", reset="before")) == "GRU(3, 5, layer_norm=each, reset=before)"
    assert repr(tg.nn.Recurrent("mgu", 3, 5, layer_norm="all")) == "Recurrent(MGU, 3, 5, layer_norm=all)"
    assert "layer_norm" not in repr(tg.nn.LSTM(3, 5, layer_norm=False))


@pytest.mark.parametrize("wrong", ["both", None, 2, 1.0, ["all"]])
def test_other_choices_are_refused(wrong):
    with pytest.raises(InputError, match="pass True or 'all'") as caught:
        tg.nn.LSTM(3, 5, layer_norm=wrong)
    assert caught.value.code == "OPTION"


def test_a_normalised_graph_is_not_normalised_again():
    graph = tg.nn.LSTM(3, 5, layer_norm=True).graph
    with pytest.raises(SpecError, match="normalised already"):
        tg.nn.Recurrent(graph, 3, 5, layer_norm=True)


@pytest.mark.parametrize("options", [{"proj_size": 2}, {"num_layers": 2, "bidirectional": True}, {"bias": False}])
def test_other_options_go_with_it(options):
    layer = tg.nn.LSTM(3, 5, layer_norm=True, dtype=torch.float64, **options)
    x, reset = torch.randn(7, 4, 3, dtype=torch.float64), torch.rand(7, 4) < 0.2
    with tg.strict():
        fused = results(layer, x, reset=reset)
    with eager_only():
        assert_equal(fused, results(layer, x, reset=reset))


def test_a_session_computes_what_the_layer_does():
    layer = tg.nn.LSTM(3, 70, 2, layer_norm=True, dtype=torch.float64)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    x = torch.randn(9, 3, dtype=torch.float64)
    session = tg.Session(layer)
    stepwise = torch.stack([session.step(row) for row in x])
    session.reset()
    with torch.no_grad():
        wanted = layer(x)[0]
    assert_equal({"y": stepwise}, {"y": wanted})
    assert_equal({"y": session.run(x[:, None])[:, 0]}, {"y": wanted})


def test_copies_and_saved_layers_are_normalised_too():
    layer, x = tg.nn.GRU(3, 5, layer_norm=True), torch.randn(4, 2, 3)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (copy.deepcopy(layer), torch.load(file, weights_only=False)):
        assert repr(other) == repr(layer)
        assert torch.equal(other(x)[0], layer(x)[0])


def test_a_layer_that_was_torchs_has_none():
    model = torch.nn.Sequential(torch.nn.LSTM(3, 5))
    tg.accelerate(model)
    assert model[0].options.layer_norm is False
    assert not [n for n, _ in model.named_parameters() if "norm" in n]


def test_one_number_a_row_can_be_traced():
    class Narrow(Cell):
        gates = "z"

        def step(self, x, h, U):
            z = sigmoid(mean(x.z + U(h).z))
            return z * h + tanh(x.z)

    layer = tg.nn.Recurrent(Narrow, 3, 5)
    seen = layer.trace(torch.randn(4, 2, 3))
    assert seen["z_l0"].shape == (4, 2, 1)


def test_float32_variances_are_exact_far_from_zero():
    """The mean of each row is a thousand times its deviation: one pass over sums of squares would lose every digit."""

    class Far(Cell):
        gates = "n"
        matrices: dict[str, str] = {}
        biases = "W"

        def step(self, x, h):
            n = x.n
            return variance(n) * (n - mean(n)) + 0 * h

    layer = tg.nn.Recurrent(Far, 1, 4000)
    with torch.no_grad():
        layer.weight_ih_l0.zero_()
        layer.bias_ih_l0.copy_(1024 + torch.randn(4000))
        fused = layer(torch.zeros(1, 1, 1))[0].double().flatten()
        n = layer.bias_ih_l0.double()
    exact = n.var(correction=0) * (n - n.mean())
    assert ((fused - exact).abs().max() / exact.abs().max()).item() < 1024 * 2.0**-23


def test_an_input_read_by_itself_needs_no_gradient():
    class Raw(Cell):
        gates = "n"
        matrices = {"U": "n", "V": "n"}

        def step(self, x, h, U, V):
            n = tanh(x.n + U(h).n + V(tanh(x.raw)).n)
            return n  # noqa: RET504  a gate is a local name

    layer, x = tg.nn.Recurrent(Raw, 3, 4), torch.randn(5, 2, 3)
    layer(x)[0].sum().backward()
    found = {n: p.grad.clone() for n, p in layer.named_parameters()}
    layer.zero_grad()
    layer(x.requires_grad_())[0].sum().backward()
    assert all(torch.equal(p.grad, found[n]) for n, p in layer.named_parameters())
