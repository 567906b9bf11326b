"""``tidegate transcribe``: what is said in recordings."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tidegate.cli.check import check_number
from tidegate.cli.console import console, shown_as
from tidegate.errors import InputError

if TYPE_CHECKING:
    from tidegate.tasks.speech.estimator import Transcript

HEADER = ("recording", "rank", "text", "log_probability")


@dataclass(frozen=True)
class Transcribe:
    """Write down what is said in recordings, a line each."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The folder that tidegate train speech wrote."""
    recordings: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RECORDING")]
    """Sound files, folders of such, or fsdd for the twelve bundled recordings."""
    beam: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 1
    """Prefixes that a beam search keeps; 1 takes the best path."""
    best: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 1
    """Hypotheses to show of each recording; no more than --beam."""
    timings: bool = False
    """Show when each symbol is said, in seconds."""
    resample: bool = False
    """Resample recordings of another rate than those of the training."""
    out: Annotated[Path | None, shown_as("FILE")] = None
    """Write a CSV file, too."""

    def run(self) -> None:
        """Transcribe and print; a CSV file is written once all is read."""
        check_number("beam", self.beam)
        check_number("best", self.best, high=self.beam)
        if not self.recordings:
            raise InputError("TRANSCRIBE_NOTHING", "no recording was named", fix="tidegate transcribe MODEL a.wav")
        from tidegate.storage import replace_file
        from tidegate.tasks.speech.estimator import Transcriber  # slow to load: not for --help

        model, screen = Transcriber.from_pretrained(self.model), console()
        found = []
        for one in model.transcribe(self.recordings, beam=self.beam, best=self.best, resample=self.resample):
            found.append(one)
            for line in self._lines(one):
                screen.print(line, markup=False, soft_wrap=True)
        if self.out is not None:
            replace_file(self.out, _table(found))

    def _lines(self, one: Transcript) -> list[str]:
        timings = "".join(f"  {part.symbol} {part.start:.2f}-{part.end:.2f}" for part in one.spoken)
        first = f"{one.name}: {one.text}" + (f"  [{timings.strip()}]" if self.timings and one.spoken else "")
        if self.best == 1:
            return [first]
        ranks = [(one.text, one.log_probability), *one.others]
        return [first, *(f"  {number}. {text}  {chance:.3f}" for number, (text, chance) in enumerate(ranks, 1))]


def _table(found: list[Transcript]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for one in found:
        for rank, (said, chance) in enumerate([(one.text, one.log_probability), *one.others], 1):
            writer.writerow([one.name, rank, said, f"{chance:.6g}"])
    return text.getvalue()
