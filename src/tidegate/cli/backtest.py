"""``tidegate backtest``: forecasts from many rows beside the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tidegate.cli.check import check_model, check_number, check_picture, write_file
from tidegate.cli.console import console, shown, shown_as, table
from tidegate.cli.forecast import drawn, in_file, name_written
from tidegate.cli.status import status
from tidegate.cli.threads import Threads

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.table import Table

STEPS = 12  # most steps ahead that are printed


@dataclass(frozen=True)
class Backtest:
    """Forecast from every row of a test, and compare with the truth.

    Prints errors by step ahead, and how often the intervals cover the truth.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder that tidegate train forecast wrote."""
    data: Annotated[str | None, tyro.conf.Positional, shown_as("[DATA]")] = None
    """File with the columns of the training data. Of the file that the model was trained on, only the test rows are
    forecast; of others all but the first ones, which serve as history. May be left out for a bundled set."""
    stride: Annotated[int, tyro.conf.arg(metavar="ROWS")] = 1
    """Rows from one origin of a forecast to the next."""
    out: Annotated[Path | None, shown_as("FILE.csv")] = None
    """Write all forecasts with their origin and the true value into this file, as CSV or JSON."""
    plot: Annotated[Path | None, shown_as("FILE.svg")] = None
    """Plot the last forecasts beside the truth, and the errors by step ahead, into this SVG, PNG or PDF file."""
    threads: Threads = None

    def run(self) -> None:
        """Forecast, write, and print the errors."""
        check_picture("plot", self.plot)
        check_number("stride", self.stride)
        with status() as now:
            check_model(self.model, self.data)
            now.phase("loading torch")
            from tidegate.tasks.forecast.estimator import Forecaster

            model = Forecaster.from_pretrained(self.model)
            now.phase("forecasting")
            found = model.rolled(self.data, stride=self.stride)
            if self.plot is not None:
                now.phase("plotting")
                write_file("plot", self.plot, drawn(found.figure(), self.plot))
        if self.out is not None:
            write_file("out", self.out, in_file(found.frame, self.out))
        origins = f"{len(found.forecasts.origin):,} forecasts on {shown(found.title)}"
        console().print(_by_step(found.by_step(), f"errors by step ahead of {origins}"))
        name_written(self.out, self.plot)


def _by_step(frame: DataFrame, title: str) -> Table:
    """A row for each step ahead, or for some of them, and their mean."""
    rows = table(*map(shown, frame.columns), title=title)
    spaced = sorted({round(at * (len(frame) - 1) / (STEPS - 1)) for at in range(STEPS)})
    for at in spaced if len(frame) > STEPS else range(len(frame)):
        step, *values = frame.iloc[at]
        rows.add_row(f"{step:g}", *(f"{value:.4g}" for value in values))
    if len(frame) > 1:
        squares = (frame.filter(like="RMSE") ** 2).mean() ** 0.5
        means = frame.drop(columns="step").mean()
        rows.add_row("all", *(f"{squares.get(name, value):.4g}" for name, value in means.items()), style="bold")
    return rows
