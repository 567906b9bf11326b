"""``--threads``: with how many threads a command computes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import tyro

from tidegate.cli.check import check_number
from tidegate.machine import bound, processors

MOST = 1024
OPENMP = "OMP_NUM_THREADS"  # what torch and NumPy read when they are loaded, which takes too long to do it before
Threads = Annotated[
    int | None,
    tyro.conf.arg(
        metavar="NUMBER",
        help="Threads to compute with. Unless given, those of OMP_NUM_THREADS, or one for each core that this process "
        "may use. Another number can change the last digits of a result.",
        help_behavior_hint="",
    ),
]


@contextmanager
def use_threads(count: int | None) -> Iterator[None]:
    """Compute with this many threads in the block.

    Args:
        count: None for what OMP_NUM_THREADS says; without it, what torch chooses, but not above the quota of processor
            time, which torch does not know.

    Raises:
        InputError: the number is out of range.
    """
    check_number("threads", count, high=MOST)
    if count is None and OPENMP not in os.environ and processors() < bound():
        count = processors()
    if count is None:
        yield
        return
    torch: Any = sys.modules.get("torch")
    before, earlier = os.environ.get(OPENMP), torch and torch.get_num_threads()
    os.environ[OPENMP] = str(count)
    if torch:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        os.environ.pop(OPENMP)
        if before is not None:
            os.environ[OPENMP] = before
        if torch:
            torch.set_num_threads(earlier)
