"""``tidegate transcribe``: turn recordings into text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tidegate.cli.check import check_model, check_number
from tidegate.cli.console import console, print_line, shown_as
from tidegate.cli.status import status
from tidegate.cli.threads import Threads
from tidegate.errors import InputError
from tidegate.plain import to_csv

if TYPE_CHECKING:
    from tidegate.tasks.speech.estimator import Transcript

HEADER = ("recording", "rank", "text", "log_probability")


@dataclass(frozen=True)
class Transcribe:
    """Transcribe recordings, one line each."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder that tidegate train speech wrote."""
    recordings: Annotated[tuple[str, ...], tyro.conf.Positional, shown_as("RECORDING ...")]
    """Sound files, folders of sound files, or fsdd for the twelve bundled recordings."""
    beam: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 1
    """Width of the prefix beam search; 1 takes the best path instead."""
    best: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 1
    """Number of hypotheses to show for each recording; at most --beam."""
    timings: bool = False
    """Show when each symbol is spoken, in seconds."""
    resample: bool = False
    """Resample recordings whose sample rate differs from the model's."""
    out: Annotated[Path | None, shown_as("FILE")] = None
    """Also write the transcripts into this CSV file."""
    threads: Threads = None

    def run(self) -> None:
        """Transcribe and print; write the CSV file at the end."""
        check_number("beam", self.beam)
        check_number("best", self.best)
        if not self.recordings:
            raise InputError("TRANSCRIBE_NOTHING", "no recording is named", fix="write tidegate transcribe MODEL a.wav")
        from tidegate.storage import replace_file

        transcripts, screen = [], console()
        with status(screen) as now:
            check_model(self.model)
            now.phase("loading torch")
            from tidegate.tasks.speech.estimator import Transcriber

            model = Transcriber.from_pretrained(self.model)
            now.phase("transcribing")
            for transcript in model.transcribe(self.recordings, beam=self.beam, best=self.best, resample=self.resample):
                transcripts.append(transcript)
                for line in self._lines(transcript):
                    print_line(screen, line)
        if self.out is not None:
            replace_file(self.out, _csv(transcripts))

    def _lines(self, transcript: Transcript) -> list[str]:
        timings = "  ".join(f"{part.symbol} {part.start:.2f}-{part.end:.2f}" for part in transcript.spoken)
        first = f"{transcript.name}: {transcript.text}"
        if self.timings and transcript.spoken:
            first += f"  [{timings.strip()}]"
        if self.best == 1:
            return [first]
        return [first, *(f"  {rank}. {text}  {chance:.3f}" for rank, (text, chance) in _ranked(transcript))]


def _ranked(transcript: Transcript) -> Iterator[tuple[int, tuple[str, float]]]:
    """The hypotheses with their log-probabilities, numbered from 1."""
    return enumerate([(transcript.text, transcript.log_probability), *transcript.others], 1)


def _csv(transcripts: list[Transcript]) -> str:
    rows = [
        [transcript.name, rank, text, f"{chance:.6g}"]
        for transcript in transcripts
        for rank, (text, chance) in _ranked(transcript)
    ]
    return to_csv(HEADER, rows)
