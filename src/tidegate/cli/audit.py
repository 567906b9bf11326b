"""``tidegate audit MODEL``: what a trained model gives away about the rows that it learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tidegate.cli.audited import print_audit
from tidegate.cli.check import check_file, check_model, check_number
from tidegate.cli.console import console, print_line, shown_as
from tidegate.cli.explain import FOUND, parse_names
from tidegate.cli.forecast import name_written
from tidegate.cli.status import status
from tidegate.cli.threads import Threads

DRAWS = 1 << 22  # most


@dataclass(frozen=True)
class Audit:
    """Audit what a trained model gives away about the rows that it learnt from.

    Tests whether losses tell rows of the training part from others. A model that was trained with --canaries also gets
    a lower bound on epsilon, which may contradict what it states, and the exposure of its canaries; one that was
    trained with --epsilon gets its sampler tested. Without DATA, the model must have been trained on a bundled set.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder that tidegate train wrote."""
    data: Annotated[str | None, tyro.conf.Positional, shown_as("[DATA]")] = None
    """The file that the model was trained on."""
    valid: Annotated[Path | None, shown_as("FILE")] = None
    """File for validation, if the training had one."""
    test: Annotated[Path | None, shown_as("FILE")] = None
    """File for the test, if the training had one."""
    draws: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 4096
    """Rows to draw like canaries, among which these stand; more measure larger exposures without extrapolation."""
    shadows: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 0
    """Models to train like this one, each on a random half of the rows, for an attack by likelihood ratios, which finds
    more. At least 4, better 16; they stay in a folder beside the model. 0 trains none."""
    workers: Annotated[int | None, shown_as("NUMBER")] = None
    """Shadows to train at a time; one for each processor unless given."""
    fail_on: Annotated[str | None, shown_as("NAMES")] = None
    """End with exit code 1 if one of these verdicts is found: contradiction, sampler, memorised, membership; for
    scripts."""
    out: Annotated[Path | None, shown_as("FILE.html")] = None
    """Write a page with all measurements into this file."""
    json: Annotated[Path | None, shown_as("FILE.json")] = None
    """Write all measurements into this file."""
    threads: Threads = None

    def run(self) -> int:
        """Audit, print, and write.

        Returns:
            The exit code: 1 if something was found that ``--fail-on`` names, else 0.
        """
        check_number("draws", self.draws, low=100, high=DRAWS)
        check_number("shadows", self.shadows, low=0)
        check_number("workers", self.workers)
        for option, path in (("out", self.out), ("json", self.json)):
            check_file(option, path)
        with status() as now:
            check_model(self.model, self.data)
            now.phase("loading torch")
            from tidegate.audit import run  # slow to load: not for --help
            from tidegate.audit.verdict import NAMES

            wanted = parse_names(self.fail_on, NAMES)
            found = run(
                str(self.model),
                self.data,
                valid=self.valid,
                test=self.test,
                draws=self.draws,
                shadows=self.shadows,
                workers=self.workers,
            )
            now.phase("writing")
            for write, path in ((found.to_html, self.out), (found.to_json, self.json)):
                if path is not None:
                    write(path)
        screen = console()
        print_audit(screen, found.record)
        name_written(self.out, self.json)
        failed = [
            name
            for name in NAMES
            if name in wanted and any(line.name == name and line.severity != "note" for line in found.verdicts)
        ]
        if failed:
            print_line(screen, f"failed on {', '.join(failed)}")
        return FOUND if failed else 0
