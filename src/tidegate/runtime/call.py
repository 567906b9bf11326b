"""Calls of the engine: tensors bound to a plan, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from tidegate.runtime import frozen
from tidegate.runtime.library import load
from tidegate.runtime.rows import Steps
from tidegate.runtime.sized import SizedCell, Variant
from tidegate.runtime.structure import NativePlan

ALIGNMENT = 64
LARGE_BYTES = 8 << 20
SPARE_ROWS = 2  # behind a chunk: vectors are read past its end
MOST_WORKSPACES = 1024  # sizes that a plan remembers, of 200 bytes each

Tensors = tuple[torch.Tensor, ...]


class Job(NamedTuple):
    """One layer in one or two directions, apart from its tensors.

    Attributes:
        cell: with its widths.
        steps: of the sequences.
        sequences: how many there are, those of no steps included.
        directions: 1, or 2 where a second set of parameters runs from the end.
        resets: for each row 1 where all states are zeros before it, uint8; or None.
        restore: brings values of the rows into the caller's layout; None where that is the same.
        watch: takes what a backward run read and the series that it wrote; None where nobody watches.
    """

    cell: SizedCell
    steps: Steps
    sequences: int
    directions: int
    resets: torch.Tensor | None
    restore: Callable[..., Any] | None = None
    watch: Callable[..., None] | None = None


def packed_call(
    job: Job,
    plan: NativePlan,
    addresses: Sequence[int],
    strides: Sequence[int],
    *,
    workspace: int = 0,
    packed: int = 0,
    descending: bool = False,
    backward: bool = False,
) -> bytes:
    """A call, as the engine reads it; see ``engine/plan.h``."""
    resets = 0 if job.resets is None else job.resets.data_ptr()
    steps = job.steps
    words: bytes = plan.call.pack(
        plan.address, steps.count, job.sequences, *steps.addresses, resets, workspace, packed, descending, backward,
        *addresses, *plan.brought, *strides, *(0 for _ in plan.brought),
    )  # fmt: skip
    return words


def pack(job: Job, plan: NativePlan, addresses: Sequence[int], strides: Sequence[int], size: int) -> torch.Tensor:
    """The matrices of a call as the engine reads them, aligned.

    Args:
        job: the layer.
        plan: of the call.
        addresses: of all tensors.
        strides: from row to row of each.
        size: the engine's number of the type.
    """
    engine = load().engine
    need = engine.tg_packed(packed_call(job, plan, addresses, strides), size)
    memory = torch.zeros(need + ALIGNMENT, dtype=torch.uint8, device="cpu")
    at = aligned(memory.data_ptr())
    scratch = buffer(engine.tg_workspace(packed_call(job, plan, addresses, strides, packed=at), size, 1))
    words = packed_call(job, plan, addresses, strides, workspace=aligned(scratch.data_ptr()), packed=at)
    engine.tg_pack(words, size)
    return memory[at - memory.data_ptr() :][:need]


def buffer(size: int) -> torch.Tensor:
    """Memory of so many bytes from the first ``aligned`` address on."""
    return torch.empty(size + ALIGNMENT, dtype=torch.uint8, device="cpu")  # whatever the default is


def aligned(address: int) -> int:
    """The next address, or size, that is a whole number of cache lines."""
    return -(-address // ALIGNMENT) * ALIGNMENT


def _run(
    job: Job,
    plan: NativePlan,
    parameters: Sequence[torch.Tensor],
    bound: Sequence[Sequence[int]],
    strides: Sequence[int],
    size: int,
    *,
    backward: bool,
) -> None:
    """Run all directions, each with the addresses of its tensors, in one call of the engine."""
    engine, threads, count = load().engine, torch.get_num_threads(), len(job.cell.names)
    kept = []
    for d, own in enumerate(bound):
        weights = frozen.find(parameters[d * count : (d + 1) * count])
        make = partial(pack, job, plan, own, strides, size)
        kept.append(None if weights is None else weights.packed(plan, make))
    matrices = [0 if memory is None else memory.data_ptr() for memory in kept]
    need = max(
        _workspace(job, plan, own, strides, size, threads, packed=at) for own, at in zip(bound, matrices, strict=True)
    )
    workspaces = buffer(len(bound) * need)
    at = aligned(workspaces.data_ptr())
    calls = [
        packed_call(
            job, plan, own, strides,
            workspace=at + d * need, packed=matrices[d], descending=(d == 1) != backward, backward=backward,
        )
        for d, own in enumerate(bound)
    ]  # fmt: skip
    engine.tg_run(b"".join(calls), len(bound), size, threads)


def _workspace(
    job: Job,
    plan: NativePlan,
    addresses: Sequence[int],
    strides: Sequence[int],
    size: int,
    threads: int,
    *,
    packed: int,
) -> int:
    """Bytes of a direction; the same for all calls of even length; the last ones are remembered."""
    key = (job.steps.count, job.steps.rows, job.sequences, threads, packed > 0)  # sequences of no steps have no rows
    known = plan.workspaces.get(key) if job.steps.even else None
    if known is None:
        need = load().engine.tg_workspace(packed_call(job, plan, addresses, strides, packed=packed), size, threads)
        known = aligned(need)
        if job.steps.even:
            if len(plan.workspaces) == MOST_WORKSPACES:
                plan.workspaces.clear()
            plan.workspaces[key] = known
    return known


def _large(tensor: torch.Tensor) -> torch.Tensor:
    """The same tensor, with its memory in large pages where it is large and fresh."""
    if tensor.nbytes >= LARGE_BYTES:
        load().engine.tg_large_pages(tensor.data_ptr(), tensor.nbytes)
    return tensor


def row_stride(tensor: torch.Tensor) -> int:
    """From row to row of a tensor [..., width] as ``in_rows`` leaves it."""
    shape = tensor.shape
    if tensor.is_contiguous():
        return shape[-1]  # strides of axes that have one element mean nothing
    return next(stride for size, stride in zip(shape[-2::-1], tensor.stride()[-2::-1], strict=True) if size != 1)


def in_rows(tensor: torch.Tensor) -> torch.Tensor:
    """The same values such that each row is in one piece and one stride leads from row to row."""
    if tensor.is_contiguous():
        return tensor
    strides = tensor.stride()
    outer = [pair for pair in zip(tensor.shape[:-1], strides, strict=False) if pair[0] != 1]
    even = all(before == size * stride for (_, before), (size, stride) in pairwise(outer))
    return tensor if even and outer and strides[-1] == 1 else tensor.contiguous()


def forward_strides(
    cell: SizedCell, x: int, output: int, plan: NativePlan, values: Sequence[int] = ()
) -> Sequence[int]:
    """From row to row of what a forward run reads and writes, given those of the input and the output.

    The plan's tensors are: input, output, saved, reported values; first states; last states; parameters and masks.
    """
    return x, output, plan.saved_width, *values, *cell.state_widths * 2, *cell.strides


def backward_strides(
    cell: SizedCell, x: int, output: int, d_output: int, plan: NativePlan, watched: Sequence[int] = ()
) -> Sequence[int]:
    """The same of a backward run.

    The plan's tensors are: input, output, saved, gradients of the output and of the input, what a watched run writes;
    first states, gradients of the last ones and of the first ones; parameters and masks; gradients of the parameters.
    """
    series = x, output, plan.saved_width, d_output, cell.features, *watched
    return *series, *cell.state_widths * 3, *cell.strides, *[0] * len(cell.parameters)


def _parts(direction: int, tensors: Sequence[torch.Tensor | None]) -> list[int]:
    """The addresses of what a direction has of contiguous tensors [directions, ...]; 0 for None."""
    return [0 if t is None else t.data_ptr() + (direction and t.nbytes // 2) for t in tensors]


def _addresses(tensors: Sequence[torch.Tensor]) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors]


class Forward(NamedTuple):
    """What a forward run leaves.

    Attributes:
        output: [..., directions * width], its rows as the input's.
        last: for each state [directions, B, width].
        saved: [directions, rows, saved width], if it was asked for.
        values: each reported value but the output [directions, ..., width], if they were asked for.
    """

    output: torch.Tensor
    last: Tensors
    saved: torch.Tensor | None
    values: Tensors = ()


def forward(
    job: Job,
    x: torch.Tensor,
    first: Tensors | None,
    parameters: Sequence[torch.Tensor],
    *,
    saving: bool,
    saved_rows: int = 0,
    variant: Variant = "plain",
) -> Forward:
    """Run a layer.

    Args:
        job: the layer.
        x: the input [..., I], rows without padding; as ``in_rows`` leaves it.
        first: for each state [directions, B, width], contiguous; None for zeros.
        parameters: those of the first direction, then those of the second, contiguous. Those of a cell with masks end
            with them: rows as the input's for a mask of each step, one for each sequence for the others.
        saving: keep what a backward run needs.
        saved_rows: rows to make for the saved values, where there should be more than the input has.
        variant: ``"traced"`` to keep every reported value.
    """
    cell, directions, size, outer = job.cell, job.directions, x.element_size(), x.shape[:-1]
    plan = cell.forward_plan(x.dtype, saving=saving, variant=variant)
    output = x.new_empty(*outer, directions * cell.output_width)
    last = tuple([x.new_empty(directions, job.sequences, width) for width in cell.state_widths])
    shape = (directions, max(saved_rows, job.steps.rows), plan.saved_width)
    saved = _large(x.new_empty(shape)) if saving else None
    wide = () if variant == "plain" else tuple(cell.values.values())
    values = tuple([_large(x.new_empty(directions, *outer, width)) for width in wide]) if wide else ()
    given: Sequence[torch.Tensor | None] = first or (None,) * len(last)
    count = len(cell.names)
    bound = []
    for d in range(directions):
        series = [x.data_ptr(), output.data_ptr() + d * cell.output_width * size]
        own = _parts(d, (saved, *values, *given, *last))
        bound.append([*series, *own, *_addresses(parameters[d * count : (d + 1) * count])])
    strides = forward_strides(cell, row_stride(x), directions * cell.output_width, plan, wide)
    _run(job, plan, parameters, bound, strides, size, backward=False)
    return Forward(output, last, saved, values)


class Series(NamedTuple):
    """What a watched backward run writes at every step of a direction.

    Attributes:
        states: the adjoint of each state, [rows, width].
        chunk: the adjoints of products and vectors side by side, [rows, width]; ``SizedCell.watched`` says where.
    """

    states: Tensors
    chunk: torch.Tensor


class Gradients(NamedTuple):
    """Of the input (if asked for), of the first states (if there were any) and of the parameters; None for masks.

    And for each direction what a watched run wrote.
    """

    x: torch.Tensor | None
    first: Tensors | None
    parameters: tuple[torch.Tensor | None, ...]
    series: tuple[Series, ...] = ()


def backward(
    job: Job,
    x: torch.Tensor,
    first: Tensors | None,
    parameters: Sequence[torch.Tensor],
    forward_run: Forward,
    d_output: torch.Tensor | None,
    d_last: Sequence[torch.Tensor | None],
    *,
    input_gradient: bool,
) -> Gradients:
    """The gradients of a run, given those of its output and last states (None for zeros).

    And the series of every step, if somebody watches.
    """
    assert forward_run.saved is not None
    cell, directions, size, output = job.cell, job.directions, x.element_size(), forward_run.output
    variant: Variant = "plain" if job.watch is None else "watched"
    plan = cell.backward_plan(x.dtype, input_gradient=input_gradient, variant=variant)
    fresh = torch.empty_like if job.steps.rows else torch.zeros_like  # without rows nothing is written
    d_x = fresh(x, memory_format=torch.contiguous_format) if input_gradient else None
    d_other = fresh(d_x) if d_x is not None and directions == 2 else None
    d_first = None if first is None else tuple([torch.empty_like(state) for state in first])
    count, own = len(cell.names), len(cell.parameters)
    d_parameters = tuple([fresh(p) if k % count < own else None for k, p in enumerate(parameters)])
    d_output = output.new_zeros(output.shape[-1]).expand_as(output) if d_output is None else in_rows(d_output)
    nothing = (None,) * len(d_last)
    states = (*(first or nothing), *[None if d is None else d.contiguous() for d in d_last], *(d_first or nothing))
    asked = tuple([_series(job, plan, x) for _ in range(directions)]) if job.watch else ()
    bound = []
    for d, of_input in zip(range(directions), (d_x, d_other), strict=False):
        at = d * cell.output_width * size
        series = [x.data_ptr(), output.data_ptr() + at, *_parts(d, (forward_run.saved,)), d_output.data_ptr() + at]
        series.append(0 if of_input is None else of_input.data_ptr())
        series += _addresses([*asked[d].states, asked[d].chunk]) if asked else []
        tensors = _addresses(parameters[d * count : (d + 1) * count])
        gradients = [g.data_ptr() for g in d_parameters[d * count : (d + 1) * count] if g is not None]
        bound.append([*series, *_parts(d, states), *tensors, *gradients])
    wide = directions * cell.output_width
    own_strides = (*cell.state_widths, asked[0].chunk.stride(0)) if asked else ()
    strides = backward_strides(cell, row_stride(x), wide, row_stride(d_output), plan, own_strides)
    _run(job, plan, parameters, bound, strides, size, backward=True)
    return Gradients(d_x if d_x is None or d_other is None else d_x.add_(d_other), d_first, d_parameters, asked)


def _series(job: Job, plan: NativePlan, x: torch.Tensor) -> Series:
    """Memory for what a watched run writes in one direction; the rows of the chunk are as far apart as in scratch."""
    lines = -(-plan.struct.chunk_width * x.element_size() // ALIGNMENT) | 1
    width = lines * ALIGNMENT // x.element_size()
    rows = _large(x.new_empty(job.steps.rows + SPARE_ROWS, width))[: job.steps.rows]
    return Series(tuple([_large(x.new_empty(job.steps.rows, width)) for width in job.cell.state_widths]), rows)
