"""``tidegate forecast``: the next rows of series, as a table and a plot."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from tidegate.cli.check import check_model, check_picture, write_file
from tidegate.cli.console import console, fitting, print_line, shown, shown_as, table
from tidegate.cli.status import status
from tidegate.cli.threads import Threads
from tidegate.errors import visible
from tidegate.language import say
from tidegate.plain import guarded

if TYPE_CHECKING:
    from pandas import DataFrame

SHOWN = 100  # rows printed


@dataclass(frozen=True)
class Forecast:
    """Forecast the next rows of one or more series.

    Continues the training data, or DATA if given.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder that tidegate train forecast wrote."""
    data: Annotated[str | None, tyro.conf.Positional, shown_as("[DATA]")] = None
    """File with the columns of the training data, up to the present. Columns known ahead also need future rows, with
    the target left empty."""
    horizon: Annotated[int | None, shown_as("ROWS")] = None
    """Number of rows to forecast; as in training unless given."""
    out: Annotated[Path | None, shown_as("FILE.csv")] = None
    """Write the table into this file, as CSV or JSON, instead of printing it."""
    plot: Annotated[Path | None, shown_as("FILE.svg")] = None
    """Plot history, forecast and quantiles into this SVG, PNG or PDF file."""
    held_out: bool = False
    """Forecast the last known rows instead, beside their true values."""
    threads: Threads = None

    def run(self) -> None:
        """Forecast, then print or write."""
        check_picture("plot", self.plot)
        with status() as now:
            check_model(self.model, self.data)
            now.phase("loading torch")
            from tidegate.tasks.forecast.estimator import Forecaster

            model = Forecaster.from_pretrained(self.model)
            now.phase("forecasting")
            frame = model.predict(self.horizon, history=self.data, held_out=self.held_out)
            if self.plot is not None:
                now.phase("plotting")
                figure = model.plot(self.horizon, history=self.data, held_out=self.held_out)
                picture = drawn(figure, self.plot)
        if self.out is not None:
            write_file("out", self.out, in_file(frame, self.out))
        else:
            show(frame)
        if self.plot is not None:
            write_file("plot", self.plot, picture)
        name_written(self.out, self.plot)


def name_written(*paths: Path | None) -> None:
    """Say which files were written; None for those that nobody asked for."""
    for path in paths:
        if path is not None:
            print_line(console(), say("wrote {path}", path=path))


def drawn(figure: Any, path: Path) -> bytes:
    """A figure of matplotlib as a picture of the kind that the suffix of the path says."""
    content = io.BytesIO()
    figure.savefig(content, dpi=150, format=path.suffix[1:].lower())
    return content.getvalue()


def in_file(frame: DataFrame, path: Path) -> str:
    """The table as JSON, a list of objects, for a file .json; else as CSV, its texts as ``to_csv`` writes them."""
    if path.suffix.casefold() == ".json":
        return (
            str(frame.to_json(orient="records", date_format="iso", double_precision=15, force_ascii=False, indent=1))
            + "\n"
        )
    texts = frame.select_dtypes(include=["object", "str"]).columns
    safe = frame.assign(**{name: frame[name].map(guarded) for name in texts})
    return safe.rename(columns=lambda name: guarded(visible(name))).to_csv(index=False)


def show(frame: DataFrame) -> None:
    """Print the table, or its beginning."""
    rows = table(*map(shown, frame.columns))
    for row in frame.head(SHOWN).itertuples(index=False):
        rows.add_row(*(f"{cell:.6g}" if isinstance(cell, float) else shown(cell) for cell in row))
    console().print(fitting(console(), rows))
    if len(frame) > SHOWN:
        console().print(f"and {len(frame) - SHOWN} more rows: --out FILE.csv writes all of them")
