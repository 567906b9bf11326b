"""``tidegate generate``: text that a trained model writes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tidegate.cli.console import shown_as
from tidegate.errors import InputError

if TYPE_CHECKING:
    from tidegate.tasks.language.estimator import LanguageModel


@dataclass(frozen=True)
class Generate:
    """Write on: what may follow a prompt, symbol by symbol, as a language model has learnt it.

    Without --beam each symbol is drawn at random; the same seed gives the same text.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The folder that tidegate train language wrote."""
    prompt: Annotated[str, shown_as("TEXT")] = ""
    """What stands before; - reads it from standard input."""
    length: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 400
    """Symbols (characters or pieces) at most."""
    temperature: Annotated[float | None, shown_as("NUMBER")] = None
    """Below 1 for likelier symbols, above 1 for rarer ones, 0 for always the likeliest; 1 unless given."""
    top_k: Annotated[int | None, shown_as("NUMBER")] = None
    """Choose among so many of the likeliest symbols."""
    top_p: Annotated[float | None, shown_as("NUMBER")] = None
    """Choose among the likeliest symbols that together have this probability."""
    until: Annotated[str | None, shown_as("TEXT")] = None
    """End with this text."""
    seed: Annotated[int | None, shown_as("NUMBER")] = None
    """Of the random choices; 0 unless given."""
    beam: Annotated[int | None, shown_as("NUMBER")] = None
    """Do not draw, but search for the likeliest continuation, keeping so many in each step."""
    best: Annotated[int | None, shown_as("NUMBER")] = None
    """With --beam: print so many, the best first; 1 unless given."""
    penalty: Annotated[float | None, shown_as("NUMBER")] = None
    """With --beam: the power of the length by which log probabilities are divided; 0 favours short texts, 1 unless
    given."""

    def run(self) -> None:
        """Load, write."""
        self._check()
        prompt = _standard_input() if self.prompt == "-" else self.prompt
        from tidegate.tasks.language.estimator import LanguageModel  # slow to load: not for --help

        model = LanguageModel.from_pretrained(self.model)
        if self.beam is None:
            self._draw(model, prompt)
        else:
            self._search(model, prompt)

    def _check(self) -> None:
        """What only drawing or only searching heeds is refused where it would do nothing."""
        drawing = {
            "--temperature": self.temperature,
            "--top-k": self.top_k,
            "--top-p": self.top_p,
            "--seed": self.seed,
        }
        searching = {"--best": self.best, "--penalty": self.penalty}
        idle = searching if self.beam is None else drawing
        for flag, value in idle.items():
            if value is not None:
                how = "without --beam" if self.beam is None else "with --beam"
                raise InputError("GENERATE", f"{flag} does nothing {how}", fix="leave one of them out")

    def _draw(self, model: LanguageModel, prompt: str) -> None:
        written = model.generate(
            prompt,
            self.length,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            until=self.until,
            seed=self.seed or 0,
        )
        sys.stdout.write(prompt)
        for text in written:
            sys.stdout.write(text)
            sys.stdout.flush()
        sys.stdout.write("\n")

    def _search(self, model: LanguageModel, prompt: str) -> None:
        assert self.beam is not None
        best, penalty = 1 if self.best is None else self.best, 1.0 if self.penalty is None else self.penalty
        found = model.search(prompt, self.length, width=self.beam, best=best, penalty=penalty, until=self.until)
        for one in found:
            sys.stdout.write(f"{prompt}{one.text}\n")
            if best > 1:
                sys.stdout.write(f"[{one.bits:.2f} bits, score {one.score:.4f}]\n\n")


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            "PROMPT",
            f"standard input is not UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start}",
            fix="convert it, e.g. iconv -f latin1 -t utf-8",
        ) from None
