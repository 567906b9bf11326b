"""Is a model old or new, whenever the process that saves it dies?

    python benchmarks/check_saving.py                # 50 kills, writes results/saving.md
    python benchmarks/check_saving.py --points 5

Saves a model over another one, in a process of its own that is killed on the way: half of them before a drawn line of
tidegate/storage.py (SIGKILL), the others at a drawn time (a timer whose signal ends the process at once). After each
kill the folder must hold the one model or the other, to the last bit, and the next save must end what was begun.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

from tidegate import storage
from tidegate.tasks import Composer, from_pretrained

RESULTS = Path(__file__).parent / "results" / "saving.md"
FILES = ["config.toml", "model.json", "model.safetensors"]


def traced(act) -> None:
    """Call ``act`` before each line of ``storage.py`` that is run, with its number."""
    count = 0

    def line(_frame, event, _argument):
        nonlocal count
        if event == "line":
            count += 1
            act(count)
        return line

    sys.settrace(lambda frame, *_: line if frame.f_code.co_filename == storage.__file__ else None)


def lines(model, folder: Path) -> int:
    """The number of lines of ``storage.py`` that a save runs."""
    last = 0

    def remember(count: int) -> None:
        nonlocal last
        last = count

    traced(remember)
    model.save_pretrained(folder)
    sys.settrace(None)
    return last


def kill_at_line(at: int) -> None:
    """Let this process die before a line."""

    def strike(count: int) -> None:
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    traced(strike)


def kill_after(seconds: float) -> None:
    """Let this process die soon."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def killed(prepare, model, folder: Path) -> bool:
    """Save a model in a process that dies as ``prepare`` has it; whether it died before it was done."""
    child = os.fork()
    if not child:
        try:
            prepare()
            model.save_pretrained(folder)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def which(models: dict, folder: Path) -> str:
    """The name of the model that the folder holds."""
    found = from_pretrained(folder)
    return next((name for name, model in models.items() if same(found, model)), "neither")


def same(one, other) -> bool:
    """Whether two models are equal in weights, settings and scores."""
    states = one.model_.state_dict(), other.model_.state_dict()
    equal = all(torch.equal(states[0][name], tensor) for name, tensor in states[1].items())
    return equal and one.get_params() == other.get_params() and one.scores_ == other.scores_


def check(models: dict, points: int, home: Path, draw: random.Random) -> tuple[dict[str, int], int]:
    """What the folder held after each kill, and how many processes died."""
    old, new = models.values()
    folder = home / "model"
    old.save_pretrained(folder)
    count, begun = lines(old, folder), time.perf_counter()
    old.save_pretrained(folder)
    seconds = time.perf_counter() - begun
    found, dead = dict.fromkeys((*models, "neither"), 0), 0
    for point in range(points):
        old.save_pretrained(folder)
        if point % 2:
            after = draw.uniform(1e-4, seconds)
            dead += killed(lambda after=after: kill_after(after), new, folder)
        else:
            at = draw.randint(1, count)
            dead += killed(lambda at=at: kill_at_line(at), new, folder)
        found[which(models, folder)] += 1
    new.save_pretrained(folder)
    left = sorted(path.name for path in folder.iterdir() if path.name != ".lock")  # a killed process leaves its lock
    assert left == FILES, left
    assert which(models, folder) == "new"
    return found, dead


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=50)
    options = parser.parse_args()
    small = {"hidden_size": 16, "epochs": 1}
    models = {name: Composer(**small, seed=seed).fit("jsb") for seed, name in enumerate(("old", "new"))}
    with tempfile.TemporaryDirectory() as home:
        found, dead = check(models, options.points, Path(home), random.Random(0))  # noqa: S311
    print(f"{dead} of {options.points} processes died while they saved; the folder then held:", found)
    if found["neither"] or not dead:
        sys.exit("a model was lost")
    if options.points >= 50:
        RESULTS.write_text(
            "# A model that is saved over another one\n\n"
            "`python benchmarks/check_saving.py`: a process saves a model into a folder that holds another one and is\n"
            "killed on the way, before a drawn line of `storage.py` or at a drawn time. What the folder held then, to\n"
            "the last bit:\n\n| kills | the old model | the new model | neither |\n|---|---|---|---|\n"
            f"| {options.points} ({dead} before the end) | {found['old']} | {found['new']} | {found['neither']} |\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
