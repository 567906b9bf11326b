"""Units of layers held at a value while the model runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tidegate.cell import Graph, Mask
from tidegate.cell.parameter import attribute
from tidegate.errors import InputError, did_you_mean
from tidegate.explain.arguments import Answer, Arguments, answers
from tidegate.explain.probe import Probe, captured
from tidegate.nn import Recurrent
from tidegate.nn.draw import RandomNumbers
from tidegate.option import Options
from tidegate.option.kind import Pass
from tidegate.option.options import Source
from tidegate.passes.hold import FREE, HELD, hold

Found = tuple[tuple[str, str, int], Tensor]  # the name, layer and index of a part, and the loss without it


@dataclass(frozen=True)
class Work:
    """A model, the arguments of its call, and the loss."""

    probed: Probe
    arguments: Arguments
    of_output: Answer

    def loss(self, arguments: Arguments | None = None) -> Tensor:
        """[B], or [1] of a loss that is one number."""
        arguments = arguments or self.arguments
        with torch.no_grad():
            return answers(self.of_output, arguments.run(self.probed.model), arguments).reshape(-1)


class Held(Options):
    """The options of a layer, and units of its output state that are held.

    Args:
        options: of the layer.
        axis: of its output state.
        runs: layers of the stack times directions.
        width: of the output state.

    Attributes:
        free: [runs, width] 1 for units that run as they are, 0 for those that are held.
        held: [runs, width] the values of those, 0 for the others.
    """

    def __init__(self, options: Options, axis: str, runs: int, width: int) -> None:
        super().__init__(**{name: dict(value) if isinstance(value, tuple) else value for name, value in options.chosen})
        self.run_differently = True
        self.free = torch.ones(runs, width, dtype=torch.float64)
        self.held = torch.zeros(runs, width, dtype=torch.float64)
        self._axis, self._run = axis, 0

    def hold(self, run: int, unit: int, value: float) -> None:
        """Hold a unit at a value."""
        self.free[run, unit], self.held[run, unit] = 0.0, value

    def let_go(self) -> None:
        """Let all units run as they are."""
        self.free.fill_(1.0)
        self.held.zero_()
        self._run = 0

    def define(self, graph: Graph) -> Graph:
        """The cell of the layer, which is defined already."""
        return graph

    def rewrite(self, graph: Graph, *, training: bool, resets: bool) -> Graph:
        """The cell that runs, with two more masks."""
        return hold(super().rewrite(graph, training=training, resets=resets))

    def sources(self, graph: Graph, *, training: bool, resets: bool) -> tuple[Source, ...]:
        """What draws the masks; the last two are ours."""
        own = (Source(Mask(name, self._axis, "sequence"), Pass(), None) for name in (FREE, HELD))
        return (*super().sources(graph, training=training, resets=resets), *own)

    def masks(self, sources: Sequence[Source], draws: RandomNumbers) -> list[Tensor]:  # type: ignore[override]
        """The masks of one direction of a layer; a call asks for those of all its runs, in their order."""
        run, self._run = self._run, (self._run + 1) % len(self.free)
        own = (values[run].to(draws.like.dtype).expand(draws.sequences.size, -1) for values in (self.free, self.held))
        return [*super().masks(sources[:-2], draws), *own]


@contextmanager
def holding(layer: Recurrent) -> Iterator[Held]:
    """Inside this block units of a layer can be held."""
    before = vars(layer).copy()
    runs = layer.num_layers * (1 + layer.bidirectional)
    held = Held(layer.options, layer.graph.output.axis, runs, layer.cells[0].output_width)
    layer.options = held
    layer.set_cell(layer.graph)
    try:
        yield held
    finally:
        vars(layer).clear()
        vars(layer).update(before)


def units(work: Work, only: Sequence[Any] | None, *, together: bool) -> list[Found]:
    """The loss with units held at their means.

    Args:
        work: what runs.
        only: pairs of a layer and a unit; None for all units.
        together: hold all of them at once.

    Raises:
        InputError: ``only`` names a unit that there is not.
    """
    means = _means(work)
    every = [(name, unit) for name, mean in means.items() for unit in range(len(mean.values))]
    chosen = every if only is None else [_checked(one, means) for one in only]
    found = []
    with ExitStack() as stack:
        layers = {mean.path: work.probed.layers[mean.path] for mean in means.values()}
        holders = {path: stack.enter_context(holding(layer)) for path, layer in layers.items()}
        for group in groups(chosen, together=together):
            for holder in holders.values():
                holder.let_go()
            for name, unit in group:
                mean = means[name]
                holders[mean.path].hold(mean.run, unit, mean.values[unit].item())
            label = ", ".join(f"{name}[{unit}]" for name, unit in group)
            found.append(((label, *group[0]), work.loss()))
    return found


def groups(chosen: Sequence[Any], *, together: bool) -> list[list[Any]]:
    """What is taken away at once: all of the chosen parts, or each by itself."""
    return [[*chosen]] if together and chosen else [[one] for one in chosen]


class Mean(NamedTuple):
    """The means of the units of one layer and direction.

    Attributes:
        path: of the layer in the model.
        run: its number in the stack, directions counted.
        values: of each unit.
    """

    path: str
    run: int
    values: Tensor


def _means(work: Work) -> dict[str, Mean]:
    """By the name of each layer and direction."""
    traces: dict[str, list[dict[str, Tensor]]] = {}
    with torch.no_grad():
        _, calls = captured(work.probed, *work.arguments.values, **work.arguments.keywords())
    for call in calls:
        traces.setdefault(call.name, []).append(call.trace)
    means = {}
    for path, own in traces.items():
        layer = work.probed.layers[path]
        directions = (False, True)[: 1 + layer.bidirectional]
        for run, (k, reverse) in enumerate(product(range(layer.num_layers), directions)):
            value = attribute(layer.graph.output.name, k, reverse=reverse)
            series = torch.cat([trace[value].flatten(0, 1) for trace in own])
            means[f"{path}.l{k}{'_reverse' * reverse}"] = Mean(path, run, series.nanmean(0))
    return means


def _checked(one: Any, means: Mapping[str, Mean]) -> tuple[str, int]:
    name, unit = one if isinstance(one, (tuple, list)) and len(one) == 2 else (one, None)
    if name not in means or not isinstance(unit, int) or not 0 <= unit < len(means[name].values):
        near = did_you_mean(name, means) if isinstance(name, str) and name not in means else ""
        raise InputError(
            "EXPLAIN_UNIT",
            f"there is no unit {one!r:.60}{near}",
            fix=f"pass a pair of {', '.join(f'{known} (0 to {len(m.values) - 1})' for known, m in means.items()):.200}",
        )
    return name, unit
