"""Compressed files, ends of lines, and files that are no text: one rule for every task."""

import bz2
import csv
import gzip
import lzma
import os
import zipfile

import pytest

from tidegate.data import locate
from tidegate.data.labelled import Layout, read_labelled
from tidegate.data.packed import LEAST_LIMIT, unpacked
from tidegate.data.panel import Layout as Columns
from tidegate.data.panel import read_panel
from tidegate.data.text import decode, split_lines
from tidegate.errors import InputError

PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
SALES = "date,sales\n" + "".join(f"{day},{day % 7 + day % 3}\n" for day in range(200))
BREAKS = "\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e"  # where str.splitlines ends a line, and no editor does


@pytest.mark.parametrize("suffix", PACKERS)
def test_every_reader_takes_compressed_files(tmp_path, suffix) -> None:
    for name, text in (("sales.csv", SALES), ("a.jsonl", '{"text": "a", "label": "x"}\n' * 2), ("a.txt", "to be")):
        (tmp_path / (name + suffix)).write_bytes(PACKERS[suffix](text.encode()))
    panel = read_panel(locate(tmp_path / f"sales.csv{suffix}"), Columns("sales"), 1, "")
    assert len(panel.values) == 200
    reviews = locate(tmp_path / f"a.jsonl{suffix}")
    assert len(read_labelled(reviews, Layout())["train"].items) == 2
    assert reviews.title == "a.jsonl"
    assert decode(locate(tmp_path / f"a.txt{suffix}")) == "to be"
    folder = locate(tmp_path, folders=True)
    assert folder.read(f"a.txt{suffix}") == b"to be"


def test_a_file_is_unpacked_whatever_its_name(tmp_path) -> None:
    assert unpacked(gzip.compress(b"a,b"), "a.csv") == (b"a,b", "a.csv")


@pytest.mark.parametrize("suffix", PACKERS)
def test_damaged_files_are_refused(suffix) -> None:
    packed = PACKERS[suffix](os.urandom(400))
    for raw in (packed[:-20], packed[:9] + b"\0" * 40 + packed[49:], b"plain", b""):
        with pytest.raises(InputError, match=r"^a\.csv\.\w+ cannot be unpacked"):
            unpacked(raw, f"a.csv{suffix}")


def test_a_bomb_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(InputError, match="unpack to more than"):
        unpacked(gzip.compress(bytes(LEAST_LIMIT + 1)), "a.csv.gz")
    assert len(unpacked(gzip.compress(bytes(LEAST_LIMIT)), "a.csv.gz")[0]) == LEAST_LIMIT


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_where_editors_end_them(end) -> None:
    assert split_lines(end.join(["a", f"b{BREAKS}c", "d"])) == ["a", f"b{BREAKS}c", "d"]


@pytest.mark.parametrize("name", ["a.txt", "pos.txt"])
def test_texts_keep_characters_at_which_python_ends_lines(tmp_path, name) -> None:
    for mark in BREAKS:
        texts = [f"good{mark}surprise {k}" for k in range(6)]
        folder = tmp_path / f"{ord(mark)}"
        folder.mkdir()
        if name == "pos.txt":  # a file for each class
            (folder / "pos.txt").write_text("\n".join(texts))
            (folder / "neg.txt").write_text("\n".join(texts))
            found = read_labelled(locate(folder, folders=True), Layout())["train"]
            assert found.items == (*texts, *texts)
            continue
        (folder / name).write_text("".join(f"{'neg' if k % 2 else 'pos'} {text}\n" for k, text in enumerate(texts)))
        assert read_labelled(locate(folder / name), Layout())["train"].items == tuple(texts)
        (folder / "predict.txt").write_text("\n".join(texts))
        unlabelled = read_labelled(locate(folder / "predict.txt"), Layout(labelled=False))["train"]
        assert unlabelled.items == tuple(texts)


def test_a_workbook_is_named_as_such(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as book:
        book.writestr("xl/workbook.xml", "<a/>")
    with pytest.raises(InputError, match="Excel workbook"):
        decode(locate(tmp_path / "a.xlsx"))


def test_pipes_and_devices_are_refused(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(InputError, match="no regular file"):
            locate(path)


def test_a_text_may_be_as_long_as_it_likes(tmp_path) -> None:
    before = csv.field_size_limit()
    (tmp_path / "a.csv").write_text(f"text,label\n{'word ' * 30_000},pos\nshort,neg\n")
    assert len(read_labelled(locate(tmp_path / "a.csv"), Layout())["train"].items[0]) == 150_000
    assert csv.field_size_limit() == before
