"""The arguments of a call: where their steps and sequences are, what the model is told, and how they are cut."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from tidegate.errors import InputError
from tidegate.explain.probe import Probe, converted

Lengths = Tensor | Sequence[int]
Answer = Callable[..., Tensor]
PADDED = "pass a padded batch, and its lengths as lengths="


@dataclass(frozen=True)
class Arguments:
    """The arguments of one call of a model.

    The first one says how many steps T and sequences B there are; another tensor has steps if its first two axes are
    as long. Numbers are float64, as the model is that reads them.

    Attributes:
        values: positional arguments.
        named: further arguments, by name.
        lengths: [B] int64, the steps of each sequence; None if all have T.
        batch_first: whether the axis of sequences comes before that of steps.
        told: the keyword arguments among ``lengths`` and ``reset`` that the model takes.
    """

    values: tuple[Any, ...]
    named: Mapping[str, Any]
    lengths: Tensor | None
    batch_first: bool
    told: frozenset[str]

    @classmethod
    def of(
        cls,
        model: torch.nn.Module | Probe,
        x: Any,
        named: Mapping[str, Any],
        lengths: Lengths | None,
        batch_first: bool | None,
    ) -> Arguments:
        """Read what a caller has passed.

        Args:
            model: the caller's own; it tells whether lengths are passed on, and what its layout is.
            x: a tensor, or a tuple of all positional arguments.
            named: further arguments, by name.
            lengths: of the sequences; None if all have T steps.
            batch_first: None for the layout of the recurrent layers.

        Raises:
            InputError: arguments without axes of steps and sequences, or lengths that do not fit.
        """
        values = tuple(x) if isinstance(x, (tuple, list)) and not isinstance(x, PackedSequence) else (x,)
        first = values[0] if values else None
        if isinstance(first, PackedSequence):
            raise InputError("EXPLAIN_INPUT", "x is a PackedSequence, expected a tensor", fix=PADDED)
        least = 3 if isinstance(first, Tensor) and first.is_floating_point() else 2
        if not isinstance(first, Tensor) or first.dim() < least or not all(first.shape[:2]):
            got = f"shape {list(first.shape)}" if isinstance(first, Tensor) else type(first).__name__
            raise InputError(
                "EXPLAIN_INPUT",
                f"x has {got}, expected numbers [T, B, features] or tokens [T, B], with at least one step",
                fix="pass a batch of sequences; of one sequence x[:, None]",
            )
        model = model.model if isinstance(model, Probe) else model
        values, named = _detached(converted((values, dict(named)), torch.float64))
        first_axis = layout(model) if batch_first is None else batch_first
        arguments = cls(values, named, None, first_axis, takes(model))
        return arguments if lengths is None else replace(arguments, lengths=_checked(lengths, arguments))

    @property
    def first(self) -> Tensor:
        """The argument that says how many steps and sequences there are."""
        tensor: Tensor = self.values[0]
        return tensor

    @property
    def time(self) -> int:
        """The axis of steps."""
        return int(self.batch_first)

    @property
    def steps(self) -> int:
        """T."""
        return self.first.shape[self.time]

    @property
    def size(self) -> int:
        """B."""
        return self.first.shape[1 - self.time]

    @property
    def counts(self) -> Tensor:
        """[B] int64: the steps of each sequence."""
        return torch.full((self.size,), self.steps) if self.lengths is None else self.lengths

    def timed(self, value: Any) -> bool:
        """Whether a value has an axis of steps and one of sequences, as the first argument has them."""
        return isinstance(value, Tensor) and value.dim() >= 2 and value.shape[:2] == self.first.shape[:2]

    def time_major(self, value: Tensor) -> Tensor:
        """A timed value as [T, B, ...]; and back again."""
        return value.transpose(0, 1) if self.batch_first else value

    def valid(self) -> Tensor:
        """[T, B] bool: the steps that sequences have."""
        return torch.arange(self.steps)[:, None] < self.counts

    def keywords(self, reset: Tensor | None = None) -> dict[str, Any]:
        """The keyword arguments of the call, with lengths and resets if the model takes them."""
        known = {"lengths": self.lengths, "reset": reset}
        return {**self.named, **{k: v for k, v in known.items() if v is not None and k in self.told}}

    def run(self, model: torch.nn.Module, reset: Tensor | None = None) -> Any:
        """What the model returns."""
        return model(*self.values, **self.keywords(reset))

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Arguments:
        """With another value, [T, B, ...], for each argument that has steps."""

        def changed(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {name: changed(one) for name, one in value.items()}
            return self.time_major(change(self.time_major(value))) if self.timed(value) else value

        named = {name: changed(value) for name, value in self.named.items()}
        return replace(self, values=tuple(map(changed, self.values)), named=named)

    def part(self, start: int, stop: int) -> Arguments:
        """Steps from ``start`` up to ``stop`` only."""
        lengths = None if self.lengths is None else (self.lengths - start).clamp(0, stop - start)
        return replace(self.mapped(lambda value: value[start:stop]), lengths=lengths)

    def last(self, steps: int) -> Arguments:
        """The last ``steps`` steps of each sequence only, moved to the start; the whole of a shorter one."""
        if self.lengths is None:
            return self.part(max(0, self.steps - steps), self.steps)
        begin = (self.lengths - steps).clamp(min=0)
        index = (torch.arange(min(steps, self.steps))[:, None] + begin).clamp(max=self.steps - 1)
        each = torch.arange(self.size)
        return replace(self.mapped(lambda value: value[index, each]), lengths=self.lengths.clamp(max=steps))


def layout(model: torch.nn.Module) -> bool:
    """Whether sequences come before steps, as the recurrent layers of a model have it.

    Raises:
        InputError: its layers differ.
    """
    found = {module.batch_first for module in model.modules() if isinstance(module, torch.nn.RNNBase)}
    if len(found) > 1:
        raise InputError(
            "EXPLAIN_LAYOUT",
            "some recurrent layers of the model are batch_first and others are not",
            fix="pass batch_first=True or batch_first=False, as x has it",
        )
    return bool(found and found.pop())


def takes(model: torch.nn.Module) -> frozenset[str]:
    """Which of the keyword arguments ``lengths`` and ``reset`` a model takes."""
    parameters = inspect.signature(model.forward).parameters.values()
    named = {p.name for p in parameters if p.kind is not inspect.Parameter.POSITIONAL_ONLY}
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    return frozenset(name for name in ("lengths", "reset") if open_ended or name in named)


def answers(answer: Answer, output: Any, arguments: Arguments, *others: Any) -> Tensor:
    """What a function makes of an output: one number [], or one for each sequence [B].

    Args:
        answer: the function; it gets ``lengths=`` as well if it takes them.
        output: of the model.
        arguments: of the call.
        others: further arguments of the function.

    Raises:
        InputError: it makes something else.
    """
    takes = arguments.lengths is not None and "lengths" in inspect.signature(answer).parameters
    value = answer(output, *others, lengths=arguments.lengths) if takes else answer(output, *others)
    size = arguments.size
    if not isinstance(value, Tensor) or value.shape not in {(), (size,)} or not value.is_floating_point():
        got = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise InputError(
            "EXPLAIN_ANSWER",
            f"the function of the output returned {got}, expected a tensor of one number, or of {size}, one for each "
            f"sequence",
            fix="choose one number, e.g. lambda output: output[0][-1, :, 0]",
        )
    return value


def tensors(output: Any) -> Iterator[Tensor]:
    """All tensors of a nested output, in order."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, PackedSequence):
        yield output.data
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from tensors(value)
    elif isinstance(output, (tuple, list)):
        for value in output:
            yield from tensors(value)


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {name: _detached(one) for name, one in value.items()}
    return type(value)(map(_detached, value)) if type(value) in {tuple, list} else value


def _checked(lengths: Lengths, arguments: Arguments) -> Tensor:
    try:
        counts = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError("LENGTHS", f"lengths {lengths!r:.60} are not numbers", fix="pass integers") from error
    steps, size = arguments.steps, arguments.size
    is_whole = not counts.is_floating_point() and counts.dtype is not torch.bool
    if counts.shape != (size,) or not is_whole or counts.min() < 0 or counts.max() > steps:
        raise InputError(
            "LENGTHS",
            f"lengths are {counts.tolist()!r:.60}, expected {size} integers from 0 to {steps}",
            fix="pass the number of steps of each sequence",
        )
    return counts.to(torch.int64).cpu()
