"""Tagging: what is read, which spans tags mark, and what a tagger learns."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from tests.reference.conlleval import conlleval
from tidegate import tasks
from tidegate.cli import main
from tidegate.compare.budget import solve_hidden_size
from tidegate.data import Source
from tidegate.errors import InputError
from tidegate.tasks import SequenceTagger, from_pretrained
from tidegate.tasks.tagging.baseline import rivals
from tidegate.tasks.tagging.batch import padded, pieces, probabilities
from tidegate.tasks.tagging.encoding import TaggingEncoding
from tidegate.tasks.tagging.reader import in_memory, read_parts, read_tagged
from tidegate.tasks.tagging.record import Layout, Sentence
from tidegate.tasks.tagging.scheme import broken, scheme_of, span_score, spans
from tidegate.tasks.tagging.score import Truth, scored
from tidegate.tasks.tagging.setting import TaggingSetting
from tidegate.tasks.tagging.task import TaggingTask
from tidegate.train.layer import make_layer
from tidegate.zoo import graph_of

QUICK = {"hidden_size": 12, "embedding_size": 8, "ends_size": 8, "epochs": 8, "learning_rate": 2e-2, "averaging": 0.9}
TOWNS = ["Rome", "Oslo", "New York", "Fort Worth", "Lima", "Bonn"]


def trips(count=60, seed=0):
    """A town after "from" or "to" is where a flight begins or ends."""
    rng = np.random.default_rng(seed)
    words, tags = [], []
    for _ in range(count):
        one, its = ["flights"], ["O"]
        for way in rng.permutation(["from", "to"]):
            town = TOWNS[rng.integers(len(TOWNS))].split()
            one += [str(way), *town]
            its += ["O", f"B-{way}", *[f"I-{way}"] * (len(town) - 1)]
        words.append([*one, f"number{rng.integers(10**6)}"])
        tags.append([*its, "O"])
    return words, tags


def source(text, name="a.conll"):
    return Source(name, name, text.encode())


def read(text, name="a.conll", **layout):
    return read_tagged(source(text, name), Layout(**layout))


def pairs(text, name="a.conll", **layout):
    return [
        list(zip(one.words, one.tags, strict=True)) if one.tags else list(one.words)
        for one in read(text, name, **layout).sentences
    ]


def sentences(*tags):
    return [Sentence(tuple("w" for _ in one.split()), tuple(one.split()), f"line {k}") for k, one in enumerate(tags)]


class TestColumns:
    def test_two_columns_need_nothing(self):
        want = [[("to", "O"), ("Rome", "B-X")], [("yes", "O")]]
        assert pairs("to O\nRome B-X\n\nyes O\n") == want
        assert pairs("to\tO\r\nRome\tB-X\r\n\r\n\r\nyes\tO") == want
        assert pairs("\ufeff-DOCSTART- -X- O\n\nto  O\nRome \t B-X \n-DOCSTART- -X- O\nyes O\n") == want

    def test_tabs_keep_blanks_inside_words(self):
        assert pairs("New York\tB-X\nto\tO\n") == [[("New York", "B-X"), ("to", "O")]]

    def test_unusual_blanks_are_no_blanks(self):
        assert pairs("a\u00a0b O\nc\u2028d X\n\x0b O\n") == [[("a\u00a0b", "O"), ("c\u2028d", "X"), ("\x0b", "O")]]

    def test_of_several_columns_the_last_that_varies_has_the_tags(self):
        text = "EU NNP B-ORG _\nrejects VBZ O _\n"
        assert pairs(text) == [[("EU", "B-ORG"), ("rejects", "O")]]
        (note,) = read(text).notes
        assert "column 1 of 4" in note
        assert "column 3 as the tags" in note
        assert pairs(text, tag_column=2) == [[("EU", "NNP"), ("rejects", "VBZ")]]
        assert pairs("1 EU NNP\n2 rejects VBZ\n") == [[("EU", "NNP"), ("rejects", "VBZ")]]
        assert pairs("NNP EU\nVBZ rejects\n", word_column=2) == [[("EU", "NNP"), ("rejects", "VBZ")]]

    def test_a_hash_begins_a_comment_or_a_word(self):
        text = "# text = to Rome\nto O\nRome B-X\n\n# O\n#2 O\n"
        assert pairs(text) == [[("to", "O"), ("Rome", "B-X")], [("#", "O"), ("#2", "O")]]
        assert pairs("# id 7 domain=en\nto _ _ O\nRome _ _ X\n") == [[("to", "O"), ("Rome", "X")]]

    def test_comments_say_the_parts(self):
        text = "# split = train\na O\n\nb X\n\n# split = dev\nc O\n\n# split = test\n\nd O\n"
        parts = read_parts(source(text), Layout())
        assert {part: [one.words for one in own.sentences] for part, own in parts.items()} == {
            "train": [("a",), ("b",)],
            "valid": [("c",)],
            "test": [("d",)],
        }

    @pytest.mark.parametrize(
        "text",
        ["to\nRome\n\nyes\n", "to O\nRome X\n\nyes O\n", '{"words": ["to", "Rome"]}\n{"tokens": ["yes"]}\n'],
    )
    def test_tags_are_not_needed_to_predict(self, text):
        assert pairs(text, labelled=False) == [["to", "Rome"], ["yes"]]

    def test_a_file_of_texts_holds_one_a_line(self):
        assert pairs("to  Rome\nyes\n", "a.txt", labelled=False) == [["to", "Rome"], ["yes"]]
        assert pairs("to Rome\n", "a.txt", labelled=False) == [["to", "Rome"]]
        assert pairs("to\nRome\n", "a.txt", labelled=False) == [["to", "Rome"]]


def universal(*rows):
    return "".join("\t".join([number, form, "_", tag, *["_"] * 6]) + "\n" for number, form, tag in rows)


class TestUniversal:
    ROWS = [("1-2", "vámonos", "_"), ("1", "vamos", "VERB"), ("2", "nos", "PRON"), ("2.1", "x", "X"), ("3", "#", "SYM")]

    @pytest.mark.parametrize("name", ["a.conllu", "a.conll"])
    def test_ranges_and_empty_nodes_are_left_out(self, name):
        text = "# text = vámonos\n" + universal(*self.ROWS) + "\n# newpar\n" + universal(("1", "sí", "INTJ"))
        assert pairs(text, name) == [[("vamos", "VERB"), ("nos", "PRON"), ("#", "SYM")], [("sí", "INTJ")]]
        notes = " ".join(read(text, name).notes)
        assert "1 multi-word tokens" in notes
        assert "1 empty nodes" in notes

    def test_another_column_can_be_asked_for(self):
        assert pairs(universal(*self.ROWS), "a.conllu", labelled=False) == [["vamos", "nos", "#"]]
        assert pairs(universal(("1", "a", "X")), "a.conllu", tag_column=1) == [[("a", "1")]]


class TestScheme:
    @pytest.mark.parametrize(
        ("tags", "scheme"),
        [
            (["DET NOUN", "B-side"], "mixed"),
            (["DET NOUN", "O VERB"], "plain"),
            (["O O"], "plain"),
            (["B-A I-A O B-B", "B-A B-A"], "BIO"),
            (["I-A I-A O I-B", "I-A B-A I-B"], "IOB1"),
            (["I-A I-A O I-B"], "IOB1"),
            (["B-A E-A S-A O", "B-A I-A E-A"], "BIOES"),
            (["B-A L-A U-A O", "B-A I-A L-A"], "BILOU"),
            (["B I O", "B B"], "BIO"),
            (["B-A LOC O"], "mixed"),
            (["B-A E-A O", "U-A"], "mixed"),
        ],
    )
    def test_all_tags_decide(self, tags, scheme):
        if scheme == "mixed":
            with pytest.raises(InputError, match="mix"):
                scheme_of(sentences(*tags), "a.conll")
        else:
            assert scheme_of(sentences(*tags), "a.conll") == scheme

    def test_the_error_says_where(self):
        with pytest.raises(InputError, match=r"'B-A' marks a span, but 'LOC' of 'w' in the sentence from line 1 does"):
            scheme_of(sentences("B-A O", "O LOC"), "a.conll")

    @pytest.mark.parametrize(
        ("tags", "scheme", "count"),
        [
            ("B-A I-A O I-A I-B", "BIO", 2),
            ("I-A B-A O B-A", "IOB1", 1),
            ("B-A E-A S-A O B-A I-A E-A", "BIOES", 0),
            ("B-A O", "BIOES", 1),
            ("B-A", "BIOES", 1),
            ("E-A B-A E-B I-A S-A", "BIOES", 4),
            ("B-A L-A U-A", "BILOU", 0),
        ],
    )
    def test_what_breaks_a_scheme_is_counted(self, tags, scheme, count):
        assert broken(sentences(tags), scheme) == count


class TestSpans:
    @pytest.mark.parametrize(
        ("tags", "want"),
        [
            ("", []),
            ("O O", []),
            ("B-A I-A O B-A", [(0, 2, "A"), (3, 4, "A")]),
            ("B-A B-A", [(0, 1, "A"), (1, 2, "A")]),
            ("I-A I-A B-A I-A", [(0, 2, "A"), (2, 4, "A")]),  # IOB1
            ("O I-A O", [(1, 2, "A")]),  # I- after O begins
            ("B-A I-B", [(0, 1, "A"), (1, 2, "B")]),  # another type begins
            ("B-A I-A E-A S-B", [(0, 3, "A"), (3, 4, "B")]),
            ("S-A I-A", [(0, 1, "A"), (1, 2, "A")]),  # S- ends at once
            ("E-A I-A", [(0, 1, "A"), (1, 2, "A")]),  # E- ends
            ("B-A E-B", [(0, 1, "A"), (1, 2, "B")]),
            ("B-A I-A", [(0, 2, "A")]),  # the sentence ends
            ("O E-A", [(1, 2, "A")]),
            ("B I O B", [(0, 2, ""), (3, 4, "")]),
            ("B-A L-A U-A", [(0, 2, "A"), (2, 3, "A")]),
            ("B-a-b I-a-b", [(0, 2, "a-b")]),
        ],
    )
    def test_by_hand(self, tags, want):
        assert list(spans(tags.split())) == want

    def test_scores_by_hand(self):
        truth = ["B-A I-A O B-B", "B-A"]
        answers = ["B-A I-A O B-A", "B-A"]  # two of three are right
        score = span_score([one.split() for one in truth], [one.split() for one in answers])
        assert score == pytest.approx((2 / 3, 2 / 3, 2 / 3))
        assert span_score([["O"]], [["O"]]) == (0, 0, 0)
        assert span_score([["B-A"]], [["O"]]) == (0, 0, 0)
        assert span_score([["B-A", "O"]], [["B-A", "B-B"]]) == pytest.approx((1 / 2, 1, 2 / 3))

    @settings(max_examples=150, deadline=None)
    @given(st.data(), st.sampled_from(["IO", "BIO", "BIOES"]))
    def test_as_conlleval(self, data, marks):
        tags = st.sampled_from(["O", *(f"{mark}-{kind}" for mark in marks.replace("O", "") for kind in "XY")])
        both = st.lists(st.tuples(tags, tags), max_size=8)
        drawn = data.draw(st.lists(both, max_size=4))
        truth, answers = ([[pair[k] for pair in one] for one in drawn] for k in (0, 1))
        assert span_score(truth, answers) == pytest.approx(conlleval(truth, answers))


def task(data=None, **changes):
    return TaggingTask(in_memory(*(data or trips())), TaggingSetting(**{**QUICK, **changes}))


class TestTask:
    def test_equal_sentences_stay_in_one_part(self):
        words, tags = trips(30)
        made = task((words * 2, tags * 2))
        parts = [{one.words for one in made.parts[part].sentences} for part in ("train", "valid", "test")]
        assert all(not a & b for a, b in itertools.combinations(parts, 2))
        assert sum(len(made.parts[part].sentences) for part in made.parts) == 60
        assert not any("occur in training" in warning for warning in made.data.warnings)

    def test_the_seed_draws_the_parts(self):
        drawn = [{one.words for one in task(split_seed=k).parts["test"].sentences} for k in (0, 0, 1)]
        assert drawn[0] == drawn[1] != drawn[2]

    def test_words_are_those_of_training(self):
        made = task()
        train = {word.casefold() for one in made.parts["train"].sentences for word in one.words}
        assert set(made.encoding.words) == train
        assert made.encoding.knows("ROME")
        assert not made.encoding.knows("Paris")
        few = task(min_count=5).encoding.words
        assert set(few) < train
        assert "rome" in few

    def test_a_row_holds_word_shape_and_ends(self):
        rows = task().encoding.encode([["Rome", "rome", "Pome", ""]])[0]
        assert rows.shape == (4, 10)
        assert rows[0, 0] == rows[1, 0] != 0
        assert rows[0, 1] != rows[1, 1]
        assert rows[2, 0] == 0
        assert not rows[3, 2:].any()

    def test_unknown_tags_are_not_learnt_and_count_as_wrong(self):
        words, tags = trips()
        lines = [{"words": w, "tags": t, "split": "train"} for w, t in zip(words, tags, strict=True)]
        lines += [{**lines[0], "split": "valid"}, {"words": ["to", "x"], "tags": ["O", "B-new"], "split": "test"}]
        made = TaggingTask(source("\n".join(map(json.dumps, lines)), "a.jsonl"), TaggingSetting(**QUICK))
        (batch,) = made.batches("test")
        assert batch.scored().T.tolist() == [[True, False]]
        assert any("1 words have a tag that training lacks ('B-new')" in one for one in made.data.warnings)
        model = made.model(make_layer(graph_of("gru"), made.setting))
        assert {one.name: one.value for one in made.scores(model, 0.0)}["span recall"] == 0
        outputs, _ = model(batch)
        assert made.measure(outputs, batch).count == 1

    def test_the_error_is_that_of_the_scores(self):
        made = task()
        model = made.model(make_layer(graph_of("lstm"), made.setting)).eval()
        with torch.no_grad():
            measures = [made.measure(model(batch)[0], batch) for batch in made.batches("test")]
        error = sum(one.error for one in measures) / sum(one.count for one in measures)
        assert made.scores(model, error)[0].value == pytest.approx(error, rel=1e-5)

    def test_padding_does_not_change_what_is_said(self):
        made = task()
        model = made.model(make_layer(graph_of("lstm"), made.setting)).eval()
        short, long = made.encoding.encode([["to", "Rome"], ["from"] * 9])
        with torch.no_grad():
            alone = model(padded([short], [short[:, 0]]))[0][:, 0]
            together = model(padded([short, long], [short[:, 0], long[:, 0]]))[0][:2, 0]
        torch.testing.assert_close(alone, together)

    def test_long_sentences_are_read_in_pieces(self):
        assert pieces([5], 2) == [(0, 0, 2), (0, 2, 4), (0, 4, 5)]
        words, tags = trips(40)
        made = task(([[*one, *one] for one in words], [[*one, *one] for one in tags]), longest=3)
        assert max(len(batch.inputs) for batch in made.batches("train", torch.Generator())) == 3
        model = made.model(make_layer(graph_of("gru"), made.setting))
        inputs = made.inputs["test"]
        read = probabilities(model, [*inputs, inputs[0][:0]], 3)
        assert [len(one) for one in read] == [*map(len, inputs), 0]
        assert np.concatenate(read).sum(1) == pytest.approx(1)
        alone = probabilities(model, [inputs[0][3:6]], 3)
        assert read[0][3:6] == pytest.approx(alone[0], abs=1e-6)

    def test_word_dropout_hides_words_in_training_only(self):
        made = task(word_dropout=0.99, dropout=0.0, ends_size=0)
        encoder = made.model(make_layer(graph_of("gru"), made.setting)).encoder
        rows = made.encoding.encode([["rome"] * 500])[0][:, None]
        hidden = (encoder.train()(rows)[..., :8] == encoder.words.weight[0]).all(-1).float().mean()
        assert hidden > 0.95
        assert (encoder.eval()(rows)[..., :8] == encoder.words.weight[rows[0, 0, 0]]).all()

    def test_a_comparison_can_size_it(self):
        made = task()
        size, count = solve_hidden_size(made, graph_of("gru"), 5000)
        assert size > 1
        assert count == pytest.approx(5000, rel=0.2)

    def test_a_worker_reads_the_bundled_set_again(self):
        again = tasks.from_json(tasks.load("atis").to_json())
        assert again.data.split == "as given: train 4,274, valid 572, test 586"

    def test_the_encoding_comes_back_from_json(self):
        encoding = task().encoding
        assert TaggingEncoding.from_json(json.loads(json.dumps(encoding.to_json()))) == encoding


class TestScores:
    def test_by_hand(self):
        truth = Truth(
            [["A", "B"], ["C"]], np.array([0, 1, -1]), np.array([False, True, True]), ["A", "B"], marked=False
        )
        chances = np.array([[0.8, 0.2], [0.6, 0.4], [0.5, 0.5]])
        assert scored(chances, truth) == pytest.approx(
            {
                "NLL": -(math.log(0.8) + math.log(0.4)) / 2,
                "accuracy": 1 / 3,
                "accuracy on unknown words": 0.0,
            }
        )

    def test_baselines_by_hand(self):
        train = [Sentence(("a", "b"), ("X", "Y"), ""), Sentence(("a", "c"), ("X", "Z"), "")] * 2
        train += [Sentence(("a", "d"), ("Y", "Y"), "")]
        encoding = TaggingEncoding.of(train, "plain", TaggingSetting())
        test = [Sentence(("a", "new"), ("X", "Y"), "")]
        own, regression = rivals(encoding, train, test, test)
        rare = (np.array([0, 1, 0]) + np.array([0.4, 0.4, 0.2])) / 2  # d alone occurs once; and the shares of tags
        assert own.chances[0] == pytest.approx((np.array([4, 1, 0]) + rare) / 6)
        assert own.chances[1] == pytest.approx(rare)
        assert regression.chances.sum(1) == pytest.approx(1)

    def test_the_regression_reads_neighbours_and_ends(self):
        words = [["to", "rome"], ["on", "rome"], ["so", "rating"], ["so", "waiting"]] * 5
        tags = [["O", "TOWN"], ["O", "BOOK"], ["O", "ING"], ["O", "ING"]] * 5
        rows = [Sentence(tuple(w), tuple(t), "") for w, t in zip(words, tags, strict=True)]
        encoding = TaggingEncoding.of(rows, "plain", TaggingSetting())
        test = [Sentence(("to", "rome"), ("O", "TOWN"), ""), Sentence(("so", "boating"), ("O", "ING"), "")]
        _, regression = rivals(encoding, rows, rows, test)
        assert [encoding.tags[k] for k in regression.chances.argmax(1)] == ["O", "TOWN", "O", "ING"]


@pytest.fixture(scope="module")
def fitted():
    return SequenceTagger(cell="gru", **QUICK).fit(*trips(120))


class TestEstimator:
    def test_it_learns_what_stands_before_a_town(self, fitted):
        words, tags = trips(30, seed=1)
        assert fitted.score(words, tags) > 0.97
        assert fitted.predict([["flights", "to", "New", "York"], []]) == [["O", "O", "B-to", "I-to"], []]
        scores = {one.name: one for one in fitted.scores_}
        assert scores["span F1"].value > scores["span F1"].baselines["most frequent tag"]
        assert next(iter(scores)) == "NLL"
        assert scores["accuracy"].value > 0.97

    def test_probabilities(self, fitted):
        first, nothing = fitted.predict_proba([["to", "Rome"], []])
        assert first.shape == (2, len(fitted.tags_))
        assert first.sum(1) == pytest.approx(1)
        assert nothing.shape == (0, len(fitted.tags_))

    def test_answers(self, fitted, tmp_path):
        (answer,) = fitted.answers(["flights to Rome"])
        assert answer.text == "flights\tO\nto\tO\nRome\tB-to\n"
        assert answer.record["words"] == ["flights", "to", "Rome"]
        assert [row["tag"] for row in answer.rows] == answer.record["tags"] == ["O", "O", "B-to"]
        (tmp_path / "a.conll").write_text("flights ?\nto ?\nRome ?\n")
        assert [one.text for one in fitted.answers(tmp_path / "a.conll")] == [answer.text]

    def test_a_saved_model_says_the_same(self, fitted, tmp_path):
        fitted.save_pretrained(tmp_path)
        again, words = from_pretrained(tmp_path), trips(5, seed=2)[0]
        for a, b in zip(fitted.predict_proba(words), again.predict_proba(words), strict=True):
            np.testing.assert_array_equal(a, b)
        assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".toml", ".safetensors"}
        (scores,) = [one for one in again.evaluate(*trips(9, seed=3)) if one.name == "accuracy"]
        assert list(scores.baselines) == ["majority tag"]

    def test_searches_of_scikit_learn(self):
        search = GridSearchCV(SequenceTagger(**{**QUICK, "epochs": 1}, test_share=0), {"hidden_size": [2, 3]}, cv=2)
        assert search.fit(*trips(24)).best_params_["hidden_size"] in (2, 3)
        assert clone(search.best_estimator_).get_params()["ends_size"] == 8

    @pytest.mark.parametrize(
        ("words", "tags", "says"),
        [
            ([["a"]], [["X", "Y"]], "line 1 of data in memory has 1 words, but 2 tags"),
            ([["a"], ["b"]], [["X"]], "2 sentences came with 1 lists"),
            ("to Rome", [["X"]], "data"),
            ([["a", 3]], [["X", "Y"]], "holds 3"),
            ([["a\tb"]], [["X"]], "tabs"),
            ([["\ud800"]], [["X"]], "holds|has half"),
            (["to Rome"], [["X", "Y"]], "got str for sentence 1"),
            ([["a"]], [["X"]], "1 sentence for training"),
        ],
    )
    def test_data_that_cannot_be_used(self, words, tags, says):
        with pytest.raises(InputError, match=says):
            SequenceTagger().fit(words, tags)

    def test_the_shell(self, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        words, tags = trips()
        rows = ("".join(f"{w} {t}\n" for w, t in zip(*one, strict=True)) for one in zip(words, tags, strict=True))
        (tmp_path / "trips.iob").write_text("\n".join(rows))
        options = ["--hidden-size", "4", "--epochs", "1", "--embedding-size", "4", "--out", "model"]
        assert main(["train", "tagging", "trips.iob", *options]) == 0
        said = capsys.readouterr().out
        assert "spans of 2 types in BIO" in said
        assert "logistic regression" in said
        (tmp_path / "plain.txt").write_text("flights to Rome\nflights from New York\n")
        assert main(["predict", "model", "plain.txt", "--out", "out.jsonl"]) == 0
        lines = (tmp_path / "out.jsonl").read_text().splitlines()
        assert [json.loads(line)["words"][-1] for line in lines] == ["Rome", "York"]
        assert main(["predict", "model", "--text", "to Rome"]) == 0
        assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["to", "Rome", ""]
