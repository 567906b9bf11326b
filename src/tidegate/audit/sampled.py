"""The sampler of private training, held against what its accountant assumes."""

from __future__ import annotations

from tidegate.private.sampler import PoissonSampler, check_participation
from tidegate.private.stream import SecretStream
from tidegate.records import PrivacyRecord, SamplerRecord

STEPS = 400  # of a test; more see smaller faults
DRAWN = 1 << 22  # most coins of a test


def of_sampler(privacy: PrivacyRecord, units: int) -> tuple[SamplerRecord, ...]:
    """Draw as private training draws, with a key of its own, and test what comes.

    Args:
        privacy: the statement of the model.
        units: how many there are.
    """
    rate = privacy.sampling_rate
    if units < 2 or not 0 < rate < 1:
        return ()
    steps = max(2, min(STEPS, DRAWN // units))
    sampler = PoissonSampler(units, rate, SecretStream.fresh())
    found = check_participation([sampler.draw() for _ in range(steps)], units, rate)
    return tuple(SamplerRecord(test.name, test.p, test.passed, test.text) for test in found.tests)
