"""What is shown of a model's scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tidegate.cli.console import fitting, print_line, print_note, shown, table
from tidegate.cli.words import in_shell
from tidegate.records import DataRecord, PrivacyRecord, ScoreRecord, VerdictRecord, privacy_sentence

BEST: Mapping[str, Callable[..., Any]] = {"lower": min, "higher": max}


def print_scores(screen: Console, scores: Sequence[ScoreRecord], data: str) -> None:
    """Print the table of scores, and one note that names each score in which a baseline is better than the model.

    Args:
        screen: where to print them.
        scores: of a model.
        data: what they were computed on.
    """
    screen.print()
    print_line(screen, f"scores on {data}", style="bold")
    screen.print(score_table(screen, scores))
    if lost := list(filter(None, map(_defeat, scores))):
        print_note(screen, f"a baseline beats the model in {'; '.join(lost)}")


def print_verdict(screen: Console, verdict: VerdictRecord | None, options: Iterable[str] = ()) -> None:
    """Print whether the model is worth more than its baselines, and what to do if it is not.

    Args:
        screen: where to print.
        verdict: of a training; nothing is printed without one.
        options: of the command line, which the advice may name.
    """
    if verdict is None:
        return
    screen.print()
    print_line(screen, f"verdict: {verdict.text}")
    if verdict.advice:
        print_line(screen, in_shell(verdict.advice, options))


def print_privacy(screen: Console, privacy: PrivacyRecord | None) -> None:
    """Print what a model promises to those whose data it learnt from; nothing for a model without privacy.

    Args:
        screen: where to print.
        privacy: of the model.
    """
    if privacy is not None:
        screen.print()
        print_line(screen, f"privacy: {privacy_sentence(privacy)}")


def _defeat(score: ScoreRecord) -> str:
    """A score with the model's value and that of the best baseline; empty if none is better than the model."""
    if score.better not in BEST:  # such as a share that should be 0.8
        return ""
    best = BEST[score.better]
    name, value = best(score.baselines.items(), key=lambda line: line[1], default=("", score.value))
    if best(value, score.value) == score.value or f"{value:.4g}" == f"{score.value:.4g}":  # as they are shown
        return ""
    return f"{score.name} ({name} {value:.4g}, model {score.value:.4g})"


def score_table(screen: Console, scores: Sequence[ScoreRecord]) -> Table:
    """A row for each score, a column for the model, its parts and each baseline; another form if that is too wide."""
    rivals = list(dict.fromkeys(name for score in scores for name in score.baselines))
    parts = list(dict.fromkeys(name for score in scores for name in score.parts))
    others = [*parts, *rivals]
    wide = table("score", "model", *map(shown, others), "better")
    for score in scores:
        unit = f" ({score.unit})" if score.unit and score.unit != score.name else ""
        wide.add_row(shown(score.name + unit), _bold(score), *(_other(score, name) for name in others), score.better)
    tall = table("", *(shown(score.name) for score in scores))
    tall.add_row("model", *map(_bold, scores))
    for name in others:
        tall.add_row(shown(name), *(_other(score, name) for score in scores))
    tall.add_row("better", *(score.better for score in scores), style="dim")
    return fitting(screen, wide, tall)


def of_test(data: DataRecord) -> str:
    """What a model was tested on: a file of its own, or a part of its data."""
    return data.test or f"the test part of {data.name}"


def _bold(score: ScoreRecord) -> str:
    return f"[bold]{score.value:.4g}[/]"


def _other(score: ScoreRecord, name: str) -> str:
    values = {**score.baselines, **score.parts}
    return f"{values[name]:.4g}" if name in values else ""
