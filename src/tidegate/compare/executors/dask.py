"""Trials on a cluster of Dask: a running one, or one of this machine that lives as long as the comparison."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from tidegate.compare.executors.job import RETRIES, Done, Job, died, unreachable
from tidegate.compare.executors.process import no_main_module
from tidegate.compare.executors.work import done_of, report, work
from tidegate.errors import BackendError, InputError, explain_missing
from tidegate.machine import processors

CONNECT_SECONDS = 20


def run(job: Job) -> Iterator[Done]:
    """Run trials; Dask runs those of a worker that dies again.

    Args:
        job: what to run.

    Yields:
        What they come to, as they end.

    Raises:
        MissingError: Dask is not installed.
        InputError: no scheduler answers at the address, or its workers run several tasks in one process.
        BackendError: workers die again and again.
    """
    with explain_missing():
        import distributed
    events: SimpleQueue[Any] = SimpleQueue()  # what Dask's own thread hears
    topic = f"tidegate-{uuid4().hex}"
    with _connected(distributed, job) as client:
        client.subscribe_topic(topic, lambda event: events.put(event[1]))
        running = {
            client.submit(_work, trial.to_text(), str(job.folder), topic, key=f"{topic}-{trial.hash}", pure=False)
            for trial in job.trials
        }
        for future in running:
            future.add_done_callback(events.put)
        while running:
            event = events.get()
            if event not in running:
                report(event, job.progress)
                continue
            running.remove(event)
            if event.cancelled():
                raise BackendError(
                    "CLUSTER_LOST", "the Dask cluster is gone", fix="run the same command again to resume"
                )
            try:
                yield done_of(event.result())
            except distributed.KilledWorker as error:
                raise died() from error


@contextmanager
def _connected(distributed: Any, job: Job) -> Iterator[Any]:
    """A client of the running cluster, or of one that is started here and ends with the block."""
    workers = job.workers
    if workers.cluster:
        try:
            client = distributed.Client(workers.cluster, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise unreachable("Dask", workers) from error
        with client:
            _check_processes(client, workers.cluster)
            yield client
        return
    count = min(workers.count or processors(), len(job.trials))
    from dask import config

    settings = {"distributed.scheduler.allowed-failures": RETRIES, "distributed.admin.tick.limit": "1h"}
    with (
        no_main_module(),  # for as long as workers may be started anew
        config.set(settings),
        distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=None,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def _check_processes(client: Any, address: str) -> None:
    """Refuse workers that run several tasks in one process, whose random state a trial needs for itself."""
    threads = max((worker["nthreads"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()), default=1)
    if threads > 1:
        raise InputError(
            "EXECUTOR_THREADS",
            f"a worker of the Dask cluster at {address} runs {threads} tasks in one process, but a trial needs its own",
            fix="start workers with dask worker --nthreads 1 --nworkers N",
        )


def _work(trial: str, folder: str, topic: str) -> str:
    from distributed import get_worker

    worker = get_worker()
    return work(trial, folder, lambda told: worker.log_event(topic, told))
