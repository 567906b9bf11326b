"""Whether a trained model is worth more than its baselines, in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tidegate.records import ContestRecord, EpochRecord, Outcome, ScoreRecord, VerdictRecord
from tidegate.train.fitted import is_private
from tidegate.train.setting import Training

EARLY = 0.2  # share of the epochs; a best epoch before it was followed by learning by heart
LATE = 0.9  # a best epoch after it may not have been the last good one


def verdict(
    scores: Sequence[ScoreRecord], curve: Sequence[EpochRecord] = (), setting: Training | None = None
) -> VerdictRecord | None:
    """Judge a model by its scores.

    Args:
        scores: of the test split; those that decide have standard errors.
        curve: of the training, for advice.
        setting: of the training, for advice.

    Returns:
        The verdict; None if no score has a standard error, since no baseline was scored or the test is a single part.
    """
    contests = tuple(_contests(scores))
    if not contests:
        return None
    found = {contest.outcome for contest in contests}
    outcome: Outcome = "worse" if "worse" in found else "better" if "better" in found else "level"
    text = " ".join([f"{outcome}.", *map(_sentence, contests)])
    return VerdictRecord(outcome, contests, text, _advice(outcome, contests, curve, setting))


def _contests(scores: Sequence[ScoreRecord]) -> Iterator[ContestRecord]:
    for score in scores:
        lower = score.better == "lower"
        rivals = {name: value for name, value in score.baselines.items() if name in score.errors}
        if rivals:
            name = (min if lower else max)(rivals, key=rivals.__getitem__)
            lead = (rivals[name] - score.value) * (1 if lower else -1)
            error = score.errors[name]
            outcome: Outcome = "level" if abs(lead) <= error else "better" if lead > 0 else "worse"
            yield ContestRecord(outcome, score.name, score.value, name, rivals[name], error, score.over)


def _sentence(contest: ContestRecord) -> str:
    what = {"better": "better than every baseline", "level": "level with the best baseline"}
    gap = abs(contest.value - contest.baseline_value)
    return (
        f"In {contest.score} {what.get(contest.outcome, 'worse than the best baseline')}: {contest.value:.4g} against "
        f"{contest.baseline_value:.4g} of {contest.baseline} (difference {gap:.2g} ± {contest.standard_error:.2g} over "
        f"{contest.over})."
    )


def _advice(
    outcome: Outcome, contests: Sequence[ContestRecord], curve: Sequence[EpochRecord], setting: Training | None
) -> str:
    if outcome == "better":
        return ""
    best = next(contest.baseline for contest in contests if contest.outcome == outcome)
    use = f"Use {best} instead" if outcome == "worse" else f"Use {best}, which is simpler and does as well"
    return ", or ".join([use, *_next(curve, setting)]) + "."


def _next(curve: Sequence[EpochRecord], setting: Training | None) -> list[str]:
    """What to try, by where in training the best epoch was."""
    if not curve or setting is None:
        return []
    if is_private(setting):
        more = 2 * (setting.epsilon or 0)
        return [f"spend more: epsilon={more:g}", "learn from more rows, among which noise weighs less"]
    epochs = len(curve)
    best = min(curve, key=lambda epoch: epoch.valid).epoch
    if epochs == setting.epochs and best >= LATE * epochs:
        return [f"train longer, since the last epochs were the best: epochs={2 * epochs}"]
    if best <= EARLY * epochs:
        return [f"learn less by heart, since epoch {best} of {epochs} was the best: more dropout=, or more data"]
    return [f"try another size, such as hidden_size={2 * setting.hidden_size}, or compare cells with tidegate compare"]
