"""What every registered operation of a layer reads, and what must be true of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tidegate.cell.graph import all_widths
from tidegate.errors import InputError
from tidegate.nn import device
from tidegate.nn.rows import Batch, check_resets, full, padded, reorder
from tidegate.runtime import SizedCell, described, eager_only, run_layer, wrong_shape

Tensors = tuple[Tensor, ...]


class Problem(NamedTuple):
    """What every operation reads, in the order of its schema.

    Attributes:
        x: [T, B, I].
        first: for each state [directions, B, width]; nothing for zeros.
        parameters: of all directions.
        beside: what is given beside the input, each [T, B, width], the same for all directions; then the masks of all
            directions, in the caller's order.
        lengths: of the sequences; None where all have T steps.
        resets: booleans [T, B], or None.
        cell: as text; see ``SizedCell.text``.
    """

    x: Tensor
    first: Sequence[Tensor]
    parameters: Sequence[Tensor]
    beside: Sequence[Tensor]
    lengths: Tensor | None
    resets: Tensor | None
    cell: str

    @property
    def sized(self) -> SizedCell:
        """The cell with its widths."""
        return described(self.cell)

    @property
    def given(self) -> Sequence[Tensor]:
        """What is given beside the input."""
        return self.beside[: len(self.sized.graph.given)]

    @property
    def masks(self) -> Sequence[Tensor]:
        """The masks of all directions."""
        return self.beside[len(self.sized.graph.given) :]

    @property
    def directions(self) -> int:
        """1, or 2 where a second set of parameters runs backward in time."""
        return len(self.parameters) // len(self.sized.parameters)

    def check(self) -> None:
        """Refuse what the other operations would misread; ``run_layer`` checks each tensor of a layer.

        Raises:
            InputError: the input is not [T, B, I], resets are not booleans [T, B], other values are given than the cell
                declares, or parameters are not those of one or two directions.
        """
        if self.x.dim() != 3:
            raise InputError("SHAPE", f"x has the shape {list(self.x.shape)}", fix="pass an input [T, B, I]")
        if self.resets is not None:
            check_resets(self.resets, self.x)
        axes = all_widths(self.sized.widths)
        shapes = [(*self.x.shape[:2], axes[value.axis]) for value in self.sized.graph.given]
        if [tuple(value.shape) for value in self.given] != shapes:
            raise InputError(
                "SHAPE",
                f"what is given has the shapes {[list(value.shape) for value in self.given]}, but this cell reads "
                f"{[list(shape) for shape in shapes]}",
                fix="pass each value that the cell declares, [T, B, width]",
            )
        own, masks = len(self.sized.parameters), len(self.sized.graph.masks)
        counts = len(self.parameters), len(self.masks)
        if counts not in ((own, masks), (2 * own, 2 * masks)):
            raise InputError(
                "SHAPE",
                f"{self.sized.graph.name} has {own} parameters and {masks} masks in a direction, got {counts[0]} and "
                f"{counts[1]}",
                fix="pass those of one direction or of two",
            )

    def check_results(self, output: Tensor, saved: Tensor, d_output: Tensor, d_last: Sequence[Tensor]) -> None:
        """Refuse what was not made for this problem: what a forward run left, and gradients.

        Raises:
            InputError: a tensor has another shape, type or device; ``saved`` may be empty.
        """
        width, size = self.directions * self.sized.output_width, self.x.shape[1]
        results = (*self.x.shape[:2], width)
        expected = [("output", output, results), ("d_output", d_output, results)]
        if saved.numel():
            like = self.empty_saved(saving=True)
            expected.append(("saved", saved.to(self.x.dtype) if saved.dtype == like.dtype else saved, like.shape))
        states = [(self.directions, size, own) for own in self.sized.state_widths]
        if len(d_last) != len(states):
            raise InputError("SHAPE", f"got {len(d_last)} gradients of {len(states)} states", fix="pass one of each")
        expected += [("d_last", d, shape) for d, shape in zip(d_last, states, strict=True)]
        for name, tensor, shape in expected:
            if tensor.shape != shape:
                raise wrong_shape(name, tensor.shape, shape)
            if (tensor.dtype, tensor.device) != (self.x.dtype, self.x.device):
                raise InputError(
                    "DTYPE",
                    f"{name} is {tensor.dtype} on {tensor.device}, but x is {self.x.dtype} on {self.x.device}",
                    fix="pass tensors of one type on one device",
                )

    @property
    def differentiable(self) -> Tensors:
        """The tensors that have gradients."""
        return self.x, *self.first, *self.parameters, *self.given

    def with_differentiable(self, x: Tensor, *tensors: Tensor) -> Problem:
        """The same problem with these tensors in the place of ``differentiable``."""
        count, given = len(self.first), len(tensors) - len(self.given)
        beside = [*tensors[given:], *self.masks]
        return self._replace(x=x, first=tensors[:count], parameters=tensors[count:given], beside=beside)

    def batch(self) -> Batch:
        """The sequences as rows."""
        return full(self.x, self.resets) if self.lengths is None else padded(self.x, self.lengths, self.resets)

    def tensors(self, batch: Batch) -> list[Tensor]:
        """Parameters, what is given and masks as the runtime expects them: direction by direction, as rows."""
        given = [batch.place(value.flatten(0, 1), "step") for value in self.given]
        kinds, own = self.sized.graph.masks, len(self.sized.parameters)
        tensors: list[Tensor] = []
        for d in range(self.directions):
            tensors += [*self.parameters[d * own : (d + 1) * own], *given]
            masks = self.masks[d * len(kinds) : (d + 1) * len(kinds)]
            tensors += [batch.place(mask, kind.each) for kind, mask in zip(kinds, masks, strict=True)]
        return tensors

    def empty_saved(self, *, saving: bool) -> Tensor:
        """Room for what the gradients need, or an empty tensor."""
        shape = (self.directions, *self.x.shape[:2], self.sized.saved_width) if saving else (0,)
        return self.x.new_empty(shape, dtype=self.sized.saved_type(self.x.dtype))

    def by_definition(self, *tensors: Tensor) -> Tensors:
        """Output and last states, given the differentiable tensors."""
        problem = self.with_differentiable(*tensors)
        batch = problem.batch()
        first = reorder(problem.first, batch.order) or None
        with eager_only():
            _, (output, *last) = run_layer(self.sized, batch.rows, batch.size, first, problem.tensors(batch))
        return batch.restore(output), *reorder(last, batch.back)

    @property
    def even(self) -> bool:
        """Whether all sequences run through all steps. torch.func cannot differentiate torch's function on others."""
        return self.lengths is None and self.resets is None

    def elsewhere(self) -> bool:
        """Whether torch's own function runs the layer, on another device."""
        tensors = (*self.parameters, *self.beside)
        return device.obstacle(self.sized.graph, self.x, tuple(self.first), tensors) is not None

    def by_torch(self, *tensors: Tensor) -> Tensors:
        """The same by torch's function."""
        problem = self.with_differentiable(*tensors)
        batch = problem.batch()
        first = reorder(problem.first, batch.order) or None
        shape = device.Shape(1, self.directions)
        output, *last = device.run(self.sized, batch.rows, batch.size, first, problem.parameters, shape)
        return batch.restore(output), *reorder(last, batch.back)

    def gradients(self, *tensors: Tensor) -> Tensors:
        """Gradients of ``by_definition``, given its arguments, then those of its results. They are differentiable."""
        return self._gradients(self.by_definition, tensors)

    def gradients_by_torch(self, *tensors: Tensor) -> Tensors:
        """The same by torch's function, whose gradients on a GPU cannot be differentiated again."""
        return self._gradients(self.by_torch, tensors)

    def _gradients(self, function: Callable[..., Tensors], tensors: Tensors) -> Tensors:
        count = 1 + len(self.sized.state_widths)
        back = torch.func.vjp(function, *tensors[:-count])[1]
        gradients: Tensors = back(tensors[-count:])
        return gradients
