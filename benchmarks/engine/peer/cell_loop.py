"""Modules of one step, called in a loop, as programs do whose steps depend on what was done before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from benchmarks.engine.item import Item
from benchmarks.engine.peer.module import HALF, prepared, torch_type
from benchmarks.engine.peer.peer import Peer, Prepared
from benchmarks.engine.problem import Problem

from tidegate import nn
from tidegate.cell.parameter import step_attribute


class Cells(Peer):
    """``tidegate.nn``'s modules of one step."""

    name = "tidegate cells"
    kinds: Mapping[str, Callable[..., torch.nn.Module]] = MappingProxyType(
        {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}
    )
    products = HALF

    def supports(self, item: Item) -> str | None:
        if item.cell not in self.kinds or item.proj:
            return "no such cell"
        return "no lengths" if item.ragged else None

    def prepare(self, problem: Problem) -> Prepared:
        item = problem.item
        cell = self.kinds[item.cell](item.I, item.H, dtype=torch_type(item))
        names = {name: step_attribute(name) for name in problem.weights}
        cell.load_state_dict({names[name]: torch.from_numpy(value) for name, value in problem.weights.items()})
        alone = len(item.graph.states) == 1

        def loop(x: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
            states: Any = tuple(x.new_zeros(item.B, item.H) for _ in item.graph.states)
            y = []
            for step in x.unbind():
                states = (cell(step, *states),) if alone else cell(step, states)
                y.append(states[0])
            return torch.stack(y), tuple(state[None] for state in states)

        return prepared(problem, loop, {name: cell.get_parameter(own) for name, own in names.items()})


class TorchCells(Cells):
    """``torch.nn``'s modules of one step."""

    name = "torch cells"
    kinds = MappingProxyType({"rnn": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell})
