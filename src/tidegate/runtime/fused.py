"""The engine's path: layers run by fused kernels, forward and backward, as one operation of autograd."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.errors import TidegateError
from tidegate.passes import INPUT, OUTPUT, UPSTREAM
from tidegate.runtime import eager
from tidegate.runtime.eager import Rows, Tensors
from tidegate.runtime.library import load
from tidegate.runtime.plan import SAVED, CallStruct, Compiled, Plan, backward_plan, forward_plan
from tidegate.spec import Graph
from tidegate.spec.parameter import parameter_shapes

DTYPES = {torch.float32: ("f32", 4), torch.float64: ("f64", 8)}
ALIGNMENT = 64

Parameters = Mapping[str, torch.Tensor]


@lru_cache(maxsize=256)
def compiled(graph: Graph) -> Compiled:
    """The programs of a cell."""
    return Compiled(graph)


@lru_cache(maxsize=512)
def _forward(graph: Graph, widths: tuple[tuple[str, int], ...], dtype: str, saving: bool) -> Plan:
    cell = compiled(graph)
    return forward_plan(cell, dict(widths), dtype, load().function(cell.source), saving=saving)


@lru_cache(maxsize=512)
def _backward(graph: Graph, widths: tuple[tuple[str, int], ...], dtype: str, input_gradient: bool) -> Plan:
    cell = compiled(graph)
    return backward_plan(cell, dict(widths), dtype, load().function(cell.source), input_gradient=input_gradient)


@dataclass(frozen=True)
class Steps:
    """How many sequences run at each step, as the engine reads it."""

    sizes: NDArray[np.int64]
    offsets: NDArray[np.int64]


@lru_cache(maxsize=64)
def _even_steps(steps: int, size: int) -> Steps:
    return Steps(np.full(steps, size, np.int64), np.arange(steps + 1, dtype=np.int64) * size)


def steps_of(sizes: Sequence[int]) -> Steps:
    if not sizes or sizes[0] == sizes[-1]:  # they never grow
        return _even_steps(len(sizes), sizes[0] if sizes else 0)
    array = np.asarray(sizes, np.int64)
    return Steps(array, np.concatenate([np.zeros(1, np.int64), np.cumsum(array)]))


@dataclass(frozen=True)
class Task:
    """One layer in one or two directions, apart from its tensors."""

    graph: Graph
    widths: tuple[tuple[str, int], ...]
    steps: Steps
    sequences: int
    directions: int
    resets: torch.Tensor | None  # uint8, one for each row

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(parameter_shapes(self.graph, dict(self.widths)))


def _call(
    plan: Plan, task: Task, tensors: Mapping[str, tuple[int, int]], workspace: int, *, descending: bool, backward: bool
) -> tuple[Any, tuple[Any, ...]]:
    """The structure of one call, and what must live as long as it. Tensors are pairs of address and stride."""
    count = len(plan.tensors)
    found = [tensors[name] for name in plan.tensors]
    addresses = (ctypes.c_void_p * count)(*[address for address, _ in found])
    strides = (ctypes.c_int64 * count)(*[stride for _, stride in found])
    struct = CallStruct(
        plan=ctypes.addressof(plan.struct),
        steps=len(task.steps.sizes),
        sequences=task.sequences,
        sizes=task.steps.sizes.ctypes.data,
        offsets=task.steps.offsets.ctypes.data,
        resets=task.resets.data_ptr() if task.resets is not None else None,
        tensors=ctypes.addressof(addresses),
        strides=ctypes.addressof(strides),
        workspace=workspace,
        packed=None,
        descending=descending,
        resets_behind=backward,
    )
    return struct, (addresses, strides)


def _run(
    task: Task, plan: Plan, tensors: Sequence[Mapping[str, tuple[int, int]]], dtype: torch.dtype, *, backward: bool
) -> None:
    """Run all directions in one call of the engine."""
    library, threads = load(), torch.get_num_threads()
    _, size = DTYPES[dtype]
    calls = (CallStruct * task.directions)()
    alive: list[Any] = []
    for direction, bound in enumerate(tensors):
        descending = bool(direction) != backward
        calls[direction], kept = _call(plan, task, bound, 0, descending=descending, backward=backward)
        need = library.engine.tg_workspace(ctypes.addressof(calls[direction]), size, threads)
        room = torch.empty(need + ALIGNMENT, dtype=torch.uint8)
        calls[direction].workspace = -(-room.data_ptr() // ALIGNMENT) * ALIGNMENT
        alive += [kept, room]
    library.engine.tg_run(ctypes.addressof(calls), task.directions, size, threads)


def _place(tensor: torch.Tensor, offset: int = 0) -> tuple[int, int]:
    """Address and row stride of a matrix or vector."""
    return tensor.data_ptr() + offset * tensor.element_size(), tensor.stride(0) if tensor.dim() > 1 else 0


def _rows_contiguous(tensor: torch.Tensor) -> torch.Tensor:
    """The same tensor, or a copy if its rows are not each in one piece."""
    return (
        tensor if tensor.stride(-1) == 1 or (tensor.shape[-1] == 1 and tensor.is_contiguous()) else tensor.contiguous()
    )


@dataclass
class Forward:
    """What a forward run leaves."""

    output: torch.Tensor  # [rows, directions * width]
    last: Tensors  # for each state [directions, B, width]
    saved: torch.Tensor | None  # [directions, rows, saved width]


def forward(
    task: Task, x: torch.Tensor, first: Tensors, parameters: Sequence[torch.Tensor], *, saving: bool
) -> Forward:
    """Run a layer. ``first`` holds [directions, B, width] for each state; parameters follow each other by direction."""
    widths = dict(task.widths)
    dtype, _ = DTYPES[x.dtype]
    plan = _forward(task.graph, task.widths, dtype, saving)
    width, rows = widths[task.graph.output.axis], len(x)
    output = x.new_empty(rows, task.directions * width)
    last = tuple(x.new_empty(task.directions, task.sequences, widths[s.axis]) for s in task.graph.states)
    saved = x.new_empty(task.directions, rows, plan.saved_width) if saving else None
    names = task.names
    bound = []
    for d in range(task.directions):
        tensors = {INPUT: _place(x), OUTPUT: _place(output, d * width)}
        for state, a, b in zip(task.graph.states, first, last, strict=True):
            tensors[f"first {state.name}"] = _place(a[d])
            tensors[f"last {state.name}"] = _place(b[d])
        if saved is not None:
            tensors[SAVED] = _place(saved[d])
        own = parameters[d * len(names) : (d + 1) * len(names)]
        tensors |= {name: _place(p) for name, p in zip(names, own, strict=True)}
        bound.append(tensors)
    _run(task, plan, bound, x.dtype, backward=False)
    return Forward(output, last, saved)


def backward(
    task: Task,
    x: torch.Tensor,
    first: Tensors,
    parameters: Sequence[torch.Tensor],
    output: torch.Tensor,
    saved: torch.Tensor,
    d_output: torch.Tensor | None,
    d_last: Sequence[torch.Tensor | None],
    *,
    input_gradient: bool,
) -> tuple[torch.Tensor | None, Tensors, Tensors]:
    """The gradients of the input (if asked for), of the first states and of the parameters."""
    widths = dict(task.widths)
    dtype, _ = DTYPES[x.dtype]
    plan = _backward(task.graph, task.widths, dtype, input_gradient)
    width = widths[task.graph.output.axis]
    d_output = output.new_zeros(()).expand(output.shape) if d_output is None else d_output
    if d_output.stride(-1) != 1:
        d_output = d_output.contiguous()
    empty = not len(x)
    d_x = [
        torch.zeros_like(x) if empty else torch.empty_like(x, memory_format=torch.contiguous_format)
        for _ in range(task.directions)
    ]
    d_first = tuple(torch.empty_like(s, memory_format=torch.contiguous_format) for s in first)
    grads = tuple(torch.zeros_like(p) if empty else torch.empty_like(p) for p in parameters)
    d_ends = [torch.zeros_like(s) if d is None else d.contiguous() for s, d in zip(first, d_last, strict=True)]
    names = task.names
    bound = []
    for d in range(task.directions):
        tensors = {
            INPUT: _place(x),
            OUTPUT: _place(output, d * width),
            UPSTREAM: _place(d_output, d * width),
            SAVED: _place(saved[d]),
            "dx": _place(d_x[d]),
        }
        for state, a, b, c in zip(task.graph.states, first, d_ends, d_first, strict=True):
            tensors[f"first {state.name}"] = _place(a[d])
            tensors[f"d last {state.name}"] = _place(b[d])
            tensors[f"d first {state.name}"] = _place(c[d])
        at = slice(d * len(names), (d + 1) * len(names))
        for name, parameter, grad in zip(names, parameters[at], grads[at], strict=True):
            tensors[name] = _place(parameter)
            tensors[f"d {name}"] = _place(grad)
        bound.append(tensors)
    _run(task, plan, bound, x.dtype, backward=True)
    total = None
    if input_gradient:
        total = d_x[0] if task.directions == 1 else d_x[0].add_(d_x[1])
    return total, d_first, grads


class _Layer(torch.autograd.Function):
    """A layer as one operation; what it is differentiated with twice is the eager definition."""

    @staticmethod
    def forward(ctx: Any, task: Task, x: torch.Tensor, *tensors: torch.Tensor) -> Any:
        count = len(task.graph.states)
        done = forward(task, x, tensors[:count], tensors[count:], saving=True)
        ctx.task = task
        ctx.save_for_backward(x, *tensors, done.output, done.saved)
        ctx.set_materialize_grads(False)
        return (done.output, *done.last)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor | None) -> Any:
        x, *tensors, output, saved = ctx.saved_tensors
        task, count = ctx.task, len(ctx.task.graph.states)
        if torch.is_grad_enabled():
            return (None, *_eager_gradients(task, ctx.needs_input_grad[1:], x, tensors, grads))
        d_x, d_first, d_parameters = backward(
            task, x, tuple(tensors[:count]), tensors[count:], output, saved, grads[0], grads[1:],
            input_gradient=ctx.needs_input_grad[1],
        )  # fmt: skip
        return (None, d_x, *d_first, *d_parameters)


def _eager_gradients(
    task: Task, needed: Sequence[bool], x: torch.Tensor, tensors: Sequence[torch.Tensor], grads: Sequence[Any]
) -> list[torch.Tensor | None]:
    """Gradients that can be differentiated again."""
    inputs = [x, *tensors]
    chosen = [tensor for tensor, need in zip(inputs, needed, strict=True) if need]
    results = run_eagerly(task, x, tensors)
    pairs = [(r, g) for r, g in zip(results, grads, strict=True) if g is not None and r.requires_grad]
    found = torch.autograd.grad(
        [r for r, _ in pairs], chosen, [g for _, g in pairs], create_graph=True, allow_unused=True
    )
    at = iter(found)
    return [next(at) if need else None for need in needed]


def run_eagerly(task: Task, x: torch.Tensor, tensors: Sequence[torch.Tensor]) -> Tensors:
    """The same layer by its definition: output and last states."""
    states, names = len(task.graph.states), task.names
    first, parameters = tensors[:states], tensors[states:]
    rows = Rows(x, task.steps.sizes.tolist(), None if task.resets is None else task.resets.bool())
    outputs, lasts = [], []
    for d in range(task.directions):
        own = dict(zip(names, parameters[d * len(names) : (d + 1) * len(names)], strict=True))
        values, last = eager.run(task.graph, own, dict(task.widths), rows, tuple(s[d] for s in first), reverse=bool(d))
        outputs.append(values[0])
        lasts.append(last)
    return torch.cat(outputs, -1), *(torch.stack(parts) for parts in zip(*lasts, strict=True))


def run(task: Task, x: torch.Tensor, first: Tensors, parameters: Sequence[torch.Tensor]) -> Tensors:
    """Output and last states by the engine, recorded for autograd where that is wanted."""
    x, first = _rows_contiguous(x), tuple(_rows_contiguous(s) for s in first)
    parameters = [p if p.is_contiguous() else p.contiguous() for p in parameters]
    inputs = (x, *first, *parameters)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        result: Tensors = _Layer.apply(task, *inputs)  # type: ignore[no-untyped-call]
        return result
    done = forward(task, x, first, parameters, saving=False)
    return done.output, *done.last


PLAIN = (torch.Tensor, torch.nn.Parameter)


def applies(task: Task, tensors: Sequence[torch.Tensor]) -> bool:
    """Whether the engine can run this: plain CPU tensors of one type it knows, outside of torch's transforms."""
    dtype = tensors[0].dtype
    if dtype not in DTYPES or not all(
        type(t) in PLAIN and t.dtype == dtype and t.device.type == "cpu" for t in tensors
    ):
        return False
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:  # noqa: SLF001
        return False
    if torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0:  # noqa: SLF001
        return False
    if torch.is_autocast_enabled("cpu") or torch._C._len_torch_dispatch_stack():  # noqa: SLF001
        return False
    return _available(task.graph)


@lru_cache(maxsize=256)
def _available(graph: Graph) -> bool:
    """Whether the cell could be compiled; says once why not."""
    try:
        load().function(compiled(graph).source)
    except TidegateError as error:
        _warn_once(str(error))
        return False
    return True


@lru_cache(maxsize=64)
def _warn_once(reason: str) -> None:
    warnings.warn(f"layers run eagerly, which is slower and gives the same numbers: {reason}", stacklevel=2)
