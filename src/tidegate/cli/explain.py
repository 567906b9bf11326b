"""``tidegate explain MODEL``: what a trained network remembers, where its gradients die, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tidegate.cli.check import check_file, check_model, check_number
from tidegate.cli.console import console, print_line, shown_as
from tidegate.cli.explained import print_explanation
from tidegate.cli.forecast import name_written
from tidegate.cli.status import status
from tidegate.cli.threads import Threads
from tidegate.errors import InputError, did_you_mean
from tidegate.language import check_language, say, speaking

MOST = 256  # sequences
FOUND = 1  # the exit code where a verdict of --fail-on was found


@dataclass(frozen=True)
class Explain:
    """Explain a trained model: what it remembers, where its gradients die, and what to do about it.

    Measures gradients by lag, half-lives, Lyapunov exponents, what the answers rest on, how much history they need, and
    whether padding or chunks change them. Prints verdicts, each with its numbers and a remedy. Without DATA, the model
    is explained on the test part of its training data, if these are bundled.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder that tidegate train wrote."""
    data: Annotated[str | None, tyro.conf.Positional, shown_as("[DATA]")] = None
    """File of the kind that the model was trained on; of that file itself, only the test part is used."""
    lag: Annotated[str, tyro.conf.arg(metavar="STEPS|auto")] = "auto"
    """How many steps back the model should remember. auto takes the season of the data, the length of the sequences, or
    what a context curve suggests, and says which."""
    target: Annotated[str, tyro.conf.arg(metavar="WHICH")] = "auto"
    """Answer to explain: last, all (one step of each sequence), the number of a step, or horizon:3 (the third row of a
    forecast). auto takes what suits the task."""
    sequences: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 8
    """Sequences to measure, spread over the data, at most 256."""
    checks: Literal["fast", "all"] = "fast"
    """all also looks for fixed points, for exponents of the layers when they run by themselves and for what they do in
    silence, and measures the loss without single units and features."""
    compare_init: bool = False
    """Measure the same network with fresh weights beside it."""
    try_remedy: bool = False
    """Apply each remedy to a copy, train it and another copy on the training part, and say whether the verdict goes."""
    fail_on: Annotated[str | None, shown_as("NAMES")] = None
    """End with exit code 1 if one of these verdicts is found, such as vanishing,leak; for scripts."""
    out: Annotated[Path | None, shown_as("FILE.html")] = None
    """Write a page with all measurements and every gate into this file."""
    json: Annotated[Path | None, shown_as("FILE.json")] = None
    """Write all measurements into this file."""
    npz: Annotated[Path | None, shown_as("FILE.npz")] = None
    """Write gates, states and gradients of every step into this file, as NumPy arrays."""
    language: Annotated[str, tyro.conf.arg(metavar="en|zh")] = "en"
    """Language of what is printed and of the page: English or Chinese. Names of verdicts, options, errors, phases of
    the work and the JSON file stay in English, and so do the other commands but compare."""
    threads: Threads = None

    def run(self) -> int:
        """Explain, print, and write.

        Returns:
            The exit code: 1 if a fault was found that ``--fail-on`` names, else 0.
        """
        lag = parse_lag(self.lag)
        check_number("sequences", self.sequences, high=MOST)
        check_language(self.language)
        for option, path in (("out", self.out), ("json", self.json), ("npz", self.npz)):
            check_file(option, path)
        with status() as now:
            check_model(self.model, self.data)
            now.phase("loading torch")
            from tidegate.explain import run  # slow to load: not for --help
            from tidegate.explain.verdict import NAMES

            wanted = parse_names(self.fail_on, NAMES)
            found = run(
                str(self.model),
                self.data,
                lag=lag,
                target=self.target,
                sequences=self.sequences,
                checks=self.checks,
                compare_init=self.compare_init,
                try_remedy=self.try_remedy,
            )
            now.phase("writing")
            if self.out is not None:
                found.to_html(self.out, self.language)
            for write, path in ((found.to_json, self.json), (found.to_npz, self.npz)):
                if path is not None:
                    write(path)
        screen, failed = console(), sorted(wanted & {line.name for line in found.verdicts})
        with speaking(self.language):
            print_explanation(screen, found.record)
            name_written(self.out, self.json, self.npz)
            if failed:
                print_line(screen, say("failed on {names}", names=", ".join(failed)))
        return FOUND if failed else 0


def parse_lag(text: str) -> int | str:
    """``"auto"``, or a number of steps.

    Raises:
        InputError: it is neither.
    """
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 2:
        raise InputError(
            "LAG", f"--lag {text} is neither auto nor a number of steps from 2 on", fix="choose --lag auto"
        )
    return int(text)


def parse_names(text: str | None, known: Collection[str]) -> set[str]:
    """The names of verdicts in a list with commas.

    Args:
        text: None for no list.
        known: all names of verdicts.

    Raises:
        InputError: there is no such verdict.
    """
    names = {} if text is None else {name.strip(): None for name in text.split(",")}
    for name in names:
        if name not in known:
            near = did_you_mean(name, known)
            raise InputError(
                "FAIL_ON", f"--fail-on: there is no verdict {name!r}{near}", fix=f"choose of {', '.join(known)}"
            )
    return set(names)
