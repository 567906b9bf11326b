"""One step of a cell by the engine, for callers that write the loop over time themselves.

What depends on shapes alone is found once, so that a call is little more than the addresses of its tensors. The
numbers are those of a layer of one step: the same plans, the same kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache, partial
from operator import attrgetter
from typing import Any

import torch

from tidegate.cell.graph import all_widths
from tidegate.emit.layout import Operand
from tidegate.runtime import frozen, fused
from tidegate.runtime.call import backward_strides, forward_strides
from tidegate.runtime.job import Job, Tensors
from tidegate.runtime.path import TWICE, asked_for_eager, check_strict
from tidegate.runtime.prepared import Binding, PreparedCalls
from tidegate.runtime.rows import Steps
from tidegate.runtime.sized import Half, SizedCell
from tidegate.runtime.structure import NativePlan
from tidegate.runtime.watch import watching

PLAIN = frozenset(fused.PLAIN)
# Each step pays for every line: these go through tensors in C.
ADDRESS, CONTIGUOUS, REQUIRES_GRAD = torch.Tensor.data_ptr, torch.Tensor.contiguous, attrgetter("requires_grad")

Gradients = Sequence[torch.Tensor | None]


def run_step(
    cell: SizedCell,
    x: torch.Tensor,
    states: Sequence[torch.Tensor] | None,
    parameters: Sequence[torch.Tensor],
    given: Sequence[torch.Tensor] = (),
) -> Tensors | None:
    """Run one step of a batch, if the engine runs it and nothing about it is unusual.

    Tensors of the type of the cell's products are converted to float32 inside, and results and gradients back to it.

    Args:
        cell: with its widths.
        x: the input [B, I].
        states: each [B, width]; None for zeros.
        parameters: as the cell orders them.
        given: what it reads beside the input, each [B, width].

    Returns:
        The new states, each [B, width]. None for what ``run_layer`` has to run, to convert or to refuse.
    """
    tensors = (x, *(states or ()), *parameters, *given)
    if not PLAIN.issuperset(map(type, tensors)) or asked_for_eager() or fused.transform() is not None:
        return None
    step = _prepared(cell, x.shape, x.dtype, None if states is None else len(states))
    if step is None or not step.reads(tensors):
        return None
    laid_out = [*map(CONTIGUOUS, tensors)]
    if torch.is_grad_enabled() and any(map(REQUIRES_GRAD, laid_out)):
        if watching() or any(map(REQUIRES_GRAD, given)):
            return None
        results: Tensors = _FusedStep.apply(step, *laid_out)  # type: ignore[no-untyped-call]
        return results
    return step.forward(laid_out)


@lru_cache(maxsize=512)
def _prepared(cell: SizedCell, shape: torch.Size, dtype: torch.dtype, given: int | None) -> Step | None:
    """The step of inputs of this shape and type with so many states, if the engine runs it."""
    usual = len(shape) == 2 and shape[0] > 0 and shape[1] == cell.features and cell.kind(cell.work_type(dtype))
    if not usual or cell.graph.masks or given not in {None, len(cell.state_widths)} or fused.unavailable(cell.graph):
        return None
    return Step(cell, shape[0], dtype, given=given is not None)


class Step:
    """One step of a cell for so many sequences. All tensors that it gets are contiguous.

    Args:
        cell: with its widths.
        sequences: how many there are (B).
        dtype: of all tensors.
        given: whether its tensors are the input, the states, the parameters and what is given beside the input; else
            zeros stand for the states.
    """

    def __init__(self, cell: SizedCell, sequences: int, dtype: torch.dtype, *, given: bool) -> None:
        self.job = Job(cell, Steps.uniform(1, sequences), sequences, 1, None)
        self.dtype, self.work = dtype, cell.work_type(dtype)
        kind = cell.kind(self.work)
        assert kind is not None
        self._kind, self._narrow = kind, dtype is not self.work
        self._states = [(sequences, width) for width in cell.state_widths]
        first = self._states if given else []
        self._weights, axes = len(cell.parameters), all_widths(cell.widths)
        beside = [(sequences, axes[value.axis]) for value in cell.graph.given]
        self._shapes = [(sequences, cell.features), *first, *cell.shapes[0], *beside]
        self._end = 1 + len(first)  # of the states among its tensors
        self._names = [Operand.INPUT.value, *[""] * len(first), *cell.names]
        self._zeros = () if given else (0,) * len(self._states)  # addresses of states that nobody gives
        self._half = Half(self._narrow, self._narrow)
        self._saved = sequences, cell.forward_plan(self.work, saving=True).saved_width
        self._saved_type = cell.saved_type(self.work)

    def reads(self, tensors: Sequence[torch.Tensor]) -> bool:
        """Whether these tensors have the shapes and the type that the step reads, on the CPU."""
        dtype = self.dtype
        for tensor in tensors:
            if tensor.dtype is not dtype or not tensor.is_cpu:
                return False
        return [tensor.shape for tensor in tensors] == self._shapes

    def forward(self, tensors: Sequence[torch.Tensor]) -> Tensors:
        """The new states."""
        new = self._new(tensors[0])
        self._go(self._inference, tensors, new, 0)
        return self.narrowed(new) if self._narrow else new

    def _new(self, x: torch.Tensor) -> Tensors:
        if not self._narrow:
            return tuple(map(x.new_empty, self._states))
        return tuple([x.new_empty(shape, dtype=self.work) for shape in self._states])

    def widened(self, tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Tensors in the type in which the step computes."""
        return [tensor.to(self.work) for tensor in tensors] if self._narrow else tensors

    def widened_some(self, grads: Gradients) -> Gradients:
        """The same of gradients, None for those that nobody has."""
        if not self._narrow:
            return grads
        return [None if grad is None else grad.to(self.work) for grad in grads]

    def _as_read(self, plan: NativePlan, tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """The same, but for those that a plan reads as they are."""
        work, as_they_are = self.work, [name in plan.narrow for name in self._names]
        own = slice(self._end, self._end + self._weights)
        weights = frozen.find(tensors[own])
        kept = weights.read(as_they_are[own]) if weights else tensors[own]
        tensors = [*tensors[: self._end], *kept, *tensors[own.stop :]]
        return [t if same else t.to(work) for t, same in zip(tensors, as_they_are, strict=True)]

    def narrowed(self, new: Tensors) -> Tensors:
        """Results in the type of the tensors."""
        return tuple([state.to(self.dtype) for state in new]) if self._narrow else new

    def forward_saving(self, tensors: Sequence[torch.Tensor]) -> tuple[Tensors, torch.Tensor | None]:
        """The same, before they are rounded, and what else a backward run needs; None if that is nothing."""
        new, x = self._new(tensors[0]), tensors[0]
        saved = None
        if self._saved[1]:
            same = self._saved_type is self.dtype
            saved = x.new_empty(self._saved) if same else x.new_empty(self._saved, dtype=self._saved_type)
        self._go(self._training, tensors, new, 0 if saved is None else saved.data_ptr())
        return new, saved

    def _go(self, calls: PreparedCalls, tensors: Sequence[torch.Tensor], new: Tensors, saved: int) -> None:
        if self._narrow:
            tensors = self._as_read(calls.plan, tensors)
        x, *own = map(ADDRESS, tensors)
        output, *last = map(ADDRESS, new)
        end = self._end - 1
        # The output of one step is its first state: nobody asks for that once more.
        self._call(calls, (x, output, saved, *self._zeros, *own[:end], 0, *last, *own[end:]), tensors)

    def _call(self, calls: PreparedCalls, addresses: Sequence[int], tensors: Sequence[torch.Tensor]) -> None:
        calls.run((addresses,), (tensors[self._end :][: self._weights],) if frozen.kept else ())

    def backward(
        self,
        tensors: Sequence[torch.Tensor],
        output: torch.Tensor,
        saved: torch.Tensor | None,
        grads: Gradients,
        *,
        input_gradient: bool,
    ) -> Gradients:
        """The gradients of all tensors, None for the input if it is not asked for, given those of the new states."""
        calls = self._backward if input_gradient else self._backward_without_input
        tensors = self._as_read(calls.plan, tensors) if self._narrow else tensors
        wanted = tensors[: self._end + self._weights]
        like: Any = partial(torch.empty_like, dtype=self.work) if self._narrow else torch.empty_like
        made = [like(tensor) for tensor in (wanted if input_gradient else wanted[1:])]
        x, *own = map(ADDRESS, tensors)
        d_x, *d_own = map(ADDRESS, made) if input_gradient else (0, *map(ADDRESS, made))
        d_output, *d_last = [0 if grad is None else grad.data_ptr() for grad in grads]
        end, zeros = self._end - 1, self._zeros
        states = (*zeros, *own[:end], 0, *d_last, *zeros, *d_own[:end])
        series = (x, output.data_ptr(), 0 if saved is None else saved.data_ptr(), d_output, d_x)
        self._call(calls, (*series, *states, *own[end:], *d_own[end:]), tensors)
        if self._narrow:
            made = [gradient.to(self.dtype) for gradient in made]
        beside = [None] * (len(tensors) - len(wanted))
        return [*made, *beside] if input_gradient else [None, *made, *beside]

    @cached_property
    def _inference(self) -> PreparedCalls:
        return self._forward_calls(saving=False)

    @cached_property
    def _training(self) -> PreparedCalls:
        return self._forward_calls(saving=True)

    @cached_property
    def _backward(self) -> PreparedCalls:
        return self._backward_calls(input_gradient=True)

    @cached_property
    def _backward_without_input(self) -> PreparedCalls:
        return self._backward_calls(input_gradient=False)

    def _forward_calls(self, *, saving: bool) -> PreparedCalls:
        cell = self.job.cell
        plan = cell.forward_plan(self.work, saving=saving, half=self._half)
        strides = forward_strides(cell, cell.features, cell.output_width, plan)
        return PreparedCalls([Binding(self.job, plan, strides, self._kind)])

    def _backward_calls(self, *, input_gradient: bool) -> PreparedCalls:
        cell = self.job.cell
        plan = cell.backward_plan(self.work, input_gradient=input_gradient, half=self._half)
        strides = backward_strides(cell, cell.features, cell.output_width, cell.output_width, plan)
        return PreparedCalls([Binding(self.job, plan, strides, self._kind, descending=True, backward=True)])


class _FusedStep(torch.autograd.Function):
    """A step as one operation. Differentiated twice, its first derivative is the eager one."""

    @staticmethod
    def forward(ctx: Any, step: Step, *tensors: torch.Tensor) -> Any:
        new, saved = step.forward_saving(tensors)
        ctx.step = step
        ctx.save_for_backward(*tensors, new[0], saved)
        ctx.set_materialize_grads(False)
        return step.narrowed(new)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor | None) -> Any:
        *tensors, output, saved = ctx.saved_tensors
        batched = not all([grad is None or torch._C._has_storage(grad) for grad in grads])  # noqa: SLF001, C419
        if batched or torch.is_grad_enabled():
            check_strict(fused.FUNCTORCH if batched else TWICE)
            return (None, *_eager_gradients(ctx.step, ctx.needs_input_grad[1:], tensors, grads))
        laid_out = [None if grad is None else grad.contiguous() for grad in ctx.step.widened_some(grads)]
        if laid_out[0] is None:
            laid_out[0] = torch.zeros_like(output)
        return (None, *ctx.step.backward(tensors, output, saved, laid_out, input_gradient=ctx.needs_input_grad[1]))


def _eager_gradients(
    step: Step, needed: Sequence[bool], tensors: Sequence[torch.Tensor], grads: Gradients
) -> Gradients:
    """The gradients of a step as those of a layer of one step."""
    job = step.job
    with torch.enable_grad():
        tensors = step.widened(tensors)
    end = len(tensors) - len(job.cell.names)  # of the states
    with torch.enable_grad():
        states = [state.unsqueeze(0) for state in tensors[1:end]]
    grads = step.widened_some(grads)
    of_last = [None if grad is None else grad.unsqueeze(0) for grad in grads[1:]]
    found = fused.eager_gradients(
        job, fused.run_eagerly, needed, (tensors[0], *states, *tensors[end:]), (grads[0], None, *of_last)
    )
    flat = [*found[:1], *[None if grad is None else grad.squeeze(0) for grad in found[1:end]], *found[end:]]
    return [None if grad is None else grad.to(step.dtype) for grad in flat]
