"""A stack of layers with weights that are packed once, whose states stay in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.runtime.call import forward_strides
from tidegate.runtime.delta import Delta, DeltaMemory, Sent, share_sent
from tidegate.runtime.job import Job
from tidegate.runtime.prepared import Binding, PreparedCall
from tidegate.runtime.rows import Steps
from tidegate.runtime.shape import check_parameters
from tidegate.runtime.sized import SizedCell
from tidegate.runtime.structure import NativePlan
from tidegate.runtime.units import in_units, input_units

MOST_COLUMNS = 66_000  # of an int8 matrix: 255 * 127 * this is below 2^31
MOST_CALLS = 16  # numbers of steps for which a layer keeps its call


class Stream:
    """Runs a stack of layers of one cell from the states that it holds, on one thread for single steps.

    Args:
        cells: for each layer the cell with its widths and the type of its products, the same for all.
        parameters: for each layer, without what is given; those of a second direction follow.
        sequences: how many sequences it follows (B).
        delta: thresholds below which a change is not multiplied; None, or both 0, to multiply everything.

    Raises:
        InputError: parameters of another shape than their cell reads, or of a type or device that the engine does not
            run.

    Attributes:
        states: for each state [L*D, B, width]; the engine reads and writes them in place.
    """

    def __init__(
        self,
        cells: Sequence[SizedCell],
        parameters: Sequence[Sequence[torch.Tensor]],
        sequences: int,
        delta: Delta | None = None,
    ) -> None:
        like = parameters[0][0]
        self.dtype, self._sequences, self._delta = like.dtype, sequences, delta or Delta(0.0, 0.0)
        kind = _engine_kind(cells[0], like)
        directions = len(parameters[0]) // len(cells[0].parameters)
        self.states = tuple(
            like.new_zeros(len(cells) * directions, sequences, width) for width in cells[0].state_widths
        )
        steps = Steps.uniform(1, sequences)
        jobs = [Job(cell, steps, sequences, directions, None, deeper=k > 0) for k, cell in enumerate(cells)]
        for k, (job, tensors) in enumerate(zip(jobs, parameters, strict=True)):
            check_parameters(job, tensors, k, alone=True)
        deeper = self._delta._replace(inputs=self._delta.states)  # which read states of the layer below
        units = input_units(cells[0], parameters[0]) if cells[0].products == "int8" else None
        self._share = None if units is None else 1 / units
        self._layers = [
            _StreamLayer(
                *(job, tensors, [state[k * directions :] for state in self.states], kind),
                *((deeper, None) if k else (self._delta, units)),
            )
            for k, (job, tensors) in enumerate(zip(jobs, parameters, strict=True))
        ]
        self._rows = 0  # that went through the stack

    def __reduce__(self) -> tuple[object, ...]:
        """Copies and pickles bind the engine anew: addresses hold in one place of one process."""
        cells, parameters = zip(*((layer.cell, layer.parameters) for layer in self._layers), strict=True)
        memory = [(own.rows, own.sent) for layer in self._layers for own in layer.memory]
        states = self.states, memory, self._rows
        return _rebuilt, ((cells, parameters, self.states[0].shape[1], self._delta), *states)

    @property
    def sent(self) -> Sent:
        """Which share of the multiplications was made, in all steps so far."""
        inputs, *others = [layer.made(self._rows, kind) for layer in self._layers for kind in (0, 1)]
        return share_sent(inputs, (sum(part for part, _ in others), sum(whole for _, whole in others)))

    @property
    def packed_bytes(self) -> int:
        """Of the matrices and biases that a step reads."""
        return sum(layer.packed_bytes for layer in self._layers)

    def forget(self, rows: torch.Tensor | None = None) -> None:
        """Forget what was sent, of some sequences or of all: their states are those of a beginning."""
        for memory in self._memories():
            memory.reset(rows)

    def start_afresh(self) -> None:
        """Make all sums afresh at the next step, as somebody wrote other states."""
        for memory in self._memories():
            memory.start_afresh()

    def _memories(self) -> list[DeltaMemory]:
        return [memory for layer in self._layers for memory in layer.memory]

    def step(self, x: torch.Tensor, given: Sequence[torch.Tensor] = ()) -> torch.Tensor:
        """[B, I] to [B, width], with what is given [B, width]; [I] counts as [1, I]."""
        return self._through(x, 1, given)

    def run(self, x: torch.Tensor, given: Sequence[torch.Tensor] = ()) -> torch.Tensor:
        """[T, B, I] to [T, B, width], with what is given [T, B, width]."""
        steps, sequences = x.shape[:2]
        if not steps:
            return x.new_zeros(0, sequences, self._layers[-1].width)
        beside = [value.flatten(0, 1) for value in given]
        return self._through(x.reshape(steps * sequences, -1), steps, beside).view(steps, sequences, -1)

    def _through(self, rows: torch.Tensor, steps: int, given: Sequence[torch.Tensor]) -> torch.Tensor:
        rows = self._readable(rows, "the input")
        rows = rows if self._share is None else rows * self._share
        given = [self._readable(value, "what is given") for value in given] if given else ()
        count = steps * self._sequences
        self._rows += count
        for layer in self._layers:
            out = rows.new_empty(count, layer.width)
            layer.run(rows, out, steps, given)
            rows = out
        return rows

    def _readable(self, rows: torch.Tensor, what: str) -> torch.Tensor:
        """Rows as the engine reads them."""
        if rows.dtype != self.dtype or not rows.is_cpu:
            raise InputError(
                "SESSION_DTYPE",
                f"{what} is {rows.dtype} on {rows.device}, the session {self.dtype} on cpu",
                fix=f"pass x.to('cpu', {self.dtype})",
            )
        return rows if rows.is_contiguous() else rows.contiguous()


def _rebuilt(
    arguments: tuple[Any, ...],
    states: Sequence[torch.Tensor],
    memories: Sequence[tuple[torch.Tensor, torch.Tensor]],
    rows: int,
) -> Stream:
    stream = Stream(*arguments)
    for own, state in zip(stream.states, states, strict=True):
        own.copy_(state)
    for memory, (remembered, sent) in zip(stream._memories(), memories, strict=True):  # noqa: SLF001
        memory.rows.copy_(remembered)
        memory.sent.copy_(sent)
    stream._rows = rows  # noqa: SLF001
    return stream


def _engine_kind(cell: SizedCell, like: torch.Tensor) -> int:
    """The engine's number for a cell with tensors like this."""
    kind = cell.kind(like.dtype)
    widest = max(cell.widths.values())
    if cell.products == "int8" and widest > MOST_COLUMNS:
        raise InputError(
            "SESSION_WEIGHTS",
            f"{cell.graph.name} has matrices of up to {widest:,} columns; sums in int8 have room for {MOST_COLUMNS:,}",
            fix="pass weights='bfloat16'",
        )
    if kind is None or not like.is_cpu:
        products = f" with products in {cell.products}" if cell.products else ""
        raise InputError(
            "SESSION_LAYER",
            f"the layer is {like.dtype} on {like.device}{products}; a session runs float32 with any type of products, "
            "and float64, on the CPU",
            fix="convert it: layer.float().cpu()",
        )
    return kind


class _StreamLayer:
    """One layer, bound to its packed weights and its states.

    Args:
        job: the layer.
        parameters: of all directions; they are copied.
        states: for each state [directions or more, B, width].
        kind: the engine's number of the type.
        delta: thresholds.
        units: of its input, see ``units``; None for 1.

    Attributes:
        memory: of each direction, where a threshold is more than 0.
    """

    def __init__(
        self,
        job: Job,
        parameters: Sequence[torch.Tensor],
        states: Sequence[torch.Tensor],
        kind: int,
        delta: Delta,
        units: torch.Tensor | None,
    ) -> None:
        self._job, self.cell = job, job.cell
        self.width = job.directions * job.cell.output_width
        self.parameters = [parameter.detach().clone().contiguous() for parameter in parameters]
        plan = self._plan(parameters[0].dtype, delta)
        strides = forward_strides(job.cell, job.cell.features, self.width, plan)
        addresses = [memory.address for memory in self.memory] or [0] * job.directions
        self._bindings = [
            Binding(job, plan, strides, kind, descending=d > 0, delta=own) for d, own in enumerate(addresses)
        ]
        count, size = len(job.cell.parameters), parameters[0].element_size()
        self._given = len(job.cell.graph.given)
        self._behind = job.cell.output_width * size  # from a row of the first direction's output to the second's

        def addresses_of(tensors: Sequence[torch.Tensor], d: int) -> list[int]:
            places = [state[d].data_ptr() for state in states]
            own = [tensor.data_ptr() for tensor in tensors[d * count : (d + 1) * count]]
            return [0, 0, 0, *places, *places, *own, *[0] * self._given]

        scaled = in_units(job.cell, self.parameters, units)  # as they are packed
        self._packed = [binding.pack(addresses_of(scaled, d)) for d, binding in enumerate(self._bindings)]
        self._addresses = [addresses_of(self.parameters, d) for d in range(job.directions)]
        self._calls: dict[tuple[int, int], PreparedCall] = {}

    def _plan(self, dtype: torch.dtype, delta: Delta) -> NativePlan:
        cell, count = self.cell, len(self.cell.parameters)
        self.memory: list[DeltaMemory] = []
        plan, remembered = cell.delta_plan(dtype, inputs=delta.inputs > 0, states=delta.states > 0)
        self._multiplications, self._delta = remembered.multiplications, delta
        if not any(delta):
            return cell.forward_plan(dtype, saving=False)
        for d in range(self._job.directions):
            own = dict(zip(cell.parameters, self.parameters[d * count : (d + 1) * count], strict=True))
            self.memory.append(DeltaMemory(remembered, own, self._job.sequences, delta))
        return plan

    @property
    def packed_bytes(self) -> int:
        """Of its matrices and biases as a step reads them."""
        return sum(memory.nbytes for memory in self._packed)

    def made(self, rows: int, kind: int) -> tuple[int, int]:
        """In so many rows: multiplications that were made of operands of this kind, and all."""
        whole = rows * self._job.directions * self._multiplications[kind]
        return sum(memory.made(kind) for memory in self.memory) if self._delta[kind] else whole, whole

    def run(self, x: torch.Tensor, y: torch.Tensor, steps: int, given: Sequence[torch.Tensor]) -> None:
        alone = steps == 1 and self._job.sequences == self._job.directions == 1
        threads = 1 if alone else torch.get_num_threads()
        call = self._calls.get((steps, threads)) or self._prepare(steps, threads)
        rows, to = x.data_ptr(), y.data_ptr()
        both: tuple[tuple[int, ...], ...] = (rows, to), (rows, to + self._behind)
        ends = both[: len(self._bindings)]
        if given:
            beside = [value.data_ptr() for value in given]
            ends = tuple(
                (*end, *own[2 : -self._given], *beside) for end, own in zip(ends, self._addresses, strict=True)
            )
        call.run(ends)

    def _prepare(self, steps: int, threads: int) -> PreparedCall:
        job = self._job._replace(steps=Steps.uniform(steps, self._job.sequences))
        bindings = [binding._replace(job=job) for binding in self._bindings]
        if len(self._calls) == MOST_CALLS:
            self._calls.clear()
        varying = len(self._addresses[0]) if self._given else 2
        call = self._calls[steps, threads] = PreparedCall(
            bindings, threads, self._addresses, varying, self._packed, keep=True
        )
        return call
