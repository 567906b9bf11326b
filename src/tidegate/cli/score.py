"""What is shown of a model's scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from tidegate.cli.console import print_note, shown, table
from tidegate.records import ScoreRecord

BEST: Mapping[str, Callable[..., Any]] = {"lower": min, "higher": max}


def print_scores(screen: Console, scores: Sequence[ScoreRecord], data: str) -> None:
    """Print the table of scores, and one note that names each score in which a baseline is better than the model."""
    screen.print(score_table(screen, scores, data))
    if lost := list(filter(None, map(_defeat, scores))):
        print_note(screen, f"a baseline beats the model in {'; '.join(lost)}")


def _defeat(score: ScoreRecord) -> str:
    """A score with the model's value and that of the best baseline; empty if none is better than the model."""
    if score.better not in BEST:  # such as a share that should be 0.8
        return ""
    best = BEST[score.better]
    name, value = best(score.baselines.items(), key=lambda line: line[1], default=("", score.value))
    if best(value, score.value) == score.value:
        return ""
    return f"{score.name} ({name} {value:.4g}, model {score.value:.4g})"


def score_table(screen: Console, scores: Sequence[ScoreRecord], data: str) -> Table:
    """A row for each score, a column for the model, its parts and each baseline; transposed where that is too wide."""
    rivals = list(dict.fromkeys(name for score in scores for name in score.baselines))
    parts = list(dict.fromkeys(name for score in scores for name in score.parts))
    others = [*parts, *rivals]
    wide = table("score", "model", *map(shown, others), "better", title=_title(data))
    for score in scores:
        unit = f" ({score.unit})" if score.unit and score.unit != score.name else ""
        wide.add_row(shown(score.name + unit), _bold(score), *(_other(score, name) for name in others), score.better)
    if Measurement.get(screen, screen.options, wide).maximum < screen.width:
        return wide
    tall = table("", *(shown(score.name) for score in scores), title=_title(data))
    tall.add_row("model", *map(_bold, scores))
    for name in others:
        tall.add_row(shown(name), *(_other(score, name) for score in scores))
    tall.add_row("better", *(score.better for score in scores), style="dim")
    return tall


def _title(data: str) -> str:
    return f"\nscores on the test split of {shown(data)}"


def _bold(score: ScoreRecord) -> str:
    return f"[bold]{score.value:.4g}[/]"


def _other(score: ScoreRecord, name: str) -> str:
    values = {**score.baselines, **score.parts}
    return f"{values[name]:.4g}" if name in values else ""
