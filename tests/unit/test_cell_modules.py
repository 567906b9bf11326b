"""Single steps against torch.nn's cells, and against the layers for cells that torch does not have."""

import copy
import pickle
from dataclasses import replace

import pytest
import torch
from torch.autograd import gradgradcheck
from torch.func import functional_call

from tests.reference.compare import assert_as_exact, assert_equal, public
from tests.sample import VARIED
from tidegate import nn as ours
from tidegate.cell import Cell, Op, Vector, sigmoid, tanh
from tidegate.errors import InputError
from tidegate.passes import project
from tidegate.runtime import eager_only, fused
from tidegate.zoo import CELLS, LSTM, IndRNN

B, I, H = 3, 5, 4
KINDS = {
    "rnn": ("RNNCell", {}),
    "rnn relu": ("RNNCell", {"nonlinearity": "relu"}),
    "lstm": ("LSTMCell", {}),
    "gru": ("GRUCell", {}),
}

every_kind = pytest.mark.parametrize("kind", KINDS)
every_bias = pytest.mark.parametrize("bias", [True, False])
every_batch = pytest.mark.parametrize("batch", [None, 0, 1, B], ids=lambda size: f"B={size}")


def pair(kind, dtype=torch.float64, **options):
    """Our module and torch's, made from the same seed."""
    name, more = KINDS[kind]
    made = []
    for library in (ours, torch.nn):
        torch.manual_seed(0)
        made.append(getattr(library, name)(I, H, **more, **options, dtype=dtype))
    return made


def normal(*shape, seed=1, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def draw(kind, batch=B, dtype=torch.float64, width=H):
    """An input and a state, without a batch where its size is None."""
    rows = () if batch is None else (batch,)
    h, c = (normal(*rows, width, seed=seed, dtype=dtype) for seed in (2, 3))
    return normal(*rows, I, dtype=dtype), (h, c) if kind == "lstm" else h


def parts(state):
    return () if state is None else (state,) if isinstance(state, torch.Tensor) else tuple(state)


def grouped(state, values):
    """Values in the form of a state."""
    return None if state is None else values[0] if isinstance(state, torch.Tensor) else tuple(values)


def results(module, x, state):
    """The new states, and every gradient of a random weighted sum of them."""
    x = x.detach().requires_grad_()
    leaves = [s.detach().requires_grad_() for s in parts(state)]
    found = {f"state {k}": s for k, s in enumerate(parts(module(x, grouped(state, leaves))))}
    loss = sum((v * normal(*v.shape, seed=9 + k, dtype=v.dtype)).sum() for k, v in enumerate(found.values()))
    named = {"x": x, **{f"first {k}": s for k, s in enumerate(leaves)}, **dict(module.named_parameters())}
    grads = torch.autograd.grad(loss, list(named.values()))
    found = {name: value.detach() for name, value in found.items()}
    return found | {f"d {name}": grad for name, grad in zip(named, grads, strict=True)}


def raised(call):
    """Type and text of what a call raises."""
    with pytest.raises(Exception) as caught:
        call()
    return type(caught.value), str(caught.value)


@every_kind
@every_bias
@every_batch
def test_float64(kind, bias, batch):
    mine, theirs = pair(kind, bias=bias)
    x, state = draw(kind, batch)
    for given in (None, state):
        assert_equal(results(mine, x, given), results(theirs, x, given))
        with eager_only():
            assert_equal(results(mine, x, given), results(theirs, x, given))


# One number alone would be measured against itself, which can be the small difference of large ones: so 17 rows.
@every_kind
@every_bias
@pytest.mark.parametrize(("batch", "width"), [(None, H), (17, 1), (B, H), (17, 64)])
def test_float32_is_as_exact(kind, bias, batch, width):
    name, more = KINDS[kind]
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(I, width, bias, **more)
    mine, exact = getattr(ours, name)(I, width, bias, **more), getattr(torch.nn, name)(I, width, bias, **more).double()
    for module in (mine, exact):
        module.load_state_dict(theirs.state_dict())
    x, state = draw(kind, batch, torch.float32, width)
    truth = results(exact, x.double(), grouped(state, [s.double() for s in parts(state)]))
    assert_as_exact(results(mine, x, state), results(theirs, x, state), truth)


@every_kind
def test_a_step_runs_fused(kind, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("ran eagerly")

    monkeypatch.setattr(fused, "run_eagerly", refuse)
    mine, _ = pair(kind)
    results(mine, *draw(kind))
    with eager_only(), pytest.raises(AssertionError, match="ran eagerly"):
        mine(draw(kind)[0])


@every_kind
def test_steps_in_a_row_are_a_sequence(kind):
    name, more = KINDS[kind]
    cell = pair(kind)[0]
    layer = getattr(ours, name.removesuffix("Cell"))(I, H, **more, dtype=torch.float64)
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    x, state = normal(7, B, I), None
    for step in x:
        state = cell(step, state)
    _, last = layer(x)
    assert_equal(dict(enumerate(parts(state))), {k: s[0] for k, s in enumerate(parts(last))})


@every_kind
def test_two_swapped_gates_are_found(kind):
    mine, theirs = pair(kind)
    x, state = draw(kind)
    swapped = torch.arange(len(mine.bias_ih)).reshape(-1, H)  # [G, H]
    swapped = (swapped.flip(0) if len(swapped) > 1 else swapped.flip(1)).flatten()  # of one gate, its units
    with torch.no_grad():
        for parameter in mine.parameters():
            parameter.copy_(parameter[swapped])
    got, want = results(mine, x, state), results(theirs, x, state)
    with pytest.raises(AssertionError, match="state 0 off by"):
        assert_equal(got, want)
    with pytest.raises(AssertionError, match="state 0 off by"):
        assert_as_exact(
            {name: value.float() for name, value in got.items()},
            {name: value.float() for name, value in want.items()},
            want,
        )


@every_kind
@every_bias
def test_same_parameters_in_the_same_order_from_the_same_seed(kind, bias):
    mine, theirs = pair(kind, torch.float32, bias=bias)
    assert list(mine._parameters) == list(theirs._parameters)  # those that are None included
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert (mine.bias_ih is None) == (mine.bias_hh is None) == (not bias)
    for (name, one), (_, other) in zip(mine.named_parameters(), theirs.named_parameters(), strict=True):
        assert torch.equal(one, other), name


@every_kind
def test_the_generator_is_left_as_torch_leaves_it(kind):
    after = []
    for library in (ours, torch.nn):
        torch.manual_seed(5)
        getattr(library, KINDS[kind][0])(I, H, **KINDS[kind][1]).reset_parameters()
        after.append(torch.get_rng_state())
    assert torch.equal(*after)


@every_kind
@every_bias
def test_state_dict_loads_both_ways(kind, bias):
    mine, theirs = pair(kind, bias=bias)
    for source, target in ((mine, theirs), (theirs, mine)):
        with torch.no_grad():
            for value in source.parameters():
                value.add_(1)
        target.load_state_dict(source.state_dict(), strict=True)
        assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))


@every_kind
@pytest.mark.parametrize("bias", [True, False, 1, 0])
def test_face(kind, bias):
    mine, theirs = pair(kind, bias=bias)
    assert repr(mine) == repr(theirs)
    assert isinstance(mine, type(theirs))
    public = {name: value for name, value in vars(theirs).items() if not name.startswith("_")}
    assert {name: vars(mine)[name] for name in public} == public
    assert mine.__constants__ == theirs.__constants__


def test_arguments_stand_where_torch_has_them():
    for name, arguments in (
        ("RNNCell", (I, H, False, "relu", "meta", torch.float16)),
        ("LSTMCell", (I, H, False, "meta", torch.float16)),
        ("GRUCell", (I, H, False, "meta", torch.float16)),
    ):
        mine, theirs = getattr(ours, name)(*arguments), getattr(torch.nn, name)(*arguments)
        assert repr(mine) == repr(theirs)
        assert (mine.weight_hh.device, mine.weight_hh.dtype) == (theirs.weight_hh.device, theirs.weight_hh.dtype)
        assert mine.weight_hh.shape == theirs.weight_hh.shape


BAD_INPUTS = {
    "input of 3 axes": lambda m, w: m(normal(2, 2, I), None),
    "input of no axis": lambda m, w: m(normal(), None),
    "no tensor": lambda m, w: m([1.0, 2.0]),
    "features": lambda m, w: m(normal(2, I + 1), w(2, H)),
    "features, no batch": lambda m, w: m(normal(I + 1)),
    "state of 3 axes": lambda m, w: m(normal(2, I), w(1, 2, H)),
    "units": lambda m, w: m(normal(2, I), w(2, H + 1)),
    "units, no batch": lambda m, w: m(normal(I), w(H + 1)),
    "rows": lambda m, w: m(normal(2, I), w(3, H)),
    "state without a batch": lambda m, w: m(normal(2, I), w(H)),
    "state without a batch, as many rows as units": lambda m, w: m(normal(H, I), w(H)),
    "state with a batch": lambda m, w: m(normal(I), w(1, H)),
    "dtype of the input": lambda m, w: m(normal(2, I).float()),
    "integers": lambda m, w: m(torch.ones(2, I, dtype=torch.long)),
    "dtype of the state": lambda m, w: m(normal(2, I), grouped(w(2, H), [s.float() for s in parts(w(2, H))])),
    "other device": lambda m, w: m(torch.ones(2, I, dtype=torch.float64, device="meta")),
    "one in a tuple": lambda m, w: m(normal(2, I), (normal(2, H),)),
    "three in a tuple": lambda m, w: m(normal(2, I), (normal(2, H),) * 3),
    "none in a tuple": lambda m, w: m(normal(2, I), ()),
    "tuple of None": lambda m, w: m(normal(2, I), (None, None)),
    "tensor of 3 axes": lambda m, w: m(normal(2, I), normal(3, 2, H)),
    "one in a tuple, no batch": lambda m, w: m(normal(I), (normal(H),)),
}


@every_kind
@pytest.mark.parametrize("what", BAD_INPUTS)
def test_calls_are_refused_as_torch_refuses_them(kind, what):
    def state(*shape):
        return (normal(*shape), normal(*shape)) if kind == "lstm" else normal(*shape)

    mine, theirs = pair(kind)
    call = BAD_INPUTS[what]
    assert raised(lambda: call(mine, state)) == raised(lambda: call(theirs, state))


@pytest.mark.parametrize(
    "hx",
    [
        normal(2, H),
        (normal(2, H), normal(2, H + 1)),
        (normal(2, H), normal(3, H)),
        (normal(2, H), normal(1, 2, H)),
    ],
    ids=["tensor", "units", "rows", "axes"],
)
def test_the_second_state_of_an_lstm_is_refused_as_torch_does(hx):
    mine, theirs = pair("lstm")
    assert raised(lambda: mine(normal(2, I), hx)) == raised(lambda: theirs(normal(2, I), hx))


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize("sizes", [(I, -1), (I, 4.0), (-1, H), ("a", H), (I, H, True, "nowhere"), ()])
def test_constructors_refuse_what_torch_refuses(name, sizes):
    if name == "RNNCell" and len(sizes) > 3:
        sizes = (*sizes[:3], "tanh", *sizes[3:])
    mine, theirs = (raised(lambda lib=lib: getattr(lib, name)(*sizes)) for lib in (ours, torch.nn))
    assert mine == theirs


def test_a_nonlinearity_is_read_at_the_call():
    mine, theirs = pair("rnn")
    x, state = draw("rnn")
    for module in (mine, theirs):
        module.nonlinearity = "relu"
    assert mine.graph.name == "RNN/relu"
    assert_equal(results(mine, x, state), results(theirs, x, state))
    for module in (mine, theirs):
        module.nonlinearity = "gelu"
    assert repr(mine) == repr(theirs)
    for given in (x, normal(2, I + 1), normal(2, 2, I)):
        assert raised(lambda given=given: mine(given)) == raised(lambda given=given: theirs(given))


@pytest.mark.parametrize("rows", [1, H])
def test_a_batch_of_states_for_one_row_is_refused(rows):
    for kind in KINDS:
        with pytest.raises(RuntimeError, match="hidden0"):
            pair(kind)[0](normal(I), draw(kind, rows)[1])


def test_an_lstm_takes_lists_and_rows_of_a_tensor_as_torch_does():
    mine, theirs = pair("lstm")
    for x, hx in ((normal(2, I), [normal(2, H), normal(2, H)]), (normal(I), normal(2, H)), (normal(I), normal(3, H))):
        assert_equal(dict(enumerate(mine(x, hx))), dict(enumerate(theirs(x, hx))))


@every_kind
@pytest.mark.parametrize("sizes", [(0, H), (I, 0)])
def test_widths_of_zero(kind, sizes):
    name, more = KINDS[kind]
    mine, theirs = (getattr(library, name)(*sizes, **more, dtype=torch.float64) for library in (ours, torch.nn))
    mine.load_state_dict(theirs.state_dict())
    x = normal(B, sizes[0])
    assert_equal(results(mine, x, None), results(theirs, x, None))


@every_kind
def test_strided_memory(kind):
    mine, theirs = pair(kind)
    x, state = normal(I, B).T, grouped(draw(kind)[1], [normal(H, B, seed=k).T for k in (2, 3)])
    assert_equal(results(mine, x, state), results(theirs, x, state))


@every_kind
@every_bias
@pytest.mark.parametrize("batch", [None, 2])
def test_double_backward(kind, bias, batch):
    mine, theirs = pair(kind, bias=bias)
    x, state = draw(kind, batch)
    leaves = [v.requires_grad_() for v in (x, *parts(state))]

    def run(x, *states):
        return mine(x, grouped(state, states))

    assert gradgradcheck(run, leaves)
    seconds = []
    for module in (mine, theirs):
        first = torch.autograd.grad(
            sum(s.sin().sum() for s in parts(module(x, state))), [*module.parameters()], create_graph=True
        )
        found = torch.autograd.grad(sum(g.square().sum() for g in first), [*leaves, *module.parameters()])
        seconds.append(dict(enumerate(found)))
    assert_equal(*seconds)


@every_kind
def test_functional_call(kind):
    mine, theirs = pair(kind)
    x, state = draw(kind)
    other = {name: 2 * value for name, value in theirs.state_dict().items()}
    got, want = (functional_call(module, other, (x, state)) for module in (mine, theirs))
    assert_equal(dict(enumerate(parts(got))), dict(enumerate(parts(want))))


@every_kind
def test_a_parametrization_takes_effect(kind):
    made = pair(kind)
    for module in made:
        torch.nn.utils.parametrizations.weight_norm(module, "weight_hh")
        with torch.no_grad():
            module.parametrizations.weight_hh.original0.mul_(2)
    got, want = (module(*draw(kind)) for module in made)
    assert_equal(dict(enumerate(parts(got))), dict(enumerate(parts(want))))


@every_kind
@pytest.mark.parametrize("given", [True, False])
def test_vmap_over_the_batch(kind, given):
    mine, theirs = pair(kind)
    x, state = draw(kind)
    want = theirs(x, state if given else None)
    got = torch.vmap(mine)(x, state) if given else torch.vmap(mine)(x)
    assert_equal(dict(enumerate(parts(got))), dict(enumerate(parts(want))))


@every_kind
def test_gradients_of_single_rows_by_vmap(kind):
    mine, _ = pair(kind)
    x, parameters = draw(kind)[0], dict(mine.named_parameters())

    def loss(parameters, row):
        return sum(s.sum() for s in parts(functional_call(mine, parameters, (row,))))

    rows = torch.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)
    whole = torch.func.grad(loss)(parameters, x)
    assert_equal({name: grad.sum(0) for name, grad in rows.items()}, whole)


@every_kind
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch scripts its own forward mode
def test_forward_mode(kind):
    mine, theirs = pair(kind)
    x, state = draw(kind)
    found = [torch.func.jvp(module, (x, state), (x.sin(), state)) for module in (mine, theirs)]
    got, want = (dict(enumerate(parts(values) + parts(tangents))) for values, tangents in found)
    assert_equal(got, want)


@every_kind
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64])
def test_other_dtypes(kind, dtype):
    mine, theirs = pair(kind, dtype)
    x, state = draw(kind, dtype=dtype)
    if dtype.is_complex and kind == "rnn relu":
        assert raised(lambda: mine(x, state)) == raised(lambda: theirs(x, state))
        return
    for got, want in zip(parts(mine(x, state)), parts(theirs(x, state)), strict=True):
        # a few roundings of numbers below 1, which stand in another order
        torch.testing.assert_close(got, want, rtol=0, atol=2 * torch.finfo(dtype).eps)


@every_kind
def test_autocast(kind):
    mine, theirs = pair(kind, torch.float32)
    x, state = draw(kind, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        for given in (None, state):
            for got, want in zip(parts(mine(x, given)), parts(theirs(x, given)), strict=True):
                torch.testing.assert_close(got, want, rtol=0.02, atol=0.01)


@every_kind
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["copy", "pickle"])
def test_copies(kind, copied):
    mine, _ = pair(kind)
    other, (x, state) = copied(mine), draw(kind)
    assert repr(other) == repr(mine)
    assert all(a is not b for a, b in zip(mine.parameters(), other.parameters(), strict=True))
    assert_equal(results(other, x, state), results(mine, x, state), limit=0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", VARIED)
def test_every_cell_is_a_layer_of_one_step(name, bias):
    graph = CELLS[name].graph
    features = H if graph.input_axis == "H" else I
    own = dict.fromkeys(graph.own_axes, H - 1)
    cell = ours.RecurrentCell(name, features, H, bias, dtype=torch.float64, widths=own)
    layer = ours.Recurrent(name, features, H, bias=bias, dtype=torch.float64, widths=own)
    held = {public(name): name for name in layer.state_dict()}
    layer.load_state_dict({held[f"{public(name)}_l0"]: value for name, value in cell.state_dict().items()})
    widths = [({"H": H} | own)[state.axis] for state in graph.states]
    state = [normal(B, width, seed=2 + k) for k, width in enumerate(widths)]
    hx = tuple(state) if len(state) > 1 else state[0]
    x = normal(B, features)
    _, last = layer(x[None], grouped(hx, [s[None] for s in state]))
    assert_equal(dict(enumerate(parts(cell(x, hx)))), {k: s[0] for k, s in enumerate(parts(last))})
    assert [s.shape for s in parts(cell(x[0]))] == [(width,) for width in widths]
    mirrored = any(matrix.mirror for matrix in graph.matrices)  # whose parametrization torch does not pickle
    loaded = copy.deepcopy(cell if mirrored else pickle.loads(pickle.dumps(cell)))
    assert_equal(results(loaded, x, hx), results(cell, x, hx), limit=0)


@pytest.mark.parametrize("reset", ["after", "before"])
@pytest.mark.parametrize("update", ["keep", "write"])
def test_gru_options(reset, update):
    cell = ours.GRUCell(I, H, reset=reset, update=update, dtype=torch.float64)
    layer = ours.GRU(I, H, reset=reset, update=update, dtype=torch.float64)
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    x, h = draw("gru")
    assert_equal({"h": cell(x, h)}, {"h": layer(x[None], h[None])[1][0]})
    assert repr(cell).removeprefix("GRUCell") == repr(layer).removeprefix("GRU")


def test_weights_of_an_lstm_fit_a_peephole_lstm():
    mine, theirs = ours.PeepholeLSTMCell(I, H, dtype=torch.float64), torch.nn.LSTMCell(I, H, dtype=torch.float64)
    loaded = mine.load_state_dict(theirs.state_dict(), strict=False)
    assert loaded.missing_keys == ["p_i", "p_f", "p_o"]
    with torch.no_grad():
        for name in loaded.missing_keys:
            mine.get_parameter(name).zero_()
    x, state = draw("lstm")
    got = {name: v for name, v in results(mine, x, state).items() if name.removeprefix("d ") not in loaded.missing_keys}
    assert_equal(got, results(theirs, x, state))
    assert repr(mine) == "PeepholeLSTMCell(5, 4)"


class Leaky(Cell):
    """A user's cell: a vector and a second recurrent matrix."""

    gates = "z n"
    matrices = {"U": "z n", "V": "n"}
    vectors = "a"

    def step(self, x, h, U, V, a):
        z = sigmoid(x.z + U(h).z + a)
        n = tanh(x.n + U(h).n + V(z * h).n)
        return (1 - z) * h + z * n


def test_a_cell_of_ones_own():
    cell = ours.RecurrentCell(Leaky, I, H, dtype=torch.float64)
    assert [name for name, _ in cell.named_parameters()] == [
        "weight_ih", "weight_hh", "weight_V", "bias_ih", "bias_hh", "a",
    ]  # fmt: skip
    assert repr(cell) == "RecurrentCell(Leaky, 5, 4)"
    x, h = draw("gru")
    z, n = (x @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh).chunk(2, -1)
    z = torch.sigmoid(z + cell.a)
    n = torch.tanh(n + (z * h) @ cell.weight_V.T)
    assert_equal({"h": cell(x, h).detach()}, {"h": ((1 - z) * h + z * n).detach()})
    plain = ours.RecurrentCell(Leaky, I, H, bias=False)
    assert [name for name, value in plain._parameters.items() if value is None] == ["bias_ih", "bias_hh"]


@pytest.mark.parametrize("name", ["forward", "training", "graph", "input_size"])
def test_a_vector_may_not_take_the_name_of_something_else(name):
    nodes = (replace(node, name=name, matrix=name) if node.op is Op.VECTOR else node for node in IndRNN.graph.nodes)
    graph = replace(IndRNN.graph, vectors=(Vector.of_units(name),), nodes=tuple(nodes))
    with pytest.raises(InputError, match=name):
        ours.RecurrentCell(graph, I, H)


def test_what_is_no_cell_of_one_step_is_refused():
    with pytest.raises(InputError, match="projected"):
        ours.RecurrentCell(project(LSTM.graph), I, H)
    with pytest.raises(InputError, match="no cell"):
        ours.RecurrentCell("transformer", I, H)


@pytest.mark.parametrize("hx", [normal(B, H), (normal(B, H),), (None, None), "hc"])
def test_states_that_a_cell_does_not_carry_are_one_clear_error(hx):
    with pytest.raises(InputError, match="has the states h c"):
        ours.PeepholeLSTMCell(I, H, dtype=torch.float64)(normal(B, I), hx)


@pytest.mark.parametrize(
    ("hx", "error", "text"),
    [
        ((normal(B, H), normal(1, B, H)), ValueError, r"PeepholeLSTMCell: Expected hx\[1\] to be 1D or 2D, got 3D"),
        ((normal(B, H), normal(B, H + 1)), RuntimeError, "hidden1 has inconsistent hidden_size: got 5, expected 4"),
        ((normal(2, H), normal(B, H)), RuntimeError, "Input batch size 3 doesn't match hidden0 batch size 2"),
    ],
)
def test_cells_that_torch_does_not_have_speak_like_those_it_has(hx, error, text):
    with pytest.raises(error, match=text):
        ours.PeepholeLSTMCell(I, H, dtype=torch.float64)(normal(B, I), hx)
