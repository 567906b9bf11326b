"""``torch.compile`` of torch's own ``scan`` over the cell's graph. Its first call takes most of a minute."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from benchmarks.engine.item import Item
from benchmarks.engine.peer.module import prepared
from benchmarks.engine.peer.peer import Peer, Prepared
from benchmarks.engine.peer.unroll import Step
from benchmarks.engine.problem import Problem

from tidegate.runtime import TENSORS

LIKE_NUMPY = SimpleNamespace(concatenate=torch.cat, split=torch.tensor_split, zeros_like=torch.zeros_like)


class CompiledScan(Peer):
    """Inference alone: torch 2.13 cannot compile the backward pass of a scan."""

    name = "compiled scan"

    def supports(self, item: Item) -> str | None:
        if item.ragged:
            return "no ragged batches"
        return None if item.mode == "inference" else "its backward pass does not compile"

    def prepare(self, problem: Problem) -> Prepared:
        from torch._higher_order_ops.scan import scan  # slow to load, and where torch keeps it

        item = problem.item
        weights = {name: torch.from_numpy(value) for name, value in problem.weights.items()}

        step = Step(item.graph, weights, item.widths, TENSORS, LIKE_NUMPY)

        def layer(x: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
            def advance(
                states: tuple[torch.Tensor, ...], inputs: tuple[torch.Tensor, ...]
            ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
                new = step(states, inputs)
                return new, new[0].clone()  # scan wants results that share no memory

            initial = tuple(x.new_zeros(item.B, item.widths[state.axis]) for state in item.graph.states)
            final, y = scan(advance, initial, step.inputs(x))
            return y, tuple(state[None] for state in final)

        return prepared(problem, torch.compile(layer, fullgraph=True), {})
