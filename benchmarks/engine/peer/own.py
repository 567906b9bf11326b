"""Our own contestants: the layer, the layer forced to the eager path, and the streaming session."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from benchmarks.engine.item import Item
from benchmarks.engine.peer.module import fill, prepared
from benchmarks.engine.peer.peer import Peer, Prepared
from benchmarks.engine.problem import Problem
from benchmarks.engine.record import ABSENT

from tidegate import runtime
from tidegate.nn import Recurrent


def layer_of(item: Item) -> Recurrent:
    """The public layer for an item, with weights of its own."""
    return item.layer(dtype=getattr(torch, item.dtype))


class Layer(Peer):
    """``tidegate.nn``, as a user calls it."""

    name = "tidegate"
    stacks = True
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


class Session(Peer):
    """The streaming session, which holds weights and state: ``step`` takes x as [B, I], ``run`` as [T, B, I]."""

    name = "tidegate session"

    def supports(self, item: Item) -> str | None:
        if session_class() is None:
            return ABSENT
        return None if item.mode == "inference" and not item.ragged else "inference on full batches only"

    def prepare(self, problem: Problem) -> Prepared:
        layer = layer_of(problem.item)
        fill(layer, problem)
        make = session_class()
        assert make is not None
        session = make(layer)
        single = problem.item.T == 1
        advance, x = (session.step if single else session.run), torch.from_numpy(problem.x[0] if single else problem.x)
        return Prepared(
            lambda: advance(x),
            lambda y: {"y": torch.as_tensor(y).detach().numpy().reshape(problem.upstream.shape)},
            torch.inference_mode,
        )


def session_class() -> Callable[[Recurrent], Any] | None:
    """``tidegate.Session``, once there is one."""
    found: Callable[[Recurrent], Any] | None = getattr(importlib.import_module("tidegate"), "Session", None)
    return found
