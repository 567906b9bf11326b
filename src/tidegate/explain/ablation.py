"""What changes without a part: a unit held at its mean, a feature at its baseline, the history beyond a lag removed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from tidegate.errors import InputError, did_you_mean
from tidegate.explain.arguments import Answer, Arguments, Lengths
from tidegate.explain.baseline import starts
from tidegate.explain.hold import Found, Work, groups, units
from tidegate.explain.probe import Probe, probe
from tidegate.language import joined

Part = Literal["units", "features", "lags"]


@dataclass(frozen=True)
class Change:
    """What one part is worth.

    Attributes:
        name: such as ``"lstm.l0[12]"``, the name of a feature, or ``"lag 8"``.
        layer: of a unit, such as ``"lstm.l0"`` or ``"lstm.l1_reverse"``; else empty.
        index: of the unit or the feature, or the lag.
        change: the mean over sequences of what the loss becomes without it, less what it is.
        error: the standard error of that mean, sequence by sequence; NaN of a loss that is one number.
    """

    name: str
    layer: str
    index: int
    change: float
    error: float


@dataclass(frozen=True)
class Ablation:
    """The changes of a loss, the largest first; those of lags from the shortest on.

    Attributes:
        part: what was taken away.
        loss: the mean over sequences of the whole model's.
    """

    part: Part
    loss: float
    changes: tuple[Change, ...]

    def order(self, layer: str) -> list[int]:
        """The units of a layer, the most important first.

        Args:
            layer: its name, as in ``Change``.
        """
        return [change.index for change in self.changes if change.layer == layer]


def ablate(
    model: torch.nn.Module | Probe,
    x: Any,
    loss: Answer,
    part: Part = "units",
    only: Sequence[Any] | None = None,
    *,
    together: bool = False,
    baseline: Any = None,
    names: Sequence[str] | None = None,
    lengths: Lengths | None = None,
    batch_first: bool | None = None,
    **named: Any,
) -> Ablation:
    """Measure how a loss or an answer changes without a unit, a feature, or the history beyond a lag.

    A unit is an element of the output state h of a layer. It is held at its mean over all steps of x, from the first
    step on, so its own layer sees the mean as well. A feature is held at its baseline at all steps. Without the history
    beyond lag k, each sequence begins k steps before its last one.

    Args:
        model: any module that holds recurrent layers; it is not changed.
        x: the input, numbers [T, B, features] or tokens [T, B], or a tuple of all positional arguments.
        loss: from the output of the model to a loss or an answer: [B], or one number []. It gets ``lengths=`` as well
            if it takes them: of a shortened history other ones.
        part: ``"units"``, ``"features"`` or ``"lags"``.
        only: which of them: pairs of a layer and a unit such as ``("lstm.l0", 12)``; numbers or names of features;
            lags. None for all; of lags for 0, 1, 3, 7 and so on.
        together: hold all of ``only`` at once: one change for all units or all features.
        baseline: of the features: a number, or a tensor, or a tuple shaped as x; None for their means.
        names: of the features of x.
        lengths: [B] the steps of each sequence; passed on to a model that takes ``lengths``.
        batch_first: whether the axis of sequences comes first; None if as in the recurrent layers.
        **named: further arguments of the model.

    Returns:
        The changes, the largest first.

    Raises:
        InputError: arguments that do not fit, or a part that the model does not have.

    Example:
        >>> import torch, tidegate as tg
        >>> from tidegate.explain import ablate
        >>> layer, x = tg.nn.GRU(2, 4), torch.randn(20, 8, 2)
        >>> found = ablate(layer, x, lambda output: output[0][-1].square().mean(-1))
        >>> sorted(found.order("(model).l0"))
        [0, 1, 2, 3]
    """
    _check(part, baseline, names, together=together)
    arguments = Arguments.of(model, x, named, lengths, batch_first)
    work = Work(probe(model), arguments, loss)
    whole = work.loss()
    found: Iterable[Found]
    if part == "units":
        found = units(work, only, together=together)
    elif part == "features":
        found = _features(work, only, baseline, names, together=together)
    else:
        found = _lags(work, only)
    changes = [Change(name, layer, index, *_change(value, whole)) for (name, layer, index), value in found]
    if part != "lags":
        changes.sort(key=lambda change: -abs(change.change))
    return Ablation(part, whole.mean().item(), tuple(changes))


def _check(part: str, baseline: Any, names: Sequence[str] | None, *, together: bool) -> None:
    """Refuse a part that there is not, and what does not apply to it."""
    if part not in get_args(Part):
        raise InputError(
            "EXPLAIN_PART",
            f"part is {part!r:.40}{did_you_mean(str(part), get_args(Part))}",
            fix=f"choose of {', '.join(get_args(Part))}",
        )
    unused = {"baseline": baseline is not None, "names": names is not None} if part != "features" else {}
    unused |= {"together": together} if part == "lags" else {}
    if any(unused.values()):
        raise InputError(
            "EXPLAIN_PART",
            f"{' and '.join(name for name, given in unused.items() if given)} do not apply to {part}",
            fix="leave them out",
        )


def _change(value: Tensor, whole: Tensor) -> tuple[float, float]:
    """The mean difference and its standard error."""
    difference = value - whole
    count = len(difference)
    return difference.mean().item(), difference.std().item() / math.sqrt(count) if count > 1 else math.nan


def _features(
    work: Work, only: Sequence[Any] | None, baseline: Any, names: Sequence[str] | None, *, together: bool
) -> Iterator[Found]:
    """Each feature of the first argument at its baseline."""
    arguments = work.arguments
    x = arguments.time_major(arguments.first)
    wide = x if x.dim() > 2 else x[..., None]
    start = starts(arguments, baseline)[0] if baseline is not None else None
    if start is not None:
        start = arguments.time_major(start)
        start = start if start.dim() > 2 else start[..., None]
    elif x.is_floating_point():
        start = wide[arguments.valid()].mean(0).expand_as(wide)
    else:
        raise InputError("BASELINE", "tokens have no mean", fix="pass the token to put instead as baseline=")
    count = wide.shape[-1]
    if names is not None and len(names) != count:
        raise InputError("FEATURES", f"names has {len(names)} entries, but x has {count} features", fix="name all")
    given = [f"x[{k}]" for k in range(count)] if names is None else names
    known = [name if isinstance(name, str) else str(name) for name in given]
    chosen = [*range(count)] if only is None else [_number(one, known) for one in only]
    for group in groups(chosen, together=together):
        changed = wide.clone()
        changed[..., group] = start[..., group]
        first = arguments.time_major(changed if x.dim() > 2 else changed[..., 0])
        loss = work.loss(replace(arguments, values=(first, *arguments.values[1:])))
        yield (joined([known[k] for k in group], ", "), "", group[0]), loss


def _lags(work: Work, only: Sequence[Any] | None) -> Iterator[Found]:
    """The history beyond each lag removed."""
    steps = work.arguments.steps
    lags = [2**k - 1 for k in range(steps.bit_length()) if 2**k < steps] if only is None else only
    for lag in sorted(set(lags)):
        if isinstance(lag, bool) or not isinstance(lag, int) or lag < 0:
            raise InputError("EXPLAIN_LAG", f"lag is {lag!r:.40}, expected an integer from 0", fix="pass e.g. [0, 7]")
        yield (f"lag {lag}", "", lag), work.loss(work.arguments.last(lag + 1))


def _number(one: Any, known: Sequence[str]) -> int:
    """The position of a feature that is named by its number or its name.

    Raises:
        InputError: there is no such feature.
    """
    if one in known:
        return known.index(one)
    if isinstance(one, int) and not isinstance(one, bool) and 0 <= one < len(known):
        return one
    near = did_you_mean(one, known) if isinstance(one, str) else ""
    raise InputError(
        "FEATURES",
        f"there is no feature {one!r:.60}{near}",
        fix=f"choose of {', '.join(known):.200}, or 0 to {len(known) - 1}",
    )
