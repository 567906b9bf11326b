"""Steps of cells by the prepared call: the numbers of a layer of one step, whatever happens to the weights between."""

import copy
import itertools
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
import torch
from torch.func import functional_call

import tidegate as tg
from tidegate.errors import BackendError
from tidegate.nn import cell as cells
from tidegate.runtime import obstacle, step

CELLS = ("lstm", "gru", "rnn", "gru/before", "scrn", "mut1", "slstm", "indrnn", "cifg")
SIZES = ((1, 1), (3, 17), (16, 16), (7, 65))  # I and H: less than a vector, whole ones, and a part after whole ones

pytestmark = pytest.mark.skipif(
    obstacle(tg.nn.LSTMCell(1, 1).definition(), torch.zeros(1), None, ()) is not None, reason="no engine here"
)


def cell_of(name, sizes=(5, 7), dtype=torch.float32):
    torch.manual_seed(0)
    graph = tg.zoo.find(name).graph
    features = sizes[1] if graph.input_axis == "H" else sizes[0]
    return tg.nn.RecurrentCell(name, features, sizes[1], widths=dict.fromkeys(graph.own_axes, 6), dtype=dtype)


def inputs_of(cell, rows):
    """An input and states."""
    made = (torch.randn(rows, width, dtype=cell.weight_ih.dtype) for width in (cell.input_size, *state_widths(cell)))
    return [tensor.requires_grad_() for tensor in made]


def state_widths(cell):
    return cell.definition().state_widths


def results(cell, x, states, lost=None):
    """New states, and all gradients of a weighted sum of them; one state may count for nothing."""
    hx = None if states is None else states[0] if len(states) == 1 else tuple(states)
    new = cell(x, hx)
    new = [new] if isinstance(new, torch.Tensor) else [*new]
    weights = [torch.randn(state.shape, generator=torch.Generator().manual_seed(k)) for k, state in enumerate(new)]
    loss = sum((s * w).sum() for k, (s, w) in enumerate(zip(new, weights, strict=True)) if k != lost or len(new) == 1)
    grads = torch.autograd.grad(loss, [x, *(states or ()), *cell.parameters()], materialize_grads=True)
    return [*new, *grads]


def as_a_layer():
    """Steps as a layer of one step runs them."""
    return mock.patch.object(cells, "run_step", return_value=None)


def assert_same(got, wanted, exact=True):
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, **({"atol": 0, "rtol": 0} if exact else {}))


@pytest.mark.parametrize("name", CELLS)
def test_a_prepared_step_has_the_bits_of_a_layer_of_one_step(name):
    for sizes, rows, dtype in itertools.product(SIZES, (1, 2, 3, 13), (torch.float32, torch.float64)):
        cell = cell_of(name, sizes, dtype)
        x, *states = inputs_of(cell, rows)
        for given, lost in ((states, None), (states, 0), (None, None)):
            found = results(cell, x, given, lost)
            with as_a_layer():
                wanted = results(cell, x, given, lost)
            with tg.runtime.eager_only():
                right = results(cell, x, given, lost)
            assert_same(found, wanted)
            assert_same(found, right, exact=False)
        with torch.no_grad():
            hx = states[0] if len(states) == 1 else states
            quiet = cell(x, hx)
        assert_same([quiet] if isinstance(quiet, torch.Tensor) else quiet, results(cell, x, states)[: len(states)])


def test_it_is_the_prepared_call_that_runs():
    cell = cell_of("lstm")
    ends = mock.patch.object(step.Step, "forward", side_effect=RuntimeError("here"))
    with ends, torch.no_grad(), pytest.raises(RuntimeError, match="here"):
        cell(torch.zeros(2, 5))
    assert cell(torch.zeros(2, 5))[0].grad_fn.name() == "_FusedStepBackward"


WRITES = {
    ".data in place": lambda cell: cell.weight_ih.data.mul_(2),
    ".data assigned": lambda cell: setattr(cell.weight_ih, "data", 2 * cell.weight_ih.data),
    "the array of NumPy": lambda cell: cell.weight_ih.detach().numpy().__imul__(2),
    "a new parameter": lambda cell: setattr(cell, "weight_ih", torch.nn.Parameter(2 * cell.weight_ih.detach())),
    "load_state_dict": lambda cell: cell.load_state_dict({k: 2 * v for k, v in cell.state_dict().items()}),
}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("write", WRITES)
def test_every_write_to_the_weights_is_seen_by_the_next_step(write, frozen):
    if frozen and write in {".data in place", "the array of NumPy"}:
        pytest.skip("not counted by torch: tests/unit/test_frozen.py")
    cell, x = cell_of("lstm"), torch.randn(4, 5)
    with torch.inference_mode(), tg.frozen(torch.nn.Identity() if not frozen else cell):
        for _ in range(3):
            before = cell(x)[0]
            WRITES[write](cell)
            after = cell(x)[0]
            fresh = tg.nn.LSTMCell(5, 7)
            fresh.load_state_dict(cell.state_dict())
            torch.testing.assert_close(after, fresh(x)[0])
            assert (after - before).abs().max() > 1e-3


def test_weights_of_functional_call():
    cell, x = cell_of("gru"), torch.randn(4, 5)
    other = {name: torch.randn_like(value) for name, value in cell.named_parameters()}
    fresh = tg.nn.GRUCell(5, 7)
    fresh.load_state_dict(other)
    with tg.frozen(cell):
        cell(x)
        assert torch.equal(functional_call(cell, other, (x,)), fresh(x))
        assert (cell(x) - fresh(x)).abs().max() > 1e-3


def test_a_weight_turned_on_its_side_where_it_lies():
    """The same memory, version and shape, but other numbers."""
    cell, x = tg.nn.RNNCell(6, 6), torch.randn(2, 6)
    wanted = torch.nn.RNNCell(6, 6)
    with torch.no_grad(), tg.frozen(cell):
        cell(x)
        cell.weight_hh.data = cell.weight_hh.data.t()
        wanted.load_state_dict(cell.state_dict())
        torch.testing.assert_close(cell(x, x), wanted(x, x))


def test_strided_inputs_states_and_gradients():
    cell = cell_of("lstm")
    x = torch.randn(3, 9, 5, requires_grad=True)
    h, c = torch.randn(7, 3).t(), torch.randn(3, 14)[:, ::2]
    hx, hx2 = cell(x[:, 4], (h, c)), cell(x[:, 4].contiguous(), (h.contiguous(), c.contiguous()))
    assert_same(hx, hx2)
    (grad,) = torch.autograd.grad(hx[0].sum(), x)  # an expanded number
    (wanted,) = torch.autograd.grad(hx2[0], x, torch.ones(3, 7))
    assert torch.equal(grad, wanted)


def test_what_is_not_asked_for_gets_no_gradient():
    cell, x = cell_of("gru"), torch.randn(3, 5)
    cell.weight_ih.requires_grad_(requires_grad=False)
    h = cell(x, torch.randn(3, 7))
    h.sum().backward()
    assert cell.weight_ih.grad is None
    assert cell.weight_hh.grad is not None
    for parameter in cell.parameters():
        parameter.requires_grad_(requires_grad=False)
    assert not cell(x).requires_grad


def test_a_state_written_to_before_the_backward_run_is_found():
    cell = cell_of("gru")
    h = cell(torch.randn(3, 5), torch.randn(3, 7))
    h.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        h.sum().backward()


def test_many_gradients_at_once_and_second_derivatives():
    cell, (x, h) = cell_of("gru", dtype=torch.float64), torch.randn(2, 3, 7, dtype=torch.float64)
    x = x[:, :5].detach().requires_grad_()
    new = cell(x, h)
    both = torch.randn(2, 3, 7, dtype=torch.float64)
    (many,) = torch.autograd.grad(new, x, both, is_grads_batched=True, retain_graph=True)
    torch.testing.assert_close(many[1], torch.autograd.grad(new, x, both[1], retain_graph=True)[0])
    with tg.strict(), pytest.raises(BackendError, match="differentiated twice"):
        torch.autograd.grad(new.sum(), x, create_graph=True)


def test_threads_that_share_a_cell():
    cell, xs = cell_of("lstm", (16, 33)), torch.randn(64, 4, 16)
    with torch.no_grad():
        wanted = [cell(x)[1] for x in xs]

        def many(x):
            with torch.no_grad():
                return [cell(x)[1] for _ in range(50)]

        with ThreadPoolExecutor(8) as pool:
            for right, found in zip(wanted, pool.map(many, xs), strict=True):
                assert all(torch.equal(one, right) for one in found)


def test_a_copy_runs_alone():
    cell, x = cell_of("lstm"), torch.randn(2, 5)
    before = cell(x)[0]
    other = copy.deepcopy(cell)
    with torch.no_grad():
        other.weight_ih.zero_()
    assert torch.equal(cell(x)[0], before)
    assert not torch.equal(other(x)[0], before)


def test_the_default_device_is_nobodys_business():
    layer, cell, x = tg.nn.LSTM(5, 7), cell_of("lstm"), torch.randn(6, 2, 5)
    session = tg.Session(layer, 2)
    wanted = [layer(x)[0], cell(x[0])[0], session.step(x[0])]
    session.reset()
    with torch.device("meta"):
        assert_same([layer(x)[0], cell(x[0])[0], session.step(x[0])], wanted)
