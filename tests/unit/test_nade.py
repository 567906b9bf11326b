"""The head of joint keys: its probabilities and gradients against a table of all chords, its draws, and training."""

import hashlib
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.malformed.music import matlab, pieces
from tidegate import compare, nn, tasks
from tidegate.cli import main
from tidegate.compare.budget import count_parameters
from tidegate.data import Source
from tidegate.errors import InputError
from tidegate.tasks import Composer, from_pretrained
from tidegate.tasks.music import nade as module
from tidegate.tasks.music.nade import Nade
from tidegate.tasks.music.setting import MusicSetting
from tidegate.train import loop
from tidegate.train.loop import evaluate
from tidegate.train.watch import Watch
from tidegate.zoo import graph_of

KEYS, FEATURES, UNITS = 5, 3, 4
CHORDS = np.array(list(itertools.product([0, 1], repeat=KEYS)), float)


@pytest.fixture
def head():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Nade(FEATURES, UNITS, KEYS).double()
        for parameter in made.parameters():
            parameter.data.normal_()
    return made


def drawn(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def table(head, features, bias):
    """The probability of every chord, key by key as the paper has it."""
    weights = {name: value.detach().numpy() for name, value in head.named_parameters()}
    chances = []
    for chord in CHORDS:
        chance = 1.0
        for k in range(KEYS):
            hidden = weights["hidden.weight"] @ features + weights["hidden.bias"]
            for j in range(k):
                hidden = hidden + chord[j] * weights["heard"][j]
            sounds = 1 / (1 + np.exp(-(bias[k] + weights["answer"][k] @ (1 / (1 + np.exp(-hidden))))))
            chance *= sounds if chord[k] else 1 - sounds
        chances.append(chance)
    return np.array(chances)


def log_likelihood(head, features, bias, chords):
    return -binary_cross_entropy_with_logits(head(features, bias, chords), chords, reduction="none").sum(-1)


class TestProbabilities:
    def test_those_of_all_chords_are_the_tables_and_add_up_to_one(self, head):
        features, bias = drawn(FEATURES), drawn(KEYS, seed=2)
        chords = torch.from_numpy(CHORDS)
        with torch.no_grad():
            found = log_likelihood(head, features.expand(32, -1), bias.expand(32, -1), chords).exp().numpy()
        np.testing.assert_allclose(found, table(head, features.numpy(), bias.numpy()), rtol=1e-12)
        assert found.sum() == pytest.approx(1, abs=1e-12)

    def test_a_key_does_not_see_itself_nor_those_above(self, head):
        features, bias = drawn(1, FEATURES), drawn(1, KEYS, seed=2)
        for k in range(KEYS):
            below = torch.tensor([[1.0, 0, 1, 0, 1]]).double()
            above = torch.where(torch.arange(KEYS) < k, below, 1 - below)
            with torch.no_grad():
                assert torch.equal(*(head(features, bias, chord)[:, : k + 1] for chord in (below, above)))

    def test_gradients(self, head):
        chords = (drawn(2, 3, KEYS, seed=5) > 0).double()
        leaves = [drawn(2, 3, FEATURES).requires_grad_(), drawn(2, 3, KEYS, seed=2).requires_grad_()]

        def answer(features, bias, *parameters):
            named = dict(zip(dict(head.named_parameters()), parameters, strict=True))
            return torch.func.functional_call(head, named, (features, bias, chords))

        assert torch.autograd.gradcheck(answer, (*leaves, *head.parameters()))

    def test_pieces_of_a_long_roll_give_the_same(self, head, monkeypatch):
        features, bias, chords = drawn(9, 3, FEATURES), drawn(9, 3, KEYS, seed=2), (drawn(9, 3, KEYS) > 0).double()
        whole = head(features, bias, chords)
        monkeypatch.setattr(module, "LARGEST", 2 * KEYS * (KEYS + 1))
        assert torch.allclose(head(features, bias, chords), whole, rtol=0, atol=1e-14)

    @pytest.mark.parametrize("steps", [0, 4])
    def test_silence_and_nothing(self, head, steps):
        features, bias = drawn(steps, 1, FEATURES), drawn(steps, 1, KEYS, seed=2)
        logits = head(features, bias, torch.zeros_like(bias))
        expected = bias + torch.sigmoid(head.hidden(features)) @ head.answer.T
        assert torch.allclose(logits, expected, rtol=0, atol=1e-14)


def drawing(chances, temperature):
    """The probability of every chord that is drawn from below, next key by next key, from a table."""
    found = []
    for chord in CHORDS:
        chance, low = 1.0, 0
        sounding = [*np.flatnonzero(chord), KEYS]
        for key in sounding:
            mass = np.array([chances[_continues(chord, low, other)].sum() for other in range(low, KEYS + 1)])
            sharpened = (mass / mass.sum()) ** (1 / temperature)
            chance *= sharpened[key - low] / sharpened.sum()
            low = key + 1
            if low >= KEYS:
                break
        found.append(chance)
    return np.array(found)


def _continues(chord, low, key):
    """Which chords begin as this one below ``low``, and sound next at ``key``."""
    same = (CHORDS[:, :low] == chord[:low]).all(1) & (CHORDS[:, low:key] == 0).all(1)
    return same & (CHORDS[:, key] == 1) if key < KEYS else same


class TestDraw:
    @pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
    def test_chords_come_as_often_as_the_table_says(self, head, temperature):
        features, bias, random = drawn(FEATURES), drawn(KEYS, seed=2), torch.Generator().manual_seed(7)
        chances = table(head, features.numpy(), bias.numpy())
        expected = drawing(chances, temperature)
        if temperature == 1:
            np.testing.assert_allclose(expected, chances, rtol=1e-12)
        with torch.no_grad():
            chords = np.stack([head.draw(features, bias, temperature, random).numpy() for _ in range(1500)])
        counts = np.bincount(chords @ (1 << np.arange(KEYS)[::-1]), minlength=32)
        rare = expected * 1500 < 5
        rare[np.where(rare, 1, expected).argmin()] = True  # put together, as the test demands
        pooled = [np.append(values[~rare], values[rare].sum()) for values in (counts, expected * 1500)]
        assert scipy.stats.chisquare(*pooled).pvalue > 1e-3

    def test_at_zero_every_next_key_is_the_most_probable(self, head):
        for seed in range(20):
            features, bias = drawn(FEATURES, seed=seed), drawn(KEYS, seed=seed + 100)
            expected = CHORDS[drawing(table(head, features.numpy(), bias.numpy()), 0.02).argmax()]
            with torch.no_grad():
                for temperature in (0, 1e-300):
                    found = head.draw(features, bias, temperature, torch.Generator())
                    assert found.tolist() == expected.astype(bool).tolist()


def two_chords(*, steps=40, count=6):
    """Pieces of two chords of four keys each; which of them sounds next is a toss of a coin."""
    random = np.random.default_rng(0)
    chords = np.zeros((2, 88), np.uint8)
    chords[0, [10, 20, 30, 40]] = chords[1, [15, 25, 35, 45]] = 1
    parts = {f"{split}data": pieces(*chords[random.integers(2, size=(count, steps))]) for split in PARTS}
    return Source("coins.mat", "coins.mat", matlab(**parts))


PARTS = ("train", "valid", "test")
RECIPE = {"cell": "gru", "hidden_size": 8, "dropout": 0.0, "recurrent_dropout": 0.0, "batch_size": 2, "epochs": 25}


@pytest.fixture(scope="module")
def composer():
    return Composer(**RECIPE, nade_size=8, learning_rate=3e-2).fit(two_chords())


class TestMusic:
    def test_it_learns_whole_chords(self, composer):
        (score,) = composer.scores_
        assert score.value == pytest.approx(math.log(2), abs=0.15)
        assert score.value < score.baselines["key frequency"] / 5  # each key by itself cannot do better than 8 tosses
        roll = composer.compose(200, seed=1)
        whole = [tuple(np.flatnonzero(step)) in {(10, 20, 30, 40), (15, 25, 35, 45)} for step in roll]
        assert np.mean(whole) > 0.75  # of keys drawn one by one, a step in 128 would be

    def test_it_survives_saving(self, composer, tmp_path):
        composer.save_pretrained(tmp_path)
        again = from_pretrained(tmp_path)
        assert again.nade_size == 8
        assert np.array_equal(again.compose(9, seed=2), composer.compose(9, seed=2))
        assert again.evaluate(two_chords()) == composer.scores_

    def test_a_fresh_model_answers_how_often_keys_sound(self):
        task = tasks.load("jsb", setting=MusicSetting(nade_size=6))
        model = task.model(lambda inputs: nn.GRU(inputs, 5))
        torch.nn.init.zeros_(model.head.weight)
        torch.nn.init.zeros_(model.nade.answer)
        assert evaluate(task, model, "test") == pytest.approx(task.baselines()[0].score, rel=1e-5)

    @pytest.mark.parametrize("precision", ["float64", "bfloat16"])
    def test_precisions(self, precision):
        setting = {**RECIPE, "epochs": 2, "nade_size": 4, "precision": precision}
        (score,) = Composer(**setting).fit(two_chords(count=2)).scores_
        assert 0 < score.value < 60

    def test_an_interrupted_training_goes_on_exactly(self, tmp_path, monkeypatch):
        monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", -1.0)
        monkeypatch.setattr(loop, "SAVE_SHARE", math.inf)
        data, setting = two_chords(count=3), {**RECIPE, "epochs": 3, "nade_size": 4}
        whole = Composer(**setting).fit(data)

        seen = []

        def stop(record):
            seen.append(record.epoch)
            if seen == [1, 2]:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Composer(**setting).fit(data, folder=tmp_path, watch=Watch(on_epoch=stop))
        again = Composer(**setting).fit(data, folder=tmp_path, watch=Watch(on_epoch=stop))
        assert seen == [1, 2, 2, 3]
        for name, tensor in whole.model_.state_dict().items():
            assert torch.equal(again.model_.state_dict()[name], tensor)

    def test_the_budget_of_a_comparison_counts_the_head(self):
        plain, joint = (tasks.load("jsb", setting=MusicSetting(nade_size=size)) for size in (0, 7))
        more = count_parameters(joint, graph_of("gru"), 9) - count_parameters(plain, graph_of("gru"), 9)
        assert more == 9 * 7 + 7 + 2 * 88 * 7


class TestDefaults:
    def test_a_model_from_before_the_head_loads_as_it_was(self, tmp_path):
        made = Composer(**{**RECIPE, "epochs": 1}, nade_size=0).fit(two_chords(count=2))
        made.save_pretrained(tmp_path)
        config, card = (tmp_path / name for name in ("config.toml", "model.json"))
        config.write_text(config.read_text().replace("nade_size = 0\n", ""))
        described = json.loads(card.read_text())
        described["sha256"]["config.toml"] = hashlib.sha256(config.read_bytes()).hexdigest()
        card.write_text(json.dumps(described))
        again = from_pretrained(tmp_path)
        assert again.nade_size == 0
        assert np.array_equal(again.compose(5, seed=2), made.compose(5, seed=2))

    @pytest.mark.parametrize(("text", "size"), [("", 0), ("dropout = 0.1", 0), ("nade_size = 5", 5)])
    def test_a_comparison_draws_each_key_by_itself_unless_told_and_says_so(
        self, tmp_path, monkeypatch, capsys, text, size
    ):
        seen = []

        def stop(task, *_, **__):
            seen.append(task.setting.nade_size)
            raise InputError("STOP", "far enough")

        monkeypatch.setattr(compare, "run", stop)
        monkeypatch.chdir(tmp_path)
        Path("recipe.toml").write_text(text)
        assert main(["compare", "jsb", "--cells", "gru", "--config", "recipe.toml"]) == 2
        said = " ".join(capsys.readouterr().out.split())
        note = "every cell has --nade-size 0, which is quicker than the --nade-size 100 of tidegate train"
        assert seen == [size]
        assert (note in said) == (size == 0)
