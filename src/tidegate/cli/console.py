"""Printing of the commands."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import tyro
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tidegate.cli.words import in_shell
from tidegate.errors import TidegateWarning, visible
from tidegate.language import local, translated

WIDE = 160  # columns for a pipe or a file, where a terminal's width means nothing


def shown_as(metavar: str) -> Any:
    """Show an argument without a fixed default as this word in --help, and no "default: None"."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


class Screen(Console):
    """A console that shows the control characters of a text instead of obeying them; its own colours work."""

    def render_str(self, text: str, *arguments: Any, **options: Any) -> Text:
        return super().render_str(visible(text, "\n"), *arguments, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text, "\n"), segment.style)


def console(*, quiet: bool = False) -> Console:
    """Standard output; plain and wide when it is not a terminal. With ``quiet`` it prints nothing."""
    screen = Screen(highlight=False, emoji=False, quiet=quiet)  # prints a user's ":x:" as it is
    return screen if screen.is_terminal else Screen(highlight=False, emoji=False, width=WIDE, quiet=quiet)


def print_note(screen: Console, text: str) -> None:
    """Print a line about something that the user may not expect."""
    print_line(screen, local("note: {text}", text=text), style="yellow")


def print_line(screen: Console, text: str, **options: Any) -> None:
    """Print a text as one line, as it is: without markup, and whatever names in it contain."""
    screen.print(visible(translated(text)), markup=False, soft_wrap=True, **options)


def shown(name: object) -> str:
    """A name for a cell of a table: one line, without markup."""
    return escape(visible(str(translated(name))))


def say(text: str) -> None:
    """Print a line on standard error.

    ``print`` writes above a live display, where a console of its own would write into it.
    """
    print(visible(text), file=sys.stderr)  # noqa: T201  this is the command line


@contextmanager
def warnings_as_notes(options: Iterable[str] = (), *, speaks: bool) -> Iterator[None]:
    """Print each warning of the library once as a note on standard error, or not at all.

    Args:
        options: the arguments that are options of the command, too.
        speaks: whether notes are printed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", TidegateWarning)
        show_other, texts = warnings.showwarning, set[str]()

        def show(message: Warning | str, category: type[Warning], *place: Any, **others: Any) -> None:
            if not issubclass(category, TidegateWarning):
                show_other(message, category, *place, **others)
            elif speaks and str(message) not in texts:
                texts.add(str(message))
                say(f"note: {in_shell(str(message), options)}")

        warnings.showwarning = show
        yield


def fitting(screen: Console, *forms: Table) -> Table:
    """The first form of a table that is no wider than the screen; else the last one, a line for each of its cells."""
    for form in forms:
        if Measurement.get(screen, screen.options.update(max_width=1 << 16), form).maximum <= screen.width:
            return form
    title, columns = forms[-1].title, forms[-1].columns
    tall = table("", "", title=title if isinstance(title, str) else None)
    tall.show_header = False
    for row in zip(*(column.cells for column in columns), strict=True):
        tall.add_row(row[0], "")
        for column, cell in zip(columns[1:], row[1:], strict=True):
            if cell:
                tall.add_row(f"  {column.header}", cell)
    return tall


def table(*columns: str, title: str | None = None) -> Table:
    """A table whose first column is text and whose others are numbers."""
    listing = Table(
        title=title, box=None, pad_edge=False, header_style="bold", title_justify="left", title_style="bold"
    )
    for k, column in enumerate(columns):
        listing.add_column(column, justify="left" if k == 0 else "right", no_wrap=True)
    return listing
