"""Units held, features replaced, history removed: against loops by hand, and parts that are known to matter or not."""

import copy
import math
from contextlib import nullcontext

import pytest
import torch

import tidegate as tg
from tests.reference.equations import REFERENCES
from tests.reference.unroll import Parameters
from tidegate.errors import InputError
from tidegate.explain import ablate, context_curve, probe
from tidegate.runtime import eager_only

T, B, I, H = 10, 5, 3, 6
FUSED = {"lstm", "gru/before"}
CELLS = ["rnn", "lstm", "peepholelstm", "gru/before", "gru", "mgu", "janet", "cifg", "mingru", "minlstm"]


def last(output):
    return output[0][-1].square().mean(-1)


def by_hand(layer, name, x, unit=None, value=0.0):
    """Outputs [T, B, H] of one layer, with a unit of h held from the first step on."""
    reference = REFERENCES[name]
    p = Parameters({key: tensor.detach().double() for key, tensor in layer.named_parameters()}, H)
    states = tuple(torch.zeros(x.shape[1], H).double() for _ in range(reference.states))
    outputs = []
    for step in x.double():
        states = reference.step(p, step, *states)
        if unit is not None:
            states[0][:, unit] = value
        outputs.append(states[0])
    return torch.stack(outputs)


@pytest.mark.parametrize("name", CELLS)
def test_a_unit_is_held_at_its_mean_where_its_own_layer_sees_it(name):
    torch.manual_seed(0)
    layer, x = tg.nn.Recurrent(name, I, H), torch.randn(T, B, I)
    with nullcontext() if name in FUSED else eager_only():  # to compile every cell would take long
        found = ablate(layer, x, last)
    whole = by_hand(layer, name, x)
    assert found.loss == pytest.approx(last((whole,)).mean().item(), rel=1e-12)
    for change in found.changes:
        held = by_hand(layer, name, x, change.index, whole[..., change.index].mean())
        difference = last((held,)) - last((whole,))
        assert change.change == pytest.approx(difference.mean().item(), rel=1e-9, abs=1e-14)
        assert change.error == pytest.approx(difference.std().item() / math.sqrt(B), rel=1e-9, abs=1e-14)
        assert change.name == f"(model).l0[{change.index}]"
    sizes = [abs(change.change) for change in found.changes]
    assert sizes == sorted(sizes, reverse=True)
    assert sorted(found.order("(model).l0")) == list(range(H))


class Stacked(torch.nn.Module):
    """Two layers in two directions, and a head that reads half of the units."""

    def __init__(self, **options):
        super().__init__()
        self.layer = tg.nn.LSTM(I, H, num_layers=2, bidirectional=True, **options)
        self.head = torch.nn.Linear(2 * H, 1)
        with torch.no_grad():
            self.head.weight[0, [1, H + 2]] = 0

    def forward(self, x, lengths=None):
        hidden, _ = self.layer(x, lengths=lengths)
        return self.head(hidden).squeeze(-1)


OPTIONS = {"layer_norm": True, "learn_initial_state": True, "zoneout": 0.1, "state_clip": 0.9, "proj_size": 4}


@pytest.mark.parametrize("options", [{}, OPTIONS])
def test_every_unit_of_stacks_directions_and_options_counts(options):
    torch.manual_seed(0)
    layer = tg.nn.LSTM(I, H, num_layers=2, bidirectional=True, **options)
    x, lengths = torch.randn(T, B, I), [10, 3, 7, 1, 9]
    with eager_only():
        found = ablate(layer, x, lambda output: output[0].square().mean((0, 2)), lengths=lengths)
    names = {"(model).l0", "(model).l0_reverse", "(model).l1", "(model).l1_reverse"}
    assert {change.layer for change in found.changes} == names
    assert len(found.changes) == 4 * options.get("proj_size", H)
    assert all(change.change for change in found.changes)


def test_units_that_nothing_reads_are_worth_exactly_nothing():
    torch.manual_seed(0)
    model = Stacked()
    with torch.no_grad():
        for unit in (1, 4):
            model.layer.weight_hh_l1[:, unit] = 0
            model.head.weight[0, unit] = 0
    x, loss = torch.randn(T, B, I), lambda output: output.square().mean(0)
    found = ablate(model, x, loss)
    assert {c.index for c in found.changes if c.change == 0} == {1, 4}
    both = ablate(model, x, loss, only=[("layer.l1", 1), ("layer.l1", 4)], together=True)
    assert [c.change for c in both.changes] == [0.0]
    assert both.changes[0].name == "layer.l1[1], layer.l1[4]"
    some = ablate(model, x, loss, only=[("layer.l1", 2)])
    assert some.changes[0].change == next(c.change for c in found.changes if (c.layer, c.index) == ("layer.l1", 2))


def test_resets_and_a_shared_probe():
    """A layer that was held runs as before afterwards."""
    torch.manual_seed(0)
    layer, x = tg.nn.GRU(I, H, learn_initial_state=True), torch.randn(T, B, I)
    reset = torch.rand(T, B) < 0.3
    shared = probe(layer)
    before = shared(x, reset=reset)[0]
    found = ablate(shared, x, last, reset=reset)
    assert torch.equal(shared(x, reset=reset)[0], before)
    assert "Held" not in repr(type(shared.model.options))
    assert found.changes[0].change != 0


def test_features_are_replaced_by_their_mean_or_a_baseline():
    torch.manual_seed(0)
    layer, x = tg.nn.GRU(I, H), torch.randn(T, B, I)
    with torch.no_grad():
        layer.weight_ih_l0[:, 2] = 0
    double = copy.deepcopy(layer).double()
    mean = x[..., 1].double().mean().item()
    for baseline, value in ((None, mean), (0.5, 0.5), (torch.arange(3.0), 1.0)):
        found = ablate(layer, x, last, "features", baseline=baseline, names=["a", "b", "c"])
        by_name = {change.name: change for change in found.changes}
        assert by_name["c"].change == 0
        changed = x.double()
        changed[..., 1] = value
        wanted = (last(double(changed)) - last(double(x.double()))).mean().item()
        assert by_name["b"].change == pytest.approx(wanted, rel=1e-9)
    assert [c.name for c in ablate(layer, x, last, "features", ["c"], names=["a", "b", "c"]).changes] == ["c"]
    both = ablate(layer, x, last, "features", [0, 2], together=True)
    assert [c.name for c in both.changes] == ["x[0], x[2]"]


def test_means_of_features_are_those_of_valid_steps():
    torch.manual_seed(0)
    layer, x, lengths = tg.nn.GRU(1, H), torch.randn(T, 2, 1), torch.tensor([10, 4])
    x[4:, 1] = 1e9
    found = ablate(layer, x, lambda output: output[1][0].sum(-1), "features", lengths=lengths)
    x[4:, 1] = 0
    again = ablate(layer, x, lambda output: output[1][0].sum(-1), "features", lengths=lengths)
    assert found.changes[0].change == pytest.approx(again.changes[0].change, rel=1e-12)


def test_tokens_are_replaced_by_a_token():
    class Words(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.layer = torch.nn.Embedding(7, I), tg.nn.GRU(I, H)

        def forward(self, tokens):
            return self.layer(self.table(tokens))

    model, tokens = Words(), torch.randint(7, (T, B))
    assert ablate(model, tokens, last, "features", baseline=3).changes[0].change != 0
    with pytest.raises(InputError, match="tokens have no mean"):
        ablate(model, tokens, last, "features")


def test_the_history_beyond_a_lag_is_removed():
    torch.manual_seed(0)
    layer, x = tg.nn.LSTM(I, H), torch.randn(T, B, I)
    double = copy.deepcopy(layer).double()
    found = ablate(layer, x, last, "lags")
    assert [c.index for c in found.changes] == [0, 1, 3, 7]
    whole = last(double(x.double()))
    for change in found.changes:
        wanted = (last(double(x[-change.index - 1 :].double())) - whole).mean().item()
        assert change.change == pytest.approx(wanted, rel=1e-9, abs=1e-14)
    assert ablate(layer, x, last, "lags", [T, T - 1]).changes[0].change == 0


def test_shortened_ragged_sequences_keep_their_last_steps():
    torch.manual_seed(0)
    layer, x, lengths = tg.nn.LSTM(I, H, batch_first=True), torch.randn(3, T, I), torch.tensor([10, 2, 6])
    double = copy.deepcopy(layer).double()

    def ends(output, lengths):
        return output[0][torch.arange(3), lengths - 1].sum(-1)

    found = ablate(layer, x, ends, "lags", [3], lengths=lengths)
    shares = [double(x[b : b + 1, max(0, n - 4) : n].double())[0][0, -1].sum() for b, n in enumerate(lengths.tolist())]
    wholes = [double(x[b : b + 1, :n].double())[0][0, -1].sum() for b, n in enumerate(lengths.tolist())]
    wanted = (torch.stack(shares) - torch.stack(wholes)).mean().item()
    assert found.changes[0].change == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"part": "unit"}, "did you mean 'units'"),
        ({"only": [("(model).l0", H)]}, "no unit"),
        ({"only": [("(model).l1", 0)]}, "did you mean '\\(model\\).l0'"),
        ({"only": [3]}, "no unit 3"),
        ({"part": "features", "only": ["x[3]"]}, "no feature"),
        ({"part": "features", "only": [-1]}, "no feature -1"),
        ({"part": "features", "names": ["a"]}, "names has 1"),
        ({"part": "features", "baseline": "x"}, "does not fit"),
        ({"part": "lags", "together": True}, "together do not apply"),
        ({"baseline": 0.0, "names": ["a"]}, "baseline and names do not apply to units"),
        ({"part": "lags", "only": [-1]}, "lag is -1"),
        ({"part": "lags", "only": [0.5]}, "lag is 0.5"),
    ],
)
def test_parts_that_there_are_not_are_refused(asked, text):
    with pytest.raises(InputError, match=text):
        ablate(tg.nn.GRU(I, H), torch.randn(T, B, I), last, **asked)


class Delay(torch.nn.Module):
    """Answers the input of ``lag`` steps ago: a chain of units that hand on what they have."""

    def __init__(self, lag):
        super().__init__()
        self.layer = tg.nn.RNN(1, lag + 1, nonlinearity="relu", bias=False)
        with torch.no_grad():
            self.layer.weight_ih_l0.copy_(torch.eye(lag + 1)[:, :1])
            self.layer.weight_hh_l0.copy_(torch.eye(lag + 1).roll(1, 0).tril(-1))

    def forward(self, x):
        return self.layer(x)[0][-1, :, -1]


def miss(output, y):
    return (output - y).square()


@pytest.mark.parametrize("lag", [0, 3, 9])
def test_the_curve_is_flat_from_the_history_that_the_answer_needs(lag):
    torch.manual_seed(lag)
    batches = [(x := torch.rand(16, 20, 1), x[-1 - lag, :, 0] + 0.1 * torch.randn(20)) for _ in range(3)]
    curve = context_curve(Delay(lag), batches, miss, range(1, 17))
    assert curve.reach == lag + 1
    assert curve.sequences == 60
    assert curve.histories == tuple(range(1, 17))
    assert curve.differences[lag:] == (0.0,) * (16 - lag)
    if lag:
        inputs, y = (torch.cat([batch[k] for batch in batches], -1 if k else 1).double() for k in range(2))
        gone = y.square() - (inputs[-1 - lag, :, 0] - y).square()  # without the input the answer is 0
        assert curve.differences[lag - 1] == pytest.approx(gone.mean().item())
        assert curve.errors[lag - 1] == pytest.approx(gone.std().item() / math.sqrt(60))


def test_a_score_that_is_better_higher_and_ragged_batches():
    torch.manual_seed(0)
    x, lengths = torch.rand(9, 30, 1), torch.randint(5, 10, (30,))
    delay = Delay(2).layer

    def hit(output, y, lengths):
        return 1 - (output[0][lengths - 1, torch.arange(30), 2] - y).abs()

    y = x[lengths - 3, torch.arange(30), 0]
    curve = context_curve(delay, [(x, y, lengths)], hit, better="higher")
    assert curve.histories == (1, 2, 4, 8, 9)
    assert curve.reach == 4
    assert curve.scores[-1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("batches", "score", "histories", "text"),
    [
        ([], miss, None, "no steps"),
        ([torch.rand(4, 2, 1)], miss, None, "expected \\(x, y\\)"),
        ([(torch.rand(4, 2, 1), 0), (torch.rand(5, 2, 1), 0)], miss, None, r"\[4, 5\] steps"),
        ([(torch.rand(4, 2, 1), 0)], miss, [0], "a history is 0"),
        ([(torch.rand(4, 2, 1), 0)], miss, [5], "from 1 to 4"),
        ([(torch.rand(4, 2, 1), 0)], lambda output, y: output.mean(), None, "one number for all"),
        ([(torch.rand(4, 2, 1), 0)], lambda output, y: output.double().numpy(), None, "ndarray"),
    ],
)
def test_batches_that_give_no_curve_are_refused(batches, score, histories, text):
    with pytest.raises(InputError, match=text):
        context_curve(Delay(1), batches, score, histories)


def test_better_is_lower_or_higher():
    with pytest.raises(InputError, match="better is 'less'"):
        context_curve(Delay(1), [(torch.rand(4, 2, 1), torch.zeros(2))], miss, better="less")
