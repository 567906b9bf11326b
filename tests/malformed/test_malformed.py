"""Every malformed input of every reader: one line, exit code 2, no traceback."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.malformed.case import Case
from tidegate.cli import main

AREAS = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__init__", "case"))
CASES = [
    pytest.param(case, id=f"{area}-{case.name}")
    for area in AREAS
    if not area.startswith("test_")
    for case in importlib.import_module(f"tests.malformed.{area}").CASES
]
LONGEST = 1000  # characters of an error; a field of a megabyte is not quoted whole


def command(case: Case, folder: Path) -> list[str]:
    """The arguments, with the case's files written below the folder."""
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    placed = [str(folder / option) if option in case.files else option for option in case.options]
    data = case.data
    if (folder / data).exists():
        data = str(folder / data)
    return ["train", case.task, data, "--epochs", "1", "--out", str(folder / "out"), *placed]


def check(case: Case, code: int, out: str, error: str) -> None:
    assert code == 2, error or out
    assert "Traceback" not in out + error
    (line,) = error.strip().splitlines()
    assert line.startswith("tidegate: ")
    assert len(line) < LONGEST, line[:LONGEST]
    for part in case.says:
        assert part in line, line


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line(case: Case, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    code = main(command(case, tmp_path))
    check(case, code, *capsys.readouterr())
    assert not (tmp_path / "out" / "model.json").exists()


@pytest.mark.parametrize("case", CASES[:1])
def test_a_real_process_says_the_same(case: Case, tmp_path) -> None:
    run = [sys.executable, "-m", "tidegate", *command(case, tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    check(case, done.returncode, done.stdout, done.stderr)


def test_there_are_enough() -> None:
    assert len({case.values[0].name for case in CASES}) >= 60
    assert len({case.id for case in CASES}) == len(CASES)
