"""What a model promises to those whose data it learnt from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tidegate.errors import InputError, visible


@dataclass(frozen=True)
class PrivacyRecord:
    """The differential privacy of a trained model, as ``model.json`` has it.

    Whoever sees the model, and every other unit of the data, can tell whether one unit was there only as far as epsilon
    and delta allow: P(model in S | with it) <= exp(epsilon) P(model in S | without it) + delta, and the reverse.

    Attributes:
        epsilon: None if the noise came from a seed that is no secret, which promises nothing.
        delta: in (0, 1).
        unit: what is protected: ``"row"``, or in words, such as ``"one text with its class"``.
        noise_multiplier: the noise's deviation over the clip norm.
        clip_norm: the largest norm of the gradient of one unit.
        sampling_rate: the probability that a unit takes part in a step.
        steps: of all epochs, those with an empty batch included.
        accountant: what computed epsilon, with its version.
        sampler: how the units of a step were drawn.
        adjacency: which data sets must look alike.
        covers: the part of the data that is protected.
        public: what was learnt from the data without privacy, as ``--public`` accepted it.
        insecure_seed: the seed of the noise, if it was given.
        versions: of the packages that took part.
    """

    epsilon: float | None
    delta: float
    unit: str
    noise_multiplier: float
    clip_norm: float
    sampling_rate: float
    steps: int
    accountant: str
    sampler: str = "Poisson"
    adjacency: str = "add or remove one unit"
    covers: str = "the training part"
    public: tuple[str, ...] = ()
    insecure_seed: int | None = None
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = (self.noise_multiplier, self.clip_norm, *([] if self.epsilon is None else [self.epsilon]))
        sound = all(math.isfinite(number) and number > 0 for number in numbers)
        shares = 0 < self.delta < 1 and 0 < self.sampling_rate <= 1 and self.steps >= 1
        if not sound or not shares or (self.epsilon is None) != (self.insecure_seed is not None):
            raise InputError(
                "PRIVACY_RECORD",
                f"no training ends with epsilon {self.epsilon}, delta {self.delta}, seed {self.insecure_seed}, "
                f"noise {self.noise_multiplier}, clip norm {self.clip_norm}, rate {self.sampling_rate}, "
                f"{self.steps} steps",
                fix="take the model from where it was trained",
            )


def privacy_sentence(record: PrivacyRecord) -> str:
    """The promise in one sentence, for people: the same words wherever it stands.

    Examples:
        >>> privacy_sentence(PrivacyRecord(8.0, 1e-5, "row", 1.112, 1.0, 0.05, 1000, "PLD of dp-accounting 0.6.0"))
        'epsilon 8 at delta 1e-05 per row of the training part (add or remove one unit; noise 1.112 times a clip norm \
of 1, 1,000 steps, Poisson sampling at 0.05; PLD of dp-accounting 0.6.0)'
    """
    how = (
        f"noise {record.noise_multiplier:.4g} times a clip norm of {record.clip_norm:g}, {record.steps:,} steps, "
        f"{visible(record.sampler)} sampling at {record.sampling_rate:.4g}"
    )
    shown = f"; learnt without privacy: {', '.join(map(visible, record.public))}" if record.public else ""
    if record.epsilon is None:
        return f"no privacy, since the noise came from the seed {record.insecure_seed} ({how}{shown})"
    return (
        f"epsilon {_up(record.epsilon, 4)} at delta {_up(record.delta, 3)} {_per(record)} "
        f"({visible(record.adjacency)}; {how}; {visible(record.accountant)}{shown})"
    )


def _per(record: PrivacyRecord) -> str:
    if record.unit == "row":
        return f"per row of {visible(record.covers)}"
    return f"per unit of {visible(record.covers)}, which is {visible(record.unit)}"


def _up(value: float, digits: int) -> str:
    """So many digits, never less than the number."""
    text = f"{value:.{digits}g}"
    if float(text) >= value:
        return text
    return f"{value + 10.0 ** (math.floor(math.log10(value)) + 1 - digits):.{digits}g}"
