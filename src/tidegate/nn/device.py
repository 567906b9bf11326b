"""Layers on other devices than the CPU: by torch's own functions, cuDNN's among them, where torch has the cell.

The engine runs on the CPU. Elsewhere the definition takes a handful of operations for each step, where one call of
torch's function runs all steps of all layers. What torch's functions lack is laid out for them: sequences of different
lengths as a PackedSequence holds them, sequences of no steps set aside, and the steps between two resets as sequences
of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import _VF, Tensor

from tidegate import zoo
from tidegate.cell import Graph
from tidegate.nn.twin import PLAIN
from tidegate.passes import project
from tidegate.runtime import Obstacle, Rows, SizedCell, Steps, asked_for_eager, transform, watching

Tensors = tuple[Tensor, ...]


class Shape(NamedTuple):
    """Of a stack that one call of torch's function runs.

    Attributes:
        layers: how many there are.
        directions: 1 or 2.
        dropout: the share of the output of each layer but the last that is dropped.
    """

    layers: int
    directions: int
    dropout: float = 0.0


def torch_mode(graph: Graph) -> str | None:
    """What torch.nn calls this cell as ``mode`` of a layer; None for a cell that it does not have."""
    return _modes().get(graph)


def is_elsewhere(x: Tensor) -> bool:
    """Whether a tensor lies on another device than the engine runs on."""
    return not x.is_cpu


def obstacle(graph: Graph, x: Tensor, first: Tensors | None, tensors: Sequence[Tensor]) -> Obstacle | None:
    """Why the engine does not run a layer that torch's own function runs; None where torch's function does not.

    That runs the cells it has, on plain tensors on one other device, outside of torch's transforms. It leaves no
    adjoints.
    """
    if not is_elsewhere(x) or torch_mode(graph) is None or asked_for_eager() or transform() or watching():
        return None
    every = (x, *(first or ()), *tensors)
    plain = all(type(tensor) in PLAIN and tensor.device == x.device for tensor in every)
    if not plain or not x.is_floating_point() or not (_alike(every) or _is_cast(x.device.type)):
        return None
    return Obstacle(f"device is {x.device.type}", way="torch")


def _alike(tensors: Sequence[Tensor]) -> bool:
    return all(tensor.dtype == tensors[0].dtype for tensor in tensors)


def _is_cast(kind: str) -> bool:
    """Whether torch brings tensors on this kind of device to one type."""
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def run(
    cell: SizedCell, rows: Rows, sequences: int, first: Tensors | None, tensors: Sequence[Tensor], shape: Shape
) -> Tensors:
    """Run a stack by torch's function.

    Args:
        cell: that of the first layer, which torch has.
        rows: the input sequences.
        sequences: how many there are, those of length zero included (B).
        first: for each state [layers * directions, B, width]; None for zeros.
        tensors: the parameters of each layer and direction, one after the other.
        shape: of the stack; with resets in two directions it has one layer.

    Returns:
        The output, laid out as ``rows.data``, and the last states, as ``first``.
    """
    graph, widths = cell.graph, cell.state_widths
    if first is None:
        runs = shape.layers * shape.directions
        first = tuple(rows.data.new_zeros(runs, sequences, width) for width in widths)
    if not rows.steps.rows:
        return rows.data.new_zeros((*rows.data.shape[:-1], shape.directions * widths[0])), *first
    if rows.resets is None:
        return _run(graph, rows, first, tensors, shape)
    own = len(tensors) // shape.directions
    alone = shape._replace(directions=1)
    each = []
    for d in range(shape.directions):
        begun = tuple(state[d :: shape.directions] for state in first)
        each.append(_run_pieces(graph, rows, begun, tensors[d * own : (d + 1) * own], alone, d))
    output, *last = zip(*each, strict=True)
    return torch.cat(output, -1), *map(torch.cat, last)


def _run(graph: Graph, rows: Rows, first: Tensors, tensors: Sequence[Tensor], shape: Shape) -> Tensors:
    """Without resets. torch's functions know no sequence without a step: its states stay what they are."""
    widest = rows.steps.widest
    given = [state[:, :widest].contiguous() for state in first]
    hx: Any = given if len(given) == 2 else given[0]
    learns = torch.is_grad_enabled() and any(t.requires_grad for t in (rows.data, *first, *tensors))
    # cuDNN differentiates only a run that it takes for training.
    told = (graph.matrices[0].has_bias, shape.layers, shape.dropout, shape.dropout > 0 or learns, shape.directions == 2)
    function = getattr(_VF, _modes()[graph].lower())
    if rows.data.dim() == 3:
        batch_first = False
        output, *last = function(rows.data, hx, tensors, *told, batch_first)
    else:
        output, *last = function(rows.data, torch.from_numpy(rows.steps.sizes), hx, tensors, *told)
    if widest < first[0].shape[1]:
        last = [torch.cat([end, state[:, widest:]], 1) for end, state in zip(last, first, strict=True)]
    return output, *last


def _run_pieces(
    graph: Graph, rows: Rows, first: Tensors, tensors: Sequence[Tensor], shape: Shape, reverse: int
) -> Tensors:
    """In one direction, with resets: the steps between two of them are a sequence of their own, begun at zeros."""
    assert rows.resets is not None
    sequences, device = first[0].shape[1], rows.data.device
    pieces = Pieces.between(rows.steps, rows.resets.numpy(force=True), sequences, reverse=bool(reverse))
    order, back, begins, ends = (torch.from_numpy(index).to(device) for index in pieces[1:])
    given = tuple(torch.cat([state, state.new_zeros(len(state), 1, state.shape[2])], 1)[:, begins] for state in first)
    cut = Rows(rows.data.flatten(0, -2)[order], pieces.steps)
    output, *last = _run(graph, cut, given, tensors, shape)
    ended = (torch.cat([end, state], 1)[:, ends] for end, state in zip(last, first, strict=True))
    return output[back].unflatten(0, rows.data.shape[:-1]), *ended


class Pieces(NamedTuple):
    """Sequences cut at their resets, longest piece first.

    Attributes:
        steps: of the pieces.
        order: for each row of the pieces, the row that it was.
        back: the inverse.
        begins: for each piece the sequence whose first states it has; their number where it begins at zeros.
        ends: for each sequence its last piece; the number of pieces and its own where it has no step.
    """

    steps: Steps
    order: NDArray[np.int64]
    back: NDArray[np.int64]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]

    @staticmethod
    def between(steps: Steps, resets: NDArray[np.bool_], sequences: int, *, reverse: bool) -> Pieces:
        """Cut sequences before each row that is marked, in the order in which they run."""
        time = np.repeat(np.arange(steps.count), steps.sizes)
        sequence = np.arange(steps.rows) - steps.offsets[time]
        running = np.lexsort((-time if reverse else time, sequence))  # sequence by sequence
        fresh = np.diff(sequence[running], prepend=-1) != 0
        starts = np.flatnonzero(fresh | resets[running])
        lengths = np.diff(starts, append=steps.rows)
        place = np.argsort(np.argsort(-lengths, kind="stable"), kind="stable")  # of each piece, longest first
        piece = np.repeat(np.arange(len(starts)), lengths)
        since = np.arange(steps.rows) - starts[piece]
        order = running[np.lexsort((place[piece], since))]
        begins, ends = np.empty(len(starts), np.int64), len(starts) + np.arange(sequences)
        owner = sequence[running[starts]]
        begins[place] = np.where(fresh[starts] & ~resets[running[starts]], owner, sequences)
        ends[owner] = place  # of several pieces the last one stays
        return Pieces(Steps(np.bincount(since)), order, np.argsort(order), begins, ends)


@cache
def _modes() -> dict[Graph, str]:
    """Torch's name of each cell that it has; its function has the same in small letters."""
    modes = {
        zoo.LSTM.graph: "LSTM",
        project(zoo.LSTM.graph): "LSTM",
        zoo.GRU.variant(reset="after", update="keep").graph: "GRU",
        zoo.RNN.variant(nonlinearity="tanh").graph: "RNN_TANH",
        zoo.RNN.variant(nonlinearity="relu").graph: "RNN_RELU",
    }
    return modes | {graph.without_bias(): mode for graph, mode in modes.items()}
