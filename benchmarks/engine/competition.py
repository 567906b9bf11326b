"""Other work on the machine: an endless loop for each core, as a busy machine has it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.engine.machine import cores

LOOP = """\
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)  # it ends when whoever started it does
    os.sched_setaffinity(0, {int(sys.argv[1])})
while True:
    pass
"""


TURN_SECONDS = 0.1  # many time slices: a process that was stopped has a fresh one, and would not notice the loops


def busy() -> dict[str, str]:
    """The environment of contestants beside competing loops: longer turns, and one thread may go where it likes."""
    return {"BENCH_TURN_SECONDS": str(TURN_SECONDS), "BENCH_CORES": str(cores())}


@contextmanager
def competing(*, wanted: bool) -> Iterator[int]:
    """Inside this block each core that this process may use runs a loop; gives how many there are."""
    taken = sorted(os.sched_getaffinity(0)) if wanted else []
    loops = [subprocess.Popen([sys.executable, "-S", "-c", LOOP, str(core)]) for core in taken]
    try:
        yield len(loops)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
