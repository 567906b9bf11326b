"""What torch's own code does with a layer as a whole: many gradients at once, gradients of each sample, TorchScript."""

import copy

import pytest
import torch
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads
from torch.nn.utils.rnn import pack_padded_sequence

from tests.peer.side import CELLS, KINDS, I, answers, assert_same, normal, state_for
from tidegate import nn as ours
from tidegate.errors import InputError
from tidegate.runtime import strict

T, B = 5, 3


def results_of(module, x):
    """Everything that a call returns, as one vector."""
    found = torch.utils._pytree.tree_leaves(module(x))
    return torch.cat([value.flatten() for value in found if value.is_floating_point()])


@pytest.mark.parametrize("kind", [*KINDS, *CELLS])
def test_many_gradients_at_once(kind):
    """By ``is_grads_batched``, by a vectorised jacobian and by vmap over a backward pass."""

    def row(side):
        module, x = side.make(), normal(*([B] if "cell" in kind else [T, B]), I).requires_grad_()
        y = results_of(module, x)
        several, leaves = normal(4, len(y)), [x, *module.parameters()]
        found = torch.autograd.grad(y, leaves, several, is_grads_batched=True, retain_graph=True)
        jacobian = torch.autograd.functional.jacobian(lambda x: results_of(module, x), x, vectorize=True)
        mapped = torch.vmap(lambda grad: torch.autograd.grad(y, leaves, grad, retain_graph=True))(several)
        return found, jacobian, mapped

    assert_same(*answers(row, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_many_gradients_at_once_are_those_taken_one_by_one(kind):
    def row(side):
        module, x = side.make(num_layers=2, bidirectional=True), normal(T, B, I)
        y = results_of(module, x)
        leaves, several = [*module.parameters()], normal(4, len(y))
        one_by_one = [torch.autograd.grad(y, leaves, grad, retain_graph=True) for grad in several]
        at_once = torch.autograd.grad(y, leaves, several, is_grads_batched=True)
        return [torch.stack(parts) for parts in zip(*one_by_one, strict=True)], list(at_once)

    assert_same(*answers(row, kind)[0][0])


def sample_gradients(module, x, state, **options):
    output = call_for_per_sample_grads(module, loss_reduction="sum", **options)(x, state)[0]
    data = output.data if isinstance(x, tuple) else output
    (data * torch.linspace(-1, 1, data.shape[-1])).sum().backward()
    return [p.grad_sample for p in module.parameters() if p.requires_grad]


@pytest.mark.parametrize("frozen", [None, "weight_ih_l0"])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_each_sample(kind, frozen):
    """As torch's layers have them, padded and packed, and as single sequences have them."""

    def row(side):
        module = side.make(num_layers=2, bidirectional=True)
        if frozen:
            module.get_parameter(frozen).requires_grad_(requires_grad=False)
        x, state, found = normal(T, B, I), state_for(module, B), []
        packed = pack_padded_sequence(x, torch.tensor([5, 3, 2]))
        for given in (x, packed):
            for parameter in module.parameters():
                parameter.grad_sample = None
            found.append(sample_gradients(module, given, state, batch_size=B, batch_first=False))
        return found

    assert_same(*answers(row, kind))


def test_gradients_of_each_sample_are_those_of_single_sequences():
    module, x = ours.GRU(I, 4, dtype=torch.float64), normal(T, B, I)
    found = sample_gradients(module, x, None, batch_size=B, batch_first=False)
    for k in range(B):
        loss = (module(x[:, k])[0] * torch.linspace(-1, 1, 4)).sum()
        alone = torch.autograd.grad(loss, [*module.parameters()])
        assert_same([g[k] for g in found], [*alone])
    assert module.last_path == "fused"
    with strict(), pytest.raises(InputError, match="ExpandedWeight"):
        call_for_per_sample_grads(ours.GRU(I, 4), batch_size=B, batch_first=False)(x.float())


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_torchscript_leaves_torchs_layer_with_the_same_parameters():
    layer = ours.LSTM(I, 4)
    layer.note = "mine"
    model = torch.nn.Sequential(layer)
    scripted, x = torch.jit.script(model), torch.randn(T, B, I)
    assert type(layer) is ours.LSTM
    assert type(model[0]) is torch.nn.LSTM
    assert model[0].note == "mine"
    assert all(a is b for a, b in zip(model[0].parameters(), layer.parameters(), strict=True))
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    torch.testing.assert_close(scripted(x)[0], layer(x)[0])
    assert repr(copy.deepcopy(model[0])) == repr(layer)


@pytest.mark.filterwarnings("ignore:.torch.jit")
@pytest.mark.parametrize("make", [lambda: ours.GRU(I, 4, reset="before"), lambda: ours.PeepholeLSTM(I, 4)])
def test_torchscript_refuses_what_torch_does_not_have(make):
    model = torch.nn.Sequential(make())
    with pytest.raises(InputError, match="TorchScript runs only"):
        torch.jit.script(model)
    assert isinstance(model[0], ours.Recurrent)
