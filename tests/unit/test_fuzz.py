"""The fuzzer of files: it sees every kind of fault, and a few mutants of each kind of data have none."""

import json
import sys
from pathlib import Path

import pytest
from benchmarks.fuzz.__main__ import main
from benchmarks.fuzz.attempt import Result
from benchmarks.fuzz.judge import FAULTS, READ, REFUSED, judged
from benchmarks.fuzz.kind import DATA
from benchmarks.fuzz.mutation import Mutation

from tests.unit.process import _context

MUTANTS = 112
KIND = next(kind for kind in DATA if kind.name == "texts csv")
BEFORE = Result("train a.csv", code=130, out="40 texts of a.csv", read="1f", rows=40)
KEPT, COUNTED = Mutation("mark", keeps=True), Mutation("row gone", rows=-1)

CASES = {
    "the same is read": (KEPT, Result("", code=130, out="40 texts  of a.csv\n", read="1f", rows=40), READ),
    "one row less": (COUNTED, Result("", code=130, out="39 texts", read="2e", rows=39), READ),
    "refused in one line": (KEPT, Result("", code=2, error="tidegate: a.csv is empty\n"), REFUSED),
    "refused below a note": (KEPT, Result("", code=2, error="note: few rows\ntidegate: a.csv is empty\n"), REFUSED),
    "other content": (KEPT, Result("", code=130, out="40 texts of a.csv", read="2e", rows=40), "different"),
    "other words": (KEPT, Result("", code=130, out="41 texts of a.csv", read="1f", rows=40), "different"),
    "a row is lost": (COUNTED, Result("", code=130, read="2e", rows=38), "different"),
    "an exception": (KEPT, Result("", trace="KeyError in data/table.py"), "traceback"),
    "a printed exception": (KEPT, Result("", code=1, error="Traceback (most recent call last):\n"), "traceback"),
    "out of memory": (KEPT, Result("", trace="MemoryError in data/table.py"), "memory"),
    "an escape": (KEPT, Result("", code=130, out="40 texts of \x1b[2J"), "control characters"),
    "an escape in the error": (KEPT, Result("", code=2, error="tidegate: \x9b2J is no class"), "control characters"),
    "two lines": (KEPT, Result("", code=2, error="tidegate: a.csv is\nempty"), "several lines"),
    "a long line": (KEPT, Result("", code=2, error="tidegate: a.csv is " + "a" * 2000), "several lines"),
    "the words of Python": (KEPT, Result("", code=2, error="tidegate: a.csv: KeyError: 'x'"), "Python's words"),
    "exit code 1": (KEPT, Result("", code=1, error="tidegate: a.csv is empty"), "exit 1"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_outcome_is_told(case):
    mutation, result, outcome = CASES[case]
    assert judged(KIND, mutation, [result], {0: BEFORE}, Path("a.csv"))[0] == outcome


@pytest.mark.skipif(sys.platform != "linux", reason="memory and address space are read from Linux")
def test_mutants_of_each_kind_of_data_have_no_fault(tmp_path):
    """In a fork of a process that has loaded torch and runs no thread."""
    arguments = ["--count", str(MUTANTS), "--reading", "--out", str(tmp_path)]
    process = _context.Process(target=main, args=(arguments,))
    process.start()
    process.join()
    found = [json.loads(line) for line in (tmp_path / "results-0.jsonl").read_text().splitlines()]
    assert [record for record in found if record["outcome"] in FAULTS] == []
    assert len(found) == MUTANTS
    assert {record["kind"] for record in found} == {kind.name for kind in DATA}
    assert {READ, REFUSED} == {record["outcome"] for record in found}
