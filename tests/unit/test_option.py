"""Options of layers: what is refused and printed, how masks are drawn, how parameters begin, what goes with them."""

import copy
import math
import pickle
import re
from contextlib import nullcontext

import pytest
import torch

import tidegate as tg
from tests.reference import tolerance
from tests.reference.option import recorded
from tidegate.errors import InputError
from tidegate.nn import GRU, LSTM, RNN, Options, PeepholeLSTM, Recurrent
from tidegate.runtime import eager_only
from tidegate.zoo import CELLS

ALL = {"zoneout": 0.3, "recurrent_dropout": 0.3, "state_clip": 0.9, "learn_initial_state": True}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# What is refused, and what is printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zoneout": 1.5}, "zoneout must lie in [0, 1], got 1.5 — pass e.g. 0.05 or {'h': 0.05, 'c': 0.5}"),
        ({"zoneout": True}, "zoneout must lie in [0, 1], got True"),
        ({"zoneout": math.nan}, "zoneout must lie in [0, 1], got nan"),
        ({"zoneout": "half"}, "zoneout must lie in [0, 1], got 'half'"),
        ({"zoneout": {"h": 0.1, "c": -1}}, "zoneout must lie in [0, 1], got {'h': 0.1, 'c': -1}"),
        ({"zoneout": {"m": 0.1}}, "zoneout names 'm', but the states of LSTM are h c"),
        ({"recurrent_dropout": -0.1}, "recurrent_dropout must lie in [0, 1], got -0.1"),
        ({"recurrent_dropout": {"h": 0.1}}, "recurrent_dropout must lie in [0, 1], got {'h': 0.1}"),
        ({"state_clip": 0}, "state_clip must be at least 1e-09, got 0"),
        ({"state_clip": {"c": math.inf}}, "state_clip must be at least 1e-09, got {'c': inf}"),
        ({"state_clip": {"d": 1.0}}, "state_clip names 'd'"),
        ({"learn_initial_state": 1.5}, "learn_initial_state must be True or False, got 1.5"),
        ({"orthogonal": "yes"}, "orthogonal must be True or False, got 'yes'"),
        ({"layer_norm": "every"}, "layer_norm must be True, False, 'all' or 'each', got 'every'"),
        ({"forget_bias": "one"}, "forget_bias must be a finite number, got 'one'"),
        ({"chrono": 1}, "chrono must be at least 2, got 1"),
        ({"chrono": 10, "forget_bias": 1}, "exclude each other"),
        ({"forget_bias": 1, "bias": False}, "forget_bias sets the bias of gate f, which has none here — pass bias"),
    ],
)
def test_invalid_options_are_rejected(options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        LSTM(3, 4, **options)


@pytest.mark.parametrize("option", ["forget_bias", "chrono"])
def test_a_cell_without_a_gate_that_keeps_its_state_names_its_gates(option):
    with pytest.raises(InputError, match=f"{option} needs a gate that keeps the state; LSTM1997 has the gates i g o"):
        Recurrent("lstm1997", 3, 4, **{option: 5})
    with pytest.raises(InputError, match="RNN has the gates h"):
        RNN(3, 4, **{option: 5})


def test_a_cell_that_has_masks_already_is_refused():
    graph = Options(zoneout=0.1).rewrite(LSTM(3, 4).graph, training=True, resets=False)
    with pytest.raises(InputError, match=r"LSTM has masks \(zoneout_h zoneout_c\), but a layer draws"):
        Recurrent(graph, 3, 4)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (lambda: LSTM(3, 4), "LSTM(3, 4)"),
        (lambda: LSTM(3, 4, zoneout=0.0, state_clip=None, orthogonal=False), "LSTM(3, 4)"),
        (lambda: GRU(3, 4, zoneout=0.1, reset="before"), "GRU(3, 4, zoneout=0.1, reset=before)"),
        (
            lambda: LSTM(3, 4, 2, zoneout={"c": 0.5}, state_clip={"c": 3.0}),
            "LSTM(3, 4, num_layers=2, state_clip={'c': 3.0}, zoneout={'c': 0.5})",
        ),
        (
            lambda: Recurrent("mgu", 3, 4, recurrent_dropout=0.2, learn_initial_state=True, chrono=30, orthogonal=True),
            "Recurrent(MGU, 3, 4, recurrent_dropout=0.2, learn_initial_state=True, orthogonal=True, chrono=30)",
        ),
        (lambda: PeepholeLSTM(3, 4, forget_bias=1.0), "PeepholeLSTM(3, 4, forget_bias=1.0)"),
    ],
)
def test_a_layer_prints_its_options(layer, text):
    assert repr(layer()) == text


def test_a_mapping_that_changes_later_changes_nothing():
    rates = {"c": 0.5}
    layer = LSTM(3, 4, zoneout=rates)
    rates["c"] = 7
    assert "{'c': 0.5}" in repr(layer)


# Masks


def masks_of(layer, *, steps=200, sequences=20, **call):
    with recorded() as drawn, torch.no_grad():
        layer(torch.zeros(steps, sequences, layer.input_size, dtype=layer.weight_ih_l0.dtype), **call)
    return drawn


def test_masks_have_their_rates_and_are_independent_of_each_other():
    layer = LSTM(3, 50, 2, bidirectional=True, zoneout={"h": 0.1, "c": 0.4}, recurrent_dropout=0.25)
    drawn = masks_of(layer, sequences=100, generator=seeded())
    assert len(drawn) == 4  # layers times directions
    for masks in drawn:
        assert [(name, tuple(mask.shape)) for name, mask in masks.items()] == [
            ("zoneout_h", (20_000, 50)), ("zoneout_c", (20_000, 50)), ("dropout_H", (100, 50)),
        ]  # fmt: skip
        for name, rate in (("zoneout_h", 0.1), ("zoneout_c", 0.4)):
            assert set(masks[name].unique().tolist()) == {0.0, 1.0}
            assert masks[name].mean().item() == pytest.approx(rate, abs=5 * math.sqrt(rate * (1 - rate) / 1e6))
        kept = masks["dropout_H"]
        assert set(kept.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
        assert (kept > 0).double().mean().item() == pytest.approx(0.75, abs=5 * math.sqrt(0.25 * 0.75 / 5000))
    flat = [mask.flatten().double() for masks in drawn for mask in masks.values() if len(mask) > 100]
    correlation = torch.corrcoef(torch.stack(flat)).fill_diagonal_(0).abs().max().item()
    assert correlation < 5 / math.sqrt(1e6)


def test_zoneout_is_drawn_anew_at_every_step_and_dropout_once_a_sequence():
    (masks,) = masks_of(GRU(3, 50, zoneout=0.5, recurrent_dropout=0.5), steps=10, sequences=8)
    steps = masks["zoneout_h"].view(10, 8, 50)
    assert all(not torch.equal(steps[t], steps[t + 1]) for t in range(9))
    assert all(not torch.equal(steps[:, b], steps[:, b + 1]) for b in range(7))
    assert masks["dropout_H"].shape == (8, 50)
    assert all(not torch.equal(masks["dropout_H"][b], masks["dropout_H"][b + 1]) for b in range(7))


def test_ragged_rows_have_masks_of_their_own_and_sequences_of_no_steps_none():
    (masks,) = masks_of(GRU(3, 5, zoneout=0.5, recurrent_dropout=0.5), steps=4, sequences=3, lengths=[2, 0, 4])
    assert masks["zoneout_h"].shape == (6, 5)
    assert masks["dropout_H"].shape == (3, 5)


def test_the_same_seed_draws_the_same_masks_in_every_dtype():
    options = {"zoneout": 0.3, "recurrent_dropout": 0.3}
    found = [masks_of(LSTM(3, 6, dtype=d, **options), generator=seeded()) for d in (torch.float32, torch.float64)]
    for name, mask in found[0][0].items():
        assert found[1][0][name].dtype == torch.float64
        assert torch.equal(found[1][0][name] > 0, mask > 0)


def test_a_generator_draws_everything_and_leaves_torchs_own_alone():
    layer, x = LSTM(3, 6, 2, dropout=0.5, bidirectional=True, **ALL), torch.randn(7, 4, 3)
    torch.manual_seed(1)
    y = layer(x, generator=seeded(5))[0]
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(3))
    assert torch.equal(layer(x, generator=seeded(5))[0], y)
    assert not torch.equal(layer(x, generator=seeded(6))[0], y)


def test_without_a_generator_torchs_own_draws():
    layer, x = GRU(3, 6, 2, dropout=0.5, zoneout=0.3, recurrent_dropout=0.3), torch.randn(7, 4, 3)
    torch.manual_seed(1)
    y = layer(x)[0]
    torch.manual_seed(1)
    assert torch.equal(layer(x)[0], y)
    assert not torch.equal(layer(x)[0], y)


def test_dropout_between_layers_by_a_generator_has_its_rate():
    layer = GRU(3, 40, 2, dropout=0.3)
    with torch.no_grad():
        y = layer._dropped(torch.ones(100, 50, 40), seeded())
    assert set(y.unique().tolist()) == {0.0, torch.tensor(1 / 0.7).item()}
    assert (y > 0).double().mean().item() == pytest.approx(0.7, abs=5 * math.sqrt(0.21 / 2e5))


@pytest.mark.parametrize("option", ["zoneout", "recurrent_dropout"])
def test_in_evaluation_nothing_is_drawn(option):
    layer, x = LSTM(3, 6, **{option: 0.5}).eval(), torch.randn(5, 2, 3)
    torch.manual_seed(2)
    with recorded() as drawn:
        y = layer(x)[0]
    assert drawn == []
    assert torch.equal(layer(x)[0], y)
    after = torch.rand(2)
    torch.manual_seed(2)
    assert torch.equal(after, torch.rand(2))


def test_in_evaluation_recurrent_dropout_is_the_plain_layer():
    layer, plain, x = GRU(3, 6, recurrent_dropout=0.5).eval(), GRU(3, 6), torch.randn(5, 2, 3)
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x)[0], plain(x)[0])


def test_zoneout_of_everything_keeps_the_first_state():
    layer, hx = GRU(3, 6, zoneout=1.0), torch.randn(1, 2, 6)
    for training in (True, False):
        y, h = layer.train(training)(torch.randn(5, 2, 3), hx)
        assert torch.equal(h, hx)
        assert torch.equal(y, hx.expand(5, -1, -1))


def test_dropping_everything_is_a_layer_without_recurrent_weights():
    layer, x = LSTM(3, 6, recurrent_dropout=1.0), torch.randn(5, 2, 3)
    plain = LSTM(3, 6)
    plain.load_state_dict(layer.state_dict() | {"weight_hh_l0": torch.zeros(24, 6)})
    torch.testing.assert_close(layer(x)[0], plain(x)[0])


def test_options_of_zero_are_no_options():
    torch.manual_seed(0)
    layer = LSTM(3, 6, zoneout=0.0, recurrent_dropout=0.0)
    with recorded() as drawn:
        layer(torch.randn(5, 2, 3))
    assert drawn == []
    assert layer.cells[0] is LSTM(3, 6).cells[0]


def test_packed_sequences_and_lengths_draw_the_same_masks():
    layer, x, lengths = LSTM(3, 6, bidirectional=True, **ALL), torch.randn(5, 3, 3), [2, 5, 3]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    y, (h, c) = layer(x, lengths=lengths, generator=seeded())
    z, (hz, cz) = layer(packed, generator=seeded())
    assert torch.equal(torch.nn.utils.rnn.pad_packed_sequence(z)[0], y)
    assert torch.equal(torch.stack([hz, cz]), torch.stack([h, c]))


# Learned first states


def test_learned_states_begin_as_zeros_behind_torchs_parameters():
    torch.manual_seed(0)
    layer = LSTM(3, 6, 2, bidirectional=True, proj_size=4, learn_initial_state=True)
    torch.manual_seed(0)
    theirs = torch.nn.LSTM(3, 6, 2, bidirectional=True, proj_size=4)
    names = [n for n, _ in layer.named_parameters()]
    passes = ("_l0", "_l0_reverse", "_l1", "_l1_reverse")
    assert names == [*theirs.state_dict(), *(f"initial_{s}{end}" for s in "hc" for end in passes)]
    assert all(torch.equal(layer.state_dict()[n], value) for n, value in theirs.state_dict().items())
    assert not any(layer.state_dict()[n].any() for n in names[-8:])
    assert layer.initial_h_l1.shape == (4,)
    assert layer.initial_c_l1.shape == (6,)


def test_a_sequence_without_steps_ends_where_it_begins():
    layer = GRU(3, 4, 2, learn_initial_state=True)
    with torch.no_grad():
        layer.initial_h_l0.fill_(0.5)
        layer.initial_h_l1.fill_(-0.5)
    _, h = layer(torch.randn(5, 2, 3), lengths=[0, 5])
    assert torch.equal(h[:, 0], torch.tensor([[0.5] * 4, [-0.5] * 4]))
    h[:, 0].sum().backward()
    assert torch.equal(layer.initial_h_l0.grad, torch.ones(4))


def test_a_reset_leads_to_the_learned_state_and_not_to_the_given_one():
    layer, x = LSTM(3, 4, learn_initial_state=True).eval(), torch.randn(6, 1, 3)
    with torch.no_grad():
        layer.initial_h_l0.normal_()
        layer.initial_c_l0.normal_()
    reset = torch.tensor([False, False, True, False, False, False])[:, None]
    hx = (torch.randn(1, 1, 4), torch.randn(1, 1, 4))
    y, _ = layer(x, hx, reset=reset)
    torch.testing.assert_close(y[2:], layer(x[2:])[0])
    torch.testing.assert_close(y[:2], layer(x[:2], hx)[0])
    assert layer.last_path == "fused"


@pytest.mark.parametrize("eagerly", [False, True])
def test_what_was_infinite_before_a_reset_does_not_survive_it(eagerly):
    layer = GRU(3, 4, learn_initial_state=True)
    x = torch.randn(4, 2, 3)
    reset = torch.tensor([[True, True], [False, False], [False, False], [False, False]])
    with eager_only() if eagerly else nullcontext():
        y, _ = layer(x, torch.full((1, 2, 4), math.inf), reset=reset)
    torch.testing.assert_close(y, layer(x)[0])


# How parameters begin


def block(layer, name, gate):
    k = "ifgo".index(gate) if isinstance(layer, (LSTM, PeepholeLSTM)) else "rzn".index(gate)
    return getattr(layer, name).detach().chunk(4 if isinstance(layer, (LSTM, PeepholeLSTM)) else 3)[k]


def test_a_forget_bias_is_the_sum_of_both_biases():
    torch.manual_seed(0)
    layer = LSTM(3, 6, 2, bidirectional=True, forget_bias=1.5)
    torch.manual_seed(0)
    plain = LSTM(3, 6, 2, bidirectional=True)
    for end in ("l0", "l0_reverse", "l1", "l1_reverse"):
        assert torch.equal(block(layer, f"bias_ih_{end}", "f"), torch.full((6,), 1.5))
        assert torch.equal(block(layer, f"bias_hh_{end}", "f"), torch.zeros(6))
    for name, value in plain.named_parameters():
        same = layer.state_dict()[name] == value
        assert int((~same).sum()) == (6 if name.startswith("bias") else 0)


@pytest.mark.parametrize("over", ["all", "each"])
def test_a_forget_bias_behind_a_layer_norm(over):
    layer = LSTM(3, 6, layer_norm=over, forget_bias=1.5)
    assert torch.equal(block(layer, "bias_ih_l0", "f"), torch.full((6,), 1.5))
    assert torch.equal(block(layer, "bias_ih_l0", "i"), torch.zeros(6))
    with pytest.raises(InputError, match="sets the bias of gate f, which has none here"):
        LSTM(3, 6, bias=False, layer_norm=over, forget_bias=1.5)


def test_every_option_at_once_with_a_layer_norm():
    options = {"zoneout": 0.2, "recurrent_dropout": 0.3, "state_clip": 0.5, "learn_initial_state": True}
    layer = LSTM(3, 6, 2, dropout=0.1, layer_norm=True, **options)
    x, resets = torch.randn(5, 3, 3), torch.rand(5, 3) < 0.3
    results = []
    for context in (nullcontext, eager_only):
        with context():
            y, state = layer(x, reset=resets, generator=torch.Generator().manual_seed(1))
        results.append((y, *state, *torch.autograd.grad(y.sum(), [*layer.parameters()])))
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("update", "sign"), [("keep", 1), ("write", -1)])
def test_the_update_gate_of_a_gru_is_opened_for_keeping(update, sign):
    layer = GRU(3, 6, update=update, forget_bias=2.0)
    assert torch.equal(block(layer, "bias_ih_l0", "z"), torch.full((6,), 2.0 * sign))
    chrono = block(GRU(3, 1000, update=update, chrono=50), "bias_ih_l0", "z")
    assert (sign * chrono >= 0).all()


def test_chrono_is_the_logarithm_of_uniform_numbers():
    layer = LSTM(3, 4000, chrono=101)
    f, i = (block(layer, "bias_ih_l0", gate) for gate in "fi")
    assert torch.equal(i, -f)
    assert not block(layer, "bias_hh_l0", "f").any()
    assert not block(layer, "bias_hh_l0", "i").any()
    uniform = f.exp()
    assert 1 <= uniform.min() < 1.5
    assert 99 < uniform.max() <= 100.001
    assert uniform.mean().item() == pytest.approx(50.5, abs=5 * 99 / math.sqrt(12 * 4000))


@pytest.mark.parametrize(
    "make", [lambda: LSTM(3, 8, orthogonal=True), lambda: GRU(3, 8, reset="before", orthogonal=True)]
)
def test_each_gates_recurrent_block_is_orthogonal(make):
    layer = make()
    for part in layer.weight_hh_l0.detach().split(8):
        torch.testing.assert_close(part @ part.T, torch.eye(8))
    assert not torch.allclose(layer.weight_ih_l0[:3] @ layer.weight_ih_l0[:3].T, torch.eye(3))


def test_a_projected_layer_has_orthogonal_columns():
    layer = LSTM(3, 8, proj_size=4, orthogonal=True)
    for part in layer.weight_hh_l0.detach().split(8):
        torch.testing.assert_close(part.T @ part, torch.eye(4))
    assert not torch.allclose(layer.weight_hr_l0 @ layer.weight_hr_l0.T, torch.eye(4))


@pytest.mark.filterwarnings("ignore:.* has no recurrent matrix")
@pytest.mark.parametrize("cell", [name for name in CELLS if not any(m.mirror for m in CELLS[name].graph.matrices)])
def test_orthogonal_blocks_of_every_cell(cell):
    layer = Recurrent(cell, 5, 5, orthogonal=True)
    recurrent = {matrix: layer.graph.is_recurrent(operand) for matrix, operand, _ in layer.graph.products}
    for matrix, expected in recurrent.items():
        name = {"W": "ih", "U": "hh"}.get(matrix, matrix)
        for part in getattr(layer, f"weight_{name}_l0").detach().split(5):
            assert torch.allclose(part @ part.T, torch.eye(5), atol=1e-5) == expected


# What goes with them


def test_double_backward_under_every_option():
    layer = LSTM(2, 3, dtype=torch.float64, **ALL)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    reset = torch.tensor([[False, False], [True, False], [False, True]])

    def call(x, *parameters):
        own = dict(zip(dict(layer.named_parameters()), parameters, strict=True))
        y, (_, c) = torch.func.functional_call(layer, own, (x,), {"reset": reset, "generator": seeded()})
        return y, c

    inputs = (x, *(p.detach().requires_grad_() for p in layer.parameters()))
    settings = {"atol": tolerance.GRADCHECK_ATOL, "rtol": tolerance.GRADCHECK_RTOL, "eps": tolerance.GRADCHECK_EPS}
    assert torch.autograd.gradcheck(call, inputs, **settings)
    assert torch.autograd.gradgradcheck(call, inputs, **settings)


def test_a_trace_under_options_is_what_the_layer_computes():
    layer, x = LSTM(3, 6, 2, dropout=0.2, bidirectional=True, **ALL), torch.randn(5, 3, 3)
    reset = torch.rand(5, 3) < 0.3
    y, _ = layer(x, reset=reset, lengths=[5, 2, 0], generator=seeded())
    with torch.no_grad():
        traced = layer.trace(x, reset=reset, lengths=[5, 2, 0], generator=seeded())
    both = torch.cat([traced["h_l1"], traced["h_l1_reverse"]], -1)
    torch.testing.assert_close(both.nan_to_num(), y)
    assert traced["c_l0"][:2, :2].abs().max() <= 0.9


def test_clipped_states_are_within_their_bounds():
    layer = LSTM(3, 6, state_clip={"c": 0.25})
    y, (_, c) = layer(10 * torch.randn(9, 4, 3))
    assert c.abs().max() == 0.25
    assert y.abs().max() <= math.tanh(0.25)


def test_layers_are_copied_and_pickled_with_their_options():
    layer, x = LSTM(3, 6, **ALL), torch.randn(5, 2, 3)
    y = layer(x, generator=seeded())[0]
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(other) == repr(layer)
        assert torch.equal(other(x, generator=seeded())[0], y)


def test_a_session_runs_as_in_evaluation_and_begins_with_what_was_learned():
    layer, x = LSTM(3, 6, 2, **ALL), torch.randn(7, 2, 3)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("initial"):
                parameter.normal_()
        y, (_, c) = layer.eval()(x)
    session = tg.Session(layer, 2)
    torch.testing.assert_close(session.run(x), y)
    torch.testing.assert_close(session.state["c"], c)
    session.reset(torch.tensor([True, False]))
    torch.testing.assert_close(session.state["c"][:, 1], c[:, 1])
    torch.testing.assert_close(session.state["c"][:, 0], torch.stack([layer.initial_c_l0, layer.initial_c_l1]).detach())
    session.reset()
    torch.testing.assert_close(torch.stack([session.step(step) for step in x]), y)


@pytest.mark.parametrize("option", ALL)
def test_a_layer_that_runs_differently_is_not_torchs(option):
    model = torch.nn.Sequential(LSTM(3, 4, **{option: ALL[option]}))
    with pytest.raises(InputError, match=f"torch has no {option}="):
        tg.restore(model)


def test_a_layer_that_only_begins_differently_becomes_torchs():
    layer, x = GRU(3, 4, orthogonal=True, forget_bias=1.0), torch.randn(5, 2, 3)
    y = layer(x)[0]
    restored = tg.restore(layer)
    assert type(restored) is torch.nn.GRU
    assert repr(restored) == "GRU(3, 4)"
    torch.testing.assert_close(restored(x)[0], y)
    tg.accelerate(restored)
    assert repr(restored) == "GRU(3, 4)"


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_under_vmap_masks_are_drawn_as_it_is_told(randomness):
    layer, x = GRU(3, 4, zoneout=0.5), torch.randn(5, 2, 3).expand(6, 5, 2, 3)
    y = torch.func.vmap(lambda x: layer(x)[0], randomness=randomness)(x)
    assert torch.equal(y[0], y[1]) == (randomness == "same")


def test_under_autocast_and_in_bfloat16_layers_draw_the_same_masks():
    layer, x = GRU(3, 4, **ALL), torch.randn(5, 2, 3)
    y = layer(x, generator=seeded())[0]
    z = layer.bfloat16()(x.bfloat16(), generator=seeded())[0]
    assert z.dtype == torch.bfloat16
    torch.testing.assert_close(z.float(), y, atol=0.05, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer.float()(x, generator=seeded())[0].float(), y, atol=0.05, rtol=0)


def test_masks_need_no_gradient_and_get_none():
    layer, x = LSTM(3, 6, **ALL), torch.randn(5, 2, 3, requires_grad=True)
    with recorded() as drawn:
        layer(x, generator=seeded())[0].sum().backward()
    assert not any(mask.requires_grad for masks in drawn for mask in masks.values())
    with eager_only():
        again = torch.autograd.grad(layer(x, generator=seeded())[0].sum(), x)[0]
    torch.testing.assert_close(x.grad, again)
