"""Verdicts: what is wrong with a network that shall use what happened some steps ago, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tidegate.errors import InputError
from tidegate.explain.case import Case, Number
from tidegate.explain.change import TRAIN, Remedy
from tidegate.explain.measure import LayerMeasures
from tidegate.explain.rule import RULES, Rule, Severity, Words
from tidegate.language import say
from tidegate.records import CheckRecord, ForcingRecord, VerdictLine

FORCING = 2.0  # error on own answers over error on the true past, at the last horizon


class CheckRule(NamedTuple):
    """The verdict where a check has failed; the check says what it found."""

    name: str
    severity: Severity
    against: str
    remedy: Remedy


CHECKED: Mapping[str, CheckRule] = {
    "padding": CheckRule(
        "padding", "fault", "",
        Remedy(say("Tell the layer how long each sequence is."), "output, state = layer(x, lengths=lengths)"),
    ),
    "resets": CheckRule(
        "reset_leak", "fault", "",
        Remedy(say("Tell the layer where episodes begin."), "output, state = layer(x, state, reset=starts)"),
    ),
    "chunks": CheckRule(
        "state_not_carried", "fault", say("Where chunks are sequences of their own, this is as it should be."),
        Remedy(say("Hand each chunk the final state of the one before."), "output, state = layer(chunk, state)"),
    ),
    "leak": CheckRule(
        "leak", "warning", say("Or the task is that easy. Would the value be known when the answer is asked for?"),
        Remedy(say("Leave this column out, or shift it by the steps after which it is known, and train anew.")),
    ),
}  # fmt: skip
NAMES = (*(rule.name for rule in CHECKED.values()), *(rule.name for rule in RULES), "forcing_gap")


@dataclass(frozen=True)
class Verdict:
    """A verdict and its remedy.

    Attributes:
        line: the verdict as plain data, with its remedy in words.
        remedy: what ``try_remedy`` does to a copy.
    """

    line: VerdictLine
    remedy: Remedy


def verdicts(
    measured: Sequence[LayerMeasures],
    lag: int,
    checks: Sequence[CheckRecord] = (),
    forcing: ForcingRecord | None = None,
    *,
    command: str = TRAIN,
) -> list[Verdict]:
    """Judge what was measured of a model, relative to a lag.

    Gradients that die within thirty steps harm no data that need five. A verdict holds if each of its numbers is on its
    side of its threshold, and what follows from another verdict is none of its own. Causes come first, in the order of
    ``NAMES``.

    Args:
        measured: of each stack of recurrent layers, as ``measure`` returns them.
        lag: the distance in steps over which the network shall use its past.
        checks: as ``check_padding`` and the others return them; those that failed are verdicts.
        forcing: errors on the true past and on the model's own answers, by horizon.
        command: how the model is trained; commands of remedies begin with it.

    Raises:
        InputError: the lag is below 2.

    Example:
        >>> import torch, tidegate as tg
        >>> _ = torch.manual_seed(0)
        >>> measured = tg.explain.measure(tg.nn.LSTM(3, 32), "last", torch.randn(60, 8, 3))
        >>> (verdict,) = tg.explain.verdicts(measured, 30)
        >>> verdict.line.name, verdict.line.code
        ('vanishing', 'tg.nn.LSTM(3, 32, chrono=60)')
        >>> tg.explain.verdicts(measured, 5)
        []
    """
    if isinstance(lag, bool) or not isinstance(lag, int) or lag < 2:
        raise InputError("EXPLAIN_LAG", f"lag is {lag!r:.40}, expected at least 2 steps", fix="pass e.g. lag=30")
    found = [_of_check(check) for check in checks if check.passed is False and check.name in CHECKED]
    for own in measured:
        of_stack = [verdict for rule in RULES for verdict in _asked(rule, own, lag, command)]
        names = {verdict.line.name for verdict in of_stack}
        explained = {symptom for rule in RULES if rule.name in names for symptom in rule.explains}
        found += [verdict for verdict in of_stack if verdict.line.name not in explained]
    if forcing is not None:
        found += _of_forcing(forcing, command)
    return sorted(found, key=lambda verdict: NAMES.index(verdict.line.name))


def _asked(rule: Rule, measured: LayerMeasures, lag: int, command: str) -> Iterator[Verdict]:
    """The verdicts of one rule on a stack, or on each of its layers."""
    for name in [measured.path] if rule.of_stack else measured.memories:
        case = Case(measured, name, lag, command)
        numbers = rule.numbers(case)
        if numbers and all(number.holds for number in numbers):
            yield _verdict(rule.name, rule.severity, name, numbers, rule.words(case, numbers))


def _of_check(check: CheckRecord) -> Verdict:
    rule = CHECKED[check.name]
    numbers = [] if check.value is None else [Number(check.name, check.value, unit=check.unit)]
    return _verdict(rule.name, rule.severity, "", numbers, Words(check.sentence, rule.against, rule.remedy))


def _of_forcing(forcing: ForcingRecord, command: str) -> Iterator[Verdict]:
    free, forced = forcing.free[-1], forcing.forced[-1]
    if free is None or not forced:
        return
    name = say(
        "{metric} on own answers over that on the true past, at horizon {horizon}",
        metric=forcing.metric,
        horizon=forcing.horizons[-1],
    )
    number = Number(name, free / forced, FORCING, "above")
    if number.holds:
        sentence = say(
            "On its own answers the {metric} is {times:.1f} times that on the true past, at "
            "horizon {horizon}: the model has not learnt to read its own mistakes.",
            metric=forcing.metric,
            times=number.value,
            horizon=forcing.horizons[-1],
        )
        against = say("Where data are noisy, errors grow with the horizon whatever is done.")
        remedy = Remedy(
            say("Forecast all steps at once instead of feeding answers back."), "", f"{command} --strategy direct"
        )
        yield _verdict("forcing_gap", "warning", "", [number], Words(sentence, against, remedy))


def _verdict(name: str, severity: Severity, layer: str, numbers: Sequence[Number], words: Words) -> Verdict:
    evidence, remedy = tuple(number.record for number in numbers), words.remedy
    line = VerdictLine(
        name, severity, layer, words.sentence, evidence, words.against, remedy.sentence, remedy.code, remedy.command
    )
    return Verdict(line, remedy)
