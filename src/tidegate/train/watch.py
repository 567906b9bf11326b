"""Callbacks of a training, and the log in its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tidegate.phase import OnPhase
from tidegate.records import DataRecord, EpochRecord, StepRecord
from tidegate.train.log import Log
from tidegate.train.world import World


@dataclass
class Watch:
    """Callbacks of a training.

    Attributes:
        on_data: called once, when the data have been read.
        on_step: called after each step; if None, the steps of an epoch are not counted in advance.
        on_epoch: called after each epoch.
        on_phase: called often, with the name of what is being done ("reading", "baseline n-grams", "scoring"), the
            parts of it that are done, and the number of parts, which is 0 where it is not known.
        on_note: called with what is worth saying.
    """

    on_data: Callable[[DataRecord], None] = lambda _: None
    on_step: Callable[[StepRecord], None] | None = None
    on_epoch: Callable[[EpochRecord], None] = lambda _: None
    on_phase: OnPhase | None = None
    on_note: Callable[[str], None] = lambda _: None


@contextmanager
def logged(home: Path | None, watch: Watch, *, tensorboard: bool, private: bool) -> Iterator[Watch]:
    """Add the log in the folder to the callbacks; with several processes, only the first one logs and calls."""
    if not World().first:
        yield Watch()
        return
    log = Log(home, tensorboard=tensorboard, private=private) if home else None

    def on_epoch(record: EpochRecord) -> None:
        if log:
            log.epoch(record)
        watch.on_epoch(record)

    def on_step(record: StepRecord) -> None:
        if log:
            log.step(record)
        if watch.on_step:
            watch.on_step(record)

    try:
        yield Watch(watch.on_data, on_step if tensorboard or watch.on_step else None, on_epoch, on_note=watch.on_note)
    finally:
        if log:
            log.close()
