"""What a backward run of our recurrent layers says of every parameter: uses, norms, and weighted sums of gradients.

Inside a ``Recorder`` layers make no gradients of parameters. What these are made of stays where the engine wrote it:
it says of each sequence how long its gradient is, and then one product makes the sum of the clipped gradients. Between
a parameter and what the engine reads may stand a mask, a norm, a mirror image or another parametrization; gradients of
single sequences are then taken back through it by autograd. So every leaf is exact, whatever is computed of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from tidegate.errors import InputError
from tidegate.nn import Recurrent, RecurrentCell
from tidegate.private.use import Use
from tidegate.runtime import FirstStates, Withheld, withheld_by, withhold

AT_ONCE = 1 << 21  # elements of gradients of single sequences that are in memory at a time


class Summand(Protocol):
    """A part of the gradient of a tensor, a sum over steps as in ``Use``: ``tensor[place]`` has it."""

    @property
    def place(self) -> slice:
        """Rows of the tensor."""

    def adjoint(self) -> Tensor:
        """[T, B, rows]."""

    def operand(self) -> Tensor | None:
        """[T, B, columns]; None for a vector."""


@dataclass(frozen=True)
class OfCall:
    """What one direction of a layer adds to the gradient of a tensor that the engine read."""

    call: Withheld
    direction: int
    number: int  # among all gradients and sums of the cell

    @property
    def place(self) -> slice:
        return self.call.job.cell.gradients.places[self.number]

    def adjoint(self) -> Tensor:
        return self.call.adjoint(self.direction, self.number)

    def operand(self) -> Tensor | None:
        return self.call.operand(self.direction, self.number)


@dataclass(frozen=True)
class OfFirst:
    """What comes back to learned first states."""

    states: FirstStates
    number: int

    @property
    def place(self) -> slice:
        return slice(0, self.states.copies.shape[-1])

    def adjoint(self) -> Tensor:
        return self.states.gradient[self.number].unsqueeze(0)

    def operand(self) -> None:
        return None


@dataclass(eq=False)
class Read:
    """A tensor that a call read: a parameter, or what is made of parameters.

    Attributes:
        tensor: as the engine read it.
        zeros_stay: only what is not zero in it has a gradient.
        leaves: the parameters that it is made of.
        summands: of its gradient.
    """

    tensor: Tensor
    zeros_stay: bool
    leaves: list[Tensor] = field(init=False)
    summands: list[Summand] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.leaves = [*_leaves(self.tensor)]

    @property
    def is_leaf(self) -> bool:
        """Whether the engine read a parameter itself, and all of it has a gradient."""
        return self.tensor.is_leaf and not self.zeros_stay

    @property
    def is_plain(self) -> bool:
        """Whether no two summands meet, so that norms of the summands add up to that of the gradient."""
        places = sorted((s.place.start, s.place.stop) for s in self.summands)
        apart = all(before[1] <= after[0] for before, after in pairwise(places))
        return self.is_leaf and apart and all(isinstance(s, OfCall) for s in self.summands)

    def single(self, some: slice, count: int) -> Tensor:
        """Of these sequences, so many, the gradients of the tensor, [B, *shape]."""
        total = torch.zeros((count, *self.tensor.shape), dtype=self.tensor.dtype)
        for summand in self.summands:
            adjoint, operand = summand.adjoint()[:, some], summand.operand()
            own = adjoint.sum(0)
            if operand is not None:
                own = torch.bmm(adjoint.permute(1, 2, 0), operand[:, some].transpose(0, 1))
            total[:, summand.place] += own
        return total * (self.tensor.detach() != 0) if self.zeros_stay else total

    def back(self, gradient: Tensor, *, batched: bool) -> Sequence[Tensor]:
        """The gradients of the leaves, given that of the tensor; ``batched`` for many, each [B, *shape]."""
        if self.tensor.is_leaf:
            return (gradient,)
        if batched and not len(gradient):  # which torch cannot vectorise
            return [leaf.new_zeros((0, *leaf.shape), requires_grad=False) for leaf in self.leaves]
        return torch.autograd.grad(self.tensor, self.leaves, gradient, retain_graph=True, is_grads_batched=batched)


class LayerUses:
    """What the backward run says of one call of a module; sequences have the caller's order.

    Args:
        module: the layer or cell; None for a call outside of any.
        entries: what the call left in a block of ``tidegate.runtime.withhold``.

    Attributes:
        module: the layer or cell; None for a call outside of any.
        parameters: the leaves that want a gradient.
        sequences: how many there are.
    """

    def __init__(self, module: torch.nn.Module | None, entries: Sequence[Withheld | FirstStates]) -> None:
        self.module, self._calls = module, [entry for entry in entries if isinstance(entry, Withheld)]
        self._entries = entries
        self.sequences = self._calls[0].sequences if self._calls else 0
        self._reads = _reads(entries)
        leaves = {id(leaf): leaf for read in self._reads for leaf in read.leaves}
        self.parameters = tuple(leaves.values())
        if module is not None:
            own = {id(parameter) for parameter in module.parameters()}
            if leaves.keys() - own:
                raise InputError(
                    "PRIVATE_WEIGHTS",
                    f"weights of {type(module).__name__} are computed from tensors that are no parameters of it, "
                    "so gradients of single sequences are not known",
                    fix="make them parameters, or detach them",
                )

    def squares(self) -> dict[Tensor, Tensor]:
        """Of each leaf the squared norms of the gradients of single sequences, [B] float64, as far as this call goes.

        Shared weights, all layers and both directions count together.
        """
        plain = [r for r in self._reads if r.is_plain and sum(_has(o.leaves, r.tensor) for o in self._reads) == 1]
        done = {id(read.tensor) for read in plain}
        found = self._by_engine(plain)
        return found | self._directly([leaf for leaf in self.parameters if id(leaf) not in done])

    def uses(self, wanted: Collection[Tensor] | None = None) -> list[Use]:
        """Where leaves took part, all or these; gradients that have no form of a product are vectors of one step."""
        chosen = None if wanted is None else {id(leaf) for leaf in wanted}
        found = []
        for read in self._reads:
            own = [leaf for leaf in read.leaves if chosen is None or id(leaf) in chosen]
            if not own:
                continue
            if read.is_leaf:
                found += [Use(read.tensor, s.place, s.adjoint(), s.operand()) for s in read.summands]
                continue
            gradients = read.back(read.single(slice(None), self.sequences), batched=True)
            pairs = zip(read.leaves, gradients, strict=True)
            found += [Use(leaf, ..., gradient.unsqueeze(0)) for leaf, gradient in pairs if _has(own, leaf)]
        return found

    def weighted(self, weights: Tensor) -> dict[Tensor, Tensor]:
        """Of each leaf the sum over sequences b of ``weights[b]`` times the gradient of b, in one product.

        Args:
            weights: [B].
        """
        sums: dict[int, Tensor] = {}

        def add(tensor: Tensor, gradient: Tensor) -> None:
            sums[id(tensor)] = sums[id(tensor)] + gradient if id(tensor) in sums else gradient

        for entry in self._entries:
            made = entry.weighted(weights)
            for tensor, gradient in zip(entry.parameters, made, strict=True):
                add(tensor, gradient)
        found: dict[Tensor, Tensor] = {}
        for read in self._reads:
            for leaf, gradient in zip(read.leaves, read.back(sums[id(read.tensor)], batched=False), strict=True):
                found[leaf] = found[leaf] + gradient if leaf in found else gradient
        return found

    def _by_engine(self, reads: Sequence[Read]) -> dict[Tensor, Tensor]:
        """Squared norms that are sums of those of summands."""
        chosen = {id(read.tensor): read for read in reads}
        wanted = {s for read in reads for s in read.summands}
        found = {read.tensor: torch.zeros(self.sequences, dtype=torch.float64) for read in chosen.values()}
        for call in self._calls:
            numbers = range(len(call.job.cell.gradients.tensors))
            asked = [[OfCall(call, d, k) in wanted for k in numbers] for d in range(call.job.directions)]
            if any(map(any, asked)):
                squares = call.square_norms(asked)
                for tensor, summand in _summands(call):
                    if summand in wanted:
                        found[tensor] += squares[summand.direction, summand.number]
        return found

    def _directly(self, leaves: Sequence[Tensor]) -> dict[Tensor, Tensor]:
        """Squared norms of gradients that are made, some at a time."""
        found = {leaf: torch.zeros(self.sequences, dtype=torch.float64) for leaf in leaves}
        reads = [read for read in self._reads if any(_has(leaves, leaf) for leaf in read.leaves)]
        elements = sum(max(read.tensor.numel(), sum(leaf.numel() for leaf in read.leaves)) for read in reads)
        step = max(1, AT_ONCE // max(1, elements))
        for begin in range(0, self.sequences if reads else 0, step):
            some = slice(begin, min(begin + step, self.sequences))
            total: dict[Tensor, Tensor] = {}
            for read in reads:
                gradients = read.back(read.single(some, some.stop - begin), batched=True)
                for leaf, gradient in zip(read.leaves, gradients, strict=True):
                    total[leaf] = total[leaf] + gradient if leaf in total else gradient
            for leaf in leaves:
                found[leaf][some] = total[leaf].flatten(1).double().square().sum(1)
        return found


class Recorder:
    """Inside this block our layers and cells make no gradients of parameters, and say what these are made of.

    Example:
        >>> import torch, tidegate as tg
        >>> layer, x = tg.nn.LSTM(4, 8), torch.randn(5, 3, 4)
        >>> with tg.private.Recorder() as recorder:
        ...     layer(x)[0].square().sum().backward()
        >>> (call,) = recorder.calls
        >>> norms = sum(call.squares().values()).sqrt()  # of the gradients of three sequences
        >>> sums = call.weighted((1 / norms).clamp(max=1))  # of gradients that are clipped to 1
        >>> [leaf.grad for leaf in layer.parameters()], len(sums)
        ([None, None, None, None], 4)
    """

    def __init__(self) -> None:
        self._entries: list[Withheld | FirstStates] = []
        self._inside: list[int] = []
        self._modules: list[tuple[torch.nn.Module, int, int]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._entries = stack.enter_context(withhold())
            stack.enter_context(_removed(register_module_forward_pre_hook(self._before)))
            stack.enter_context(_removed(register_module_forward_hook(self._after, always_call=True)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def inside(self) -> bool:
        """Whether one of our modules runs at present."""
        return bool(self._inside)

    @property
    def calls(self) -> list[LayerUses]:
        """One entry for each call of a module, in their order, for after the backward run; the last run counts."""
        found, end = [], 0
        for module, first, last in self._modules:
            found += [LayerUses(None, [entry]) for entry in self._entries[end:first]]
            found.append(LayerUses(module, self._entries[first:last]))
            end = last
        return found + [LayerUses(None, [entry]) for entry in self._entries[end:]]

    def _before(self, module: torch.nn.Module, _: Any) -> None:
        if isinstance(module, Recurrent | RecurrentCell) and withheld_by() is self._entries:
            self._inside.append(len(self._entries))

    def _after(self, module: torch.nn.Module, _: Any, __: Any) -> None:
        if isinstance(module, Recurrent | RecurrentCell) and withheld_by() is self._entries:
            self._modules.append((module, self._inside.pop(), len(self._entries)))


class _removed:  # noqa: N801  used as a function
    """Removes a hook at the end of a block."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None:
        self._handle.remove()


def _reads(entries: Sequence[Withheld | FirstStates]) -> list[Read]:
    """The tensors that want a gradient, each once, with all that it is the sum of."""
    found: dict[int, Read] = {}
    for entry in entries:
        for k, tensor in enumerate(entry.parameters):
            if tensor.requires_grad and id(tensor) not in found:
                zeros_stay = isinstance(entry, Withheld) and entry.zeros_stay(k)
                found[id(tensor)] = Read(tensor, zeros_stay)
        for tensor, summand in _summands(entry):
            if id(tensor) in found:
                found[id(tensor)].summands.append(summand)
    return [*found.values()]


def _summands(entry: Withheld | FirstStates) -> Iterator[tuple[Tensor, Any]]:
    """All that a call adds to gradients, each with the tensor whose gradient it is of."""
    if isinstance(entry, FirstStates):
        yield from ((tensor, OfFirst(entry, k)) for k, tensor in enumerate(entry.parameters) if entry.ran)
        return
    cell = entry.job.cell
    names = cell.gradients.tensors
    for d in range(entry.job.directions if entry.ran else 0):
        own = entry.parameters[d * len(cell.parameters) : (d + 1) * len(cell.parameters)]
        for number, name in enumerate(names):
            yield own[cell.parameters.index(name)], OfCall(entry, d, number)


def _leaves(tensor: Tensor) -> Iterator[Tensor]:
    """The leaves that autograd's graph of a tensor begins with."""
    if tensor.is_leaf:
        yield tensor
        return
    seen, stack = {tensor.grad_fn}, [tensor.grad_fn]
    while stack:
        node: Any = stack.pop()
        if hasattr(node, "variable"):
            yield node.variable
        new = {before for before, _ in node.next_functions if before is not None} - seen
        seen |= new
        stack += new


def _has(tensors: Sequence[Tensor], tensor: Tensor) -> bool:
    return any(own is tensor for own in tensors)
