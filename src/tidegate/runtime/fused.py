"""The engine's path: layers run by fused kernels, forward and backward, as one operation of autograd."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch.autograd import forward_ad

from tidegate.cell import Graph
from tidegate.errors import BackendError, EmitError, InputError, TidegateWarning
from tidegate.runtime import eager
from tidegate.runtime.apart import run_apart, withheld_by
from tidegate.runtime.call import Forward, backward, forward, in_rows
from tidegate.runtime.job import Job, Tensors
from tidegate.runtime.library import load
from tidegate.runtime.path import ASKED, TWICE, Obstacle, asked_for_eager, check_strict
from tidegate.runtime.rows import Rows
from tidegate.runtime.shape import check_devices
from tidegate.runtime.sized import SizedCell, Variant, check_size, compiled
from tidegate.runtime.watch import watched_call

PLAIN = (torch.Tensor, torch.nn.Parameter)
INSIDE = torch._C  # noqa: SLF001  torch offers no other way to ask what it is doing

COMPILER = Obstacle("torch.compile or torch.export", "call the layer outside of what is compiled", BackendError)
JIT_TRACE = Obstacle("torch.jit.trace", "tidegate.restore(model) gives back torch's modules for it", BackendError)
FUNCTORCH = Obstacle("a transform of torch.func", "call the layer outside of torch.func", BackendError)
OF_GIVEN = Obstacle("what is given wants a gradient", "pass it detached: given={'dt': dt.detach()}", InputError)
FORWARD_MODE = Obstacle("forward-mode differentiation", "use backward()", BackendError)
DISPATCH_MODE = Obstacle("a torch dispatch mode is active", "leave the mode around the layer", BackendError)
AUTOCAST = Obstacle("autocast is on", "call the layer under torch.autocast('cpu', enabled=False)", BackendError)


def obstacle(
    cell: SizedCell, x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor]
) -> Obstacle | None:
    """Why the engine cannot run a layer of this cell on these tensors; None if it can.

    It runs plain CPU tensors of one type it knows, outside of torch's transforms.
    """
    if asked_for_eager():
        return ASKED
    if cell.graph.given and torch.is_grad_enabled() and any(t.requires_grad for t in given_tensors(cell, parameters)):
        return OF_GIVEN
    return transform() or tensor_obstacle(cell, x, first, parameters)


def tensor_obstacle(
    cell: SizedCell, x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor]
) -> Obstacle | None:
    """The same, leaving torch's transforms aside."""
    half = cell.half
    dtype = x.dtype if half is None else cell.work_type(x.dtype)
    if cell.kind(dtype) is None:
        return _reason(cell, x, dtype)
    for tensor in (x, *(first or ()), *parameters):
        own = tensor.dtype
        if type(tensor) not in PLAIN or (own is not dtype and own is not half) or not tensor.is_cpu:
            return _reason(cell, tensor, dtype)
    return unavailable(cell.graph)


def given_tensors(cell: SizedCell, parameters: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    """What is given, among the tensors of one or two directions, which share it."""
    own = len(cell.parameters)
    return parameters[own : own + len(cell.graph.given)]


def transform() -> Obstacle | None:
    """What torch is doing, if it compiles, traces, vectorises, casts or differentiates forward."""
    if INSIDE._are_functorch_transforms_active():  # noqa: SLF001
        return FUNCTORCH
    if forward_ad._current_level >= 0:  # noqa: SLF001
        return FORWARD_MODE
    if INSIDE._len_torch_dispatch_stack():  # noqa: SLF001
        return COMPILER if torch.compiler.is_compiling() else DISPATCH_MODE
    if torch.is_autocast_enabled("cpu"):
        return AUTOCAST
    if torch.compiler.is_compiling():
        return COMPILER
    return JIT_TRACE if traces() else None


def traces() -> bool:
    """Whether torch.jit.trace records the operations of a call."""
    return INSIDE._get_tracing_state() is not None  # noqa: SLF001  torch.jit.is_tracing takes three times as long


def wants_operator() -> bool:
    """Whether torch compiles, exports, traces or applies torch.func, and a layer must be one registered operation.

    Not in forward mode, which follows every operation of the definition.
    """
    c = torch._C  # noqa: SLF001
    if torch.compiler.is_compiling() or traces():
        return True
    if not c._are_functorch_transforms_active():  # noqa: SLF001
        return False
    kinds = {level.key() for level in c._functorch.get_interpreter_stack()}  # noqa: SLF001
    return c._functorch.TransformType.Jvp not in kinds  # noqa: SLF001


def _reason(cell: SizedCell, tensor: torch.Tensor, dtype: torch.dtype) -> Obstacle:
    """What is wrong with a tensor of a call whose input has this dtype."""
    if type(tensor) not in PLAIN:
        return Obstacle(f"tensor subclass {type(tensor).__name__}", "pass plain tensors", InputError)
    if not tensor.is_cpu:
        return Obstacle(f"device is {tensor.device.type}", "move the layer and its input to the CPU", InputError)
    if tensor.dtype != dtype:
        reason = f"dtypes are {_name(dtype)} and {_name(tensor.dtype)}"
        return Obstacle(reason, "use one dtype for input, states and parameters", InputError)
    if cell.products:
        reason = f"dtype is {_name(dtype)}, products in {cell.products}"
        return Obstacle(reason, "use float32, or multiply in the layer's own type", InputError)
    return Obstacle(f"dtype is {_name(dtype)}", "use float32 or float64", InputError)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def run(job: Job, x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor]) -> Tensors:
    """Output and last states by the engine, recorded for autograd where that is wanted."""
    first = first if job.cell.half is None else _in_work_type(job, first)
    x, first, parameters = laid_out(x, first, parameters)
    inputs = (x, *(first or ()), *parameters)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        entries = withheld_by()
        if entries is not None and any(p.requires_grad for p in parameters):
            return run_apart(job._replace(half_output=False), *in_work_type(job, x, first, parameters), entries)
        call = watched_call(job.cell.graph, parameters)
        if call is not None:
            x, first, parameters = in_work_type(job, x, first, parameters)
            inputs = (x, *(first or ()), *parameters)
            if lacking := unavailable(job.cell.graph, "watched"):
                check_strict(lacking)
            job = job._replace(watch=call.keep, half_output=False)
        result: Tensors = _FusedLayer.apply(job, *inputs)  # type: ignore[no-untyped-call]
        return result
    forward_run = forward(job, x, first, parameters, saving=False)
    return forward_run.output, *forward_run.last


def trace(job: Job, x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor]) -> Tensors:
    """Output, and each reported value but the output [directions, ..., width], by the engine.

    Their gradients, if they are wanted, are those of the definition.
    """
    x, first, parameters = laid_out(x, first, parameters)
    inputs = (x, *(first or ()), *parameters)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        result: Tensors = _FusedTrace.apply(job, *inputs)  # type: ignore[no-untyped-call]
        return result
    return _traced(job, x, first, parameters)


def _traced(job: Job, x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor]) -> Tensors:
    forward_run = forward(job, x, first, parameters, saving=False, variant="traced")
    return forward_run.output, *forward_run.values


def trace_eagerly(job: Job, x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor]) -> Tensors:
    """The same by the definition."""
    graph = job.cell.graph
    wanted = [graph.updates[0], *(graph.reported[name] for name in job.cell.values)]
    runs = [values for values, _ in node_values(job, x, first, parameters, wanted)]
    output, *values = zip(*runs, strict=True)
    return torch.cat(output, -1), *map(torch.stack, values)


def laid_out(
    x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, Tensors | None, list[torch.Tensor]]:
    """Input, first states and parameters as the engine can read them."""
    first = None if first is None else tuple([state.contiguous() for state in first])
    return in_rows(x), first, [parameter.contiguous() for parameter in parameters]


def in_work_type(
    job: Job, x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, Tensors | None, Sequence[torch.Tensor]]:
    """Input, first states and parameters in the type in which the cell computes."""
    if job.cell.half is None:
        return x, first, parameters
    own_x, *own = _in_work_type(job, (x, *parameters)) or ()
    return own_x, _in_work_type(job, first), own


def _in_work_type(job: Job, tensors: Tensors | None) -> Tensors | None:
    half = job.cell.half
    if half is None or tensors is None:
        return tensors
    return tuple([tensor.to(torch.float32) if tensor.dtype is half else tensor for tensor in tensors])


def run_eagerly(job: Job, x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor]) -> Tensors:
    """The same layer by its definition."""
    runs = node_values(job, x, first, parameters, job.cell.graph.updates[:1])
    output = torch.cat([values[0] for values, _ in runs], -1)
    output = output.to(job.cell.half) if job.half_output else output
    return output, *(torch.stack(parts) for parts in zip(*(last for _, last in runs), strict=True))


def node_values(
    job: Job, x: torch.Tensor, first: Tensors | None, parameters: Sequence[torch.Tensor], wanted: Sequence[int]
) -> list[tuple[list[torch.Tensor], Tensors]]:
    """For each direction the values of these nodes at every step, laid out as ``x``, and the last states."""
    if not x.is_meta:  # torch refuses others beside it by itself
        check_devices((x, *(first or ()), *parameters))
    x, first, parameters = in_work_type(job, x, first, parameters)
    if first is None:
        shapes = [(job.directions, job.sequences, width) for width in job.cell.state_widths]
        first = tuple(x.new_zeros(shape) for shape in shapes)
    count, names = len(job.cell.names), job.cell.names
    rows = Rows(x.flatten(0, -2), job.steps, None if job.resets is None else job.resets.bool())
    runs = []
    for d in range(job.directions):
        own = dict(zip(names, parameters[d * count : (d + 1) * count], strict=True))
        for name in job.cell.zeros_stay:
            own[name] = torch.where(own[name] != 0, own[name], 0)
        states = tuple(state[d] for state in first)
        cell = job.cell
        values, last = eager.run(
            cell.graph, own, cell.widths, rows, states, reverse=bool(d), wanted=wanted, products=cell.products
        )
        runs.append(([value.unflatten(0, x.shape[:-1]) for value in values], last))
    return runs


class _FusedLayer(torch.autograd.Function):
    """A layer as one operation. Differentiated twice, its first derivative is the eager one."""

    @staticmethod
    def forward(ctx: Any, job: Job, x: torch.Tensor, *tensors: torch.Tensor) -> Any:
        first, parameters = _split(job, tensors)
        forward_run = forward(job, x, first, parameters, saving=True)
        ctx.job = job
        ctx.save_for_backward(x, *tensors, forward_run.output, forward_run.saved)
        ctx.set_materialize_grads(False)
        return (forward_run.output, *forward_run.last)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor | None) -> Any:
        x, *tensors, output, saved = ctx.saved_tensors
        # Many gradients at once, as torch's vmap passes them, have no memory that the engine could read.
        batched = not all(grad is None or torch._C._has_storage(grad) for grad in grads)  # noqa: SLF001
        if batched or torch.is_grad_enabled():
            check_strict(FUNCTORCH if batched else TWICE)
            return None, *eager_gradients(ctx.job, run_eagerly, ctx.needs_input_grad[1:], (x, *tensors), grads)
        first, parameters = _split(ctx.job, tensors)
        forward_run = Forward(output, (), saved)
        gradients = backward(
            ctx.job, x, first, parameters, forward_run, grads[0], grads[1:], input_gradient=ctx.needs_input_grad[1]
        )
        if ctx.job.watch is not None:
            ctx.job.watch(ctx.job, x, first, forward_run, gradients.series)
        return None, gradients.x, *(gradients.first or ()), *gradients.parameters


class _FusedTrace(torch.autograd.Function):
    """A trace as one operation, whose derivative is that of the definition."""

    @staticmethod
    def forward(ctx: Any, job: Job, x: torch.Tensor, *tensors: torch.Tensor) -> Any:
        ctx.job = job
        ctx.save_for_backward(x, *tensors)
        ctx.set_materialize_grads(False)
        return _traced(job, x, *_split(job, tensors))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor | None) -> Any:
        return None, *eager_gradients(ctx.job, trace_eagerly, ctx.needs_input_grad[1:], ctx.saved_tensors, grads)


def _split(job: Job, tensors: Sequence[torch.Tensor]) -> tuple[Tensors | None, Sequence[torch.Tensor]]:
    """First states, if they were given, and parameters."""
    count = len(tensors) - job.directions * len(job.cell.names)
    return (tuple(tensors[:count]) or None), tensors[count:]


def eager_gradients(
    job: Job,
    definition: Callable[..., Tensors],
    needed: Sequence[bool],
    inputs: Sequence[torch.Tensor],
    grads: Sequence[torch.Tensor | None],
) -> list[torch.Tensor | None]:
    """Gradients that can be differentiated again, and of many directions at once, of what this function returns."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # Parts of one tensor share a node of autograd's graph, on the way to which it would run what made the others.
        inputs = [tensor.view_as(tensor) for tensor in inputs]
        first, parameters = _split(job, inputs[1:])
        results = definition(job, inputs[0], first, parameters)
    pairs = [(r, grad) for r, grad in zip(results, grads, strict=True) if grad is not None and r.requires_grad]
    if not pairs:  # nothing depends on the inputs where there is no step at all
        return [None] * len(inputs)
    chosen = [tensor for tensor, need in zip(inputs, needed, strict=True) if need]
    gradients = iter(
        torch.autograd.grad(
            [result for result, _ in pairs], chosen, [grad for _, grad in pairs], create_graph=again, allow_unused=True
        )
    )
    return [next(gradients) if need else None for need in needed]


@lru_cache(maxsize=256)
def unavailable(graph: Graph, variant: Variant = "plain") -> Obstacle | None:
    """Why the engine cannot run this cell, with one warning; None if it can."""
    try:
        check_size(graph, variant)
        load().function(compiled(graph, variant).source)
    except (BackendError, EmitError) as error:
        _warn_once(str(error))
        prefix = "no library: " if isinstance(error, BackendError) else ""
        return Obstacle(f"{prefix}{error.message}", error.fix, BackendError)
    return None


@lru_cache(maxsize=64)
def _warn_once(reason: str) -> None:
    text = f"layers run eagerly, which is slower and gives the same numbers: {reason}"
    warnings.warn(text, TidegateWarning, stacklevel=2)
