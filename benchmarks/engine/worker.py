"""The process in which one contestant lives: it prepares items and takes its turns when told to.

Started by ``host.py``, which has set the environment that limits threads; both talk over a pipe.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch
from benchmarks.engine.item import Item
from benchmarks.engine.peer import PEERS
from benchmarks.engine.peer.peer import Prepared
from benchmarks.engine.problem import Arrays, problem

# What one measurement takes at least, so that the clock and its call do not matter
TURN_SECONDS = float(os.environ.get("BENCH_TURN_SECONDS", "0.005"))
CLOCK = time.thread_time if os.environ.get("BENCH_CLOCK") == "thread" else time.perf_counter
SHORT_SECONDS = 0.02  # calls below it are preceded by an untimed one, as others have used the caches
LONGEST_NOTE = 120
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Ready:
    """A prepared item, the number of calls that make a turn, and whether an untimed one goes before them."""

    prepared: Prepared
    calls: int
    warm_up: bool


class Worker:
    """The items of one contestant."""

    def __init__(self, peer: str) -> None:
        self._peer = PEERS[peer]
        self._ready: dict[str, Ready] = {}

    def prepare(self, key: str, item: Item) -> tuple[Arrays | None, float]:
        """Make an item ready.

        Returns:
            The results of a call, or None if there is nothing to check, and the seconds until they were there.
        """
        given = problem(item)
        start = time.perf_counter()
        prepared = self._peer.prepare(given)
        with prepared.around():
            result = prepared.call()
            seconds = time.perf_counter() - start
            arrays = prepared.read(result) if prepared.read else None
            self._ready[key] = Ready(prepared, 1, warm_up=False) if prepared.clock else _ready(prepared)
        return arrays, seconds

    def turn(self, key: str) -> float:
        """Seconds of one call, as the mean over a turn."""
        ready = self._ready[key]
        gc.disable()
        try:
            with ready.prepared.around():
                if ready.prepared.clock:
                    return ready.prepared.clock()
                if ready.warm_up:
                    ready.prepared.call()
                return _seconds(ready.prepared, ready.calls) / ready.calls
        finally:
            gc.enable()

    def forget(self) -> None:
        """Let go of all items."""
        self._ready.clear()
        gc.collect()


def _ready(prepared: Prepared) -> Ready:
    """Doubles the number of calls until they take long enough; that is the warm-up too."""
    calls = 1
    while (seconds := _seconds(prepared, calls)) < TURN_SECONDS:
        calls *= 2
    return Ready(prepared, max(1, round(calls * TURN_SECONDS / seconds)), warm_up=seconds / calls < SHORT_SECONDS)


def _seconds(prepared: Prepared, calls: int) -> float:
    call = prepared.call
    start = CLOCK()
    for _ in range(calls):
        call()
    return CLOCK() - start


def main() -> None:
    """Serve until the pipe closes: arguments are its descriptor, the contestant and the threads."""
    descriptor, peer, threads = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interruption is the parent's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # it may be stopped when its parent dies
        cores = int(os.environ.get("BENCH_CORES", threads))
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    torch.set_num_threads(int(threads))
    worker, pipe = Worker(peer), Connection(int(descriptor))
    while True:
        try:
            command, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(worker, command, arguments))


def _answer(worker: Worker, command: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, getattr(worker, command)(*arguments)
    except Exception as error:  # noqa: BLE001  whatever a contestant's library raises is a note in the table
        return False, " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_NOTE]
