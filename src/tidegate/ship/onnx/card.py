"""What a file says of itself: who wrote it, which cell it runs and how, its states, and a self-test."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tidegate._version import __version__
from tidegate.cell import Graph
from tidegate.cell.graph import ONE, all_widths
from tidegate.emit.equation import plain
from tidegate.errors import EmitError
from tidegate.nn import Recurrent
from tidegate.runtime import eager_only
from tidegate.ship.onnx.asked import Asked
from tidegate.ship.onnx.selftest import KEY, written
from tidegate.ship.statement import privacy_of

PRIVACY = "tidegate.privacy"
STEPS, SEQUENCES, LENGTHS = 4, 2, (4, 2)  # of a self-test


@dataclass(frozen=True)
class Place:
    """One state in one direction of one layer.

    Attributes:
        layer: from 0.
        direction: 0, or 1 for the reverse one.
        state: which of the states of the cell.
        name: of that state.
        width: of that state.
    """

    layer: int
    direction: int
    state: int
    name: str
    width: int

    def label(self, kind: str) -> str:
        """``state.0.h`` for an input, ``next.0.h`` for an output."""
        return f"{kind}.{self.layer}.{self.name}{'.reverse' if self.direction else ''}"


def places_of(layer: Recurrent) -> list[Place]:
    """All states of a layer, in the order of a model's inputs."""
    return [
        Place(k, direction, at, state.name, layer.cells[k].state_widths[at])
        for k in range(layer.num_layers)
        for direction in range(1 + layer.bidirectional)
        for at, state in enumerate(layer.graph.states)
    ]


def properties(layer: Recurrent, lowerings: Sequence[str], asked: Asked) -> dict[str, str]:
    """The metadata of a model of a layer."""
    states = [
        {"input": place.label("state"), "output": place.label("next"), "width": place.width}
        for place in places_of(layer)
    ]
    return {
        "tidegate.version": __version__,
        "tidegate.layer": str(layer),
        "tidegate.cell": layer.graph.name,
        "tidegate.graph_hash": layer.cells[0].graph.hash,
        "tidegate.equations": _equations(layer.cells[0].graph),
        "tidegate.kind": "step" if asked.step else "sequence",
        "tidegate.lowering": json.dumps(list(lowerings)),
        "tidegate.states": json.dumps(states),
        **promised([layer]),
        KEY: _test(layer, asked),
    }


def promised(layers: Iterable[Recurrent]) -> dict[str, str]:
    """The entry of the promise of privacy, if layers were trained under one."""
    promise = privacy_of(layers)
    return {PRIVACY: promise} if promise else {}


def _equations(graph: Graph) -> str:
    """The equations, or why they cannot be read."""
    try:
        return plain(graph)
    except EmitError as error:
        return error.message


def _test(layer: Recurrent, asked: Asked) -> str:
    """Drawn inputs, and what the equations answer in float64."""
    generator, steps = torch.Generator().manual_seed(0), 1 if asked.step else STEPS
    x = torch.randn(steps, SEQUENCES, layer.input_size, generator=generator)
    places = places_of(layer)
    drawn = [torch.rand(SEQUENCES, place.width, generator=generator) - 0.5 for place in places]
    inputs: dict[str, Any] = {"x": x, **{p.label("state"): state for p, state in zip(places, drawn, strict=True)}}
    also: dict[str, Any] = {}
    widths = all_widths(layer.cells[0].widths)
    given = {
        v.name: torch.rand(steps, SEQUENCES, *[widths[v.axis]] * (v.axis != ONE), generator=generator)
        for v in layer.graph.given
    }
    if given:
        inputs |= {f"given.{name}": value for name, value in given.items()}
        also["given"] = {name: value.double() for name, value in given.items()}
    if asked.takes_lengths:
        also["lengths"] = inputs["lengths"] = torch.tensor(LENGTHS)
    if asked.reset:
        also["reset"] = inputs["reset"] = torch.rand(steps, SEQUENCES, generator=generator) < 0.3
    exact = copy.deepcopy(layer).double().eval()
    exact.batch_first = False
    first = tuple(
        torch.stack([state for place, state in zip(places, drawn, strict=True) if place.state == k]).double()
        for k in range(len(layer.graph.states))
    )
    with torch.no_grad(), eager_only():
        y, last = exact(x.double(), first if len(first) > 1 else first[0], **also)
    ends = last if isinstance(last, tuple) else (last,)
    directions = 1 + layer.bidirectional
    outputs = {"y": y} | {p.label("next"): ends[p.state][p.layer * directions + p.direction] for p in places}
    for tensors in (inputs, outputs):
        for name in {"x", "y", "reset", *(f"given.{name}" for name in given)} & tensors.keys():
            tensors[name] = tensors[name][0] if asked.step else _turned(tensors[name], layer)
    return written(
        {name: value.numpy() for name, value in inputs.items()},
        {name: value.numpy().astype(np.float32) for name, value in outputs.items()},
    )


def _turned(value: torch.Tensor, layer: Recurrent) -> torch.Tensor:
    return value.transpose(0, 1) if layer.batch_first else value
