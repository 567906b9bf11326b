"""Printing of the commands."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from tidegate.errors import TidegateWarning

WIDE = 160  # columns for a pipe or a file, where a terminal's width means nothing


def shown_as(metavar: str) -> Any:
    """Show an argument without a fixed default as this word in --help, and no "default: None"."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


def console(*, quiet: bool = False) -> Console:
    """Standard output; plain and wide when it is not a terminal. With ``quiet`` it prints nothing."""
    screen = Console(highlight=False, emoji=False, quiet=quiet)  # prints a user's ":x:" as it is
    return screen if screen.is_terminal else Console(highlight=False, emoji=False, width=WIDE, quiet=quiet)


def print_note(screen: Console, text: str) -> None:
    """Print a line about something that the user may not expect."""
    screen.print(f"note: {text}", style="yellow", markup=False, soft_wrap=True)


@contextmanager
def warnings_as_notes(*, speaks: bool) -> Iterator[None]:
    """Print each warning of the library once as a note on standard error, or not at all.

    ``print`` writes above a live display, where a console of its own would write into it.
    """
    with warnings.catch_warnings():
        show_other, texts = warnings.showwarning, set[str]()

        def show(message: Warning | str, category: type[Warning], *place: Any, **others: Any) -> None:
            if not issubclass(category, TidegateWarning):
                show_other(message, category, *place, **others)
            elif speaks and str(message) not in texts:
                texts.add(str(message))
                print(f"note: {message}", file=sys.stderr)  # noqa: T201

        warnings.showwarning = show
        yield


def table(*columns: str, title: str | None = None) -> Table:
    """A table whose first column is text and whose others are numbers."""
    listing = Table(
        title=title, box=None, pad_edge=False, header_style="bold", title_justify="left", title_style="bold"
    )
    for k, column in enumerate(columns):
        listing.add_column(column, justify="left" if k == 0 else "right", no_wrap=True)
    return listing
