"""Smoothed models: noise in training, answers by votes, certificates that hold."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import beta, binom

from tidegate import attack
from tidegate.adversary.smoothing import certified, lower_bound, noise, predicted
from tidegate.attack.certificate import Voter, repeated
from tidegate.errors import InputError
from tidegate.tasks import Forecaster, LanguageModel, SequenceClassifier, from_pretrained

SIGMA = 0.5


def test_the_bound_is_that_of_clopper_and_pearson_and_never_above_it():
    for count, hits in ((1, 1), (10, 0), (10, 5), (100, 99), (1000, 1000), (1000, 501), (20_000, 19_990)):
        for level in (0.001, 0.05):
            exact = beta.ppf(level, hits, count - hits + 1) if hits else 0.0
            assert lower_bound(hits, count, level) == pytest.approx(exact, rel=1e-7)
            assert lower_bound(hits, count, level) <= exact


def linear(x, w, sigma, seed):
    """The votes of sign(w . (x + n)), whose smoothed radius is |w . x| / |w| exactly."""
    generator = torch.Generator().manual_seed(seed)
    return lambda count: ((x + sigma * torch.randn(count, len(x), generator=generator)) @ w > 0).tolist()


def test_certificates_of_a_linear_model_stay_below_its_true_radius_and_come_close():
    w, wrong = torch.tensor([3.0, -4.0]), 0
    for seed in range(100):
        x = torch.tensor([0.02 * seed, 0.1])
        found = certified(linear(x, w, 0.5, seed), 0.5, count=2000)
        true = abs(float(w @ x)) / 5
        wrong += found.radius > true or (found.answer is not None and found.answer != bool(w @ x > 0))
        if true < 0.8:
            assert found.radius > true - 0.15 or true < 0.1
    assert wrong <= 2  # each is wrong with a chance of 1 in 1,000


def test_too_few_votes_abstain_and_a_coin_does():
    assert certified(linear(torch.tensor([9.0]), torch.tensor([1.0]), 1.0, 0), 1.0, count=5).answer is None
    coin = linear(torch.tensor([0.0]), torch.tensor([1.0]), 1.0, 0)
    assert certified(coin, 1.0).answer is None
    assert predicted(coin) is None
    assert predicted(linear(torch.tensor([1.0]), torch.tensor([1.0]), 1.0, 0)) is True
    sides = [predicted(linear(torch.tensor([0.0]), torch.tensor([1.0]), 1.0, k), 50, 0.05) for k in range(200)]
    assert sum(side is not None for side in sides) <= binom.ppf(0.9999, 200, 0.05)
    with pytest.raises(InputError, match="certify nothing"):
        certified(coin, 0.0)


def test_noise_falls_where_it_may_and_has_its_deviation():
    free = torch.zeros(50, 40, 2, dtype=torch.bool)
    free[:, :, 1] = True
    drawn = noise(free, 3.0, torch.float32, torch.Generator().manual_seed(0))
    assert float(drawn[:, :, 0].abs().max()) == 0
    assert float(drawn[:, :, 1].std()) == pytest.approx(3, rel=0.05)


def waves(count, steps, seed):
    """Two classes of sines in noise, of unequal length; some values are missing."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    series = []
    for label in labels:
        t = np.arange(steps - random.integers(0, 4))
        values = 5 + 2 * np.sin(t * (0.5 + 0.5 * label) + random.uniform(0, 6)) + 0.1 * random.standard_normal(len(t))
        values[random.integers(len(t))] = np.nan if random.random() < 0.2 else 5.0
        series.append(values)
    return series, labels.tolist()


@pytest.fixture(scope="module")
def smoothed(tmp_path_factory):
    """A smoothed model, and its folder."""
    home = tmp_path_factory.mktemp("smoothed") / "model"
    series, labels = waves(90, 24, 0)
    model = SequenceClassifier(
        smooth=SIGMA, hidden_size=16, epochs=6, patience=6, learning_rate=0.01, bidirectional=False, test_share=0.2
    )
    return model.fit(series, labels, folder=home), home


def test_a_smoothed_model_learns_says_so_and_answers_the_same_in_any_batch(smoothed):
    model, home = smoothed
    series, labels = waves(30, 24, 1)
    chances = model.predict_proba(series)
    assert (model.predict(series) == np.array(labels)).mean() > 0.8
    assert np.allclose(chances[3], model.predict_proba([series[3]])[0], atol=1e-12)
    shares = chances * 101 - 0.5  # votes of a hundred copies
    assert np.allclose(shares, shares.round(), atol=1e-6)
    assert model.notes_[-1] == "each answer is that of most of 100 copies with noise of 0.5"
    assert model.model_.votes is None
    again = from_pretrained(home)
    assert again.smooth == SIGMA
    assert np.array_equal(again.predict_proba(series), chances)


def test_training_is_repeatable_and_the_noise_matters():
    series, labels = waves(40, 10, 2)
    settings = {"hidden_size": 4, "epochs": 1, "test_share": 0, "bidirectional": False, "votes": False}
    weights = [
        SequenceClassifier(**settings, smooth=smooth).fit(series, labels).model_.head.weight
        for smooth in (0.5, 0.5, 0.6)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_certificates_count_right_and_sure_rows(smoothed):
    model, _ = smoothed
    series, labels = waves(24, 24, 3)
    task = model._task_class.load(model._source(series, labels), model._current(), encoding=model.encoding_)
    found = attack.certificate.certified_rows(model, task, None, 400, 0.001, 24, 0)
    assert len(found.rows) == 24
    assert found.accuracy(0.0) > 0.6
    assert found.accuracy(0.0) >= found.accuracy(0.3) >= found.accuracy(1.0)
    assert next(line.share for line in found.curve) == found.accuracy(0.0)
    assert "below its radius (l2) no change of a row" in found.sentence
    most = SIGMA * 2.2  # of 400 draws at a level of 0.001
    assert all(0 <= row.radius < most for row in found.rows)
    assert all((row.answer is None) == (row.radius == 0) for row in found.rows)


def test_a_row_is_repeated_without_padding_and_missing_values_get_no_noise(smoothed):
    model, _ = smoothed
    series = [np.array([1.0, np.nan, 3.0, 4.0]), np.arange(9.0)]
    task = model._task_class.load(model._source(series, [0, 1]), model._current(), encoding=model.encoding_)
    singles = list(attack.certificate._singles(task, 5))
    assert [len(single.inputs) for single in singles] == [4, 9]
    copies = repeated(singles[0], 7)
    assert copies.inputs.shape[1] == len(copies.targets) == len(copies.lengths) == 7
    there = task.pliable(copies)
    assert there[:, 0, 0].tolist() == [True, False, True, True]
    voter = Voter(task, model.model_, singles[1], 0.5, torch.Generator())
    voter.most = 4
    with torch.inference_mode():
        assert len(voter(10)) == 10


def test_attack_prints_and_writes_certified_accuracy(smoothed, tmp_path, capsys):
    from tidegate.cli import main

    _, home = smoothed
    series, labels = waves(10, 24, 4)
    file = tmp_path / "rows.npz"
    np.savez(file, x=np.stack([np.nan_to_num(row[:20], nan=5.0) for row in series])[..., None], y=np.array(labels))
    options = ["--steps", "2", "--restarts", "1", "--no-checks", "--draws", "200", "--norm", "l2", "--eps", "0.1"]
    assert main(["attack", str(home), str(file), *options, "--json", str(tmp_path / "a.json")]) == 0
    out = capsys.readouterr().out
    assert "certified accuracy" in out
    assert "certified by 200 copies with noise of 0.5 on the series" in out
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["certificate"][0]["radius"] == 0
    assert record["certified"].startswith("certified by 200 copies")
    assert record["command"].endswith("--draws 200")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SequenceClassifier(smooth=0.5).fit("names"), "symbols"),
        (lambda: LanguageModel(smooth=0.5).fit("shakespeare"), "smooth= is not for language"),
        (lambda: Forecaster(smooth=0.5).fit("elnino"), "forecasts are numbers"),
        (lambda: SequenceClassifier(smooth=0.5, adversarial=0.1).fit([[1.0]], [1]), "two ways"),
        (lambda: SequenceClassifier(smooth=0.5, epsilon=8.0).fit([[1.0]], [1]), "does not go with epsilon"),
        (lambda: SequenceClassifier(smooth=0.0).fit([[1.0]], [1]), "out of range"),
    ],
)
def test_what_cannot_be_smoothed_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_a_shipped_network_is_no_smoothed_model(smoothed):
    from tidegate.ship import ship

    with pytest.raises(InputError, match="votes of noisy copies"):
        ship(smoothed[1], "onnx")
    assert ship(smoothed[1], "c", part="layers").files


def test_certificates_need_noise_and_numbers(smoothed):
    model, _ = smoothed
    series, labels = waves(6, 12, 5)
    task = model._task_class.load(model._source(series, labels), model._current(), encoding=model.encoding_)
    with pytest.raises(InputError, match="certify nothing"):
        attack.certificate.certified_rows(model, task, None, 0, 0.001, 10, 0)
    task.setting.smooth = None
    with pytest.raises(InputError, match="trained without noise"):
        attack.certificate.certified_rows(model, task, None, 10, 0.001, 10, 0)
