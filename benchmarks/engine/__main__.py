"""``python -m benchmarks.engine``, from the root of the repository: our layers against other libraries, here."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

import tyro
from benchmarks.engine import BenchRecord, RowRecord, cores, page, processor, rows_of, run
from benchmarks.engine.half import PRODUCTS
from benchmarks.engine.row import Row
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from tidegate.cli.console import console, shown_as, table
from tidegate.errors import InputError, InternalError, TidegateError

PROGRAM = "python -m benchmarks.engine"
RESULTS = Path(__file__).parents[1] / "results" / "engine"
HALF_RESULTS = RESULTS.with_name("half")


@dataclass(frozen=True)
class Bench:
    """How fast are the layers on this machine, against torch.nn, onnxruntime and JAX?

    The results and gradients of every library are checked before it is timed; then all take turns. A page and its raw
    figures are written to files that are named after the processor, so that results of other processors stay.
    Libraries that are not installed are left out: pip install -e '.[bench]' installs them all.
    """

    quick: bool = False
    """Measure a small subset: one or two minutes instead of a quarter of an hour."""
    only: Annotated[str, shown_as("TEXT")] = ""
    """Measure only rows with this text in their table or title, e.g. "lstm training" or "128,32,256,256"."""
    threads: Annotated[str, tyro.conf.arg(metavar="NUMBERS")] = "1,2"
    """Numbers of threads, separated by commas."""
    seconds_per_row: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 2.5
    """Seconds for the rounds of a row; there are at least seven rounds."""
    products: Annotated[str, tyro.conf.arg(metavar="TYPES")] = ""
    """Measure rows of half precision or int8 instead, e.g. "bfloat16,float16,int8"; the results have a folder of their
    own, benchmarks/results/half."""
    thread_time: bool = False
    """Take the time of the calling thread instead of the clock: for one thread, on a machine with other work."""
    compiled: bool = False
    """Also measure torch.compile's scans in some rows; each compiles for about a minute."""
    load: bool = False
    """Measure beside an endless loop on each core, as on a busy machine; the results have a file of their own."""
    out: Annotated[Path | None, shown_as("FOLDER")] = None
    """The folder of the results; benchmarks/results/engine unless given."""

    def run(self) -> None:
        """Measure, write the results, print what the targets say."""
        counts = parse_threads(self.threads)
        if self.seconds_per_row < 0:
            raise InputError("SECONDS", f"--seconds-per-row is {self.seconds_per_row}", fix="give at least 0")
        if os.name != "posix":
            raise InputError("BENCH_SYSTEM", "the bench stops and wakes processes by signals", fix="run it on Linux")
        available = cores()
        possible = [count for count in counts if count <= available]
        rows = self.rows(possible)
        out = self.out or (HALF_RESULTS if self.products else RESULTS)
        out.mkdir(parents=True, exist_ok=True)  # before a quarter of an hour is spent
        with _Watch(len(rows)) as watch:
            if possible != counts:
                watch.note(f"note: no rows for more than the {available} cores that are here")
            how = {"quick": self.quick, "load": self.load, "thread_time": self.thread_time}
            record = run(rows, self.seconds_per_row, watch.show, command=self.command, **how)
        written, raw = out / f"{self.name}.md", out / f"{self.name}.json"
        written.write_text(page(record), encoding="utf-8")
        raw.write_text(record.to_json(), encoding="utf-8")
        screen = console()
        screen.print(_verdicts(record))
        screen.print(f"\nresults: {written}, {raw}", markup=False, soft_wrap=True)
        _refuse_failures(record)

    def rows(self, threads: Sequence[int]) -> list[Row]:
        """The rows to run.

        Raises:
            InputError: there are none, or options do not go together.
        """
        products = [name for name in self.products.split(",") if name]
        unknown = set(products) - set(PRODUCTS)
        if unknown:
            known = ",".join(PRODUCTS)
            raise InputError(
                "PRODUCTS", f"--products {self.products!r} names other types", fix=f"write some of {known}"
            )
        if products and (self.quick or self.compiled):
            raise InputError("PRODUCTS", "--products has rows of its own", fix="leave out --quick and --compiled")
        if self.thread_time and threads != [1]:
            raise InputError("THREAD_TIME", "--thread-time sees one thread alone", fix="add --threads 1")
        chosen = {"quick": self.quick, "compiled": self.compiled, "load": self.load}
        rows = rows_of(threads=threads, only=self.only, products=products, **chosen)
        if not rows:
            raise InputError(
                "BENCH_ROWS",
                f"no row with {self.only!r} for {self.threads} threads on {cores()} cores",
                fix="leave out --only, or ask for fewer --threads",
            )
        return rows

    @property
    def name(self) -> str:
        """The name of the files: the processor, and which rows, so that a few never replace the full grid."""
        rows = ["load"] * self.load + ["quick"] * self.quick + re.findall(r"[a-z0-9]+", self.only.casefold())
        if self.products:
            some = [name for name in PRODUCTS if name in self.products.split(",")]
            rows = ["engine", *(some if len(some) < len(PRODUCTS) else []), *rows]
        return "-".join([processor().slug, *rows])

    @property
    def command(self) -> str:
        """How to run it again; folders are left out, as results may be published."""
        chosen = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "out"}
        given = [(name, value) for name, value in chosen.items() if value != getattr(Bench(), name)]
        options = [[f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])] for name, value in given]
        return shlex.join([*PROGRAM.split(), *(word for option in options for word in option)])


class _Watch:
    """A line for each finished row on standard error; on a terminal a bar below them."""

    def __init__(self, total: int) -> None:
        screen = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(
            *columns, console=screen, auto_refresh=False, transient=True, disable=not screen.is_terminal
        )
        self._task = self._bar.add_task("rows", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """Say something above the bar."""
        self._bar.console.print(text, markup=False)

    def show(self, row: RowRecord) -> None:
        """A row is finished."""
        best = row.of("best") or row.of("yardstick")
        outcome = "not timed"
        if row.failure:
            outcome = row.failure
        elif best and best.ratio:
            outcome = f"{best.ratio.median:.2f} [{best.ratio.low:.2f}, {best.ratio.high:.2f}] against {best.label}"
        self.note(f"{row.group}: {row.title}: {outcome}")
        self._bar.update(self._task, advance=1, refresh=True)


def parse_threads(text: str) -> list[int]:
    """``"1,2"`` to [1, 2].

    Raises:
        InputError: not positive numbers.
    """
    try:
        counts = sorted({int(part) for part in text.split(",")})
    except ValueError:
        counts = []
    if not counts or counts[0] < 1:
        raise InputError("THREADS", f"--threads {text!r} is not a list of positive numbers", fix="write e.g. 1,2")
    return counts


def _verdicts(record: BenchRecord) -> Table:
    shown = table("work", "target", "met", "measured", title="what it must reach")
    for k in (1, 2, 3):
        shown.columns[k].justify = "left"
    shown.columns[3].no_wrap = False
    for verdict in record.verdicts:
        met = {True: "[green]yes[/]", False: "[red]no[/]", None: "-"}[verdict.met]
        shown.add_row(escape(verdict.work), escape(verdict.target), met, escape(verdict.measured))
    return shown


def _refuse_failures(record: BenchRecord) -> None:
    """Wrong numbers of our own are an error, after the results have been written."""
    failures = [f"{row.title}: {row.failure}" for row in record.rows if row.failure]
    if failures:
        raise InternalError(
            "BENCH_FAILED",
            f"{len(failures)} rows failed, the first: {failures[0]}",
            fix="please report it with the JSON file",
        )


def main() -> None:
    """Run the bench as the command line says."""
    bench = tyro.cli(Bench, prog=PROGRAM, config=(tyro.conf.FlagCreatePairsOff,))
    try:
        bench.run()
    except TidegateError as error:
        sys.exit(f"{PROGRAM}: {error}")


if __name__ == "__main__":
    main()
