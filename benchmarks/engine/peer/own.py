"""Our own contestants: the layer, the layer forced to the eager path, and the streaming session."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from benchmarks.engine.item import Item
from benchmarks.engine.peer.module import HALF, fill, prepared, torch_type
from benchmarks.engine.peer.peer import Peer, Prepared
from benchmarks.engine.problem import Problem

import tidegate
from tidegate import runtime
from tidegate.nn import Recurrent


def layer_of(item: Item) -> Recurrent:
    """The public layer for an item, with weights of its own."""
    return item.layer(dtype=torch_type(item))


class Layer(Peer):
    """``tidegate.nn``, as a user calls it."""

    name = "tidegate"
    stacks = True
    products = HALF
    around: Callable[[], AbstractContextManager[Any]] = staticmethod(nullcontext)

    def supports(self, item: Item) -> str | None:  # noqa: ARG002  it does everything
        return None

    def prepare(self, problem: Problem) -> Prepared:
        layer = layer_of(problem.item)
        parameters = fill(layer, problem)
        if problem.lengths is None:
            return prepared(problem, layer, parameters, around=self.around)
        lengths = torch.tensor(problem.lengths)
        return prepared(problem, lambda x: layer(x, lengths=lengths), parameters, around=self.around)


class Eager(Layer):
    """The same layer by the eager definition: a loop over time in torch operations."""

    name = "tidegate eager"
    around = staticmethod(getattr(runtime, "eager_only", nullcontext))


class Frozen(Layer):
    """The same layer with its weights packed once: ``with tidegate.frozen(layer)``."""

    name = "tidegate frozen"

    def prepare(self, problem: Problem) -> Prepared:
        layer = layer_of(problem.item)
        return prepared(problem, layer, fill(layer, problem), around=lambda: tidegate.frozen(layer))


class Session(Peer):
    """The streaming session, which holds weights and state: ``step`` takes x as [B, I], ``run`` as [T, B, I]."""

    name = "tidegate session"
    stacks = True
    products = (*HALF, "int8")

    def supports(self, item: Item) -> str | None:
        return None if item.mode == "inference" and not item.ragged else "inference on full batches only"

    def prepare(self, problem: Problem) -> Prepared:
        item, layer = problem.item, layer_of(replace(problem.item, products=""))
        fill(layer, problem)
        weights = item.products or None
        session = tidegate.Session(layer, item.B, weights=weights, bidirectional=item.bidirectional)
        single = item.T == 1 and not item.bidirectional
        advance, x = (session.step if single else session.run), torch.from_numpy(problem.x[0] if single else problem.x)
        return Prepared(
            lambda: advance(x),
            lambda y: {"y": torch.as_tensor(y).detach().numpy().reshape(problem.upstream.shape)},
            torch.inference_mode,
        )
