"""Trials on a cluster of Ray: a running one, or one of this machine that lives as long as the comparison."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tidegate.compare.executors.job import POLL_SECONDS, RETRIES, Done, Job, died, unreachable
from tidegate.compare.executors.work import done_of, report, work
from tidegate.errors import explain_missing
from tidegate.machine import processors

CONNECT_SECONDS = 20
STORE_BYTES = 100 << 20  # trials and records are texts of a few kilobytes, models of 22 MB at most


def run(job: Job) -> Iterator[Done]:
    """Run trials; Ray runs those of a worker that dies again.

    Args:
        job: what to run.

    Yields:
        What they come to, as they end.

    Raises:
        MissingError: Ray is not installed.
        InputError: no cluster answers at the address.
        BackendError: workers die again and again.
    """
    with explain_missing():
        import ray
        from ray.util.queue import Queue
    with _connected(ray, job):
        epochs = Queue(actor_options={"num_cpus": 0})
        trial = ray.remote(num_cpus=job.workers.threads, max_retries=RETRIES)(_work)
        running = [trial.remote(one.to_text(), str(job.folder), epochs) for one in job.trials]
        while running:
            done, running = ray.wait(running, timeout=POLL_SECONDS)
            for told in epochs.get_nowait_batch(epochs.qsize()):
                report(told, job.progress)
            for reference in done:
                yield done_of(_result(ray, reference))


def _result(ray: Any, reference: Any) -> str:
    try:
        text: str = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise died() from error
    return text


@contextmanager
def _connected(ray: Any, job: Job) -> Iterator[None]:
    """Be connected to the running cluster, or to one that is started here and ends with the block."""
    if ray.is_initialized():  # by the caller
        yield
        return
    workers = job.workers
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if workers.cluster:
        try:
            _knock(workers.cluster)
            ray.init(workers.cluster, **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            raise unreachable("Ray", workers) from error
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a comparison calls nobody
        count = min(workers.count or processors(), len(job.trials))
        ray.init(
            "local",
            num_cpus=count * workers.threads,
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            **quiet,
        )
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Find out whether anything answers: Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()


def _work(trial: str, folder: str, epochs: Any) -> str:
    return work(trial, folder, epochs.put)
