"""Integrated gradients by lag and feature, with the error that they are known to have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tidegate.errors import InputError
from tidegate.explain.arguments import Answer, Arguments, Lengths
from tidegate.explain.dynamics import lyapunov
from tidegate.explain.path import Path, Place
from tidegate.explain.probe import Probe, captured, probe
from tidegate.language import joined, say

POINTS = (16, 64, 128)  # of the quadrature; what comes next where fewer miss the difference
LIMIT = 0.01  # error of completeness, of the difference of the answers, above which there is no attribution
ALONG = {  # where exponents are looked for, as shares of the path
    say("at the input"): 1.0,
    say("at 3/4 of the way to the input"): 0.75,
    say("halfway to the input"): 0.5,
    say("at 1/4 of the way to the input"): 0.25,
    say("at the baseline"): 0.0,
}
FLOOR = 1e-12  # a smaller difference, of the answers themselves, is rounding


@dataclass(frozen=True)
class Attribution:
    """How much each input contributes to an answer, counted from its baseline.

    Attributes:
        values: by the place of an input, its contributions: for an argument the shape of the argument, for the tokens
            of an embedding the shape of the tokens. Places are ``"x"`` (or ``"x0"``, ``"x1"`` of several arguments) and
            the names of embeddings, with ``#2`` for a second call. NaN where ``abstained``.
        features: the names of the columns of ``by_lag``.
        lags: steps before the step of the answer; negative after it.
        by_lag: [B, lags, features] the values of all inputs that have steps; NaN where a sequence has no such step.
        start: [B] the answers at the baseline; [1] if the answer is one number for all sequences.
        answer: [B] the answers at the input.
        error: [B] what the contributions miss of ``answer - start``, relative to it.
        points: of the quadrature.
        abstained: why some sequences have no attribution, or none has; empty if all have.
        left_out: inputs that were held as they are, with the reason.
    """

    values: Mapping[str, Tensor]
    features: tuple[str, ...]
    lags: tuple[int, ...]
    by_lag: Tensor
    start: Tensor
    answer: Tensor
    error: Tensor
    points: int
    abstained: str
    left_out: tuple[str, ...]

    def shares(self) -> Tensor:
        """[lags, features] mean over sequences of the size of each contribution, as a share of all in its sequence.

        Raises:
            InputError: no sequence has an attribution.
        """
        sizes = self.by_lag.abs().nan_to_num(0.0)
        whole = sizes.sum((1, 2))
        if not (whole > 0).any():
            raise InputError(
                "ATTRIBUTION",
                f"no sequence has contributions: {self.abstained or 'they are all zero'}",
                fix="choose an answer that depends on x, or another baseline",
            )
        kept = whole > 0
        return (sizes[kept] / whole[kept, None, None]).mean(0)


def attribute(
    model: torch.nn.Module | Probe,
    x: Any,
    target: Answer,
    baseline: Any = None,
    points: int = POINTS[0],
    lengths: Lengths | None = None,
    *,
    step: int | None = None,
    names: Sequence[str] | None = None,
    batch_first: bool | None = None,
    **named: Any,
) -> Attribution:
    """Integrated gradients of an answer, by lag and feature, in float64 and evaluation mode.

    The path from the baseline to the input is a straight line, and the integral is taken by Gauss-Legendre points.
    Contributions should sum to the difference of the two answers. Where they miss more than 1 % of it, more points are
    taken, up to 128; where these miss it too, the sequence has no attribution. In a network with a positive Lyapunov
    exponent that is the rule, and the reason says so. Tokens are attributed at the output of their embedding.

    Equations:
        a_i = (x_i - b_i) sum_k w_k dF/dx_i(b + s_k (x - b)),  error = |sum a - (F(x) - F(b))| / |F(x) - F(b)|

    Args:
        model: any module that holds recurrent layers; it is not changed.
        x: the input, numbers [T, B, features] or tokens [T, B], or a tuple of all positional arguments. All numbers
            are attributed, in every argument with an axis of sequences.
        target: from the output of the model to the answer F: [B], or one number [] for all sequences. It gets
            ``lengths=`` as well if it takes them.
        baseline: b: a number, or a tensor, or a tuple of them shaped as x. None for zeros, of tokens a zero embedding.
            Best is one that could be data: keep markers and calendars as they are, and put means in place of the rest.
        points: the number of points to begin with.
        lengths: [B] the steps of each sequence; passed on to a model that takes ``lengths``.
        step: the step of the answer, from which lags are counted; None for the last step of each sequence.
        names: of the features of x.
        batch_first: whether the axis of sequences comes first; None if as in the recurrent layers.
        **named: further arguments of the model; they are not attributed.

    Returns:
        The contributions, with their error.

    Raises:
        InputError: arguments that do not fit, nothing to attribute, or an answer without a gradient.

    References:
        Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", 2017, arXiv 1703.01365.

    Example:
        >>> import torch, tidegate as tg
        >>> from tidegate.explain import attribute
        >>> layer, x = tg.nn.LSTM(3, 8), torch.randn(20, 4, 3)
        >>> found = attribute(layer, x, lambda output: output[0][-1, :, 0])
        >>> found.by_lag.shape, bool(found.error.max() < 1e-6)
        (torch.Size([4, 20, 3]), True)
    """
    if isinstance(points, bool) or not isinstance(points, int) or points < 1:
        raise InputError("POINTS", f"points is {points!r:.40}, expected an integer of at least 1", fix="pass points=16")
    arguments = Arguments.of(model, x, named, lengths, batch_first)
    at = _steps_of_answer(arguments, step)
    probed = probe(model)
    path = Path(probed.model, arguments, baseline, target)
    for count in (points, *(more for more in POINTS if more > points)):
        values = path.integral(count)
        error = path.error(values)
        if bool((error <= LIMIT).all()):
            break
    kept = error <= LIMIT
    reason = "" if bool(kept.all()) else _reason(probed, path, error, count)
    values = [place.masked(value, kept) for place, value in zip(path.places, values, strict=True)]
    features, lags, by_lag = _by_lag(arguments, path.places, values, at, names)
    named = {place.name: value for place, value in zip(path.places, values, strict=True)}
    return Attribution(
        named, features, lags, by_lag, path.start, path.answer, error, count, reason, tuple(path.left_out)
    )  # fmt: skip


def _steps_of_answer(arguments: Arguments, step: int | None) -> Tensor:
    """[B] the step from which lags are counted."""
    if step is None:
        return arguments.counts - 1
    steps = arguments.steps
    if isinstance(step, bool) or not isinstance(step, int) or not -steps <= step < steps:
        raise InputError(
            "EXPLAIN_STEP",
            f"step is {step!r:.40}, expected an integer from {-steps} to {steps - 1}",
            fix="leave it out for the last step of each sequence",
        )
    return torch.full((arguments.size,), step % steps)


def _by_lag(
    arguments: Arguments,
    places: Sequence[Place],
    values: Sequence[Tensor],
    at: Tensor,
    names: Sequence[str] | None,
) -> tuple[tuple[str, ...], tuple[int, ...], Tensor]:
    """The names of features, the lags, and [B, lags, features] the contributions of inputs that have steps."""
    features, columns = [], []
    for place, value in zip(places, values, strict=True):
        if place.timed:
            columns.append(
                arguments.time_major(value).flatten(2) if value.dim() > 2 else arguments.time_major(value)[..., None]
            )
            count = columns[-1].shape[-1]
            features += [place.name] if count == 1 else [f"{place.name}[{k}]" for k in range(count)]
    if names is not None:
        if len(names) != len(features):
            raise InputError(
                "FEATURES",
                f"names has {len(names)} entries, but x has {len(features)} features",
                fix=f"name all of them: {', '.join(features):.200}",
            )
        features = [name if isinstance(name, str) else str(name) for name in names]
    series = torch.cat(columns, -1) if columns else torch.zeros(arguments.steps, arguments.size, 0)
    steps, valid = torch.arange(arguments.steps)[:, None], arguments.valid()
    lag = at - steps  # [T, B]
    low, high = (int(end) for end in torch.aminmax(lag[valid])) if valid.any() else (0, 0)
    laid = series.new_full((arguments.size, high - low + 1, series.shape[-1]), torch.nan)
    sequence = torch.arange(arguments.size).expand_as(lag)
    laid[sequence[valid], lag[valid] - low] = series[valid]
    return tuple(features), tuple(range(low, high + 1)), laid


def _reason(probed: Probe, path: Path, error: Tensor, points: int) -> str:
    """Why there is no attribution, in words."""
    if not bool(path.answer.isfinite().all() and path.start.isfinite().all()):
        return say("the answer is not finite")
    missed = error[error > LIMIT]
    some = [say("{missed} of {count}", missed=len(missed), count=len(error))] if len(error) > 1 else []
    scale = torch.maximum(path.start.abs(), path.answer.abs())
    same = (path.answer - path.start).abs() <= FLOOR * scale
    if bool(same[error > LIMIT].all()):
        same_answer = say("the answer at the input is the one at the baseline: there is no difference to share out")
        return joined([*some, same_answer], ": ")
    worst = missed[missed.isfinite()].max().item() if missed.isfinite().any() else math.inf
    size = say("{worst:.3g} % of", worst=100 * worst) if worst < 10 else say("{worst:.2g} times", worst=worst)
    missing = say(
        "with {points} points contributions miss up to {size} the difference that they should sum to (limit "
        "{limit:g} %).",
        points=points, size=size, limit=100 * LIMIT,
    )  # fmt: skip
    top, name, where = max(_exponents(probed, path, error > LIMIT), default=(-math.inf, "", ""))
    if top > 0:
        why = say(
            "The top Lyapunov exponent of {name} reaches {top:+.3g} a step {where}: its states part from any change "
            "of the input, so that the gradient along the path swings faster than points can follow",
            name=name, top=top, where=where,
        )  # fmt: skip
    else:
        known = say(" ({name}: {top:+.3g} a step {where})", name=name, top=top, where=where) if name else ""
        why = say(
            "No exponent is positive{known}, so it is not chaos: the answer bends too sharply between baseline and "
            "input; choose a baseline that is nearer",
            known=known,
        )
    return joined([*some, joined([missing, why])], ": ")


def _exponents(probed: Probe, path: Path, missed: Tensor) -> Iterator[tuple[float, str, str]]:
    """The largest exponent of each layer in the sequences that were missed, with its name and the place on the path.

    All steps count, as all of them make the answer. A strong input can calm a network that is chaotic by itself, so the
    exponent at the input alone tells little.
    """
    for where, share in ALONG.items():
        with torch.no_grad(), path.at(path.between(share)) as arguments:
            _, calls = captured(probed, *arguments.values, **arguments.keywords())
        for call in calls:
            if call.layer.bidirectional:
                continue
            rows = missed if len(missed) == call.x.shape[1] else torch.ones(call.x.shape[1], dtype=torch.bool)
            for steps in call.lengths[rows].unique().tolist():
                x, named = call.cut(steps, rows & (call.lengths == steps))
                if steps:
                    found = lyapunov(call.layer, x, k=1, discard=0, **named)
                    yield found.each.max().item(), call.name, where
