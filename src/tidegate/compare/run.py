"""``tidegate.compare.run``: find out which recurrent cell suits some data."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tidegate import tasks
from tidegate.cell import Cell
from tidegate.compare.budget import Equal, Sizes, default_budget
from tidegate.compare.executor import record_path, run_all
from tidegate.compare.executors.job import Progress, Workers
from tidegate.compare.recall import with_recalls
from tidegate.compare.summary import Cells, machine, protocol, results
from tidegate.compare.trial import TrialSpec
from tidegate.compare.tuning import Candidate, tuned, variants
from tidegate.errors import InputError, TidegateWarning, note
from tidegate.language import check_language
from tidegate.phase import counted
from tidegate.plain import read_json
from tidegate.records import ComparisonRecord, RunRecord
from tidegate.train.fitted import is_private
from tidegate.train.setting import Training, compared
from tidegate.train.spec import Spec, one, parsed
from tidegate.train.task import AnyTask, Task

DEFAULT_CELLS = ("rnn", "lstm", "peepholelstm", "gru")
LAST_SEED = 1 << 53

CellLike = str | type[Cell] | Spec


def named(cells: str | Sequence[CellLike] | Mapping[str, CellLike]) -> dict[str, Spec]:
    """Give every cell a name.

    Args:
        cells: names from the zoo (``"lstm,gru[zoneout=0.1]"`` or a list), classes, or ``Spec``s, which have settings of
            their own; a mapping gives them names of its own.

    Returns:
        The cells with their settings, by name.

    Raises:
        InputError: an entry is no cell, a setting is wrong, a name appears twice, or there are no cells at all.

    Example:
        >>> import tidegate as tg
        >>> tg.compare.named("lstm,gru[zoneout=0.1],small=gru[layers=2]").keys()
        dict_keys(['LSTM', 'GRU[zoneout=0.1]', 'small'])
    """
    specs: dict[str, Spec] = {}
    for name, spec in _pairs(cells):
        if name in specs:
            raise InputError("CELL_TWICE", f"{name} is listed twice", fix="pass a mapping from names to cells")
        specs[name] = spec
    if not specs:
        raise InputError("NO_CELLS", "there are no cells to compare", fix="name some, e.g. lstm,gru")
    return specs


def _pairs(cells: str | Sequence[CellLike] | Mapping[str, CellLike]) -> Iterator[tuple[str, Spec]]:
    """Each cell, and its name in the comparison."""
    if isinstance(cells, str):
        yield from parsed(cells)
        return
    for alias, cell in cells.items() if isinstance(cells, Mapping) else ((None, cell) for cell in cells):
        spec = cell if isinstance(cell, Spec) else one(cell) if isinstance(cell, str) else Spec(cell)
        yield alias or spec.name, spec


def run(
    data: AnyTask | str | Path,
    cells: str | Sequence[CellLike] | Mapping[str, CellLike] = DEFAULT_CELLS,
    *,
    folder: Path | str,
    parameters: int | None = None,
    equal: Equal = "parameters",
    seeds: int = 5,
    first_seed: int | None = None,
    trials: int | None = None,
    epochs: int | None = None,
    workers: int | Workers | None = None,
    progress: Progress | None = None,
    command: str = "",
    explain: bool = True,
    language: str = "en",
) -> ComparisonRecord:
    """Compare cells of equal size on paired seeds, each trained with the task's own recipe.

    The run of a cell with seed k and the recipe as it is, which each run tries first, is the training that ``tidegate
    train`` does with ``seed=k``, the same hidden size and one thread.

    Args:
        data: a task from ``tidegate.tasks``, whose settings are the recipe; or a file, or the name of a bundled set.
        cells: names from the zoo, such as ``"gru"`` or ``"gru[zoneout=0.1]"``, classes, or ``Spec``s, whose settings
            differ from the recipe's; or a mapping that gives them names of its own.
        folder: for finished runs and checkpoints; another call resumes from there.
        parameters: trainable parameters of each model; unless given, those of an LSTM with the recipe's hidden size.
        equal: what is equal: ``"parameters"``, or ``"latency"`` for the time of one step on this machine, that of an
            LSTM with so many parameters. Sizes that were measured stay in the folder.
        seeds: runs per cell; fewer than five are not enough to decide, and the answer says so.
        first_seed: of the first run; the others follow it. The recipe's seed unless given.
        trials: settings to try in each run, the same for every cell; the task's default unless given. The first is the
            recipe; the others change the learning rate, recurrent dropout and the layers (``tuning.variants``), with
            the hidden size that fits. The one with the best validation score is tested.
        epochs: the largest number of passes over the training data; the recipe's unless given.
        workers: how many runs at a time, or where (``compare.Workers``); it does not change the result. One for each
            processor that this process may use unless given.
        progress: told about every finished epoch and trial.
        command: the shell command that repeats the comparison, for the report.
        explain: whether to measure what the best run of each cell remembers, on validation sequences, and to write a
            page on each into the folder: seconds for each cell.
        language: of these pages, ``"en"`` or ``"zh"``; the record stays in English.

    Returns:
        The answer and everything that it rests on; ``tidegate.report`` writes it as HTML, JSON and CSV. The report
        belongs into the folder, since it links to the pages there.

    Raises:
        InputError: a number is out of range, a cell or the language is unknown, the data cannot be used, no cluster
            answers, or the folder is in use or has runs of an earlier version.
        MissingError: the executor is not installed.
        BackendError: workers died again and again.
    """
    start, place = time.monotonic(), _place(workers)
    task, specs = _comparable(data if isinstance(data, Task) else _loaded(data)), named(cells)
    note(*task.data.warnings)
    _check(language, seeds=seeds, trials=trials, epochs=epochs, parameters=parameters)
    recipe = replace(task.setting, epochs=epochs or task.setting.epochs)
    sizes = Sizes(task, parameters or default_budget(task), equal, Path(folder))
    recipes, tested = variants(recipe, trials or task.trials), _seeds(task, seeds, first_seed)
    trials_to_run = _trials(task, specs, tested, recipes, sizes, place.threads)
    home = Path(folder) / "runs"
    reused, records = _reused(home, trials_to_run), run_all(trials_to_run, home, place, progress or Progress())
    record = ComparisonRecord(
        command=command,
        **_about(task),
        equal=equal,
        protocol=protocol(recipes, specs, tested, sizes.rule),
        machine=machine(place, _machines(records)),
        seconds=0.0,
        reused=reused,
        **results(task, specs, records, sizes.budget),
    )
    if explain:
        record = replace(record, cells=with_recalls(record, task, specs, Path(folder), language))
    return replace(record, seconds=time.monotonic() - start)


def _place(workers: int | Workers | None) -> Workers:
    return workers if isinstance(workers, Workers) else Workers(count=workers)


def _loaded(data: str | Path) -> AnyTask:
    """The task of a file or a bundled set, with the recipe of a comparison."""
    return tasks.load(data, setting=compared(tasks.row_of(tasks.name_of(data)).setting))


def _comparable(task: AnyTask) -> AnyTask:
    """The task, unless canaries are to be planted in it, or it is to be learnt in private."""
    if is_private(task.setting):
        raise InputError(
            "COMPARE_PRIVATE",
            f"epsilon={task.setting.epsilon:g} is what one training spends, but a comparison has many on the same rows",
            fix="compare without epsilon=, on rows that are no secret, and train the cell that you choose with it",
        )
    if task.setting.canaries:
        raise InputError(
            "COMPARE_CANARIES",
            f"canaries={task.setting.canaries} are planted for the audit of one model, but a comparison has many",
            fix="leave it out, and train the cell that suits with tidegate train",
        )
    return task


def _trials(
    task: AnyTask, cells: Cells, seeds: Sequence[int], recipes: Sequence[Training], sizes: Sizes, threads: int
) -> list[TrialSpec]:
    """Every run of every cell, the first run of each cell first."""
    with _said_once():
        candidates = {
            name: tuple(_candidate(sizes, spec, spec.over(recipe)) for recipe in recipes)
            for name, spec in counted("sizing the models", cells.items(), len(cells))
        }
    described = task.to_json()
    described["setting"] |= {"epochs": recipes[0].epochs}
    return [
        TrialSpec(described, name, spec.cell.graph.to_json(), seed, candidates[name], threads, spec.options)
        for seed in seeds
        for name, spec in cells.items()
    ]


def _candidate(sizes: Sizes, spec: Spec, recipe: Training) -> Candidate:
    """What a run of a cell tries: the recipe with the settings of the cell, which no search overwrites."""
    return Candidate(**tuned(recipe), hidden_size=sizes.of(spec.cell.graph, recipe))


def _machines(records: Sequence[RunRecord]) -> Counter[str]:
    """How many runs there are from each kind of processor; several are said, for they round differently."""
    kinds = Counter(record.machine or "unknown" for record in records)
    if len(kinds) > 1:
        each = "; ".join(f"{count} on {kind}" for kind, count in kinds.items())
        text = f"the runs come from several kinds of processors, whose results can differ in the last digits: {each}"
        warnings.warn(text, TidegateWarning, stacklevel=3)
    return kinds


@contextmanager
def _said_once() -> Iterator[None]:
    """Give each warning once, though many models are built."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for text, kind in dict.fromkeys((str(found.message), found.category) for found in caught):
        warnings.warn(text, kind, stacklevel=5)


def _seeds(task: AnyTask, count: int, first: int | None) -> range:
    first = task.setting.seed if first is None else first
    if not 0 <= first <= LAST_SEED - count:
        raise InputError("NUMBER", f"first_seed={first} is out of range", fix="use at least 0 and less than 2**53")
    return range(first, first + count)


def _reused(folder: Path, trials: Sequence[TrialSpec]) -> int:
    """How many runs are there already."""
    _refuse_old(folder, {trial.hash for trial in trials})
    return sum(record_path(folder, trial.hash).exists() for trial in trials)


def _about(task: AnyTask) -> dict[str, Any]:
    return {"task": task.name, "metric": task.metric, "unit": task.unit, "data": task.data}


def _refuse_old(folder: Path, known: set[str]) -> None:
    """Refuse a folder with runs that an earlier version left: they do not fit, and would be run again in silence."""
    kept = {item.name for item in fields(RunRecord)}
    for path in folder.glob("*.json"):
        if path.stem in known:
            continue
        try:
            data = read_json(path.read_bytes())
        except (OSError, InputError):
            continue
        if isinstance(data, dict) and "learning_rate" in data and data.keys() | {"options"} != kept:
            raise InputError(
                "COMPARISON_OLD",
                f"{folder.parent} has runs of an earlier version, whose results do not fit",
                fix="choose another folder, or delete this one to run it again",
            )


def _check(language: str, **numbers: int | None) -> None:
    check_language(language)
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise InputError("NUMBER", f"{name}={value} is out of range", fix="use at least 1")
