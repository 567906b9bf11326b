"""Packed matrices that calls share while somebody promises that the weights stay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from tidegate.errors import InputError
from tidegate.runtime.sized import DTYPES, HALVES
from tidegate.runtime.structure import NativePlan

Key = tuple[int, ...]
Pack = Callable[[], torch.Tensor]


class Weights:
    """The tensors of one direction of a layer, and their matrices as each plan packs them.

    Plans read some tensors of half precision as float32: these copies are kept, too, and found as the tensors are.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._tensors = tensors
        self._read: dict[tuple[bool, ...], list[torch.Tensor]] = {}
        self._note()

    def _now(self) -> list[tuple[int, int]]:
        return [(tensor._version, tensor.data_ptr()) for tensor in self._tensors]  # noqa: SLF001  torch's own count

    def _note(self) -> None:
        self._seen = self._now()
        self._packed: dict[int, tuple[torch.Tensor, Pack]] = {}
        self._held = [tensor.detach() for tensor in self._tensors]  # so that no other tensor can have their addresses
        self.hide_copies()
        self._read = {}

    def hide_copies(self) -> None:
        """Let nobody find the copies any more."""
        for copies in self._read.values():
            kept.pop(_key(copies), None)

    def read(self, as_they_are: Sequence[bool]) -> list[torch.Tensor]:
        """The tensors, those that a plan does not read as they are in float32; made anew if torch has counted a write.

        Args:
            as_they_are: for each tensor.
        """
        if self._seen != self._now():
            self._note()
        which = tuple(as_they_are)
        known = self._read.get(which)
        if known is None:
            pairs = zip(self._held, as_they_are, strict=True)
            known = self._read[which] = [t if same else t.to(torch.float32) for t, same in pairs]
            kept[_key(known)] = self
        return known

    def packed(self, plan: NativePlan, pack: Pack) -> torch.Tensor:
        """The matrices as a plan reads them; packed anew if torch has counted a write, or the memory is another."""
        if self._seen != self._now():
            self._note()
        known = self._packed.get(plan.address)
        if known is None:
            known = self._packed[plan.address] = pack(), pack
        return known[0]

    def forget(self) -> None:
        """Pack anew at the next call."""
        self._seen = []

    def check(self) -> None:
        """Refuse writes that torch has not counted.

        Raises:
            InputError: the weights are not what was packed.
        """
        if self._seen == self._now() and not (self._copies_hold() and all(map(_holds, self._packed.values()))):
            shapes = ", ".join(str(list(tensor.shape)) for tensor in self._tensors)
            raise InputError(
                "FROZEN",
                f"weights of the shapes {shapes} were written in a way that torch does not count, so that calls under "
                "tidegate.frozen read the old ones",
                fix="write to the parameter itself under torch.no_grad(), not to .data or to an array; or leave the "
                "block around the write",
            )

    def _copies_hold(self) -> bool:
        return all(
            torch.equal(copy, tensor.to(copy.dtype))
            for copies in self._read.values()
            for copy, tensor in zip(copies, self._held, strict=True)
        )


def _holds(packed: tuple[torch.Tensor, Pack]) -> bool:
    """Whether to pack again makes the same memory."""
    memory, pack = packed
    return torch.equal(memory, pack())


kept: dict[Key, Weights] = {}  # by the tensors' ids, or those of their copies


@contextmanager
def keep(groups: Iterable[Sequence[torch.Tensor]]) -> Iterator[None]:
    """Keep the packed matrices of these groups of parameters inside the block.

    Args:
        groups: for each direction of each layer its parameters, as the cell names them.

    Raises:
        InputError: at the end of the block, where weights were written in a way that torch does not count.
    """
    own = {_key(group): Weights(group) for group in groups if all(map(_countable, group))}
    added = {key: weights for key, weights in own.items() if kept.setdefault(key, weights) is weights}
    steps = register_optimizer_step_post_hook(_forget)
    try:
        yield
    finally:
        steps.remove()
        for key in added:
            kept.pop(key).hide_copies()
    for weights in added.values():
        weights.check()


def find(tensors: Sequence[torch.Tensor]) -> Weights | None:
    """What is kept of these parameters, the very ones of one direction; None where nobody asked for that."""
    return kept.get(_key(tensors)) if kept else None  # each call pays for this


def _forget(*_: object) -> None:
    """After the step of an optimizer: torch does not count what a fused one writes."""
    for weights in [*kept.values()]:
        weights.forget()


def _key(tensors: Sequence[torch.Tensor]) -> Key:
    return tuple(map(id, tensors))


def _countable(tensor: torch.Tensor) -> bool:
    """Whether the engine reads such a tensor, and torch counts the writes to it."""
    known = tensor.dtype in DTYPES or tensor.dtype in HALVES.values()
    return tensor.is_cpu and known and not tensor.is_inference()
