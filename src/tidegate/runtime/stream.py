"""A stack of layers that goes on from where it was: weights packed once, states in place."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import torch

from tidegate.errors import InputError
from tidegate.runtime.call import Job, aligned, buffer, packed_call
from tidegate.runtime.library import load
from tidegate.runtime.rows import Steps
from tidegate.runtime.shape import check_parameters
from tidegate.runtime.sized import DTYPES, SizedCell
from tidegate.runtime.structure import CALL_FIELDS

BFLOAT16 = 2  # the engine's number for float32 with matrices packed as bfloat16
X, Y = CALL_FIELDS, CALL_FIELDS + 1  # places of their addresses in a call


class Stream:
    """Runs a stack of layers of one cell in one direction, on one thread for single steps.

    Args:
        cells: for each layer the cell with its widths.
        parameters: for each layer, as the cell names them.
        sequences: how many sequences it follows (B).
        weights: ``"bfloat16"`` for matrices in half the memory; None for the layer's own type.

    Raises:
        InputError: parameters of another shape than their cell reads.

    Attributes:
        states: for each state [L, B, width]; the engine reads and writes them in place.
    """

    def __init__(
        self,
        cells: Sequence[SizedCell],
        parameters: Sequence[Sequence[torch.Tensor]],
        sequences: int,
        weights: str | None = None,
    ) -> None:
        like = parameters[0][0]
        self.dtype = like.dtype
        self._type = _engine_type(like, weights)
        self.states = tuple(
            torch.zeros(len(cells), sequences, width, dtype=self.dtype) for width in cells[0].state_widths
        )
        once = Steps.uniform(1, sequences)
        jobs = [Job(cell, once, sequences, 1, None) for cell in cells]
        for k, (job, tensors) in enumerate(zip(jobs, parameters, strict=True)):
            check_parameters(job, tensors, k)
        self._layers = [
            _StreamLayer(job, tensors, self.states, k, self._type)
            for k, (job, tensors) in enumerate(zip(jobs, parameters, strict=True))
        ]

    def __reduce__(self) -> tuple[object, ...]:
        """Copies and pickles bind the engine anew: addresses hold in one place of one process."""
        cells, parameters = zip(*((layer.cell, layer.parameters) for layer in self._layers), strict=True)
        weights = "bfloat16" if self._type == BFLOAT16 else None
        return _rebuilt, (cells, parameters, self.states[0].shape[1], weights, self.states)

    def step(self, x: torch.Tensor) -> torch.Tensor:
        """[B, I] to [B, width]."""
        return self._through(x, 1)

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """[T, B, I] to [T, B, width]."""
        steps, sequences = x.shape[:2]
        if not steps:
            return x.new_zeros(0, sequences, self._layers[-1].width)
        return self._through(x.reshape(steps * sequences, -1), steps).view(steps, sequences, -1)

    def _through(self, rows: torch.Tensor, steps: int) -> torch.Tensor:
        if rows.dtype != self.dtype or not rows.is_cpu:
            raise InputError(
                "SESSION_DTYPE",
                f"the input is {rows.dtype} on {rows.device}, the session {self.dtype} on cpu",
                fix=f"pass x.to('cpu', {self.dtype})",
            )
        rows = rows if rows.is_contiguous() else rows.contiguous()
        for layer in self._layers:
            out = torch.empty(len(rows), layer.width, dtype=self.dtype)
            layer.run(rows, out, steps)
            rows = out
        return rows


def _rebuilt(
    cells: Sequence[SizedCell],
    parameters: Sequence[Sequence[torch.Tensor]],
    sequences: int,
    weights: str | None,
    states: Sequence[torch.Tensor],
) -> Stream:
    stream = Stream(cells, parameters, sequences, weights)
    for own, state in zip(stream.states, states, strict=True):
        own.copy_(state)
    return stream


def _engine_type(like: torch.Tensor, weights: str | None) -> int:
    if like.dtype not in DTYPES or not like.is_cpu:
        raise InputError(
            "SESSION_LAYER",
            f"the layer is {like.dtype} on {like.device}; a session runs float32 and float64 on the CPU",
            fix="convert it: layer.float().cpu()",
        )
    own = str(like.dtype).removeprefix("torch.")
    if weights in (None, own):
        return DTYPES[like.dtype][1]
    if weights == "bfloat16" and like.dtype == torch.float32:
        return BFLOAT16
    allowed = "'float32' or 'bfloat16'" if own == "float32" else f"'{own}'"
    raise InputError("SESSION_WEIGHTS", f"weights={weights!r} for a layer of {own}", fix=f"pass {allowed}")


class _StreamLayer:
    """One layer, bound to its packed weights and its states."""

    def __init__(
        self, job: Job, parameters: Sequence[torch.Tensor], states: Sequence[torch.Tensor], index: int, kind: int
    ) -> None:
        self._engine, self._type, self._job = load().engine, kind, job
        self.cell, self.width = job.cell, job.cell.output_width
        self._plan = job.cell.forward_plan(parameters[0].dtype, saving=False)
        self.parameters = [parameter.detach().clone().contiguous() for parameter in parameters]
        self._input_width = job.cell.widths["I"]
        places = [(state[index].data_ptr(), state.stride(1)) for state in states]
        bound = [(0, self._input_width), (0, self.width), (0, 0), *places, *places]
        bound += [(parameter.data_ptr(), 0) for parameter in self.parameters]
        self._addresses = [address for address, _ in bound]
        self._strides = [stride for _, stride in bound]
        self._single: _Bound | None = None  # the last call of one step, and that of several
        self._several: _Bound | None = None
        self._packed = self._pack()

    def _pack(self) -> torch.Tensor:
        bound = self._bind(1, 1, packed=0)
        address = bound.words.buffer_info()[0]
        self._engine.tg_pack(address, self._type)
        size = int(self._engine.tg_packed(address, self._type))
        packed = buffer(size)
        at, to = (aligned(memory.data_ptr()) - memory.data_ptr() for memory in (bound.workspace, packed))
        packed[to : to + size] = bound.workspace[at : at + size]
        return packed

    def _bind(self, steps: int, threads: int, *, packed: int) -> _Bound:
        job = self._job._replace(steps=Steps.uniform(steps, self._job.sequences))
        call = (job, self._plan, self._addresses, self._strides)
        workspace = buffer(self._engine.tg_workspace(packed_call(*call, packed=packed), self._type, threads))
        words = array("q", packed_call(*call, packed=packed, workspace=aligned(workspace.data_ptr())))
        return _Bound(words, threads, workspace, job)

    def run(self, x: torch.Tensor, y: torch.Tensor, steps: int) -> None:
        threads = 1 if steps == 1 and self._job.sequences == 1 else torch.get_num_threads()
        bound = self._single if steps == 1 else self._several
        if bound is None or bound.threads != threads or bound.job.steps.count != steps:
            bound = self._bind(steps, threads, packed=aligned(self._packed.data_ptr()))
            if steps == 1:
                self._single = bound
            else:
                self._several = bound
        bound.words[X] = x.data_ptr()
        bound.words[Y] = y.data_ptr()
        self._engine.tg_run(bound.words.buffer_info()[0], 1, self._type, threads)


class _Bound(NamedTuple):
    """A call and what it points to."""

    words: array[int]
    threads: int
    workspace: torch.Tensor
    job: Job
