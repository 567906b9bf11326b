"""Runs of layers: tensors bound to a plan, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch

from tidegate.runtime import frozen
from tidegate.runtime.job import ALIGNMENT, Job, Tensors
from tidegate.runtime.library import load
from tidegate.runtime.prepared import Binding, PreparedCalls
from tidegate.runtime.sized import WHOLE, Half, SizedCell, Variant
from tidegate.runtime.structure import NativePlan

LARGE_BYTES = 8 << 20
SPARE_ROWS = 2  # behind a chunk: vectors are read past its end
ADDRESS = torch.Tensor.data_ptr
MOST_PREPARED = 64  # shapes of calls that a plan remembers, with at most MOST_KEPT bytes each


def run_plan(
    job: Job,
    plan: NativePlan,
    parameters: Sequence[torch.Tensor],
    bound: Sequence[Sequence[int]],
    varying: tuple[int, ...],
    strides: Callable[[], Sequence[int]],
    *,
    backward: bool,
) -> None:
    """Run all directions, each with the addresses of its tensors, in one call of the engine.

    Args:
        job: the layer.
        plan: of the runs.
        parameters: of all directions.
        bound: for each direction the addresses of all tensors.
        varying: the strides that differ between calls of a plan.
        strides: makes those of all tensors.
        backward: whether it is a backward run.
    """
    usual = job.steps.kept and job.resets is None
    key = job.steps.addresses, job.sequences, len(bound), varying
    calls = plan.prepared.get(key) if usual else None
    if calls is None:
        job = job._replace(restore=None, watch=None, order=None)  # which would live as long as the plan
        kind, every = job.cell.kind(job.cell.work_type(parameters[0].dtype)), strides()
        assert kind is not None
        calls = PreparedCalls(
            [Binding(job, plan, every, kind, (d == 1) != backward, backward) for d in range(len(bound))]
        )
        if usual:
            if len(plan.prepared) == MOST_PREPARED:
                plan.prepared.clear()
            plan.prepared[key] = calls
    calls.run(bound, _weights(job, parameters) if frozen.kept else ())


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

    The plan's tensors are: input, output, saved, reported values; first states; last states; parameters, what is given
    and masks.
    """
    return x, output, plan.saved_width, *values, *cell.state_widths * 2, *cell.strides


def backward_strides(
    cell: SizedCell, x: int, output: int, d_output: int, plan: NativePlan, written: Sequence[int] = ()
) -> Sequence[int]:
    """The same of a backward run.

    The plan's tensors are: input, output, saved, gradients of the output and of the input, the series that it writes;
    first states, gradients of the last ones and of the first ones; parameters, what is given and masks; gradients of
    the parameters, unless these are made apart.
    """
    series = x, output, plan.saved_width, d_output, cell.features, *written
    return *series, *cell.state_widths * 3, *cell.strides, *[0] * (len(cell.parameters) if plan.makes_gradients else 0)


def parts_of(direction: int, tensors: Sequence[torch.Tensor | None]) -> list[int]:
    """The addresses of what a direction has of contiguous tensors [directions, ...]; 0 for None."""
    if not direction:
        return [0 if t is None else t.data_ptr() for t in tensors]
    return [0 if t is None else t.data_ptr() + t.nbytes // 2 for t in tensors]


def _weights(job: Job, parameters: Sequence[torch.Tensor]) -> list[Sequence[torch.Tensor]]:
    """The parameters of each direction, without rows beside the input."""
    own = len(job.cell.parameters)
    return [part[:own] for part in by_direction(parameters, job.directions)]


def by_direction(parameters: Sequence[torch.Tensor], directions: int) -> Sequence[Sequence[torch.Tensor]]:
    """The parameters of each direction."""
    half = len(parameters) // 2
    return (parameters,) if directions == 1 else (parameters[:half], parameters[half:])


def types_of(job: Job, x: torch.Tensor, parameters: Sequence[torch.Tensor]) -> tuple[torch.dtype, Half]:
    """The type in which a layer computes on these tensors, and which of a call's have that of its products."""
    dtype, half = x.dtype, job.cell.half
    if half is None:  # each step pays for what follows
        return dtype, WHOLE
    narrow = bool(parameters) and parameters[0].dtype is half
    return job.cell.work_type(dtype), Half(dtype is half, narrow, job.half_output)


def as_read(
    job: Job, plan: NativePlan, half: Half, x: torch.Tensor, parameters: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
    """Input and parameters in the types in which a plan reads them."""
    if half.inputs and not plan.narrow_input:
        x = x.to(torch.float32)
    if half.parameters:
        as_they_are = [name in plan.narrow for name in job.cell.names]
        parameters = [p for own in by_direction(parameters, job.directions) for p in _widened(job, own, as_they_are)]
    return x, parameters


def _widened(job: Job, parameters: Sequence[torch.Tensor], as_they_are: Sequence[bool]) -> list[torch.Tensor]:
    """What one direction reads, float32 where a plan does not read it as it is."""
    own = len(job.cell.parameters)
    weights = frozen.find(parameters[:own])
    done = weights.read(as_they_are[:own]) if weights else []
    rest = slice(len(done), None)
    pairs = zip(parameters[rest], as_they_are[rest], strict=True)
    return [*done, *[p if same else p.to(torch.float32) for p, same in pairs]]


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
        parameters: those of the first direction, then those of the second, contiguous. They end with what is given and
            with masks: rows as the input's, but one for each sequence for masks that stay the same.
        saving: keep what a backward run needs.
        saved_rows: rows to make for the saved values, where there should be more than the input has.
        variant: ``"traced"`` to keep every reported value.
    """
    cell, directions, outer = job.cell, job.directions, x.shape[:-1]
    dtype, half = types_of(job, x, parameters)
    new = x.new_empty if x.dtype is dtype else partial(x.new_empty, dtype=dtype)
    plan = cell.forward_plan(dtype, saving=saving, variant=variant, half=half)
    if half is not WHOLE:
        x, parameters = as_read(job, plan, half, x, parameters)
    width = directions * cell.output_width
    output = x.new_empty(*outer, width, dtype=cell.half) if half.output else new(*outer, width)
    last = tuple([new(directions, job.sequences, own) for own in cell.state_widths])
    saved = None
    if saving:
        make = new if cell.saved is None else partial(x.new_empty, dtype=cell.saved_type(dtype))
        saved = _large(make(directions, max(saved_rows, job.steps.rows), plan.saved_width))
    wide = () if variant == "plain" else tuple(cell.values.values())
    values = tuple([_large(new(directions, *outer, own)) for own in wide]) if wide else ()
    given: Sequence[torch.Tensor | None] = first or (None,) * len(last)
    bound = []
    for d, own in enumerate(by_direction(parameters, directions)):
        series = x.data_ptr(), output.data_ptr() + d * cell.output_width * output.element_size()
        bound.append((*series, *parts_of(d, (saved, *values, *given, *last)), *map(ADDRESS, own)))
    step = row_stride(x)
    strides = partial(forward_strides, cell, step, width, plan, wide)
    run_plan(job, plan, parameters, bound, (step,), strides, backward=False)
    return Forward(output, last, saved, values)


class Series(NamedTuple):
    """What a backward run that is watched, or makes no gradients of parameters, writes at every step of a direction.

    Attributes:
        states: the adjoint of each state, [rows, width], where it is watched.
        chunk: the adjoints of products and vectors side by side, [rows, width]; ``SizedCell.watched`` says where.
        tally: of a run that makes no gradients of parameters, the sums of each sequence for vectors, [B, width], which
            are then not in the chunk; none where there are no vectors.
    """

    states: Tensors
    chunk: torch.Tensor
    tally: Tensors = ()

    @property
    def tensors(self) -> Tensors:
        """In the order of the plan."""
        return *self.states, self.chunk, *self.tally

    @property
    def strides(self) -> list[int]:
        """From row to row of each."""
        return [tensor.stride(0) for tensor in self.tensors]


class Gradients(NamedTuple):
    """Of the input (if asked for), of the first states (if there were any) and of the parameters; None for rows beside.

    And for each direction the series that were written.
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
    apart: bool = False,
) -> Gradients:
    """The gradients of a run, given those of its output and last states (None for zeros).

    And the series of every step, if somebody watches. ``apart`` makes these, and none of the gradients of parameters.
    Gradients have the types of their tensors; sums are those of the type in which the cell computes.
    """
    variant: Variant = "apart" if apart else "plain" if job.watch is None else "watched"
    dtype, half = types_of(job, x, parameters)
    plan = job.cell.backward_plan(dtype, input_gradient=input_gradient, variant=variant, half=half)
    read_x, read = as_read(job, plan, half, x, parameters)
    found = _backward(job, plan, dtype, read_x, first, read, forward_run, d_output, d_last, apart=apart)
    if not (half.inputs or half.parameters):
        return found
    d_parameters = [d if d is None else d.to(p.dtype) for d, p in zip(found.parameters, parameters, strict=True)]
    return found._replace(x=None if found.x is None else found.x.to(x.dtype), parameters=tuple(d_parameters))


def _backward(
    job: Job,
    plan: NativePlan,
    dtype: torch.dtype,
    x: torch.Tensor,
    first: Tensors | None,
    parameters: Sequence[torch.Tensor],
    forward_run: Forward,
    d_output: torch.Tensor | None,
    d_last: Sequence[torch.Tensor | None],
    *,
    apart: bool,
) -> Gradients:
    """The same of what a plan reads, in the type in which it computes."""
    cell, directions, output = job.cell, job.directions, forward_run.output
    size, input_gradient = output.element_size(), plan.struct.input_gradient >= 0
    # without rows nothing is written
    fresh: Callable[..., torch.Tensor] = torch.empty_like if job.steps.rows else torch.zeros_like
    fresh = fresh if cell.half is None else partial(fresh, dtype=dtype)
    d_x = fresh(x, memory_format=torch.contiguous_format) if input_gradient else None
    d_other = fresh(d_x) if d_x is not None and directions == 2 else None
    d_first = None if first is None else tuple([torch.empty_like(state) for state in first])
    count, made = len(cell.names), 0 if apart else len(cell.parameters)
    d_parameters = tuple([fresh(p) if k % count < made else None for k, p in enumerate(parameters)])
    d_output = in_rows(output.new_zeros(output.shape[-1]).expand_as(output) if d_output is None else d_output)
    nothing = (None,) * len(d_last)
    states = (*(first or nothing), *[None if d is None else d.contiguous() for d in d_last], *(d_first or nothing))
    asked = _series(job, plan, x, () if apart else cell.state_widths) if apart or job.watch else ()
    bound = []
    for d, of_input in zip(range(directions), (d_x, d_other), strict=False):
        at = d * cell.output_width * size
        read = x.data_ptr(), output.data_ptr() + at, *parts_of(d, (forward_run.saved,)), d_output.data_ptr() + at
        wrote = 0 if of_input is None else of_input.data_ptr(), *map(ADDRESS, asked[d].tensors if asked else ())
        own = slice(d * count, (d + 1) * count)
        gradients = [g.data_ptr() for g in d_parameters[own] if g is not None]
        bound.append((*read, *wrote, *parts_of(d, states), *map(ADDRESS, parameters[own]), *gradients))
    varying, own_strides = (row_stride(x), row_stride(d_output)), asked[0].strides if asked else ()
    strides = partial(backward_strides, cell, varying[0], output.shape[-1], varying[1], plan, own_strides)
    run_plan(job, plan, parameters, bound, varying, strides, backward=True)
    return Gradients(d_x if d_x is None or d_other is None else d_x.add_(d_other), d_first, d_parameters, asked)


def _series(job: Job, plan: NativePlan, x: torch.Tensor, states: Sequence[int]) -> tuple[Series, ...]:
    """Memory for what a run writes in each direction; the rows of the chunk are as far apart as in scratch."""
    lines = -(-plan.struct.chunk_width * x.element_size() // ALIGNMENT) | 1
    width, rows = lines * ALIGNMENT // x.element_size(), job.steps.rows
    found = []
    for _ in range(job.directions):
        chunk = _large(x.new_empty(rows + SPARE_ROWS, width))[:rows]
        tally = (x.new_zeros(job.sequences, plan.struct.tally_width),) if plan.struct.tally_width else ()
        found.append(Series(tuple([_large(x.new_empty(rows, width)) for width in states]), chunk, tally))
    return tuple(found)
