"""The core alone: what it can do, and what it says of the rest.

The environment is a folder of links to the distributions that the core requires, directly or not, so that nothing is
downloaded and everything else looks as if it were not installed.
"""

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.test_imports import TABLE
from tidegate.convert import OnnxNode
from tidegate.data import Source
from tidegate.data.parquet import read_parquet
from tidegate.errors import EXTRAS, MissingError, explain_missing
from tidegate.train.log import _summary_writer

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL = PROJECT["optional-dependencies"]
DISTRIBUTIONS = packages_distributions()


def names(requirements, extras=("",)) -> set[str]:
    """Canonical names of the requirements that apply on this machine with one of these extras."""
    parsed = map(Requirement, requirements)
    return {
        canonicalize_name(one.name)
        for one in parsed
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)
    }


def closure(requirements) -> set[str]:
    """Those distributions and all that they require, as their metadata say."""
    closed, waiting = set(), names(requirements)
    while waiting:
        name = waiting.pop()
        closed.add(name)
        waiting |= names(distribution(name).requires or []) - closed
    return closed


CORE = closure(PROJECT["dependencies"])


@pytest.fixture(scope="module")
def core(tmp_path_factory) -> Path:
    """A folder to import from that has the core's distributions only."""
    site = tmp_path_factory.mktemp("core")
    for name in CORE:
        installed = distribution(name)
        for first in {file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
            if not (site / first).exists():
                (site / first).symlink_to(str(installed.locate_file(first)))
    return site


@pytest.fixture
def python(core, tmp_path):
    """Run Python in the core's environment; its output and its exit code."""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-S", *arguments],  # -S: without site-packages
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{core}",
                "TIDEGATE_CACHE": os.environ["TIDEGATE_CACHE"],
                "OMP_NUM_THREADS": "1",
            },
        )

    return run


@pytest.mark.parametrize("module", sorted(EXTRAS))
def test_each_optional_module_belongs_to_the_extra_that_its_error_names(module) -> None:
    if module not in DISTRIBUTIONS:
        pytest.skip(f"{module} is not installed")
    assert {canonicalize_name(name) for name in DISTRIBUTIONS[module]} & names(OPTIONAL[EXTRAS[module]])


def test_every_third_party_module_is_the_cores_or_optional() -> None:
    used = set().union(*(row.packages for row in TABLE.values()))
    of_core = {module for module in used if {canonicalize_name(n) for n in DISTRIBUTIONS.get(module, ())} & CORE}
    assert used - of_core <= set(EXTRAS)


def test_all_brings_every_extra_that_an_error_names() -> None:
    (everything,) = map(Requirement, OPTIONAL["all"])
    assert everything.extras == set(EXTRAS.values())


def test_layers_cells_and_conversion_work(python) -> None:
    done = python(
        "-W",
        "error",
        "-c",
        """
import importlib.util, torch, tidegate as tg
assert importlib.util.find_spec("pandas") is None
class Mine(tg.Cell):
    gates = "h"
    def step(self, x, h, U):
        h = tg.tanh(x.h + U(h).h)
        return h
for layer in (tg.nn.Recurrent(Mine, 3, 4), tg.nn.GRU(3, 4)):
    y, _ = layer(torch.randn(5, 2, 3))
    y.sum().backward()
source, target = torch.nn.GRU(3, 4), tg.nn.GRU(3, 4)
tg.convert.load(target, "torch", source)
tg.convert.load(target, "linen", tg.convert.dump(target, "linen"))
tg.accelerate(torch.nn.Sequential(source))
tg.Session(target.eval())
print("fine")
""",
    )
    assert (done.stdout, done.returncode) == ("fine\n", 0), done.stderr


def test_the_command_starts(python) -> None:
    done = python("-m", "tidegate", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


NEED_NO_DATA = ("--help", "cells", "cells gru", "train --help", "train forecast --help")
NEED_MORE = ("train forecast x.csv", "train music jsb", "compare jsb", "train music --print-config")
COMMANDS = f"""
import contextlib, io, json
from tidegate.cli import main
for command in {(*NEED_NO_DATA, *NEED_MORE)}:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code = main(command.split())
        except SystemExit as stop:  # of --help
            code = stop.code or 0
    print(json.dumps([command, code, out.getvalue(), err.getvalue()]))
"""


def test_commands_work_or_name_the_extra_that_they_need(python, tmp_path) -> None:
    (tmp_path / "x.csv").write_text("t,y\n" + "".join(f"{k},{k % 7}\n" for k in range(100)))
    done = python("-c", COMMANDS)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    answers = {command: answer for command, *answer in map(json.loads, done.stdout.splitlines())}
    assert answers.keys() == {*NEED_NO_DATA, *NEED_MORE}
    for command in NEED_NO_DATA:
        code, out, error = answers[command]
        assert (code, error, bool(out)) == (0, "", True), command
    for command in NEED_MORE:
        code, _, error = answers[command]
        assert code == 1, command
        assert "is not installed — pip install 'tidegate[tasks]'" in error, command
        assert "Traceback" not in error, command


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("pyarrow", lambda: read_parquet(Source(".", "x.parquet", b""))),
        ("tensorboard", _summary_writer),
        ("onnx", lambda: OnnxNode.read(None, [])),
    ],
)
def test_a_module_that_is_missing_when_it_is_first_used_is_named(module, call, monkeypatch) -> None:
    for name in [name for name in sys.modules if name.startswith((module, "torch.utils.tensorboard"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingError, match=f"the package {module} is not installed — pip install"):
        call()


def test_an_error_of_another_import_passes_unchanged() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), explain_missing():
        import no_such_module  # noqa: F401


STATEMENTS = {
    "tg.compare": "tasks",
    "import tidegate.compare": "tasks",
    "tg.report": "tasks",
    "tg.data.read_sound": "tasks",
    "tg.tasks.Forecaster": "tasks",
    "from tidegate.tasks import SequenceClassifier": "tasks",
    "tg.keras": "keras",
    "tg.convert.OnnxNode.read(None, [])": "onnx",
}
PROGRAM = f"""
import tidegate as tg
for statement in {list(STATEMENTS)}:
    try:
        exec(statement)
    except tg.errors.MissingError as error:
        print(error.fix)
"""


def test_names_that_need_more_name_the_extra(python) -> None:
    done = python("-c", PROGRAM)
    assert done.stdout.splitlines() == [f"pip install 'tidegate[{extra}]'" for extra in STATEMENTS.values()]
