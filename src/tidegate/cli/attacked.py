"""How an attack is printed: the curve, the smallest changes, and the checklist."""

from __future__ import annotations

from rich.console import Console

from tidegate.cli.console import fitting, print_line, shown, table
from tidegate.records import AttackRecord, HonestyRecord

COLOURS = {True: "green", False: "red", None: "dim"}
WORDS = {True: "passed", False: "failed", None: "not run"}
INDENT = "  "


def print_attack(screen: Console, record: AttackRecord) -> None:
    """Print what was found.

    Args:
        screen: where to print.
        record: of the attack.
    """
    screen.print()
    print_line(screen, record.title, style="bold")
    many = f"{record.rows:,} of {record.of:,} examples" if record.rows < record.of else f"{record.rows:,} examples"
    effort = f"{record.steps} steps, {record.restarts} runs"
    print_line(screen, f"{many}; {record.norm}, {effort}; changes in {record.unit}")
    for text in filter(None, (record.factor, record.limits and f"only {record.limits} may change", *record.notes)):
        print_line(screen, text)
    screen.print()
    rows = table("change of at most", record.measure, "95 % interval", "broken")
    for point in record.curve:
        interval = f"{point.low:.3g} to {point.high:.3g}"
        rows.add_row(record.budget(point.budget), f"{point.value:.3g}", interval, f"{point.broken:,}")
    screen.print(fitting(screen, rows))
    print_line(screen, f"broken: {record.broken}")
    print_line(screen, _smallest(record))
    if record.verified is not None:
        last = record.curve[-1]
        print_line(screen, f"asked as users ask it, the model breaks on {record.verified:,} of these {last.broken:,}")
    if record.certificate:
        screen.print()
        rows = table("radius", f"certified {record.measure}")
        for one in record.certificate:
            rows.add_row(f"{one.radius:g}", f"{one.share:.3g}")
        screen.print(fitting(screen, rows))
        print_line(screen, record.certified)
    screen.print()
    for check in record.checks:
        _print_check(screen, check)


def _smallest(record: AttackRecord) -> str:
    """The quartiles of the smallest changes."""
    flips = record.flips
    words = [record.budget(value) for value in (flips.low, flips.median, flips.high)]
    return (
        f"smallest change that breaks an answer that was right: median {words[1]}, quartiles {words[0]} and {words[2]}"
    )


def _print_check(screen: Console, check: HonestyRecord) -> None:
    word, colour = WORDS[check.passed], COLOURS[check.passed]
    screen.print(f"[{colour}]{word}[/] [bold]{shown(check.name)}[/]: {shown(check.sentence)}", soft_wrap=True)
    if check.remedy:
        print_line(screen, INDENT + check.remedy)
