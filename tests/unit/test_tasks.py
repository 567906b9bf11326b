"""Tasks: batches, measures and baselines against computations written out by hand."""

import functools
import itertools
import json
import math
import warnings

import numpy as np
import pytest
import torch

from tidegate import nn, tasks
from tidegate.data import Source
from tidegate.errors import InputError
from tidegate.tasks.classification.task import ClassificationTask
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.forecast.task import ForecastTask
from tidegate.tasks.language.ngram import ngram
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.language.task import LanguageTask
from tidegate.tasks.music.task import MusicTask
from tidegate.tasks.translation.setting import TranslationSetting
from tidegate.tasks.translation.task import TranslationTask
from tidegate.train.batch import Batch

NOTES = {
    "train": [[[21], [21, 22], [22], []], [[21], [21]], [[22], [21, 22], [21]]],
    "valid": [[[21], [22]]],
    "test": [[[21], [22], [22]], [[], [21]]],
}


def source(content, name="a.csv"):
    return Source(f"/nowhere/{name}", name, content.encode())


def music(data=None):
    return MusicTask(source(json.dumps(data or NOTES), "a.json"))


def forecast(values, *, extra=None):
    rows = [f"{y!r},{x!r}" for y, x in zip(values, extra, strict=True)] if extra is not None else map(repr, values)
    return ForecastTask(
        source("\n".join(["y,x" if extra is not None else "y", *rows]), "a.csv"), ForecastSetting(target="y")
    )


def walk(rows=200, seed=0):
    return np.random.default_rng(seed).normal(size=rows).cumsum().tolist()


def prose(characters, seed=0, letters="abcdefgh "):
    return "".join(np.random.default_rng(seed).choice(list(letters), characters))


def language(text, **settings):
    return LanguageTask(source(text, "a.txt"), LanguageSetting(**settings))


def translation(pairs, seed=0):
    texts = [
        prose(int(n), seed + k, "abcdefgh") for k, n in enumerate(np.random.default_rng(seed).integers(3, 9, pairs))
    ]
    lines = "".join(f"{text}\t{' '.join(reversed(text))}\n" for text in texts)
    return TranslationTask(source(lines, "a.tsv"), TranslationSetting(source_unit="character", target_unit="symbol"))


def generator(seed):
    return torch.Generator().manual_seed(seed)


def same(left, right):
    left, right = list(left), list(right)
    return len(left) == len(right) and all(
        torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets) and a.starts == b.starts
        for a, b in zip(left, right, strict=True)
    )


@functools.cache
def example(name):
    made = {
        "music": lambda: music(dict.fromkeys(NOTES, NOTES["train"] * 20)),
        "forecast": lambda: forecast(walk(400)),
        "language": lambda: language(prose(200_000)),
        "translation": lambda: translation(400),
        "classification": lambda: ClassificationTask(
            source("".join(f"{n % 2} a text no {n}\n" for n in range(99)), "a.txt")
        ),
        "speech": lambda: tasks.load("fsdd"),
        "tagging": lambda: tasks.load("atis"),
    }
    return made[name]() if name in made else tasks.load(name)


class TestEveryTask:
    @pytest.mark.parametrize("name", tasks.TABLE)
    def test_training_order_follows_the_generator(self, name):
        task = example(name)
        assert same(task.batches("train", generator(0)), task.batches("train", generator(0)))
        assert not same(task.batches("train", generator(0)), task.batches("train", generator(1)))
        assert same(task.batches("test"), task.batches("test"))

    @pytest.mark.parametrize("name", tasks.TABLE)
    def test_a_generator_goes_on(self, name):
        task, order = example(name), generator(0)
        assert not same(task.batches("train", order), task.batches("train", order))

    @pytest.mark.parametrize("name", tasks.TABLE)
    @pytest.mark.parametrize("split", ["train", "valid", "test"])
    def test_a_model_runs_and_learns_from_every_split(self, name, split):
        task, state = example(name), None
        model = task.model(lambda inputs, **options: nn.GRU(inputs, 3, **options))
        batches = task.batches(split, generator(0) if split == "train" else None)
        for batch in itertools.islice(batches, 3):
            outputs, state = model(batch, None if batch.starts else state.detach())
            measure = task.measure(outputs, batch)
            assert measure.count == int(batch.scored().sum()) > 0
            assert measure.error > 0
            assert math.isfinite(task.score(measure.error, measure.count))
        measure.loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())

    @pytest.mark.parametrize("name", tasks.TABLE)
    def test_baselines_are_finite_and_explained(self, name):
        for record in example(name).baselines():
            assert math.isfinite(record.score)
            assert record.how

    def test_scored_steps(self):
        batch = Batch(torch.zeros(4, 2, 1), torch.zeros(4, 2), torch.tensor([4, 2]), context=1)
        assert batch.scored().T.tolist() == [[False, True, True, True], [False, True, False, False]]
        assert Batch(torch.zeros(2, 3), torch.zeros(2, 3)).scored().all()


class TestMusic:
    def test_targets_are_the_inputs_one_step_later(self):
        (batch,) = music().batches("train")
        assert batch.lengths.tolist() == [1, 2, 3]
        assert batch.inputs[:, 2, :2].tolist() == [[1, 0], [1, 1], [0, 1]]
        assert batch.targets[:, 2, :2].tolist() == [[1, 1], [0, 1], [0, 0]]
        assert batch.scored().sum(0).tolist() == [1, 2, 3]

    def test_error_is_the_cross_entropy_written_out(self):
        task = music()
        (batch,) = task.batches("test")
        outputs = torch.randn(*batch.targets.shape, generator=generator(0))
        expected, steps = 0.0, 0
        for row, piece in enumerate(sorted(NOTES["test"], key=len)):
            for time, chord in enumerate(piece[1:]):
                steps += 1
                for key in range(88):
                    p = 1 / (1 + math.exp(-outputs[time, row, key]))
                    expected -= math.log(p if 21 + key in chord else 1 - p)
        measure = task.measure(outputs, batch)
        assert measure.count == steps == 3
        assert measure.error == pytest.approx(expected, rel=1e-5)
        assert measure.loss.item() == measure.error

    def test_padding_does_not_count(self):
        task = music()
        (batch,) = task.batches("train")
        outputs = torch.zeros_like(batch.targets)
        padded = outputs.masked_fill(~batch.scored()[..., None], math.nan)
        assert (
            task.measure(padded, batch).error
            == task.measure(outputs, batch).error
            == pytest.approx(6 * 88 * math.log(2))
        )

    def test_every_piece_comes_once_an_epoch_with_little_padding(self):
        rng = np.random.default_rng(0)
        lengths = rng.integers(2, 100, 200)
        data = {split: [[[21 + int(n)] for n in rng.integers(0, 88, steps)] for steps in lengths] for split in NOTES}
        task = music(data)
        batches = list(task.batches("train", generator(0)))
        taken = sorted(int(length) + 1 for batch in batches for length in batch.lengths)
        assert taken == sorted(lengths.tolist())
        cells = sum(batch.inputs.shape[0] * batch.inputs.shape[1] for batch in batches)
        assert cells < 1.2 * (lengths - 1).sum()

    def test_key_frequency_by_hand(self):
        record = music().baselines()[0]
        # six scored training steps; key 21 sounds in 4 of them, key 22 in 3, no other ever
        p, q, other = 4.5 / 7, 3.5 / 7, 0.5 / 7
        steps = [(0, 1), (0, 1), (1, 0)]
        cost = sum(
            -math.log(p if a else 1 - p) - math.log(q if b else 1 - q) - 86 * math.log(1 - other) for a, b in steps
        )
        assert record.score == pytest.approx(cost / 3)

    def test_repeat_last_chord_by_hand(self):
        record = music().baselines()[1]
        # before -> after in training. key 21: on->on 3, on->off 1, off->off 1, off->on 1. key 22: on->on 2, on->off 2,
        # off->on 1, off->off 1. The others: 6 times off->off.
        stay21, begin21 = 3.5 / 5, 1.5 / 3
        stay22, begin22 = 2.5 / 5, 1.5 / 3
        first = -math.log(1 - stay21) - math.log(begin22)
        second = -math.log(1 - begin21) - math.log(stay22)
        third = -math.log(begin21) - math.log(1 - begin22)
        rest = -3 * 86 * math.log(1 - 0.5 / 7)
        assert record.score == pytest.approx((first + second + third + rest) / 3)

    def test_hand_checked_counts(self):
        (batch,) = music().batches("train")
        before, after = (tensor[batch.scored()][:, :2] for tensor in (batch.inputs, batch.targets))
        assert after.sum(0).tolist() == [4, 3]
        assert ((before == 1) & (after == 1)).sum(0).tolist() == [3, 2]


class TestLanguage:
    @pytest.mark.parametrize("characters", [1000, 1013, 5000, 200_000, 2_100_000])
    @pytest.mark.parametrize("split", ["train", "valid", "test"])
    def test_every_character_is_scored_once(self, characters, split):
        task = language("ab" * (characters // 2))
        task.symbols = np.arange(characters)
        taken = []
        for batch in task.batches(split):
            assert batch.inputs.shape[1] <= task.setting.batch_size
            assert batch.lengths is None or batch.lengths.min() >= 1
            taken.append(batch.targets[batch.scored()])
            assert torch.equal(batch.inputs + 1, batch.targets)
        first, last = task.bounds[split]
        assert torch.cat(taken).sort().values.tolist() == list(range(first, last))

    def test_streams_go_on_from_chunk_to_chunk(self):
        task = language("ab" * 50_000, epoch_size=90_000)  # one pass
        task.symbols = np.arange(100_000)
        batches = list(task.batches("train", generator(0)))
        assert [batch.starts for batch in batches] == [True] + [False] * (len(batches) - 1)
        for before, after in itertools.pairwise(batches):
            assert len(before.inputs) == task.setting.window
            assert torch.equal(before.inputs[-1] + 1, after.inputs[0])

    def test_an_epoch_learns_from_passages_drawn_from_a_long_text(self):
        task = language(prose(400_000), epoch_size=131_072, batch_size=16)
        task.symbols = np.arange(400_000)
        starts = []
        for seed in range(3):
            batches = list(task.batches("train", generator(seed)))
            rows = torch.cat([batch.targets for batch in batches])  # [T, B]
            assert rows.shape == (8192, 16)
            assert (rows.diff(dim=0) == 1).all()
            assert rows.max() < 360_000
            assert (rows[0, 1:] > rows[-1, :-1]).all()
            starts.append(rows[0].tolist())
        assert len(set(map(tuple, starts))) == 3
        assert "16 passages of 8,192 characters" in task.data.split

    @pytest.mark.parametrize("characters", [1000, 5000, 100_000])
    def test_an_epoch_learns_from_most_of_a_short_text(self, characters):
        task = language("ab" * (characters // 2))
        task.symbols = np.arange(characters)
        seen = torch.cat([batch.targets.flatten() for batch in task.batches("train", generator(0))])
        passes = task._passes()
        assert passes > 1
        assert len(seen) > 0.8 * 0.9 * characters * passes
        assert len(seen.unique()) > 0.8 * 0.9 * characters
        assert seen.max() < 0.9 * characters

    def test_unknown_symbol(self):
        task = language("ab" * 500 + "ZY")
        assert task.encoding.unit.alphabet == "ab"
        assert task.encoding.vocabulary == 3
        assert task.symbols[998:].tolist() == [1, 2, 0, 0]
        assert task.data.warnings[0] == "test: 2 characters do not occur in training and count as one unknown symbol"

    def test_characters_beyond_the_basic_plane(self):
        task = language("a😀é" * 400)
        assert task.encoding.unit.alphabet == "aé😀"
        assert task.symbols[:3].tolist() == [1, 3, 2]

    def test_error_is_in_bits(self):
        task = language("ab" * 600)
        batch = task.batches("test")[0]
        outputs = torch.randn(*batch.targets.shape, 3, generator=generator(0))
        chances = outputs.softmax(-1).gather(-1, batch.targets[..., None])[..., 0]
        expected = -chances[batch.scored()].log2().sum().item()
        assert task.measure(outputs, batch).error == pytest.approx(expected, rel=1e-5)

    def test_short_text(self):
        with pytest.raises(InputError, match=r"a\.txt has 3 characters, but at least 1,000 are needed"):
            language("abc")

    def test_copies_are_reported(self):
        text = prose(4000, letters="abcdefghijklmnop")
        assert language(text).data.warnings == ()
        assert "test: 200 of 200" in language(text[:3800] + text[:200]).data.warnings[0]

    def test_unigram_by_hand(self):
        symbols = np.array([1, 1, 2, 1, 2, 0])
        # counts a 3, b 1 of 4 training symbols, two kinds: p = (count + 2 / 3) / (4 + 2)
        p_b, p_unknown = (1 + 2 / 3) / 6, (2 / 3) / 6
        record = ngram(symbols, 4, (4, 6), 3, 1)
        assert record.score == pytest.approx(-(math.log2(p_b) + math.log2(p_unknown)) / 2)

    @pytest.mark.parametrize("order", [2, 3])
    def test_ngram_against_dictionaries(self, order):
        rng = np.random.default_rng(0)
        symbols, train, vocabulary = rng.integers(0, 4, 300), 200, 5

        def chance(word, history):
            below = chance(word, history[1:]) if history else 1 / vocabulary
            width = len(history)
            follow = [symbols[at] for at in range(width, train) if symbols[at - width : at].tolist() == list(history)]
            kinds = len(set(follow))
            total = len(follow) + kinds
            return (follow.count(word) + kinds * below) / total if total else below

        expected = -np.mean(
            [math.log2(chance(symbols[at], tuple(symbols[at - order + 1 : at].tolist()))) for at in range(250, 300)]
        )
        assert ngram(symbols, train, (250, 300), vocabulary, order).score == pytest.approx(expected)


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "content", "kind"),
        [("a.json", json.dumps(NOTES), MusicTask), ("a.txt", prose(1000), LanguageTask), ("A.CSV", None, ForecastTask)],
    )
    def test_the_ending_says_what_is_learnt(self, tmp_path, name, content, kind):
        path = tmp_path / name
        path.write_text(content or "y\n" + "\n".join(map(str, walk())))
        target = "y" if kind is ForecastTask else None
        assert type(tasks.load(path, target=target)) is kind

    def test_the_task_may_be_named(self, tmp_path):
        path = tmp_path / "novel.md"
        path.write_text(prose(1000))
        assert tasks.load(path, task="language").name == "language"

    @pytest.mark.parametrize(
        ("name", "options", "code", "part"),
        [
            ("a.xyz", {}, "TASK_SUFFIX", ".csv (forecast)"),
            ("a.txt", {"task": "telepathy"}, "TASK_UNKNOWN", "language"),
            ("a.txt", {"target": "y"}, "TASK_TARGET", "'y'"),
            ("a.csv", {}, "SERIES_TARGET", "'first', 'second'"),
        ],
    )
    def test_requests_that_cannot_be_met(self, tmp_path, name, options, code, part):
        path = tmp_path / name
        path.write_text("first,second\n" + "1,2\n" * 300)
        with pytest.raises(InputError) as caught:
            tasks.load(path, **options)
        assert caught.value.code == code
        assert part in str(caught.value)

    @pytest.mark.parametrize("name", ["jsb", "elnino", "shakespeare"])
    def test_bundled_tasks_survive_json(self, name):
        task = tasks.load(name)
        again = tasks.from_json(json.loads(json.dumps(task.to_json())))
        assert type(again) is type(task)
        assert again.data == task.data
        assert same(task.batches("valid"), again.batches("valid"))

    def test_unknown_bundled_task(self):
        with pytest.raises(InputError, match="did you mean 'elnino'"):
            tasks.load("elnina")

    def test_a_users_file_survives_json_unless_it_changes(self, tmp_path, monkeypatch):
        path = tmp_path / "a.csv"
        path.write_text("x,y\n" + "\n".join(f"{x},{y}" for x, y in zip(walk(seed=1), walk(), strict=True)))
        monkeypatch.chdir(tmp_path)
        data = json.loads(json.dumps(tasks.load("a.csv", target="y").to_json()))
        monkeypatch.chdir("/")
        assert tasks.from_json(data).to_json() == data
        path.write_text(path.read_text() + "\n1,2\n")
        with pytest.raises(InputError, match="has changed") as caught:
            tasks.from_json(data)
        assert caught.value.code == "DATA_CHANGED"

    @pytest.mark.parametrize("data", [{}, {"task": "music"}, None])
    def test_json_that_is_no_task(self, data):
        with pytest.raises(InputError) as caught:
            tasks.from_json(data)
        assert caught.value.code == "TASK_RECORD"


def test_no_warning_reaches_the_user(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("when,y\n" + "\n".join(f"May {1 + at % 28}?,{y}" for at, y in enumerate(walk())))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tasks.load(path, target="y").data.warnings
