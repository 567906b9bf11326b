"""Records of an audit: what a trained model gives away about the rows that it learnt from."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.records.explanation import VerdictLine


@dataclass(frozen=True)
class ClaimRecord:
    """What the model states.

    Attributes:
        epsilon: None if it states none.
        delta: of the statement; where there is none, the one that the audit takes.
        sentence: the statement in words.
    """

    epsilon: float | None
    delta: float
    sentence: str


@dataclass(frozen=True)
class GuessRecord:
    """Guesses about canaries: those of the lowest losses as planted, as many of the highest as not.

    Attributes:
        made: how many were guessed; the audit abstains from the others.
        right: how many of them name the coin.
        chance: the probability of so many without any knowledge.
        epsilon: the lower bound that these guesses give.
    """

    made: int
    right: int
    chance: float
    epsilon: float


@dataclass(frozen=True)
class CanaryRecord:
    """What canaries say.

    Attributes:
        what: what a canary is.
        count: all of them.
        planted: those that were planted.
        steps: the length of each.
        loss_planted, loss_others: the mean loss of those that were planted, and of the others, in nats.
        confidence: of the lower bound, such as 0.95.
        guesses: for each number of guesses that was tried.
        epsilon: the largest of their lower bounds.
        draws: rows that were drawn like canaries, among which these stand.
        exposure: [101] percentiles of the exposure of planted canaries, in bits.
        exposure_others: [101] of the others.
        exposure_mean: mean exposure of planted canaries, in bits; 1.44 if nothing was learnt from them.
        extrapolated: the share of planted canaries that fewer than 10 draws lie below.
        chance: the probability of planted canaries standing so far before the others without any memory of them.
    """

    what: str
    count: int
    planted: int
    steps: int
    loss_planted: float
    loss_others: float
    confidence: float
    guesses: tuple[GuessRecord, ...]
    epsilon: float
    draws: int
    exposure: tuple[float, ...]
    exposure_others: tuple[float, ...]
    exposure_mean: float
    extrapolated: float
    chance: float


@dataclass(frozen=True)
class MembershipRecord:
    """How well a score tells rows of the training part from rows of the test part.

    Attributes:
        name: of the attack.
        how: how the score was made.
        what: what rows are, in the plural.
        members, others: how many rows.
        area: the area under the curve; 0.5 is a guess.
        found: the share of training rows found where at most 1 % of the others are accused.
        curve: (share of the others accused, share of training rows found) by threshold.
    """

    name: str
    how: str
    what: str
    members: int
    others: int
    area: float
    area_low: float
    area_high: float
    found: float
    found_low: float
    found_high: float
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class SamplerRecord:
    """One test of the sampler of private training.

    Attributes:
        chance: the probability of such a record, were the sampler as stated.
    """

    name: str
    chance: float
    passed: bool
    sentence: str


@dataclass(frozen=True)
class AuditRecord:
    """An audit of a trained model.

    Attributes:
        title: the model in words.
        task: its task.
        data: the name of the data.
        claim: what the model states.
        verdicts: what was found, the worst first.
        canaries: None where none were planted.
        membership: attacks that tell training rows from test rows.
        sampler: tests of the sampler; none where training was not private.
        left_out: what this audit cannot say, and how it could.
        seconds: how long it took.
        versions: of the packages.
    """

    title: str
    task: str
    data: str
    claim: ClaimRecord
    verdicts: tuple[VerdictLine, ...]
    canaries: CanaryRecord | None
    membership: tuple[MembershipRecord, ...]
    sampler: tuple[SamplerRecord, ...]
    left_out: tuple[str, ...]
    seconds: float
    versions: dict[str, str]
