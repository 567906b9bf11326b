"""Trials in processes of this machine."""

from __future__ import annotations

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
from typing import Any

from tidegate.compare.executors.job import POLL_SECONDS, RETRIES, Done, Job, Progress, died
from tidegate.compare.executors.work import done_of, report, work
from tidegate.compare.trial import TrialSpec
from tidegate.errors import TidegateWarning
from tidegate.machine import processors


def run(job: Job) -> Iterator[Done]:
    """Run trials; those of a worker that dies are run again, from their checkpoints.

    Args:
        job: what to run.

    Yields:
        What they come to, as they end.

    Raises:
        BackendError: workers die again and again.
    """
    missing = {trial.hash: trial for trial in job.trials}
    for _ in range(RETRIES + 1):
        try:
            for done in _run_pool(job, list(missing.values())):
                del missing[done.record.run]
                yield done
        except BrokenProcessPool:
            text = "a worker process died, perhaps because memory ran out; what it was running is run again"
            warnings.warn(text, TidegateWarning, stacklevel=2)
        else:
            return
    raise died()


def _run_pool(job: Job, trials: Sequence[TrialSpec]) -> Iterator[Done]:
    """Run trials in one pool of processes, which the death of one of them breaks."""
    context = _context()
    epochs: multiprocessing.Queue[Any] = context.Queue()
    count = min(job.workers.count or processors(), len(trials))
    pool = ProcessPoolExecutor(
        count, mp_context=context, initializer=_start_worker, initargs=(epochs, dict(os.environ))
    )
    try:
        with no_main_module():
            running: set[Future[str]] = {pool.submit(_work, trial.to_text(), str(job.folder)) for trial in trials}
        while running:
            done, running = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            _report_epochs(epochs, job.progress)
            for future in sorted(done, key=lambda future: future.exception() is not None):  # results first
                yield done_of(future.result())
    finally:
        _stop(pool)


def _context() -> Any:
    """How workers start: as forks of a server that has imported what they need and has run nothing.

    A fork of this process would inherit locked thread pools. Windows has no fork: each worker imports all by itself.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tidegate.compare.executors.work", "torch._dynamo"])  # which optimizers load
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
            report(epochs.get_nowait(), progress)
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
    _take_over(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interruption is the parent's to handle
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _take_over(environment: dict[str, str]) -> None:
    """Have the variables of the parent, and no others: the server of forks may be older than their last change."""
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)


def _exit_with_parent() -> None:
    """End this worker once its parent is gone: a killed parent cannot stop its workers."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _work(trial: str, folder: str) -> str:
    assert _epochs is not None
    return work(trial, folder, _epochs.put)


@contextmanager
def no_main_module() -> Iterator[None]:
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
