"""What a worker does, wherever it is: it takes a trial as a text, and returns a text with its record and its model."""

from __future__ import annotations

import base64
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from tidegate.compare.executors.job import Done, Progress
from tidegate.compare.trial import PROTOCOL, TrialSpec, run_trial
from tidegate.errors import InputError
from tidegate.plain import read_json, typed
from tidegate.records import EpochRecord, run_from_json, to_json

_alone = threading.Lock()  # a trial owns the random state of its process


def work(trial: str, folder: str, tell: Callable[[str], None]) -> str:
    """Run a trial in this process.

    Args:
        trial: from ``TrialSpec.to_text``.
        folder: for checkpoints; where this machine has none of that name, the trial keeps none.
        tell: told about every epoch.

    Returns:
        What it came to, for ``done_of``.

    Raises:
        InputError: this worker has other versions than the comparison, or cannot read the data.
    """
    spec = TrialSpec.from_text(trial)
    here = replace(spec, protocol=PROTOCOL, torch=str(torch.__version__))
    if here != spec:
        raise InputError(
            "WORKER_VERSION",
            f"a worker has torch {here.torch} and protocol {here.protocol}, "
            f"the comparison torch {spec.torch} and protocol {spec.protocol}",
            fix="install the same versions of torch and tidegate on all machines",
        )

    def on_epoch(setting: int, record: EpochRecord) -> None:
        tell(json.dumps({"cell": spec.cell, "seed": spec.seed, "setting": setting, "record": to_json(record)}))

    kept: list[bytes] = []
    with _alone, warnings.catch_warnings(), _checkpoints(Path(folder)) as place:
        warnings.filterwarnings("ignore", message=".* has no effect$")  # whoever compares has built each cell
        torch.set_num_threads(spec.threads)
        record = run_trial(spec, place, on_epoch, kept.append)
    return json.dumps({"record": to_json(record), "model": base64.b64encode(b"".join(kept)).decode()})


def report(told: str, progress: Progress) -> None:
    """Tell the progress what a worker has told."""
    epoch = read_json(told)
    progress.epoch(epoch["cell"], epoch["seed"], epoch["setting"], typed(epoch["record"], EpochRecord, "the epoch"))


def done_of(text: str) -> Done:
    """What a worker has returned."""
    told = read_json(text)
    return Done(run_from_json(told["record"]), base64.b64decode(told["model"]))


@contextmanager
def _checkpoints(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield folder
        return
    with TemporaryDirectory() as own:
        yield Path(own)
