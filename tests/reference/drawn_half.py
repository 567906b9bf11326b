"""Layers drawn at random whose products are of fewer bits, step by step against the equations of ``layers``.

What is drawn is what ``drawn`` draws, in float32. The whole call is run as it was drawn, in both directions at once,
with its memory and frozen parameters. It must have the bits of the runs that ``stepping`` then takes apart, and the
same layer in half precision must have these bits, rounded once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any
from unittest import mock

import torch
from torch import Tensor

import tidegate.nn.draw
from tests.backend.choices import choices
from tests.backend.tiles import names, tiles
from tests.reference import drawn, stepping
from tests.reference.drawn import EVERY, Drawn, Problem, asked
from tests.reference.half import FORMATS
from tests.reference.half_zoo import TYPES, multiplying
from tests.reference.layers import Asked, Sequences, Tensors, direction
from tests.reference.stepping import Call, Results, States
from tidegate.errors import TidegateError
from tidegate.runtime import eager_only
from tidegate.runtime.library import load

SEQUENCES, UNITS, STEPS = 40, 130, 24  # more are cut off: each step is a run of the layer


def configured(seed: int, *, options: bool = True) -> Drawn:
    """The configuration of a seed; of the largest ones a part.

    Float64 says nothing of a variance that float32 does not hold, as huge numbers have under layer norm; of a NaN in
    the input, which comes back through both directions, where one is examined; of a state that shut gates keep at its
    bound, where the last bit decides the gradient.
    """
    found = drawn.draw(seed, options=options)
    lost = {"huge": "layer_norm" in found.options, "nan": found.both}
    special = "" if lost.get(found.special) else found.special
    kept = {name: value for name, value in found.options.items() if found.scale <= 1 or name != "state_clip"}
    T, B = min(found.T, STEPS), min(found.B, SEQUENCES)
    heads = found.heads if found.H <= UNITS else 1
    lengths = tuple(min(n, T) for n in found.lengths[:B])
    return replace(
        found,
        dtype=torch.float32,
        special=special,
        options=kept,
        T=T,
        B=B,
        H=min(found.H, UNITS),
        lengths=lengths,
        heads=heads,
    )


@dataclass(frozen=True)
class Drawing:
    """The masks that a layer drew in a call, and which part of each a call of some of its steps draws.

    Attributes:
        masks: in the order in which they are drawn.
        by_step: whether each is one of all steps.
        steps: of the whole call, and how many sequences it has.
    """

    masks: tuple[Tensor, ...]
    by_step: tuple[bool, ...]
    steps: tuple[int, int]

    @staticmethod
    def of(drawn: Drawn, masks: list[Tensor]) -> Drawing:
        options = drawn.options if drawn.training else {}
        zoneout = (True,) * len(EVERY[drawn.cell][1]) if "zoneout" in options else ()
        own = (False,) * ("weight_dropout" in options) + zoneout + (False,) * ("recurrent_dropout" in options)
        kinds = (False,) * ("input_dropout" in options) + own * (1 + drawn.both)
        assert len(kinds) == len(masks), "the masks of another order of options"
        return Drawing(tuple(masks), kinds, (drawn.T, drawn.B))

    @contextmanager
    def again(self, begin: int, count: int) -> Iterator[None]:
        """In here a layer draws what belongs to these steps."""
        left = iter(zip(self.masks, self.by_step, strict=True))

        def part(*_: Any) -> Tensor:
            mask, by_step = next(left)
            if by_step:
                mask = mask.unflatten(0, self.steps)[begin : begin + count].flatten(0, 1)
            return (mask != 0).to(mask)  # before it is scaled

        with mock.patch.object(tidegate.nn.draw, "bernoulli", part):
            yield


@dataclass(frozen=True)
class Side:
    """One direction of a drawn layer."""

    drawn: Drawn
    problem: Problem
    drawing: Drawing
    reverse: bool

    @property
    def suffix(self) -> str:
        return "_l0_reverse" if self.reverse else "_l0"

    def own(self, parameters: Tensors) -> Tensors:
        """Those of this direction, by the names of the first."""
        return {n.removesuffix(self.suffix) + "_l0": p for n, p in parameters.items() if n.endswith(self.suffix)}

    def call(self) -> Call:
        drawn, tensors, parameters = (
            self.drawn,
            self.problem.tensors,
            self.own(dict(self.problem.layer.named_parameters())),
        )
        d, H, names = int(self.reverse), drawn.H, EVERY[drawn.cell][1]
        first = tuple(tensors[f"state {n}"][d] for n in names)
        if not drawn.given:
            begun = [parameters.get(f"initial_{n}_l0", torch.zeros(H)).detach() for n in names]
            first = tuple(value.expand(drawn.B, H).contiguous() for value in begun)
        beside = {name: tensors[name] for name in ("dt", "m") if name in tensors}
        dlast = tuple(tensors[f"d last {n}"][d] for n in names)
        dy = tensors["dy"][..., d * H : (d + 1) * H]
        return Call(tensors["x"], drawn.lengths, first, dy, dlast, self.problem.reset, beside)

    def layer(self, products: str) -> stepping.Layer:
        """The layer in all its directions, of which this one is shown."""
        layer, D, d, H = self.problem.layer, 1 + self.drawn.both, int(self.reverse), self.drawn.H

        def wide(state: Tensor) -> Tensor:
            return torch.stack([state if k == d else torch.zeros_like(state) for k in range(D)])

        def run(call: Call) -> Results:
            x, first = call.x.clone().requires_grad_(), [state.clone().requires_grad_() for state in call.first]
            how: dict[str, Any] = {} if self.drawn.layout == "full" else {"lengths": list(call.lengths)}
            how |= {} if call.reset is None else {"reset": call.reset}
            how |= {"given": dict(call.given)} if call.given else {}
            hx = tuple(map(wide, first))
            with multiplying(products), self.drawing.again(call.begin, len(x)):
                y, last = layer(x, hx[0] if len(hx) == 1 else hx, **how)
            last = (last,) if len(hx) == 1 else last
            own = self.own(dict(layer.named_parameters()))
            wanted = [x, *first, *own.values()]
            mine = [y[..., d * H : (d + 1) * H], *(state[d] for state in last)]
            found = torch.autograd.grad(mine, wanted, [call.dy, *call.dlast], allow_unused=True)
            grads = [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]
            split, results = 1 + len(first), [value.detach() for value in mine]
            parameters = dict(zip(own, grads[split:], strict=True))
            return Results(results[0], tuple(results[1:]), grads[0], tuple(grads[1:split]), parameters)

        return run

    def step(self) -> stepping.Step:
        """A step of the equations."""
        drawn, names = self.drawn, EVERY[self.drawn.cell][1]
        left = iter(self.drawing.masks)
        entry = next(left) if "input_dropout" in drawn.options and drawn.training else None
        every = [asked(drawn, left) for _ in range(1 + drawn.both)][int(self.reverse)]
        reset, tensors = self.problem.reset, self.problem.tensors
        beside = {name: tensors[name] for name in ("dt", "m") if name in tensors}

        def step(own: Tensors, t: int, rows: Tensor, x: Tensor, old: States) -> States:
            read = x if entry is None else x * entry[rows].to(x)
            anew = None if reset is None else reset[t, rows][None]
            given = Sequences(
                read[None], (1,) * len(rows), anew, {n: value[t, rows][None].to(x) for n, value in beside.items()}
            )
            own_asked = _at(every, (drawn.T, drawn.B), t, rows, x)
            _, new = direction(drawn.cell, own, given, dict(zip(names, old, strict=True)), own_asked)
            return tuple(new[name] for name in names)

        return step


def _at(every: Asked, steps: tuple[int, int], t: int, rows: Tensor, like: Tensor) -> Asked:
    """The options at one step of some sequences."""
    zoneout = {
        name: mask.unflatten(0, steps)[t, rows].to(like) if isinstance(mask, Tensor) else mask
        for name, mask in every.zoneout.items()
    }
    drop = None if every.drop is None else every.drop[rows].to(like)
    return replace(every, zoneout=zoneout, drop=drop, weights=None if every.weights is None else every.weights.to(like))


def unlike(side: Side, whole: Tensors, own: Results) -> list[str]:
    """Results of the call as it was drawn that have not the bits of a run of one direction.

    A PackedSequence has sequences of one length in an order of its own, in which gradients of parameters are summed.
    """
    d, H = int(side.reverse), side.drawn.H
    pairs = {"y": (whole["y"][..., d * H : (d + 1) * H], own.y)}
    pairs |= {f"last {n}": (whole[f"last {n}"][d], v) for n, v in zip(EVERY[side.drawn.cell][1], own.last, strict=True)}
    for name, value in own.parameters.items() if side.drawn.layout != "packed" else ():
        full = f"d {name.removesuffix('_l0')}{side.suffix}"
        if full in whole and (side.drawn.given or "initial" not in name):
            pairs[full] = whole[full], value
    return [name for name, (a, b) in pairs.items() if not stepping.same(a.detach(), b.detach())]


def in_half(drawn_: Drawn, problem: Problem, products: str) -> list[str]:
    """What differs if the layer and the tensors have the type of the products: only results are rounded, once."""
    to = TYPES[products]
    if load().tuning.unpacked_rows >= drawn_.T * drawn_.B or (
        drawn_.resets and "learn_initial_state" in drawn_.options
    ):
        return []  # sums of another order; a parameter with two gradients, each of them rounded
    layer = deepcopy(problem.layer)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(parameter.to(to))
    wide = Problem(layer, {name: value.to(to).float() for name, value in problem.tensors.items()}, problem.reset)
    with multiplying(products):
        right, _ = drawn.by_layer(drawn_, wide)
    narrow = Problem(deepcopy(layer).to(to), {n: value.to(to) for n, value in wide.tensors.items()}, problem.reset)
    ours, _ = drawn.by_layer(drawn_, narrow)
    if ours.keys() != right.keys():
        return [f"gradients of {sorted(ours.keys() ^ right.keys())} in half precision"]
    unlike = [n for n, value in right.items() if not stepping.same(value.detach().to(to), ours[n].detach())]
    return [f"other bits of {name} in half precision" for name in unlike]


@contextmanager
def chosen(seed: int, products: str) -> Iterator[None]:
    """In here a layer runs with tiles, and shares its work, as the seed says, however little there is to do.

    Matrices are always packed or never, so that runs of some steps alone have the bits of the whole.
    """
    r = Random(f"half {seed}")
    some: tuple[dict[str, int], ...] = ({}, {"thread_work": 1, "meeting_work": 1}, {"thread_work": 1})
    stored = r.choice([{"unpacked_rows": 0, "across_tiles": 0}, {"unpacked_rows": 0}, {"unpacked_rows": 10**6}])
    with choices(**r.choice(some), **stored), tiles(r.choice(names())) if products == "bfloat16" else nullcontext():
        yield


def judge(seed: int, products: str, *, options: bool = True, path: str = "fused") -> tuple[str, str]:
    """``right``, ``error`` or ``different``, and what was found."""
    with chosen(seed, products):
        return _judge(seed, products, options=options, path=path)


def _judge(seed: int, products: str, *, options: bool, path: str) -> tuple[str, str]:
    drawn_ = configured(seed, options=options)
    problem = drawn.problem_of(drawn_)
    problem.layer.autocast_keeps_dtype = True
    try:
        with multiplying(products):
            whole, masks = drawn.by_layer(drawn_, problem)
    except TidegateError as error:
        return "error", str(error)
    if not problem.layer.last_path.startswith(path):
        return "different", f"ran {problem.layer.last_path}"
    if not drawn_.B:
        return ("right", "") if not any(value.any() for value in whole.values()) else ("different", "not zero")
    found = in_half(drawn_, problem, products) if path == "fused" else []
    for parameter in problem.layer.parameters():
        parameter.requires_grad_()
    drawing, steps, draws = Drawing.of(drawn_, masks), 0, 0
    for reverse in (False, True)[: 1 + drawn_.both]:
        side = Side(drawn_, problem, drawing, reverse)
        layer, call, own = side.layer(products), side.call(), side.own(dict(problem.layer.named_parameters()))
        if path == "fused":  # torch's own products have other bits for other shapes
            found += [f"other bits of {name}" for name in unlike(side, whole, layer(call))]
        verdict = stepping.compare(call, layer, side.step(), own, FORMATS[products], reverse=reverse)
        steps, draws = steps + verdict.steps, draws + verdict.draws
        if not verdict.share <= 1:
            found.append(f"{verdict.where} is off by {verdict.share:.3g} times what is allowed")
    numbers = f"{steps} rows of steps, {draws} by other decisions"
    return ("different", "; ".join([*found, numbers])) if found else ("right", numbers)


def main(products: str, path: str, *seeds: str) -> None:
    """Judge each seed; ``path`` is ``fused`` or ``eager``."""
    with eager_only() if path == "eager" else nullcontext():
        drawn.main(map(int, seeds), partial(judge, products=products, path=path))


if __name__ == "__main__":
    main(*sys.argv[1:])
