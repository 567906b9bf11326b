"""Scores of a model as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from tidegate.cli.console import table
from tidegate.records import ScoreRecord


def score_table(scores: Sequence[ScoreRecord], data: str) -> Table:
    """A row for each score; beside the model's the same score of every baseline."""
    names = list(dict.fromkeys(name for score in scores for name in score.baselines))
    shown = table(
        "score", "model", *map(escape, names), "better", title=escape(f"\nscores on the test split of {data}")
    )
    for score in scores:
        baselines = [f"{score.baselines[name]:.4g}" if name in score.baselines else "" for name in names]
        unit = f" ({score.unit})" if score.unit and score.unit != score.name else ""
        shown.add_row(escape(score.name + unit), f"[bold]{score.value:.4g}[/]", *baselines, score.better)
    return shown
