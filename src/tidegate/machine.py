"""The machine as this process may use it: its processors, and how threads of OpenMP wait for each other on them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from math import ceil
from pathlib import Path

LOOKS = "1000"  # of a waiting thread before it sleeps: 20 to 50 us, about as long as being woken takes
WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")  # each thread to processors of its own

waits_briefly = False  # whether the threads of torch do, or wait as the user has decided


def wait_briefly() -> None:
    """Let threads of GNU's OpenMP, which torch uses, sleep after a short wait, unless the user has decided otherwise.

    By default they look for milliseconds. Where another program has the processor of the thread that they wait for,
    they keep it from running meanwhile: a step of training can take 10 to 30 times as long. Without competition a
    thousand looks are as fast. OpenMP reads this when it is loaded, so it has no effect on a torch that is loaded.

    References:
        Karlin, Li, Manasse and Owicki 1991, Empirical studies of competitive spinning for a shared-memory
        multiprocessor, SOSP: looking for as long as a wake-up takes costs at most twice the optimum.
    """
    global waits_briefly  # noqa: PLW0603  a fact about this process, which OpenMP itself cannot be asked for
    decided = any(name in os.environ for name in WAITING)
    waits_briefly = decided or "torch" not in sys.modules
    if not decided:
        os.environ["GOMP_SPINCOUNT"] = LOOKS


def processors() -> int:
    """How many processors this process may use: those it is bound to, and no more than its quota of their time."""
    return max(1, int(min(bound(), quota())))  # a thread above the quota would only make all of them stop


def most_threads() -> int:
    """How many threads can run at the same time in this process at all: a part of a processor's time is one, too.

    Where OpenMP binds threads, a thread is bound to less than its process, and the quota alone tells.
    """
    own = os.cpu_count() or 1 if any(name in os.environ for name in BINDING) else bound()
    return max(1, ceil(min(own, quota())))


def bound() -> int:
    """How many processors this process is bound to; without bounds, all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def quota(root: Path = Path("/")) -> float:
    """The smallest quota of the control groups that this process is in, in processors; infinite where there is none.

    Args:
        root: where /proc and /sys are.
    """
    return min((limit for folder in _groups(root) for limit in _limits(folder)), default=float("inf"))


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the groups, of both versions, that rule over this process; some may not exist."""
    groups = root / "sys" / "fs" / "cgroup"
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for base in (groups / controllers, groups / ("cpu" if controllers else "unified")):
            below = base / path.lstrip("/")
            yield from (below, *(parent for parent in below.parents if parent.is_relative_to(base)))


def _limits(folder: Path) -> Iterator[float]:
    """The quota of one group: "max 100000" or "150000 100000" in version 2, two files in version 1."""
    quotas = (
        _text(folder / "cpu.max").split(),
        [*_text(folder / "cpu.cfs_quota_us").split(), *_text(folder / "cpu.cfs_period_us").split()],
    )
    for numbers in quotas:
        if len(numbers) == 2 and numbers[0] not in {"max", "-1"}:
            yield int(numbers[0]) / int(numbers[1])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
