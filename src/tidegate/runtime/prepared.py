"""Calls of the engine that are made again and again: their words are written once, and then only what changes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import partial
from struct import Struct
from typing import NamedTuple

import torch

from tidegate.runtime import frozen
from tidegate.runtime.call import Job, aligned, buffer, pack, packed_call
from tidegate.runtime.library import load
from tidegate.runtime.structure import CALL_FIELDS, NativePlan

HEAD = 3  # words before the calls: their type, the number of threads and their own
WORKSPACE = 6  # the place of its address in a call
MOST_KEPT = 64 << 10  # bytes of workspace that a call keeps for the next time


class Binding(NamedTuple):
    """What a call has besides its tensors.

    Attributes:
        job: the layer, in one direction.
        plan: what its steps do.
        strides: from row to row of each tensor.
        kind: the engine's number of the type.
        descending: whether it begins at the last step.
        backward: whether it is a backward run.
    """

    job: Job
    plan: NativePlan
    strides: Sequence[int]
    kind: int
    descending: bool = False
    backward: bool = False

    def words(self, addresses: Sequence[int], *, workspace: int = 0, packed: int = 0) -> bytes:
        """The call with these tensors."""
        job, plan, strides, _, descending, backward = self
        return packed_call(
            job, plan, addresses, strides,
            workspace=workspace, packed=packed, descending=descending, backward=backward,
        )  # fmt: skip

    def pack(self, addresses: Sequence[int]) -> torch.Tensor:
        """The matrices among these tensors as the engine reads them."""
        return pack(self.job, self.plan, addresses, self.strides, self.kind)


class PreparedCall:
    """A call, or those of two directions, whose first tensors change. It serves one caller at a time.

    Args:
        bindings: of each direction.
        threads: how many may run it.
        addresses: for each direction those of all tensors.
        varying: how many of the first ones each run brings.
        packed: for each direction its packed matrices; none to read them as they are.
        keep: hold the workspace, however large it is.
    """

    def __init__(
        self,
        bindings: Sequence[Binding],
        threads: int,
        addresses: Sequence[Sequence[int]],
        varying: int,
        packed: Sequence[torch.Tensor] = (),
        *,
        keep: bool = False,
    ) -> None:
        engine = load().engine
        self.threads, self.kept = threads, packed[0] if packed else None
        self._packed = packed
        self._run = engine.tg_run_prepared
        kind = bindings[0].kind
        matrices = [memory.data_ptr() for memory in packed] or [0] * len(bindings)
        calls = [binding.words(own, packed=at) for binding, own, at in zip(bindings, addresses, matrices, strict=True)]
        self._need = aligned(engine.tg_workspace(calls[0], kind, threads))
        self._words = array("q", (kind, threads, len(calls)))
        self._words.frombytes(b"".join(calls))
        self._starts = [HEAD + k * (len(calls[0]) // 8) for k in range(len(calls))]
        self._address = self._words.buffer_info()[0]
        self._write, self._first = Struct(f"{varying}q").pack_into, 8 * (HEAD + CALL_FIELDS)
        self._bindings = bindings  # the words point into its plan
        keep = keep or self._need * len(calls) <= MOST_KEPT
        self._own = self._workspace() if keep else None

    def run(self, addresses: Sequence[int], others: Sequence[int] = ()) -> None:
        """Run it with these as the first addresses, and these of the second direction if there is one."""
        self._write(self._words, self._first, *addresses)
        if others:
            self._write(self._words, 8 * (self._starts[1] + CALL_FIELDS), *others)
        held = self._own or self._workspace()
        self._run(self._address)
        del held

    def _workspace(self) -> list[torch.Tensor]:
        """Memory, written into the calls."""
        memory = buffer(self._need * len(self._starts))
        for k, start in enumerate(self._starts):
            self._words[start + WORKSPACE] = aligned(memory.data_ptr()) + k * self._need
        return [memory]


class PreparedCalls:
    """Calls of one binding, as many as run at the same time: who needs one takes it, and puts it back.

    Args:
        binding: of a layer in one direction.
        first: where its parameters begin among the tensors that a run names.
    """

    def __init__(self, binding: Binding, first: int) -> None:
        self._binding, self._first = binding, first
        self._waiting: list[PreparedCall] = []

    def run(self, addresses: Sequence[int], tensors: Sequence[torch.Tensor]) -> None:
        """Run a call with these addresses, of all tensors; those that end with the parameters are named."""
        threads = torch.get_num_threads()
        kept = None
        if frozen.kept and (weights := frozen.find(tensors[self._first :])):
            kept = weights.packed(self._binding.plan, partial(self._binding.pack, addresses))
        try:
            call = self._waiting.pop()
        except IndexError:
            call = None
        if call is None or call.threads != threads or call.kept is not kept:
            matrices = () if kept is None else (kept,)
            call = PreparedCall([self._binding], threads, [addresses], len(addresses), matrices)
        call.run(addresses)
        self._waiting.append(call)
