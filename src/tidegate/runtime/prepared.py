"""Calls of the engine that are made again and again: their words are written once, and then only what changes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import partial
from struct import Struct
from typing import NamedTuple

import torch

from tidegate.runtime import frozen
from tidegate.runtime.job import Job, aligned, buffer, pack, packed_call
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
        delta: the address of what a delta run remembers; 0 for other runs.
    """

    job: Job
    plan: NativePlan
    strides: Sequence[int]
    kind: int
    descending: bool = False
    backward: bool = False
    delta: int = 0

    def words(self, addresses: Sequence[int], *, workspace: int = 0, packed: int = 0) -> bytes:
        """The call with these tensors."""
        job, plan, strides, _, descending, backward, delta = self
        return packed_call(
            job, plan, addresses, strides,
            workspace=workspace, packed=packed, descending=descending, backward=backward, delta=delta,
        )  # fmt: skip

    def pack(self, addresses: Sequence[int]) -> torch.Tensor:
        """The matrices among these tensors as the engine reads them."""
        return pack(self.job, self.plan, addresses, self.strides, self.kind, self.delta)


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
        self.threads, self.packed = threads, packed
        self._run = engine.tg_run
        kind = bindings[0].kind
        matrices = [memory.data_ptr() for memory in packed] or [0] * len(bindings)
        calls = [binding.words(own, packed=at) for binding, own, at in zip(bindings, addresses, matrices, strict=True)]
        self._need = max(aligned(engine.tg_workspace(call, kind, threads)) for call in calls)
        self._words = array("q", (kind, threads, len(calls)))
        self._words.frombytes(b"".join(calls))
        self._starts = [HEAD + k * (len(calls[0]) // 8) for k in range(len(calls))]
        self._tensors = [8 * (start + CALL_FIELDS) for start in self._starts]
        self._address = self._words.buffer_info()[0]
        self._write = Struct(f"{varying}q").pack_into
        self._bindings = bindings  # the words point into its plan
        keep = keep or self._need * len(calls) <= MOST_KEPT
        self._own = self._workspace() if keep else None

    def run(self, addresses: Sequence[Sequence[int]]) -> None:
        """Run it with these as the first addresses of each direction."""
        for at, own in zip(self._tensors, addresses, strict=True):
            self._write(self._words, at, *own)
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
    """Calls of the same bindings, as many as run at the same time: who needs one takes it, and puts it back.

    Args:
        bindings: of a layer, in one or two directions.
    """

    def __init__(self, bindings: Sequence[Binding]) -> None:
        self._bindings = bindings
        self._waiting: list[PreparedCall] = []

    @property
    def plan(self) -> NativePlan:
        """What the steps of the first direction do."""
        return self._bindings[0].plan

    def run(self, addresses: Sequence[Sequence[int]], parameters: Sequence[Sequence[torch.Tensor]] = ()) -> None:
        """Run a call.

        Args:
            addresses: for each direction those of all tensors.
            parameters: for each direction its tensors, where some are kept packed; see ``frozen``.
        """
        threads = torch.get_num_threads()
        packed = self._packed(addresses, parameters) if parameters else ()
        try:
            call = self._waiting.pop()
        except IndexError:
            call = None
        if call is None or call.threads != threads or [*map(id, call.packed)] != [*map(id, packed)]:
            call = PreparedCall(self._bindings, threads, addresses, len(addresses[0]), packed)
        call.run(addresses)
        self._waiting.append(call)

    def _packed(
        self, addresses: Sequence[Sequence[int]], parameters: Sequence[Sequence[torch.Tensor]]
    ) -> Sequence[torch.Tensor]:
        """The matrices that are kept packed, if those of all directions are."""
        kept = [weights for weights in map(frozen.find, parameters) if weights]
        if len(kept) < len(parameters):
            return ()
        return [
            weights.packed(binding.plan, partial(binding.pack, own))
            for weights, binding, own in zip(kept, self._bindings, addresses, strict=True)
        ]
