"""``tidegate attack MODEL``: how answers hold out when inputs are changed on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from tidegate.cli.attacked import print_attack
from tidegate.cli.check import check_file, check_model, check_number
from tidegate.cli.console import console, print_line, shown_as
from tidegate.cli.explain import parse_names
from tidegate.cli.forecast import name_written
from tidegate.cli.status import status
from tidegate.cli.threads import Threads
from tidegate.errors import InputError

FOUND = 1  # the exit code where a check of --fail-on failed
ALL = "checklist"
MOST = 64  # budgets


@dataclass(frozen=True)
class Attack:
    """Attack a trained model: how its answers hold out when inputs are changed on purpose.

    Prints what is left of accuracy (of forecasts: how large errors become) within each budget, the smallest change that
    breaks each example, and a checklist that says whether the attack was honest. Without DATA, the model is attacked on
    the test part of its training data, if these are bundled.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder that tidegate train wrote."""
    data: Annotated[str | None, tyro.conf.Positional, shown_as("[DATA]")] = None
    """File of the kind that the model was trained on; of that file itself, only the test part is used."""
    eps: Annotated[str | None, shown_as("FROM:TO:COUNT")] = None
    """Largest changes, in standard deviations of training: 0:0.5:6, or a list such as 0.1,0.2."""
    text: Literal["chars", "words"] | None = None
    """What is edited in texts: characters, or words of models that read words; what the model reads, unless given."""
    edits: Annotated[str | None, shown_as("NUMBERS")] = None
    """Numbers of edits of a text: 1,2,3."""
    audio_snr: Annotated[str | None, shown_as("DECIBELS")] = None
    """How much louder a recording is than its change, in dB: 40,30,20."""
    norm: Literal["linf", "l2"] = "linf"
    """linf bounds the change of each number, l2 the length of all changes of an example together."""
    steps: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 40
    """Steps of each run of projected gradient ascent."""
    restarts: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 3
    """Runs; all but the first begin at a random change."""
    only_steps: Annotated[str | None, shown_as("FROM:TO")] = None
    """Steps of a series that may change, the first one being 0: 0:10 are the first ten, -10: the last ten."""
    features: Annotated[str | None, shown_as("NAMES")] = None
    """Features that may change, such as a,b; all unless given."""
    target_direction: Literal["error", "up", "down"] = "error"
    """Push forecasts up, down, or away from the truth (error)."""
    tolerance: Annotated[float | None, shown_as("NUMBER")] = None
    """How far a forecast must be pushed to count as broken, in standard deviations; its mean error unless given."""
    examples: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 100
    """Examples to attack, evenly drawn from the test."""
    draws: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 1000
    """Of a model that was trained with --smooth: noisy copies of each example whose votes certify its answer."""
    seed: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 0
    """Of what is drawn."""
    no_checks: bool = False
    """Leave out the checklist, which takes most of the time."""
    fail_on: Annotated[str | None, shown_as("NAMES")] = None
    """End with exit code 1 if one of these checks fails, such as losses,noise; checklist stands for all of them."""
    out: Annotated[Path | None, shown_as("FILE.html")] = None
    """Write a page with curves, examples and the checklist into this file."""
    json: Annotated[Path | None, shown_as("FILE.json")] = None
    """Write all numbers into this file."""
    threads: Threads = None

    def run(self) -> int:
        """Attack, print, and write.

        Returns:
            The exit code: 1 if a check failed that ``--fail-on`` names, else 0.
        """
        only_steps, budgets = parse_span(self.only_steps), self._budgets()
        for option in ("steps", "restarts", "examples", "draws"):
            check_number(option, getattr(self, option))
        if self.fail_on is not None and self.no_checks:
            raise InputError("FAIL_ON", "--fail-on needs the checklist", fix="leave out --no-checks")
        features = None if self.features is None else [name.strip() for name in self.features.split(",")]
        for option, path in (("out", self.out), ("json", self.json)):
            check_file(option, path)
        with status() as now:
            check_model(self.model, self.data)
            now.phase("loading torch")
            from tidegate.attack import run  # slow to load: not for --help
            from tidegate.attack.checklist import CHECKS

            wanted = parse_names(self.fail_on, [ALL, *CHECKS])
            found = run(
                str(self.model),
                self.data,
                text=self.text,
                norm=self.norm,
                steps=self.steps,
                restarts=self.restarts,
                only_steps=only_steps,
                features=features,
                target_direction=self.target_direction,
                tolerance=self.tolerance,
                examples=self.examples,
                draws=self.draws,
                seed=self.seed,
                checks=not self.no_checks,
                **budgets,
            )
            now.phase("writing")
            for write, path in ((found.to_html, self.out), (found.to_json, self.json)):
                if path is not None:
                    write(path)
        print_attack(screen := console(), found.record)
        name_written(self.out, self.json)
        return self._judged(screen, [line.name for line in found.failed if wanted & {ALL, line.name}])

    def _budgets(self) -> dict[str, Sequence[float] | None]:
        """The budgets by the names of their arguments, of which one is given at most."""
        edits, loudness = parse_numbers("edits", self.edits), parse_numbers("audio-snr", self.audio_snr)
        return {"eps": parse_eps(self.eps), "edits": edits, "audio_snr": loudness}

    @staticmethod
    def _judged(screen: Console, failed: Sequence[str]) -> int:
        """The exit code."""
        if failed:
            print_line(screen, f"failed on {', '.join(failed)}")
        return FOUND if failed else 0


def parse_eps(text: str | None) -> Sequence[float] | None:
    """Budgets: evenly spaced ones, as in ``"0:0.5:6"``, or a list with commas.

    Raises:
        InputError: it is neither.
    """
    if text is None:
        return None
    parts = text.split(":")
    try:
        if len(parts) == 1:
            return [float(part) for part in text.split(",")]
        first, last, count = float(parts[0]), float(parts[1]), int(parts[2])
        if len(parts) == 3 and 2 <= count <= MOST:
            return [float(f"{first + (last - first) * k / (count - 1):.6g}") for k in range(count)]
    except (ValueError, IndexError):
        pass
    raise InputError(
        "EPS",
        f"--eps {text} is neither FROM:TO:COUNT with 2 to {MOST} budgets nor a list of numbers",
        fix="write e.g. --eps 0:0.5:6 or --eps 0.1,0.2",
    )


def parse_numbers(option: str, text: str | None) -> Sequence[float] | None:
    """A list of numbers with commas.

    Raises:
        InputError: it is none.
    """
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            "ATTACK_NUMBERS", f"--{option} {text} is no list of numbers", fix=f"write e.g. --{option} 30,20"
        ) from None


def parse_span(text: str | None) -> tuple[int, int | None] | None:
    """The first step that may change and the one behind the last, as in ``"0:10"`` or ``"-10:"``.

    Raises:
        InputError: it is no such pair.
    """
    if text is None:
        return None
    first, colon, last = text.partition(":")
    try:
        if colon:
            return int(first or 0), int(last) if last else None
    except ValueError:
        pass
    raise InputError(
        "ONLY_STEPS", f"--only-steps {text} is not FROM:TO", fix="write e.g. --only-steps 0:10, or --only-steps=-10:"
    )
