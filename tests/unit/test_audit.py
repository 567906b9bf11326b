"""Audits: bounds held against hand-made cases and mechanisms of known epsilon; models that memorise, or do not."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from tidegate import audit, tasks
from tidegate.audit.verdict import verdicts
from tidegate.errors import InputError
from tidegate.records import CanaryRecord, ClaimRecord, GuessRecord, MembershipRecord, SamplerRecord
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.task import ClassificationTask
from tidegate.train.canary import Canaries

ROUNDS = 60


def test_a_bound_of_right_guesses_alone_is_known_in_closed_form() -> None:
    for made in (10, 100, 1000):
        share = 0.05 ** (1 / made)  # of right guesses that are all right in one of twenty audits
        assert audit.lower_bound(made, made, made, 0, 0.05) == pytest.approx(math.log(share / (1 - share)))
    assert audit.lower_bound(100, 100, 50, 0, 0.05) == 0


def test_delta_costs_what_the_theorem_says() -> None:
    """All guesses right: f(v - i) - f(v) = P[r - i <= W < r], by hand for r = 2, m = 5."""
    epsilon, delta = 1.0, 1e-3
    right = 1 / (1 + math.exp(-epsilon))
    one, both = 2 * right * (1 - right), right**2
    wanted = both + 2 * 5 * delta * max(one / 1, (one + (1 - right) ** 2) / 2)
    assert audit.p_value(5, 2, 2, epsilon, delta) == pytest.approx(wanted)
    assert audit.p_value(5, 2, 2, epsilon, 0) == pytest.approx(both)
    assert audit.p_value(5, 2, 0, epsilon, delta) == 1
    bounds = [audit.lower_bound(1000, 200, 180, delta, 0.05) for delta in (0, 1e-5, 1e-3)]
    assert bounds[0] > bounds[1] > bounds[2] > 0


def epsilon_of_gaussian(shift: float, delta: float) -> float:
    """Of a mechanism whose mean moves by so many deviations: Balle and Wang 2018, arXiv 1805.06530, Theorem 5."""
    low, high = 0.0, 100.0
    for _ in range(80):
        middle = (low + high) / 2
        parts = stats.norm.cdf([shift / 2 - middle / shift, -shift / 2 - middle / shift])
        low, high = (middle, high) if parts[0] - math.exp(middle) * parts[1] > delta else (low, middle)
    return high


@pytest.mark.parametrize(("shift", "power"), [(0.5, 0.2), (1.0, 1.0), (2.0, 2.4)])
def test_bounds_of_a_gaussian_mechanism_are_below_its_epsilon_and_not_far(shift: float, power: float) -> None:
    generator, delta = np.random.default_rng(0), 1e-5
    bounds = []
    for _ in range(ROUNDS):
        coins = generator.random(1000) < 0.5
        guesses = audit.guessed(shift * coins + generator.standard_normal(1000), coins, delta)
        bounds.append(max(one.epsilon for one in guesses))
    assert max(bounds) <= epsilon_of_gaussian(shift, delta)
    assert np.median(bounds) > power


def test_randomised_response_of_a_known_epsilon_is_accused_in_one_of_twenty_at_most() -> None:
    generator, epsilon = np.random.default_rng(1), 1.0
    honest = 1 / (1 + math.exp(-epsilon))
    accused = 0
    for _ in range(400):
        coins = generator.random(300) < 0.5
        answers = np.where(generator.random(300) < honest, coins, ~coins) + 0.1 * generator.random(300)
        accused += max(one.epsilon for one in audit.guessed(answers, coins, 0)) > epsilon
    assert accused <= 20


def test_scores_the_wrong_way_round_and_few_canaries_prove_nothing() -> None:
    coins = np.arange(64) % 2 == 0
    assert max(one.epsilon for one in audit.guessed(-coins.astype(float), coins, 0)) == 0
    assert audit.guessed(np.ones(1), np.array([True]), 0) == []
    assert max(one.epsilon for one in audit.guessed(np.zeros(64), np.ones(64, dtype=bool), 0)) == 0


def test_exposure_is_a_rank_among_draws_and_beyond_them_a_tail() -> None:
    """Carlini et al. 2019: -log2 P[loss of a draw <= loss]; normal losses have a known tail."""
    generator = np.random.default_rng(2)
    drawn = generator.normal(10, 2, 1 << 14)
    found = audit.exposure(np.array([10.0, 6.0, 2.0, -2.0]), drawn)
    exact = -stats.norm.logcdf([0, -2, -4, -6]) / math.log(2)
    assert found.extrapolated.tolist() == [False, False, True, True]
    assert found.bits[:2] == pytest.approx(exact[:2], abs=0.15)
    assert found.bits[2:] == pytest.approx(exact[2:], rel=0.15)
    assert audit.exposure(np.array([-2.0]), drawn, space=20).bits.tolist() == [20]
    assert audit.exposure(drawn[:1000], drawn).bits.mean() == pytest.approx(1 / math.log(2), abs=0.1)
    assert np.isfinite(audit.exposure(np.array([0.0, 5.0]), np.full(100, 5.0)).bits).all()


def test_membership_finds_what_is_known_and_its_interval_covers_it() -> None:
    generator, covered = np.random.default_rng(3), 0
    known = 1 - stats.norm.cdf(stats.norm.ppf(0.99) - 1)
    for _ in range(ROUNDS):
        found = audit.membership(generator.normal(1, 1, 400), generator.normal(0, 1, 500))
        covered += found.found_low <= known <= found.found_high
    assert covered >= 57
    assert found.area == pytest.approx(stats.norm.cdf(1 / math.sqrt(2)), abs=0.05)
    assert found.tells
    nothing = audit.membership(generator.normal(0, 1, 400), generator.normal(0, 1, 500))
    assert not nothing.tells
    same = audit.membership(np.zeros(50), np.zeros(200))
    assert (same.area, same.found) == (0.5, 0)
    all_found = audit.membership(np.ones(50), np.zeros(200))
    assert (all_found.area, all_found.found) == (1, 1)
    assert all_found.found_low == 0  # the threshold of 1 % may lie above 200 others
    assert audit.membership(np.ones(50), np.zeros(2000)).found_low > 0.9


def test_likelihood_ratios_find_more_than_losses() -> None:
    """Rows differ in how hard they are, by more than learning from them changes."""
    generator, rows = np.random.default_rng(4), 600
    hard, learnt = generator.normal(0, 3, rows), generator.random(rows) < 0.5

    def confidences(inside: Any) -> Any:
        return hard + 1.5 * inside + 0.5 * generator.standard_normal(inside.shape)

    inside = generator.random((40, rows)) < 0.5
    scores, spread = audit.ratio(confidences(learnt), confidences(inside), inside)
    assert spread == "one for each row"
    few, shared = audit.ratio(confidences(learnt), confidences(inside[:8]), inside[:8])
    assert shared == "one for all rows"
    assert audit.membership(scores[learnt], scores[~learnt]).found > 0.5
    few_known = np.isfinite(few)
    assert audit.membership(few[learnt & few_known], few[~learnt & few_known]).found > 0.3
    own = confidences(learnt)
    assert audit.membership(own[learnt], own[~learnt]).found < 0.1
    never = audit.ratio(own, own[None].repeat(4, 0), np.zeros((4, rows), dtype=bool))[0]
    assert np.isnan(never).all()
    assert audit.confidence(np.array([math.log(2)])) == pytest.approx(0, abs=1e-12)
    assert audit.confidence(np.array([0.0])) > 20


def canaries(epsilon: float, median: float = 1.0, chance: float = 0.5) -> CanaryRecord:
    exposure = tuple(np.linspace(0, 2 * median, 101).tolist())
    guess = GuessRecord(100, 90, 1e-9, epsilon)
    return CanaryRecord(
        "noise", 100, 50, 5, 1, 2, 0.95, (guess,), epsilon, 4096, exposure, exposure, median, 0.0, chance
    )


def attack(low: float) -> MembershipRecord:
    return MembershipRecord(
        "the loss", "", "rows", 500, 500, 0.6, 0.5, 0.7, low + 0.01, low, low + 0.02, ((0, 0), (1, 1))
    )


def test_verdicts_are_in_words_and_the_worst_comes_first() -> None:
    stated, none = ClaimRecord(8.0, 1e-5, "epsilon 8"), ClaimRecord(None, 1e-5, "")
    (quiet,) = verdicts(stated, canaries(1.3), (), ())
    assert quiet.severity == "note"
    assert (
        "lower bound 1.3 on epsilon with 95 % confidence, which the statement of 8 does not contradict"
        in quiet.sentence
    )
    (loud,) = verdicts(stated, canaries(8.2), (), ())
    assert (loud.name, loud.severity) == ("contradiction", "fault")
    assert loud.sentence.startswith("the audit contradicts the statement: lower bound 8.2")
    assert "makes none" in verdicts(none, canaries(1.3), (), ())[0].sentence
    assert "may be chance" in verdicts(none, canaries(0.0), (), ())[0].sentence
    one = dataclasses.replace(canaries(0.0), count=1, guesses=())
    assert "0 of 0 guesses" in verdicts(none, one, (), ())[0].sentence  # too few to guess
    found = verdicts(none, canaries(3.0, 14, 1e-9), (attack(0.02), attack(0.005)), ())
    assert [line.name for line in found] == ["memorised", "membership", "bound", "membership"]
    assert "one of 16,000 that" in found[0].sentence
    assert found[0].command == "--epsilon 8"
    tests = (
        SamplerRecord("batches", 1e-9, passed=False, sentence="sizes 10 to 10"),
        SamplerRecord("units", 0.5, passed=True, sentence=""),
    )
    (shuffled,) = verdicts(stated, None, (), tests)
    assert (shuffled.name, shuffled.severity) == ("sampler", "fault")
    assert "batches: sizes 10 to 10" in shuffled.sentence


@pytest.fixture(scope="module")
def memorised(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A classifier of names with few rows and many canaries, which it learns by heart."""
    home = tmp_path_factory.mktemp("audit")
    generator = np.random.default_rng(0)
    words = {"".join(generator.choice(list("abcdefghijklmnopqrstuvwxyz"), 6)) for _ in range(260)}
    rows = home / "rows.csv"
    rows.write_text("text,label\n" + "".join(f"{word},{'ab'[word[0] < 'n']}\n" for word in sorted(words)))
    setting: dict[str, Any] = {"hidden_size": 24, "cell": "gru", "bidirectional": False, "votes": False, "dropout": 0.0}
    setting |= {"unit": "character", "unit_dropout": 0.0, "averaging": 0.0, "test_share": 0.4, "epochs": 1}
    examples = ClassificationTask.load(rows, ClassificationSetting(**setting)).examples
    known = Canaries(300, examples.steps, "7" * 64, "")  # the same in every run of this test
    known = dataclasses.replace(known, rows=examples.digest(known.drawn(examples)))
    (home / "model").mkdir()
    (home / "model" / "canaries.json").write_text(known.to_text())
    model = tasks.SequenceClassifier(canaries=300, **setting).fit(rows, folder=home / "model")
    assert model.canaries_ == known
    _overfit(model.model_, examples.task, known)
    model.save_pretrained(home / "model")
    return home / "model", rows


def _overfit(network: torch.nn.Module, task: Any, known: Canaries) -> None:
    """Go on beyond the best epoch on validation, as no training does by itself."""
    planted = [row for row, coin in zip(known.drawn(task.examples), known.coins, strict=True) if coin]
    whole = task.examples.learning_from([*task.examples.rows("train"), *planted])
    optimizer, order = torch.optim.Adam(network.parameters(), 0.01), torch.Generator().manual_seed(0)
    for _ in range(8):
        for batch in whole.batches("train", order):
            optimizer.zero_grad()
            whole.losses(network(batch)[0], batch).mean().backward()
            optimizer.step()


def test_a_model_that_learns_by_heart_is_told_so(memorised: tuple[Path, Path], tmp_path: Path) -> None:
    home, rows = memorised
    found = audit.run(home, rows, draws=1000)
    record = found.record
    assert record.canaries is not None
    assert record.canaries.count == 300
    assert record.canaries.loss_planted < record.canaries.loss_others
    assert found.epsilon > 1
    assert record.canaries.chance < 0.01
    assert record.membership[0].area_low > 0.5
    assert any("shadows" in text for text in record.left_out)
    again = audit.run(home, rows, draws=1000).record
    assert (again.canaries, again.membership) == (record.canaries, record.membership)
    found.to_html(tmp_path / "page.html")
    found.to_json(tmp_path / "audit.json")
    page = (tmp_path / "page.html").read_text()
    assert len(page) < 1e6
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    for line in found.verdicts:
        assert line.sentence[1:].split(":")[0].split("%")[0] in page
    assert json.loads((tmp_path / "audit.json").read_text())["canaries"]["epsilon"] == found.epsilon


def test_a_copy_without_coins_gets_the_loss_test_alone(memorised: tuple[Path, Path], tmp_path: Path) -> None:
    home, rows = memorised
    tasks.from_pretrained(home).save_pretrained(tmp_path / "copy")
    record = audit.run(tmp_path / "copy", rows).record
    assert record.canaries is None
    assert [line.name for line in record.verdicts] == ["membership"]
    assert "canaries.json is not in the folder" in record.left_out[0]
    (tmp_path / "copy" / "canaries.json").write_text(
        (home / "canaries.json").read_text().replace('"steps": 6', '"steps": 7')
    )
    with pytest.raises(InputError, match="belongs to another model"):
        audit.run(tmp_path / "copy", rows)


def test_other_data_than_those_of_the_training_are_refused(memorised: tuple[Path, Path], tmp_path: Path) -> None:
    home, rows = memorised
    (tmp_path / "rows.csv").write_text(rows.read_text() + "zzzz,a\n")
    with pytest.raises(InputError, match="not what the model was trained on"):
        audit.run(home, tmp_path / "rows.csv")
    with pytest.raises(InputError, match=r"does not hold the data .* rows.csv"):
        audit.run(home)
    with pytest.raises(InputError, match="draws=1 is out of range"):
        audit.run(home, rows, draws=1)
    with pytest.raises(InputError, match="3 shadows are too few"):
        audit.run(home, rows, shadows=3)
