"""Sessions with weights of int8: numbers, copies, memory, inputs of unlike ranges, and what they refuse."""

import copy
import pickle

import pytest
import torch

import tidegate as tg
from tests.backend.tiles import tiles
from tests.reference import whole_zoo
from tidegate.errors import InputError
from tidegate.runtime import library

QUICK = ("lstm", "gru/before", "peepholelstm", "indrnn", "scrn", "lstm|all", "cfc")


@pytest.mark.parametrize("cell", QUICK)
def test_each_step_is_that_of_whole_numbers(cell):
    exact, plain = whole_zoo.errors(cell)
    assert exact < whole_zoo.EXACT
    assert plain > whole_zoo.TELLS * exact


def relative(found: torch.Tensor, right: torch.Tensor) -> float:
    return ((found - right).square().mean() / right.square().mean()).sqrt().item()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("options", "batch"), [({"num_layers": 2}, 1), ({}, 33), ({"proj_size": 9}, 4), ({"bidirectional": True}, 2)]
)
def test_layers_stacks_and_directions_are_near_and_blocks_are_steps(options, batch, threads):
    torch.manual_seed(0)
    layer, both = tg.nn.LSTM(21, 70, **options), "bidirectional" in options
    x = torch.randn(12, batch, 21)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        session = tg.Session(layer, batch, weights="int8", bidirectional=both)
        y = session.run(x)
        with torch.no_grad():
            assert 1e-4 < relative(y, layer(x)[0]) < 1e-2
        if not both:
            session.reset()
            assert torch.equal(torch.cat([session.run(x[:5]), *(session.step(row)[None] for row in x[5:])]), y)
    finally:
        torch.set_num_threads(before)


def test_a_deeper_layer_reads_its_input_as_states():
    torch.manual_seed(4)
    stack, x = tg.nn.LSTM(30, 40, num_layers=2), torch.randn(6, 3, 30)
    lower, upper = tg.nn.LSTM(30, 40), tg.nn.LSTM(40, 40)
    for k, layer in enumerate((lower, upper)):
        layer.load_state_dict({n: stack.state_dict()[n.replace("l0", f"l{k}")] for n in layer.state_dict()})
    between = tg.Session(lower, 3, weights="int8").run(x)
    alone, found = tg.Session(upper, 3, weights="int8").run(between), tg.Session(stack, 3, weights="int8").run(x)
    assert 0 < relative(found, alone) < 1e-2  # 8 bits, and 16 where it comes from outside


def test_cells_and_heads_and_zeros():
    torch.manual_seed(1)
    x = torch.randn(9, 2, 16)
    cell = tg.nn.GRUCell(16, 33)
    hx = None
    session = tg.Session(cell, 2, weights="int8")
    for row in x:
        with torch.no_grad():
            hx = cell(row, hx)
        assert relative(session.step(row), hx) < 1e-2
    for layer in (tg.nn.Recurrent("lstm", 16, 48, heads=4), tg.nn.LSTM(16, 48)):
        with torch.no_grad():
            layer.weight_hh_l0[:64] = 0
            assert relative(tg.Session(layer, 2, weights="int8").run(x), layer(x)[0]) < 1e-2


def test_copies_and_pickles_go_on_alone():
    torch.manual_seed(2)
    layer = tg.nn.LSTM(3, 20)
    with torch.no_grad():
        layer.weight_ih_l0[:, 0] *= 1e-4  # so that its input has units
    session, x = tg.Session(layer, weights="int8"), torch.randn(8, 1, 3)
    session.run(x[:3])
    for other in (copy.deepcopy(session), pickle.loads(pickle.dumps(session))):
        assert torch.equal(other.run(x[3:]), copy.copy(session).run(x[3:]))
    before = session.snapshot()
    y = session.run(x)
    session.restore(before)
    assert torch.equal(session.run(x), y)


def test_memory_is_a_quarter():
    layer = tg.nn.LSTM(128, 256)
    full, small = (tg.Session(layer, weights=weights).packed_bytes for weights in ("float32", "int8"))
    assert full >= 4 * sum(weight.numel() for weight in layer.parameters())
    assert 3.7 < full / small < 4


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_features_of_unlike_ranges_whose_scales_are_in_the_weights(cell):
    torch.manual_seed(3)
    layer = tg.nn.Recurrent(cell, 6, 40)
    x = torch.randn(30, 2, 6)
    with torch.no_grad():
        plain = relative(tg.Session(layer, 2, weights="int8").run(x), layer(x)[0])
        ranges = torch.tensor([1e5, 1e3, 1.0, 1.0, 1e-2, 1e-3])
        layer.weight_ih_l0 /= ranges
        right = layer(x * ranges)[0]
    assert relative(tg.Session(layer, 2, weights="int8").run(x * ranges), right) < 2 * plain


@pytest.mark.parametrize("rows", [1, 40])
def test_a_row_with_a_number_that_is_none_is_none_and_others_are_not(rows):
    session = tg.Session(tg.nn.GRU(4, 10), rows + 1, weights="int8")
    x = torch.randn(3, rows + 1, 4)
    right = session.run(x)
    session.reset()
    x[1, 0, 2], x[2, 0, 1] = torch.nan, torch.inf
    found = session.run(x)
    assert found[1:, 0].isnan().all()
    assert torch.equal(found[:, 1:], right[:, 1:])
    assert torch.equal(found[0], right[0])


def test_all_tiles_give_the_same_bits():
    torch.manual_seed(5)
    layer, x = tg.nn.LSTM(50, 70, num_layers=2), torch.randn(5, 20, 50)
    results = []
    for name in ("plain_int8", "amx-emulated_int8", library.load().tiles["int8"]):
        with tiles(name):
            results.append(tg.Session(layer, 20, weights="int8").run(x))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_what_is_refused():
    layer = tg.nn.LSTM(5, 8)
    with pytest.raises(InputError, match="four columns to a word"):
        tg.Session(layer, weights="int8", delta=0.1)
    with pytest.raises(InputError, match="float64"):
        tg.Session(layer.double(), weights="int8")
    with pytest.raises(InputError, match="room for 66,000"):
        tg.Session(tg.nn.RNN(66_001, 1), weights="int8")


def test_there_is_no_derivative():
    layer = tg.nn.LSTM(5, 8)
    cell = layer.cells[0].with_products("int8")
    with pytest.raises(InputError, match="no derivative"):
        cell.backward_plan(torch.float32, input_gradient=False)
    with pytest.raises(InputError, match="no derivative"):
        cell.forward_plan(torch.float32, saving=True)
