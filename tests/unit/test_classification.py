"""Classification against computations written out by hand."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from torch.nn.functional import cross_entropy

from tests.unit.refusal import refused
from tidegate import nn, tasks
from tidegate.cli import main
from tidegate.compare.budget import solve_hidden_size
from tidegate.compare.cost import flops_per_step, step_latency_us
from tidegate.data.labelled import in_memory
from tidegate.errors import InputError
from tidegate.tasks import SequenceClassifier, from_pretrained
from tidegate.tasks.classification.batch import padded
from tidegate.tasks.classification.encoding import ClassificationEncoding
from tidegate.tasks.classification.score import brier, calibration_error, log_loss, temperature
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.task import ClassificationTask
from tidegate.tasks.classification.text import TextTask
from tidegate.tasks.classification.warp import warped, warped_neighbours
from tidegate.train.bucket import bucketed, by_length
from tidegate.train.estimator import graph_of
from tidegate.train.layer import make_layer


def generator(seed):
    return torch.Generator().manual_seed(seed)


def waves(rows=60, seed=0):
    """Ragged series: class "slow" has half the frequency of "fast"."""
    rng = np.random.default_rng(seed)
    labels = ["slow" if row % 2 else "fast" for row in range(rows)]
    series = [
        np.sin((1 if label == "slow" else 2) * np.arange(rng.integers(15, 25)) + rng.uniform(0, 6))[:, None]
        for label in labels
    ]
    return series, labels


def words(rows=80, seed=0):
    """A text is of class 1 where "not" stands before "good"."""
    rng = np.random.default_rng(seed)
    labels = [row % 2 for row in range(rows)]
    fill = ["a", "b", "c", "d"]
    texts = [
        " ".join([*rng.choice(fill, rng.integers(1, 5)), *(["not", "good"] if label else ["good", "not"]), "e"])
        + f" w{row}"
        for row, label in enumerate(labels)
    ]
    return texts, labels


def task(data, **settings):
    return ClassificationTask(in_memory(*data), ClassificationSetting(**settings))


QUICK = {"hidden_size": 8, "embedding_size": 4, "epochs": 2, "test_share": 0}


class TestTask:
    def test_the_scale_is_of_training_only(self):
        series, labels = waves()
        made = task((series, labels))
        train = np.concatenate(made.parts["train"].items)
        assert made.encoding.reading.mean == pytest.approx(train.mean(0))
        assert made.encoding.reading.sd == pytest.approx(train.std(0))

    def test_the_vocabulary_is_of_training_only(self):
        made = task(words())
        train = " ".join(made.parts["train"].items).split()
        assert set(made.encoding.reading.units) == set(train)
        unseen = [text.split()[-1] for text in made.parts["test"].items]
        assert not set(unseen) & set(train)
        assert all(int(one[-1, 0]) == 0 for one in made.sequences["test"])

    def test_copies_stay_in_one_part(self):
        texts, labels = words(40)
        made = task((texts + [text.upper().replace(" ", "  ") for text in texts], labels * 2))
        held = [{" ".join(text.lower().split()) for text in part.items} for part in made.parts.values()]
        assert sum(map(len, held)) == len(set.union(*held)) == 40
        assert not made.data.warnings

    def test_copies_of_official_parts_are_reported(self, tmp_path):
        (tmp_path / "a.txt").write_text("".join(f"{row % 2} text {row}\n" for row in range(40)))
        (tmp_path / "b.txt").write_text("0 text 2\n1 Text  3\n1 other\n")
        made = tasks.load(tmp_path / "a.txt", "classification", valid=tmp_path / "b.txt", test=tmp_path / "b.txt")
        assert made.data.warnings == (
            "valid: 2 of 3 rows also occur in training",
            "test: 2 of 3 rows also occur in training",
        )
        assert len(made.parts["train"].items) == 40
        assert "valid and test as given" in made.data.split

    def test_frames_by_hand(self):
        made = task((np.arange(40.0).reshape(20, 2).repeat(2, axis=1).reshape(20, 4, 1), ["a", "b"] * 10), frame=3)
        reading = made.encoding.reading
        z = ((np.array([[1.0], [2.0], [3.0], [4.0]]) - reading.mean) / reading.sd)[:, 0]
        got = reading.encode(np.array([[1.0], [2.0], [3.0], [4.0]]))
        assert got.tolist() == pytest.approx(np.array([z[:3], [z[3]] * 3]).astype(np.float32))

    def test_a_frame_longer_than_all_series_is_refused(self):
        data = (np.arange(80.0).reshape(20, 4, 1), ["a", "b"] * 10)
        assert task(data, frame=4).encoding.reading.frame == 4
        refused("FRAME", lambda: task(data, frame=5), "frame=5", "4 steps")

    @pytest.mark.parametrize(("steps", "frame"), [(40, 1), (41, 2), (150, 4), (784, 20)])
    def test_long_series_are_read_in_at_most_40_frames(self, steps, frame):
        made = task((np.random.default_rng(0).normal(size=(20, steps)), [0, 1] * 10))
        assert made.encoding.reading.frame == frame
        assert all(len(one) <= 40 for one in made.sequences["test"])

    def test_an_absent_channel_is_the_mean_of_training(self):
        series = [np.array([[1.0, 2.0], [3.0, 5.0]]) + row for row in range(20)]
        reading = task((series, [0, 1] * 10)).encoding.reading
        found = reading.encode(np.array([[np.nan, 1.0], [np.nan, 2.0]]))
        assert found[:, 0].tolist() == [0, 0]
        assert torch.isfinite(found).all()

    def test_error_is_the_log_loss_written_out(self):
        made = task(words())
        (batch,) = made.batches("test")
        logits = torch.randn(len(batch.targets), 2, generator=generator(0))
        expected = -sum(
            math.log(math.exp(row[k]) / sum(map(math.exp, row)))
            for row, k in zip(logits.tolist(), batch.targets.tolist(), strict=True)
        )
        measure = made.measure(logits, batch)
        assert measure.error == pytest.approx(expected, rel=1e-5)
        assert measure.count == len(batch.targets)

    def test_every_row_comes_once_a_pass(self):
        lengths = np.random.default_rng(0).integers(1, 50, 100).tolist()
        for groups in (list(bucketed(torch.tensor(lengths), 16, generator(0))), by_length(lengths, 16)):
            assert sorted(itertools.chain(*groups)) == list(range(100))
            assert max(map(len, groups)) == 16
        assert max(len(g) * max(lengths[r] * 5000 for r in g) for g in by_length([n * 5000 for n in lengths], 16)) < 1e6

    @pytest.mark.parametrize(("rows", "batches"), [(20, 24), (60, 24), (2000, 25)])
    def test_small_sets_are_passed_through_several_times(self, rows, batches):
        made = task(words(rows))
        assert batches <= len(list(made.batches("train", generator(0)))) <= batches + 5

    def test_a_model_reads_new_data_as_it_learnt(self):
        made = task(words())
        again = ClassificationTask(in_memory(["good not a", "not good"], ["1", "0"]), made.setting, made.encoding)
        assert again.parts["test"].classes.tolist() == [1, 0]
        assert "train" not in again.parts
        assert [line.name for line in again.baselines()] == ["majority class"]
        with pytest.raises(InputError, match="class 7, which does not occur in training"):
            ClassificationTask(in_memory(["good"], [7]), made.setting, made.encoding)
        with pytest.raises(InputError, match="series of 1 channels, but the model was trained on texts"):
            ClassificationTask(in_memory([[1.0]], [0]), made.setting, made.encoding)

    @pytest.mark.parametrize("data", [words(), waves(), (waves()[0], [row % 2 for row in range(60)])])
    def test_encodings_survive_json(self, data):
        encoding = task(data).encoding
        again = ClassificationEncoding.from_json(json.loads(json.dumps(encoding.to_json())))
        assert again == encoding
        assert torch.equal(again.reading.encode(data[0][0]), encoding.reading.encode(data[0][0]))

    def test_warnings_about_texts(self):
        texts, labels = words()
        made = task(([*texts, " ", "x " * 9], [*labels, 0, 1]), longest=5)
        assert "texts were cut off after 5 words (longest=5)" in made.data.warnings[0]
        assert made.data.warnings[1] == "1 texts are empty; each counts as one unknown word"

    def test_characters_for_names_and_words_for_sentences(self):
        names = [f"{first} {last}" for first in ("anna", "otto", "bob") for last in ("a", "b", "cd", "de", "e")]
        assert task((names, [0, 1, 0] * 5)).encoding.reading.unit == "character"
        assert task(words()).encoding.reading.unit == "word"


class TestModel:
    @pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
    @pytest.mark.parametrize("bidirectional", [False, True])
    def test_pooling_by_hand_whatever_the_padding(self, pooling, bidirectional):
        torch.manual_seed(0)
        made = task(waves(), pooling=pooling, bidirectional=bidirectional)
        model = made.model(lambda n, **options: nn.GRU(n, 3, **options)).eval()
        rows = [made.sequences["test"][row] for row in range(4)]
        with torch.no_grad():
            answers, state = model(padded(rows, torch.zeros(4, dtype=torch.int64)))
            assert state is None
            for row, answer in zip(rows, answers, strict=True):
                h = model.layer(row[:, None])[0][:, 0]  # [T, width]
                if pooling == "last":
                    pooled = torch.cat([h[-1, :3], h[0, 3:]]) if bidirectional else h[-1]
                elif pooling == "attention":
                    score = torch.stack([model.attention[2](torch.tanh(model.attention[0](step))) for step in h])
                    pooled = sum(step * share for step, share in zip(h, score.softmax(0), strict=True))
                else:
                    pooled = {"mean": h.mean(0), "max": h.max(0).values}[pooling]
                assert torch.allclose(model.head(pooled), answer, atol=1e-6)

    def test_hidden_units_are_unknown_in_training_only(self):
        made = task(words(), unit_dropout=0.5, dropout=0.0)
        encoder, _ = made.encoding.reading.encoder(made.setting)
        units = torch.randint(1, made.encoding.reading.size, (50, 40))
        hidden = (encoder(units) == encoder.table.weight[0]).all(-1).float().mean()
        assert hidden == pytest.approx(0.5, abs=0.05)
        assert torch.equal(encoder.eval()(units), encoder.table(units))

    def test_cells_that_take_as_many_features_as_units(self):
        model = task(waves()).model(lambda n, **options: nn.Recurrent("indrnn", 5, 5, **options))
        assert model.layer.input_size == 5


class TestScore:
    @given(
        arrays(np.float64, (20, 3), elements=st.floats(0.01, 1)), st.lists(st.integers(0, 2), min_size=20, max_size=20)
    )
    def test_against_loops(self, chances, truth):
        chances, truth = chances / chances.sum(1, keepdims=True), np.array(truth)
        loss = sum(-math.log(row[k]) for row, k in zip(chances, truth, strict=True)) / 20
        square = sum(sum((p - (c == k)) ** 2 for c, p in enumerate(row)) for row, k in zip(chances, truth, strict=True))
        gap = 0.0
        for m in range(15):
            held = [
                (max(row), row.argmax() == k)
                for row, k in zip(chances, truth, strict=True)
                if m / 15 < max(row) <= (m + 1) / 15
            ]
            if held:
                sure, right = (sum(column) / len(held) for column in zip(*held, strict=True))
                gap += len(held) / 20 * abs(right - sure)
        assert log_loss(chances, truth) == pytest.approx(loss)
        assert brier(chances, truth) == pytest.approx(square / 20)
        assert calibration_error(chances, truth) == pytest.approx(gap, abs=1e-9)

    def test_certain_and_right(self):
        chances = np.eye(3)
        assert log_loss(chances, np.arange(3)) == brier(chances, np.arange(3)) == 0
        assert calibration_error(chances, np.arange(3)) == 0
        assert calibration_error(chances, np.array([1, 2, 0])) == 1

    @pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
    def test_temperature_is_found_again(self, true):
        logits = torch.randn(5000, 4, generator=generator(0)).double() * 2
        truth = torch.distributions.Categorical(logits=logits).sample()
        found = temperature(logits * true, truth)
        losses = {t: float(cross_entropy(logits * true / t, truth)) for t in np.geomspace(0.05, 20, 400)}
        assert found == pytest.approx(min(losses, key=losses.get), rel=0.02)
        assert found == pytest.approx(true, rel=0.1)

    @given(arrays(np.float64, (3, 4, 2), elements=st.floats(-3, 3)))
    def test_warping_against_the_recursion(self, series):
        query, known = series[0], series[1:]

        def distance(i, j, other):
            if i < 0 or j < 0:
                return math.inf
            before = (
                0.0
                if i == j == 0
                else min(distance(i - 1, j, other), distance(i, j - 1, other), distance(i - 1, j - 1, other))
            )
            return ((query[i] - other[j]) ** 2).sum() + before

        expected = [distance(3, 3, other) for other in known]
        assert warped(query, known) == pytest.approx(expected)
        if abs(expected[0] - expected[1]) > 1e-6:
            assert warped_neighbours(query[None], known)[0] == int(np.argmin(expected))

    def test_baselines_by_hand(self):
        series = [np.full((5, 1), float(row % 2)) + 0.01 * row for row in range(40)]
        made = task((series, ["low", "high"] * 20))
        records = {line.name: line.score for line in made.baselines()}
        shares = dict(zip(made.encoding.classes, made.encoding.shares, strict=True))
        truth = [made.encoding.classes[k] for k in made.parts["test"].classes]
        assert records["majority class"] == pytest.approx(-np.mean([math.log(shares[k]) for k in truth]))
        assert records["linear"] < 0.1
        assert {rival.name for rival in made._rivals if not rival.probable} == {"1-NN", "1-NN DTW"}

    def test_answers_stand_in_the_order_of_the_rows(self):
        made = task(waves())
        model = made.model(lambda n, **options: nn.GRU(n, 3, **options)).eval()
        logits = made._logits(model, "test")
        for row, (one, kind) in enumerate(zip(made.sequences["test"], made.parts["test"].classes, strict=True)):
            alone, _ = model(padded([one], torch.tensor([kind])))
            assert torch.allclose(alone[0].double(), logits[row], atol=1e-6)

    def test_n_grams_know_the_order_of_words(self):
        made = task(words(200))
        assert {line.name: line.score for line in made.baselines()}["n-grams"] < 0.2


class TestEstimator:
    def test_order_learnt_and_probabilities_in_the_order_of_the_data(self):
        texts, labels = words(200)
        model = SequenceClassifier(hidden_size=16, embedding_size=8, learning_rate=0.01, epochs=8).fit(texts, labels)
        fresh, truth = words(60, seed=1)
        chances = model.predict_proba(fresh)
        assert chances.sum(1) == pytest.approx(1)
        assert model.classes_.tolist() == [0, 1]
        assert (model.predict(fresh) == truth).all()
        assert model.score(fresh, truth) == 1
        assert [model.predict([text])[0] for text in fresh[:9]] == truth[:9]
        assert {score.name: score.value for score in model.evaluate(fresh, truth)}["accuracy"] == 1

    def test_saved_models_answer_the_same(self, tmp_path):
        series, labels = waves()
        model = SequenceClassifier(**{**QUICK, "test_share": 0.1}, votes=False, calibrate=True).fit(series, labels)
        assert float(model.model_.temperature) != 1
        model.save_pretrained(tmp_path)
        again = from_pretrained(tmp_path)
        assert isinstance(again, SequenceClassifier)
        assert np.array_equal(again.predict_proba(series), model.predict_proba(series))
        assert again.predict(series).tolist() == model.predict(series).tolist()
        assert again.scores_ == model.scores_

    def test_calibration_lowers_the_loss_of_validation(self):
        made = TextTask(task(words(), calibrate=True, votes=False))
        model = made.model(lambda n, **options: nn.GRU(n, 8, **options))
        torch.nn.init.normal_(model.head.weight, std=20)
        truth = torch.from_numpy(made.parts["valid"].classes)
        before = cross_entropy(made._logits(model, "valid"), truth)
        made.settle(model)
        assert cross_entropy(made._logits(model, "valid"), truth) < before

    def test_cross_validation_and_grid_search(self):
        series, labels = waves(24)
        model = SequenceClassifier(**{**QUICK, "epochs": 1})
        scores = cross_val_score(model, series, labels, cv=2)
        assert scores.shape == (2,)
        assert np.isfinite(scores).all()
        search = GridSearchCV(model, {"pooling": ["max", "last"]}, cv=2, error_score="raise")
        search.fit(np.array([one[:15] for one in series]), np.array(labels))
        assert search.best_params_["pooling"] in ("max", "last")
        assert search.predict(series).shape == (24,)
        assert clone(model).get_params() == model.get_params()

    def test_without_a_test_part_there_are_no_scores(self):
        model = SequenceClassifier(**{**QUICK, "epochs": 1}).fit(*waves())
        assert model.scores_ == []
        assert "test 0" in model.data_.split

    def test_float64(self):
        model = SequenceClassifier(**QUICK, precision="float64", votes=False).fit(*waves())
        assert model.model_.head.weight.dtype == torch.float64
        assert model.predict_proba(waves()[0]).shape == (60, 2)

    def test_the_same_seed_gives_the_same_model(self):
        series, labels = waves()
        first, again = (SequenceClassifier(**QUICK).fit(series, labels).predict_proba(series) for _ in range(2))
        assert np.array_equal(first, again)

    def test_data_in_memory_with_a_file_for_the_test(self, tmp_path):
        (tmp_path / "b.txt").write_text("0 good not\n1 not good\n")
        model = SequenceClassifier(**QUICK).fit(*words(), test=tmp_path / "b.txt")
        assert "test 2; test as given" in model.data_.split
        assert model.scores_[0].baselines["majority class"] == 0.5

    def test_not_fitted(self):
        with pytest.raises(InputError, match="not fitted"):
            SequenceClassifier().predict(["a"])

    def test_data_that_the_model_cannot_read(self):
        model = SequenceClassifier(**{**QUICK, "epochs": 1}, votes=False).fit(*waves())
        wrong = [(["a text"], "trained on series"), (np.zeros((2, 3, 4)), "4 channels"), ([], "empty")]
        for data, says in wrong:
            with pytest.raises(InputError, match=says):
                model.predict(data)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classification")
    texts, labels = words(200)
    lines = "".join(f"{'no' if label else 'yes'} {text}\n" for text, label in zip(texts, labels, strict=True))
    (folder / "a.txt").write_text(lines)
    options = ["--hidden-size", "16", "--embedding-size", "8", "--learning-rate", "0.01", "--epochs", "10"]
    code = main(["train", "classification", str(folder / "a.txt"), "--out", str(folder / "model"), *options])
    assert code == 0
    return folder


class TestCommand:
    def test_texts(self, trained, capsys):
        assert main(["predict", str(trained / "model"), "--text", "a good not e", "b not good e"]) == 0
        lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert [(label, text) for label, _, text in lines] == [("yes", "a good not e"), ("no", "b not good e")]
        assert all(0.5 < float(chance) <= 1 for _, chance, _ in lines)

    def test_files(self, trained, capsys):
        (trained / "plain.txt").write_text("a good not e\nb not good e\n")
        assert main(["predict", str(trained / "model"), str(trained / "plain.txt")]) == 0
        plain = capsys.readouterr().out
        (trained / "begun.txt").write_text("no a good not e\nyes b not good e\n")
        assert main(["predict", str(trained / "model"), str(trained / "begun.txt")]) == 0
        assert capsys.readouterr().out == plain

    @pytest.mark.parametrize("suffix", ["csv", "jsonl"])
    def test_tables(self, trained, suffix):
        out = trained / f"out.{suffix}"
        assert main(["predict", str(trained / "model"), "--text", "a, good not e", "--out", str(out)]) == 0
        text = out.read_text()
        if suffix == "csv":
            assert text.splitlines()[0] == "text,label,probability,p(no),p(yes)"
            assert text.splitlines()[1].startswith('"a, good not e",yes,0.')
        else:
            row = json.loads(text)
            assert row["label"] == "yes"
            assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)

    def test_evaluate(self, trained, capsys):
        assert main(["evaluate", str(trained / "model"), str(trained / "a.txt")]) == 0
        assert "accuracy" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ([], "DATA or --text"),
            (["a.txt", "--text", "b"], "either DATA or --text"),
            (["--text", "a", "--text", "b"], "--text is given twice"),
            (["--text", "b", "--out", "a.xml"], ".csv or .jsonl"),
            (["--text", "b", "--out", "/nowhere/at/all/a.csv"], "cannot be written"),
        ],
    )
    def test_requests_that_cannot_be_met(self, trained, arguments, says, capsys):
        assert main(["predict", str(trained / "model"), *arguments]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1


def test_comparison(tmp_path):
    texts, labels = words(120)
    (tmp_path / "a.jsonl").write_bytes(in_memory(texts, labels).raw)
    setting = ClassificationSetting(embedding_size=8, ngrams=1)
    made = tasks.load(tmp_path / "a.jsonl", "classification", setting)
    graph = graph_of("gru")
    size, parameters = solve_hidden_size(made, graph, 5000)
    layer = make_layer(graph, dataclasses.replace(setting, hidden_size=size))
    model = made.model(layer)
    assert sum(one.numel() for one in model.parameters()) == parameters == pytest.approx(5000, rel=0.1)
    assert flops_per_step(model) == 2 * flops_per_step(
        made.encoding.model(layer, dataclasses.replace(setting, bidirectional=False))
    )
    assert step_latency_us({"gru": model.layer})["gru"][0] > 0
    again = tasks.from_json(json.loads(json.dumps(made.to_json())))
    assert again.data == made.data
    assert again.encoding == made.encoding
