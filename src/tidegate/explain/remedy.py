"""Remedies tried: what a remedy does to a copy of the model, on the same batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.explain.case import EXPONENT, RATIO, Case, Number
from tidegate.explain.change import Remedy, Rescale
from tidegate.explain.loss import Loss
from tidegate.explain.measure import LayerMeasures, measure
from tidegate.explain.probe import probe
from tidegate.explain.verdict import Verdict, verdicts
from tidegate.language import say
from tidegate.records import EvidenceRecord, RemedyRecord

MOST_TIMES = 12  # that a remedy whose size depends on what was measured is applied
Batches = Callable[[int], tuple[Any, Loss] | tuple[Any, Loss, dict[str, Any]]]


def try_remedy(
    model: torch.nn.Module,
    verdict: Verdict,
    loss: Loss,
    x: Any,
    *,
    lag: int,
    instead: bool = False,
    steps: int = 0,
    batches: Batches | None = None,
    learning_rate: float = 4e-3,
    clip: float = 1.0,
    **named: Any,
) -> tuple[torch.nn.Module, RemedyRecord]:
    """Apply the remedy of a verdict to a copy of the model, train it for a while if asked to, and measure it again.

    A remedy whose size follows from a measurement, such as the factor of recurrent matrices, is measured and applied
    again while the verdict holds. With ``steps``, a copy without the remedy is trained in the same way; its loss is the
    one before.

    Args:
        model: that the verdict is about; it stays as it is.
        verdict: of ``verdicts``.
        loss: as ``gradient_by_lag`` takes it.
        x: the argument of the model, or a tuple of several.
        lag: of the verdict.
        instead: take the remedy that keeps what the model has learnt, where the first one begins anew.
        steps: of training by Adam.
        batches: from the number of a step to the input and the loss that it learns from, and to further arguments of
            the model where these differ from ``named``; x and loss unless given.
        learning_rate: of Adam.
        clip: the largest norm of a gradient in training.
        **named: further arguments of the model, such as ``lengths=``.

    Returns:
        The copy with the remedy, and what was found before and after.

    Raises:
        InputError: the remedy is one that only the caller can apply, or there is nothing to learn from.
    """
    remedy = _of(verdict, instead)
    if remedy.change is None:
        raise InputError(
            "REMEDY",
            f"the remedy of {verdict.line.name} is not one that can be applied to a copy: {remedy.sentence}",
            fix="apply it and explain the model again",
        )
    if steps and batches is None and not callable(loss):
        raise InputError("REMEDY_LOSS", f"{loss!r:.40} is no loss to learn from", fix="pass batches=, or a function")
    path, before, plain = remedy.path, measure(model, loss, x, **named), copy.deepcopy(model)
    mended, times = _mended(copy.deepcopy(model), verdict, instead, loss, x, lag, named)
    how = say("applied {times} times", times=times) if times > 1 else say("applied")
    if steps:
        for one in (plain, mended):
            train(one, batches or (lambda _: (x, loss)), steps, learning_rate, clip, **named)
        how = say("{how}, trained {steps} steps with and without it", how=how, steps=steps)
    after = measure(mended, loss, x, **named)
    still = {own.line.name for own in verdicts(after, lag) if own.remedy.path in ("", path)}
    return mended, RemedyRecord(
        how,
        _numbers(before, path, lag),
        _numbers(after, path, lag),
        _loss(plain, loss, x, **named),
        _loss(mended, loss, x, **named),
        gone=verdict.line.name not in still,
    )


def _of(verdict: Verdict, instead: bool) -> Remedy:
    return (verdict.remedy.instead or verdict.remedy) if instead else verdict.remedy


def _mended(
    model: torch.nn.Module, verdict: Verdict, instead: bool, loss: Loss, x: Any, lag: int, named: dict[str, Any]
) -> tuple[torch.nn.Module, int]:
    """The model with the remedy, and how often that was applied."""
    for times in range(1, MOST_TIMES + 1):
        remedy = _of(verdict, instead)
        assert remedy.change is not None  # the same rule has made it
        model = remedy.change.apply(model, remedy.path)
        again = verdicts(measure(model, loss, x, **named), lag)
        same = [own for own in again if own.line.name == verdict.line.name and own.remedy.path == remedy.path]
        if not same or not isinstance(remedy.change, Rescale):
            return model, times
        verdict = same[0]
    return model, MOST_TIMES


def train(
    model: torch.nn.Module, batches: Batches, steps: int, learning_rate: float = 4e-3, clip: float = 1.0, **named: Any
) -> list[float]:
    """Train a model in place by Adam, and return its losses.

    Args:
        model: that is trained.
        batches: from the number of a step to the input and the loss that it learns from, and further arguments.
        steps: how many.
        learning_rate: of Adam.
        clip: the largest norm of a gradient.
        **named: further arguments of the model.
    """
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    losses = []
    for step in range(steps):
        x, loss, *own = batches(step)
        assert callable(loss)  # or there is nothing to learn
        value = loss(model(*_arguments(x), **(own[0] if own else named))).mean()
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(value.item())
    return losses


def _arguments(x: Any) -> tuple[Any, ...]:
    return x if type(x) is tuple else (x,)


def _loss(model: torch.nn.Module, loss: Loss, x: Any, **named: Any) -> float | None:
    """The loss of a model in evaluation; None where a target was given instead of one."""
    if not callable(loss):
        return None
    with torch.no_grad():
        return float(loss(probe(model)(*_arguments(x), **named)).mean())


def _numbers(measured: Sequence[LayerMeasures], path: str, lag: int) -> tuple[EvidenceRecord, ...]:
    """What a layer does to the gradient."""
    own = next(one for one in measured if one.path == path)
    case = Case(own, path, lag, "")
    return Number(RATIO, case.ratio).record, Number(EXPONENT, case.slope).record
