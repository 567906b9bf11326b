"""Runs trials in worker processes and stores every finished one.

The folder makes an experiment resumable: a trial with a record there is not run again, and one with a checkpoint
there resumes from it.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import torch

from tidegate.compare.trial import TrialSpec, run_trial
from tidegate.errors import BackendError, InputError
from tidegate.plain import read_json
from tidegate.records import EpochRecord, RunRecord, run_from_json, to_json
from tidegate.storage import alone, replace_file

POLL_SECONDS = 0.2


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


def run_all(trials: Sequence[TrialSpec], folder: Path, workers: int, progress: Progress) -> list[RunRecord]:
    """Run the trials that have no record yet.

    Args:
        trials: what to run.
        folder: for records and checkpoints.
        workers: the number of processes.
        progress: told about every finished epoch and trial.

    Returns:
        The records of all trials, in their order.

    Raises:
        InputError: another process is using this folder, or a record there is damaged.
        BackendError: a worker process died.
    """
    taken = InputError(
        "FOLDER_BUSY",
        f"another comparison is using {folder.parent}",
        fix="wait for it, or choose another folder",
    )
    with alone(folder / "lock", taken):
        known = {trial.hash: record for trial in trials if (record := _load(folder, trial)) is not None}
        waiting = [trial for trial in trials if trial.hash not in known]
        progress.begin(list(known.values()), waiting)
        for record in _run_waiting(waiting, folder, workers, progress):
            known[record.run] = record
            progress.finish(record)
    return [known[trial.hash] for trial in trials]


def record_path(folder: Path, run: str) -> Path:
    """The file of a finished trial's record; ``run`` is the trial's hash."""
    return folder / f"{run}.json"


def _run_waiting(waiting: Sequence[TrialSpec], folder: Path, workers: int, progress: Progress) -> Iterator[RunRecord]:
    if not waiting:
        return
    context = _context()
    epochs: multiprocessing.Queue[Any] = context.Queue()
    pool = ProcessPoolExecutor(
        min(workers, len(waiting)), mp_context=context, initializer=_start_worker, initargs=(epochs, dict(os.environ))
    )
    try:
        with _no_main_module():
            running: set[Future[RunRecord]] = {pool.submit(_work, trial, folder) for trial in waiting}
        while running:
            done, running = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            _report_epochs(epochs, progress)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise BackendError(
            "WORKER_DIED",
            "a worker process died, perhaps because it ran out of memory",
            fix="run the same command again to resume, with fewer workers= if memory is short",
        ) from error
    finally:
        _stop(pool)


def _context() -> Any:
    """How workers start: as forks of a server that has imported what they need and has run nothing.

    A fork of this process would inherit locked thread pools. Windows has no fork: each worker imports all by itself.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tidegate.compare.trial", "torch._dynamo"])  # torch's optimizers load Dynamo
    _start_tracker()
    return context


def _start_tracker() -> None:
    """Start the process that removes the semaphores of a killed comparison; it need not say that there were some."""
    sys.warnoptions.append("ignore:resource_tracker")  # it starts with the options of this process
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove("ignore:resource_tracker")


def _report_epochs(epochs: multiprocessing.Queue[Any], progress: Progress) -> None:
    while True:
        try:
            progress.epoch(*epochs.get_nowait())
        except queue.Empty:
            return


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the workers at once: after an error or an interruption, their results are no longer needed."""
    processes = list((pool._processes or {}).values())  # noqa: SLF001  the public way to do this came with 3.14
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()


_epochs: multiprocessing.Queue[Any] | None = None


def _start_worker(epochs: multiprocessing.Queue[Any], environment: dict[str, str]) -> None:
    global _epochs  # noqa: PLW0603  a pool hands its workers their queue through an initializer only
    _epochs = epochs
    os.environ.update(environment)  # the server may be older than the last change of it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interruption is the parent's to handle
    warnings.filterwarnings("ignore", message=".* has no effect$")  # the parent has built each cell, and has warned
    torch.set_num_threads(1)  # the workers share the cores, and results must not depend on threads
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """End this worker once its parent is gone: a killed parent cannot stop its workers."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _work(trial: TrialSpec, folder: Path) -> RunRecord:
    def on_epoch(setting: int, record: EpochRecord) -> None:
        if _epochs is not None:
            _epochs.put((trial.cell, trial.seed, setting, record))

    record = run_trial(trial, folder, on_epoch)
    _save(folder, record)
    return record


def _save(folder: Path, record: RunRecord) -> None:
    replace_file(record_path(folder, record.run), json.dumps(to_json(record)))


def _load(folder: Path, trial: TrialSpec) -> RunRecord | None:
    path = record_path(folder, trial.hash)
    if not path.exists():
        return None
    try:
        if not path.is_file():
            raise InputError("RECORD_KIND", "it is no regular file")  # noqa: TRY301  named below
        record = run_from_json(read_json(path.read_bytes()))
        _check_own(record, trial)
    except (OSError, InputError) as error:
        raise InputError(
            "RECORD_DAMAGED", f"{path} is not the record of this run: {error}", fix="delete it to run it again"
        ) from error
    return record


def _check_own(record: RunRecord, trial: TrialSpec) -> None:
    """Refuse the record of another run."""
    for name, wanted in {
        "run": trial.hash,
        "cell": trial.cell,
        "seed": trial.seed,
    }.items():
        if getattr(record, name) != wanted:
            raise InputError("RECORD", f"{name} is {getattr(record, name)!r}, expected {wanted!r}")
    tried = [dataclasses.asdict(candidate) for candidate in trial.candidates]
    chosen = {name: getattr(record, name) for name in tried[0]}
    if chosen not in tried or len(record.tried) != len(tried):
        raise InputError("RECORD", f"it has {chosen}, which this comparison does not try")


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Start workers that do not run the caller's script again.

    A spawned process imports its parent's main module, which fails for a script without ``if __name__ == "__main__"``,
    for a notebook, and for standard input. Workers do not need it: a trial is plain data.
    """
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__spec__", "__file__") if hasattr(main, name)}
    main.__spec__ = None
    main.__dict__.pop("__file__", None)
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)
