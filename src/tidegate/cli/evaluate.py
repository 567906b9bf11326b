"""``tidegate evaluate``: the scores of a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tidegate.cli.check import check_model
from tidegate.cli.console import console, shown_as
from tidegate.cli.score import of_test, print_privacy, print_scores, print_verdict
from tidegate.cli.status import status
from tidegate.cli.threads import Threads


@dataclass(frozen=True)
class Evaluate:
    """Score a trained model and compare it with naive baselines.

    Scores the model on all of DATA, or, without DATA, on the test split of its training data.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder that tidegate train wrote."""
    data: Annotated[str | None, tyro.conf.Positional, shown_as("[DATA]")] = None
    """File of the kind that the model was trained on."""
    threads: Threads = None

    def run(self) -> None:
        """Score and print."""
        with status() as now:
            check_model(self.model, self.data)
            now.phase("loading torch")
            from tidegate.tasks import from_pretrained
            from tidegate.train.verdict import verdict

            model = from_pretrained(self.model)
            scores = model.evaluate(self.data)
        screen = console()
        print_scores(screen, scores, self.data or of_test(model.data_))
        print_verdict(screen, model.verdict_ if self.data is None else verdict(scores))
        print_privacy(screen, model.privacy_)
