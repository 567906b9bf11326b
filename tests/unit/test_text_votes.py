"""Votes of n-grams, and layers that learn what these leave over, against computations written out by hand."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from tidegate import nn
from tidegate.data.labelled import in_memory
from tidegate.tasks import SequenceClassifier, from_pretrained
from tidegate.tasks.classification import ngram, tfidf
from tidegate.tasks.classification.batch import padded
from tidegate.tasks.classification.encoding import SPELLING, ClassificationEncoding, Vocabulary
from tidegate.tasks.classification.hold import Holding, Pair
from tidegate.tasks.classification.ngram import STRENGTHS, NgramBallot, counted_of
from tidegate.tasks.classification.score import log_loss
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.task import ClassificationTask
from tidegate.tasks.classification.text import TextTask
from tidegate.tasks.classification.tfidf import Terms

QUICK = {"hidden_size": 8, "embedding_size": 4, "epochs": 2}
TEXTS = ["no, not a Word", "", "unheard-of a a a", "not not", "éèê 漢字 \U0001f600", "a" * 40]
WORDS = [
    ["no", ",", "not", "a", "word"],
    [""],
    ["unheard", "-", "of", "a", "a", "a"],
    ["not", "not"],
    ["éèê", "漢字", "\U0001f600"],
    ["a" * 20],
]


def pairs(rows=80, seed=0):
    """The class is that of a pair of words, which only n-grams of words tell."""
    rng = np.random.default_rng(seed)
    labels = [row % 2 for row in range(rows)]
    texts = [
        " ".join([*rng.choice(list("abcd"), rng.integers(1, 5)), *(("not", "good") if label else ("good", "not")), "e"])
        for label in labels
    ]
    return [f"{text} w{row}" for row, text in enumerate(texts)], labels


def far_apart(rows=200, seed=0):
    """The class is whether the first word is also the last, of which n-grams say nothing."""
    rng = np.random.default_rng(seed)
    labels = [row % 2 for row in range(rows)]
    first = rng.choice(["x", "y"], rows)
    last = [one if label else {"x": "y", "y": "x"}[one] for one, label in zip(first, labels, strict=True)]
    return [" ".join([a, *rng.choice(list("abc"), 4), z]) for a, z in zip(first, last, strict=True)], labels


def task(data, **settings):
    return TextTask(ClassificationTask(in_memory(*data), ClassificationSetting(**settings)))


def layer(inputs, **options):
    return nn.GRU(inputs, 3, **options)


def by_hand(symbols, shortest, longest):
    """How often each n-gram of sequences of symbols occurs."""
    found = {}
    for one in symbols:
        for n in range(shortest, longest + 1):
            for at in range(len(one) - n + 1):
                found[tuple(one[at : at + n])] = found.get(tuple(one[at : at + n]), 0) + 1
    return found


def code_of(gram):
    code = 0
    for symbol in gram:
        code = (0x9E3779B1 * code + symbol) % 2**31
    return code


def word_code(word):
    code = 0
    for symbol in [1, *(ord(letter) + 2 for letter in word), 1]:
        code = (0x85EBCA6B * code + symbol) % 2**31
    return code


def in_row(found, row):
    at = found.texts == row
    return dict(zip(found.codes[at].tolist(), found.counts[at].tolist(), strict=True))


class TestOccurrences:
    @given(st.lists(st.lists(st.integers(0, 2**30), min_size=1, max_size=6), min_size=1, max_size=4))
    def test_characters_by_hand(self, rows):
        (found,) = counted_of([torch.tensor(row) for row in rows], 4, letters=False)
        for number, row in enumerate(rows):
            grams = by_hand([[1, *(unit + 2 for unit in row), 1]], 1, 4)
            expected = {}
            for gram, count in grams.items():
                expected[code_of(gram)] = expected.get(code_of(gram), 0) + count
            assert in_row(found, number) == expected

    def test_words_by_hand(self):
        reading = Vocabulary("word", ("not", "a", "of"), 400)
        units, letters = counted_of(map(reading.encode, TEXTS), 2, letters=True)
        for row, words in enumerate(WORDS):
            grams = by_hand([[1, *map(word_code, words), 1]], 1, 2)
            assert in_row(units, row) == {code_of(gram): count for gram, count in grams.items()}
            spelt = by_hand([[1, *(ord(letter) + 2 for letter in word), 1] for word in words], 3, 6)
            assert in_row(letters, row) == {code_of(gram): count for gram, count in spelt.items()}

    def test_groups_of_texts_change_nothing(self, monkeypatch):
        reading = Vocabulary("word", ("not", "a", "of"), 400)
        whole = counted_of(map(reading.encode, TEXTS), 2, letters=True)
        monkeypatch.setattr(ngram, "UNITS", 1)
        for one, other in zip(whole, counted_of(map(reading.encode, TEXTS), 2, letters=True), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))

    @given(st.lists(st.integers(0, len(TEXTS) - 1), max_size=5))
    def test_some_of_the_texts(self, rows):
        reading = Vocabulary("word", ("not", "a", "of"), 400)
        (found,) = counted_of(map(reading.encode, TEXTS), 2, letters=False)
        taken = found.taken(torch.tensor(rows, dtype=torch.int64))
        assert [in_row(taken, at) for at in range(len(rows))] == [in_row(found, row) for row in rows]

    def test_codes_stay_the_same(self):
        """Saved models rely on these numbers, in every process and on every machine."""
        (found,) = counted_of([torch.tensor([2, 4])], 2, letters=False)
        assert found.codes.tolist() == [1, 4, 6, *sorted(map(code_of, ((1, 4), (4, 6), (6, 1))))]
        assert code_of((4, 6)) == 2027808458

    def test_codes_differ_as_well_as_by_chance(self):
        words = [f"{a}{b}{c}" for a, b, c in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=3)]
        reading = Vocabulary("word", (), 10**6)
        units, letters = counted_of([reading.encode(" ".join(words))], 2, letters=True)
        assert len(units.codes) >= 2 * len(words) - 2
        assert len(letters.codes) >= 3 * len(words) - 2


def tfidf_by_sklearn(train, others, longest):
    """Features of both kinds, as scikit-learn weighs the n-grams of ``WORDS``-like lists."""

    def of_units(words):
        return [" ".join(words[at : at + n]) for n in range(1, longest + 1) for at in range(len(words) - n + 1)]

    def of_letters(words):
        ends = [f"\0{word}\0" for word in words if word not in ("\1", "")]
        return [word[at : at + n] for word in ends for n in range(3, 7) for at in range(len(word) - n + 1)]

    kinds = []
    for analyzer in (of_units, of_letters):
        counter = TfidfVectorizer(analyzer=analyzer, sublinear_tf=True).fit(train)
        kinds.append([counter.transform(part) for part in (train, others)])
    return kinds


class TestBallot:
    def corpus(self):
        rng = np.random.default_rng(0)
        vocabulary = ["good", "bad", "fine", "film", "plot", "goodness", "badly", "the"]
        texts = [[str(word) for word in rng.choice(vocabulary, rng.integers(3, 9))] for _ in range(90)]
        score = [sum(("good" in word) + (word == "fine") - ("bad" in word) for word in text) for text in texts]
        return texts, np.array([int(one > 0) + int(one > 1) for one in score])

    def test_the_regression_is_that_of_scikit_learn(self):
        texts, truth = self.corpus()
        holding = Holding((Pair(np.arange(60), np.arange(60, 90)),), np.arange(60))
        reading = Vocabulary("word", (), 400)
        encoded = [reading.encode(" ".join(text)) for text in texts]
        made = NgramBallot.of(encoded, truth, 3, holding, "word", 2, letters=True)
        marked = [["\1", *text, "\1"] for text in texts]
        kinds = tfidf_by_sklearn(marked[:60], marked[60:], 2)
        for count, regression in enumerate(made.regressions, 1):
            first, held = (hstack([kind[part] for kind in kinds[:count]], format="csr") for part in (0, 1))
            fits = [LogisticRegression(C=c, max_iter=300).fit(first, truth[:60]) for c in STRENGTHS]
            losses = [log_loss(fit.predict_proba(held), truth[60:]) for fit in fits]
            assert regression.strength == STRENGTHS[int(np.argmin(losses))]
            assert regression.loss == pytest.approx(min(losses), rel=1e-3)
            chances = list(made.answers(encoded[60:]))[count - 1][1].softmax(1)
            expected = fits[int(np.argmin(losses))].predict_proba(held)
            assert chances.numpy() == pytest.approx(expected, abs=2e-3)

    def test_the_module_answers_as_the_regression_that_votes(self):
        texts, truth = self.corpus()
        holding = Holding((Pair(np.arange(60), np.arange(60, 90)),), np.arange(90))
        reading = Vocabulary("word", (), 400)
        encoded = [reading.encode(" ".join(text)) for text in texts]
        made = NgramBallot.of(encoded, truth, 3, holding, "word", 2, letters=True)
        answers = {name: logits for name, logits, _ in made.answers(encoded)}[made.voters]
        votes = made.votes()
        batch = padded(encoded, torch.zeros(90, dtype=torch.int64))
        assert torch.allclose(votes(batch.inputs, batch.lengths), answers, atol=1e-9)
        single = votes.float()
        together = single(batch.inputs, batch.lengths)
        for row, text in enumerate(encoded):
            assert torch.equal(single(text[:, None], torch.tensor([len(text)]))[0], together[row])

    def test_rows_apart_have_not_been_learnt_from(self, monkeypatch):
        """With classes drawn by chance, votes know the rows that they have learnt from, and no others."""
        monkeypatch.setattr(ngram, "STRENGTHS", (1000.0,))
        monkeypatch.setattr(ngram, "BEGIN", 0)
        texts = [f"w{row} v{row}" for row in range(300)]
        made = task((texts, np.random.default_rng(0).integers(2, size=300).tolist()))
        logits, _ = made._apart
        truth = torch.from_numpy(made.known.classes)
        assert (logits.argmax(1) == truth).double().mean() < 0.6
        (_, learnt, _), *_ = made.ballot.answers(map(made.encoding.reading.encode, made.known.items))
        assert torch.equal(learnt.argmax(1), truth)
        seen = set()
        for pair in made.known.apart():
            assert not set(pair.fit) & set(pair.held)
            assert not seen & set(pair.held)
            seen |= set(pair.held)
        assert seen == set(range(len(truth)))
        assert set(made.known.apart()[-1].held) == set(made.known.holding.held)

    def test_copies_stay_in_one_fold(self):
        texts, labels = pairs(60)
        made = task((texts + texts, labels + labels))
        keys = made.known.choice.keys
        for pair in made.known.apart():
            assert not {keys[row] for row in pair.fit} & {keys[row] for row in pair.held}

    def test_work_is_bounded(self, monkeypatch):
        monkeypatch.setattr(tfidf, "TERMS", 5)
        texts = [torch.tensor(row) for row in ([7, 8], [7, 9], [7, 10])]
        (seen,) = counted_of(texts, 1, letters=False)
        assert Terms.of(seen, 2).codes.tolist() == [1, 9, 10, 11, 12]
        monkeypatch.setattr(tfidf, "NUMBERS", 6)
        assert Terms.of(seen, 3).codes.tolist() == [1, 9]  # those that most texts have
        monkeypatch.setattr("tidegate.tasks.classification.task.READ", 800)
        made = task(pairs(100))
        assert 5 < len(made.known.voting.last) < 60
        assert made.data.warnings[-1].startswith("votes, and baselines like them, learn from ")
        assert all(len(pair.fit) <= len(made.known.voting.last) for pair in made.known.apart())
        assert "rows drawn" in made._rivals[1].how


def test_inverse_frequencies_by_hand():
    texts = [torch.tensor(row) for row in ([7, 7, 8], [8])]
    (seen,) = counted_of(texts, 1, letters=False)
    rows, places, values = Terms.of(seen, 2)(seen)
    ends, seven, eight = 1 + math.log(2), (1 + math.log(2)) * (1 + math.log(3 / 2)), 1.0
    length = math.sqrt(ends**2 + seven**2 + eight**2)
    assert rows.tolist() == [0, 0, 0, 1, 1]
    assert places.tolist() == [0, 1, 2, 0, 2]
    assert values[:3].tolist() == pytest.approx([ends / length, seven / length, eight / length])


class TestTraining:
    def test_layers_learn_beside_votes(self):
        made = task(pairs())
        (batch, *_) = made.batches("train", torch.Generator().manual_seed(0))
        outputs = torch.randn(len(batch.targets), 2)
        loss = torch.nn.functional.cross_entropy(outputs + batch.beside.T, batch.targets, reduction="sum")
        assert torch.equal(made.measure(outputs, batch).loss, loss)
        share = batch.share(1, 2)
        assert torch.equal(share.beside, batch.beside[:, 1::2])

    def test_each_row_has_its_own_votes(self):
        made = task(pairs())
        logits, scale = made._apart
        for split, first in (("train", 0), ("valid", made.known.choice.train)):
            for batch, rows in zip(made.batches(split), made._groups(split, None), strict=True):
                expected = (scale * logits[[first + row for row in rows]]).float()
                assert torch.equal(batch.beside.T, expected)

    def settled(self, made, layers, monkeypatch):
        """The shares of layers that answer so on rows held out, and of votes, and what is told."""
        monkeypatch.setattr(made, "_unseen", lambda _: layers)
        kept = made.settle(made.model(layer))
        return (*kept.shares.tolist(), made.remarks(kept)[0])

    def test_n_grams_that_tell_the_class_answer(self, monkeypatch):
        made = task(pairs(200))
        blind = torch.zeros(len(made.known.holding.held), 2, dtype=torch.float64)
        layers, votes, told = self.settled(made, blind, monkeypatch)
        assert layers == 0
        assert votes > 0
        assert told.endswith("the layers added nothing, so the votes answer alone")

    def test_n_grams_that_tell_nothing_are_left_out(self, monkeypatch):
        made = task(far_apart())
        knowing = 4.0 * torch.eye(2, dtype=torch.float64)[made.known.classes[made.known.holding.held]]
        layers, votes, told = self.settled(made, knowing, monkeypatch)
        assert layers > 0.5
        assert votes == 0
        assert told.endswith("the votes added nothing, so the layers answer alone")

    def test_compare_trains_the_layers_alone(self):
        plain = ClassificationTask(in_memory(*pairs()), ClassificationSetting())
        assert plain.model(layer).votes is None
        assert next(iter(plain.batches("train"))).beside is None
        assert {line.name for line in plain.baselines()} == {"majority class", "n-grams", "n-grams and letters"}

    def test_baselines_read_texts_whole(self):
        """Layers and votes read the first two words, and the third is the class."""
        texts = [f"a w{row % 7} {'good' if row % 2 else 'bad'}" for row in range(100)]
        made = task((texts, [row % 2 for row in range(100)]), longest=2)
        line = {one.name: one.score for one in made.baselines()}
        assert line["n-grams"] < 0.2
        assert made.ballot.best.loss > 0.6


@pytest.fixture(scope="module")
def model():
    return SequenceClassifier(**QUICK).fit(*pairs())


class TestEstimator:
    def test_what_was_chosen_is_told(self, model):
        assert model.notes_[0].startswith("log loss of 8 texts held out: votes of n-grams")
        assert set(model.scores_[0].parts) == {"votes alone"}
        assert model.scores_[0].parts["votes alone"] == 1

    def test_the_answer_is_the_weighted_sum(self, model):
        (batch,) = task(pairs(), **QUICK).batches("test")
        with torch.inference_mode():
            layers, votes = model.model_.parts(batch)
            expected = model.model_.shares[0] * layers + model.model_.shares[1] * votes
            assert torch.equal(model.model_(batch)[0], expected)
            assert torch.equal(votes, model.model_.votes(batch.inputs, batch.lengths))

    def test_saved_models_answer_the_same(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        again = from_pretrained(tmp_path)
        texts = [*pairs()[0], "", "unheard of", "😀" * 30]
        assert np.array_equal(again.predict_proba(texts), model.predict_proba(texts))
        assert again.scores_ == model.scores_
        one_by_one = np.concatenate([again.predict_proba([text]) for text in texts])
        assert one_by_one == pytest.approx(again.predict_proba(texts), abs=1e-6)

    @pytest.mark.parametrize("chosen", [{"votes": False}, {"ngrams": 1}])
    def test_without_votes(self, chosen, tmp_path):
        model = SequenceClassifier(**QUICK, **chosen).fit(*pairs())
        assert model.model_.votes is None
        assert model.notes_ == ()
        assert model.scores_[0].parts == {}
        model.save_pretrained(tmp_path)
        again = from_pretrained(tmp_path)
        assert again.get_params() == model.get_params()
        assert np.array_equal(again.predict_proba(pairs()[0]), model.predict_proba(pairs()[0]))

    def test_lengths_of_n_grams(self):
        names = ([f"anna{k}" for k in range(40)], [0, 1] * 20)
        assert [task(data, ngrams=n).ballot.longest for data in (names, pairs()) for n in (0, 3)] == [4, 3, 2, 3]
        assert task(names).ballot.plan.letters == 0

    def test_letters_of_many_texts_are_not_counted(self, monkeypatch):
        monkeypatch.setattr("tidegate.tasks.classification.task.SPELT", 100)
        assert len(task(pairs()).ballot.regressions) == 1

    def test_too_many_classes_for_votes(self):
        many = ([f"{k:05d}" for k in range(600)], [k // 2 for k in range(600)])
        assert not task(many).voting
        assert task(many, ngrams=2).voting

    def test_models_of_earlier_builds_are_refused_by_name(self, model):
        record = json.loads(json.dumps(model.encoding_.to_json()))
        assert ClassificationEncoding.from_json(record) == model.encoding_
        del record["ngrams"]
        with pytest.raises(ValueError, match="earlier build"):
            ClassificationEncoding.from_json(record)

    @pytest.mark.parametrize("wrong", [{"units": 0}, {"letters": -1}, {"longest": 0}, {"units": "many"}])
    def test_damaged_plans(self, model, wrong):
        record = model.encoding_.to_json()
        with pytest.raises((ValueError, TypeError)):
            ClassificationEncoding.from_json({**record, "ngrams": {**record["ngrams"], **wrong}})

    def test_float64(self):
        model = SequenceClassifier(**QUICK, precision="float64").fit(*pairs())
        assert model.predict_proba(pairs()[0]).shape == (80, 2)
        assert model.model_.votes.bias.dtype == torch.float64

    def test_words_that_training_lacks_are_told_by_their_letters(self):
        texts = [f"{start}{k:03d}ly" for start in ("glad", "grim") for k in range(60)]
        made = SequenceClassifier(**QUICK, unit="word").fit(texts, [text[:4] for text in texts])
        assert made.predict(["gladdest", "grimmest"]).tolist() == ["glad", "grim"]

    def test_long_words_are_cut(self):
        assert Vocabulary("word", (), 400).encode("a" * 1000 + " b").shape == (2, 1 + SPELLING + 2)

    def test_a_class_that_a_fold_lacks(self):
        texts, labels = pairs(60)
        model = SequenceClassifier(**QUICK).fit([*texts, "once", "once"], [*labels, 2, 2])
        assert model.classes_.tolist() == [0, 1, 2]
        assert np.isfinite(model.predict_proba(["once"])).all()
