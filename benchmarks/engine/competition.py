"""Other work on the machine: an endless loop for each core, as a busy machine has it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOOP = """\
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)  # it ends when whoever started it does
    os.sched_setaffinity(0, {int(sys.argv[1])})
while True:
    pass
"""


@contextmanager
def competing(*, wanted: bool) -> Iterator[int]:
    """Inside this block each core that this process may use runs a loop; gives how many there are."""
    cores = sorted(os.sched_getaffinity(0)) if wanted else []
    loops = [subprocess.Popen([sys.executable, "-S", "-c", LOOP, str(core)]) for core in cores]
    try:
        yield len(loops)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
