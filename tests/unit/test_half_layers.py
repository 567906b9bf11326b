"""Every way to run a layer in half precision, held against its definition in float64 with rounded factors."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.utils._pytree import tree_leaves, tree_map

import tidegate as tg
from tidegate.errors import BackendError, InputError, SpecError
from tidegate.nn import accelerate as accelerate_of_nn
from tidegate.private import Gradients
from tidegate.runtime import Rows, Steps, described, eager_only, library, run_layer, withhold
from tidegate.runtime.processor import Processor

try:
    library.load()
except BackendError as none:
    pytest.skip(f"no engine here: {none}", allow_module_level=True)

T, B, I, H = 9, 12, 20, 32
HALVES = [torch.bfloat16, torch.float16]
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script")  # torch's own forward mode uses it
every_half = pytest.mark.parametrize("half", HALVES, ids=["bfloat16", "float16"])


def name_of(half: torch.dtype) -> str:
    return str(half).removeprefix("torch.")


def layer_of(kind: str = "LSTM", *, half: torch.dtype = torch.float32, **options) -> tg.nn.Recurrent:
    """A layer whose weights are numbers of this type, held as float32."""
    torch.manual_seed(3)
    layer = getattr(tg.nn, kind)(I, H, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(parameter.to(half))
    return layer


def draw(*shape: int, half: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7)).to(half).float()


def exact(layer: tg.nn.Recurrent, half: torch.dtype) -> tg.nn.Recurrent:
    """The same layer in float64, whose products round both factors."""
    wide = copy.deepcopy(layer).double()
    wide.cells = [cell.with_products(name_of(half)) for cell in wide.cells]
    return wide


def off(found, wanted) -> float:
    """The mean distance, as a share of the mean size: a factor that is rounded the other way once does not show."""
    pairs = zip(tree_leaves(found), tree_leaves(wanted), strict=True)
    apart = [(a.detach().double(), b.detach().double()) for a, b in pairs]
    return max(float((a - b).abs().mean() / b.abs().mean()) for a, b in apart)


def padded(result):
    return torch.nn.utils.rnn.pad_packed_sequence(result)[0] if isinstance(result, PackedSequence) else result


LENGTHS = [9, 1, 4, 7, 9, 2, 3, 8, 5, 5, 6, 9]
RESETS = torch.rand(T, B, generator=torch.Generator().manual_seed(1)) < 0.2
CALLS = {
    "whole": lambda layer, x: layer(x)[0],
    "ragged": lambda layer, x: layer(x, lengths=LENGTHS)[0],
    "packed": lambda layer, x: padded(layer(pack_padded_sequence(x, LENGTHS, enforce_sorted=False))[0]),
    "reset": lambda layer, x: layer(x, reset=RESETS)[0],
    "traced": lambda layer, x: layer.trace(x),
    "vectorised": lambda layer, x: torch.func.vmap(lambda x: layer(x)[0])(x[None])[0],
}


def in_half(call, layer, x, half):
    return call(layer.to(half), x.to(half))


def autocast(call, layer, x, half):
    with torch.autocast("cpu", half):
        return call(layer, x)


@every_half
@pytest.mark.parametrize("way", [in_half, autocast])
@pytest.mark.parametrize("what", CALLS)
def test_every_call_is_fused_and_rounds_factors_alone(what, way, half) -> None:
    layer, x = layer_of("LSTM", half=half, bidirectional=True, num_layers=2), draw(T, B, I, half=half)
    wanted = CALLS[what](exact(layer, half), x.double())
    plain = CALLS[what](copy.deepcopy(layer).double(), x.double())
    with tg.strict():
        found = way(CALLS[what], layer, x, half)
    assert layer.last_path == "fused"
    kinds = {value.dtype for value in tree_leaves(found)}
    rounding = torch.finfo(half).eps / 4 if kinds == {half} else 1e-5
    assert kinds == {torch.float32 if what == "traced" else half}
    assert off(found, wanted) <= rounding
    if what == "traced":  # so the limit tells rounded factors from others
        assert off(found, plain) > 5 * rounding


@every_half
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_gradients_are_those_of_the_definition(kind, half) -> None:
    layer, x = layer_of(kind), draw(T, B, I).requires_grad_()
    wide, wide_x = exact(layer, half), x.detach().double().requires_grad_()
    layer.autocast_keeps_dtype = True
    with torch.autocast("cpu", half), tg.strict():
        y = layer(x)[0]
    wide_y = wide(wide_x)[0]
    assert off(y, wide_y) <= 1e-5
    found = torch.autograd.grad(y.sin().sum(), [x, *layer.parameters()])
    wanted = torch.autograd.grad(wide_y.sin().sum(), [wide_x, *wide.parameters()])
    assert {gradient.dtype for gradient in found} == {torch.float32}
    assert off(found, wanted) <= 1e-4
    layer.to(half)(x.to(half))[0].sum().backward()
    layer(x.to(half))[0].sum().backward()  # added up in the type of the parameter, as torch does
    assert {parameter.grad.dtype for parameter in layer.parameters()} == {half}


@every_half
def test_the_definition_rounds_as_the_engine_does(half) -> None:
    layer, x = layer_of("GRU", reset="before"), draw(T, B, I)
    with torch.autocast("cpu", half):
        fused = layer(x)[0]
        with eager_only():
            eager = layer(x)[0]
    assert layer.last_path == "eager: eager_only is on"
    assert off(eager, fused) <= 1e-5
    wide = exact(layer, half)
    assert off(eager, wide(x.double())[0]) <= 1e-5


@every_half
def test_the_definition_is_differentiated_in_every_way(half) -> None:
    layer, x = exact(layer_of(), half), draw(T, 2, I).double().requires_grad_()

    def output(x: torch.Tensor) -> torch.Tensor:
        return layer(x)[0]

    y = output(x)
    v = draw(*y.shape).double()
    (once,) = torch.autograd.grad(y, x, v, retain_graph=True)
    (again,) = torch.autograd.grad(y, x, v, create_graph=True)
    assert torch.equal(once, again)
    (second,) = torch.autograd.grad(again.sin().sum(), layer.weight_hh_l0, retain_graph=True)
    assert second.isfinite().all()
    assert second.abs().max() > 0
    (each,) = torch.autograd.grad(y, x, torch.stack([v, 2 * v]), is_grads_batched=True)
    torch.testing.assert_close(each[0], once)
    torch.testing.assert_close(torch.func.vjp(output, x.detach())[1](v)[0], once)
    _, tangent = torch.func.jvp(output, (x.detach(),), (x.detach().cos(),))
    # of a tangent nothing is rounded, of an adjoint under bfloat16 what a product brings back
    assert abs((tangent * v).sum() / (once * x.detach().cos()).sum() - 1) < 1e-2


@every_half
def test_second_derivatives_begin_with_the_first_of_the_engine(half) -> None:
    layer, x = layer_of().to(half), draw(T, B, I).to(half).requires_grad_()
    y = layer(x)[0]
    (plain,) = torch.autograd.grad(y.float().sum(), x, retain_graph=True)
    (again,) = torch.autograd.grad(y.float().sum(), x, create_graph=True)
    assert plain.dtype == again.dtype == half
    torch.testing.assert_close(again, plain, rtol=0.05, atol=0.01)
    assert torch.autograd.grad(again.float().square().sum(), layer.weight_ih_l0)[0].dtype == half


@every_half
@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell"])
def test_steps_are_those_of_a_layer(kind, half) -> None:
    torch.manual_seed(3)
    cell = getattr(tg.nn, kind)(I, H)
    state = draw(B, H)
    hx = (state, state.sin()) if kind == "LSTMCell" else state
    x = draw(B, I)
    graph = cell.definition().with_products(name_of(half))
    parameters = [p.detach().double() for p in cell.step_parameters()]
    first = tuple(s.double()[None] for s in tree_leaves(hx))
    _, results = run_layer(graph, Rows(x.double(), Steps.uniform(1, B)), B, first, parameters)
    wanted = [s[0] for s in results[1:]]
    with torch.autocast("cpu", half), tg.strict():
        found = tree_leaves(cell(x, hx))
    assert cell.last_path == "fused"
    assert off(found, wanted) <= 1e-5
    cell.to(half)
    x, hx = x.to(half).requires_grad_(), tree_map(lambda s: s.to(half).requires_grad_(), hx)
    with tg.strict():
        new = tree_leaves(cell(x, hx))
        gradients = torch.autograd.grad(sum(s.float().sum() for s in new), [x, *tree_leaves(hx), *cell.parameters()])
    with eager_only():
        by_definition = tree_leaves(cell(x, hx))
        wanted = torch.autograd.grad(
            sum(s.float().sum() for s in by_definition), [x, *tree_leaves(hx), *cell.parameters()]
        )
    assert {tensor.dtype for tensor in (*new, *gradients)} == {half}
    assert off(new, by_definition) <= torch.finfo(half).eps / 8
    assert off(gradients, wanted) <= torch.finfo(half).eps
    once = torch.autograd.grad(cell(x, hx)[0].float().sum(), x, create_graph=True)[0]
    assert torch.autograd.grad(once.float().square().sum(), cell.weight_hh)[0].dtype == half


@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell", "RNNCell"])
def test_steps_under_autocast_have_the_types_that_torch_gives(kind) -> None:
    mine, theirs = getattr(tg.nn, kind)(3, 4), getattr(torch.nn, kind)(3, 4)
    for of_x in (torch.float32, torch.bfloat16):
        for of_state in (None, torch.float32, torch.bfloat16):
            x, state = torch.zeros(2, 3, dtype=of_x), torch.zeros(2, 4, dtype=of_state)
            hx = None if of_state is None else (state, state) if kind == "LSTMCell" else state
            with torch.autocast("cpu", torch.bfloat16):
                kinds = [[s.dtype for s in tree_leaves(cell(x, hx))] for cell in (mine, theirs)]
            assert kinds[0] == kinds[1]


@every_half
def test_a_session_multiplies_in_the_type_of_its_weights(half) -> None:
    layer, x = layer_of("GRU"), draw(T, 3, I)
    wanted = exact(layer, half)(x.double())[0]
    session = tg.Session(layer, 3, weights=name_of(half))
    found = session.run(x)
    assert found.dtype == torch.float32
    assert off(found, wanted) <= 1e-5
    again = tg.Session(layer, 3, weights=name_of(half))
    assert off(torch.stack([again.step(row) for row in x]), wanted) <= 1e-5
    copied = pickle.loads(pickle.dumps(again))
    assert torch.equal(copied.step(x[0]), again.step(x[0]))


@every_half
def test_a_session_of_a_layer_in_half_precision(half) -> None:
    layer, x = layer_of("LSTM", half=half).to(half), draw(T, 1, I).to(half)
    session = tg.Session(layer)
    y = session.run(x)
    assert y.dtype == half
    assert session.state["c"].dtype == torch.float32
    torch.testing.assert_close(y, layer(x)[0], rtol=2 * torch.finfo(half).eps, atol=1e-4)
    session.reset()
    assert torch.equal(torch.stack([session.step(row[0]) for row in x]), y[:, 0])
    with pytest.raises(InputError, match=f"the session {half}".replace(".", r"\.")):
        session.step(x[0].float())
    whole = tg.Session(layer, weights="float32").run(x)
    assert off(whole, y) <= 4 * torch.finfo(half).eps


def test_what_float16_cannot_hold() -> None:
    """Factors above 65,504 are infinite, and those below 3e-8 zero; adjoints are not rounded."""
    cell = layer_of("RNN").cells[0].with_products("float16")
    parameters = [torch.full(shape, 1e-4) for shape in cell.shapes[0]]
    x = torch.zeros(1, 1, I)
    x[..., 0] = 7e4
    for way in (tg.strict, eager_only):
        with way():
            _, (y, _) = run_layer(cell, Rows(x[0], Steps.uniform(1, 1)), 1, None, parameters)
        assert (y == 1).all()
    x[..., 0] = 2e-8
    x.requires_grad_()
    for way in (tg.strict, eager_only):
        with way():
            _, (y, _) = run_layer(cell, Rows(x[0], Steps.uniform(1, 1)), 1, None, parameters)
            (d_x,) = torch.autograd.grad((y * 1e-9).sum(), x)
        assert y.unique().numel() == 1
        assert (d_x[..., 0] > 0).all()


@every_half
def test_accelerate_takes_layers_in_half_precision_and_restore_gives_them_back(half) -> None:
    torch.manual_seed(0)
    model = torch.nn.ModuleDict({"layer": torch.nn.GRU(I, H), "step": torch.nn.LSTMCell(I, H)}).to(half)
    x = draw(T, B, I).to(half)
    before = model["layer"](x)[0], model["step"](x[0])[1]
    assert [*tg.accelerate(model).swapped] == ["layer", "step"]
    with tg.strict():
        after = model["layer"](x)[0], model["step"](x[0])[1]
    assert {tensor.dtype for tensor in after} == {half}
    torch.testing.assert_close(after, before, rtol=0.02, atol=8 * torch.finfo(half).eps)
    tg.restore(model)
    assert type(model["layer"]) is torch.nn.GRU
    assert torch.equal(model["layer"](x)[0], before[0])


def test_lstms_stay_torchs_where_torch_alone_has_amx(monkeypatch) -> None:
    monkeypatch.setattr(accelerate_of_nn, "processor", lambda: Processor(flags=frozenset(("amx_bf16",))))
    kinds = {"lstm": torch.nn.LSTM(3, 4).bfloat16(), "gru": torch.nn.GRU(3, 4).bfloat16(), "full": torch.nn.LSTM(3, 4)}
    done = tg.accelerate(torch.nn.ModuleDict(kinds))
    assert [*done.swapped] == ["gru", "full"]
    assert (
        done.left["lstm"]
        == "torch multiplies bfloat16 by AMX here, and the engine does not (TIDEGATE_TILES=amx tries it)"
    )


def test_the_type_of_products_is_part_of_a_cell() -> None:
    cell = layer_of().cells[0]
    rounded = cell.with_products("bfloat16")
    assert rounded is not cell
    assert rounded.with_products("bfloat16") is rounded
    assert rounded.with_products(None) is cell
    assert cell.text == rounded.with_products(None).text != rounded.text
    assert described(rounded.text) is rounded
    assert pickle.loads(pickle.dumps(rounded)) is rounded
    assert (rounded.graph, rounded.widths, rounded.kept) == (cell.graph, cell.widths, cell.kept)
    with pytest.raises(SpecError, match="products in 'int3'"):
        cell.with_products("int3")


def test_gradients_that_are_withheld_refuse_half_precision() -> None:
    layer, x = layer_of(), draw(T, B, I)
    with torch.autocast("cpu", torch.bfloat16), withhold(), pytest.raises(BackendError, match="multiplies in bfloat16"):
        layer(x)
    with pytest.raises(InputError, match=r"weight_ih_l0 is torch\.bfloat16"):
        Gradients(layer.bfloat16(), 1.0)
