"""Readers of sequences with classes, each against content written out by hand."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.malformed.classification import CASES
from tests.unit.refusal import refused
from tidegate.data import Source, locate
from tidegate.data.labelled import Layout, complete, in_memory, read_labelled
from tidegate.errors import InputError
from tidegate.tasks.classification.split import stratified

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"
TS = """# a comment
@problemName made up
@timeStamps false
@missing true
@univariate false
@classLabel true up down
@data
1,2,3:10,20,30:up
4,?,6,7:?,50,60,?:down
# another
?,?:1,2:up
"""


def read(content, name="a.txt", **layout):
    raw = content if isinstance(content, bytes) else content.encode()
    return read_labelled(Source(f"/nowhere/{name}", name, raw), Layout(**layout))["train"]


def archive(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def pairs(found):
    return list(zip(found.items, found.labels, strict=True))


PAIRS = [("good, indeed", "pos"), ("bad", "neg"), ("Größe", "pos")]


class TestTexts:
    @pytest.mark.parametrize(
        ("name", "content", "layout"),
        [
            ("a.csv", 'text,label\n"good, indeed",pos\nbad,neg\nGröße,pos\n', {}),
            ("a.csv", '\ufeffid;Label;Review\n1;pos;"good, indeed"\n2;neg;bad\n3;pos;Größe\n', {}),
            ("a.tsv", "text\tlabel\ngood, indeed\tpos\nbad\tneg\nGröße\tpos\n", {}),
            ("a.all", "sentence\tverdict\ngood, indeed\tpos\nbad\tneg\nGröße\tpos\n", {}),
            ("a.tsv", "x\ty1\ty2\ngood, indeed\tpos\t1\nbad\tneg\t2\nGröße\tpos\t1\n", {"text": "x", "label": "y1"}),
            ("a.txt", "pos good, indeed\n\nneg\tbad\npos   Größe\n", {}),
            ("a.txt", "pos:mild good, indeed\nneg:x bad\npos:x Größe\n", {"label_end": ":"}),
            ("a.jsonl", "\n".join(json.dumps({"text": text, "label": label}) for text, label in PAIRS), {}),
        ],
    )
    def test_every_layout_says_the_same(self, name, content, layout):
        assert pairs(read(content, name, **layout)) == PAIRS

    def test_latin_1(self):
        assert pairs(read("pos good, indeed\nneg bad\npos Größe\n".encode("latin-1"), encoding="latin-1")) == PAIRS

    def test_classes_of_json_and_parquet_keep_their_kind(self):
        rows = [{"text": "a", "label": 1}, {"text": "b", "label": 2}]
        assert read("\n".join(map(json.dumps, rows))).labels == (1, 2)
        content = io.BytesIO()
        pd.DataFrame(rows).to_parquet(content)
        found = read(content.getvalue(), "a.parquet")
        assert pairs(found) == [("a", 1), ("b", 2)]
        assert {type(label) for label in found.labels} == {int}

    def test_a_file_for_each_class(self, tmp_path):
        (tmp_path / "Česky.txt").write_text("Žižkov\n\nLibeň \n", encoding="utf-8")
        (tmp_path / "English.txt").write_text("Leeds\n")
        (tmp_path / "readme.md").write_text("# not a class")
        found = read_labelled(locate(tmp_path, folders=True), Layout())["train"]
        assert pairs(found) == [("Leeds", "English"), ("Žižkov", "Česky"), ("Libeň", "Česky")]
        assert found.warnings == ("1 files without the suffix .txt were left out",)

    def test_a_packed_file_for_a_class(self, tmp_path):
        (tmp_path / "ebb.txt.gz").write_bytes(gzip.compress(b"low\n"))
        (tmp_path / "flow.txt").write_text("high\n")
        found = read_labelled(locate(tmp_path, folders=True), Layout())["train"]
        assert pairs(found) == [("low", "ebb"), ("high", "flow")]
        assert found.warnings == ()

    def test_a_folder_for_each_class(self, tmp_path):
        for name, content in {"neg/0.txt": "two\nlines\n", "pos/0.txt": "one", "pos/1.txt": "two"}.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(content)
        found = read_labelled(locate(tmp_path, folders=True), Layout())["train"]
        assert pairs(found) == [("two\nlines", "neg"), ("one", "pos"), ("two", "pos")]

    def test_without_classes(self):
        assert read("pos good\nbad one\n", labelled=False).items == ("pos good", "bad one")
        assert read("pos good\nneg bad\n", labelled=False, classes=("neg", "pos")).items == ("good", "bad")
        assert read("text,other\na,1\n", "a.csv", labelled=False).items == ("a",)
        assert read("whatever\na\nb\n", "a.csv", labelled=False).items == ("a", "b")

    @pytest.mark.parametrize(
        ("content", "name"),
        [
            ("good\nbad\n", "a.txt"),
            ("review\ngood\nbad\n", "a.txt"),
            ("k,review\n1,good\n2,bad\n", "a.txt"),
            ("k,review\n1,good\n2,bad\n", "a.csv"),
            ("text\ngood\nbad\n", "a.csv"),
        ],
    )
    def test_columns_of_training_are_looked_for_in_tables_alone(self, content, name):
        assert read(content, name, text="review", label="stars", labelled=False).items == ("good", "bad")

    def test_texts_in_memory_have_no_columns_to_be_named(self):
        found = read_labelled(in_memory(["good", "bad"], [1, 0]), Layout(text="review", label="stars"))["train"]
        assert (found.items, found.labels) == (("good", "bad"), (1, 0))

    def test_the_names(self):
        found = read_labelled(locate("bundled:names"), Layout())["train"]
        assert len(found.items) == 20_050
        assert len(set(found.labels)) == 18
        assert ("Ślusarski", "Polish") in pairs(found)
        assert len(set(found.items)) == 17_450


class TestSeries:
    def test_ts(self):
        found = read(TS, "a.ts")
        assert found.labels == ("up", "down", "up")
        assert found.items[0].tolist() == [[1, 10], [2, 20], [3, 30]]
        # a gap inside is a straight line, gaps at an end repeat the nearest value
        assert complete(found.items[1]).tolist() == [[4, 50], [5, 50], [6, 60], [7, 60]]
        assert np.isnan(complete(found.items[2])[:, 0]).all()  # an absent channel
        assert complete(found.items[2])[:, 1].tolist() == [1, 2]
        assert found.warnings == ("5 of 18 values are missing",)

    def test_padding_at_the_end_is_cut_off(self):
        found = read("@univariate true\n@classLabel true a\n@data\n1,2,?,NaN:a\n1,2,3,4:a\n")
        assert [len(one) for one in found.items] == [2, 4]
        assert not found.warnings

    def test_without_classes(self):
        assert read(TS, "a.ts", labelled=False).labels == ()
        assert read("@classLabel false\n@data\n1,2\n", labelled=False).items[0].tolist() == [[1], [2]]

    @pytest.mark.parametrize(
        ("arrays", "shapes"),
        [
            ({"x": np.zeros((2, 5))}, [(5, 1), (5, 1)]),
            ({"x": np.zeros((2, 5, 3), dtype=np.uint8)}, [(5, 3), (5, 3)]),
            ({"x": np.zeros((5, 3)), "lengths": [2, 3]}, [(2, 3), (3, 3)]),
        ],
    )
    def test_archives(self, arrays, shapes):
        found = read(archive(**arrays, y=[4, 7]), "a.npz")
        assert [one.shape for one in found.items] == shapes
        assert found.labels == (4, 7)

    def test_flat_archives_with_their_own_split(self):
        images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
        raw = archive(train_x=images, train_y=["a", "b"], x_test=images + 1, y_test=["b", "a"])
        found = read_labelled(Source("/a.npz", "a.npz", raw), Layout(flat=True))
        assert sorted(found) == ["test", "train"]
        assert found["train"].items[1].tolist() == [[value] for value in range(12, 24)]
        assert found["test"].labels == ("b", "a")

    @pytest.mark.parametrize(
        ("arrays", "code", "says"),
        [
            ({"a": np.zeros(3)}, "ARCHIVE_NAMES", "'a'"),
            ({"x": np.zeros((2, 3))}, "ARCHIVE_NAMES", "no classes y"),
            ({"x": np.zeros((2, 3)), "y": [1]}, "ARCHIVE_SHAPE", "[2]"),
            ({"x": np.zeros(3), "y": [1, 2, 3]}, "ARCHIVE_SHAPE", "[3]"),
            ({"x": np.full((2, 3), np.inf), "y": [1, 2]}, "ARCHIVE_VALUE", "row 1"),
            ({"x": np.zeros((2, 3)), "y": [1, np.nan]}, "LABELLED_LABEL", "row 2"),
            ({"x": np.zeros((4, 1)), "y": [1, 2], "lengths": [1, 2]}, "ARCHIVE_SHAPE", "4 steps"),
            ({"x": np.zeros((2, 0)), "y": [1, 2]}, "ARCHIVE_SHAPE", "[2, 0]"),
        ],
    )
    def test_archives_that_cannot_be_used(self, arrays, code, says):
        with pytest.raises(InputError) as caught:
            read(archive(**arrays), "a.npz")
        assert caught.value.code == code
        assert says in str(caught.value)

    def test_an_archive_is_never_run(self):
        raw = archive(x=np.array([object(), object()], dtype=object), y=[1, 2])
        with pytest.raises(InputError, match="not a readable"):
            read(raw, "a.npz")


class TestMemory:
    @pytest.mark.parametrize("labels", [[1, 2], ["a", "b"], np.array([1, 2]), np.array(["a", "b"]), [True, False]])
    @pytest.mark.parametrize(
        "items",
        [
            ["one", "two"],
            np.array(["one", "two"]),
            pd.Series(["one", "two"]),
            [[1.5, 2.0, 4.0], [1.0]],
            np.arange(6).reshape(2, 3),
            np.arange(12.0).reshape(2, 3, 2),
            [np.zeros((3, 2)), np.ones((1, 2))],
        ],
    )
    def test_what_goes_in_comes_out(self, items, labels):
        found = read_labelled(in_memory(items, labels), Layout())["train"]
        assert list(found.labels) == list(labels)
        for came, went in zip(found.items, items, strict=True):
            assert came == went if isinstance(came, str) else np.array_equal(came, np.reshape(went, came.shape))

    @pytest.mark.parametrize(
        ("items", "labels", "says"),
        [
            ([], [], "empty"),
            ("text", None, "str"),
            ({"a": 1}, None, "dict"),
            (3, None, "int"),
            (["a", "b"], [1], "2 sequences have 1 classes"),
            (["a", 3], [1, 2], "1 of 2 sequences are texts"),
            ([[1], [[1, 2]]], [1, 2], "1 to 2 channels"),
            ([[1], []], [1, 2], "series 1"),
            ([["a"], ["b"]], [1, 2], "must be numbers"),
            ([[1], [2]], [{}, {}], "must be numbers"),
            (["a", "b"], [{1}, {2}], "classes must be"),
        ],
    )
    def test_unusable_data(self, items, labels, says):
        with pytest.raises(InputError, match=says):
            in_memory(items, labels)

    def test_a_frame_is_its_rows(self):
        found = read_labelled(in_memory(pd.DataFrame({"a": [1, 2], "b": [3, 4]}), pd.Series([0, 1])), Layout())["train"]
        assert [one.tolist() for one in found.items] == [[[1], [3]], [[2], [4]]]

    def test_a_frame_with_texts_is_a_table(self):
        frame = pd.DataFrame({"id": [1, 2], "text": ["good", 'a "b",\n\u00e9'], "label": ["pos", "neg"]}, index=[7, 3])
        found = read_labelled(in_memory(frame), Layout())["train"]
        assert (found.items, found.labels) == (tuple(frame["text"]), ("pos", "neg"))
        renamed = frame.rename(columns={"text": "review", "label": "stars"})
        assert read_labelled(in_memory(renamed), Layout(text="review", label="stars"))["train"].labels == ("pos", "neg")
        assert read_labelled(in_memory(frame[["text"]], frame["label"]), Layout())["train"].labels == ("pos", "neg")
        refused("FIT_DATA", lambda: in_memory(frame, frame["label"]), "'id', 'text', 'label'", "text=")
        empty = frame.assign(text=["good", None])
        refused("LABELLED_TEXT", lambda: read_labelled(in_memory(empty), Layout()), "line 2")

    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
    def test_any_text_survives(self, texts):
        found = read_labelled(in_memory(texts, [1] * len(texts)), Layout())["train"]
        assert list(found.items) == texts


class TestSplit:
    @given(
        st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), min_size=1, max_size=200),
        st.sampled_from([[0.1, 0.1], [0.2], [0.25, 0.25], [0.0, 0.1]]),
        st.integers(0, 5),
    )
    def test_every_row_once_and_no_key_in_two_parts(self, rows, shares, seed):
        keys, classes = zip(*rows, strict=True)
        parts = stratified(keys, classes, shares, seed)
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(rows)))
        held = [{keys[row] for row in part} for part in parts]
        assert sum(map(len, held)) == len(set(keys))
        assert len(parts[0]) == 0 or shares[0] > 0

    @given(st.lists(st.integers(2, 40), min_size=2, max_size=5), st.integers(0, 5))
    def test_classes_in_proportion(self, counts, seed):
        classes = [kind for kind, count in enumerate(counts) for _ in range(count)]
        test, valid, train = stratified(range(len(classes)), classes, [0.2, 0.1], seed)
        assert len(test) == pytest.approx(0.2 * len(classes), abs=1)
        for kind, count in enumerate(counts):
            held = [sum(classes[row] == kind for row in part) for part in (test, valid, train)]
            assert held[0] == pytest.approx(0.2 * count, abs=1.5)
            assert held[1] == pytest.approx(0.1 * count, abs=1.5)
            assert held[2] > 0

    def test_the_seed_draws(self):
        classes = [0, 1] * 50
        first, again, other = (stratified(range(100), classes, [0.2], seed)[0].tolist() for seed in (0, 0, 1))
        assert first == again != other


def test_names_of_malformed_cases_differ():
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize(
    ("name", "train", "test", "shape"),
    [
        ("GunPoint", 50, 150, (150, 1)),
        ("ArrowHead", 36, 175, (251, 1)),
        ("BasicMotions", 40, 40, (100, 6)),
        ("JapaneseVowels", 270, 370, None),
    ],
)
def test_published_files(name, train, test, shape):
    folder = SHARED / "series_classification"
    if not folder.exists():
        pytest.skip("the archive of series is not here")
    source = locate(folder / f"{name}_TRAIN.ts", test=folder / f"{name}_TEST.ts")
    found = read_labelled(source, Layout())
    assert [len(found[part].items) for part in ("train", "test")] == [train, test]
    assert {one.shape for one in found["test"].items} == {shape} if shape else len(found["train"].items[0]) == 20
