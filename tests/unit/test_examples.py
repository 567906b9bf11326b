"""The examples run as they stand, but for the number of epochs, and print what they promise."""

import runpy
from pathlib import Path

import pytest

from tidegate.data import Bundled
from tidegate.train.state import RunState

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
SHORTER = {"language": 200_000}  # bytes of its data
TRAINED = {"tagging"}  # what it prints, it must have learnt; of the others one epoch is enough


def test_every_example_is_run_and_described() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")} - {"own_cell"}  # which test_readme runs
    assert names == set(SAYS)
    described = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"{name}.py" in described for name in [*names, "own_cell"])


@pytest.mark.parametrize("name", SAYS)
def test_an_example(name, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    if name not in TRAINED:
        monkeypatch.setattr(RunState, "finished", lambda state, setting: len(state.curve) == 1)
    if name in SHORTER:
        read = Bundled.read
        monkeypatch.setattr(Bundled, "read", lambda data: read(data)[: SHORTER[name]])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    printed, complaints = capfd.readouterr()
    assert complaints == ""
    for words in SAYS[name]:
        assert words in printed, printed
