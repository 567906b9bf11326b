"""Runs trials and stores every finished one.

The folder makes an experiment resumable: a trial with a record there is not run again, and one with a checkpoint
there resumes from it. Workers return records, and this process alone writes them, so workers need no disk of ours.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from tidegate.compare.executors.job import Done, Job, Progress, Workers
from tidegate.compare.kept import model_path
from tidegate.compare.trial import TrialSpec
from tidegate.errors import InputError
from tidegate.plain import read_json
from tidegate.records import RunRecord, run_from_json, to_json
from tidegate.storage import alone, replace_file


def run_all(trials: Sequence[TrialSpec], folder: Path, workers: Workers, progress: Progress) -> list[RunRecord]:
    """Run the trials that have no record yet.

    Args:
        trials: what to run.
        folder: for records and checkpoints.
        workers: where to run them.
        progress: told about every finished epoch and trial.

    Returns:
        The records of all trials, in their order.

    Raises:
        InputError: another process is using this folder, a record there is damaged, or the workers cannot be had.
        MissingError: the executor is not installed.
        BackendError: worker processes died again and again.
    """
    taken = InputError(
        "FOLDER_BUSY",
        f"another comparison is using {folder.parent}",
        fix="wait for it, or choose another folder",
    )
    with alone(folder / "lock", taken):
        known = {trial.hash: record for trial in trials if (record := _load(folder, trial)) is not None}
        waiting = [trial for trial in trials if trial.hash not in known]
        progress.begin(list(known.values()), waiting)
        for done in _run(Job(waiting, folder.absolute(), workers, progress)):
            record = done.record
            if done.model:  # before the record, which says that the trial has finished
                replace_file(model_path(folder, record.run), done.model)
            replace_file(record_path(folder, record.run), json.dumps(to_json(record)))
            known[record.run] = record
            progress.finish(record)
    return [known[trial.hash] for trial in trials]


def _run(job: Job) -> Iterator[Done]:
    """What trials come to, as they end; the engine is loaded only where there is something to run."""
    if job.trials:
        yield from import_module(f"tidegate.compare.executors.{job.workers.engine}").run(job)


def record_path(folder: Path, run: str) -> Path:
    """The file of a finished trial's record; ``run`` is the trial's hash."""
    return folder / f"{run}.json"


def _load(folder: Path, trial: TrialSpec) -> RunRecord | None:
    path = record_path(folder, trial.hash)
    if not path.exists():
        return None
    try:
        if not path.is_file():
            raise InputError("RECORD_KIND", "it is no regular file")  # noqa: TRY301  named below
        record = run_from_json(read_json(path.read_bytes()))
        _check_own(record, trial)
    except (OSError, InputError) as error:
        raise InputError(
            "RECORD_DAMAGED", f"{path} is not the record of this run: {error}", fix="delete it to run it again"
        ) from error
    return record


def _check_own(record: RunRecord, trial: TrialSpec) -> None:
    """Refuse the record of another run."""
    for name, wanted in {
        "run": trial.hash,
        "cell": trial.cell,
        "seed": trial.seed,
    }.items():
        if getattr(record, name) != wanted:
            raise InputError("RECORD", f"{name} is {getattr(record, name)!r}, expected {wanted!r}")
    tried = [dataclasses.asdict(candidate) for candidate in trial.candidates]
    chosen = {name: getattr(record, name) for name in tried[0]}
    if chosen not in tried or len(record.tried) != len(tried):
        raise InputError("RECORD", f"it has {chosen}, which this comparison does not try")
