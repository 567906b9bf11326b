"""Exact checks: what follows a sequence, how it is cut, and what was before a reset must not change an answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tidegate.errors import InputError
from tidegate.explain.arguments import Answer, Arguments, Lengths, tensors
from tidegate.explain.moved import compared, difference, largest, moved, replaced
from tidegate.explain.path import frozen, hooked
from tidegate.explain.probe import Probe, probe
from tidegate.explain.sentence import of_chunks, of_padding, of_resets, of_reverse
from tidegate.language import joined
from tidegate.records import CheckRecord

MOST_RUNS = 17  # layers times directions; an output with more rows than these has steps
LARGE = 1e3  # standard deviations of x
ROUNDING = 64.0  # times the movement of an output when each input changes by half a unit in its last place

Step = Callable[[torch.nn.Module, tuple[Any, ...], Any], tuple[Any, Any]]


def check_padding(
    model: torch.nn.Module | Probe,
    x: Any,
    lengths: Lengths,
    answer: Answer | None = None,
    *,
    extra: int | None = None,
    seed: int = 0,
    batch_first: bool | None = None,
    **named: Any,
) -> CheckRecord:
    """Whether outputs depend on what follows the end of a sequence; they must move by exactly zero.

    The batch gets some further steps. Whatever follows the end of each sequence is replaced by noise, and by large
    values; tokens by others of the batch. Outputs are compared at the steps that sequences have, and outputs without
    steps as a whole. Calls have the same shapes, so no rounding can differ.

    Args:
        model: any module that holds recurrent layers. It gets ``lengths=`` if it takes them; one that takes lengths by
            another name has them in ``x`` or in ``named``.
        x: the input, numbers [T, B, features] or tokens [T, B], or a tuple of all positional arguments.
        lengths: [B] the true number of steps of each sequence.
        answer: from the output to what is compared, [B] or []; None to compare all outputs.
        extra: the number of further steps; 0 for a model that needs exactly T. None for a few.
        seed: of the noise.
        batch_first: whether the axis of sequences comes first; None if as in the recurrent layers.
        **named: further arguments of the model.

    Raises:
        InputError: arguments that do not fit, no padding, or an output without tensors.

    Example:
        >>> import torch, tidegate as tg
        >>> from tidegate.explain import check_padding
        >>> check_padding(tg.nn.LSTM(3, 8, bidirectional=True), torch.randn(9, 2, 3), [9, 4]).value
        0.0
        >>> check_padding(torch.nn.LSTM(3, 8), torch.randn(9, 2, 3), [9, 4]).passed  # it does not take lengths
        False
    """
    probed = probe(model)
    arguments = Arguments.of(model, x, named, lengths, batch_first)
    more = max(3, MOST_RUNS - arguments.steps) if extra is None else extra
    if isinstance(more, bool) or not isinstance(more, int) or more < 0:
        raise InputError("PADDING", f"extra is {extra!r:.40}, expected an integer from 0", fix="leave it out")
    long = arguments.mapped(lambda value: torch.cat([value, value.new_zeros(more, *value.shape[1:])]))
    valid = long.valid()
    if bool(valid.all()):
        raise InputError("PADDING", "no sequence ends before the last step", fix="pass shorter lengths, or extra steps")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        plain = compared(probed, long, answer)
        value = 0.0
        for size in (1.0, LARGE):
            changed = long.mapped(partial(replaced, where=~valid, size=size, generator=generator))
            value = max(value, moved(plain, compared(probed, changed, answer), long, valid))
    padded = int((long.counts < arguments.steps).sum())
    sentence = of_padding(padded, len(valid[0]), value, told="lengths" in arguments.told)
    return CheckRecord("padding", value, passed=value == 0, sentence=sentence)


def check_chunks(
    model: torch.nn.Module | Probe,
    x: Any,
    chunk: int | None = None,
    *,
    step: Step | None = None,
    lengths: Lengths | None = None,
    seed: int = 0,
    batch_first: bool | None = None,
    **named: Any,
) -> CheckRecord:
    """Whether a sequence in chunks, with the state carried from one to the next, gives what the whole one gives.

    Exactly the same, or the same within rounding: then each number is the sum of the same products, but another number
    of rows is multiplied at once, and sums are rounded in another order. How far rounding alone moves this model is
    measured: each input is changed in its last place.

    Args:
        model: a layer, or a module that is called as one: ``model(x, state)`` returns the output and the next state.
        x: the input, numbers [T, B, features] or tokens [T, B], or a tuple of all positional arguments but the state.
        chunk: the number of steps of a chunk; None for one, if T is at most 64, and for a third of T.
        step: how to run a chunk, ``step(model, arguments, state)``, with None as the first state; None for
            ``model(*arguments, state)``.
        lengths: [B] the steps of each sequence; passed on to a model that takes ``lengths``.
        seed: of the changes in the last place.
        batch_first: whether the axis of sequences comes first; None if as in the recurrent layers.
        **named: further arguments of the model.

    Raises:
        InputError: arguments that do not fit, a model that takes or returns no state, or one that reads sequences from
            the end.

    Example:
        >>> import torch, tidegate as tg
        >>> from tidegate.explain import check_chunks
        >>> check_chunks(tg.nn.GRU(3, 8), torch.randn(12, 2, 3)).passed
        True
    """
    probed = probe(model)
    _refuse_reverse(probed)
    arguments = Arguments.of(model, x, named, lengths, batch_first)
    steps = arguments.steps
    sizes = {chunk} if chunk is not None else {1 if steps <= 64 else steps // 7, max(1, steps // 3)}
    if any(isinstance(size, bool) or not isinstance(size, int) or not 1 <= size < steps for size in sizes):
        raise InputError(
            "CHUNK",
            f"{steps} steps cannot be cut into chunks of {chunk!r:.40}, expected an integer from 1 to {steps - 1}",
            fix="pass a longer sequence, or e.g. chunk=1",
        )
    with torch.no_grad():
        whole = _run_chunks(probed, arguments, steps, step)
        value = max(moved(whole, _run_chunks(probed, arguments, size, step), arguments) for size in sizes)
        rounding = _rounding(probed, arguments, whole, step, seed)
    return CheckRecord("chunks", value, passed=value <= rounding, sentence=of_chunks(sorted(sizes), value, rounding))


def check_resets(
    model: torch.nn.Module | Probe,
    x: Any,
    reset: Tensor,
    answer: Answer | None = None,
    *,
    lengths: Lengths | None = None,
    seed: int = 0,
    batch_first: bool | None = None,
    **named: Any,
) -> CheckRecord:
    """Whether an answer depends on what was before a reset; both its movement and its gradient must be exactly zero.

    For each reset the inputs before it are replaced by noise, and outputs from it on must stay; and the gradient of
    these outputs with respect to the inputs before it must be zero. A layer that reads from the end clears its states
    before the marked step as well, so the step before it has read this one: then the sentence says so.

    Args:
        model: any module that holds recurrent layers. It gets ``reset=`` if it takes it.
        x: the input, numbers [T, B, features] or tokens [T, B], or a tuple of all positional arguments.
        reset: booleans [T, B], True where an episode begins.
        answer: from the output to the answer of the last episode, [B]; None for all outputs that have steps.
        lengths: [B] the steps of each sequence; passed on to a model that takes ``lengths``.
        seed: of the noise.
        batch_first: whether the axis of sequences comes first; None if as in the recurrent layers.
        **named: further arguments of the model.

    Raises:
        InputError: arguments that do not fit, no reset after the first step, or no output that has steps.

    Example:
        >>> import torch, tidegate as tg
        >>> from tidegate.explain import check_resets
        >>> reset = torch.zeros(9, 2, dtype=torch.bool)
        >>> reset[4] = True
        >>> check_resets(tg.nn.LSTM(3, 8), torch.randn(9, 2, 3), reset).value
        0.0
    """
    probed = probe(model)
    arguments = Arguments.of(model, x, named, lengths, batch_first)
    begins = _begins(arguments, reset)
    gradient = movement = ahead = 0.0
    reverse = [name for name, layer in probed.layers.items() if layer.bidirectional]
    generator = torch.Generator().manual_seed(seed)
    for after in _episodes(begins, last_only=answer is not None):
        gradient = max(gradient, _gradient_before(probed, arguments, reset, answer, after, generator))
        movement = max(movement, _movement_after(probed, arguments, reset, answer, after, generator))
        if reverse and answer is None:
            ahead = max(ahead, _movement_before(probed, arguments, reset, after, generator))
    value = max(gradient, movement)
    sentence = of_resets(int(begins.sum()), movement, gradient, told="reset" in arguments.told)
    if ahead:
        sentence = joined([sentence, of_reverse(reverse, ahead)])
    return CheckRecord("resets", value, passed=value == 0, sentence=sentence)


def _run_chunks(probed: Probe, arguments: Arguments, size: int, step: Step | None) -> list[Tensor]:
    """The output of all chunks, and the tensors of the last state."""
    outputs, state = [], None
    for begin in range(0, arguments.steps, size):
        part = arguments.part(begin, min(begin + size, arguments.steps))
        result = _one_chunk(probed.model, part, state) if step is None else step(probed.model, part.values, state)
        if not isinstance(result, (tuple, list)) or len(result) < 2:
            raise InputError(
                "CHUNK", f"a chunk returned {type(result).__name__}, expected an output and a state", fix="pass step="
            )
        output, state = next(tensors(result[0]), None), result[1]
        if output is None or not part.timed(output):
            shape = "no tensor" if output is None else list(output.shape)
            raise InputError(
                "CHUNK", f"the output of {part.steps} steps is {shape}, expected one with steps", fix="pass step="
            )
        outputs.append(arguments.time_major(output))
    return [arguments.time_major(torch.cat(outputs)), *tensors(state)]


def _one_chunk(model: torch.nn.Module, part: Arguments, state: Any) -> Any:
    given = part.values if state is None else (*part.values, state)
    try:
        inspect.signature(model.forward).bind(*part.values, None, **part.keywords())
    except TypeError as error:
        raise InputError(
            "CHUNK", f"{type(model).__name__} takes no state after its {len(part.values)} argument(s)", fix="pass step="
        ) from error
    return model(*given, **part.keywords())


def _rounding(probed: Probe, arguments: Arguments, whole: Sequence[Tensor], step: Step | None, seed: int) -> float:
    """How far rounding may move the output: 64 times what changes of the input in its last place do."""
    generator, eps = torch.Generator().manual_seed(seed), torch.finfo(torch.float64).eps

    def changed(value: Tensor) -> Tensor:
        if not value.is_floating_point():
            return value
        return value * (1 + eps * torch.randint(-1, 2, value.shape, generator=generator))

    again = _run_chunks(probed, arguments.mapped(changed), arguments.steps, step)
    return ROUNDING * max(moved(whole, again, arguments), eps * largest(tensor.abs() for tensor in whole))


def _refuse_reverse(probed: Probe) -> None:
    names = [name for name, layer in probed.layers.items() if layer.bidirectional]
    if names:
        raise InputError(
            "CHUNK",
            f"{', '.join(names)} reads sequences from the end as well, which a chunk does not know",
            fix="check a model whose layers run in one direction",
        )


def _begins(arguments: Arguments, reset: Any) -> Tensor:
    """[T, B] where episodes begin that are not the first of their sequence."""
    if not isinstance(reset, Tensor) or reset.dtype is not torch.bool or not arguments.timed(reset):
        got = f"{reset.dtype} {list(reset.shape)}" if isinstance(reset, Tensor) else type(reset).__name__
        raise InputError(
            "RESET", f"reset is {got}, expected booleans {list(arguments.first.shape[:2])}", fix="shape it as x"
        )
    begins = arguments.time_major(reset) & arguments.valid()
    begins[0] = False
    if not begins.any():
        raise InputError("RESET", "no sequence has a reset after its first step", fix="pass where episodes begin")
    return begins


def _episodes(begins: Tensor, *, last_only: bool) -> Iterator[Tensor]:
    """For the first, second, ... reset of all sequences: [T, B] the steps from it on; nothing where there is none."""
    number = begins.cumsum(0)
    most = number[-1]
    if last_only:
        yield (number == most) & (most > 0)
        return
    for k in range(1, int(most.max()) + 1):
        yield number >= k


def _chosen(found: Sequence[Tensor], arguments: Arguments, after: Tensor) -> list[Tensor]:
    """What must not depend on the steps before: outputs from a reset on, and answers of sequences that have one."""
    timed = [arguments.time_major(tensor)[after & arguments.valid()] for tensor in found if arguments.timed(tensor)]
    each = [tensor[after.any(0)] for tensor in found if tensor.shape == (arguments.size,)]
    if not timed and not each:
        raise InputError(
            "EXPLAIN_ANSWER",
            "no output has steps",
            fix="pass answer=, from the output to [B] answers of the last episode",
        )
    return timed + each


def _gradient_before(
    probed: Probe,
    arguments: Arguments,
    reset: Tensor,
    answer: Answer | None,
    after: Tensor,
    generator: torch.Generator,
) -> float:
    """The largest gradient of what follows a reset with respect to what was before it."""
    leaves: list[Tensor] = []

    def leaf(value: Tensor) -> Tensor:
        leaves.append(value.detach().clone().requires_grad_())
        return leaves[-1]

    given = replace(
        arguments,
        values=tuple(leaf(v) if arguments.timed(v) and v.is_floating_point() else v for v in arguments.values),
    )
    with torch.enable_grad(), frozen(probed.model), hooked(probed.model, lambda _name, value: leaf(value)):
        found = _chosen(compared(probed, given, answer, reset), arguments, after)
        numbers = [value for value in found if value.requires_grad]
        if not numbers:
            return 0.0
        weights = [torch.randn(value.shape, generator=generator, dtype=value.dtype) for value in numbers]
        gradients = torch.autograd.grad(numbers, leaves, weights, allow_unused=True)
    before = after.any(0) & ~after
    return largest(
        arguments.time_major(gradient)[before].abs()
        for gradient in gradients
        if gradient is not None and arguments.timed(gradient)
    )


def _movement_after(
    probed: Probe,
    arguments: Arguments,
    reset: Tensor,
    answer: Answer | None,
    after: Tensor,
    generator: torch.Generator,
) -> float:
    """How far what follows a reset moves when what was before it is replaced."""
    changed = arguments.mapped(partial(replaced, where=after.any(0) & ~after, size=1.0, generator=generator))
    with torch.no_grad():
        one, other = (
            _chosen(compared(probed, given, answer, reset), arguments, after) for given in (arguments, changed)
        )
    return largest(map(difference, one, other))


def _movement_before(
    probed: Probe, arguments: Arguments, reset: Tensor, after: Tensor, generator: torch.Generator
) -> float:
    """How far outputs before a reset move when the inputs from it on are replaced."""
    changed = arguments.mapped(partial(replaced, where=after, size=1.0, generator=generator))
    before = after.any(0) & ~after
    with torch.no_grad():
        one, other = (compared(probed, given, None, reset) for given in (arguments, changed))
    return largest(arguments.time_major(size)[before] for size in map(difference, one, other) if arguments.timed(size))
