"""``tidegate forecast``: how series go on, as a table and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.markup import escape

from tidegate.cli.check import check_picture
from tidegate.cli.console import console, shown_as, table

if TYPE_CHECKING:
    from pandas import DataFrame

SHOWN = 100  # rows in the shell


@dataclass(frozen=True)
class Forecast:
    """Forecast how series go on, by a model that tidegate train forecast made.

    Without DATA they go on behind the last rows of the training file.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The folder that tidegate train wrote."""
    data: Annotated[str | None, tyro.conf.Positional, shown_as("[DATA]")] = None
    """A file with the columns of the training, up to the present; of columns known ahead the rows to come, too."""
    horizon: Annotated[int | None, shown_as("ROWS")] = None
    """How many rows ahead; that of the training unless given."""
    out: Annotated[Path | None, shown_as("FILE.csv")] = None
    """Where the table goes, in place of the screen."""
    plot: Annotated[Path | None, shown_as("FILE.svg")] = None
    """Draw history, forecast and quantiles there, as SVG, PNG or PDF."""
    held_out: bool = False
    """In the picture, forecast the last rows of the data and show them beside."""

    def run(self) -> None:
        """Forecast, then print or write."""
        check_picture("plot", self.plot)
        from tidegate.tasks.forecast.estimator import Forecaster  # slow to load: not for --help

        model = Forecaster.from_pretrained(self.model)
        frame = model.predict(self.horizon, history=self.data)
        if self.out is not None:
            frame.to_csv(self.out, index=False)
        else:
            _show(frame)
        if self.plot is not None:
            model.plot(self.horizon, history=self.data, held_out=self.held_out).savefig(self.plot, dpi=150)
        for written in (self.out, self.plot):
            if written is not None:
                console().print(f"wrote {written}", markup=False, soft_wrap=True)


def _show(frame: DataFrame) -> None:
    shown = table(*map(escape, frame.columns))
    for row in frame.head(SHOWN).itertuples(index=False):
        shown.add_row(*(f"{cell:.6g}" if isinstance(cell, float) else escape(str(cell)) for cell in row))
    console().print(shown)
    if len(frame) > SHOWN:
        console().print(f"and {len(frame) - SHOWN} more rows: --out FILE.csv writes all of them")
