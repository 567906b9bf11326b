"""What a command is doing: a line that moves on a terminal, and elsewhere a line before ten seconds are silent."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tidegate.cli.console import Screen, console, print_line
from tidegate.errors import visible
from tidegate.phase import heard_by

LINE_SECONDS = 8.0  # of silence before a line where there is no terminal, so that ten never pass
TICK_SECONDS = 0.25  # between two looks at the clock
DRAW_SECONDS = 0.1  # between two drawings of the moving line
NARROWEST, WIDEST = 5, 40  # columns of the bar; without room for five there is none
FEW = 20  # parts up to which they are counted; more are a share


@dataclass(frozen=True)
class Now:
    """The phase of this moment.

    Attributes:
        since: when it began.
        detail: says what is known of it besides; unless given, its share and how long it has taken.
    """

    name: str
    done: int
    total: int
    since: float
    detail: Callable[[], str] | None = None

    def text(self, clock_now: float) -> str:
        """The detail; or the share and the time, such as ``"2 of 5, 12 s"`` or ``"35 %, 12 s"``."""
        elapsed = clock(clock_now - self.since)
        if self.detail is not None:
            return self.detail()
        if not self.total:
            return elapsed
        share = f"{self.done} of {self.total}" if self.total <= FEW else f"{100 * self.done / self.total:.0f} %"
        return f"{share}, {elapsed}"


class Status:
    """Shows the phases that this block goes through; a thread keeps the time while a phase says nothing.

    Args:
        screen: where to show them.
        speaks: whether the first phase is a line of its own where there is no terminal.

    Attributes:
        body: makes what stands above the moving line, if anything does.
        screen: where phases are shown.
        terminal: whether there is a moving line.
    """

    def __init__(self, screen: Console, *, speaks: bool = False) -> None:
        self.body: Callable[[], RenderableType] | None = None
        self.screen, self._speaks = screen, speaks
        self.terminal = screen.is_terminal and not screen.quiet
        self._live = Live(
            console=screen,
            auto_refresh=False,
            transient=True,
            redirect_stdout=screen.file is sys.stdout,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._now: Now | None = None
        self._shown = -math.inf if self.terminal else time.monotonic()  # something was shown
        self._lock, self._end = threading.RLock(), threading.Event()
        self._clock = threading.Thread(target=copy_context().run, args=(self._run,), daemon=True)
        self._heard = heard_by(self.phase)

    def __enter__(self) -> Self:
        self._heard.__enter__()
        if self.terminal:
            self._live.start()
        self._clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heard.__exit__(kind, value, trace)
        self._end.set()
        self._clock.join()
        self._live.stop()

    def phase(self, name: str, done: int = 0, total: int = 0, detail: Callable[[], str] | None = None) -> None:
        """Say what is being done now.

        Args:
            name: of the phase.
            done: parts of it that are done.
            total: parts in all; 0 where that is not known.
            detail: says what else to show; unless given, the share and the time since the phase began.
        """
        before, now = self._now, time.monotonic()
        since = before.since if before and before.name == name else now
        self._now = Now(name, done, total, since, detail)
        if before is None and self._speaks and not self.terminal:
            self.print(name)
        self.tick()

    def print(self, text: str) -> None:
        """Print a line above the moving one."""
        with self._lock:
            if not self.terminal:
                self._shown = time.monotonic()
            print_line(self.screen, text)

    def tick(self) -> None:
        """Show the phase of this moment, unless something was shown a moment ago."""
        with self._lock:
            now, pause = self._now, DRAW_SECONDS if self.terminal else LINE_SECONDS
            clock_now = time.monotonic()
            if now is None or clock_now - self._shown < pause:
                return
            if self.terminal:
                self._shown = clock_now
                self._live.update(self._drawn(now, clock_now), refresh=True)
            else:
                self.print(f"{now.name}: {now.text(clock_now)}")

    def _drawn(self, now: Now, clock_now: float) -> RenderableType:
        name, text = visible(now.name), now.text(clock_now)
        room = self.screen.width - len(name) - len(text) - 2
        bar = [ProgressBar(now.total or None, now.done, width=min(WIDEST, room), pulse=not now.total)]
        parts: list[RenderableType] = [Text(name), *(bar if room >= NARROWEST else []), Text(text)]
        line = Table.grid(padding=(0, 1))
        for _ in parts:
            line.add_column(no_wrap=True)
        line.add_row(*parts)
        return line if self.body is None else Group(self.body(), line)

    def _run(self) -> None:
        while not self._end.wait(TICK_SECONDS):
            self.tick()


def status(out: Console | None = None) -> Status:
    """The status of a command whose output is an answer: beside it on a terminal, else on standard error.

    Args:
        out: where the answer is printed meanwhile; a console of its own unless given.
    """
    out = out or console()
    return Status(out if out.is_terminal else Screen(highlight=False, emoji=False, stderr=True))


def clock(seconds: float, like: float | None = None) -> str:
    """A time in seconds as readable text.

    Args:
        seconds: the time.
        like: another time, whose unit to use.

    Examples:
        >>> clock(0.25), clock(99), clock(3600), clock(36000), clock(600, like=5.0)
        ('0.2 s', '99 s', '60 min', '10.0 h', '600 s')
    """
    unit = seconds if like is None else like
    if unit < 100:
        return f"{seconds:.{int(seconds < 10)}f} s"
    return f"{seconds / 60:.0f} min" if unit < 6000 else f"{seconds / 3600:.1f} h"
