"""What the numbers of an audit mean, in plain words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tidegate.audit.membership import FALSE
from tidegate.records import (
    CanaryRecord,
    ClaimRecord,
    EvidenceRecord,
    GuessRecord,
    MembershipRecord,
    SamplerRecord,
    VerdictLine,
)

NAMES = ("contradiction", "sampler", "memorised", "membership")  # as --fail-on takes them
MEMORISED = 10.0  # bits: one of a thousand secrets
GUESS = 0.5  # the area under the curve of an attack that knows nothing
CHANCE = 0.01  # the probability below which planted canaries do not stand in front by chance
BLIND = "the audit looks at losses of the finished model alone: a stronger attack may find more"
PRIVATELY = "train with differential privacy, which bounds what a row can change"
PRIVATE = "--epsilon 8"


def verdicts(
    claim: ClaimRecord,
    canaries: CanaryRecord | None,
    membership: Sequence[MembershipRecord],
    sampler: Sequence[SamplerRecord],
) -> tuple[VerdictLine, ...]:
    """What was found, the worst first.

    Args:
        claim: what the model states.
        canaries: what they say, if there are any.
        membership: attacks on rows.
        sampler: tests of the sampler.
    """
    found = [*_sampler(sampler)]
    if canaries is not None:
        found += [_bound(claim, canaries), *_memorised(claim, canaries)]
    found += [_membership(claim, one) for one in membership]
    order = ("fault", "warning", "note")
    return tuple(sorted(found, key=lambda line: order.index(line.severity)))


def _bound(claim: ClaimRecord, canaries: CanaryRecord) -> VerdictLine:
    """The lower bound beside the statement."""
    low, sure = canaries.epsilon, f"{100 * canaries.confidence:g} %"
    best = max(canaries.guesses, key=lambda one: (one.epsilon, one.made), default=GuessRecord(0, 0, 1.0, 0.0))
    evidence = (
        EvidenceRecord(
            f"right of {best.made:,} guesses on {canaries.count:,} canaries",
            100 * best.right / max(1, best.made),
            unit="%",
        ),
        EvidenceRecord("delta", claim.delta),
    )
    bound = f"lower bound {_short(low)} on epsilon with {sure} confidence"
    if claim.epsilon is not None and low > claim.epsilon:
        return VerdictLine(
            "contradiction",
            "fault",
            "",
            f"the audit contradicts the statement: {bound}, but the model states {_short(claim.epsilon)}",
            evidence,
            against=f"one honest training in {round(1 / (1 - canaries.confidence))} at most looks like that",
            remedy="do not rely on the statement: look for noise that is too small, or for gradients that are not "
            "clipped row by row, and report it",
        )
    if claim.epsilon is not None:
        sentence = f"{bound}, which the statement of {_short(claim.epsilon)} does not contradict"
    elif low:
        sentence = f"{bound}: no promise of less could be true of this training; the model makes none"
    else:
        sentence = f"no lower bound on epsilon: {best.right} of {best.made} guesses are right, which may be chance"
    return VerdictLine("bound", "note", "", sentence, evidence, against=BLIND)


def _memorised(claim: ClaimRecord, canaries: CanaryRecord) -> Iterator[VerdictLine]:
    if not canaries.exposure or canaries.chance > CHANCE:
        return
    median, highest = canaries.exposure[50], canaries.exposure[-1]
    much = median >= MEMORISED
    evidence = (
        EvidenceRecord("median exposure", median, MEMORISED, "above", "bits"),
        EvidenceRecord("highest", highest, unit="bits"),
        EvidenceRecord("mean", canaries.exposure_mean, unit="bits"),
        EvidenceRecord("planted canaries beyond all draws, extrapolated", 100 * canaries.extrapolated, unit="%"),
    )
    one = f"one of {_about(2.0**median)}"
    sentence = (
        f"planted canaries were {'memorised' if much else 'learnt from'}: half of them are likelier to the model than "
        f"all but {one} that might have been planted; without memory that is one of 2"
    )
    private = claim.epsilon is not None
    yield VerdictLine(
        "memorised" if much else "exposure",
        "warning" if much else "note",
        "",
        sentence,
        evidence,
        against="a canary is a row like no other; rows that resemble each other are less exposed",
        remedy="" if private or not much else PRIVATELY,
        command="" if private or not much else PRIVATE,
    )


def _membership(claim: ClaimRecord, one: MembershipRecord) -> VerdictLine:
    tells = one.found_low > FALSE
    share = (
        f"{_percent(one.found)} of the training {one.what} ({_percent(one.found_low)} to {_percent(one.found_high)})"
    )
    falsely = "where 1 % of the others are taken for such"
    little = f"tells training {one.what} from others more often than a guess, but not surely"
    how = "does not tell who was in the training part" if one.area_low <= GUESS else little
    sentence = f"{one.name} {'tells who was in the training part' if tells else how}: it finds {share}, {falsely}"
    evidence = (
        EvidenceRecord("found", one.found, FALSE, "above"),
        EvidenceRecord("area under the curve", one.area),
        EvidenceRecord("its lower end", one.area_low),
        EvidenceRecord("its upper end", one.area_high),
    )
    remedy = PRIVATELY if tells and claim.epsilon is None else ""
    against = BLIND if not tells else ""
    return VerdictLine(
        "membership",
        "warning" if tells else "note",
        "",
        sentence,
        evidence,
        against,
        remedy,
        "",
        PRIVATE if remedy else "",
    )


def _sampler(tests: Sequence[SamplerRecord]) -> Iterator[VerdictLine]:
    failed = [test for test in tests if not test.passed]
    if failed:
        said = "; ".join(f"{test.name}: {test.sentence}" for test in failed)
        yield VerdictLine(
            "sampler",
            "fault",
            "",
            f"rows are not drawn as the accountant assumes: {said}",
            tuple(EvidenceRecord(test.name, test.chance) for test in failed),
            remedy="do not rely on the statement: each row must take part in each step by a coin of its own",
        )


def _about(number: float) -> str:
    """Two digits of a number: 1,500,000."""
    if number < 10:
        return f"{number:.2g}"
    digits = math.floor(math.log10(number))
    return f"{round(number, 1 - digits):,.0f}" if digits < 15 else f"2^{math.log2(number):.0f}"


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
