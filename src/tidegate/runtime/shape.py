"""Shapes and devices of what a layer reads, checked once before any of it is handed to native code."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tidegate.cell.graph import all_widths
from tidegate.cell.parameter import attribute, step_attribute
from tidegate.errors import InputError
from tidegate.runtime.job import Job, Tensors

Shape = tuple[int, ...]


def check_shapes(
    job: Job, x: torch.Tensor, first: Tensors | None, tensors: Sequence[torch.Tensor], layer: int | None = None
) -> None:
    """Refuse what a run would read beyond its end, or in another order.

    Args:
        job: the layer.
        x: the input.
        first: for each state its values before the first step; None for zeros.
        tensors: parameters, what is given, and masks, of all directions.
        layer: its number in a stack, for the names in errors. Of a layer above the first only parameters are checked.

    Raises:
        InputError: a tensor has another shape than the layer reads; the message names it.
    """
    cell, steps = job.cell, job.steps
    if cell.beside or [tensor.shape for tensor in tensors] != cell.shapes[job.directions > 1]:  # each step pays
        check_parameters(job, tensors, layer)
    if layer:
        return  # its input is the output of the layer before it, and its states are cut from those of all layers
    if x.shape[-1] != cell.features or x.numel() != steps.rows * cell.features:
        raise wrong_shape("the input", x.shape, (steps.rows, cell.features))
    if first is not None:
        expected = [(job.directions, job.sequences, width) for width in cell.state_widths]
        if [state.shape for state in first] != expected:
            raise _wrong_states(job, first, expected)
    if job.resets is not None and job.resets.numel() != steps.rows:
        raise wrong_shape("reset", job.resets.shape, (steps.rows,))
    if steps.widest > job.sequences:
        raise wrong_shape("the batch", (steps.widest,), (job.sequences,))


def check_parameters(
    job: Job, tensors: Sequence[torch.Tensor], layer: int | None = None, *, alone: bool = False
) -> None:
    """Refuse parameters and rows of other shapes; arguments and errors are those of ``check_shapes``.

    Args:
        job: the layer.
        tensors: parameters, and rows beside the input unless they come ``alone``.
        layer: its number in a stack.
        alone: without rows.
    """
    cell = job.cell
    expected = _with_rows(job) if cell.beside and not alone else cell.shapes[job.directions > 1]
    if [tensor.shape for tensor in tensors] != expected:
        raise _wrong_tensors(job, [tuple(tensor.shape) for tensor in tensors], expected, layer)


def check_devices(tensors: Sequence[torch.Tensor]) -> None:
    """Refuse meta tensors among others: torch runs some operations on them, whose results are what memory held.

    Raises:
        RuntimeError: with torch's text.
    """
    first = tensors[0]
    other = next((tensor.device for tensor in tensors if tensor.is_meta != first.is_meta), None)
    if other is not None:
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"{first.device} and {other}!"
        )


def wrong_shape(name: str, got: Sequence[int], expected: Sequence[int]) -> InputError:
    """The error about a tensor of another shape than a run reads."""
    return InputError(
        "SHAPE",
        f"{name} has the shape {list(got)}, but this layer reads {list(expected)}",
        fix="pass a tensor of that shape",
    )


def _with_rows(job: Job) -> list[Shape]:
    graph, widths = job.cell.graph, all_widths(job.cell.widths)
    rows = {"sequence": job.sequences, "step": job.steps.rows}
    given = [(job.steps.rows, widths[value.axis]) for value in graph.given]
    masks = [(rows[mask.each], widths[mask.axis]) for mask in graph.masks]
    return [*job.cell.shapes[0], *given, *masks] * job.directions


def _wrong_states(job: Job, first: Tensors, expected: Sequence[Shape]) -> InputError:
    states = job.cell.graph.states
    if len(first) != len(states):
        return InputError("SHAPE", f"{job.cell.graph.name} has {len(states)} states, got {len(first)}", fix="pass each")
    at = next(k for k, (own, wanted) in enumerate(zip(first, expected, strict=True)) if own.shape != wanted)
    return wrong_shape(f"the first {states[at].name}", first[at].shape, expected[at])


def _wrong_tensors(job: Job, got: list[Shape], expected: list[Shape], layer: int | None) -> InputError:
    if len(got) != len(expected):
        return InputError(
            "SHAPE",
            f"{job.cell.graph.name} reads {len(expected)} parameters and rows beside the input, got {len(got)}",
            fix="pass each of them, direction after direction",
        )
    at = next(k for k, (own, wanted) in enumerate(zip(got, expected, strict=True)) if own != wanted)
    reverse, place = divmod(at, len(expected) // job.directions)
    name = job.cell.names[place]
    shown = step_attribute(name) if layer is None else attribute(name, layer, reverse=bool(reverse))
    return wrong_shape(shown, got[at], expected[at])
