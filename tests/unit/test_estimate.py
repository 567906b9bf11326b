"""The estimate of the time that a comparison still takes, against a made-up schedule of two workers."""

import heapq
from types import SimpleNamespace

import numpy as np
import pytest

from tidegate.cli.estimate import Estimate

CELLS = {"rnn": 20.0, "lstm": 60.0, "peephole": 70.0, "gru": 50.0}  # seconds of a run
EPOCHS = 40


def estimates(seed: int, known: int = 0, start: float = 10.0) -> list[float]:
    """What is estimated after each finished run, relative to what is then left."""
    draw = np.random.default_rng(seed)
    now = 0.0
    estimate = Estimate(list(CELLS), 5, lambda: now)
    runs = [(cell, k, seconds * draw.uniform(0.8, 1.2)) for k in range(5) for cell, seconds in CELLS.items()]
    for cell, k, seconds in runs[:known]:
        estimate.known(SimpleNamespace(cell=cell, seed=k, train_seconds=seconds))
    events, free = [], [start, start]
    for cell, k, seconds in runs[known:]:
        begin = heapq.heappop(free)
        events += [(begin + seconds * (e + 1) / EPOCHS, cell, k, seconds, e == EPOCHS - 1) for e in range(EPOCHS)]
        heapq.heappush(free, begin + seconds)
    answers = []
    for now, cell, k, seconds, last in sorted(events):
        estimate.epoch(cell, k, seconds / EPOCHS)
        if last:
            estimate.finish(SimpleNamespace(cell=cell, seed=k, train_seconds=seconds))
            answers.append((now, estimate.left()))
    end = answers[-1][0]
    return [left / (end - at) for at, left in answers[:-1]]


@pytest.mark.parametrize("seed", range(5))
def test_estimates_are_near_from_the_first_on(seed) -> None:
    """The first knows the fastest cell alone."""
    found = estimates(seed)
    assert 0.3 < found[0] < 2
    assert all(0.7 < share < 1.4 for share in found[4:-3])
    assert all(0.8 < share < 1.25 for share in estimates(seed, known=8)[:-3])


def test_runs_whose_epochs_are_not_told_count_when_they_finish() -> None:
    now = 30.0
    estimate = Estimate(["gru"], 5, lambda: now)
    estimate.finish(SimpleNamespace(cell="gru", seed=0, train_seconds=20.0))
    assert estimate.left() == pytest.approx(80)


def test_nothing_is_said_before_a_run_has_finished() -> None:
    estimate = Estimate(["gru"], 5)
    assert estimate.left() is None
    estimate.epoch("gru", 0, 1.0)
    assert estimate.left() is None
