"""The examples run as they stand, and print what they promise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = {
    "classification": ["accuracy", "Miyazaki", "high or low"],
    "forecast": ["CRPS", "80 % interval", "wrote elnino.svg"],
    "language": ["bits per character", "ROMEO:"],
    "music": ["NLL", "wrote tune.mid and tune.png"],
    "speech": ["WER", "7_yweweler_0.wav"],
    "tagging": ["accuracy on unknown words", "zurich/PROPN", "paris/B-from"],
    "translation": ["PER", "tidegate"],
}


def test_every_example_is_run_and_described() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")} - {"own_cell"}  # which test_readme runs
    assert names == set(SAYS)
    described = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"{name}.py" in described for name in [*names, "own_cell"])


@pytest.mark.parametrize("name", SAYS)
def test_an_example(name, tmp_path) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # the suite runs two tests at once
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in SAYS[name]:
        assert words in done.stdout, done.stdout
