"""``tidegate evaluate``: the scores of a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tidegate.cli.console import console, shown_as
from tidegate.cli.score import print_scores


@dataclass(frozen=True)
class Evaluate:
    """Score a trained model and compare it with naive baselines.

    Scores the model on all of DATA, or, without DATA, on the test split of its training data.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder that tidegate train wrote."""
    data: Annotated[str | None, tyro.conf.Positional, shown_as("[DATA]")] = None
    """File of the kind that the model was trained on."""

    def run(self) -> None:
        """Score and print."""
        from tidegate.tasks import from_pretrained  # slow to load: not for --help

        model, screen = from_pretrained(self.model), console()
        print_scores(screen, model.evaluate(self.data), self.data or model.data_.name)
