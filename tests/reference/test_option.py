"""Options against equations written by hand: forward and every gradient, by the engine and by the definition."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from unittest import mock

import pytest
import torch

from tests.backend.agreement import engine, poisoned
from tests.reference.compare import assert_equal
from tests.reference.option import STEPS, Asked, Sequences, direction, recorded, unsorted
from tidegate.cell import Node, Op
from tidegate.nn import Recurrent
from tidegate.option import Options, options
from tidegate.passes import clip, restart
from tidegate.passes.rewrite import Rewriter
from tidegate.runtime import eager_only

pytestmark = pytest.mark.filterwarnings("ignore:.* has no recurrent matrix")  # every cell has every option here
T, I, H = 6, 3, 5
RAGGED = (4, 0, 6, 6, 1)
OPTIONS = {
    "zoneout": {"zoneout": 0.4},
    "recurrent dropout": {"recurrent_dropout": 0.5},
    "clipped": {"state_clip": 0.15},
    "learned": {"learn_initial_state": True},
    "all": {"zoneout": 0.3, "recurrent_dropout": 0.3, "state_clip": 0.4, "learn_initial_state": True},
}


@dataclass(frozen=True)
class Case:
    """A layer and a call of it."""

    cell: str
    options: dict
    lengths: tuple[int, ...] | None = RAGGED
    bidirectional: bool = False
    resets: bool = True
    given: bool = False
    training: bool = True

    @property
    def counts(self) -> tuple[int, ...]:
        return self.lengths or (T,) * len(RAGGED)


def layer_of(case: Case) -> Recurrent:
    torch.manual_seed(3)
    layer = Recurrent(case.cell, I, H, bidirectional=case.bidirectional, dtype=torch.float64, **case.options)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("initial_"):
                parameter.normal_()
    return layer.train(case.training)


def both(case: Case, *, eagerly: bool = False) -> tuple[dict, dict]:
    """Results and gradients of the layer, and of the equations with the masks that the layer drew."""
    layer, names = layer_of(case), STEPS[case.cell][1]
    B, D = len(RAGGED), 1 + case.bidirectional
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    reset = torch.rand(T, B) < 0.3 if case.resets else None
    hx = {n: torch.randn(D, B, H, dtype=torch.float64, requires_grad=True) for n in names} if case.given else {}
    leaves = {"x": x, **{f"hx {n}": v for n, v in hx.items()}, **dict(layer.named_parameters())}
    with recorded() as masks, eager_only() if eagerly else engine(), nullcontext() if eagerly else poisoned():
        states = tuple(hx.values()) or None
        y, last = layer(x, states[0] if states and len(states) == 1 else states, lengths=case.lengths, reset=reset)
        lasts = dict(zip(names, last if isinstance(last, tuple) else (last,), strict=True))
        ours = outcome(y, lasts, leaves)
    found = [by_hand(case, layer, Sequences(x, case.counts, reset), hx, masks, d) for d in range(D)]
    y = torch.cat([part for part, _ in found], -1)
    return ours, outcome(y, {n: torch.stack([last[n] for _, last in found]) for n in names}, leaves)


def by_hand(case, layer, given, hx, masks, d):
    """One direction."""
    names, end = STEPS[case.cell][1], "_reverse" if d else ""
    tensors = {n.removesuffix("_reverse"): p for n, p in layer.named_parameters() if n.endswith("_reverse") == bool(d)}
    learned = "initial_h_l0" in tensors
    begin = {n: tensors[f"initial_{n}_l0"] if learned else torch.zeros(H, dtype=torch.float64) for n in names}
    first = {n: hx[n][d] if hx else begin[n].expand(len(given.lengths), H) for n in names}
    assert end or not d
    return direction(case.cell, tensors, given, first, begin, asked_of(case, masks, d), reverse=bool(d))


def asked_of(case: Case, masks: list[dict], d: int) -> Asked:
    names = STEPS[case.cell][1]
    own = {n: unsorted(m, case.counts, T) for n, m in masks[d].items()} if masks else {}
    rate, bound = case.options.get("zoneout", 0.0), case.options.get("state_clip")
    rates = rate if isinstance(rate, dict) else dict.fromkeys(names, rate)
    bounds = bound if isinstance(bound, dict) else dict.fromkeys(names, bound) if bound else {}
    drawn = case.training and any(rates.values())
    zoned = {n: own[f"zoneout_{n}"] for n in rates} if drawn else rates
    dropped = case.training and case.options.get("recurrent_dropout")
    return Asked(zoned, own["dropout_H"] if dropped else 1.0, bounds)


def outcome(y, lasts, leaves):
    weights = torch.Generator().manual_seed(5)
    outputs = {"y": y, **{f"last {n}": v for n, v in lasts.items()}}
    loss = sum((v * torch.randn(v.shape, generator=weights, dtype=v.dtype)).sum() for v in outputs.values())
    grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return {n: v.detach() for n, v in outputs.items()} | {f"d {n}": g for n, g in zip(leaves, grads, strict=True)}


@pytest.mark.parametrize("path", ["fused", "eager"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("asked", OPTIONS)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_options_are_their_equations(cell, asked, training, path):
    case = Case(cell, OPTIONS[asked], training=training)
    for other in (case, replace(case, bidirectional=True, given=True), replace(case, lengths=None, resets=False)):
        assert_equal(*both(other, eagerly=path == "eager"))


@pytest.mark.parametrize("path", ["fused", "eager"])
@pytest.mark.parametrize(
    "options", [{"zoneout": {"h": 0.2, "c": 0.6}}, {"zoneout": {"c": 0.5}}, {"state_clip": {"c": 0.2}}], ids=str
)
def test_options_of_single_states(options, path):
    for training in (True, False):
        assert_equal(*both(Case("lstm", options, training=training), eagerly=path == "eager"))


@pytest.mark.parametrize("path", ["fused", "eager"])
def test_a_reset_gate_before_the_product_acts_on_what_is_left_of_h(path):
    assert_equal(*both(Case("gru/before", OPTIONS["all"]), eagerly=path == "eager"))


# Planted bugs: each is small, and the comparison must find it


def mixing_before(graph, rates, *, drawn):
    """Zoneout that a step sees itself: h is made from the mixed c."""

    def change(rewriter, index, args):
        if index != graph.updates[1] or not drawn:
            return None
        old = rewriter.add(Node(Op.STATE, name="c", axis="H"))
        keeps = rewriter.mask("zoneout_c", "H", "step")
        return keeps * old + (1 - keeps) * rewriter.copy(graph.nodes[index], args)

    return Rewriter("reference", graph, change).finished()


def dropping_for_gates_only(graph):
    """Recurrent dropout that the candidate does not know of."""

    def change(rewriter, index, args):
        node = graph.nodes[index]
        if node.op is not Op.PRODUCT or node.matrix != "U" or node.name == "n":
            return None
        return rewriter.copy(node, [args[0] * rewriter.mask("dropout_H", "H", "sequence")])

    return Rewriter("reference", graph, change).finished()


BUGS = {
    "h from the mixed c": ("zoneout.zoneout", mixing_before, Case("lstm", {"zoneout": {"c": 0.5}})),
    "not dropped for n": (
        "recurrent_dropout.drop_recurrent",
        dropping_for_gates_only,
        Case("gru", OPTIONS["recurrent dropout"]),
    ),
    "clipped a little later": (
        "state_clip.clip",
        lambda graph, bounds: clip(graph, {n: b + 1e-9 for n, b in bounds.items()}),
        Case("gru", OPTIONS["clipped"]),
    ),
    "a reset that forgets c": (
        "learn_initial_state.restart",
        lambda graph: replace(restart(graph), updates=(restart(graph).updates[0],) * 2),
        Case("lstm", OPTIONS["learned"]),
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_the_comparison_finds_a_wrong_option(bug):
    name, wrong, case = BUGS[bug]
    options._rewritten.cache_clear()
    try:
        with mock.patch(f"tidegate.option.{name}", wrong), pytest.raises(AssertionError, match="off by"):
            assert_equal(*both(case, eagerly=True))
    finally:
        options._rewritten.cache_clear()


def test_the_comparison_finds_a_mask_in_the_wrong_row():
    draw = Options.masks

    def turned(self, *arguments, **how):
        return [mask.roll(1, 0) for mask in draw(self, *arguments, **how)]

    ours, _ = both(Case("gru", OPTIONS["zoneout"]), eagerly=True)
    with mock.patch.object(Options, "masks", turned):
        theirs, _ = both(Case("gru", OPTIONS["zoneout"]), eagerly=True)
    with pytest.raises(AssertionError, match="y off by"):
        assert_equal(ours, theirs)
