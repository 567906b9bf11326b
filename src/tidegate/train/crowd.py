"""Threads on a busy machine: training notices where they hold each other up, and lets them sleep while they wait."""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from tidegate import machine
from tidegate.errors import TidegateWarning

ALONE = 1 << 15  # elements that torch adds on one thread
SHARED = 1 << 20  # elements that it shares among all of them
LOOK_SECONDS = 0.03  # for each of the two
PAUSE_SECONDS = 10.0  # between looks, which so take less than a hundredth of the time
NAME = "outnumbers processors"
TOO_SLOW = 10.0  # times as slow as on one thread; seen: 1 on an idle machine, above 100 beside programs of others


@contextmanager
def unhindered() -> Iterator[Callable[[], None]]:
    """Keep the threads of torch from holding each other up, as long as this block lasts.

    Threads that wait look for milliseconds whether they may go on, and on a busy machine they keep from running whom
    they wait for. ``machine.wait_briefly`` prevents that unless torch was loaded before Tidegate. In that case this
    measures now and then, and lets the threads sleep once they hold each other up. No result depends on it.

    Yields:
        A function to call after each step.
    """
    needed = torch.get_num_threads() > 1 and not machine.waits_briefly
    due = 0.0 if needed else math.inf
    ended, idle = threading.Event(), list[threading.Thread]()

    def look() -> None:
        nonlocal due
        if time.monotonic() < due:
            return
        due = time.monotonic() + PAUSE_SECONDS
        before = _slowness()
        if before > TOO_SLOW:
            due = math.inf
            idle.extend(_outnumber_processors(ended))
            _say(before, _slowness())

    try:
        yield look
    finally:
        ended.set()
        for thread in idle:
            thread.join()


def _slowness() -> float:
    """How much longer an addition takes on all threads than on one; below 1 where they help."""
    return _seconds(SHARED) / (_seconds(ALONE) * SHARED / ALONE)


def _seconds(elements: int) -> float:
    """The mean time of an addition: where threads hold each other up, many are quick and some take long."""
    numbers, count, begun = torch.zeros(elements), 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < LOOK_SECONDS:
        numbers.add_(1)
        count += 1
    return passed / count


def _outnumber_processors(ended: threading.Event) -> list[threading.Thread]:
    """Make idle threads: GNU's OpenMP waits only briefly where it has more threads than processors.

    References:
        GNU libgomp manual, GOMP_SPINCOUNT.
    """
    count = -(-machine.bound() // (torch.get_num_threads() - 1))
    made = threading.Barrier(count + 1)

    def idle() -> None:
        torch.zeros(SHARED).add_(1)  # makes a team of this thread's own
        made.wait()
        ended.wait()

    threads = [threading.Thread(target=idle, name=NAME, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    made.wait()
    return threads


def _say(before: float, after: float) -> None:
    threads = f"the {torch.get_num_threads()} threads of torch"
    text = f"this machine is busy: {threads} hold each other up and are {before:.0f} times as slow as one"
    if after > TOO_SLOW:
        remedy = "use one, with torch.set_num_threads(1); the last digits of results may differ"
    else:
        remedy = (
            "from here on they sleep while they wait, which changes no result; import tidegate before torch to begin so"
        )
    warnings.warn(f"{text}; {remedy}", TidegateWarning, stacklevel=4)
