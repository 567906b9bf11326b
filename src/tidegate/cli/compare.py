"""``tidegate compare``: find out which recurrent cell suits some data."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table

from tidegate.cli.cell import load_all
from tidegate.cli.check import check_folder, check_number, folder_name, read_config
from tidegate.cli.console import console, fitting, print_line, print_note, shown, shown_as, table
from tidegate.cli.status import Status
from tidegate.cli.threads import MOST
from tidegate.cli.words import in_shell
from tidegate.errors import InputError
from tidegate.language import check_language, joined, local, say, speaking, translated
from tidegate.records import ComparisonRecord
from tidegate.train.setting import Training, compared, names
from tidegate.train.toml import from_toml

if TYPE_CHECKING:
    from tidegate.train.task import AnyTask


@dataclass(frozen=True)
class Compare:
    """Find out which recurrent cell suits your data.

    Trains every cell several times with the recipe of tidegate train, the same number of parameters, and the same data
    in the same order. Says which cell is reliably better, or that none is. Writes report.html, report.json and
    runs.csv, and a page on what the best run of each cell remembers. After an interruption, the same command resumes
    where it stopped.
    """

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = "jsb"
    """A file or folder (.csv, .txt, .ts, .mid, .dict, ...), a bundled set (jsb, elnino, shakespeare, names, fsdd,
    tatoeba, cmudict, atis), or a generated problem (adding, copy, selective, order, timing)."""
    task: Annotated[str | None, shown_as("TASK")] = None
    """classification, forecast, language, music, speech, tagging or translation; unless given, guessed from the file's
    suffix."""
    target: Annotated[str | None, shown_as("COLUMN")] = None
    """Column to forecast, several with commas between them, or all."""
    config: Annotated[Path | None, shown_as("FILE")] = None
    """Recipe as TOML: how to read the data, build the model and train it. tidegate train TASK --print-config prints
    one. Its cell is not used, since --cells names the cells; its hidden size sets the default of --parameters."""
    cells: Annotated[str, tyro.conf.arg(metavar="CELLS")] = "rnn,lstm,peepholelstm,gru"
    """Cells, separated by commas: names from the zoo, FILE.py:CLASS, or NAME=CELL to rename one. Settings of its own
    follow a cell in brackets: gru,gru[zoneout=0.1,layer_norm]. They are those of tidegate train."""
    parameters: Annotated[str | None, shown_as("COUNT")] = None
    """Trainable parameters of each model, e.g. 50k; unless given, those of an LSTM with the recipe's hidden size."""
    equal: Literal["parameters", "latency"] = "parameters"
    """What is equal for all cells: the parameters, or the time of one step on this machine, which is then at most that
    of an LSTM with so many parameters."""
    seeds: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 5
    """Runs per cell; fewer than five are not enough to decide."""
    first_seed: Annotated[int | None, shown_as("NUMBER")] = None
    """Seed of the first run, which the others follow; the recipe's unless given. Other seeds repeat the experiment."""
    trials: Annotated[int | None, shown_as("NUMBER")] = None
    """Settings to try in each run, the same for every cell: the recipe, then other learning rates, recurrent dropouts
    and layers. What validates best is tested. The task's default unless given."""
    epochs: Annotated[int | None, shown_as("NUMBER")] = None
    """Largest number of passes over the training data; the recipe's unless given."""
    workers: Annotated[int | None, shown_as("NUMBER")] = None
    """Runs at a time; it does not change the result. One for each processor that this process may use unless given."""
    threads: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 1
    """Threads of each worker; another number can change the last digits of a result."""
    executor: Literal["process", "ray", "dask"] = "process"
    """Where the workers run: in processes of this machine, or on a cluster of Ray or Dask. Where no cluster is running,
    one is started on this machine and ends with the comparison."""
    address: Annotated[str | None, shown_as("ADDRESS")] = None
    """Running cluster, such as HOST:6379 for ray or tcp://HOST:8786 for dask; unless given, that in RAY_ADDRESS or
    DASK_SCHEDULER_ADDRESS. All of its machines need the same versions, and the data under the same path."""
    no_explain: tyro.conf.FlagCreatePairsOff[Annotated[bool, shown_as("")]] = False
    """Do not measure what the best run of each cell remembers, on validation sequences, nor write a page on each into
    the folder explain of the results. These take seconds for each cell."""
    language: Annotated[str, tyro.conf.arg(metavar="en|zh")] = "en"
    """Language of what is printed and of the pages: English or Chinese. Names, options, errors, phases of the work,
    report.json and runs.csv stay in English, and so do the other commands but explain."""
    out: Annotated[Path | None, shown_as("FOLDER")] = None
    """Folder for the results; unless given, tidegate-compare/NAME for a bundled set, and
    tidegate-compare/FILE-TASK or tidegate-compare/FILE-TASK-COLUMN for a file, with -latency at the end for --equal
    latency."""

    def run(self) -> None:
        """Compare, write the report, and print the answer last."""
        self._check()
        with speaking(self.language):
            self._run()

    def _run(self) -> None:
        cells = load_all(self.cells)  # before anything slow: most mistakes are made here
        budget = parse_count(self.parameters)
        screen = console()
        with Status(screen, speaks=True) as status:
            task, out = self._opened(status, list(cells))
            from tidegate import compare, report
            from tidegate.cli.comparing import LiveProgress
            from tidegate.compare import Workers

            record = compare.run(
                task,
                cells,
                folder=out,
                parameters=budget,
                equal=self.equal,
                seeds=self.seeds,
                first_seed=self.first_seed,
                trials=self.trials,
                epochs=self.epochs,
                workers=Workers(self.executor, self.workers, self.threads, self.address),
                progress=LiveProgress(status, list(cells), self.seeds, task.metric),
                command=shlex.join(["tidegate", *sys.argv[1:]]),
                explain=not self.no_explain,
                language=self.language,
            )
            status.body = None
            status.phase("writing the report")
            report.write_html(record, page := out / "report.html", self.language)
            report.write_json(record, out / "report.json")
            report.write_runs_csv(record.runs, out / "runs.csv")
        _print_answer(screen, record, page)

    def _check(self) -> None:
        check_language(self.language)
        for option in ("seeds", "trials", "epochs", "workers"):
            check_number(option, getattr(self, option))
        check_number("threads", self.threads, high=MOST)
        check_number("first-seed", self.first_seed, low=0, high=(1 << 53) - self.seeds)

    def _overruled(self) -> dict[str, str]:
        """The settings of the recipe that have no effect, and why."""
        given = {"hidden_size": self.parameters, "seed": self.first_seed}
        reasons = {"hidden_size": say("--parameters sets the size"), "seed": say("--first-seed sets the seeds")}
        own = {name: reasons[name] for name, value in given.items() if value is not None}
        return {"cell": say("--cells names the cells")} | own

    def _opened(self, status: Status, cells: list[str]) -> tuple[AnyTask, Path]:
        """The task and the folder for the results, after a look at the data that needs no torch."""
        status.phase(f"reading {self.data}")
        from tidegate import tasks

        name = tasks.name_of(self.data, self.task)
        recipe, notes = _recipe(self.config, compared(tasks.TABLE[name].setting), self._overruled())
        read = tasks.read_ahead(self.data, name, recipe, target=self.target)
        status.phase("loading torch")
        task = tasks.load(task=name, setting=recipe, target=self.target, **read)
        end = "" if self.equal == "parameters" else f"-{self.equal}"
        own = folder_name(task.to_json()["source"], task.name, self.target) + end
        out = self.out or Path("tidegate-compare") / own
        check_folder(out, "the results")
        status.print(
            local(
                "Comparing {cells} on {data} ({task}), results in {out}",
                cells=joined(cells, ", "),
                data=task.data.name,
                task=task.name,
                out=out,
            )
        )
        _print_notes(status.screen, [*notes, *_quicker(recipe)], recipe)
        return task, out


def parse_count(text: str | None) -> int | None:
    """Read a number of parameters such as ``"50k"``.

    Args:
        text: a number, or a number followed by k or M; None for none.

    Returns:
        The number, at least 1, or None.

    Raises:
        InputError: ``text`` is not a positive number.
    """
    if text is None:
        return None
    factors = {"k": 1_000, "m": 1_000_000}
    factor = factors.get(text[-1:].lower(), 1)
    try:
        count = round(float(text[:-1] if factor > 1 else text) * factor)
    except (ValueError, OverflowError):
        count = 0
    if count < 1:
        raise InputError(
            "PARAMS", f"--parameters {text!r} is not a number of parameters", fix="write e.g. 50000, 50k or 1.5M"
        )
    return count


def _recipe(path: Path | None, default: Training, overruled: Mapping[str, str]) -> tuple[Training, list[str]]:
    """The task's recipe with the file's changes, and a note for each line of the file that something overrules."""
    if path is None:
        return default, []
    recipe = from_toml(read_config(path), type(default), str(path), default)
    return recipe, [
        say(
            "{name} = {value!r} in {path} has no effect: {why}",
            name=name,
            value=getattr(recipe, name),
            path=path,
            why=instead,
        )
        for name, instead in overruled.items()
        if getattr(recipe, name) != getattr(default, name)
    ]


def _quicker(recipe: Training) -> list[str]:
    """A note for each setting that a comparison has for the sake of time, and ``tidegate train`` has not."""
    here, trained = compared(type(recipe)), type(recipe)()
    return [
        say(
            "every cell has {name}={value!r}, which is quicker than the {name}={longer!r} of tidegate train; --config "
            "changes it",
            name=name,
            value=value,
            longer=longer,
        )
        for name in names(type(recipe))
        if (value := getattr(recipe, name)) == getattr(here, name) != (longer := getattr(trained, name))
    ]


def _print_notes(screen: Console, notes: list[str], recipe: Training) -> None:
    for note in notes:
        print_note(screen, in_shell(translated(note), names(type(recipe))))


def _print_answer(screen: Console, record: ComparisonRecord, page: Path) -> None:
    screen.print(fitting(screen, _scores(record)))
    screen.print()
    print_line(screen, say("report: {page}   {time}", page=page, time=_time(record)))
    print_line(screen, record.answer.headline, style="bold")


def _time(record: ComparisonRecord) -> str:
    if not record.reused:
        return say("{seconds:.0f} s", seconds=record.seconds)
    one = say("{seconds:.0f} s (1 run from earlier sessions)", seconds=record.seconds)
    many = say("{seconds:.0f} s ({runs} runs from earlier sessions)", seconds=record.seconds, runs=record.reused)
    return one if record.reused == 1 else many


def _scores(record: ComparisonRecord) -> Table:
    listing = table(
        local("cell"), translated(record.metric), local("95 % interval"), local("runs"), local("units"),
        local("parameters"), local("step"), local("training"), title="\n" + local("test scores"),
    )  # fmt: skip
    for cell in sorted(record.cells, key=lambda cell: float("inf") if cell.mean is None else cell.mean):
        span = "-" if cell.low is None else local("{low:.4g} to {high:.4g}", low=cell.low, high=cell.high)
        lost = local(" ({count} diverged)", count=cell.diverged) if cell.diverged else ""
        runs = f"{cell.finished}{lost}"
        listing.add_row(
            shown(cell.name),
            "-" if cell.mean is None else f"{cell.mean:.4g}",
            span,
            runs,
            f"{cell.layers} x {cell.hidden_size}" if cell.layers > 1 else str(cell.hidden_size),
            f"{cell.parameters:,} ({cell.parameter_gap:+.1%})",
            f"{cell.step_p50_us:.0f} us",
            f"{cell.train_seconds:.1f} s",
        )
    for line in record.baselines:
        listing.add_row(f"[dim]{shown(line.name)}[/]", f"{line.score:.4g}", "", local("baseline"))
    return listing
