"""Weights packed once inside a block: each write that torch counts is seen, and others are found at its end."""

import copy

import pytest
import torch

import tidegate as tg
from tidegate.errors import InputError
from tidegate.runtime import frozen as kept
from tidegate.runtime import obstacle

pytestmark = pytest.mark.skipif(
    obstacle(tg.nn.LSTMCell(1, 1).definition(), torch.zeros(1), None, ()) is not None, reason="no engine here"
)

MODELS = {
    "two directions": lambda: tg.nn.LSTM(5, 17, num_layers=2, bidirectional=True),
    "a cell": lambda: tg.nn.LSTMCell(5, 17),
    "float64": lambda: tg.nn.GRU(5, 17, dtype=torch.float64),
    "layer norm, zoneout": lambda: tg.nn.LSTM(5, 17, layer_norm=True, zoneout=0.1),
    "projected": lambda: tg.nn.LSTM(5, 17, proj_size=4),
}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def input_of(model, steps=4):
    shape = (3, 5) if isinstance(model, tg.nn.RecurrentCell) else (steps, 3, 5)
    return torch.randn(shape, dtype=next(model.parameters()).dtype)


def assert_current(model, x):
    """A call has the numbers of a model that was made of the present weights."""
    torch.testing.assert_close(model(x)[0], copy.deepcopy(model)(x)[0], atol=1e-6, rtol=1e-6)


@pytest.fixture
def packings(monkeypatch):
    """A list that grows with each packing of weights that are kept."""
    made = []
    original = kept.Weights.packed
    monkeypatch.setattr(
        kept.Weights, "packed", lambda self, plan, pack: original(self, plan, lambda: made.append(1) or pack())
    )
    return made


@every_model
def test_numbers_are_those_of_plain_calls_and_weights_are_packed_once(make, packings):
    model = make().eval()
    made = packings
    inputs = [input_of(model, steps) for steps in (4, 1, 9, 1)]
    with torch.no_grad():
        wanted = [model(x)[0] for x in inputs]
        assert not made
        with tg.frozen(model):
            found = [model(x)[0] for x in inputs]
            first = len(made)
            found += [model(x)[0] for x in inputs]
            assert len(made) == first > 0
            assert_current(model, inputs[0])
    for one, other in zip(found, wanted * 2, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)
    assert not kept.kept


@every_model
def test_gradients_and_steps_of_optimizers(make):
    torch.manual_seed(0)
    model = make()
    twin, x = copy.deepcopy(model), input_of(model)
    if isinstance(model, tg.nn.Recurrent) and model.options.run_differently:
        model.eval(), twin.eval()
    kinds = ({"foreach": True}, {"fused": True}, {"foreach": False})
    steps = [[torch.optim.AdamW(m.parameters(), lr=0.01, **kind) for kind in kinds] for m in (model, twin)]
    with tg.frozen(model):
        for ours, plain in zip(*steps, strict=True):
            for _ in range(2):
                losses = [m(x)[0].square().sum() for m in (model, twin)]
                torch.testing.assert_close(*losses, atol=1e-5, rtol=1e-5)
                for loss, optimizer in zip(losses, (ours, plain), strict=True):
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                for one, other in zip(model.parameters(), twin.parameters(), strict=True):
                    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


WRITES = {
    "copy_": lambda layer, weight: weight.copy_(2 * weight),
    "a part of it": lambda layer, weight: weight[0].zero_(),
    "foreach": lambda layer, weight: torch._foreach_mul_([*layer.parameters()], 2),
    "load_state_dict": lambda layer, weight: layer.load_state_dict({k: 2 * v for k, v in layer.state_dict().items()}),
    "load_state_dict, assigned": lambda layer, weight: layer.load_state_dict(
        {k: 2 * v for k, v in layer.state_dict().items()}, assign=True
    ),
    ".data assigned": lambda layer, weight: setattr(weight, "data", 2 * weight.data),
    "another type and back": lambda layer, weight: layer.double().float(),
    "a new parameter": lambda layer, weight: setattr(layer, "weight_hh_l0", torch.nn.Parameter(2 * weight.detach())),
    "an initialisation": lambda layer, weight: layer.reset_parameters(),
}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("write", WRITES)
def test_writes_that_torch_counts_are_seen(write, mode):
    layer = MODELS["two directions"]()
    x = input_of(layer)
    with tg.frozen(layer), mode():
        for _ in range(2):
            layer(x)
            WRITES[write](layer, layer.weight_hh_l0)
            assert_current(layer, x)


@pytest.mark.parametrize(
    "write",
    [lambda weight: weight.data.mul_(2), lambda weight: weight.detach().numpy().__imul__(2)],
    ids=[".data", "NumPy"],
)
def test_writes_that_torch_does_not_count_are_found_at_the_end(write):
    layer = MODELS["two directions"]()
    x = input_of(layer)
    with torch.no_grad():
        before = layer(x)[0]

        def block():
            with tg.frozen(layer):
                layer(x)
                write(layer.weight_hh_l1)
                torch.testing.assert_close(layer(x)[0], before)  # as documented: the old weights

        with pytest.raises(InputError, match="in a way that torch does not count") as caught:
            block()
        assert caught.value.code == "FROZEN"
        assert (layer(x)[0] - before).abs().max() > 1e-4
        with tg.frozen(layer):  # before the first call nothing is packed
            write(layer.weight_hh_l1)
            assert_current(layer, x)


def test_an_error_inside_the_block_comes_through():
    layer = tg.nn.GRU(5, 7)

    def block():
        with tg.frozen(layer):
            layer(input_of(layer))
            layer.weight_hh_l0.data.zero_()
            raise KeyError

    with pytest.raises(KeyError):
        block()
    assert not kept.kept


def test_blocks_inside_one_another():
    layer = tg.nn.GRU(5, 7)
    x = input_of(layer)
    with torch.no_grad(), tg.frozen(torch.nn.ModuleList([layer, tg.nn.GRU(5, 7)])):
        with tg.frozen(layer):
            layer(x)
        assert kept.find(layer.layer_parameters(0))
        assert_current(layer, x)
    assert not kept.kept


def test_weights_that_nobody_can_watch_are_not_kept():
    with torch.inference_mode():
        layer = tg.nn.GRU(5, 7)
        x = input_of(layer)
        with tg.frozen(layer):
            layer(x)
            layer.weight_hh_l0.mul_(2)
            assert_current(layer, x)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    "make",
    [
        lambda: tg.nn.LSTM(5, 7, 2),
        lambda: tg.nn.PeepholeLSTM(5, 7, bidirectional=True),
        lambda: tg.nn.PeepholeLSTMCell(5, 7),
    ],
    ids=["a stack", "vectors, both ways", "a cell with vectors"],
)
def test_weights_of_half_precision_are_kept_and_watched(half, make, packings):
    layer = make().to(half)
    is_cell = isinstance(layer, tg.nn.RecurrentCell)
    x = torch.randn(*((60, 5) if is_cell else (20, 3, 5)), dtype=half)
    weight = layer.weight_hh if is_cell else layer.weight_hh_l0

    def current() -> bool:
        return torch.equal(layer(x)[0], copy.deepcopy(layer)(x)[0])

    with torch.no_grad(), tg.frozen(layer):
        assert current()
        before = len(packings)
        assert torch.equal(layer(x)[0], layer(x)[0])
        assert len(packings) == before
        weight.mul_(2)
        assert current()
        layer(x)
    assert not kept.kept

    def unseen() -> None:
        with torch.no_grad(), tg.frozen(layer):
            layer(x)
            weight.data.mul_(2)

    with pytest.raises(InputError, match="does not count"):
        unseen()
    assert not kept.kept
    with torch.autocast("cpu", half), torch.no_grad(), tg.frozen(plain := make()):
        first = plain(x.float())[0]
        before = len(packings)
        assert torch.equal(plain(x.float())[0], first)
        assert len(packings) == before


def test_only_modules_are_frozen():
    with pytest.raises(InputError, match=r"expected a torch.nn.Module, got list"), tg.frozen([]):
        pass
