"""What every executor is told, and what it tells."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tidegate.compare.trial import TrialSpec
from tidegate.errors import BackendError, InputError, did_you_mean
from tidegate.records import EpochRecord, RunRecord

Engine = Literal["process", "ray", "dask"]
POLL_SECONDS = 0.2
ENGINES = {"process": "", "ray": "RAY_ADDRESS", "dask": "DASK_SCHEDULER_ADDRESS"}  # with their own variables
RETRIES = 3  # of a trial whose worker dies


class Progress:
    """Callbacks of a comparison; override those that you need."""

    def begin(self, done: Sequence[RunRecord], waiting: Sequence[TrialSpec]) -> None:
        """The experiment starts.

        Args:
            done: records of trials that earlier sessions finished.
            waiting: trials to run now.
        """

    def epoch(self, cell: str, seed: int, setting: int, record: EpochRecord) -> None:
        """A worker has finished an epoch.

        Args:
            cell: the name of the cell.
            seed: the seed of the trial.
            setting: the place of its settings among those to try.
            record: the epoch.
        """

    def finish(self, record: RunRecord) -> None:
        """A trial has finished.

        Args:
            record: its result.
        """


@dataclass(frozen=True)
class Workers:
    """Where the runs of a comparison take place. Their results do not depend on it, save for the threads.

    Attributes:
        engine: ``"process"`` for processes of this machine, ``"ray"`` or ``"dask"`` for a cluster of that engine. Where
            there is no running one, it is started on this machine and ends with the comparison.
        count: how many runs at a time; None for one for each processor that this process may use, or for as many as a
            running cluster takes.
        threads: of each worker; another number can change the last digits of a result.
        address: of a running cluster, such as ``"HOST:6379"`` for Ray or ``"tcp://HOST:8786"`` for Dask; None for that
            in ``RAY_ADDRESS`` or ``DASK_SCHEDULER_ADDRESS``. All its machines need the same versions of torch and
            Tidegate, and the data under the same path.

    Raises:
        InputError: there is no such engine, a number is out of range, or an option has no effect.

    Example:
        >>> import tidegate as tg
        >>> tg.compare.Workers(count=2)
        Workers(engine='process', count=2, threads=1, address=None)
    """

    engine: Engine = "process"
    count: int | None = None
    threads: int = 1
    address: str | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise InputError(
                "EXECUTOR",
                f"there is no executor {self.engine!r}{did_you_mean(self.engine, ENGINES)}",
                fix=f"use one of {', '.join(ENGINES)}",
            )
        for name, number in (("workers", self.count), ("threads", self.threads)):
            if number is not None and number < 1:
                raise InputError("NUMBER", f"{name}={number} is out of range", fix="use at least 1")
        if self.address and self.engine == "process":
            raise InputError(
                "EXECUTOR_ADDRESS",
                f"processes of this machine need no address={self.address!r}",
                fix="name the executor of that cluster: ray or dask",
            )
        if self.cluster and self.count:
            raise InputError(
                "EXECUTOR_WORKERS",
                f"workers={self.count} has no effect on the cluster at {self.cluster}, which has workers of its own",
                fix="leave it out",
            )

    @property
    def cluster(self) -> str | None:
        """The address of the running cluster, if there is one."""
        return self.address or os.environ.get(ENGINES[self.engine]) or None


@dataclass(frozen=True)
class Done:
    """What a finished trial has come to.

    Attributes:
        record: its result.
        model: what was tested, as ``kept.packed`` makes it; empty if there is nothing to keep.
    """

    record: RunRecord
    model: bytes


@dataclass(frozen=True)
class Job:
    """Trials and how to run them.

    Attributes:
        trials: what to run, at least one.
        folder: for checkpoints; workers that cannot see it have none.
        workers: where to run it.
        progress: told about every finished epoch.
    """

    trials: Sequence[TrialSpec]
    folder: Path
    workers: Workers
    progress: Progress


def died() -> BackendError:
    """The error for a trial whose workers die again and again."""
    return BackendError(
        "WORKER_DIED",
        f"worker processes died {RETRIES + 1} times, perhaps because memory ran out",
        fix="run the same command again to resume, with fewer workers= if memory is short",
    )


def unreachable(name: str, workers: Workers) -> InputError:
    """The error for a cluster that does not answer."""
    fix = f"start it, pass another address=, or unset {ENGINES[workers.engine]}"
    return InputError("EXECUTOR_ADDRESS", f"no {name} cluster answers at {workers.cluster}", fix=fix)
