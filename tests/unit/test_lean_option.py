"""rank, semi_tied, share and spectral: shapes, beginnings, what is saved and loaded, and what is refused."""

from copy import deepcopy

import pytest
import torch
from safetensors.torch import load
from torch.nn.utils import parametrizations, parametrize

import tidegate as tg
from tidegate.cell.measure import parameters
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.passes import drop_recurrent, factor, normalise, tie_gates


def refused(make, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        make()
    assert caught.value.fix


# --- rank ---


@pytest.mark.parametrize("rank", [4, 16, 64])
def test_the_product_begins_as_wide_as_the_matrix_would(rank):
    torch.manual_seed(0)
    layer = tg.nn.GRU(8, 256, rank=rank)
    U = layer.weight_hh_l0 @ layer.weight_U_rank_l0
    assert U.var().sqrt().item() == pytest.approx((3 * 256) ** -0.5, rel=0.05)
    radius = torch.linalg.eigvals(U[:256]).abs().max().item()
    assert radius == pytest.approx(3**-0.5, rel=0.3)  # that of a dense matrix of this variance


def test_parameters_and_what_prints():
    layer = Recurrent("gru/before", 6, 8, rank=3, num_layers=2)
    assert str(layer) == "Recurrent(GRU/before, 6, 8, num_layers=2, rank=3)"
    assert layer.weight_U_rank_l1.shape == (6, 8)
    counted = sum(p.numel() for p in layer.parameters())
    assert counted == sum(parameters(layer.graph, cell.widths) for cell in layer.cells)


def test_a_rank_that_is_none_is_refused():
    refused(lambda: tg.nn.LSTM(3, 8, rank=9), "rank=9, but U of LSTM has 8 columns")
    refused(lambda: tg.nn.LSTM(3, 8, rank=0), "an integer of at least 1")
    refused(lambda: tg.nn.LSTM(3, 8, rank=2.5), "an integer of at least 1")
    refused(lambda: Recurrent("lstm", 3, 8, rank=4, widths={"R": 3}), "whose width an option says")
    refused(lambda: Recurrent("scrn", 3, 8, rank=4, widths={"S": 3}), "P of SCRN has 3 columns")
    refused(lambda: tg.nn.LSTM(3, 8).with_options(rank=4), "rank gives parameters other shapes")
    refused(lambda: tg.nn.LSTM(3, 8, rank=4, heads=2), "heads and rank exclude each other")
    with pytest.warns(UserWarning, match="has no recurrent matrix, so rank has no effect"):
        Recurrent("indrnn", 3, 8, rank=4)


def test_other_options_see_one_matrix():
    torch.manual_seed(0)
    layer = tg.nn.LSTM(3, 8, rank=4, orthogonal=True, layer_norm=True, proj_size=5)
    A, B = layer.weight_hh_l0, layer.weight_U_rank_l0
    assert B.shape == (4, 5)
    assert torch.allclose(A[:8].T @ A[:8], torch.eye(4), atol=1e-6)
    assert torch.allclose(B @ B.T, torch.eye(4), atol=1e-6)
    graph = factor(tg.zoo.LSTM.graph)
    assert [mask.axis for mask in drop_recurrent(graph).masks] == ["H"]  # h is dropped, not what lies between A and B
    for both in (normalise(graph), factor(normalise(tg.zoo.LSTM.graph))):
        assert {vector.name for vector in both.vectors if vector.name.startswith("norm")} == {
            "norm_W",
            "norm_U",
            "norm_c",
        }
    assert [vector.name for vector in normalise(graph).vectors] == [
        v.name for v in normalise(tg.zoo.LSTM.graph).vectors
    ]


# --- semi-tied gates ---


def test_semi_tied_gates_begin_equal_but_for_their_biases():
    layer = tg.nn.LSTM(6, 8, semi_tied=True, forget_bias=1.0)
    assert torch.equal(layer.tied_l0, torch.ones(32))
    assert layer.weight_ih_l0.shape == (8, 6)
    assert layer.bias_hh_l0.shape == (32,)
    assert torch.equal(layer.bias_ih_l0[8:16] + layer.bias_hh_l0[8:16], torch.ones(8))
    assert tie_gates(tg.zoo.RNN.graph) == tg.zoo.RNN.graph  # which has one block of each
    without = tg.nn.LSTM(6, 8, bias=False, semi_tied=True)
    assert [name for name, _ in without.named_parameters()] == ["weight_ih_l0", "weight_hh_l0", "tied_l0"]
    refused(lambda: tg.nn.GRU(3, 4).with_options(semi_tied=True), "semi_tied gives parameters other shapes")


# --- share ---


def test_a_shared_parameter_is_one(tmp_path):
    layer = tg.nn.GRU(8, 8, 3, share="layers", learn_initial_state=True)
    names = [name for name, _ in layer.named_parameters()]
    assert names[:4] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    assert names[4:] == ["initial_h_l0", "initial_h_l1", "initial_h_l2"]
    assert [*layer.state_dict()] == names
    assert sorted(load(tg.ship.safetensors({"gru": layer}))) == sorted(f"gru.{name}" for name in names)
    assert layer.all_weights[2][0] is layer.weight_ih_l0
    other = deepcopy(layer)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(4, 2, 8)
    assert torch.equal(other(x)[0], layer(x)[0])


def test_an_untied_checkpoint_loads_only_if_it_is_tied():
    plain = tg.nn.GRU(8, 8, 2)
    shared = tg.nn.GRU(8, 8, 2, share="layers")
    with pytest.raises(RuntimeError, match="weight_ih_l1 differs from weight_ih_l0, which is the same Parameter here"):
        shared.load_state_dict(plain.state_dict())
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(plain, f"{name}_l1").copy_(getattr(plain, f"{name}_l0"))
    model = torch.nn.ModuleDict({"rnn": shared})
    model.load_state_dict({f"rnn.{name}": value for name, value in plain.state_dict().items()})
    x = torch.randn(4, 2, 8)
    assert torch.equal(shared(x)[0], plain(x)[0])
    with pytest.raises(InputError, match="is shared in"):
        tg.convert.load(shared, "torch", torch.nn.GRU(8, 8, 2).state_dict())


def test_what_cannot_be_shared_is_refused():
    refused(lambda: tg.nn.LSTM(5, 8, 2, share="layers"), "first layer reads 5 features and the others 8")
    refused(lambda: tg.nn.LSTM(8, 8, 2, bidirectional=True, share="layers"), "reads 8 features and the others 16")
    refused(lambda: tg.nn.LSTM(8, 8, share="layers"), "of a single layer")
    refused(lambda: tg.nn.LSTM(8, 8, share="directions"), "in one direction")
    refused(lambda: tg.nn.LSTM(8, 8, share="all"), "share must be 'layers' or 'directions', got 'all'")
    refused(lambda: tg.nn.LSTM(8, 8, 2).with_options(share="layers"), "share gives parameters other shapes")
    refused(lambda: tg.restore(tg.nn.LSTM(8, 8, 2, share="layers")), "torch has no share=layers")


# --- spectral ---


def norms(layer: Recurrent) -> torch.Tensor:
    return torch.stack([torch.linalg.matrix_norm(block, 2) for block in layer.weight_hh_l0.split(layer.hidden_size)])


def test_norms_stay_within_the_bound_while_weights_move():
    torch.manual_seed(0)
    layer, x = tg.nn.GRU(4, 32, spectral=0.8), torch.randn(12, 8, 4)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.03)
    for _ in range(30):
        optimizer.zero_grad()
        y, _ = layer(x)
        (y - 1).square().mean().backward()
        optimizer.step()
    assert layer.last_path == "fused"
    assert norms(layer).max() < 0.8 * 1.005
    raw = layer.parametrizations.weight_hh_l0.original
    assert max(torch.linalg.matrix_norm(block, 2) for block in raw.split(32)) > 1.2
    before = layer.eval()(x)[0]
    assert torch.equal(layer(x)[0], before)  # evaluation changes nothing


def test_a_bound_travels():
    torch.manual_seed(0)
    layer, x = tg.nn.LSTM(4, 8, spectral=0.5).eval(), torch.randn(3, 1, 4)
    y = layer(x)[0]
    other = tg.nn.LSTM(4, 8, spectral=0.5).eval()
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x)[0], y)
    assert torch.allclose(tg.Session(layer).run(x), y, atol=1e-7)
    clipped = layer.with_options(state_clip=100.0)
    assert torch.allclose(clipped(x)[0], y, atol=1e-5)
    assert norms(clipped).max() < 0.501
    other.weight_hh_l0 = torch.randn(32, 8)  # torch's own way to assign
    assert norms(other).max() < 0.501
    other.reset_parameters()
    assert norms(other).max() < 0.501
    copied = deepcopy(other.to(torch.float64))
    assert torch.equal(copied(x.double())[0], other(x.double())[0])
    plain = parametrize.remove_parametrizations(layer, "weight_hh_l0")
    assert type(plain) is tg.nn.LSTM
    assert torch.allclose(plain(x)[0], y)


def test_orthogonal_and_spectral_begin_orthogonal():
    layer = tg.nn.GRU(4, 8, spectral=1.0, orthogonal=True)
    assert torch.allclose(layer.weight_hh_l0[:8] @ layer.weight_hh_l0[:8].T, torch.eye(8), atol=1e-5)
    assert isinstance(layer.with_options(spectral=0.5), tg.nn.GRU)
    both = parametrizations.weight_norm(layer, "weight_ih_l0")
    refused(lambda: both.with_options(zoneout=0.1), "parametrized")


def test_each_head_of_each_gate_is_bound():
    torch.manual_seed(0)
    layer = tg.nn.GRU(4, 32, heads=2, spectral=0.5)
    assert layer.parametrizations.weight_hh_l0[0].stacks == [(6, 16)]
    for block in layer.weight_hh_l0.split(16):
        assert torch.linalg.matrix_norm(block, 2) < 0.501


def test_factors_get_the_root_of_a_bound():
    torch.manual_seed(0)
    layer = tg.nn.RNN(4, 16, rank=8, spectral=0.25)
    assert torch.linalg.matrix_norm(layer.weight_hh_l0 @ layer.weight_U_rank_l0, 2) < 0.251
    layer(torch.randn(3, 2, 4))[0].sum().backward()
    assert layer.parametrizations.weight_U_rank_l0.original.grad.any()
