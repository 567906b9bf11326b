"""One layer of a network, in one or two directions, by the fastest path that applies."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tidegate.runtime import fused
from tidegate.runtime.call import Forward, Gradients, backward, forward
from tidegate.runtime.job import Job, Tensors
from tidegate.runtime.path import ASKED, Obstacle, asked_for_eager, check_strict
from tidegate.runtime.rows import Rows
from tidegate.runtime.shape import check_shapes
from tidegate.runtime.sized import SizedCell
from tidegate.runtime.watch import refuse_watched

OPERATOR = Obstacle("torch compiles or transforms the layer", "call it outside of what is compiled or transformed")


def run_layer(
    cell: SizedCell,
    rows: Rows,
    sequences: int,
    first: Tensors | None,
    parameters: Sequence[torch.Tensor],
    *,
    layer: int | None = None,
    half_output: bool = False,
) -> tuple[Obstacle | None, Tensors]:
    """Run a cell over sequences, forward and perhaps also backward in time.

    The engine runs plain CPU tensors of float32 or float64, and where the cell multiplies in bfloat16 or float16 input
    and parameters of that type beside float32, outside of torch's transforms, compilers and autocast. Everything else
    runs eagerly, with the same results.

    Args:
        cell: with its widths.
        rows: the input sequences.
        sequences: how many there are, those of length zero included (B).
        first: for each state [directions, B, width]; None for zeros.
        parameters: what is given, and masks, as ``cell.names`` orders them; those of the first direction, then
            those of the second if there is one. What is given, and a mask of each step, is laid out as ``rows.data``,
            other masks have a row for each sequence.
        layer: its number in a stack, for the names of parameters in errors.
        half_output: the output may have the type of the products, if ``cell.rounds_output``.

    Returns:
        Why the engine could not run it, None if it did; and the output laid out as ``rows.data``, directions
        side by side, and for each state its last values [directions, B, width].

    Raises:
        InputError: a tensor of another shape than the layer reads; under ``strict``, what the engine cannot run.
        BackendError: under ``strict``, where it would run eagerly.
    """
    job = _job(cell, rows, sequences, first, parameters, layer)
    job = job._replace(half_output=True) if half_output and cell.rounds_output else job
    obstacle = fused.obstacle(cell, rows.data, first, parameters)
    if obstacle is None:
        return None, fused.run(job, rows.data, first, parameters)
    check_strict(obstacle)
    refuse_watched(obstacle)
    return obstacle, fused.run_eagerly(job, rows.data, first, parameters)


def check_layer(
    cell: SizedCell,
    rows: Rows,
    sequences: int,
    first: Tensors | None,
    parameters: Sequence[torch.Tensor],
    layer: int | None = None,
) -> None:
    """Refuse tensors of other shapes than the layer reads; arguments are those of ``run_layer``.

    Raises:
        InputError: a tensor has another shape; the message names it.
    """
    _job(cell, rows, sequences, first, parameters, layer)


def run_layer_saving(
    cell: SizedCell,
    rows: Rows,
    sequences: int,
    first: Tensors | None,
    parameters: Sequence[torch.Tensor],
    *,
    saved_rows: int,
) -> Forward | None:
    """As ``run_layer``, by the engine and without recording for autograd; None where the engine cannot run it.

    Args:
        cell: and the next ones, as ``run_layer`` has them.
        rows: the input sequences.
        sequences: how many there are.
        first: states before the first step.
        parameters: of all directions.
        saved_rows: rows to make for what a backward run needs; 0 if there will be none.

    Raises:
        InputError, BackendError: under ``strict``, where the engine cannot run it.
    """
    job = _job(cell, rows, sequences, first, parameters)
    refuse_watched(OPERATOR)
    if not _by_engine(job, rows.data, first, parameters):
        return None
    x, first, parameters = fused.laid_out(rows.data, first, parameters)
    return forward(job, x, first, parameters, saving=saved_rows > 0, saved_rows=saved_rows)


def run_layer_backward(
    cell: SizedCell,
    rows: Rows,
    sequences: int,
    first: Tensors | None,
    parameters: Sequence[torch.Tensor],
    forward_run: Forward,
    d_output: torch.Tensor,
    d_last: Sequence[torch.Tensor],
) -> Gradients | None:
    """The gradients of what ``run_layer_saving`` ran, as its engine computes them; None where it cannot.

    What ``forward_run`` has not saved is computed again.
    """
    job = _job(cell, rows, sequences, first, parameters)
    if not _by_engine(job, rows.data, first, parameters):
        return None
    x, first, parameters = fused.laid_out(rows.data, first, parameters)
    if forward_run.saved is None:
        forward_run = forward(job, x, first, parameters, saving=True)
    return backward(job, x, first, parameters, forward_run, d_output, d_last, input_gradient=True)


def operator_obstacle(
    cell: SizedCell, x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor]
) -> Obstacle | None:
    """Why the engine cannot run a layer that torch's transforms see as one operation; None if it can."""
    return ASKED if asked_for_eager() else fused.tensor_obstacle(cell, x, first, parameters)


def _by_engine(job: Job, x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor]) -> bool:
    obstacle = fused.obstacle(job.cell, x, first, parameters)
    if obstacle is not None:
        check_strict(obstacle)
    return obstacle is None


def trace_layer(
    cell: SizedCell,
    rows: Rows,
    sequences: int,
    first: Tensors | None,
    parameters: Sequence[torch.Tensor],
    *,
    layer: int | None = None,
) -> tuple[Obstacle | None, torch.Tensor, list[dict[str, torch.Tensor]]]:
    """As ``run_layer``, but returns every gate and every new state at every step instead of the last states.

    The engine writes them down as it goes. Where gradients are wanted, those of the values are computed by the
    definition.

    Args:
        cell: and the next ones, as ``run_layer`` has them.
        rows: the input sequences.
        sequences: how many there are.
        first: states before the first step.
        parameters: of all directions.
        layer: its number in a stack, for the names of parameters in errors.

    Returns:
        Why the engine could not run it, None if it did; the output laid out as ``rows.data``; and for each direction
        the values of ``cell.graph.reported`` by their names, each laid out as ``rows.data``: [T, B, width] or
        [rows, width], where the width is that of the gate or state, or 1 for one number a row.

    Raises:
        InputError, BackendError: as ``run_layer`` does.
    """
    job = _job(cell, rows, sequences, first, parameters, layer)
    obstacle = fused.obstacle(cell, rows.data, first, parameters) or fused.unavailable(cell.graph, "traced")
    if obstacle is not None:
        check_strict(obstacle)
    run = fused.trace if obstacle is None else fused.trace_eagerly
    output, *values = run(job, rows.data, first, parameters)
    outputs = [output.narrow(-1, d * cell.output_width, cell.output_width) for d in range(job.directions)]
    named = dict(zip(cell.values, values, strict=True)) | {cell.graph.output.name: outputs}
    return obstacle, output, [{n: named[n][d] for n in cell.graph.reported} for d in range(job.directions)]


def _job(
    cell: SizedCell,
    rows: Rows,
    sequences: int,
    first: Tensors | None,
    parameters: Sequence[torch.Tensor],
    layer: int | None = None,
) -> Job:
    """The layer, if all tensors have the shapes that it reads."""
    resets = None if rows.resets is None else rows.resets.to(torch.uint8)
    directions = 1 if len(parameters) == len(cell.names) else 2
    job = Job(cell, rows.steps, sequences, directions, resets, rows.restore, order=rows.order)
    check_shapes(job, rows.data, first, parameters, layer)
    return job
