"""RNN, LSTM and GRU against torch.nn, over every constructor option, in float64 and float32."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from tests.reference.compare import assert_as_exact, assert_equal
from tidegate import nn as ours

T, B, I, H, P = 7, 3, 5, 8, 4
KINDS = {
    "rnn": ("RNN", {}),
    "rnn relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "lstm projected": ("LSTM", {"proj_size": P}),
    "gru": ("GRU", {}),
}
SWITCHES = [
    dict(zip(("bias", "batch_first", "bidirectional"), s, strict=True)) for s in itertools.product(*[(True, False)] * 3)
]

# torch says so itself whenever its projected LSTM runs in float32.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

every_kind = pytest.mark.parametrize("kind", KINDS)
every_depth = pytest.mark.parametrize("num_layers", [1, 3])
every_switch = pytest.mark.parametrize(
    "switches", SWITCHES, ids=lambda s: " ".join(k for k, v in s.items() if v) or "none"
)


def pair(kind: str, dtype: torch.dtype = torch.float64, **options: Any) -> tuple[Any, Any]:
    """Our module and torch's, made from the same seed."""
    name, more = KINDS[kind]
    made = []
    for library in (ours, torch.nn):
        torch.manual_seed(0)
        made.append(getattr(library, name)(I, H, **more, **options, dtype=dtype))
    return made[0], made[1]


def normal(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def draw_input(module: Any, dtype: torch.dtype, *, batched: bool = True) -> Tensor:
    if not batched:
        return normal(T, I, dtype=dtype)
    return normal(B, T, I, dtype=dtype) if module.batch_first else normal(T, B, I, dtype=dtype)


def draw_state(module: Any, dtype: torch.dtype, *, size: int | None = B) -> Any:
    """A state of size ``size``, or of an unbatched run."""
    passes = module.num_layers * (2 if module.bidirectional else 1)
    batch = () if size is None else (size,)
    h = normal(passes, *batch, module.proj_size or H, seed=2, dtype=dtype)
    return (h, normal(passes, *batch, H, seed=3, dtype=dtype)) if isinstance(module, torch.nn.LSTM) else h


def parts(state: Any) -> tuple[Tensor, ...]:
    return () if state is None else (state,) if isinstance(state, Tensor) else tuple(state)


def results(module: Any, x: Tensor, state: Any, **call: Any) -> dict[str, Tensor]:
    """Outputs, last states and every gradient of a random weighted sum of both."""
    x = x.detach().requires_grad_()
    leaves = [s.detach().requires_grad_() for s in parts(state)]
    given = None if state is None else leaves[0] if isinstance(state, Tensor) else tuple(leaves)
    y, last = module(x, given, **call)
    found = {"y": y, **{f"last {k}": s for k, s in enumerate(parts(last))}}
    loss = sum((v * normal(*v.shape, seed=9 + k, dtype=v.dtype)).sum() for k, v in enumerate(found.values()))
    named = {"x": x, **{f"state{k}": s for k, s in enumerate(leaves)}, **dict(module.named_parameters())}
    grads = torch.autograd.grad(loss, list(named.values()))
    found = {name: value.detach() for name, value in found.items()}
    return found | {f"d {name}": grad for name, grad in zip(named, grads, strict=True)}


class Packing(torch.nn.Module):
    """torch's module behind torch's own packing, in the layout of padded sequences."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def named_parameters(self, *arguments: Any, **named: Any) -> Any:
        return self.module.named_parameters(*arguments, **named)

    def forward(self, x: Tensor, state: Any, lengths: list[int]) -> Any:
        first = self.module.batch_first
        steps = x.shape[1 if first else 0]
        sequence = pack_padded_sequence(x, torch.tensor(lengths), batch_first=first, enforce_sorted=False)
        y, last = self.module(sequence, state)
        return pad_packed_sequence(y, batch_first=first, total_length=steps)[0], last


@every_kind
@every_depth
@every_switch
def test_float64(kind, num_layers, switches):
    mine, theirs = pair(kind, num_layers=num_layers, **switches)
    x = draw_input(mine, torch.float64)
    for state in (None, draw_state(mine, torch.float64)):
        assert_equal(results(mine, x, state), results(theirs, x, state))


@every_kind
@every_depth
@every_switch
def test_float64_unbatched(kind, num_layers, switches):
    mine, theirs = pair(kind, num_layers=num_layers, **switches)
    x = draw_input(mine, torch.float64, batched=False)
    for state in (None, draw_state(mine, torch.float64, size=None)):
        assert_equal(results(mine, x, state), results(theirs, x, state))


@every_kind
@every_depth
@every_switch
def test_float32_is_as_exact(kind, num_layers, switches):
    mine, theirs = pair(kind, torch.float32, num_layers=num_layers, **switches)
    exact = pair(kind, num_layers=num_layers, **switches)[1]
    exact.load_state_dict(theirs.state_dict())
    x = draw_input(mine, torch.float32)
    state = draw_state(mine, torch.float32)
    wide = tuple(s.double() for s in parts(state))
    truth = results(exact, x.double(), wide[0] if isinstance(state, Tensor) else wide)
    assert_as_exact(results(mine, x, state), results(theirs, x, state), truth)


@every_kind
@pytest.mark.parametrize(("steps", "width"), [(1, 1), (63, 64)])
def test_float32_is_as_exact_at_other_sizes(kind, steps, width):
    name, more = KINDS[kind]
    more = (
        {"proj_size": max(1, width // 2)} if "proj_size" in more and width > 1 else {} if "proj_size" in more else more
    )
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(I, width, **more)
    mine, exact = getattr(ours, name)(I, width, **more), getattr(torch.nn, name)(I, width, **more, dtype=torch.float64)
    for module in (mine, exact):
        module.load_state_dict(theirs.state_dict())
    x = normal(steps, B, I).float()
    assert_as_exact(results(mine, x, None), results(theirs, x, None), results(exact, x.double(), None))


@every_kind
@every_depth
@every_switch
def test_same_parameters_in_the_same_order_from_the_same_seed(kind, num_layers, switches):
    mine, theirs = pair(kind, torch.float32, num_layers=num_layers, **switches)
    assert [name for name, _ in mine.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert mine.all_weights[0][0].shape == theirs.all_weights[0][0].shape
    for (name, one), (_, other) in zip(mine.named_parameters(), theirs.named_parameters(), strict=True):
        assert torch.equal(one, other), name


@every_kind
def test_the_generator_is_left_as_torch_leaves_it(kind):
    after = []
    for library in (ours, torch.nn):
        torch.manual_seed(5)
        getattr(library, KINDS[kind][0])(I, H, num_layers=2, **KINDS[kind][1])
        after.append(torch.get_rng_state())
    assert torch.equal(*after)


@every_kind
@every_depth
@every_switch
def test_state_dict_loads_both_ways(kind, num_layers, switches):
    mine, theirs = pair(kind, num_layers=num_layers, **switches)
    for source, target in ((mine, theirs), (theirs, mine)):
        with torch.no_grad():
            for value in source.parameters():
                value.add_(1)
        target.load_state_dict(source.state_dict(), strict=True)
        assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))


@every_kind
@every_depth
@every_switch
def test_repr(kind, num_layers, switches):
    dropout = 0.25 if num_layers > 1 else 0.0
    mine, theirs = pair(kind, num_layers=num_layers, dropout=dropout, **switches)
    assert repr(mine) == repr(theirs)


@every_kind
@every_switch
def test_dropout_in_evaluation(kind, switches):
    mine, theirs = pair(kind, num_layers=3, dropout=0.4, **switches)
    x = draw_input(mine, torch.float64)
    assert_equal(results(mine.eval(), x, None), results(theirs.eval(), x, None))


@every_kind
@every_switch
@pytest.mark.parametrize("dropout", [0.4, 1.0])
def test_dropout_in_training_draws_the_same_masks(kind, switches, dropout):
    mine, theirs = pair(kind, num_layers=3, dropout=dropout, **switches)
    x = draw_input(mine, torch.float64)
    torch.manual_seed(7)
    got = results(mine, x, None)
    torch.manual_seed(7)
    assert_equal(got, results(theirs, x, None))


@every_kind
@every_switch
@pytest.mark.parametrize(
    ("num_layers", "lengths"),
    [(1, [7, 4, 1]), (3, [2, 7, 7]), (3, [3, 1, 2])],
    ids=["sorted", "unsorted", "all shorter"],
)
def test_lengths_equal_packing(kind, num_layers, switches, lengths):
    mine, theirs = pair(kind, num_layers=num_layers, **switches)
    x = draw_input(mine, torch.float64)
    for state in (None, draw_state(mine, torch.float64)):
        got = results(mine, x, state, lengths=torch.tensor(lengths))
        assert_equal(got, results(Packing(theirs), x, state, lengths=lengths))


@every_kind
@every_switch
def test_a_packed_sequence_in_gives_one_out(kind, switches):
    mine, theirs = pair(kind, num_layers=2, **switches)
    sequence = pack_padded_sequence(normal(T, B, I), torch.tensor([2, 7, 3]), enforce_sorted=False)
    got, want = mine(sequence), theirs(sequence)
    assert isinstance(got[0], PackedSequence)
    assert torch.equal(got[0].batch_sizes, want[0].batch_sizes)
    assert torch.equal(got[0].unsorted_indices, want[0].unsorted_indices)
    unpacked = [{"y": y.data, **{f"last {k}": s for k, s in enumerate(parts(state))}} for y, state in (got, want)]
    assert_equal(*unpacked)


@every_kind
@every_switch
def test_length_zero_keeps_the_state_and_disturbs_no_other(kind, switches):
    mine, theirs = pair(kind, num_layers=1, **switches)
    x, state = draw_input(mine, torch.float64), draw_state(mine, torch.float64)
    y, last = mine(x, state, lengths=[4, 0, 7])
    batch = 0 if mine.batch_first else 1
    assert not y.select(batch, 1).any()
    for before, after in zip(parts(state), parts(last), strict=True):
        assert torch.equal(after[:, 1], before[:, 1])
    others = torch.tensor([0, 2])
    kept = tuple(s[:, others] for s in parts(state))
    alone = Packing(theirs)(x.index_select(batch, others), kept[0] if isinstance(state, Tensor) else kept, [4, 7])
    assert_equal(
        {"y": y.index_select(batch, others), **{f"{k}": s[:, others] for k, s in enumerate(parts(last))}},
        {"y": alone[0], **{f"{k}": s for k, s in enumerate(parts(alone[1]))}},
    )


@every_kind
def test_all_lengths_zero(kind):
    mine, _ = pair(kind, num_layers=2, bidirectional=True)
    state = draw_state(mine, torch.float64)
    y, last = mine(draw_input(mine, torch.float64), state, lengths=[0, 0, 0])
    assert not y.any()
    assert all(torch.equal(a, b) for a, b in zip(parts(last), parts(state), strict=True))


@every_kind
def test_what_lies_behind_the_end_is_never_read(kind):
    mine, _ = pair(kind, num_layers=2, bidirectional=True)
    x = draw_input(mine, torch.float64)
    spoilt = x.clone()
    spoilt[4:, 0] = spoilt[1:, 1] = float("nan")
    clean, got = (results(mine, v, None, lengths=[4, 1, 7]) for v in (x, spoilt))
    assert all(torch.equal(got[name], clean[name]) for name in clean)


@every_kind
def test_modules_are_instances_of_torchs(kind):
    mine, theirs = pair(kind)
    assert isinstance(mine, type(theirs))


@every_switch
def test_a_peephole_lstm_without_peepholes_is_torchs_lstm(switches):
    mine = ours.PeepholeLSTM(I, H, num_layers=2, **switches, dtype=torch.float64)
    theirs = torch.nn.LSTM(I, H, num_layers=2, **switches, dtype=torch.float64)
    loaded = mine.load_state_dict(theirs.state_dict(), strict=False)
    peepholes = [name for name, _ in mine.named_parameters() if name.startswith("p_")]
    assert sorted(loaded.missing_keys) == sorted(peepholes)
    assert not loaded.unexpected_keys
    with torch.no_grad():
        for name in peepholes:
            mine.get_parameter(name).zero_()
    x, state = draw_input(mine, torch.float64), draw_state(theirs, torch.float64)
    got = {name: value for name, value in results(mine, x, state).items() if name.removeprefix("d ") not in peepholes}
    assert_equal(got, results(theirs, x, state))
