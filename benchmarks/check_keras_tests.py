"""Do Keras's own tests of its recurrent layers pass with ours in their place?

    python benchmarks/check_keras_tests.py                # the tests that Keras installs beside its code
    python benchmarks/check_keras_tests.py --tests DIR    # or a copy of its folder keras/src/layers/rnn

Runs them twice, each time in a process of its own: as they are, and with `keras.layers.RNN`, `SimpleRNN`, `LSTM` and
`GRU` replaced by those of `tidegate.keras` before the tests are imported. Counts how the layers ran, prints a table,
writes it to benchmarks/results/keras_tests.md, and ends with 1 if a test fails that passes with Keras's own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results" / "keras_tests.md"
REPLACED = ("RNN", "SimpleRNN", "LSTM", "GRU")
OUTCOMES = ("passed", "failed", "skipped")
FILES = (
    *("simple_rnn_test.py", "lstm_test.py", "gru_test.py", "rnn_test.py", "bidirectional_test.py"),
    *("stacked_rnn_cells_test.py", "dropout_rnn_cell_test.py", "time_distributed_test.py"),
)


class Record:
    """A plugin of pytest that notes what came of each test, and how our layers ran in each file."""

    def __init__(self) -> None:
        self.tests: dict[str, tuple[str, str]] = {}
        self.paths: dict[str, Counter[str]] = {}
        self.file = ""

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.file = file_of(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.tests[report.nodeid.split("/")[-1]] = report.outcome, reason_of(report)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            raise SystemExit(f"{report.nodeid} cannot be imported:\n{report.longreprtext}")

    def watch(self, engine: Any) -> None:
        """Count the paths that calls of our layers take."""
        original = engine.inner_loop

        def inner_loop(layer: Any, *args: Any, **kwargs: Any) -> Any:
            layer.__dict__.pop("last_path", None)
            result = original(layer, *args, **kwargs)
            if layer.last_path:  # None where Keras asked for shapes alone
                self.paths.setdefault(self.file, Counter())[layer.last_path] += 1
            return result

        engine.inner_loop = inner_loop


def file_of(nodeid: str) -> str:
    return Path(nodeid.split("::", 1)[0]).name


def reason_of(report: Any) -> str:
    """The first line of why a test did not pass."""
    if report.outcome == "passed":
        return ""
    text = str(report.longrepr[2] if report.skipped else report.longrepr.reprcrash.message)
    return text.strip().splitlines()[0]


def child(tests: Path, *, ours: bool) -> dict[str, Any]:
    """Run the tests in this process."""
    import keras.src.layers
    import pytest

    record = Record()
    if ours:
        import tidegate.keras
        from tidegate.keras.engine import OnEngine

        record.watch(OnEngine)
        for name in REPLACED:
            setattr(keras.src.layers, name, getattr(tidegate.keras, name))
    with tempfile.NamedTemporaryFile(suffix=".ini") as nothing:  # neither their settings nor ours
        options = ["-q", "-c", nothing.name, "--rootdir", str(tests), "-p", "no:cacheprovider", "-W", "ignore"]
        pytest.main([*options, *(str(tests / file) for file in FILES)], plugins=[record])
    return {"tests": record.tests, "paths": record.paths}


def run(tests: Path, *, ours: bool) -> dict[str, Any]:
    """Run the tests in a process of its own."""
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        command = [
            sys.executable,
            __file__,
            "--tests",
            str(tests),
            "--child",
            result.name,
            *(["--ours"] if ours else []),
        ]
        subprocess.run(command, env=os.environ | {"KERAS_BACKEND": "torch"}, check=True, capture_output=True)
        found: dict[str, Any] = json.loads(Path(result.name).read_text(encoding="utf-8"))
        return found


class Row(NamedTuple):
    file: str
    theirs: Counter[str]
    ours: Counter[str]
    fused: int
    other: int


def rows(theirs: dict[str, Any], ours: dict[str, Any]) -> list[Row]:
    found = []
    for file in sorted({file_of(test) for test in theirs["tests"]}):
        counts = [
            Counter(outcome for test, (outcome, _) in side["tests"].items() if file_of(test) == file)
            for side in (theirs, ours)
        ]
        paths = Counter(ours["paths"].get(file, {}))
        found.append(Row(file, *counts, paths["fused"], paths.total() - paths["fused"]))
    return found


def table(found: list[Row]) -> Iterator[str]:
    """The result as Markdown."""
    yield "| tests | Keras's classes: passed / failed / skipped | ours | calls on the engine | by Keras's loop |"
    yield "|---|---|---|---|---|"
    total = Row("all", *(sum((row[k] for row in found), Counter[str]()) for k in (1, 2)), *(
        sum(row[k] for row in found) for k in (3, 4)
    ))  # fmt: skip
    for row in (*found, total):
        sides = [" / ".join(str(side[outcome]) for outcome in OUTCOMES) for side in (row.theirs, row.ours)]
        yield f"| {row.file} | {sides[0]} | {sides[1]} | {row.fused} | {row.other} |"


def reasons(theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    """What did not pass, and why calls left the engine."""
    for label, side in (("Keras's classes", theirs), ("ours", ours)):
        for test, (outcome, reason) in side["tests"].items():
            if outcome != "passed":
                yield f"- {label}, {outcome}: {test}: {reason}"
    total = sum((Counter(paths) for paths in ours["paths"].values()), Counter[str]())
    yield from (f"- {count} calls {path}" for path, count in total.most_common() if path != "fused")


def worse(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """The tests that pass with Keras's classes and not with ours."""
    passed = [test for test, (outcome, _) in theirs["tests"].items() if outcome == "passed"]
    return [test for test in passed if ours["tests"].get(test, ("",))[0] != "passed"]


def main(arguments: argparse.Namespace) -> int:
    if arguments.child:
        result = child(arguments.tests, ours=arguments.ours)
        Path(arguments.child).write_text(json.dumps(result), encoding="utf-8")
        return 0
    theirs, ours = (run(arguments.tests, ours=side) for side in (False, True))
    if not theirs["tests"]:
        raise SystemExit(f"{arguments.tests} has no tests")
    lost = worse(theirs, ours)
    versions = f"Keras {version('keras')}'s own tests, on torch {version('torch')}"
    text = "\n".join(
        [
            f"{versions}, with {', '.join(REPLACED)} of Keras and of `tidegate.keras`.",
            "`python benchmarks/check_keras_tests.py` makes this table.",
            "",
            *table(rows(theirs, ours)),
            "",
            *reasons(theirs, ours),
            "",
            f"{len(lost)} tests that pass with Keras's classes do not with ours.",
        ]
    )
    print(text)
    RESULTS.write_text(text + "\n", encoding="utf-8")
    return 1 if lost else 0


def installed() -> Path:
    """Where Keras's tests lie beside its code."""
    found = find_spec("keras")
    if found is None or found.origin is None:
        raise SystemExit("Keras is not installed: pip install 'tidegate[keras]'")
    return Path(found.origin).parent / "src" / "layers" / "rnn"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tests", type=Path, default=installed(), help="a folder with Keras's tests")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(parsed()))
