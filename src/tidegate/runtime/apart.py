"""Backward runs that make no gradients of parameters, but keep what the gradients of each sequence are made of."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property, partial
from typing import Any

import torch

from tidegate.errors import BackendError, InputError
from tidegate.runtime.call import ADDRESS, Forward, backward, forward, parts_of, row_stride, run_plan
from tidegate.runtime.job import Job, Tensors, aligned, buffer, packed_call
from tidegate.runtime.library import load
from tidegate.runtime.watch import Block, WatchedRun, block, operand_at


class Withheld:
    """One call of one layer inside ``withhold``: its gradients, of each sequence by itself or as a weighted sum.

    Sequences have the caller's order. A backward run makes what the methods read; another one takes its place.

    Attributes:
        job: the layer.
        parameters: the tensors that it read, direction after direction, each in the order of the cell. Autograd knows
            how they were made, but the layer is cut from that: nothing flows back to them.
        sequences: how many there are.
    """

    def __init__(self, job: Job, parameters: Sequence[torch.Tensor]) -> None:
        own, count = len(job.cell.parameters), len(job.cell.names)
        self.job, self.sequences = job._replace(restore=None, watch=None), job.sequences
        self.parameters = tuple([p for k, p in enumerate(parameters) if k % count < own])
        self._rows = [p.detach() for p in parameters]  # all tensors of both directions, rows beside the input too
        self._run: WatchedRun | None = None
        self._made: dict[Hashable, torch.Tensor] = {}
        self._versions: list[tuple[torch.Tensor, int]] = []

    def keep(self, run: WatchedRun) -> None:
        """Take what a backward run read and wrote."""
        self._run, self._made = run, {}
        read = (run.x, run.output, *(run.first or ()))
        self._versions = [(tensor, tensor._version) for tensor in read]  # noqa: SLF001  torch offers no other way

    @property
    def ran(self) -> bool:
        """Whether a backward run came here: where nothing depends on the call, there is none."""
        return self._run is not None and self.job.steps.rows > 0

    def square_norms(self, wanted: Sequence[Sequence[bool]]) -> torch.Tensor:
        """The squared norm of what each of ``SizedCell.gradients`` adds, of each sequence.

        A tile of the gradient of one sequence is added up in registers, squared there, and forgotten.

        Args:
            wanted: for each direction and each of these whether it is; else it is zero or not.

        Returns:
            [directions, summands, sequences] float64.
        """
        squares = torch.zeros(self.job.directions, len(wanted[0]), self.sequences, dtype=torch.float64)
        if self.ran:
            engine, kind, threads = load().engine, self.job.cell.kind(self._known.x.dtype), torch.get_num_threads()
            plan, weights = self.job.cell.gradient_plan(self._known.x.dtype), self._known.x.new_ones(self.sequences)
            for d, asked in enumerate(wanted):
                addresses = self._addresses(d, weights, [0] * len(self.job.cell.parameters))
                call = partial(packed_call, self.job, plan, addresses, self._strides(), descending=not d, backward=True)
                memory = buffer(engine.tg_norms_workspace(call(), kind, threads))
                words, bytes_of = call(workspace=aligned(memory.data_ptr())), bytes(asked)
                engine.tg_norms(words, kind, threads, bytes_of, squares[d].data_ptr())
                for number in range(self._by_engine, len(asked)):
                    squares[d, number] = self._tally(d, number).double().square().sum(1)
        return squares if self.job.order is None else squares.index_select(-1, self.job.order.argsort())

    def weighted(self, weights: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The sum over sequences b of ``weights[b]`` times the gradient of b, of each of ``parameters``.

        With weights of one it has the bits that a plain backward run gives (except of a cell that runs unit by unit,
        whose roundings may differ).

        Args:
            weights: [sequences].
        """
        if not self.ran:
            return tuple([torch.zeros_like(p, requires_grad=False) for p in self.parameters])
        known, cell = self._known, self.job.cell
        weights = weights.to(known.x.dtype)
        weights = (weights if self.job.order is None else weights.index_select(0, self.job.order)).contiguous()
        made = [torch.empty_like(p, requires_grad=False) for p in self.parameters]
        own = len(cell.parameters)
        bound = [
            self._addresses(d, weights, [*map(ADDRESS, made[d * own : (d + 1) * own])])
            for d in range(self.job.directions)
        ]
        plan, strides = cell.gradient_plan(known.x.dtype), self._strides()
        varying = (strides[0], strides[3])
        run_plan(self.job, plan, self._rows, bound, varying, lambda: strides, backward=True)
        summands = cell.gradients
        for d in range(self.job.directions):
            for number in range(self._by_engine, len(summands.tensors)):
                of = made[d * own + cell.parameters.index(summands.tensors[number])]
                of[summands.places[number]] = weights @ self._tally(d, number)
        return tuple(made)

    def zeros_stay(self, number: int) -> bool:
        """Whether of this parameter only what is not zero has a gradient."""
        cell = self.job.cell
        return cell.parameters[number % len(cell.parameters)] in cell.zeros_stay

    def adjoint(self, d: int, number: int) -> torch.Tensor:
        """What this one of ``SizedCell.gradients`` adds up in direction d, [T, B, rows].

        Zeros after the end of a sequence. Those of the same columns are the same tensor. What is tallied has one step.
        """
        columns = self.job.cell.gradients.columns[number]
        if number >= self._by_engine:
            sums = self._tally(d, number)
            return (sums if self.job.order is None else sums[self.job.order.argsort()]).unsqueeze(0)
        key = d, columns.start, columns.stop
        return self._laid(key, lambda: self._known.series[d].chunk[:, columns])

    def operand(self, d: int, number: int) -> torch.Tensor | None:
        """What a matrix was applied to in direction d, [T, B, columns]; None for a sum."""
        matrices = self.job.cell.gradients.matrices
        if number >= len(matrices):
            return None
        columns, at = matrices[number].columns, matrices[number].operand
        return self._laid((d, at, columns), lambda: operand_at(self._known, at, columns, d))

    @property
    def _by_engine(self) -> int:
        """How many summands are made of the chunk."""
        summands = self.job.cell.gradients
        return len(summands.matrices) + len(summands.sums)

    def _tally(self, d: int, number: int) -> torch.Tensor:
        """Columns of the tally of direction d, [B, width], in the order of the rows."""
        return self._known.series[d].tally[0][:, self.job.cell.gradients.columns[number]]

    @property
    def _known(self) -> WatchedRun:
        assert self._run is not None
        for tensor, version in self._versions:
            if tensor._version != version:  # noqa: SLF001
                raise InputError(
                    "WITHHELD",
                    "the input, the output or a first state of a layer was changed in place after its backward run",
                    fix="read the gradients first",
                )
        return self._run

    def _laid(self, key: Hashable, rows: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Rows in the caller's order, padded; made once."""
        if key not in self._made:
            values, steps = rows(), self.job.steps
            shape = (steps.count, self.sequences)
            if not (steps.even and steps.widest == self.sequences and self.job.order is None):
                padded = values.new_zeros(steps.count * self.sequences, values.shape[-1])
                values = padded.index_copy_(0, self._places, values)
            self._made[key] = values.unflatten(0, shape)
        return self._made[key]

    @cached_property
    def _places(self) -> torch.Tensor:
        """For each row its place among T * B."""
        steps = self.job.steps
        step = torch.arange(steps.count).repeat_interleave(torch.from_numpy(steps.sizes))
        sequence = torch.arange(steps.rows) - torch.from_numpy(steps.offsets)[step]
        sequence = sequence if self.job.order is None else self.job.order[sequence]
        return step * self.sequences + sequence

    def _addresses(self, d: int, weights: torch.Tensor, gradients: Sequence[int]) -> list[int]:
        """Of the tensors of direction d, as ``emit.planner.gradient_plan`` names them."""
        run, cell = self._known, self.job.cell
        output = run.output.data_ptr() + d * cell.output_width * run.output.element_size()
        first = run.first or (None,) * len(cell.state_widths)
        series = run.x.data_ptr(), output, *parts_of(d, (run.saved,)), run.series[d].chunk.data_ptr()
        count = len(cell.names)
        rows = map(ADDRESS, self._rows[d * count : (d + 1) * count])
        return [*series, weights.data_ptr(), *parts_of(d, first), *rows, *gradients]

    def _strides(self) -> list[int]:
        run, cell = self._known, self.job.cell
        wide = self.job.directions * cell.output_width
        series = row_stride(run.x), wide, run.saved.shape[-1], run.series[0].chunk.stride(0), 1
        return [*series, *cell.state_widths, *cell.strides, *[0] * len(cell.parameters)]


class FirstStates:
    """Learned first states of a call inside ``withhold``: each sequence has its own copy, whose gradient is its own.

    Attributes:
        parameters: for each layer and direction what the layer learns.
        copies: [layers * directions, B, width], in the order of the rows of the call.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], values: torch.Tensor, order: torch.Tensor | None) -> None:
        self.parameters, self.copies = tuple(parameters), values.detach().requires_grad_()
        self._order, kept = order, list[torch.Tensor]()
        self._kept = kept
        self.copies.register_hook(lambda gradient: kept.__setitem__(slice(None), [gradient]))  # no cycle to this object

    @property
    def ran(self) -> bool:
        """Whether a backward run came here."""
        return bool(self._kept)

    @property
    def gradient(self) -> torch.Tensor:
        """Of the copies, by the last backward run, in the caller's order."""
        found = self._kept[0] if self._kept else torch.zeros_like(self.copies, requires_grad=False)
        return found if self._order is None else found.index_select(1, self._order.argsort())

    def weighted(self, weights: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """As ``Withheld.weighted``."""
        return torch.einsum("b,lbw->lw", weights.to(self.gradient.dtype), self.gradient).unbind()


Entry = Withheld | FirstStates
_entries: ContextVar[list[Entry] | None] = ContextVar("withheld", default=None)


@contextmanager
def withhold() -> Iterator[list[Entry]]:
    """Make no gradients of the parameters of layers that are called inside this block, but keep what they are made of.

    A backward run then costs one product of each matrix less. The calls give squared norms of the gradients of each
    sequence, and sums of these gradients with weights, which cost that product. Gradients of inputs and of states
    that are passed to a layer are as always.

    Yields:
        A list that gets one ``Withheld`` for each layer of each call that is recorded for autograd and has a parameter
        that wants a gradient, in the order of the calls; before those of a layer that learns its first states a
        ``FirstStates`` for each state. The backward run may be inside the block or behind it.

    Raises:
        InputError, BackendError: inside the block, for a call that the engine cannot run, that multiplies in half
            precision, or that torch compiles or transforms; see ``strict``.
    """
    entries: list[Entry] = []
    token = _entries.set(entries)
    try:
        with block(Block([], apart=True)):
            yield entries
    finally:
        _entries.reset(token)


def withheld_by() -> list[Entry] | None:
    """The list of the block of ``withhold`` that this thread is in."""
    return _entries.get()


def begin_with(learned: Sequence[torch.Tensor], sequences: int, order: torch.Tensor | None) -> torch.Tensor:
    """First states [layers * directions, B, width] of what is learned; inside ``withhold`` copies, cut from that.

    Args:
        learned: for each layer and direction.
        sequences: how many there are.
        order: for each row of the call the caller's index of its sequence; None if that is the same.
    """
    values = torch.stack([*learned]).unsqueeze(1).expand(-1, sequences, -1)
    if torch.compiler.is_compiling():  # which traces no context; private training compiles no layer
        return values
    entries = _entries.get()
    if entries is None or not values.requires_grad:
        return values
    states = FirstStates(learned, values, order)
    entries.append(states)
    return states.copies


def run_apart(
    job: Job, x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor], entries: list[Entry]
) -> Tensors:
    """Output and last states by the engine, recorded for autograd as a function of the input and first states alone.

    Raises:
        BackendError: products are rounded, so that norms and sums of gradients would not agree.
    """
    if job.cell.products:
        raise BackendError(
            "WITHHELD",
            f"gradients that are withheld need products that are not rounded, but {job.cell.graph.name} multiplies in "
            f"{job.cell.products}",
            fix="run the layer in float32: layer.float(), outside of autocast",
        )
    call = Withheld(job, parameters)
    entries.append(call)
    token = torch.empty(0, requires_grad=True)  # autograd records what reads something that wants a gradient
    results: Tensors = _ApartLayer.apply(  # type: ignore[no-untyped-call]
        call, job, [p.detach() for p in parameters], token, x, *(first or ())
    )
    return results


class _ApartLayer(torch.autograd.Function):
    """A layer as one operation that has no gradients of parameters."""

    @staticmethod
    def forward(
        ctx: Any,
        call: Withheld,
        job: Job,
        parameters: list[torch.Tensor],
        token: torch.Tensor,
        x: torch.Tensor,
        *first: torch.Tensor,
    ) -> Any:
        del token
        forward_run = forward(job, x, first or None, parameters, saving=True)
        ctx.call, ctx.job = call, job
        ctx.save_for_backward(x, forward_run.output, forward_run.saved, *parameters, *first)
        ctx.set_materialize_grads(False)
        return (forward_run.output, *forward_run.last)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor | None) -> Any:
        batched = not all(grad is None or torch._C._has_storage(grad) for grad in grads)  # noqa: SLF001
        if batched or torch.is_grad_enabled():
            raise BackendError(
                "WITHHELD",
                "gradients that are withheld come from one plain backward run",
                fix="drop create_graph=True and is_grads_batched=True",
            )
        x, output, saved, *tensors = ctx.saved_tensors
        count = ctx.job.directions * len(ctx.job.cell.names)
        parameters, first = tensors[:count], tuple(tensors[count:]) or None
        gradients = backward(
            ctx.job, x, first, parameters, Forward(output, (), saved), grads[0], grads[1:],
            input_gradient=ctx.needs_input_grad[4], apart=True,
        )  # fmt: skip
        own = len(ctx.job.cell.parameters)
        given = [rows.detach() for rows in parameters[own : own + len(ctx.job.cell.graph.given)]]
        begun = None if first is None else tuple([state.detach() for state in first])
        ctx.call.keep(WatchedRun(ctx.call.job, x.detach(), begun, output.detach(), saved, gradients.series, given))
        return None, None, None, None, gradients.x, *(gradients.first or ())
