"""The lag that verdicts are about: given, or chosen from the data."""

from __future__ import annotations

from tidegate.errors import InputError
from tidegate.explain.subject import Subject
from tidegate.language import joined, say
from tidegate.records import ContextRecord

LEAST = 2  # lag 1 is what others are compared with


def lag_of(subject: Subject, lag: int | str, context: ContextRecord | None) -> tuple[int, str]:
    """The lag, and how it was chosen.

    It is that of a season of the data, if they have one that the layers can read. Else, where there is an answer at
    every step, the shortest history whose loss is level with that of the longest; and where there is one answer behind
    a sequence, the median length.

    Args:
        subject: who is explained.
        lag: ``"auto"`` or a number of steps.
        context: the losses by history, if there are any.

    Raises:
        InputError: no sequence is so long, or it is below 2.
    """
    most = int(subject.aim.spans.max())
    if most < LEAST:
        raise InputError(
            "LAG", f"no sequence has {LEAST} steps before its target, so nothing is remembered", fix="pass longer ones"
        )
    if lag != "auto":
        if isinstance(lag, bool) or not isinstance(lag, int) or not LEAST <= lag <= most:
            raise InputError(
                "LAG",
                f"lag={lag!r} is neither 'auto' nor from {LEAST} to {most}, the most steps before a target",
                fix=f"choose lag='auto' or lag={most}",
            )
        return lag, say("given")
    if LEAST <= subject.season <= most:
        return subject.season, subject.season_from
    if subject.kind is not None and subject.kind.each and context is not None and context.reach is not None:
        reach = max(LEAST, min(most, context.reach - 1))
        one = say("the loss with the last step is level with that of all {count}", count=context.lengths[-1])
        several = say(
            "the loss with the last {reach} steps is level with that of all {count}",
            reach=context.reach,
            count=context.lengths[-1],
        )
        longer = say("a season has {season} steps, more than the layers read", season=subject.season)
        why = one if context.reach == 1 else several
        return reach, joined([why, longer], "; ") if subject.season > most else why
    median = int(subject.aim.spans.median())
    return max(LEAST, median), say("the median number of steps before the target")
