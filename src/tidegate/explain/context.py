"""How much history a model uses: its score when it sees the last steps only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from tidegate.errors import InputError
from tidegate.explain.arguments import Answer, Arguments, answers
from tidegate.explain.probe import Probe, converted, probe

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class ContextCurve:
    """The score by the length of the history.

    Attributes:
        histories: numbers of steps, the shortest first; the last is the whole history.
        scores: the mean over sequences with each history.
        differences: each less that of the whole history.
        errors: the standard errors of these differences, sequence by sequence.
        spread: the standard error of the score with the whole history.
        reach: the shortest history from which on no score is worse than that of the whole one by more than ``spread``.
        sequences: how many were scored.
    """

    histories: tuple[int, ...]
    scores: tuple[float, ...]
    differences: tuple[float, ...]
    errors: tuple[float, ...]
    spread: float
    reach: int
    sequences: int


def context_curve(
    model: torch.nn.Module | Probe,
    batches: Iterable[Sequence[Any]],
    score: Answer,
    histories: Sequence[int] | None = None,
    *,
    better: Better = "lower",
    batch_first: bool | None = None,
    **named: Any,
) -> ContextCurve:
    """Score a model that sees only the last n steps of each sequence, as if it began there.

    Scores are compared sequence by sequence, so the errors of their differences are small. The curve is flat from
    ``reach`` on, by the rule of one standard error: no longer history is better by more than the error of the score
    itself.

    Args:
        model: any module that holds recurrent layers; it is not changed.
        batches: pairs (x, y), or triples (x, y, lengths) of ragged batches: x is a tensor or a tuple of all positional
            arguments, y what ``score`` compares the output with. All are as long.
        score: from the output of the model and y to one number for each sequence, [B]. It gets ``lengths=`` as well if
            it takes them: those of the shortened sequences.
        histories: the numbers of steps n; None for 1, 2, 4 and so on. The whole history is always the last.
        better: whether a lower score is better, as of a loss, or a higher one.
        batch_first: whether the axis of sequences comes first; None if as in the recurrent layers.
        **named: further arguments of the model.

    Raises:
        InputError: no batch, batches of different lengths, histories that are no lengths, or one score for all.

    References:
        The rule of one standard error: Breiman et al., "Classification and regression trees", 1984.

    Example:
        >>> import torch, tidegate as tg
        >>> from tidegate.explain import context_curve
        >>> layer, x = tg.nn.RNN(1, 4), torch.randn(32, 100, 1)
        >>> curve = context_curve(layer, [(x, x[-1])], lambda output, y: (output[0][-1, :, :1] - y).square()[:, 0])
        >>> curve.histories, curve.differences[-1]
        ((1, 2, 4, 8, 16, 32), 0.0)
    """
    if better not in get_args(Better):
        raise InputError("CONTEXT", f"better is {better!r:.40}", fix="pass better='lower' or better='higher'")
    probed = probe(model)
    read = [_read(model, batch, batch_first, named) for batch in batches]
    steps = {arguments.steps for arguments, _ in read}
    if len(steps) != 1:
        raise InputError(
            "CONTEXT",
            f"batches have {sorted(steps) or 'no'} steps, expected batches that are all as long",
            fix="pad them to one length and pass their lengths",
        )
    (whole,) = steps
    lengths = _checked(histories, whole)
    scores = torch.stack([torch.cat([_scores(probed, one, y, n, score) for one, y in read]) for n in lengths])
    count = scores.shape[1]
    differences = scores - scores[-1]
    spread = scores[-1].std().item() / math.sqrt(count) if count > 1 else math.nan
    worse = differences.mean(1) * (1 if better == "lower" else -1)
    far = [k for k, value in enumerate(worse.tolist()) if not value <= spread and k < len(lengths) - 1]
    return ContextCurve(
        tuple(lengths),
        tuple(scores.mean(1).tolist()),
        tuple(differences.mean(1).tolist()),
        tuple((differences.std(1) / math.sqrt(count)).tolist()) if count > 1 else (math.nan,) * len(lengths),
        spread,
        lengths[far[-1] + 1] if far else lengths[0],
        count,
    )


def _read(
    model: torch.nn.Module | Probe, batch: Any, batch_first: bool | None, named: dict[str, Any]
) -> tuple[Arguments, Any]:
    if not isinstance(batch, (tuple, list)) or len(batch) not in {2, 3}:
        raise InputError(
            "CONTEXT", f"a batch is {type(batch).__name__}, expected (x, y) or (x, y, lengths)", fix="pass pairs"
        )
    x, y, *lengths = batch
    return Arguments.of(model, x, named, lengths[0] if lengths else None, batch_first), converted(y, torch.float64)


def _scores(probed: Probe, arguments: Arguments, y: Any, history: int, score: Answer) -> Tensor:
    """[B] with this history."""
    arguments = arguments.last(history)
    with torch.no_grad():
        found = answers(score, arguments.run(probed.model), arguments, y)
    if not found.dim() and arguments.size > 1:
        raise InputError(
            "CONTEXT", "score returned one number for all sequences", fix="return one for each, [B], before any mean"
        )
    return found.reshape(-1)


def _checked(histories: Sequence[int] | None, whole: int) -> list[int]:
    chosen = [2**k for k in range(whole.bit_length())] if histories is None else [*histories]
    for n in chosen:
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= whole:
            raise InputError(
                "CONTEXT", f"a history is {n!r:.40}, expected integers from 1 to {whole}", fix="pass e.g. [1, 2, 4, 8]"
            )
    return sorted({*chosen, whole})
