"""Weights with blocks that are zero and stay so, whoever made them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from types import MappingProxyType
from typing import Any, NamedTuple
from weakref import ref

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook
from torch.utils.weak import WeakIdKeyDictionary

from tidegate.runtime import SizedCell, panel_vectors, sized, transform

WORTH = 0.9  # a matrix is multiplied by lists if no more than this share of it is multiplied then
MASK = "_mask"  # what torch.nn.utils.prune adds to the name of a weight for the buffer of its mask


@dataclass(frozen=True)
class Blocks:
    """Which blocks of a weight are zero and stay so.

    Attributes:
        zero: booleans, shaped as the weight.
        size: a block is so many neighbouring rows of one column.
        heights: the rows of each gate, or of each head of it; in each of them blocks begin anew.
    """

    zero: Tensor
    size: int
    heights: tuple[int, ...]

    @classmethod
    def largest(cls, weight: Tensor, density: float, size: int, heights: Sequence[int]) -> Blocks:
        """Those of which the largest are kept, as many as this share of the weight has room for, at least one.

        Args:
            weight: [rows, columns]. How large a block is, is the mean of its absolute values; one of zeros is not kept.
            density: the share.
            size: rows of a block.
            heights: rows of each gate.
        """
        number, rows = (part.to(weight.device) for part in _numbered(heights, size))
        means = _sums(weight.detach().abs(), number) / rows[:, None]
        order = means.flatten().argsort(descending=True, stable=True)
        room = rows[:, None].expand_as(means).flatten()[order].cumsum(0)
        kept = torch.zeros(means.numel(), dtype=torch.bool, device=weight.device)
        kept[order[(room <= density * weight.numel()) | (room == room[0])]] = True
        kept = kept.view_as(means) & (means > 0)
        return cls(~kept[number], size, tuple(heights))

    def read(self, weight: Tensor) -> Blocks:
        """The blocks that are zero in this weight."""
        return Blocks.largest(weight, 1.0, self.size, self.heights)

    def to(self, device: torch.device) -> Blocks:
        """The same on another device, unless that has no memory."""
        return self if device.type == "meta" else replace(self, zero=self.zero.to(device))


def _numbered(heights: Sequence[int], size: int) -> tuple[Tensor, Tensor]:
    """For each row the number of its block; for each block its rows."""
    rows = [min(size, height - at) for height in heights for at in range(0, height, size)]
    counts = torch.tensor(rows)
    return torch.arange(len(rows)).repeat_interleave(counts), counts


def _sums(weight: Tensor, number: Tensor) -> Tensor:
    """[blocks, columns] float64: the sums of the rows of each block."""
    sums = torch.zeros(int(number[-1]) + 1, weight.shape[1], dtype=torch.float64, device=weight.device)
    return sums.index_add_(0, number, weight.double())


def multiplied(zero: Tensor, heights: Sequence[int], itemsize: int) -> float:
    """The share of a weight that the engine multiplies by lists: what shares one with a number that is not zero.

    A panel has one list, or one for each half or each quarter, whatever leaves least to read: ``best_cut`` of
    ``engine/pack.h``.

    Args:
        zero: booleans, shaped as the weight.
        heights: rows of each gate.
        itemsize: bytes of a number.
    """
    lanes, most = panel_vectors(itemsize)
    used = 0
    for gate in (~zero).cpu().split([*heights]):
        free = -len(gate) % (lanes * most)
        vectors = pad(gate, (0, 0, 0, free)).unflatten(0, (-1, most, lanes))
        there = pad(torch.ones(len(gate), dtype=torch.int64), (0, free)).view(-1, most, lanes)
        choices = []
        for size in (s for s in (4, 2, 1) if s <= most):
            kept = vectors.unflatten(1, (-1, size)).any(3).any(2).sum(-1)  # columns, of each part of each panel
            rows = there.unflatten(1, (-1, size)).sum(3)
            cost = (kept * (2 * (rows > 0).sum(2) + 1)).sum(1)
            choices.append(torch.stack([cost, (kept * rows.sum(2)).sum(1)]))
        costs, counts = torch.stack(choices).unbind(1)
        used += int(counts.gather(0, costs.argmin(0)[None]).sum())
    return used / zero.numel()


def heights_of(cell: SizedCell, matrix: str) -> tuple[int, ...]:
    """The rows of each gate of a matrix, or of each head of a gate."""
    own = cell.graph.matrix(matrix)
    return tuple(cell.widths[block.axis] // own.heads for block in own.blocks for _ in range(own.heads))


def with_lists(cell: SizedCell, tensors: Sequence[Tensor]) -> SizedCell:
    """The same cell, which multiplies by lists what has enough zeros for that.

    Args:
        cell: of a layer.
        tensors: its parameters, of all directions.
    """
    if [tensor.shape for tensor in tensors] != cell.shapes[len(tensors) > len(cell.parameters)]:
        return cell  # whoever runs it refuses them by name
    names = []
    for matrix in cell.graph.matrices:
        own = tensors[cell.parameters.index(f"weight_{matrix.name}") :: len(cell.parameters)]
        zeros = [weight.detach() == 0 for weight in own]
        heights, itemsize = heights_of(cell, matrix.name), tensors[0].element_size()
        if worth(multiplied(zero, heights, itemsize) for zero in zeros):
            names.append(matrix.name)
    return sized(cell.graph, tuple(cell.widths.items()), tuple(names), products=cell.products, saved=cell.saved)


def worth(shares: Iterable[float]) -> bool:
    """Whether lists pay that hold these shares of the weights of all directions."""
    return mean(shares) <= WORTH


class Weight(NamedTuple):
    """What a weight of a module is.

    Attributes:
        matrix: of the cell.
        heights: the rows of each gate.
        layer: the number of the layer; 0 for a cell.
    """

    matrix: str
    heights: tuple[int, ...]
    layer: int


class _Held(torch.autograd.Function):
    """A weight whose gradient is zero where blocks are."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, zero: Tensor) -> Tensor:
        ctx.zero = zero
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0].masked_fill(ctx.zero, 0), None


class Sparse(torch.nn.Module):
    """A layer or a cell, some of whose weights may have blocks that are zero.

    Attributes:
        sparse: by attribute, the weights of which ``sparsify`` holds blocks at zero.
    """

    sparse: Mapping[str, Blocks] = MappingProxyType({})
    _lists: Mapping[int, tuple[str, ...]] = MappingProxyType({})  # by layer, the matrices that have lists
    _seen: tuple[Any, ...] = ()  # the masks of torch.nn.utils.prune at the last call

    def weights(self) -> dict[str, Weight]:
        """All weights, by attribute."""
        raise NotImplementedError

    def set_variants(self) -> None:
        """Make the cells anew, as options and lists ask for."""
        raise NotImplementedError

    def release(self) -> Mapping[str, Blocks]:
        """Hold nothing at zero any more; returns what was held."""
        held = self.sparse
        for name in ("sparse", "_lists", "_seen"):
            vars(self).pop(name, None)
        return held

    def set_lists(self) -> None:
        """Choose anew which matrices are multiplied by lists of what is not zero."""
        lists = self._listed()
        if lists != self._lists:
            vars(self)["_lists"] = lists
            self.set_variants()

    def hold_zero(self, blocks: Mapping[str, Blocks]) -> None:
        """Set these blocks to zero and keep them there: their gradients are zero, and optimizers do not move them.

        Args:
            blocks: by attribute; those of other weights stay as they are.
        """
        vars(self)["sparse"] = {**self.sparse, **blocks}
        with torch.no_grad():
            for name, own in blocks.items():
                weight = getattr(self, name).masked_fill_(own.zero, 0)
                self._follow(name, weight)
        self.set_lists()

    def masks(self) -> dict[str, Tensor]:
        """By attribute, what is held at zero, by ``sparsify`` or by a mask of torch.nn.utils.prune."""
        zeros = {name: blocks.zero for name, blocks in self.sparse.items()}
        for name, mask in self._buffers.items():
            if name.endswith(MASK) and mask is not None:
                zeros[name.removesuffix(MASK)] = mask == 0
        return {name: zeros[name] for name in self.weights() if name in zeros}

    def _listed(self) -> dict[int, tuple[str, ...]]:
        """By layer, the matrices of which lists are shorter than they are wide."""
        known, wanted = self.weights(), dict[tuple[int, str], list[float]]()
        for name, zero in self.masks().items():
            own = known[name]
            share = multiplied(zero, own.heights, getattr(self, name).element_size())
            wanted.setdefault((own.layer, own.matrix), []).append(share)
        names: dict[int, tuple[str, ...]] = {}
        for (layer, matrix), shares in wanted.items():
            if worth(shares):
                names[layer] = (*names.get(layer, ()), matrix)
        return names

    def sparsity(self) -> str:
        """How ``repr`` says what is zero and what is multiplied; empty where nothing is held at zero."""
        known, count, kept, used = self.weights(), 0, 0, 0.0
        for name, zero in self.masks().items():
            count, kept = count + zero.numel(), kept + int((~zero).sum())
            used += multiplied(zero, known[name].heights, getattr(self, name).element_size()) * zero.numel()
        return f", kept={kept / count:.3g}, multiplied={used / count:.3g}" if count else ""

    def _notice(self) -> None:
        """Pick up the masks of torch.nn.utils.prune that came, changed or went since the last call."""
        if torch.compiler.is_compiling():
            return
        seen = tuple(
            (name, id(mask), mask._version)  # noqa: SLF001  torch's own count
            for name, mask in self._buffers.items()
            if name.endswith(MASK) and mask is not None
        )
        if seen != self._seen:
            vars(self)["_seen"] = seen
            self.set_lists()

    def _held_all(self, names: Iterable[str], tensors: list[Tensor]) -> list[Tensor]:
        """Parameters as a call reads them: gradients of what is held at zero are zero."""
        if not torch.is_grad_enabled():
            return tensors
        return [self._held(name, tensor) for name, tensor in zip(names, tensors, strict=True)]

    def _held(self, name: str, weight: Tensor) -> Tensor:
        blocks = self.sparse.get(name)
        if blocks is None:
            return weight
        if torch.compiler.is_compiling() or transform() is not None:
            return weight * ~blocks.zero
        self._follow(name, weight)
        held: Tensor = _Held.apply(weight, blocks.zero)  # type: ignore[no-untyped-call]
        return held

    def _follow(self, name: str, weight: Tensor) -> None:
        """Set this to zero again after each step of an optimizer that knows the parameter: momentum would move it."""
        if not isinstance(weight, torch.nn.Parameter):
            return
        if not _hooks:
            _hooks.append(register_optimizer_step_post_hook(_hold))
        if weight not in _followed:
            _followed[weight] = ref(self), name

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Any:
        """Masks follow their weights to other devices."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.sparse:
            moved = {name: blocks.to(getattr(self, name).device) for name, blocks in self.sparse.items()}
            vars(self)["sparse"] = moved
            self.set_lists()
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """What is zero in loaded weights is held at zero, and nothing else."""
        super()._load_from_state_dict(*args, **kwargs)
        if self.sparse:
            self.hold_zero({name: blocks.read(getattr(self, name)) for name, blocks in self.sparse.items()})


def class_of(module: torch.nn.Module) -> str:
    """The class as errors name it: torch.nn, Keras and we have some of the same name."""
    return f"{type(module).__module__}.{type(module).__name__}"


def nonzeros(model: torch.nn.Module) -> int:
    """The numbers in the parameters of a model, without those that layers hold at zero; what is shared counts once.

    Args:
        model: any module.
    """
    held = {
        id(getattr(module, name)): int(zero.sum())
        for module in model.modules()
        if isinstance(module, Sparse)
        for name, zero in module.masks().items()
    }
    return sum(parameter.numel() for parameter in model.parameters()) - sum(held.values())


_followed = WeakIdKeyDictionary()  # from parameters to the modules that hold some of them at zero, and their names
_hooks: list[Any] = []  # one, from the first sparse weight on


@torch.no_grad()
def _hold(optimizer: Optimizer, *_: object) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            owner, name = _followed.get(parameter, (object, ""))
            blocks = getattr(owner(), "sparse", {}).get(name)
            if blocks is not None and getattr(owner(), name) is parameter:
                parameter.masked_fill_(blocks.zero, 0)
