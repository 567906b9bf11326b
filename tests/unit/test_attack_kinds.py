"""Attacks on texts and recordings: every edit against lists, every sound against its own file."""

import copy
import io
import math

import numpy as np
import pytest
import soundfile
import torch

from tidegate.attack import run
from tidegate.attack.edits import Editor, every, printed
from tidegate.attack.effort import Effort
from tidegate.attack.kind.audio import LEVELS, AudioKind, distance, rounded
from tidegate.attack.kind.limit import Limits
from tidegate.attack.kind.text import TextKind, marked
from tidegate.errors import InputError
from tidegate.tasks import SequenceClassifier, Transcriber
from tidegate.tasks.classification.encoding import Vocabulary

QUICK = {"hidden_size": 8, "epochs": 2, "cell": "gru", "seed": 1}
RATE = 8000


def edited(text, symbols):
    """Every text after one edit of its characters, written out."""
    made = set()
    for k in range(len(text) + 1):
        made |= {text[:k] + symbol + text[k:] for symbol in symbols}
    for k in range(len(text)):
        made |= {text[:k] + symbol + text[k + 1 :] for symbol in symbols}
        if len(text) > 1:
            made.add(text[:k] + text[k + 1 :])
        if k + 1 < len(text):
            made.add(text[:k] + text[k + 1] + text[k] + text[k + 2 :])
    return made - {text}


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """A folder of names that end in a vowel or not."""
    rng = np.random.default_rng(0)
    rows = {"".join(rng.choice(list("abekno"), rng.integers(3, 7))) for _ in range(150)}
    path = tmp_path_factory.mktemp("names") / "names.tsv"
    path.write_text(
        "text\tlabel\n" + "".join(f"{name}\t{'open' if name[-1] in 'aeo' else 'shut'}\n" for name in sorted(rows))
    )
    return path


@pytest.fixture(scope="module")
def speller(names):
    return SequenceClassifier(**{**QUICK, "epochs": 4}, votes=False).fit(names)


class TestTexts:
    def test_an_edit_is_as_bad_as_the_worst_of_all(self, speller, names) -> None:
        found = run(speller, names, edits=[1], examples=20, checks=False)
        assert isinstance(found.kind, TextKind)
        assert found.record.unit == "edits of characters"
        reading, right = speller.encoding_.reading, 0
        for row, text in enumerate(found.kind.texts):
            label = speller.classes_[found.kind.targets[row]]
            others = [text, *edited(text, reading.units)]
            right += all(speller.predict(others) == label)
        assert found.points[1].value == pytest.approx(right / len(found.kind.texts))
        assert found.points[0].value > found.points[1].value

    def test_texts_are_as_many_edits_apart_as_they_may_be_and_break_the_model(self, speller, names) -> None:
        found = run(speller, names, edits=[1, 3], examples=12, checks=False)
        values = [point.value for point in found.points]
        assert values == sorted(values, reverse=True)
        assert found.record.verified == found.points[-1].broken
        for row, text in enumerate(found.kind.texts):
            once = edited(text, speller.encoding_.reading.units) | {text}
            for budget, one in zip(found.curve.budgets, found.curve.found, strict=True):
                changed = found.kind.text(row, int(one.change[0, row]))
                assert changed in {0.0: {text}, 1.0: once}.get(budget, {changed})
                assert distance(text, changed) <= 2 * budget  # an exchange counts as two there

    def test_votes_count_in_the_answer(self, names) -> None:
        model = SequenceClassifier(**QUICK).fit(names)
        found = run(model, names, edits=[1], examples=8)
        assert model.model_.votes is not None
        assert found.record.verified == found.points[-1].broken
        assert any("votes" in note for note in found.record.notes)

    def test_an_honest_model_passes_and_what_hides_a_gradient_is_found(self, speller, names) -> None:
        def failed(model):
            checked = run(model, names, edits=[1, 2], examples=16, steps=12)
            assert {line.name for line in checked.record.checks} >= {"losses", "queries", "noise"}
            return {line.name for line in checked.failed}

        assert not failed(speller)
        kept = copy.deepcopy(speller.model_.head.state_dict())
        speller.model_.head.load_state_dict({name: 1e5 * value for name, value in kept.items()})
        assert "losses" in failed(speller)
        speller.model_.head.load_state_dict(kept)
        speller.model_.train()
        assert "evaluation" in failed(speller)
        speller.model_.eval()

    @pytest.mark.parametrize("symbol", ["\u200b", "\u0301", "\n", "\u202e", "\x07", "\u00ad"])
    def test_characters_that_nobody_sees_are_not_written(self, symbol) -> None:
        assert not printed(symbol)
        reading = Vocabulary("character", ("a", symbol, "é"), 10)
        editor = Editor(reading, "chars", torch.zeros(4, 2))
        assert editor.symbols == ("a", "é")
        assert not any(symbol in text for text in every(editor, "aé"))

    def test_changes_are_marked(self) -> None:
        assert marked("anna", "ana")[2] == "an[-n]a"
        assert marked("", "x")[2] == "[+x]"


def sentences(rows=160, seed=0):
    """Texts whose class is that of one word; other words say nothing."""
    rng = np.random.default_rng(seed)
    kinds = {"good": ["good", "great", "fine"], "bad": ["bad", "poor", "awful"]}
    made = []
    for row in range(rows):
        label = ["good", "bad"][row % 2]
        words = [str(word) for word in rng.choice(["the", "film", "was", "so", "very", "and", "long"], 5)]
        words.insert(int(rng.integers(6)), str(rng.choice(kinds[label])))
        made.append((" ".join(words), label))
    return zip(*made, strict=True)


@pytest.fixture(scope="module")
def reader():
    texts, labels = map(list, sentences())
    model = SequenceClassifier(**{**QUICK, "epochs": 6}, votes=False, test_share=0, unit="word")
    return model.fit(texts, labels), texts[:10], labels[:10]


class TestWords:
    def kind(self, reader, level):
        model, texts, labels = reader
        task = model._task_class.load(model._source(texts, labels), model._current(), encoding=model.encoding_)
        return TextKind.of(model, task, range(len(texts)), Limits(text=level))

    def test_edits_of_words(self, reader) -> None:
        kind = self.kind(reader, "words")
        known = kind.editor.reading.units
        for text in kind.texts[:3]:
            words = text.split()
            for changed in every(kind.editor, text):
                after = changed.split()
                assert set(after) <= {*known, *words}
                assert distance(words, after) == 1
        near = kind.editor.rules.becomes
        table = torch.nn.functional.normalize(kind.editor.features, dim=1)
        assert near[1, 0] == 1 + (table[1:] @ table[1]).scatter(0, torch.tensor([0]), -2.0).argmax()

    def test_edits_of_characters_stay_within_a_word(self, reader) -> None:
        kind = self.kind(reader, "chars")
        for text in kind.texts[:2]:
            for changed in every(kind.editor, text):
                assert len(changed.split()) == len(text.split())
                assert distance(text.split(), changed.split()) <= 1

    @pytest.mark.parametrize("level", ["chars", "words"])
    def test_the_model_breaks_on_what_is_found(self, reader, level) -> None:
        kind = self.kind(reader, level)
        rows = torch.arange(kind.count)
        found = kind.search(rows, torch.full((kind.count,), 2.0), Effort(8, 2))
        broken = (found.score > 0).nonzero()[:, 0]
        assert len(broken)
        assert kind.verified(broken, found.change[:, broken]) == len(broken)


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ({"eps": [0.1]}, "ATTACK_BUDGETS"),
            ({"audio_snr": [20]}, "ATTACK_BUDGETS"),
            ({"edits": [1], "eps": [0.1]}, "ATTACK_BUDGETS"),
            ({"edits": [0.5]}, "ATTACK_EDITS"),
            ({"edits": [0]}, "ATTACK_EDITS"),
            ({"audio_snr": [math.nan]}, "ATTACK_AUDIO_SNR"),
            ({"text": "words"}, "ATTACK_WORDS"),
            ({"norm": "l2"}, "ATTACK_TEXT"),
            ({"only_steps": (0, 3)}, "ATTACK_TEXT"),
        ],
    )
    def test_of_texts(self, speller, names, options, code) -> None:
        with pytest.raises(InputError) as error:
            run(speller, names, **options)
        assert error.value.code == code


def tone(word, seed):
    """A tone that rises or falls."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, 1500 + int(rng.integers(400)))
    hertz = 300 + 1200 * (time if word == "rise" else 1 - time)
    sound = np.sin(2 * np.pi * np.cumsum(hertz) / RATE) + 0.02 * rng.normal(size=len(time))
    return (rng.uniform(0.2, 0.8) * sound).clip(-0.99, 0.99)


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    home = tmp_path_factory.mktemp("tones")
    for word in ("rise", "fall"):
        (home / word).mkdir()
        for k in range(24):
            soundfile.write(home / word / f"{k}.wav", tone(word, 2 * k + (word == "rise")), RATE, "PCM_16")
    return home


@pytest.fixture(scope="module")
def listener(tones):
    settings = {"hidden_size": 8, "epochs": 6, "patience": 6, "batch_size": 4, "learning_rate": 0.02, "cell": "gru"}
    return Transcriber(**settings).fit(tones)


@pytest.fixture(scope="module")
def kind(listener):
    sounds = [tone(word, seed).astype(np.float32) for seed, word in enumerate(("rise", "fall", "rise"))]
    return AudioKind(listener, sounds, ["rise", "fall", "rise"], ["a", "b", "c"])


class TestRecordings:
    def test_features_are_those_of_the_task(self, kind) -> None:
        rows = torch.tensor([2, 0, 1])
        batch = kind.batch(kind.x[:, rows], rows)
        for place, row in enumerate(rows.tolist()):
            sound = np.round(kind.x[: kind.lengths[row], row, 0].numpy() * LEVELS) / LEVELS
            own = kind.encoding.steps(kind.encoding.filterbank(sound))
            assert kind.encoding.filterbank.peak
            assert batch.lengths[place] == len(own)
            assert torch.allclose(batch.inputs[: len(own), place], own, atol=1e-5)

    def test_their_gradient_is_that_of_differences(self, kind) -> None:
        rows = torch.arange(3)
        x = kind.x[:, rows].clone().requires_grad_()
        weight = torch.randn(kind.batch(x, rows).inputs.shape, generator=torch.Generator().manual_seed(0))
        (gradient,) = torch.autograd.grad((kind.batch(x, rows).inputs * weight).sum(), x)
        step = gradient / gradient.norm() * 200 / LEVELS  # large beside rounding, small beside the sound
        with torch.no_grad():
            up, down = (float((kind.batch(x + sign * step, rows).inputs.double() * weight).sum()) for sign in (1, -1))
        assert float((gradient * step).sum()) == pytest.approx((up - down) / 2, rel=0.05)

    def test_samples_become_those_of_a_file(self) -> None:
        x = torch.tensor([-1.2, -0.3, 1e-6, 0.7, 1.0])
        file = io.BytesIO()
        soundfile.write(file, rounded(x).numpy(), RATE, "PCM_16", format="WAV")
        file.seek(0)
        assert soundfile.read(file, dtype="float32")[0].tolist() == rounded(x).tolist()
        assert torch.autograd.functional.jacobian(rounded, x).equal(torch.eye(5))

    def test_changes_are_as_quiet_as_they_must_be_and_break_what_users_hear(self, listener, tones, tmp_path) -> None:
        found = run(listener, tones, audio_snr=[30, 10, 0], examples=6, steps=15, restarts=1, checks=False)
        kind, values = found.kind, [point.value for point in found.points]
        assert found.record.norm == "signal-to-noise ratio"
        assert values == sorted(values)
        assert values[-1] > values[0]
        assert found.record.verified == found.points[-1].broken
        for budget, one in zip(found.curve.budgets[1:], found.curve.found[1:], strict=True):
            moved = rounded(kind._moved(torch.arange(kind.count), one.change))
            for row, length in enumerate(kind.lengths.tolist()):
                assert not (moved - kind.x)[length:, row].any()
                noise = (moved - kind.x)[:, row].double().norm()
                assert noise <= budget * kind.x[:, row].double().norm() * (1 + 1e-6)
        found.to_html(tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert "dB" in page
        for example in found.record.worst:
            for name, answer in zip(example.sounds, (example.before, example.after), strict=True):
                path = tmp_path / f"page-{name}"
                assert f'src="page-{name}"' in page
                assert soundfile.info(path).subtype == "PCM_16"
                assert next(iter(listener.transcribe(path))).text == answer

    def test_spectra_have_no_samples(self) -> None:
        model = Transcriber(hidden_size=4, epochs=1, steps=1).fit("fsdd")
        with pytest.raises(InputError) as error:
            run(model)
        assert error.value.code == "ATTACK_SPECTRA"

    def test_words_apart(self) -> None:
        assert distance([], ["a"]) == 1
        assert distance("abc", "acb") == 2
