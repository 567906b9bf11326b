"""Two processes that torchrun starts are one training: the same numbers, one voice, one set of files."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.unit import together
from tests.unit.process import start
from tidegate.cli import main
from tidegate.train.checkpoint import Checkpoint

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-10  # float64; sums are taken in another order
CELL = """
import os
if os.environ.get("RANK") == "1":
    raise ValueError("not on this machine")
from tidegate.zoo import GRU as Mine
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What two processes that torchrun starts on this machine leave there."""
    made = tmp_path_factory.mktemp("together")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "PYTHONFAULTHANDLER": "1"}
    command = [*torchrun, together.__file__, str(made)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return made


def both(command: list[str], folder: Path) -> tuple[list[int | None], str, str]:
    """Two processes as torchrun starts them, but nobody ends one for the other: their codes, and what they said."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    processes = []
    for rank in range(2):
        world = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        processes.append(start(command, folder / f"{rank}.out", {name: str(value) for name, value in world.items()}))
    for process in processes:
        process.join(120)
    said = ("".join((folder / f"{rank}.{kind}").read_text() for rank in range(2)) for kind in ("out", "err"))
    return [process.exitcode for process in processes], *said


def difference(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).abs().max()) for name in left)


def spoken(text: str) -> list[str]:
    """What the command says of epochs and of the test, but for the clock."""
    lines = [line.split(", gradient")[0] for line in text.splitlines()]
    return [line for line in lines if line.startswith(("epoch", "NLL")) and " step " not in line]


@pytest.mark.parametrize("name", ["shakespeare", "jsb"])
def test_two_processes_train_as_one(folder, name) -> None:
    one = together.run(name, together.plan_of(name))
    first, second = (Checkpoint.load(folder / f"{name}-{rank}") for rank in range(2))
    assert first.data == second.data
    assert difference(first.tensors, second.tensors) == 0
    assert next(iter(one.tensors.values())).dtype == torch.float64
    assert difference(first.tensors, one.tensors) < TOLERANCE
    assert len(one.data["curve"]) == together.RECIPE["epochs"]
    for mine, theirs in zip(one.data["curve"], first.data["curve"], strict=True):
        assert mine.keys() == theirs.keys()
        one_said, two_said = ({k: v for k, v in own.items() if v is not None} for own in (mine, theirs))
        assert one_said == pytest.approx(two_said, rel=TOLERANCE)


@pytest.mark.parametrize("name", ["shakespeare", "jsb"])
def test_two_processes_go_on_exactly(folder, name) -> None:
    whole, again = (Checkpoint.load(folder / f"{name}-{kind}-0") for kind in ("whole", "again"))
    assert difference(whole.tensors, again.tensors) == 0
    assert whole.data == again.data
    assert difference(whole.tensors, Checkpoint.load(folder / f"{name}-0").tensors) > TOLERANCE  # dropout was on


def test_the_command_writes_the_same_files_and_speaks_once(tmp_path, capfd) -> None:
    words = "train music jsb --hidden-size 6 --epochs 2 --dropout 0 --recurrent-dropout 0 --precision float64"
    command = words.split()
    codes, said, complaints = both([*command, "--out", str(tmp_path / "two")], tmp_path)
    assert codes == [0, 0], complaints
    assert main([*command, "--out", str(tmp_path / "one")]) == 0
    one, two = map(spoken, (capfd.readouterr().out, said))
    assert one == two
    assert len(one) == 3
    notes = complaints.splitlines()
    assert all(note.startswith("note: ") for note in notes)
    assert len(notes) == len(set(notes))  # only the first process speaks
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(
        path.name for path in (tmp_path / "two").iterdir()
    )
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    assert difference(*weights) < TOLERANCE
    scores = [json.loads((tmp_path / name / "model.json").read_text())["scores"][0]["value"] for name in ("one", "two")]
    assert scores[0] == pytest.approx(scores[1], rel=TOLERANCE)


def test_an_error_of_one_process_ends_all_with_one_message(tmp_path) -> None:
    (tmp_path / "cell.py").write_text(CELL)
    command = ["train", "music", "jsb", "--cell", f"{tmp_path}/cell.py:Mine", "--out", str(tmp_path / "m")]
    codes, _, complaints = both(command, tmp_path)
    assert all(codes)
    *notes, said = complaints.splitlines()
    assert all(note.startswith("note: ") for note in notes)
    assert said.startswith("tidegate: ")
    assert "not on this machine" in said
    assert not (tmp_path / "m" / "model.json").exists()
