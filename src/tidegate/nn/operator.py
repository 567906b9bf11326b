"""A layer as registered operations of torch, for its compilers and transforms.

``torch.ops.tidegate.layer`` runs one layer over a padded batch, ``torch.ops.tidegate.layer_backward`` computes its
gradients. To torch.compile, torch.export and torch.func each is one step, whatever the cell and however many steps
in time. Inside, the engine runs where it can, and elsewhere the definition, with the same numbers.

Under ``vmap``, inputs alone become one larger batch; where parameters differ too (ensembles), or each sample needs
its own gradient, the members run one after the other. The derivative of ``layer_backward`` is that of the definition,
so gradients can be differentiated any number of times.

torch.func cannot yet nest its transforms around a registered operation that has a derivative. It sees the same four
functions (run, save, differentiate, vectorise) as ``autograd.Function``s instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, wraps
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from tidegate.nn.problem import Problem
from tidegate.nn.rows import Lengths, reorder
from tidegate.runtime import (
    TWICE,
    Forward,
    SizedCell,
    check_devices,
    check_strict,
    run_layer_backward,
    run_layer_saving,
    traces,
)

if TYPE_CHECKING:
    from torch._library.custom_ops import CustomOpDef

Tensors = tuple[Tensor, ...]
Operation = Callable[..., list[Tensor]]
Batched = tuple[list[Tensor], list[int | None]]  # results of a batch, and for each the axis along which it lies

# ``masks`` begins with what is given beside the input; exported programs know it by this name.
PROBLEM = "Tensor x, Tensor[] first, Tensor[] parameters, Tensor[] masks, Tensor? lengths, Tensor? resets, str cell"
SCHEMAS = {
    "layer": f"({PROBLEM}, bool saving) -> Tensor[]",
    "layer_backward": f"({PROBLEM}, Tensor output, Tensor saved, Tensor d_output, Tensor[] d_last) -> Tensor[]",
    "layer_gradients": f"({PROBLEM}, Tensor d_output, Tensor[] d_last) -> Tensor[]",
    "layer_second": f"({PROBLEM}, Tensor d_output, Tensor[] d_last, Tensor[] grads) -> Tensor[]",
}


def run_operator(
    cell: SizedCell,
    x: Tensor,
    lengths: Lengths | None,
    resets: Tensor | None,
    first: Tensors | None,
    tensors: Sequence[Tensor],
) -> Tensors:
    """As ``runtime.run_layer``, on a padded batch, as an operation that torch's transforms know.

    Args:
        cell: with its widths.
        x: [T, B, I].
        lengths: of the B sequences; None where all have T steps.
        resets: booleans [T, B], or None.
        first: for each state [directions, B, width]; None for zeros.
        tensors: parameters, what is given, and masks as ``cell.names`` orders them, those of the second direction after
            those of the first; what is given, and a mask of each step, is [T * B, width].

    Returns:
        The output [T, B, directions * width], zeros after the end of a sequence, and for each state its last values.
    """
    operation = layer if torch.compiler.is_compiling() or traces() else _layer_function
    counts = lengths if lengths is None or isinstance(lengths, Tensor) else torch.as_tensor(lengths)
    each, own = len(cell.names), len(cell.parameters)
    end = own + len(cell.graph.given)
    parameters = [tensor for k, tensor in enumerate(tensors) if k % each < own]
    given = [tensor.unflatten(0, x.shape[:2]) for tensor in tensors[own:end]]
    masks = [tensor for k, tensor in enumerate(tensors) if k % each >= end]
    saving = x.is_cpu and (torch.is_grad_enabled() or traces())  # a trace may run with gradients or without
    output, *rest = operation(x, [*(first or ())], parameters, [*given, *masks], counts, resets, cell.text, saving)
    return output, *rest[:-1]


SHARED = len(Problem._fields)  # arguments that all operations have, before their own


# Running


def _run(problem: Problem, saving: bool) -> list[Tensor]:
    """Output, last states, and what the gradients need: [directions, T, B, width], or an empty tensor."""
    problem.check()
    if problem.elsewhere():
        return [*problem.by_torch(*problem.differentiable), problem.empty_saved(saving=saving)]
    x, batch = problem.x, problem.batch()
    first, room = reorder(problem.first, batch.order) or None, x[..., 0].numel()
    tensors = problem.tensors(batch)
    run = run_layer_saving(problem.sized, batch.rows, batch.size, first, tensors, saved_rows=room if saving else 0)
    if run is None:
        return [*problem.by_definition(*problem.differentiable), problem.empty_saved(saving=saving)]
    results = [batch.restore(run.output), *reorder(run.last, batch.back)]
    if run.saved is None:
        return [*results, x.new_empty(0)]
    run.saved[:, batch.rows.steps.rows :].zero_()  # a ragged batch leaves these rows free
    return [*results, run.saved.unflatten(1, x.shape[:2])]


def _shapes(problem: Problem, saving: bool) -> list[Tensor]:
    x, cell, directions = problem.x, problem.sized, problem.directions
    output = x.new_empty(*x.shape[:2], directions * cell.output_width)
    last = [x.new_empty(directions, x.shape[1], width) for width in cell.state_widths]
    return [output, *last, problem.empty_saved(saving=saving)]


def _run_backward(
    problem: Problem, output: Tensor, saved: Tensor, d_output: Tensor, d_last: list[Tensor]
) -> list[Tensor]:
    """Gradients of the differentiable tensors, given those of the output and the last states.

    ``saved`` may be empty: then it is computed again. The engine makes no gradients of what is given: zeros stand for
    them, and whoever wants them runs ``layer_gradients`` instead.
    """
    problem.check()
    problem.check_results(output, saved, d_output, d_last)
    if problem.elsewhere():  # where the engine has saved nothing
        gradients_of = problem.gradients_by_torch if problem.even else problem.gradients
        return _contiguous(gradients_of(*problem.differentiable, d_output, *d_last))
    batch = problem.batch()
    first = reorder(problem.first, batch.order) or None
    run = Forward(batch.take(output).contiguous(), (), saved.contiguous().flatten(1, 2) if saved.numel() else None)
    tensors, d_rows, d_ends = problem.tensors(batch), batch.take(d_output), reorder(d_last, batch.order)
    gradients = run_layer_backward(problem.sized, batch.rows, batch.size, first, tensors, run, d_rows, d_ends)
    if gradients is None:
        return _contiguous(problem.gradients(*problem.differentiable, d_output, *d_last))
    d_parameters = [gradient for gradient in gradients.parameters if gradient is not None]  # masks have none
    d_given = map(torch.zeros_like, problem.given)
    return [batch.restore(gradients.x), *reorder(gradients.first or (), batch.back), *d_parameters, *d_given]


def _run_gradients(problem: Problem, d_output: Tensor, d_last: list[Tensor]) -> list[Tensor]:
    """The same by the definition, of what is given too."""
    problem.check()
    return _contiguous(problem.gradients(*problem.differentiable, d_output, *d_last))


def _shapes_of_backward(problem: Problem, *_: Any) -> list[Tensor]:
    return _alike(*problem.differentiable)


def _run_second(problem: Problem, d_output: Tensor, d_last: list[Tensor], grads: list[Tensor]) -> list[Tensor]:
    """Gradients of the differentiable tensors, ``d_output`` and ``d_last`` through ``layer_backward``."""
    check_strict(TWICE)
    back = torch.func.vjp(problem.gradients, *problem.differentiable, d_output, *d_last)[1]
    return _contiguous(back(tuple(grads)))


def _shapes_of_second(problem: Problem, d_output: Tensor, d_last: list[Tensor], *_: Any) -> list[Tensor]:
    return _alike(*problem.differentiable, d_output, *d_last)


def _contiguous(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.contiguous() for tensor in tensors]


def _alike(*tensors: Tensor) -> list[Tensor]:
    return [torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in tensors]


# Differentiation: what is saved begins with the tensors of the problem


def _save_problem(ctx: Any, problem: Problem, *others: Tensor) -> None:
    lists = (problem.first, problem.parameters, problem.beside)
    ctx.cell, ctx.counts = problem.cell, tuple(map(len, lists))
    ctx.save_for_backward(problem.lengths, problem.resets, problem.x, *chain(*lists), *others)


def _saved_problem(ctx: Any) -> tuple[Problem, list[Tensor]]:
    """The problem, and what was saved with it."""
    lengths, resets, x, *tensors = ctx.saved_tensors
    first, parameters, beside, others = _cut(tensors, ctx.counts)
    return Problem(x, first, parameters, beside, lengths, resets, ctx.cell), others


def _as_arguments(problem: Problem, d_x: Tensor, *gradients: Tensor) -> tuple[Any, ...]:
    """The gradients of a problem in the order of its arguments."""
    d_first, d_parameters, d_given = _cut(gradients, (len(problem.first), len(problem.parameters)))
    return d_x, d_first, d_parameters, [*d_given, *[None] * len(problem.masks)], None, None, None


def _save(ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
    ctx.set_materialize_grads(False)
    problem = Problem(*inputs[:SHARED])
    ctx.of_given = any(value.requires_grad for value in problem.given)
    _save_problem(ctx, problem, output[0], output[-1])


def _differentiate(
    backward: Operation, gradients: Operation, ctx: Any, grads: Sequence[Tensor | None]
) -> tuple[Any, ...]:
    problem, (output, saved) = _saved_problem(ctx)
    d_output, *d_last = grads[:-1]
    size, widths = problem.x.shape[1], problem.sized.state_widths
    zeros = [output.new_zeros(()).expand(problem.directions, size, width) for width in widths]
    d_output = output.new_zeros(()).expand(output.shape) if d_output is None else d_output
    d_last = [zero if d is None else d for d, zero in zip(d_last, zeros, strict=True)]
    if ctx.of_given:
        return *_as_arguments(problem, *gradients(*problem, d_output, d_last)), None
    return *_as_arguments(problem, *backward(*problem, output, saved, d_output, d_last)), None


def _save_again(ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
    del output
    *_, d_output, d_last = inputs[SHARED:]
    ctx.between = len(inputs) - SHARED - 2  # arguments without a gradient
    _save_problem(ctx, Problem(*inputs[:SHARED]), d_output, *d_last)


def _differentiate_again(second: Operation, ctx: Any, grads: Sequence[Tensor]) -> tuple[Any, ...]:
    problem, (d_output, *d_last) = _saved_problem(ctx)
    gradients = second(*problem, d_output, d_last, [*grads])
    own = len(problem.differentiable)
    nothing = [None] * ctx.between
    return *_as_arguments(problem, *gradients[:own]), *nothing, gradients[own], gradients[own + 1 :]


def _cut(tensors: Sequence[Tensor], counts: Sequence[int]) -> list[list[Tensor]]:
    """Lists of so many tensors each, and one of the rest."""
    lists, at = [], 0
    for count in counts:
        lists.append([*tensors[at : at + count]])
        at += count
    return [*lists, [*tensors[at:]]]


# Vectorisation


def _vectorise(operation: Operation, info: Any, in_dims: tuple[Any, ...], *args: Any) -> Batched:
    *tensors, cell, saving = args
    x, first, parameters, beside, lengths, resets = tensors
    of_x, of_first, of_parameters, of_beside, of_lengths, of_resets = in_dims[: len(tensors)]
    if any(dim is not None for dim in of_parameters) or Problem(*args[:SHARED]).masks:
        return _one_by_one(operation, info, in_dims, *args)
    size = info.batch_size
    x, lengths, resets = (
        None if value is None else _joined(value, dim, axis, size)
        for value, dim, axis in ((x, of_x, 1), (lengths, of_lengths, 0), (resets, of_resets, 1))
    )
    first, beside = (
        [_joined(value, dim, 1, size) for value, dim in zip(values, dims, strict=True)]
        for values, dims in ((first, of_first), (beside, of_beside))
    )
    *results, saved = operation(x, first, parameters, beside, lengths, resets, cell, saving and lengths is None)
    dims: list[int | None] = [1] * len(results)
    parts = [result.unflatten(1, (size, -1)) for result in results]
    if not saved.numel():  # that of a ragged batch cannot be split by members
        return [*parts, saved], [*dims, None]
    return [*parts, saved.unflatten(2, (size, -1))], [*dims, 2]


def _one_by_one(operation: Operation, info: Any, in_dims: tuple[Any, ...], *args: Any) -> Batched:
    """An operation for each member of a batch."""

    def member(value: Any, dim: Any, k: int) -> Any:
        if isinstance(value, (list, tuple)):
            return [member(part, of, k) for part, of in zip(value, dim, strict=True)]
        return value if dim is None else value.select(dim, k)

    results = [operation(*member(args, in_dims, k)) for k in range(info.batch_size)]
    return [torch.stack(parts) for parts in zip(*results, strict=True)], [0] * len(results[0])


def _joined(value: Tensor, dim: int | None, axis: int, size: int) -> Tensor:
    """A batch of tensors as one, longer along ``axis``."""
    shape = (*value.shape[:axis], size, *value.shape[axis:])
    batch = value.unsqueeze(axis).expand(shape) if dim is None else value.movedim(dim, axis)
    return batch.flatten(axis, axis + 1)


# Registration


def _of_problem(function: Callable[..., list[Tensor]]) -> Operation:
    """A function of a problem, called as torch does: with the fields of the problem one by one."""

    @wraps(function)
    def call(*args: Any) -> list[Tensor]:
        check_devices([leaf for leaf in tree_flatten(args)[0] if isinstance(leaf, Tensor)])
        return function(Problem(*args[:SHARED]), *args[SHARED:])

    return call


def _registered(name: str, run: Operation, shapes: Operation) -> CustomOpDef:
    operation = torch.library.custom_op(f"tidegate::{name}", _of_problem(run), mutates_args=(), schema=SCHEMAS[name])
    operation.register_fake(_of_problem(shapes))
    return operation


def _function(
    run: Operation, save: Callable[..., None], differentiate: Callable[..., Any], vectorise: Callable[..., Batched]
) -> Operation:
    """An operation as torch.func knows it: nested arguments are flattened, since it looks at tensors alone."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(spec: Any, *leaves: Any) -> Tensors:
            return tuple(_of_problem(run)(*tree_unflatten(leaves, spec)))

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
            save(ctx, tree_unflatten(inputs[1:], inputs[0]), output)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return (None, *tree_flatten(differentiate(ctx, grads))[0])

        @staticmethod
        def vmap(info: Any, in_dims: tuple[Any, ...], spec: Any, *leaves: Any) -> Any:
            dims = tree_unflatten(in_dims[1:], spec)
            results, out_dims = vectorise(operation, info, dims, *tree_unflatten(leaves, spec))
            return tuple(results), tuple(out_dims)

    def operation(*args: Any) -> list[Tensor]:
        leaves, spec = tree_flatten(args)
        return list(Function.apply(spec, *leaves))  # type: ignore[no-untyped-call]

    return operation


_second_function = _of_problem(_run_second)
_backward_function = _function(_run_backward, _save_again, partial(_differentiate_again, _second_function), _one_by_one)
_gradients_function = _function(
    _run_gradients, _save_again, partial(_differentiate_again, _second_function), _one_by_one
)
_layer_function = _function(_run, _save, partial(_differentiate, _backward_function, _gradients_function), _vectorise)

layer_second = _registered("layer_second", _run_second, _shapes_of_second)
layer_second.register_vmap(partial(_one_by_one, layer_second))
layer_backward = _registered("layer_backward", _run_backward, _shapes_of_backward)
layer_backward.register_autograd(partial(_differentiate_again, layer_second), setup_context=_save_again)
layer_backward.register_vmap(partial(_one_by_one, layer_backward))
layer_gradients = _registered("layer_gradients", _run_gradients, _shapes_of_backward)
layer_gradients.register_autograd(partial(_differentiate_again, layer_second), setup_context=_save_again)
layer_gradients.register_vmap(partial(_one_by_one, layer_gradients))
layer = _registered("layer", _run, _shapes)
layer.register_autograd(partial(_differentiate, layer_backward, layer_gradients), setup_context=_save)
layer.register_vmap(partial(_vectorise, layer))
for kind in ("cpu", "cuda"):
    layer.register_autocast(kind, torch.float32)
