"""``tidegate generate``: write text with a trained model."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tidegate.cli.check import check_model
from tidegate.cli.console import shown_as
from tidegate.cli.status import status
from tidegate.cli.threads import Threads
from tidegate.errors import InputError, visible
from tidegate.tasks.language.setting import Width
from tidegate.train.setting import check_values

if TYPE_CHECKING:
    from tidegate.tasks.language.estimator import LanguageModel


@dataclass(frozen=True)
class Generate:
    """Continue a prompt with a language model.

    Samples one symbol after another; the same seed gives the same text. With --beam, searches for the most probable
    continuation instead.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder that tidegate train language wrote."""
    prompt: Annotated[str, shown_as("TEXT")] = ""
    """Text to continue; - reads it from standard input."""
    length: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 400
    """Largest number of symbols (characters or pieces) to write."""
    temperature: Annotated[float | None, shown_as("NUMBER")] = None
    """Below 1 favours probable symbols, above 1 rare ones; 0 always takes the most probable. 1 unless given."""
    top_k: Annotated[int | None, shown_as("NUMBER")] = None
    """Sample from this many of the most probable symbols."""
    top_p: Annotated[float | None, shown_as("NUMBER")] = None
    """Sample from the most probable symbols that together have this probability."""
    until: Annotated[str | None, shown_as("TEXT")] = None
    """Stop after this text."""
    seed: Annotated[int | None, shown_as("NUMBER")] = None
    """Seed for sampling; 0 unless given."""
    beam: Annotated[Width | None, shown_as("NUMBER")] = None
    """Width of a beam search for the most probable continuation, in place of sampling."""
    best: Annotated[int | None, shown_as("NUMBER")] = None
    """With --beam: number of continuations to print, best first; 1 unless given."""
    penalty: Annotated[float | None, shown_as("NUMBER")] = None
    """With --beam: rank continuations by log-probability / length ** this; 0 favours short ones. 1 unless given."""
    threads: Threads = None

    def run(self) -> None:
        """Load the model and write."""
        self._check()
        prompt = _standard_input() if self.prompt == "-" else self.prompt
        with status() as now:
            check_model(self.model)
            now.phase("loading torch")
            from tidegate.tasks.language.estimator import LanguageModel

            model = LanguageModel.from_pretrained(self.model)
            if self.beam is not None:
                now.phase("searching")
                found = self._searched(model, prompt)
        if self.beam is None:
            self._sample(model, prompt)
        else:
            _write(found)

    def _check(self) -> None:
        """Reject a beam out of range, and options without effect: sampling has its own, and so has the beam search."""
        check_values(type(self), {"beam": self.beam})  # which Python calls width
        sampling = {
            "--temperature": self.temperature,
            "--top-k": self.top_k,
            "--top-p": self.top_p,
            "--seed": self.seed,
        }
        searching = {"--best": self.best, "--penalty": self.penalty}
        without_effect = searching if self.beam is None else sampling
        for flag, value in without_effect.items():
            if value is not None:
                how, fix = ("without", "add --beam") if self.beam is None else ("with", "leave out --beam")
                raise InputError("GENERATE", f"{flag} has no effect {how} --beam", fix=f"{fix}, or leave out {flag}")

    def _sample(self, model: LanguageModel, prompt: str) -> None:
        parts = model.generate(
            prompt,
            self.length,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            until=self.until,
            seed=self.seed or 0,
        )
        _write(prompt)
        for text in parts:
            _write(text)
            sys.stdout.flush()
        _write("\n")

    def _searched(self, model: LanguageModel, prompt: str) -> str:
        assert self.beam is not None
        best, penalty = 1 if self.best is None else self.best, 1.0 if self.penalty is None else self.penalty
        found = model.search(prompt, self.length, width=self.beam, best=best, penalty=penalty, until=self.until)
        return "".join(
            f"{prompt}{one.text}\n" + (f"[{one.bits:.2f} bits, score {one.score:.4f}]\n\n" if best > 1 else "")
            for one in found
        )


def _write(text: str) -> None:
    """Write a text as it is into a file or a pipe, and so that it does not control a terminal."""
    sys.stdout.write(visible(text, "\n\t") if sys.stdout.isatty() else text)


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            "PROMPT",
            f"standard input is not UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start}",
            fix="convert it, e.g. iconv -f cp1252 -t utf-8",
        ) from None
