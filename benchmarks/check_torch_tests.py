"""Do torch's own tests of its recurrent modules pass with ours in their place?

    python benchmarks/check_torch_tests.py --tests DIR            # DIR: the test/ folder of a checkout of torch
    python benchmarks/check_torch_tests.py --tests DIR --only test_nn.py -k LSTM
    python benchmarks/check_torch_tests.py --tests DIR --output benchmarks/results/torch_tests.md

Every test whose name or text speaks of recurrent modules runs twice on the CPU, in processes of its own: with torch's
six classes, and with ours as attributes of torch.nn, put there before anything of torch's tests is imported. Ends
with 1 if a test fails with ours that passes with torch's. A checkout of another version than the installed torch may
have tests that fail with torch's classes too; they are listed and not counted.
"""

from __future__ import annotations

import argparse
import ast
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

NAMES = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")
FILES = (
    "test_nn.py",
    "test_modules.py",
    "test_expanded_weights.py",
    "nn/test_packed_sequence.py",
    "nn/test_dropout.py",
    "nn/test_parametrization.py",
    "nn/test_pruning.py",
    "nn/test_lazy_modules.py",
)
CONCERNED = re.compile(r"rnn|lstm|gru|(?<!un)pack(ed|_)", re.IGNORECASE)
LIBRARIES = ("torch", "ours")
# What older checkouts import from torch's own helpers and the installed torch no longer has.
GONE: dict[str, dict[str, Any]] = {
    "torch.testing._internal.common_utils": {"skipIfMps": lambda test: test},
    "torch.testing._internal.common_nn": {"new_module_tests": []},
    "torch.testing._internal.common_cuda": {"tf32_is_not_fp32": lambda: False},
}


class Verdict(NamedTuple):
    """How one test ended, and how many recurrent modules it made."""

    outcome: str
    reason: str
    made: int


class Row(NamedTuple):
    """One test with both libraries."""

    name: str
    ours: Verdict
    torchs: Verdict

    @property
    def broken(self) -> bool:
        """It passes with torch's classes, and not with ours."""
        return self.torchs.outcome == "passed" != self.ours.outcome

    @property
    def concerned(self) -> bool:
        """It makes a recurrent module, or is named after one, or is no test but a file that cannot be imported."""
        made = self.ours.made or self.torchs.made
        return bool(made or CONCERNED.search(self.name.rpartition("::")[2])) or "::" not in self.name


class Watch:
    """A plugin of pytest: keeps the tests that concern us and writes down how each ends."""

    def __init__(self, made: Counter[str]) -> None:
        self.made = made
        self.verdicts: dict[str, Verdict] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        speaking = functools.cache(speaking_methods)
        items[:] = [
            item
            for item in items
            if CONCERNED.search(item.name) or any(map(item.name.startswith, speaking(Path(item.path))))
        ]

    def pytest_runtest_setup(self, item: Any) -> None:  # noqa: ARG002  pytest passes arguments by name
        self.made.clear()

    def pytest_runtest_logreport(self, report: Any) -> None:
        name = report.nodeid
        if report.when == "call" or report.outcome != "passed":
            self.verdicts[name] = Verdict(report.outcome, reason_of(report), self.made.total())

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.verdicts[report.nodeid] = Verdict("failed", f"cannot be imported: {reason_of(report)}", 0)


def reason_of(report: Any) -> str:
    """The last line of what pytest says about a test that did not pass."""
    if report.outcome == "passed":
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return (crash.message if crash else str(report.longrepr)).strip().partition("\n")[0]


def speaking_methods(path: Path) -> tuple[str, ...]:
    """The names of methods whose text speaks of recurrent modules, their own or that of a method which they call."""
    text = path.read_text(encoding="utf-8")
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    bodies = {node.name: ast.get_source_segment(text, node) or "" for node in nodes}
    speaking = {name for name, body in bodies.items() if CONCERNED.search(body)}
    return tuple(
        name
        for name, body in bodies.items()
        if name in speaking or speaking.intersection(re.findall(r"self\.(\w+)\(", body))
    )


def counted(kind: type, made: Counter[str]) -> None:
    """Count the modules of a class that are made."""
    original = kind.__init__

    @functools.wraps(original)
    def init(self: Any, *arguments: Any, **options: Any) -> None:
        made[kind.__name__] += 1
        original(self, *arguments, **options)

    kind.__init__ = init  # type: ignore[misc]


def prepare(library: str) -> Counter[str]:
    """Put the classes of a library where the tests look for them; returns what counts how many are made."""
    import importlib

    import torch

    from tidegate import nn as ours

    made: Counter[str] = Counter()
    for name in NAMES:
        kind = getattr(torch.nn if library == "torch" else ours, name)
        counted(kind, made)
        for place in (torch.nn, torch.nn.modules, torch.nn.modules.rnn):
            setattr(place, name, kind)
    for module, names in GONE.items():
        for name, value in names.items():
            found = importlib.import_module(module)
            setattr(found, name, getattr(found, name, value))
    devices = importlib.import_module("torch.testing._internal.common_device_type")
    devices.instantiate_device_type_tests = without_clashes(devices.instantiate_device_type_tests)
    return made


def without_clashes(instantiate: Callable[..., None]) -> Callable[..., None]:
    """Leave out a test whose name on the CPU another test has: torch 2.1 has one, and 2.13 refuses it."""

    def wrapped(kind: type, *arguments: Any, **options: Any) -> None:
        for name in [name for name in vars(kind) if f"{name}_cpu" in vars(kind)]:
            delattr(kind, name)
        instantiate(kind, *arguments, **options)

    return wrapped


def run_here(library: str, tests: Path, file: str, chosen: str) -> dict[str, Verdict]:
    """Run the tests of one file in this process."""
    import pytest

    watch = Watch(prepare(library))
    more = ["-k", chosen] if chosen else []
    silent = ["-p", "no:cacheprovider", "-p", "no:terminal", "-W", "ignore"]
    pytest.main(["-c", os.devnull, "--rootdir", str(tests), *silent, *more, str(tests / file)], plugins=[watch])
    return watch.verdicts


def run(library: str, tests: Path, file: str, chosen: str) -> dict[str, Verdict]:
    """Run the tests of one file in another process, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, __file__, "--tests", tests, "--only", file, "-k", chosen]
        command += ["--library", library, "--output", answer]
        # Tests of before torch 2.6 load whole modules, which torch.load refuses now unless it is told otherwise.
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if not answer.exists():
            raise SystemExit(f"{file} with {library} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return {name: Verdict(*verdict) for name, verdict in json.loads(answer.read_text()).items()}


def compared(tests: Path, files: Iterable[str], chosen: str) -> Iterator[Row]:
    """Every test that makes a recurrent module with either library."""
    missing = Verdict("missing", "not collected", 0)
    for file in files:
        torchs, ours = (run(library, tests, file, chosen) for library in LIBRARIES)
        for name in [*torchs, *(name for name in ours if name not in torchs)]:
            row = Row(name, ours.get(name, missing), torchs.get(name, missing))
            if row.concerned:
                yield row


def report(rows: list[Row]) -> Iterator[str]:
    """The table, as Markdown."""
    import torch

    both = Counter((row.ours.outcome, row.torchs.outcome) for row in rows)
    yield "# torch's own tests of its recurrent modules, with ours in their place"
    yield ""
    yield f"`python benchmarks/check_torch_tests.py --tests DIR`, with torch {torch.__version__}, on the CPU."
    yield ""
    yield f"{len(rows)} tests, {sum(row.broken for row in rows)} pass with torch's classes and not with ours."
    yield ""
    yield "| ours | torch's | tests |"
    yield "|---|---|---:|"
    for (ours, torchs), count in sorted(both.items()):
        yield f"| {ours} | {torchs} | {count} |"
    yield ""
    yield "| test | ours | torch's | modules made | reason |"
    yield "|---|---|---|---:|---|"
    for row in sorted(rows, key=lambda row: (not row.broken, row.name)):
        reason = (row.ours.reason or row.torchs.reason).replace("|", r"\|")[:160]
        made = max(row.ours.made, row.torchs.made)
        yield f"| {row.name} | {row.ours.outcome} | {row.torchs.outcome} | {made or ''} | {reason} |"


def main(arguments: argparse.Namespace) -> int:
    tests = arguments.tests.resolve()
    if arguments.library:
        verdicts = run_here(arguments.library, tests, arguments.only[0], arguments.k)
        arguments.output.write_text(json.dumps(verdicts), encoding="utf-8")
        return 0
    files = [file for file in arguments.only or FILES if (tests / file).exists()]
    if not files:
        raise SystemExit(f"{arguments.tests} has none of torch's test files: pass the test/ folder of a checkout")
    rows = list(compared(tests, files, arguments.k))
    text = "\n".join(report(rows)).replace(str(tests), "DIR") + "\n"
    print(text, end="")
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    return 1 if any(row.broken for row in rows) else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tests", type=Path, required=True, help="the test/ folder of a checkout of torch")
    parser.add_argument("--only", nargs="+", help="these files of it")
    parser.add_argument("-k", default="", help="only tests whose names match, as pytest reads it")
    parser.add_argument("--output", type=Path, help="write the table here as well")
    parser.add_argument("--library", choices=LIBRARIES, help=argparse.SUPPRESS)  # a child: run and answer in JSON
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(parsed()))
