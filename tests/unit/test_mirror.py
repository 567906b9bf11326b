"""Matrices that a layer holds in part: M where its cell multiplies by M + s M^T."""

import copy

import pytest
import torch

import tidegate as tg
from tidegate.cell import Cell, Graph, tanh
from tidegate.convert import load
from tidegate.errors import InputError, SpecError

I, H = 3, 4


def layer_of(cell="antisymmetricrnn", **options):
    torch.manual_seed(0)
    return tg.nn.Recurrent(cell, I, H, dtype=torch.float64, **options)


def test_the_matrix_is_antisymmetric_in_every_layer_and_after_every_step_of_an_optimizer():
    layer = layer_of(num_layers=2, bidirectional=True)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    before = layer.weight_hh_l1_reverse.detach().clone()
    y, _ = layer(torch.randn(5, 2, I, dtype=torch.float64))
    assert layer.last_path == "fused"
    y.square().sum().backward()
    optimizer.step()
    for name in ("weight_hh_l0", "weight_hh_l0_reverse", "weight_hh_l1", "weight_hh_l1_reverse"):
        assert torch.equal(getattr(layer, name), -getattr(layer, name).T)
    assert not torch.equal(layer.weight_hh_l1_reverse, before)


def test_each_square_block_has_its_own_mirror_image():
    class Own(Cell):
        gates = "a b"
        mirrored = {"U": 0.5}

        def step(self, x, h, U):
            a = tanh(x.a + U(h).a)
            b = tanh(x.b + U(h).b)
            return a - b

    layer = layer_of(Own)
    held = layer.parametrizations.weight_hh_l0.original.split(H)
    torch.testing.assert_close(layer.weight_hh_l0, torch.cat([block + 0.5 * block.T for block in held]))
    assert Graph.from_json(Own.graph.to_json()) == Own.graph


def test_sessions_steps_copies_and_files_have_the_same_numbers(tmp_path):
    layer = layer_of("lipschitzrnn")
    x = torch.randn(5, 1, I, dtype=torch.float64)
    y, _ = layer(x)
    session = tg.Session(layer)
    torch.testing.assert_close(torch.stack([session.step(row) for row in x]), y.detach())
    torch.testing.assert_close(copy.deepcopy(layer)(x)[0], y)
    other = layer_of("lipschitzrnn").double()
    torch.save(layer.state_dict(), tmp_path / "layer.pt")
    other.load_state_dict(torch.load(tmp_path / "layer.pt"))
    torch.testing.assert_close(other(x)[0], y)
    step = tg.nn.RecurrentCell("lipschitzrnn", I, H, dtype=torch.float64)
    held = {name.replace("_l0", ""): value for name, value in layer.state_dict().items()}
    step.load_state_dict({n.replace(".original", "") + ".original" * ("param" in n): v for n, v in held.items()})
    torch.testing.assert_close(step(x[0]), y[0])


@pytest.mark.parametrize("option", [{"heads": 2}, {"rank": 2}, {"spectral": 1.0}, {"orthogonal": True}])
def test_options_without_a_place_are_refused_by_name(option):
    with pytest.raises(InputError, match=f"makes U of another matrix and its mirror image, so {next(iter(option))} "):
        layer_of(**option)


def test_options_that_come_later_keep_what_the_layer_holds():
    layer = layer_of()
    later = layer.with_options(zoneout=0.5, learn_initial_state=True)
    assert torch.equal(later.weight_hh_l0, layer.weight_hh_l0)
    assert torch.equal(later.parametrizations.weight_hh_l0.original, layer.parametrizations.weight_hh_l0.original)
    assert later.initial_h_l0.shape == (H,)
    with pytest.raises(InputError, match="rank gives parameters other shapes"):
        layer.with_options(rank=2)


def test_a_matrix_of_another_layer_is_not_loaded_silently():
    with pytest.raises(InputError, match="does not hold weight_hh_l0 itself"):
        load(layer_of(), "gates", {"W.n": torch.zeros(H, I), "U.n": torch.zeros(H, H), "b.n": torch.zeros(H)})


def test_declarations_are_checked():
    def cell(**declared):
        body = {"gates": "n", "step": lambda self, x, h, U: tanh(x.n + U(h).n), **declared}
        return type("Own", (Cell,), body)

    with pytest.raises(SpecError, match="mirrored names V, which is no recurrent matrix"):
        cell(gates="", inputs="n", matrices={"U": "n"}, mirrored={"V": 1.0})
    with pytest.raises(SpecError, match="mirrored by inf"):
        cell(gates="", inputs="n", matrices={"U": "n"}, mirrored={"U": float("inf")})
