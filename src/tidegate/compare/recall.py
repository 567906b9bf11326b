"""What each cell remembers: the best run of each, explained on validation sequences."""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tidegate.compare.kept import model_path, read_model, setting_of
from tidegate.errors import InputError
from tidegate.explain.answer import Asked, explained
from tidegate.explain.change import TRAIN
from tidegate.explain.kind import KINDS
from tidegate.explain.lag import lag_of
from tidegate.explain.subject import Subject, of_kind
from tidegate.language import joined, say
from tidegate.phase import counted, within
from tidegate.records import (
    CellRecord,
    ComparisonRecord,
    ContextRecord,
    ExplanationRecord,
    FlowRecord,
    RecallRecord,
    RunRecord,
)
from tidegate.storage import replace_file
from tidegate.train.setting import Training
from tidegate.train.spec import Spec
from tidegate.train.task import AnyTask
from tidegate.train.toml import to_toml
from tidegate.zoo import CELLS

T = TypeVar("T")
PAGES = "explain"  # the folder of pages, in that of the comparison
BUNDLED = "bundled:"  # before the name of a set
SHORTEST = 2  # lag


@dataclass(frozen=True)
class Best:
    """The best run of a cell, ready to be explained.

    Attributes:
        name: of its files.
        context: its losses by history.
        lag, lag_from: what its data or its losses suggest.
    """

    run: RunRecord
    name: str
    subject: Subject
    context: ContextRecord | None
    lag: int
    lag_from: str


def with_recalls(
    record: ComparisonRecord, task: AnyTask, specs: Mapping[str, Spec], folder: Path, language: str = "en"
) -> tuple[CellRecord, ...]:
    """The cells of a comparison with what the best run of each remembers; the folder gets a page on each.

    Args:
        record: of the comparison.
        task: the data and the recipe.
        specs: the cells by name.
        folder: of the comparison.
        language: of the pages.
    """
    found = recalls(task, specs, record.runs, folder, record.command, language)
    return tuple(replace(cell, recall=found[cell.name]) for cell in record.cells)


def recalls(
    task: AnyTask,
    specs: Mapping[str, Spec],
    runs: Sequence[RunRecord],
    folder: Path,
    command: str,
    language: str = "en",
) -> dict[str, RecallRecord]:
    """What the best run of each cell remembers; the folder gets a page on each.

    All are explained on validation sequences: the test is not touched again. Gradients are compared at one lag, the
    longest that any of the cells suggests, since a cell that forgets needs little history.

    Args:
        task: the data and the recipe.
        specs: the cells by name.
        runs: of all cells.
        folder: of the comparison.
        command: that repeats the comparison.
        language: of the pages.
    """
    found: dict[str, RecallRecord] = {}
    ready: dict[str, Best] = {}
    places = {name: place for place, name in enumerate(specs)}
    for name in counted("how much history the best run of each cell needs", specs, len(specs)):
        best = _tried(name, _best, task, specs[name], [run for run in runs if run.cell == name], folder, places[name])
        if isinstance(best, Best):
            ready[name] = best
        else:
            found[name] = best
    lag, lag_from = max(((best.lag, best.lag_from) for best in ready.values()), default=(SHORTEST, ""))
    if any(best.lag < lag for best in ready.values()):
        lag_from = joined([lag_from, say("of the cell that uses the longest history")], ", ")
    for name, best in ready.items():
        found[name] = _tried(name, _recalled, best, Asked(lag, lag_from, command=command), folder, language)
    return found


def _tried(name: str, make: Callable[..., T], *arguments: object) -> T | RecallRecord:
    """What is made; or why it could not be, for a comparison of hours does not fail with its last page."""
    try:
        with within(name), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* has no effect$")  # said when the cell was sized
            return make(*arguments)
    except Exception as error:  # noqa: BLE001  the report names it
        return RecallRecord(problem=str(error) or type(error).__name__)


def _best(task: AnyTask, spec: Spec, runs: Sequence[RunRecord], folder: Path, place: int) -> Best:
    """The run with the best validation score, ready to be explained."""
    scored = [(run.valid, run.seed, run) for run in runs if run.valid is not None]
    if not scored:
        raise InputError("RECALL", "no run finished", fix="lower the learning rate")
    run = min(scored, key=lambda one: one[:2])[2]
    if task.name not in KINDS:
        raise InputError("RECALL", f"models of the task {task.name} cannot be explained")
    setting, graph = setting_of(spec.over(task.setting), run), spec.cell.graph
    model, own = read_model(model_path(folder / "runs", run.run), task, graph, setting)
    stem = f"{place + 1}-{re.sub(r'[^A-Za-z0-9_-]', '_', run.cell)}"
    kind = KINDS[task.name](model, own, "valid")
    what = say("the run of seed {seed}, which validated best of {runs}", seed=run.seed, runs=len(runs))
    subject = of_kind(kind, run.cell, what, _training(task, spec, setting, folder, stem))
    context = subject.context()
    return Best(run, stem, subject, context, *lag_of(subject, "auto", context))


def _training(task: AnyTask, spec: Spec, setting: Training, folder: Path, stem: str) -> str:
    """The command that trains such a model, with its settings in a file; of a cell of the zoo."""
    zoo = next((name for name, cell in CELLS.items() if cell.graph == spec.cell.graph), None)
    if task.reader is None or zoo is None:
        return TRAIN
    config = folder / PAGES / f"{stem}.toml"
    replace_file(config, to_toml(replace(setting, cell=zoo)))
    data = str(task.to_json()["source"]).removeprefix(BUNDLED)
    return shlex.join(["tidegate", "train", task.name, data, "--config", str(config), "--out", f"{stem}-mended"])


def _recalled(best: Best, asked: Asked, folder: Path, language: str) -> RecallRecord:
    found = explained(best.subject, best.context, asked)
    page = f"{PAGES}/{best.name}.html"
    found.to_html(folder / page, language)
    record = found.record
    return RecallRecord(
        run=best.run.run,
        seed=best.run.seed,
        lag=record.lag,
        lag_from=record.lag_from,
        flow=_whole(record),
        memory=record.memory,
        verdicts=tuple(line.sentence for line in record.verdicts),
        page=page,
    )


def _whole(record: ExplanationRecord) -> FlowRecord | None:
    """The gradient by lag of a stack as a whole; of several directions or stacks, that which keeps most at the lag."""
    names = {flow.layer for flow in record.flow}
    whole = [flow for flow in record.flow if flow.layer.rpartition(".")[0] not in names]

    def kept(flow: FlowRecord) -> float:
        value = flow.median[flow.lags.index(record.lag)] if record.lag in flow.lags else None
        return float("-inf") if value is None else value

    return max(whole, key=kept, default=None)
