"""What a long call is doing, told to whoever listens: the name of a phase, and how much of it is done.

Code that takes long says ``phase("baseline n-grams", 1, 3)`` without knowing who called it. Where nobody listens, that
does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
OnPhase = Callable[[str, int, int], None]

_listener: ContextVar[OnPhase | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: OnPhase | None) -> Iterator[None]:
    """Tell the phases of this block to a listener.

    Args:
        listener: called with the name of the phase, the parts done, and the number of parts, which is 0 where it is not
            known. None leaves the listener that there is.
    """
    if listener is None:
        yield
        return
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def within(part: str) -> Iterator[None]:
    """Tell the phases of this block as those of a part: ``"GRU: baselines"``.

    Args:
        part: such as ``"GRU"``.

    Examples:
        >>> with heard_by(lambda name, done, total: print(name)), within("GRU"):
        ...     phase("baselines")
        GRU: baselines
    """
    listener = _listener.get()
    with heard_by(listener and (lambda name, done, total: listener(f"{part}: {name}", done, total))):
        yield


def heard() -> bool:
    """Whether somebody listens; then it pays to count the parts of a phase."""
    return _listener.get() is not None


def phase(name: str, done: int = 0, total: int = 0) -> None:
    """Say what is being done now.

    Args:
        name: of the phase, in words that may follow "tidegate is busy with": ``"scoring"``.
        done: parts of it that are done.
        total: parts in all; 0 where that is not known.
    """
    listener = _listener.get()
    if listener is not None:
        listener(name, done, total)


def counted(name: str, parts: Iterable[T], total: int = 0) -> Iterator[T]:
    """The parts of a phase one after the other, each told before it is handed out.

    Args:
        name: of the phase.
        parts: what the phase consists of.
        total: the number of parts; that of ``parts`` if they know it.

    Examples:
        >>> with heard_by(lambda name, done, total: print(f"{name} {done} of {total}")):
        ...     longest = max(counted("measuring", ["ab", "c"]), key=len)
        measuring 0 of 2
        measuring 1 of 2
    """
    total = total or (len(parts) if isinstance(parts, Sized) else 0)
    for done, part in enumerate(parts):
        phase(name, done, total)
        yield part
