"""The contract with torch.nn, row by row: each is asked of our class and of torch's own in the same run."""

import copy
import inspect
import itertools
import pickle
import re

import pytest
import torch
from torch.func import functional_call
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

from tests.peer.side import CELLS, KINDS, I, answers, assert_same, gradients, normal, raised, state_for
from tidegate import nn as ours

T, B = 5, 2
SWITCHES = [
    dict(zip(("bias", "batch_first", "bidirectional"), switches, strict=True))
    for switches in itertools.product((True, False), repeat=3)
]
TWICE = {"num_layers": 2, "bidirectional": True}


def each_way(side, ask, **options):
    """The answer for every switch of the constructor."""
    return [ask(side.make(**switches, **options)) for switches in SWITCHES]


def input_for(module, *, batched=True):
    if not batched:
        return normal(T, I)
    return normal(B, T, I) if getattr(module, "batch_first", False) else normal(T, B, I)


def sequences(*, enforce_sorted=False):
    lengths = [5, 3, 2] if enforce_sorted else [2, 5, 3]
    return pack_padded_sequence(normal(T, 3, I), torch.tensor(lengths), enforce_sorted=enforce_sorted)


# What a module is


def attributes(side):
    def public(module):
        theirs = torch.nn.Module.__dict__.keys() | {"graph", "cells", "reset", "update"}
        found = {name: value for name, value in vars(module).items() if not name.startswith("_") and name not in theirs}
        return sorted((name, type(value), value) for name, value in found.items())

    return each_way(side, public, num_layers=2, dropout=0.5)


def positions(side):
    more = ("relu",) if side.name == "RNN" else ()
    after = (1,) if side.name == "LSTM" else ()
    module = side.kind(I, 4, 2, *more, False, True, 0.5, True, *after)  # noqa: FBT003  their order is what is asked
    return repr(module), module.bias, module.batch_first, module.proj_size, getattr(module, "nonlinearity", None)


def printed(side):
    return each_way(side, repr, num_layers=2, dropout=0.25), each_way(side, repr), str(side.make(1, 3))


def parameters(side):
    def listed(module):
        names = [(name, tuple(p.shape), p.requires_grad, type(p)) for name, p in module.named_parameters()]
        every = [[tuple(p.shape) for p in weights] for weights in module.all_weights]
        flat = all(a is b for a, b in zip(module._flat_weights, module.parameters(), strict=True))
        return names, list(module.state_dict()), module._flat_weights_names, module._all_weights, every, flat

    return each_way(side, listed, num_layers=3)


def first_values(side):
    """Drawn bit for bit as torch draws them, and the generator left where torch leaves it."""
    torch.manual_seed(3)
    module = side.kind(I, 4, **side.options, **TWICE)
    drawn = [p.detach().clone().view(torch.int32) for p in module.parameters()]
    module.reset_parameters()
    again = [p.detach().view(torch.int32) for p in module.parameters()]
    return drawn, again, torch.get_rng_state().tolist()


def family(side):
    module = side.make()
    return [isinstance(module, kind) for kind in (torch.nn.RNNBase, torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU)]


def methods(side):
    """The checks and helpers that torch's layers have."""
    module = side.make(num_layers=2, bidirectional=True)
    x, sizes, order = normal(T, B, I), torch.tensor([2, 1]), torch.tensor([1, 0])
    state = state_for(module, B)
    expected = module.get_expected_hidden_size(x, None)
    several = isinstance(state, tuple)
    return [
        module.flatten_parameters(),
        expected,
        module.get_expected_hidden_size(x, sizes),
        module.get_expected_cell_size(x, None) if several else None,
        module.check_input(x, None),
        raised(lambda: module.check_input(x, sizes)),
        raised(lambda: module.check_input(normal(T, B, I + 1), None)),
        module.check_hidden_size(state[0] if several else state, expected),
        raised(lambda: module.check_hidden_size(normal(1, 2, 3), expected)),
        raised(lambda: module.check_hidden_size(normal(1, 2, 3), expected, "wanted {}, not {}")),
        module.check_forward_args(x, state, None),
        raised(lambda: module.check_forward_args(x, tuple(s[:1] for s in state) if several else state[:1], None)),
        module.permute_hidden(state, order),
        module.permute_hidden(state, None) is state,
    ]


# What it computes


def values(side):
    """Outputs, states and all gradients, with and without a batch and states; and how the output lies in memory."""

    def ask(module):
        found = []
        for batched in (True, False):
            x = input_for(module, batched=batched).requires_grad_()
            for state in (None, state_for(module, *([B] if batched else []))):
                found += [gradients(module, x, *([] if state is None else [state]))]
                y = module(x, state)[0]
                found += [y.shape, y.stride(), y.is_contiguous()]
        return found

    return each_way(side, ask, num_layers=2)


def packed(side):
    """Sorted and not; states are in the caller's order; the module's batch_first does not matter."""

    def ask(module):
        found = [gradients(module, sequences(enforce_sorted=order)) for order in (True, False)]
        return [*found, module(sequences(), state_for(module, 3)), module(pack_sequence([normal(4, I)]))]

    return each_way(side, ask, num_layers=2)


def dropped(side):
    """Masks from the same seed, in both layouts and packed; none in evaluation."""
    found = []
    for first, p, training in itertools.product((True, False), (0.4, 1.0), (True, False)):
        module = side.make(num_layers=3, dropout=p, bidirectional=True, batch_first=first).train(training)
        for x in (input_for(module), normal(T, I), sequences()):
            torch.manual_seed(7)
            found += [gradients(module, x), torch.get_rng_state().tolist()]
    return found


def layouts_of_memory(side):
    module = side.make(**TWICE)
    state = state_for(module, T)
    strided = tuple(s.mT.contiguous().mT for s in state) if isinstance(state, tuple) else state.mT.contiguous().mT
    return gradients(module, normal(B, T, I).transpose(0, 1)), gradients(
        module, normal(I, T, 6).permute(2, 1, 0), strided
    )


def extremes(side):
    """Nothing in a batch; not numbers; infinite ones."""
    module = side.make(**TWICE)
    spoilt = normal(T, B, I)
    spoilt[2, 0, 1] = float("nan")
    endless = normal(T, B, I)
    endless[1, 1, 0] = float("inf")
    return (
        gradients(module, normal(T, 0, I)),
        module(normal(T, 0, I), state_for(module, 0)),
        module(spoilt),
        module(endless),
    )


def types(side):
    """Other types of numbers, and no numbers at all."""
    module, found = side.make(**TWICE), []
    for dtype in (torch.float32, torch.complex128):
        module.to(dtype)
        found += [
            [p.dtype for p in module._flat_weights],
            raised(lambda dtype=dtype: module(normal(T, B, I).to(dtype))),
        ]
    meta = side.make(device="meta")
    return found, meta(torch.empty(T, B, I, device="meta", dtype=torch.float64))


def modes(side):
    """Backward in evaluation; frozen parameters; without gradients."""
    module = side.make(**TWICE).eval()
    found = [gradients(module, normal(T, B, I))]
    module.requires_grad_(requires_grad=False)
    found += [module(normal(T, B, I)), gradients(module, normal(T, B, I).requires_grad_())]
    module.weight_hh_l0.requires_grad_()
    found.append(gradients(module, normal(T, B, I)))
    with torch.no_grad():
        return [*found, module(normal(T, B, I))]


# What is done to it


def saved(side):
    """state_dict both ways, strictly."""
    module, x = side.make(**TWICE), normal(T, B, I)
    torchs = getattr(torch.nn, side.name)(I, 4, **side.options, **TWICE, dtype=torch.float64)
    mine = getattr(ours, side.name)(I, 4, **side.options, **TWICE, dtype=torch.float64)
    results = [other.load_state_dict(module.state_dict(), strict=True) for other in (torchs, mine)]
    short = dict(list(module.state_dict().items())[1:])
    return [list(map(list, results)), torchs(x), mine(x), raised(lambda: mine.load_state_dict(short))]


def copied(side):
    module, x = side.make(**TWICE), normal(T, B, I)
    return [
        gradients(other, x) for other in (copy.deepcopy(module), copy.copy(module), pickle.loads(pickle.dumps(module)))
    ]


def unpickled_from_before_projections(side):
    module = side.make(**TWICE)
    state = module.__getstate__()
    if not module.proj_size:
        del state["proj_size"]
    state["all_weights"] = state.pop("_all_weights")
    other = side.kind.__new__(side.kind)
    other.__setstate__(state)
    return other.proj_size, repr(other), gradients(other, normal(T, B, I)), other.all_weights[1][0]


def moved(side):
    """Flat weights stay the parameters, whatever moves them."""
    module, x, found = side.make(**TWICE), normal(T, B, I), []
    state = copy.deepcopy(module.state_dict())
    for move in (
        lambda m: m.half().double(),
        lambda m: m.to(torch.float32).to(torch.float64),
        lambda m: m.to("meta").to_empty(device="cpu"),
        lambda m: m.share_memory(),
    ):
        move(module)
        module.load_state_dict(state)
        found += [all(a is b for a, b in zip(module._flat_weights, module.parameters(), strict=True)), module(x)]
    return found


def reassigned(side):
    """New weights take effect, in the flat weights too, and so do changes in place."""
    module, x = side.make(), normal(T, B, I)
    module.weight_hh_l0 = torch.nn.Parameter(module.weight_hh_l0.detach() * 2)
    found = [module._flat_weights[1] is module.weight_hh_l0, gradients(module, x)]
    with torch.no_grad():
        module.weight_ih_l0.mul_(-1)
    module.bias_ih_l0.data = module.bias_ih_l0.data + 1
    found.append(gradients(module, x))
    value = module.weight_hh_l0.detach() * 3
    del module.weight_hh_l0
    module.weight_hh_l0 = value
    return [*found, module(x), [name for name, _ in module.named_parameters()]]


def parametrized(side):
    """In evaluation: in training spectral_norm iterates at every look at a weight, and torch looks more than once."""
    found = []
    for way in (parametrizations.weight_norm, parametrizations.spectral_norm, parametrizations.orthogonal):
        module = side.make(**TWICE).eval()
        torch.manual_seed(2)
        way(module, "weight_hh_l1")
        found += [repr(module).replace("Parametrized", ""), gradients(module, normal(T, B, I))]
        torch.nn.utils.parametrize.remove_parametrizations(module, "weight_hh_l1")
        found.append(gradients(module, normal(T, B, I)))
    return found


def normed_the_old_way(side):
    found = []
    for way in (torch.nn.utils.weight_norm, torch.nn.utils.spectral_norm):
        module = side.make(**TWICE)
        torch.manual_seed(2)
        way(module, "weight_ih_l0")
        found += [list(module.state_dict()), gradients(module, normal(T, B, I))]
    return found


def called_by_function(side):
    module, x = side.make(**TWICE), normal(T, B, I)
    other = {name: 2 * p.detach() for name, p in module.named_parameters()}
    some = {"bias_hh_l1": other["bias_hh_l1"]}
    found = [functional_call(module, given, (x,)) for given in (other, some)]
    found.append(torch.nn.utils.stateless.functional_call(module, other, (x,)))
    return [*found, module(x)]


def replicated(side):
    """As DataParallel makes replicas: parameters become attributes."""
    module = side.make(**TWICE)
    replica = module._replicate_for_data_parallel()
    for name, p in module.named_parameters():
        setattr(replica, name, p * 1)
    return replica(normal(T, B, I)), replica._flat_weights is module._flat_weights


def hooked(side):
    module, seen = side.make(), []
    module.register_forward_pre_hook(lambda _, inputs: (2 * inputs[0], *inputs[1:]))
    module.register_forward_hook(lambda _, __, output: (output[0] + 1, output[1]))
    module.register_full_backward_hook(lambda _, into, out: seen.append([g is None for g in (*into, *out)]))
    return gradients(module, normal(T, B, I).requires_grad_()), seen


def scripted(side):
    """TorchScript takes a layer inside of a module, and refuses it alone."""
    module, x = torch.nn.Sequential(side.make(**TWICE)), normal(T, B, I)
    alone = raised(lambda: torch.jit.script(side.make())(x))
    return torch.jit.script(module)(x), alone[0] if isinstance(alone, tuple) else alone, list(module.state_dict())


def traced(side):
    module, x = side.make(**TWICE), normal(T, B, I)
    found = torch.jit.trace(module, (x,), check_trace=False)
    return found(x), found(2 * x)


LAYER_ROWS = (
    attributes, positions, printed, parameters, first_values, family, methods, values, packed, dropped,
    layouts_of_memory, extremes, types, modes, saved, copied, unpickled_from_before_projections, moved, reassigned,
    parametrized, normed_the_old_way, called_by_function, replicated, hooked, scripted, traced,
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", LAYER_ROWS, ids=lambda row: row.__name__)
def test_layers(row, kind):
    mine, theirs = answers(row, kind)
    if row in (scripted, traced):  # there torch warns of lines of its own source, of each once in a process
        mine, theirs = mine[:1], theirs[:1]
    assert_same(mine, theirs)


def cell_is(side):
    module = side.make()
    names = {"input_size", "hidden_size", "bias", "nonlinearity"}
    public = sorted((name, value) for name, value in vars(module).items() if name in names)
    bare = side.make(bias=False)
    return public, repr(module), list(module._parameters), list(bare._parameters), list(bare.state_dict()), repr(bare)


def cell_values(side):
    found = []
    for bias, rows in itertools.product((True, False), ([], [0], [1], [B])):
        module = side.make(bias=bias)
        found += [
            gradients(module, normal(*rows, I).requires_grad_(), *state) for state in ([], [state_for(module, *rows)])
        ]
    return found


def cell_scripted(side):
    module, x = side.make(), normal(B, I)
    return torch.jit.script(module)(x), torch.jit.script(torch.nn.Sequential(module))(x)


def cell_copied(side):
    module = side.make()
    return [gradients(other, normal(B, I)) for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)))]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("row", [cell_is, cell_values, cell_scripted, cell_copied], ids=lambda row: row.__name__)
def test_cells(row, kind):
    mine, theirs = answers(row, kind)
    if row is cell_scripted:
        mine, theirs = mine[:1], theirs[:1]
    assert_same(mine, theirs)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_arguments_stand_where_torch_documents_them(name):
    """torch's layers take (*args, **kwargs); the order is in the first line of what they say of themselves."""
    documented = re.findall(
        r"(\w+)(?:=([^,)]+))?[,)]", getattr(torch.nn, name).__doc__.partition("\n")[0].partition("(")[2]
    )
    mine = list(inspect.signature(getattr(ours, name)).parameters.values())[: len(documented)]
    empty = inspect.Parameter.empty
    found = [(p.name, "" if p.default is empty else repr(p.default)) for p in mine]
    assert found == documented
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in mine)


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_arguments_of_cells_stand_where_torch_has_them(name):
    def listed(kind):
        return [(p.name, p.default, p.kind) for p in inspect.signature(kind).parameters.values()]

    theirs = listed(getattr(torch.nn, name))
    assert listed(getattr(ours, name))[: len(theirs)] == theirs


def test_the_comparison_finds_what_differs():
    x = normal(2, 3)
    different = [
        (x, x + 1e-9), (x, x.float()), (x, x[:1]), (x, x.clone().requires_grad_()), ([x], [x, x]), ((x, 1), (x, 2)),
        ((ValueError, "a"), (ValueError, "b")), ((ValueError, "a"), (TypeError, "a")), (x, "x"), (x, (x,)), ("x", x),
        (x, torch.full_like(x, float("nan"))), (sequences(), tuple(sequences())),
    ]  # fmt: skip
    for mine, theirs in different:
        with pytest.raises(AssertionError):
            assert_same(mine, theirs)
    assert_same((x, [x + 1e-14], "x"), (x, [x], "x"))
