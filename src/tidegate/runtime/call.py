"""Calls of the engine: tensors bound to a plan, forward and backward."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.runtime.library import load
from tidegate.runtime.plan import CALL_FIELDS, Compiled, Plan, backward_plan, forward_plan
from tidegate.spec import Graph
from tidegate.spec.parameter import parameter_shapes

DTYPES = {torch.float32: ("f32", 4), torch.float64: ("f64", 8)}
ALIGNMENT = 64
LARGE_BYTES = 8 << 20
WORKSPACE = 8  # its place among the fields of a call
NOTHING = (0, 0)  # address and stride of a tensor that is not there

Tensors = tuple[torch.Tensor, ...]
Widths = tuple[tuple[str, int], ...]
Bound = list[tuple[int, int]]  # address and stride from row to row of each tensor


@lru_cache(maxsize=256)
def compiled(graph: Graph) -> Compiled:
    """The programs of a cell."""
    return Compiled(graph)


@lru_cache(maxsize=512)
def _forward_plan(graph: Graph, widths: Widths, dtype: torch.dtype, saving: bool) -> Plan:
    cell = compiled(graph)
    return forward_plan(cell, dict(widths), DTYPES[dtype][0], load().function(cell.source), saving=saving)


@lru_cache(maxsize=512)
def _backward_plan(graph: Graph, widths: Widths, dtype: torch.dtype, input_gradient: bool) -> Plan:
    cell = compiled(graph)
    function = load().function(cell.source)
    return backward_plan(cell, dict(widths), DTYPES[dtype][0], function, input_gradient=input_gradient)


class Steps:
    """How many sequences run at each step, as the engine reads it."""

    def __init__(self, sizes: NDArray[np.int64]) -> None:
        self.sizes = sizes
        self.offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        self.count = len(sizes)
        self.even = not len(sizes) or bool(sizes[0] == sizes[-1])  # they never grow
        self.addresses = (self.sizes.ctypes.data, self.offsets.ctypes.data)


@lru_cache(maxsize=64)
def _even_steps(steps: int, size: int) -> Steps:
    return Steps(np.full(steps, size, np.int64))


def steps_of(sizes: Sequence[int]) -> Steps:
    """``sizes`` holds for each step how many sequences still run."""
    if not sizes or sizes[0] == sizes[-1]:
        return _even_steps(len(sizes), sizes[0] if sizes else 0)
    return Steps(np.asarray(sizes, np.int64))


class Task(NamedTuple):
    """One layer in one or two directions, apart from its tensors.

    Attributes:
        graph: the cell.
        widths: pairs of axis and width.
        steps: of the sequences.
        sequences: how many there are, those of no steps included.
        directions: 1, or 2 where a second set of parameters runs from the end.
        resets: for each row 1 where all states are zeros before it, uint8; or None.
    """

    graph: Graph
    widths: Widths
    steps: Steps
    sequences: int
    directions: int
    resets: torch.Tensor | None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters of one direction."""
        return parameter_names(self.graph, self.widths)

    @property
    def output_width(self) -> int:
        return state_widths(self.graph, self.widths)[0]


def forward_plan_of(task: Task, dtype: torch.dtype, *, saving: bool) -> Plan:
    """Made once for a cell, its widths and a dtype."""
    return _forward_plan(task.graph, task.widths, dtype, saving)


@lru_cache(maxsize=256)
def parameter_names(graph: Graph, widths: Widths) -> tuple[str, ...]:
    """Of one direction of a layer."""
    return tuple(parameter_shapes(graph, dict(widths)))


@lru_cache(maxsize=256)
def state_widths(graph: Graph, widths: Widths) -> tuple[int, ...]:
    """The width of each state."""
    return tuple(dict(widths)[state.axis] for state in graph.states)


def _matrix(tensor: torch.Tensor, column: int = 0) -> tuple[int, int]:
    """A matrix from a column on."""
    return tensor.data_ptr() + column * tensor.element_size(), tensor.stride(0)


def _part(tensor: torch.Tensor, index: int) -> tuple[int, int]:
    """One of the matrices that lie behind each other in a tensor [n, rows, width]."""
    return tensor.data_ptr() + index * tensor.stride(0) * tensor.element_size(), tensor.stride(1)


def _whole(tensor: torch.Tensor) -> tuple[int, int]:
    return tensor.data_ptr(), 0


def call_fields(
    task: Task,
    plan: Plan,
    addresses: array[int],
    strides: array[int],
    *,
    workspace: int = 0,
    packed: int = 0,
    descending: bool = False,
    backward: bool = False,
) -> tuple[int, ...]:
    """One ``tg_call``."""
    return (
        plan.address,
        task.steps.count,
        task.sequences,
        *task.steps.addresses,
        0 if task.resets is None else task.resets.data_ptr(),
        addresses.buffer_info()[0],
        strides.buffer_info()[0],
        workspace,
        packed,
        descending,
        backward,
    )


def _run(task: Task, plan: Plan, bound: Sequence[Bound], dtype: torch.dtype, *, backward: bool) -> None:
    """Run all directions in one call of the engine."""
    engine, threads, size = load().engine, torch.get_num_threads(), DTYPES[dtype][1]
    calls = array("q")
    alive: list[object] = []
    for direction, tensors in enumerate(bound):
        addresses = array("q", [address for address, _ in tensors])
        strides = array("q", [stride for _, stride in tensors])
        descending = (direction == 1) != backward
        calls.extend(call_fields(task, plan, addresses, strides, descending=descending, backward=backward))
        alive += (addresses, strides)
    address = calls.buffer_info()[0]
    need = _workspace(task, plan, address, size, threads)
    for direction in range(len(bound)):
        room = torch.empty(need + ALIGNMENT, dtype=torch.uint8)
        calls[direction * CALL_FIELDS + WORKSPACE] = -(-room.data_ptr() // ALIGNMENT) * ALIGNMENT
        alive.append(room)
    engine.tg_run(address, len(bound), size, threads)


def _workspace(task: Task, plan: Plan, call: int, size: int, threads: int) -> int:
    """Bytes; the same for all calls of even length, which are remembered."""
    if not task.steps.even:
        return int(load().engine.tg_workspace(call, size, threads))
    key = (task.steps.count, task.sequences, threads)
    if key not in plan.workspaces:
        plan.workspaces[key] = int(load().engine.tg_workspace(call, size, threads))
    return plan.workspaces[key]


def _large(tensor: torch.Tensor) -> torch.Tensor:
    """The same tensor, with its memory in large pages where it is large and fresh."""
    if tensor.nbytes >= LARGE_BYTES:
        load().engine.tg_large_pages(tensor.data_ptr(), tensor.nbytes)
    return tensor


class Forward(NamedTuple):
    """What a forward run leaves.

    Attributes:
        output: [rows, directions * width].
        last: for each state [directions, B, width].
        saved: [directions, rows, saved width], if it was asked for.
    """

    output: torch.Tensor
    last: Tensors
    saved: torch.Tensor | None


def forward(
    task: Task, x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor], *, saving: bool
) -> Forward:
    """Run a layer.

    Args:
        task: the layer.
        x: the input, rows without padding.
        first: for each state [directions, B, width]; None for zeros.
        parameters: those of the first direction, then those of the second.
        saving: keep what a backward run needs.
    """
    plan = forward_plan_of(task, x.dtype, saving=saving)
    output = x.new_empty(len(x), task.directions * task.output_width)
    last = tuple(x.new_empty(task.directions, task.sequences, width) for width in state_widths(task.graph, task.widths))
    saved = _large(x.new_empty(task.directions, len(x), plan.saved_width)) if saving else None
    count = len(parameters) // task.directions
    bound = []
    for d in range(task.directions):
        tensors = [_matrix(x), _matrix(output, d * task.output_width), NOTHING if saved is None else _part(saved, d)]
        tensors += [NOTHING] * len(last) if first is None else [_part(state, d) for state in first]
        tensors += [_part(state, d) for state in last]
        tensors += [_whole(parameter) for parameter in parameters[d * count : (d + 1) * count]]
        bound.append(tensors)
    _run(task, plan, bound, x.dtype, backward=False)
    return Forward(output, last, saved)


class Gradients(NamedTuple):
    """Of the input (if asked for), of the first states (if there were any) and of the parameters."""

    x: torch.Tensor | None
    first: Tensors | None
    parameters: Tensors


def backward(
    task: Task,
    x: torch.Tensor,
    first: Tensors | None,
    parameters: Sequence[torch.Tensor],
    done: Forward,
    d_output: torch.Tensor | None,
    d_last: Sequence[torch.Tensor | None],
    *,
    input_gradient: bool,
) -> Gradients:
    """The gradients of a run, given those of its output and last states (None for zeros)."""
    assert done.saved is not None
    plan = _backward_plan(task.graph, task.widths, x.dtype, input_gradient)
    fresh = torch.zeros_like if len(x) == 0 else torch.empty_like  # without rows nothing is written
    d_x = [fresh(x) if input_gradient else None for _ in range(task.directions)]
    d_first = tuple(
        x.new_empty(task.directions, task.sequences, width) for width in state_widths(task.graph, task.widths)
    )
    d_parameters = tuple(fresh(parameter) for parameter in parameters)
    d_output = x.new_zeros(1, done.output.shape[1]).expand_as(done.output) if d_output is None else d_output
    d_output = d_output if d_output.stride(1) == 1 else d_output.contiguous()
    d_ends = [None if d is None else d.contiguous() for d in d_last]
    count = len(parameters) // task.directions
    bound = []
    for d in range(task.directions):
        at, of_input = d * task.output_width, d_x[d]
        tensors = [_matrix(x), _matrix(done.output, at), _part(done.saved, d), _matrix(d_output, at)]
        tensors.append(NOTHING if of_input is None else _matrix(of_input))
        tensors += [NOTHING] * len(d_first) if first is None else [_part(state, d) for state in first]
        tensors += [NOTHING if end is None else _part(end, d) for end in d_ends]
        tensors += [_part(state, d) for state in d_first]
        own = slice(d * count, (d + 1) * count)
        tensors += [_whole(p) for p in parameters[own]] + [_whole(p) for p in d_parameters[own]]
        bound.append(tensors)
    _run(task, plan, bound, x.dtype, backward=True)
    total = d_x[0]
    if total is not None and task.directions == 2 and (other := d_x[1]) is not None:
        total = total.add_(other)
    return Gradients(total, None if first is None else d_first, d_parameters)
