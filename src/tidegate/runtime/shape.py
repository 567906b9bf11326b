"""The shapes of what a layer reads, checked once before any of it is handed to native code."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tidegate.cell.parameter import attribute, step_attribute
from tidegate.errors import InputError
from tidegate.runtime.call import Job, Tensors

Shape = tuple[int, ...]


def check_shapes(
    job: Job, x: torch.Tensor, first: Tensors | None, tensors: Sequence[torch.Tensor], layer: int | None = None
) -> None:
    """Refuse what a run would read beyond its end, or in another order.

    Args:
        job: the layer.
        x: the input.
        first: for each state its values before the first step; None for zeros.
        tensors: parameters and masks of all directions.
        layer: its number in a stack, for the names in errors.

    Raises:
        InputError: a tensor has another shape than the layer reads; the message names it.
    """
    check_parameters(job, tensors, layer)
    features = job.cell.widths["I"]
    if x.shape[-1] != features or x.numel() != job.steps.rows * features:
        raise wrong_shape("the input", x.shape, (job.steps.rows, features))
    if first is not None:
        _check_states(job, first)
    if job.resets is not None and job.resets.numel() != job.steps.rows:
        raise wrong_shape("reset", job.resets.shape, (job.steps.rows,))
    if job.steps.widest > job.sequences:
        raise wrong_shape("the batch", (job.steps.widest,), (job.sequences,))


def check_parameters(job: Job, tensors: Sequence[torch.Tensor], layer: int | None = None) -> None:
    """Refuse parameters and masks of other shapes; arguments and errors are those of ``check_shapes``."""
    cell = job.cell
    expected = cell.shapes[job.directions > 1] if not cell.graph.masks else _with_masks(job)
    if [tensor.shape for tensor in tensors] != expected:
        raise _wrong_tensors(job, [tuple(tensor.shape) for tensor in tensors], expected, layer)


def wrong_shape(name: str, got: Sequence[int], expected: Sequence[int]) -> InputError:
    """The error about a tensor of another shape than a run reads."""
    return InputError(
        "SHAPE",
        f"{name} has the shape {list(got)}, but this layer reads {list(expected)}",
        fix="pass a tensor of that shape",
    )


def _with_masks(job: Job) -> list[Shape]:
    rows = {"sequence": job.sequences, "step": job.steps.rows}
    masks = [(rows[mask.each], job.cell.widths[mask.axis]) for mask in job.cell.graph.masks]
    return [*job.cell.shapes[0], *masks] * job.directions


def _check_states(job: Job, first: Tensors) -> None:
    states = job.cell.graph.states
    if len(first) != len(states):
        raise InputError("SHAPE", f"{job.cell.graph.name} has {len(states)} states, got {len(first)}", fix="pass each")
    for state, width, declared in zip(first, job.cell.state_widths, states, strict=True):
        if state.shape != (job.directions, job.sequences, width):
            raise wrong_shape(f"the first {declared.name}", state.shape, (job.directions, job.sequences, width))


def _wrong_tensors(job: Job, got: list[Shape], expected: list[Shape], layer: int | None) -> InputError:
    if len(got) != len(expected):
        return InputError(
            "SHAPE",
            f"{job.cell.graph.name} reads {len(expected)} parameters and masks, got {len(got)}",
            fix="pass each of them, direction after direction",
        )
    at = next(k for k, (own, wanted) in enumerate(zip(got, expected, strict=True)) if own != wanted)
    reverse, place = divmod(at, len(job.cell.names))
    name = job.cell.names[place]
    shown = step_attribute(name) if layer is None else attribute(name, layer, reverse=bool(reverse))
    return wrong_shape(shown, got[at], expected[at])
