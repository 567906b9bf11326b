"""``tidegate translate``: translate sentences, or spell out the pronunciation of words."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tidegate.cli.check import check_model
from tidegate.cli.console import console, print_line, shown_as
from tidegate.cli.status import status
from tidegate.cli.threads import Threads
from tidegate.errors import InputError


@dataclass(frozen=True)
class Translate:
    """Translate texts with a trained model, one line each.

    Texts are arguments, lines of --file, or lines of standard input.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder that tidegate train translation wrote."""
    texts: Annotated[tuple[str, ...], tyro.conf.Positional, shown_as("[TEXT ...]")] = ()
    """Texts to translate."""
    file: Annotated[Path | None, shown_as("FILE")] = None
    """UTF-8 file with one text a line."""
    beam: Annotated[int | None, shown_as("NUMBER")] = None
    """Width of the beam search; 1 is greedy. The model's own setting unless given."""
    threads: Threads = None

    def run(self) -> None:
        """Translate and print."""
        if self.texts and self.file:
            raise InputError("TEXTS", "both texts and --file are given", fix="leave out one of them")
        check_model(self.model)
        texts = self.texts or self._lines()
        with status() as now:
            now.phase("loading torch")
            from tidegate.tasks.translation.estimator import Translator

            model = Translator.from_pretrained(self.model)
            now.phase("translating")
            lines = model.translate(texts, beam=self.beam)
        screen = console()
        for line in lines:
            print_line(screen, line)

    def _lines(self) -> list[str]:
        from tidegate.data import Source, decode, locate
        from tidegate.data.text import file_lines

        standard = Source("memory", "standard input", b"" if self.file else sys.stdin.buffer.read())
        return file_lines(decode(locate(self.file) if self.file else standard))
