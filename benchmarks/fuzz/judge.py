"""What an attempt was: read, refused, or a fault."""

import re
from os.path import commonpath
from pathlib import Path

from .attempt import CONTROL, PYTHON, Result
from .kind import Kind
from .mutation import Mutation

READ, REFUSED = "read", "clear error"
FAULTS = (
    "traceback",
    "hang",
    "died",
    "memory",
    "control characters",
    "different",
    "several lines",
    "Python's words",
    "exit 1",
)
KINDS = (READ, REFUSED, *FAULTS)
STOPPED, WRONG_INPUT = 130, 2
LONGEST = 1000  # characters of an error


def judged(
    kind: Kind, mutation: Mutation, found: list[Result], expected: dict[int, Result], victim: Path
) -> tuple[str, str]:
    """The worst outcome of the commands, and what shows it."""
    outcomes = [_one(kind, mutation, result, expected, victim) for result in found]
    return max(outcomes, key=lambda outcome: KINDS.index(outcome[0]), default=("died", "no result"))


def _one(kind: Kind, mutation: Mutation, result: Result, expected: dict[int, Result], victim: Path) -> tuple[str, str]:
    line = result.error.strip()
    printed = result.out + result.error
    if "MemoryError" in result.trace or "can't allocate memory" in result.trace:
        return "memory", result.trace
    if result.trace or "Traceback (most recent" in printed:
        return "traceback", result.trace or line[-300:]
    if found := CONTROL.search(printed):
        around = printed[max(0, found.start() - 60) : found.end() + 20]
        return "control characters", repr(around)
    if result.code in (0, STOPPED):
        return _read(kind, mutation, result, expected, victim)
    said = [part for part in line.split("\n") if not part.startswith("note: ")]
    if len(said) != 1 or not said[0].startswith("tidegate: ") or len(said[0]) > LONGEST:
        return "several lines", line[:300]
    if found := PYTHON.search(said[0].replace(str(victim), "")):
        return "Python's words", said[0]
    return (REFUSED if result.code == WRONG_INPUT else "exit 1"), said[0]


def _read(kind: Kind, mutation: Mutation, result: Result, expected: dict[int, Result], victim: Path) -> tuple[str, str]:
    before = expected[result.place]
    if mutation.rows is not None and kind.rows is not None and result.rows is not None:
        wanted = kind.rows + mutation.rows
        if result.rows != wanted:
            return "different", f"{result.rows} rows instead of {wanted}"
    if mutation.keeps and result.read != before.read:
        return "different", "another content is read"
    now, then = _plain(result, kind, victim), _plain(before, kind, victim)
    if mutation.keeps and not mutation.stem and now != then:
        return "different", f"{_between(then, now)!r} instead of {_between(now, then)!r}"
    return READ, ""


def _plain(result: Result, kind: Kind, victim: Path) -> str:
    """What was printed, without notes, blanks and the names of files."""
    said = "".join(line for line in result.out.splitlines(keepends=True) if not line.startswith("note: "))
    text = re.sub(r"(/[\w.-]+)+/files/", "", "".join(said.split()))  # long titles are wrapped
    text = re.sub(r"/[\w./-]*/", "", text)
    for name in sorted({victim.name, Path(kind.victim).name}, key=len, reverse=True):
        text = text.replace("".join(name.split()), "FILE")
    return re.sub(r"[\d.]+us", "us", text)  # the time that a step takes


def _between(one: str, other: str) -> str:
    """The part of the other from where it differs from the one."""
    return other[len(commonpath([one, other])) :][:120]
