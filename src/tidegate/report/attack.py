"""The page of an attack: one HTML file without external resources, under a megabyte, readable without a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidegate.records import AttackedRecord, AttackRecord, HonestyRecord
from tidegate.report.environment import environment
from tidegate.report.figure.attack import curve_figure, example_figure, flip_figure
from tidegate.report.figure.svg import NARROW
from tidegate.storage import replace_file

WIDTH = 560  # pixels of a figure beside another
VERDICTS = {True: ("passed", "note"), False: ("failed", "fault"), None: ("not run", "warning")}


def write_attack(record: AttackRecord, path: Path) -> None:
    """Write the page of an attack, atomically; the same record gives the same bytes.

    Args:
        record: the attack.
        path: the file; it is replaced whole or not at all.
    """
    replace_file(Path(path), render(record, Path(path).stem))


def render(record: AttackRecord, stem: str = "") -> str:
    """The page as text.

    Args:
        record: the attack.
        stem: how the names of files beside the page begin.
    """
    page = environment().get_template("attack/page.html")
    failed = [line for line in record.checks if line.passed is False]
    return page.render(
        record=record,
        stem=stem,
        failed=failed,
        ran=sum(line.passed is not None for line in record.checks),
        lines=[_line(line) for line in record.checks],
        curve=[curve_figure(record, width, f"curve-{width}") for width in (WIDTH, NARROW)],
        flips=[flip_figure(record, width, f"flips-{width}") for width in (WIDTH, NARROW)],
        smallest=_smallest(record),
        examples=[_example(one, k) for k, one in enumerate(record.worst)],
        facts_=_facts(record),
    )


def _line(line: HonestyRecord) -> dict[str, Any]:
    word, tone = VERDICTS[line.passed]
    return {"line": line, "word": word, "tone": tone}


def _smallest(record: AttackRecord) -> list[tuple[str, str]]:
    flips = record.flips
    named = (("Lower quartile", flips.low), ("Median", flips.median), ("Upper quartile", flips.high))
    return [(name, record.budget(value)) for name, value in named]


def _example(one: AttackedRecord, k: int) -> dict[str, Any]:
    drawn = [
        [example_figure(line, width, f"line-{k}-{c}-{width}") for width in (WIDTH, NARROW)]
        for c, line in enumerate((*one.lines, *one.answers))
    ]
    return {"example": one, "lines": drawn}


def _facts(record: AttackRecord) -> list[tuple[str, Any]]:
    return [
        ("Model", record.model),
        ("Task", record.task),
        ("Data", record.data),
        ("Examples", f"{record.rows:,} of {record.of:,}"),
        ("Norm", record.norm),
        ("Unit", record.unit),
        *([("In the data's unit", record.factor)] if record.factor else []),
        *([("May change", record.limits)] if record.limits else []),
        ("Steps", record.steps),
        ("Runs", record.restarts),
        ("Seed", record.seed),
    ]
