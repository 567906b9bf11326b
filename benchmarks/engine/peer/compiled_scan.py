"""``torch.compile`` of torch's own scans over the cell's graph. Their first calls take most of a minute."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from benchmarks.engine.item import Item
from benchmarks.engine.peer.module import prepared
from benchmarks.engine.peer.peer import Peer, Prepared
from benchmarks.engine.peer.unroll import Step, affine, combined
from benchmarks.engine.problem import Problem

from tidegate.passes.recurrence import runs_unit_by_unit
from tidegate.runtime import TENSORS

LIKE_NUMPY = SimpleNamespace(concatenate=torch.cat, split=torch.tensor_split, zeros_like=torch.zeros_like)
Result = tuple[torch.Tensor, tuple[torch.Tensor, ...]]


class CompiledScan(Peer):
    """Training only where the loop holds no weights: torch 2.13 cannot compile the backward pass of others."""

    name = "compiled scan"

    def supports(self, item: Item) -> str | None:
        if item.ragged:
            return "no ragged batches"
        able = item.mode == "inference" or runs_unit_by_unit(item.graph)
        return None if able else "its backward pass does not compile"

    def prepare(self, problem: Problem) -> Prepared:
        item = problem.item
        weights = {name: torch.from_numpy(value) for name, value in problem.weights.items()}
        if item.mode == "inference":
            step = _step(item, weights)
            return prepared(problem, torch.compile(lambda x: self.layer(item, step, x), fullgraph=True), {})
        for weight in weights.values():
            weight.requires_grad_()
        run = torch.compile(lambda x: self.layer(item, _step(item, weights), x), fullgraph=True)
        return prepared(problem, run, weights)

    def layer(self, item: Item, step: Step, x: torch.Tensor) -> Result:
        """Output [T, B, ...] and final states."""
        from torch._higher_order_ops.scan import scan  # slow to load, and where torch keeps it

        sums = affine(item.graph)

        def advance(states: tuple[torch.Tensor, ...], inputs: tuple[torch.Tensor, ...]) -> tuple[Any, torch.Tensor]:
            new = (inputs[0] * states[0] + inputs[1],) if sums else step(states, inputs)
            return new, new[0].clone()  # scan wants results that share no memory

        initial = tuple(x.new_zeros(item.B, item.widths[state.axis]) for state in item.graph.states)
        final, y = scan(advance, initial, _sums(item, step, x) if sums else step.inputs(x))
        states = final if isinstance(final, tuple) else (final,)
        return y, tuple(state[None] for state in states)


class CompiledAssociative(CompiledScan):
    """A scan by halves, of cells whose state is a sum and a product: steps a h + b are combined in pairs."""

    name = "compiled associative_scan"

    def supports(self, item: Item) -> str | None:
        return super().supports(item) or (None if affine(item.graph) else "its state is no sum and product")

    def layer(self, item: Item, step: Step, x: torch.Tensor) -> Result:
        from torch._higher_order_ops.associative_scan import associative_scan  # as above

        _, y = associative_scan(combined, _sums(item, step, x), 0, combine_mode="generic")
        return y, (y[-1:],)


def _step(item: Item, weights: Mapping[str, torch.Tensor]) -> Step:
    return Step(item.graph, weights, item.widths, TENSORS, LIKE_NUMPY)


def _sums(item: Item, step: Step, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """a and b of the steps a h + b, of all at once: from their values where h is zero and one."""
    inputs, old = step.inputs(x), x.new_zeros(item.T, item.B, item.H)
    b, both = (step((h,), inputs)[0] for h in (old, old + 1))
    return both - b, b
