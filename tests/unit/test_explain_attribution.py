"""Integrated gradients: against plain sums over the path, closed forms, and what they are known to miss."""

import copy

import pytest
import torch

import tidegate as tg
from tidegate.errors import InputError
from tidegate.explain import attribute

T, B, I, H = 12, 4, 3, 6


def last(output):
    return output[0][-1, :, 0]


def at_ends(output, lengths):
    return output[0][lengths - 1, torch.arange(len(lengths)), 0]


def slow(layer, x, target, baseline, batch=1, count=3000):
    """The same integral by midpoints and torch's own layer, all points in one batch."""
    shares = ((torch.arange(count).double() + 0.5) / count).repeat_interleave(x.shape[batch])
    shares = shares.view([-1 if axis == batch else 1 for axis in range(3)])
    whole, start = (torch.cat([value] * count, batch) for value in (x, baseline))
    here = (start + shares * (whole - start)).requires_grad_()
    (gradient,) = torch.autograd.grad(target(layer(here)).sum(), here)
    mean = gradient.unflatten(batch, (count, -1)).mean(batch)
    return mean * (x - baseline)


class Accumulator(tg.Cell):
    """h' = d h + W x: what an input is worth is known."""

    gates = "a"
    matrices = {}
    biases = "W"

    def step(self, x, h):
        a = x.a
        return 0.5 * h + a


class Tagged(torch.nn.Module):
    """Tokens, and numbers beside them, to one answer; batch first."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(11, 5)
        self.layer = torch.nn.GRU(5 + I, H, batch_first=True)
        self.head = torch.nn.Linear(H, 2)

    def forward(self, tokens, numbers):
        hidden, _ = self.layer(torch.cat([self.table(tokens), numbers], -1))
        return self.head(hidden)


@pytest.mark.parametrize("kind", [torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU])
def test_the_integral_is_that_of_many_midpoints_by_torch(kind):
    torch.manual_seed(0)
    layer, x, b = kind(I, H).double(), torch.randn(T, B, I).double(), torch.randn(T, B, I).double()
    found = attribute(layer, x, last, b)
    torch.testing.assert_close(found.values["x"], slow(layer, x, last, b), atol=2e-8, rtol=0)
    assert found.points == 16
    assert found.error.max() < 1e-6
    torch.testing.assert_close(found.values["x"].sum((0, 2)), found.answer - found.start, atol=1e-8, rtol=0)
    assert not found.abstained
    assert not layer.weight_ih_l0.grad


def test_a_linear_cell_has_the_contributions_of_the_closed_form():
    torch.manual_seed(0)
    layer, x = tg.nn.Recurrent(Accumulator, I, H, bias=False), torch.randn(T, B, I)
    found = attribute(layer, x, last, points=1)
    weight = layer.weight_ih_l0[0].double()
    wanted = 0.5 ** torch.arange(T - 1, -1, -1)[:, None, None] * weight * x.double()
    torch.testing.assert_close(found.values["x"], wanted.detach())
    assert found.error.max() < 1e-12
    torch.testing.assert_close(found.by_lag, wanted.detach().flip(0).transpose(0, 1))
    assert found.lags == tuple(range(T))
    assert found.features == ("x[0]", "x[1]", "x[2]")


def test_lags_count_back_from_the_end_of_each_sequence():
    torch.manual_seed(0)
    layer, x, lengths = tg.nn.GRU(I, H, num_layers=2), torch.randn(T, B, I), [12, 5, 1, 9]
    found = attribute(layer, x, at_ends, lengths=lengths, names=["a", "b", "c"])
    assert found.features == ("a", "b", "c")
    for b, count in enumerate(lengths):
        alone = attribute(layer, x[:count, b : b + 1], last)
        torch.testing.assert_close(found.by_lag[b, :count], alone.by_lag[0], atol=1e-9, rtol=0)
        assert found.by_lag[b, count:].isnan().all()
    assert found.values["x"][5:, 1].eq(0).all()
    torch.testing.assert_close(found.shares().sum().item(), 1.0)


def test_a_step_in_the_middle_has_negative_lags_for_what_comes_after_it():
    layer, x = tg.nn.LSTM(I, H, bidirectional=True), torch.randn(T, B, I)
    found = attribute(layer, x, lambda output: output[0][7].sum(-1), step=7)
    assert found.lags == tuple(range(-4, 8))
    torch.testing.assert_close(found.by_lag[:, 4], found.values["x"][7])
    torch.testing.assert_close(found.by_lag[:, 0], found.values["x"][11])
    assert found.by_lag[:, 0].abs().max() > 0
    forward = attribute(layer, x, lambda output: output[0][7, :, :H].sum(-1), step=7 - T)
    assert forward.by_lag[:, :4].eq(0).all()


def test_tokens_are_attributed_at_the_output_of_their_embedding():
    torch.manual_seed(0)
    model = Tagged()
    tokens, numbers = torch.randint(11, (B, T)), torch.randn(B, T, I)
    found = attribute(model, (tokens, numbers), lambda output: output[:, -1, 0])
    assert found.values["table"].shape == (B, T)
    assert found.features == ("x1[0]", "x1[1]", "x1[2]", "table")
    double = copy.deepcopy(model).double()
    embedded, b = double.table(tokens).detach(), torch.zeros(B, T, 5 + I).double()

    def layer(x):
        return double.head(double.layer(x)[0])

    wanted = slow(layer, torch.cat([embedded, numbers.double()], -1), lambda output: output[:, -1, 0], b, 0)
    torch.testing.assert_close(found.values["table"], wanted[..., :5].sum(-1), atol=2e-8, rtol=0)
    torch.testing.assert_close(found.values["x1"], wanted[..., 5:], atol=2e-8, rtol=0)
    torch.testing.assert_close(found.by_lag[:, 0, 3], found.values["table"][:, -1])


def test_tokens_can_have_tokens_as_their_baseline():
    torch.manual_seed(0)
    model, tokens, numbers = Tagged(), torch.randint(11, (B, T)), torch.randn(B, T, I)
    found = attribute(model, (tokens, numbers), lambda output: output[:, -1, 0], baseline=(3, None))
    double = copy.deepcopy(model).double()
    wanted = double(torch.full_like(tokens, 3), torch.zeros(B, T, I).double())[:, -1, 0]
    torch.testing.assert_close(found.start, wanted.detach())
    assert found.error.max() < 1e-6
    assert found.values["table"][tokens == 3].abs().max() == 0


def test_one_number_for_all_sequences_has_one_error():
    layer, x = tg.nn.LSTM(I, H), torch.randn(T, B, I)
    found = attribute(layer, x, lambda output: output[0][-1].square().mean())
    assert found.error.shape == found.answer.shape == (1,)
    torch.testing.assert_close(found.values["x"].sum(), (found.answer - found.start)[0])


def chaotic(seed, gain=3.0):
    torch.manual_seed(seed)
    layer = tg.nn.RNN(I, 64)
    torch.nn.init.normal_(layer.weight_hh_l0, std=gain / 8)
    return layer, torch.randn(100, 2, I)


def test_a_chaotic_network_has_no_attribution_and_its_exponent_is_the_reason():
    layer, x = chaotic(0)
    found = attribute(layer, x, last)
    assert found.points == 128
    assert found.error.max() > 0.01
    assert "top Lyapunov exponent" in found.abstained
    assert "of (model) reaches +" in found.abstained
    missing = found.error > 0.01
    assert found.values["x"][:, missing].isnan().all()
    assert found.values["x"][:, ~missing].isfinite().all()
    if missing.all():
        with pytest.raises(InputError, match="no sequence has contributions"):
            found.shares()


def test_points_are_added_before_there_is_no_attribution():
    torch.manual_seed(0)
    layer, x = tg.nn.LSTM(I, H), 6 * torch.randn(T, B, I)
    few = attribute(layer, x, last, points=1)
    assert few.points > 1
    assert few.error.max() <= 0.01


def test_an_answer_that_is_the_same_at_the_baseline_is_said_to_be_so():
    layer, x = tg.nn.GRU(I, H), torch.randn(T, B, I)
    found = attribute(layer, x, last, baseline=x)
    assert not found.abstained  # nothing is to be shared out, and nothing is
    bumped = attribute(layer, x, lambda output: output[0][-1, :, 0] * 0 + 1e6 + output[0][-1, :, 0] * 1e-12)
    assert "no difference to share out" in bumped.abstained


def test_a_sharp_bend_is_not_called_chaos():
    layer, x = tg.nn.GRU(I, H), torch.randn(T, B, I)
    halfway = last(copy.deepcopy(layer).double()(x.double())).detach() / 2
    found = attribute(layer, x, lambda output: torch.sigmoid(1e7 * (last(output) - halfway)))
    assert "it is not chaos" in found.abstained


def test_the_model_stays_as_it_is():
    model = torch.nn.Sequential(torch.nn.Linear(I, 5), torch.nn.LSTM(5, H, dropout=0.3, num_layers=2)).train()
    before = copy.deepcopy(model.state_dict())
    one = attribute(model, torch.randn(T, B, I), last)
    assert model.training
    assert type(model[1]) is torch.nn.LSTM
    assert one.error.max() < 1e-6
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.dtype is torch.float32


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"x": torch.randn(T, I)}, r"expected numbers \[T, B, features\]"),
        ({"x": "text"}, "x has str"),
        ({"x": torch.randn(0, B, I)}, "at least one step"),
        ({"x": torch.nn.utils.rnn.pack_padded_sequence(torch.randn(T, B, I), [T] * B)}, "pass a padded batch"),
        ({"target": lambda output: output[0]}, "expected a tensor of one number, or of 4"),
        ({"target": lambda output: output[0][-1, :, 0] > 0}, "torch.bool"),
        ({"target": lambda output: output[0][-1].argmax(-1).double()}, "no gradient"),
        ({"baseline": torch.zeros(7)}, "does not fit"),
        ({"baseline": (None, None)}, "2 parts, but x has 1"),
        ({"baseline": "mean"}, "'mean'"),
        ({"points": 0}, "points is 0"),
        ({"points": True}, "points is True"),
        ({"step": T}, "step is 12"),
        ({"names": ["a"]}, "names has 1 entries, but x has 3"),
        ({"lengths": [1, 2, 3]}, "expected 4 integers from 0 to 12"),
        ({"lengths": [1, 2, 3, 13]}, "expected 4 integers from 0 to 12"),
        ({"lengths": [1.0, 2, 3, 4]}, "expected 4 integers"),
        ({"lengths": "all"}, "not numbers"),
    ],
)
def test_what_cannot_be_attributed_is_refused(change, text):
    asked = {"x": torch.randn(T, B, I), "target": last, **change}
    with pytest.raises(InputError, match=text):
        attribute(tg.nn.LSTM(I, H), **asked)


def test_tokens_without_an_embedding_are_refused():
    class OneHot(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = tg.nn.LSTM(5, H)

        def forward(self, tokens):
            x = torch.nn.functional.one_hot(tokens, 5)
            return self.layer(x.to(self.layer.weight_ih_l0.dtype))

    with pytest.raises(InputError, match="no torch\\.nn\\.Embedding"):
        attribute(OneHot(), torch.randint(5, (T, B)), last)


def test_layers_of_both_layouts_need_a_word():
    class Both(torch.nn.ModuleList):
        def forward(self, x):
            return self[0](x)

    model = Both([torch.nn.LSTM(I, H), torch.nn.LSTM(I, H, batch_first=True)])
    with pytest.raises(InputError, match="batch_first"):
        attribute(model, torch.randn(T, B, I), last)
    assert attribute(model, torch.randn(T, B, I), last, batch_first=False).error.max() < 1e-6


def test_numbers_without_sequences_are_left_out_and_said():
    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = tg.nn.LSTM(I, H)

        def forward(self, x, scale, static):
            return (self.layer(x * scale)[0] + static[:, :1],)

    asked = (torch.randn(T, B, I), torch.tensor([2.0]), torch.randn(B, 2))
    found = attribute(Scaled(), asked, last)
    assert found.left_out == ("x1: it has no axis of 4 sequences",)
    torch.testing.assert_close(found.values["x2"][:, 0], asked[2][:, 0].double(), atol=1e-9, rtol=0)
    assert found.error.max() < 1e-6
    assert found.features == ("x0[0]", "x0[1]", "x0[2]")
