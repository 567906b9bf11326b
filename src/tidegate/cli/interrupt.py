"""Ctrl-C, once or many times."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 2.0  # seconds in which further signals are ignored; later ones count, in case the first was lost


@contextmanager
def interruptible(*, last: bool) -> Iterator[None]:
    """Let the first Ctrl-C end this block in peace, however often it is pressed.

    A second interruption would cut off the handling of the first, or strike while Python ends, which then dies of the
    signal instead of exiting with the code for an interruption.

    Args:
        last: whether the process ends with this block; then an interruption leaves further ones ignored.
    """
    # only the main thread may handle signals, and a process in the background of a script must ignore this one
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    first = 0.0

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal first
        again, now = first and time.monotonic() - first < PATIENCE, time.monotonic()
        if not again:
            first = now
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN if last and first else before or signal.SIG_DFL)
