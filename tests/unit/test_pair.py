"""Readers of pairs, and splits that do not leak."""

import bz2
import gzip
import io
import json
import lzma

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.data import Source, cut_by_group, group_of, locate, read_pairs, read_splits
from tidegate.errors import InputError

BOTH = [("Hi there.", "Salut !"), ("Go, now.", "Va !")]


def pairs(name, content, names=(None, None), **options):
    raw = content if isinstance(content, bytes) else content.encode()
    found = read_pairs(Source(f"/nowhere/{name}", name, raw), names, **options)
    return list(zip(found.sources, found.targets, strict=True))


def parquet(**columns):
    written = io.BytesIO()
    pd.DataFrame(columns).to_parquet(written)
    return written.getvalue()


class TestFormats:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.tsv", "Hi there.\tSalut !\tCC-BY 2.0 #1 & #2\nGo, now.\tVa !\tCC-BY\n"),
            ("a.TXT", "\ufeffHi there.\tSalut !\r\n\r\nGo, now.\tVa !"),
            ("a.tsv", "target\tid\tsource\nSalut !\t1\tHi there.\nVa !\t2\tGo, now.\n"),
            ("a.jsonl", "\n".join(json.dumps({"source": s, "target": t, "id": 1}) for s, t in BOTH)),
            ("a.csv", 'id,source,target\n1,Hi there.,Salut !\n2,"Go, now.",Va !\n'),
            ("a.parquet", parquet(target=[t for _, t in BOTH], source=[s for s, _ in BOTH])),
        ],
    )
    def test_all_say_the_same(self, name, content):
        assert pairs(name, content) == BOTH
        raw = content if isinstance(content, bytes) else content.encode()
        assert pairs(f"{name}.gz", gzip.compress(raw)) == BOTH

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.tsv", "de\ten\nHallo.\tHi.\n"),
            ("a.jsonl", '{"en": "Hi.", "de": "Hallo."}'),
            ("a.csv", "de;en\nHallo.;Hi.\n"),
            ("a.parquet", parquet(en=["Hi."], de=["Hallo."])),
        ],
    )
    def test_columns_by_name(self, name, content):
        assert pairs(name, content, ("en", "de")) == [("Hi.", "Hallo.")]

    def test_a_dictionary(self):
        text = ";;; remark\nhello HH AH0 L OW1\nhello(2) HH EH0 L OW1\nhello(3)  HH AH1 L OW1 # loud\n"
        text += "(1) W AH1 N\n#1 N AH1\n"
        plain = [("hello", "HH AH L OW"), ("hello", "HH EH L OW"), ("(1)", "W AH N")]
        assert pairs("a.dict", text) == plain
        stressed = pairs("a.dict", text, stress=True)
        assert stressed[0] == ("hello", "HH AH0 L OW1")
        assert stressed[2] == ("hello", "HH AH1 L OW1")

    def test_texts_are_normalised(self):
        assert pairs("a.tsv", " cafe\u0301  noir \tKaffee\u202f!") == [("caf\u00e9 noir", "Kaffee !")]

    def test_what_is_left_out_is_counted(self):
        found = read_pairs(Source("a", "a.tsv", b"a\tb\na\t \n\tb\na\tb\nc\td\n"))
        assert found.sources == ("a", "c")
        assert found.warnings == (
            "2 of 5 pairs were left out because a side is empty, the first in line 2",
            "1 of 5 pairs are exact copies of another and count once",
        )

    def test_missing_cells_of_parquet_are_empty_sides(self):
        assert pairs("a.parquet", parquet(source=["a", None], target=["b", "c"])) == [("a", "b")]

    def test_bundled_sets(self):
        tatoeba, cmudict = (read_pairs(locate(f"bundled:{name}")) for name in ("tatoeba", "cmudict"))
        assert ("I'm so sorry.", "Je suis tellement désolée !") in zip(tatoeba.sources, tatoeba.targets, strict=True)
        assert len(set(tatoeba.sources)) == 2597
        assert not tatoeba.lexicon
        assert len(set(cmudict.sources)) == 21_009
        assert cmudict.lexicon
        assert len({phoneme for target in cmudict.targets for phoneme in target.split()}) == 39


class TestFolder:
    def folder(self, path, **files):
        for name, text in files.items():
            path.joinpath(name.replace("__", ".")).write_bytes(text)
        return locate(path, folders=True)

    def test_parallel_files_with_their_splits(self, tmp_path):
        source = self.folder(
            tmp_path,
            train__en__gz=gzip.compress(b"a dog\na cat\n"),
            train__de=b"ein Hund\neine Katze\n",
            val__en=b"a cow\n\n",
            val__de=b"eine Kuh\nnichts\n",
            test_2016_flickr__en=b"a hen",
            test_2016_flickr__de=b"eine Henne",
            readme__txt=b"not read",
        )
        found = read_splits(source, ("en", "de"))
        assert found["train"].sources == ("a dog", "a cat")
        assert found["train"].targets == ("ein Hund", "eine Katze")
        assert found["valid"].targets == ("eine Kuh",)
        assert found["valid"].warnings == (
            "valid: 1 of 2 pairs were left out because a side is empty, the first in line 2",
        )
        assert found["test"].sources == ("a hen",)
        assert read_splits(source, ("de", "en"))["test"].sources == ("eine Henne",)

    @pytest.mark.parametrize("suffix", ["bz2", "xz"])
    def test_compressed_in_any_way_and_blank_lines_at_one_end(self, tmp_path, suffix):
        squeezed = {"bz2": bz2, "xz": lzma}[suffix].compress(b"a dog\n\na cat\n")
        source = self.folder(tmp_path, **{f"train__en__{suffix}": squeezed, "train__de": b"Hund\n\nKatze\n\n\n"})
        assert read_splits(source, ("en", "de"))["train"].targets == ("Hund", "Katze")
        source = self.folder(tmp_path, train__de=b"Hund\n\nKatze\nKuh\n\n")
        with pytest.raises(InputError, match=f"train.en.{suffix} has 3 lines, but train.de has 5"):
            read_splits(source, ("en", "de"))

    def test_two_tests_are_refused(self, tmp_path):
        named = {f"{part}__{language}": b"a\n" for part in ("train", "test_1", "test_2") for language in ("en", "de")}
        with pytest.raises(InputError, match="must have one test file"):
            read_splits(self.folder(tmp_path, **named), ("en", "de"))

    def test_files_of_their_own(self):
        part = Source("/b", "b.tsv", b"c\td\n\te\n")
        found = read_splits(Source("/a", "a.tsv", b"a\tb\n", test=part))
        assert {split: one.sources for split, one in found.items()} == {"train": ("a",), "test": ("c",)}
        assert found["test"].warnings == (
            "test: 1 of 2 pairs were left out because a side is empty, the first in line 2",
        )


class TestGroups:
    def test_capitals_and_punctuation_do_not_tell_sources_apart(self):
        assert group_of("Go on!") == group_of("go  on ...") != group_of("Go off!")
        assert group_of("?!") == "?!"
        assert group_of("\uff27\uff2f") == "go"

    @given(st.lists(st.integers(0, 60), max_size=60).map(lambda more: [f"source {k}" for k in [*range(20), *more]]))
    def test_no_group_is_in_two_parts_and_nothing_is_lost(self, groups):
        parts = cut_by_group(groups, {"valid": 0.05, "test": 0.1})
        assert sorted(place for places in parts.values() for place in places) == list(range(len(groups)))
        there = {split: {groups[place] for place in places} for split, places in parts.items()}
        assert not there["train"] & there["valid"]
        assert not there["train"] & there["test"]
        assert not there["valid"] & there["test"]
        assert len(there["test"]) == max(1, round(0.1 * len(set(groups))))
        assert len(there["valid"]) == max(1, round(0.05 * len(set(groups))))

    def test_order_does_not_matter(self):
        groups = [f"source {k}" for k in range(100)]
        forth, back = (cut_by_group(one, {"test": 0.2}) for one in (groups, groups[::-1]))
        assert {groups[place] for place in forth["test"]} == {groups[::-1][place] for place in back["test"]}
