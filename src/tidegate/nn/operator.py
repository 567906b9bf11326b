"""A layer as registered operations of torch, for its compilers and transforms.

``torch.ops.tidegate.layer`` runs one layer over a padded batch, ``torch.ops.tidegate.layer_backward`` gives its
gradients. To torch.compile, torch.export and torch.func each is one step, whatever the cell and however many steps
in time; inside, the engine runs where it can, and the definition where it cannot, with the same numbers.

Under ``vmap``, inputs alone become one larger batch; where parameters differ too (ensembles), or each sample wants
a gradient of its own, the members run one behind the other. The derivative of ``layer_backward`` is that of the
definition, so that gradients can be differentiated as often as one likes.

torch.func cannot yet nest its transforms around a registered operation that has a derivative. It sees the same four
functions (run, save, differentiate, vectorise) as ``autograd.Function``s instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from tidegate.nn.rows import Batch, Lengths, full, padded, reorder
from tidegate.runtime import (
    TWICE,
    Forward,
    SizedCell,
    check_strict,
    described,
    eager_only,
    run_layer,
    run_layer_backward,
    run_layer_saving,
)

Tensors = tuple[Tensor, ...]
Operation = Callable[..., list[Tensor]]
Batched = tuple[list[Tensor], list[int | None]]  # results of a batch, and for each the axis along which it lies


def run_operator(
    cell: SizedCell,
    x: Tensor,
    lengths: Lengths | None,
    resets: Tensor | None,
    first: Tensors | None,
    brought: Sequence[Tensor],
) -> Tensors:
    """As ``runtime.run_layer``, on a padded batch, as an operation that torch's transforms know.

    Args:
        cell: with its widths.
        x: [T, B, I].
        lengths: of the B sequences; None where all have T steps.
        resets: booleans [T, B], or None.
        first: for each state [directions, B, width]; None for zeros.
        brought: parameters and masks as ``cell.names`` orders them, a second direction's behind those of the first; a
            mask of each step is [T * B, width].

    Returns:
        The output [T, B, directions * width], zeros behind the end of a sequence, and for each state its last values.
    """
    operation = layer if torch.compiler.is_compiling() else _layer_function
    counts = None if lengths is None else torch.as_tensor(lengths)
    each, own = len(cell.names), len(cell.parameters)
    weights = [tensor for k, tensor in enumerate(brought) if k % each < own]
    masks = [tensor for k, tensor in enumerate(brought) if k % each >= own]
    saving = torch.is_grad_enabled()
    output, *rest = operation(x, [*(first or ())], weights, masks, counts, resets, cell.text, saving)
    return output, *rest[:-1]


def _run(
    x: Tensor,
    first: list[Tensor],
    parameters: list[Tensor],
    masks: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    cell: str,
    saving: bool,
) -> list[Tensor]:
    """Output, last values of each state, and what the gradients need: [directions, T, B, width], or nothing."""
    task = _Task.of(cell, first, parameters, masks, lengths, resets)
    batch = task.batch(x)
    states, room = reorder(first, batch.order) or None, x[..., 0].numel()
    brought = task.brought(parameters, batch)
    done = run_layer_saving(task.cell, batch.rows, batch.size, states, brought, room=room if saving else 0)
    if done is None:
        output, *last = task.by_definition(x, *first, *parameters)
        return [output, *last, task.empty_saved(x, saving=saving)]
    results = [batch.restore(done.output), *reorder(done.last, batch.back)]
    if done.saved is None:
        return [*results, x.new_empty(0)]
    done.saved[:, batch.rows.steps.rows :].zero_()  # what a ragged batch leaves free
    return [*results, done.saved.unflatten(1, x.shape[:2])]


def _shapes(
    x: Tensor,
    first: list[Tensor],
    parameters: list[Tensor],
    masks: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    cell: str,
    saving: bool,
) -> list[Tensor]:
    task = _Task.of(cell, first, parameters, masks, lengths, resets)
    output = x.new_empty(*x.shape[:2], task.directions * task.cell.output_width)
    last = [x.new_empty(task.directions, x.shape[1], width) for width in task.cell.state_widths]
    return [output, *last, task.empty_saved(x, saving=saving)]


def _run_backward(
    x: Tensor,
    first: list[Tensor],
    parameters: list[Tensor],
    masks: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    output: Tensor,
    saved: Tensor,
    d_output: Tensor,
    d_last: list[Tensor],
    cell: str,
) -> list[Tensor]:
    """Gradients of x, the first states and the parameters, given those of the output and the last states.

    What was saved may be empty: it is computed again.
    """
    task = _Task.of(cell, first, parameters, masks, lengths, resets)
    batch = task.batch(x)
    states = reorder(first, batch.order) or None
    done = Forward(batch.take(output).contiguous(), (), saved.contiguous().flatten(1, 2) if saved.numel() else None)
    brought, d_rows, d_ends = task.brought(parameters, batch), batch.take(d_output), reorder(d_last, batch.order)
    found = run_layer_backward(task.cell, batch.rows, batch.size, states, brought, done, d_rows, d_ends)
    if found is None:
        return [gradient.contiguous() for gradient in task.gradients(x, *first, *parameters, d_output, *d_last)]
    own = [gradient for gradient in found.parameters if gradient is not None]  # masks have none
    return [batch.restore(found.x), *reorder(found.first or (), batch.back), *own]


def _shapes_of_second(
    x: Tensor,
    first: list[Tensor],
    parameters: list[Tensor],
    masks: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    d_output: Tensor,
    d_last: list[Tensor],
    *_: Any,
) -> list[Tensor]:
    return _alike(x, *first, *parameters, d_output, *d_last)


def _alike(*tensors: Tensor) -> list[Tensor]:
    return [torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in tensors]


def _shapes_of_backward(x: Tensor, first: list[Tensor], parameters: list[Tensor], *_: Any) -> list[Tensor]:
    return _alike(x, *first, *parameters)


class _Task(NamedTuple):
    """What the operations are told beside the tensors that they differentiate."""

    cell: SizedCell
    masks: Sequence[Tensor]
    lengths: Tensor | None
    resets: Tensor | None
    firsts: int
    directions: int

    @staticmethod
    def of(
        text: str,
        first: Sequence[Tensor],
        parameters: Sequence[Tensor],
        masks: Sequence[Tensor],
        lengths: Tensor | None,
        resets: Tensor | None,
    ) -> _Task:
        cell = described(text)
        return _Task(cell, masks, lengths, resets, len(first), len(parameters) // len(cell.parameters))

    def batch(self, x: Tensor) -> Batch:
        return full(x, self.resets) if self.lengths is None else padded(x, self.lengths, self.resets)

    def brought(self, parameters: Sequence[Tensor], batch: Batch) -> list[Tensor]:
        """Parameters and masks as the runtime wants them: direction by direction, masks in the order of the rows."""
        kinds, own = self.cell.graph.masks, len(self.cell.parameters)
        found: list[Tensor] = []
        for d in range(self.directions):
            found += parameters[d * own : (d + 1) * own]
            masks = self.masks[d * len(kinds) : (d + 1) * len(kinds)]
            found += [batch.place(mask, kind.each) for kind, mask in zip(kinds, masks, strict=True)]
        return found

    def empty_saved(self, x: Tensor, *, saving: bool) -> Tensor:
        if not saving:
            return x.new_empty(0)
        return x.new_empty(self.directions, *x.shape[:2], self.cell.saved_width)

    def by_definition(self, x: Tensor, *tensors: Tensor) -> Tensors:
        """Output and last values, given x, the first states and the parameters."""
        batch = self.batch(x)
        first = reorder(tensors[: self.firsts], batch.order) or None
        brought = self.brought(tensors[self.firsts :], batch)
        with eager_only():
            _, (output, *last) = run_layer(self.cell, batch.rows, batch.size, first, brought)
        return batch.restore(output), *reorder(last, batch.back)

    def gradients(self, *tensors: Tensor) -> Tensors:
        """Those of ``by_definition``, given its arguments and then the gradients of its results; torch can go on."""
        count = 1 + len(self.cell.state_widths)
        back = torch.func.vjp(self.by_definition, *tensors[:-count])[1]
        found: Tensors = back(tensors[-count:])
        return found


# Differentiation


def _save(ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
    x, first, parameters, masks, lengths, resets, ctx.cell, _ = inputs
    ctx.counts = len(first), len(parameters)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(lengths, resets, output[0], output[-1], x, *first, *parameters, *masks)


def _differentiate(backward: Operation, ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Any, ...]:
    lengths, resets, output, saved, x, *tensors = ctx.saved_tensors
    first, parameters, masks = _cut(tensors, ctx.counts)
    d_output, *d_last = grads[:-1]
    widths = described(ctx.cell).state_widths
    directions = output.shape[-1] // widths[0]
    zeros = [output.new_zeros(()).expand(directions, x.shape[1], width) for width in widths]
    d_output = output.new_zeros(()).expand(output.shape) if d_output is None else d_output
    d_last = [zero if d is None else d for d, zero in zip(d_last, zeros, strict=True)]
    found = backward(x, first, parameters, masks, lengths, resets, output, saved, d_output, d_last, ctx.cell)
    d_first, d_parameters, _ = _cut(found[1:], ctx.counts)
    return found[0], d_first, d_parameters, [None] * len(masks), None, None, None, None


def _run_second(
    x: Tensor,
    first: list[Tensor],
    parameters: list[Tensor],
    masks: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    d_output: Tensor,
    d_last: list[Tensor],
    grads: list[Tensor],
    cell: str,
) -> list[Tensor]:
    """Gradients of x, the first states, the parameters, ``d_output`` and ``d_last`` through ``layer_backward``."""
    check_strict(TWICE)
    task = _Task.of(cell, first, parameters, masks, lengths, resets)
    back = torch.func.vjp(task.gradients, x, *first, *parameters, d_output, *d_last)[1]
    return [gradient.contiguous() for gradient in back(tuple(grads))]


def _save_again(ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
    x, first, parameters, masks, lengths, resets, _, _, d_output, d_last, ctx.cell = inputs
    ctx.counts = len(first), len(parameters), len(masks)
    ctx.save_for_backward(lengths, resets, x, d_output, *first, *parameters, *masks, *d_last)


def _differentiate_again(second: Operation, ctx: Any, grads: Sequence[Tensor]) -> tuple[Any, ...]:
    lengths, resets, x, d_output, *tensors = ctx.saved_tensors
    first, parameters, masks, d_last = _cut(tensors, ctx.counts)
    found = second(x, first, parameters, masks, lengths, resets, d_output, d_last, [*grads], ctx.cell)
    d_first, d_parameters, ends = _cut(found[1:], ctx.counts[:2])
    rest = (None, None, None, None, ends[0], ends[1:], None)
    return found[0], d_first, d_parameters, [None] * len(masks), *rest


def _cut(tensors: Sequence[Tensor], counts: Sequence[int]) -> list[list[Tensor]]:
    """Lists of so many tensors each, and one of the rest."""
    found, at = [], 0
    for count in counts:
        found.append([*tensors[at : at + count]])
        at += count
    return [*found, [*tensors[at:]]]


# Vectorisation


def _vectorise(operation: Operation, info: Any, in_dims: tuple[Any, ...], *args: Any) -> Batched:
    x, first, parameters, masks, lengths, resets, cell, saving = args
    if any(dim is not None for dim in in_dims[2]) or masks:
        return _one_by_one(operation, info, in_dims, *args)
    size = info.batch_size
    x, lengths, resets = (
        None if value is None else _joined(value, dim, axis, size)
        for value, dim, axis in ((x, in_dims[0], 1), (lengths, in_dims[4], 0), (resets, in_dims[5], 1))
    )
    first = [_joined(state, dim, 1, size) for state, dim in zip(first, in_dims[1], strict=True)]
    *results, saved = operation(x, first, parameters, masks, lengths, resets, cell, saving and lengths is None)
    dims: list[int | None] = [1] * len(results)
    parts = [result.unflatten(1, (size, -1)) for result in results]
    if not saved.numel():  # of a ragged batch it could not be taken apart
        return [*parts, saved], [*dims, None]
    return [*parts, saved.unflatten(2, (size, -1))], [*dims, 2]


def _one_by_one(operation: Operation, info: Any, in_dims: tuple[Any, ...], *args: Any) -> Batched:
    """An operation for each member of a batch."""

    def member(value: Any, dim: Any, k: int) -> Any:
        if isinstance(value, (list, tuple)):
            return [member(part, of, k) for part, of in zip(value, dim, strict=True)]
        return value if dim is None else value.select(dim, k)

    found = [operation(*member(args, in_dims, k)) for k in range(info.batch_size)]
    return [torch.stack(parts) for parts in zip(*found, strict=True)], [0] * len(found[0])


def _joined(value: Tensor, dim: int | None, axis: int, size: int) -> Tensor:
    """A batch of tensors as one, longer along ``axis``."""
    shape = (*value.shape[:axis], size, *value.shape[axis:])
    batch = value.unsqueeze(axis).expand(shape) if dim is None else value.movedim(dim, axis)
    return batch.flatten(axis, axis + 1)


# Registration


def _function(
    run: Operation, save: Callable[..., None], differentiate: Callable[..., Any], vectorise: Callable[..., Batched]
) -> Operation:
    """An operation as torch.func knows it: nested arguments are flattened, since it looks at tensors alone."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(spec: Any, *leaves: Any) -> Tensors:
            return tuple(run(*tree_unflatten(leaves, spec)))

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
            save(ctx, tree_unflatten(inputs[1:], inputs[0]), output)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return (None, *tree_flatten(differentiate(ctx, grads))[0])

        @staticmethod
        def vmap(info: Any, in_dims: tuple[Any, ...], spec: Any, *leaves: Any) -> Any:
            dims = tree_unflatten(in_dims[1:], spec)
            found, out_dims = vectorise(operation, info, dims, *tree_unflatten(leaves, spec))
            return tuple(found), tuple(out_dims)

    def operation(*args: Any) -> list[Tensor]:
        leaves, spec = tree_flatten(args)
        return list(Function.apply(spec, *leaves))  # type: ignore[no-untyped-call]

    return operation


_backward_function = _function(_run_backward, _save_again, partial(_differentiate_again, _run_second), _one_by_one)
_layer_function = _function(_run, _save, partial(_differentiate, _backward_function), _vectorise)

layer_second = torch.library.custom_op("tidegate::layer_second", _run_second, mutates_args=())
layer_second.register_fake(_shapes_of_second)
layer_second.register_vmap(partial(_one_by_one, layer_second))
layer_backward = torch.library.custom_op("tidegate::layer_backward", _run_backward, mutates_args=())
layer_backward.register_fake(_shapes_of_backward)
layer_backward.register_autograd(partial(_differentiate_again, layer_second), setup_context=_save_again)
layer_backward.register_vmap(partial(_one_by_one, layer_backward))
layer = torch.library.custom_op("tidegate::layer", _run, mutates_args=())
layer.register_fake(_shapes)
layer.register_autograd(partial(_differentiate, layer_backward), setup_context=_save)
layer.register_vmap(partial(_vectorise, layer))
for kind in ("cpu", "cuda"):
    layer.register_autocast(kind, torch.float32)
