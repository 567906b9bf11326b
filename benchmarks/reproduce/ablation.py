"""Row 5: the eight ablations of the LSTM on JSB chorales, Greff et al. 2017."""

from typing import Any

from tidegate import tasks
from tidegate.compare.statistic import ENOUGH_SEEDS, pairs
from tidegate.records import PairRecord
from tidegate.tasks.music.setting import MusicSetting

from .case import Case, listed, results_of

SOURCE = "Greff et al. 2017, arXiv 1503.04069"
REMARK = (
    "Published is no table but its outcome: on this set no variant differs from the vanilla LSTM significantly; "
    "over all three sets of the study the forget gate and the output activation matter most. There 200 random "
    "settings a variant, here the same settings for all of them, 100 units each, and seeds that share the order "
    "of the data. With one setting for all, seeds differ so little that small differences count: without its forget "
    "gate the LSTM is clearly worse, without output gate, with coupled gates or with full gate recurrence a little; "
    "the output activation, of which the study says more, makes no difference here."
)
VARIANTS = ("V", "NP", "CIFG", "NFG", "NOAF", "NIG", "NOG", "NIAF", "FGR")


def _case(cell: str) -> Case:
    setting = MusicSetting(
        cell=cell.lower(),
        hidden_size=100,
        dropout=0.5,
        recurrent_dropout=0.3,
        learning_rate=4e-3,
        batch_size=16,
        epochs=250,
        patience=16,
        patience_rate=4,
        nade_size=0,
    )
    return Case(cell, lambda setting: tasks.load("jsb", setting=setting), setting, "-", SOURCE)


CASES = [_case(cell) for cell in VARIANTS]


def reading(records: list[dict[str, Any]]) -> str:
    """Each variant against the vanilla LSTM, on common seeds, corrected for eight comparisons."""
    scores = {case.name: {run["seed"]: run["scores"]["NLL"] for run in results_of(case, records)} for case in CASES}
    found = [
        _against_vanilla(name, scores) for name in VARIANTS[1:] if len(scores[name].keys() & scores["V"].keys()) > 1
    ]
    if not found:
        return ""
    columns = ("variant less vanilla", "difference", "95 % interval", "p", "p, Bonferroni", "common seeds")
    few = f" Fewer than {ENOUGH_SEEDS} seeds are no evidence." if found[0].seeds < ENOUGH_SEEDS else ""
    lines = [
        f"| {pair.a} | {pair.difference:+.4f} | {pair.low:+.4f} to {pair.high:+.4f} | {pair.p:.2g} | "
        f"{min(1.0, 8 * pair.p):.2g} | {pair.seeds} |"
        for pair in found
    ]
    return f"\n\nPaired t tests.{few}\n\n{listed(columns, lines)}"


def _against_vanilla(name: str, scores: dict[str, dict[int, float]]) -> PairRecord:
    (pair,) = pairs({name: scores[name], "V": scores["V"]})
    return pair
