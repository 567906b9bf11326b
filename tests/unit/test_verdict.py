"""The verdict of a training: standard errors against simulation and arithmetic, outcomes and advice."""

import json

import numpy as np
import pytest

from tidegate.records import EpochRecord, ScoreRecord
from tidegate.tasks import SequenceClassifier
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.train.sample import Sample, deciding, standard_error
from tidegate.train.verdict import verdict


def test_of_single_terms_it_is_the_paired_standard_error():
    own, other = np.random.default_rng(0).normal(size=(2, 50))
    expected = np.std(own - other, ddof=1) / np.sqrt(50)
    assert standard_error(Sample.of(own), Sample.of(other)) == pytest.approx(expected)
    shifted = Sample.of(other + 3)
    assert standard_error(Sample.of(own), shifted) == pytest.approx(expected)  # only the spread matters


def test_of_parts_of_unlike_sizes_it_is_the_spread_of_repeated_draws():
    rng = np.random.default_rng(1)

    def draw() -> tuple[Sample, Sample]:
        counts = rng.integers(1, 30, 80)
        hard = rng.normal(size=80)
        return (
            Sample.of(counts * (1 + hard + 0.3 * rng.normal(size=80)), counts),
            Sample.of(counts * (1.1 + hard + 0.3 * rng.normal(size=80)), counts),
        )

    pairs = [draw() for _ in range(800)]
    gaps = [own.mean - other.mean for own, other in pairs]
    errors = [standard_error(own, other) for own, other in pairs]
    assert np.mean(errors) == pytest.approx(np.std(gaps), rel=0.1)


def test_parts_of_a_row_of_errors():
    grouped = Sample.grouped([1, 2, 3, 4, 5], [2, 0, 3])
    assert grouped.errors.tolist() == [3, 12]
    assert grouped.counts.tolist() == [2, 3]
    assert grouped.mean == 3
    blocks = Sample.blocks(np.arange(1000), 300)
    assert blocks.counts.tolist() == [334, 333, 333]
    assert len(Sample.blocks(np.arange(100_000), 10).errors) == 100
    assert len(Sample.blocks(np.arange(7), 10).errors) == 1


def score(value: float, rival: float, spread: float, better: str = "lower", name: str = "NLL") -> ScoreRecord:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=100)
    noise = spread * 10 * (noise - noise.mean()) / noise.std(ddof=1)  # so that the standard error is the spread
    record = ScoreRecord(name, value, "", better, {"strong": rival, "weak": rival + (1 if better == "lower" else -1)})
    others = {"strong": Sample.of(np.full(100, rival)), "weak": Sample.of(np.full(100, rival + 1))}
    return deciding(record, Sample.of(value + noise), others, "rows")


@pytest.mark.parametrize(
    ("value", "rival", "better", "outcome"),
    [
        (0.38, 0.40, "lower", "better"),
        (0.395, 0.40, "lower", "level"),
        (0.405, 0.40, "lower", "level"),
        (0.42, 0.40, "lower", "worse"),
        (0.82, 0.80, "higher", "better"),
        (0.78, 0.80, "higher", "worse"),
    ],
)
def test_level_is_within_one_standard_error_of_the_best_baseline(value, rival, better, outcome):
    found = verdict([score(value, rival, 0.01, better)])
    assert found.outcome == found.contests[0].outcome == outcome
    assert found.contests[0].baseline == "strong"
    assert found.contests[0].standard_error == pytest.approx(0.01)
    assert found.contests[0].over == "100 rows"
    assert f"{value:.4g} against {rival:.4g} of strong (difference" in found.text
    assert bool(found.advice) == (outcome != "better")
    assert ("Use strong instead" in found.advice) == (outcome == "worse")


def test_worse_in_one_score_is_worse_and_better_in_one_is_better_than_level():
    level, better = score(0.4, 0.4, 0.01), score(0.9, 0.8, 0.01, "higher", "accuracy")
    worse = score(0.7, 0.8, 0.01, "higher", "accuracy")
    assert verdict([level, better]).outcome == "better"
    assert verdict([level, worse]).outcome == "worse"
    assert verdict([level]).outcome == "level"
    assert verdict([ScoreRecord("NLL", 0.4, baselines={"a": 0.5})]) is None
    assert verdict([]) is None


def test_a_test_of_one_part_has_no_standard_error():
    record = deciding(ScoreRecord("NLL", 1.0, baselines={"a": 2.0}), Sample.of([1]), {"a": Sample.of([2])}, "rows")
    assert record.errors == {}
    assert record.over == ""


def curve(best: int, epochs: int) -> list[EpochRecord]:
    return [EpochRecord(k, 1.0, abs(k - best) / 10, 1.0, 1e-3, 1.0) for k in range(1, epochs + 1)]


def test_advice_follows_the_curve():
    lost, setting = [score(0.5, 0.4, 0.01)], ForecastSetting(epochs=20, hidden_size=32)
    assert (
        "train longer, since the last epochs were the best: epochs=40" in verdict(lost, curve(20, 20), setting).advice
    )
    assert "since epoch 2 of 12 was the best: more dropout=" in verdict(lost, curve(2, 12), setting).advice
    assert "hidden_size=64" in verdict(lost, curve(9, 14), setting).advice


def test_a_model_keeps_its_verdict(tmp_path):
    rng = np.random.default_rng(0)
    texts = [f"{'good' if k % 2 else 'bad'} {rng.integers(1000)}" for k in range(120)]
    model = SequenceClassifier(epochs=2, hidden_size=4, layers=1).fit(texts, ["yes", "no"] * 60)
    found = model.verdict_
    assert {contest.score for contest in found.contests} == {"accuracy", "NLL"}
    model.save_pretrained(tmp_path)
    assert SequenceClassifier.from_pretrained(tmp_path).verdict_ == found
    card = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert card["verdict"]["outcome"] == found.outcome
    assert card["verdict"]["text"] == found.text
