"""C of ours: what its header says, and what it does when it is compiled here."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from tidegate.errors import InputError, visible
from tidegate.phase import phase
from tidegate.ship.c import Source
from tidegate.ship.check.compiled import MEMBER, STRUCTURE
from tidegate.ship.check.proof import Tested, c_tested
from tidegate.ship.inspect.inspection import Inspection, content_of, damaged, shortest
from tidegate.ship.target import FORMATS

STEPS = 64  # between two looks at the clock
PRODUCT = re.compile(r"(?:for \(int j = 0; j < (\d+); \+\+j\)[^}]*?)?add_product\w*\([^;]*?, (\d+), (\d+)\);")
SIZES = {
    "flash": re.compile(r"Flash: ([\d,]+) bytes"),
    "RAM": re.compile(r"_state has (?:about )?([\d,]+) bytes"),
    "stack": re.compile(r"at most ([\d,]+) bytes of stack"),
}


def c_file(file: Path, source: Source, *, run: bool) -> Inspection:
    if "Made by Tidegate" not in source.header or f"{source.name}_state;" not in source.header:
        raise InputError(
            "INSPECT",
            f"{visible(str(file))} is no C of Tidegate",
            fix="pass a file of tidegate ship, with its NAME.h beside it",
        )
    facts = {"made by": _first(source.header)}
    facts |= {name: f"{found[1]} bytes" for name, pattern in SIZES.items() if (found := pattern.search(source.header))}
    shown = Inspection(
        file,
        "C99",
        len(source.header.encode()) + len(source.body.encode()),
        facts,
        states=_members(source, "state"),
        inputs=_members(source, "input"),
        outputs=_members(source, "output"),
        layers=[line.strip(" *:") for line in re.findall(r"^ \* \w+, \d+ units.*$", source.header, re.MULTILINE)],
        multiplies=sum(int(times or 1) * int(m) * int(n) for times, m, n in PRODUCT.findall(source.body)) or None,
        runs=FORMATS["c"].runs,
        beware=FORMATS["c"].beware,
    )
    if not run:
        return replace(
            shown, tested=Tested(file.name, None, "it would compile and run the file; pass run_c=True if you trust it")
        )
    tested, compiled = c_tested(source)
    shown = replace(shown, tested=tested)
    if compiled is None or not tested.passed or not compiled.streams:
        return shown
    phase("measuring")
    state, rows = compiled.begun(), np.zeros(STEPS, compiled.read)
    latency = shortest(lambda: compiled.run(state, rows), STEPS)
    return replace(shown, latency=latency, how="C compiled here with -O2, one thread")


def text_of(file: Path) -> str:
    try:
        return content_of(file).decode()
    except UnicodeDecodeError as error:
        raise damaged(file, "it is not UTF-8") from error


def _first(header: str) -> str:
    found = re.search(r"Made by (Tidegate [\w.+-]+?)\.?\n", header)
    return found[1] if found else "Tidegate"


def _members(source: Source, kind: str) -> list[tuple[str, str]]:
    texts = {title: text for text, title in STRUCTURE.findall(source.header)}
    plain = re.sub(r"/\*.*?\*/", "", texts.get(f"{source.name}_{kind}", ""), flags=re.DOTALL)
    return [
        (name, f"[{size or 1}]{'' if dtype == 'float' else ' ' + dtype}") for dtype, name, size in MEMBER.findall(plain)
    ]
