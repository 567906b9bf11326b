"""Readers and bundled sets: what is read, and every way in which a file can be wrong."""

import hashlib
import json
from importlib import resources

import numpy as np
import pytest

from tests.unit.refusal import refused
from tidegate.data import (
    BUNDLED,
    Layout,
    PianoRolls,
    Source,
    decode,
    locate,
    read_music,
    read_panel,
    shared_passages,
    shared_rows,
    shared_text,
)
from tidegate.data import source as source_module
from tidegate.errors import InputError

STEP = [[60, 64], [62]]
ROLL = {"train": [STEP], "valid": [STEP], "test": [STEP]}


def text(content, name="a.csv"):
    return Source(name, name, content if isinstance(content, bytes) else content.encode())


def table(header, *rows):
    return text("\n".join([header, *rows]) + "\n")


def series(content, target="y", minimum=2):
    return read_panel(content, Layout(target), minimum, "the split keeps 15 %")


class TestBundled:
    @pytest.mark.parametrize("name", [name for name, entry in BUNDLED.items() if entry.file])
    def test_content_has_the_hash_that_its_licence_states(self, name):
        folder = resources.files("tidegate.data").joinpath("bundled", BUNDLED[name].file.split("/")[0])
        notice = folder.joinpath("LICENSE").read_text(encoding="utf-8")
        assert locate(f"bundled:{name}").hash in notice
        assert "https://github.com/" in notice

    def test_chorales_have_the_official_split(self):
        rolls = read_music(locate("bundled:jsb"))
        assert [len(rolls.train), len(rolls.valid), len(rolls.test)] == [229, 76, 77]
        assert sum(len(roll) for roll in rolls.test) == 4725

    def test_el_nino_is_complete(self):
        values = series(locate("bundled:elnino"), "temperature").values
        assert values.shape == (732, 1)
        assert values[0, 0] == 23.11
        assert values[-1, 0] == 22.07

    def test_shakespeare_is_complete(self):
        assert len(decode(locate("bundled:shakespeare"))) == 1_115_394

    def test_unknown_name(self):
        refused("BUNDLED_UNKNOWN", lambda: locate("bundled:elnin"), "did you mean 'elnino'", "jsb")


class TestLocate:
    def test_address_is_absolute_and_hash_is_of_the_content(self, tmp_path, monkeypatch):
        (tmp_path / "a.txt").write_bytes(b"hello")
        monkeypatch.chdir(tmp_path)
        source = locate("a.txt")
        assert source.address == str(tmp_path / "a.txt")
        assert source.hash == hashlib.sha256(b"hello").hexdigest()

    def test_missing_file_names_its_neighbours(self, tmp_path):
        (tmp_path / "sales.csv").write_text("a")
        refused("FILE_MISSING", lambda: locate(tmp_path / "sale.csv"), "sale.csv", "did you mean 'sales.csv'", "jsb")

    def test_neighbours_are_compared_without_their_suffix(self, tmp_path):
        for name in ("noheader.csv", "short.csv", "sales.csv", "sales.json"):
            (tmp_path / name).write_text("a")
        with pytest.raises(InputError) as caught:
            locate(tmp_path / "nosuch.csv")
        assert "did you mean" not in str(caught.value)
        refused("FILE_MISSING", lambda: locate(tmp_path / "Sale.txt"), "did you mean 'sales.csv' or 'sales.json'?")
        refused("FILE_MISSING", lambda: locate(tmp_path / "short"), "did you mean 'short.csv'?")

    def test_missing_folder(self, tmp_path):
        refused("FILE_MISSING", lambda: locate(tmp_path / "no" / "a.csv"), "folder", "does not exist")

    def test_folder(self, tmp_path):
        refused("FILE_DIRECTORY", lambda: locate(tmp_path), str(tmp_path))

    def test_path_through_a_file(self, tmp_path):
        (tmp_path / "a").write_text("a")
        refused("FILE_UNREADABLE", lambda: locate(tmp_path / "a" / "b.csv"), "b.csv")

    def test_path_with_a_zero_byte(self):
        refused("FILE_UNREADABLE", lambda: locate("a\0b"))

    @pytest.mark.parametrize("content", [b"", b" \n\n"])
    def test_empty_file(self, tmp_path, content):
        (tmp_path / "a.csv").write_bytes(content)
        refused("FILE_EMPTY", lambda: locate(tmp_path / "a.csv"), "empty")

    def test_no_permission(self, tmp_path, monkeypatch):
        def deny(_):
            raise PermissionError

        (tmp_path / "a.csv").write_text("a")
        monkeypatch.setattr(source_module.Path, "read_bytes", deny)
        refused("FILE_DENIED", lambda: locate(tmp_path / "a.csv"), "permission")


class TestDecode:
    def test_byte_order_mark_is_removed(self):
        assert decode(text(b"\xef\xbb\xbfabc")) == "abc"

    def test_only_a_byte_order_mark(self):
        refused("FILE_EMPTY", lambda: decode(text(b"\xef\xbb\xbf")))

    def test_not_utf8_says_where(self):
        refused("TEXT_ENCODING", lambda: decode(text(b"ab\ncaf\xe9 x")), "0xe9", "position 6", "line 2")

    def test_binary(self):
        refused("TEXT_BINARY", lambda: decode(text(b"\x7fELF\x00\x01")), "position 4")

    def test_utf16(self):
        refused("TEXT_UTF16", lambda: decode(text("abc".encode("utf-16"))), "UTF-16")


class TestMusic:
    def read(self, data):
        return read_music(text(data if isinstance(data, (bytes, str)) else json.dumps(data), "a.json"))

    def test_notes_become_columns(self):
        roll = self.read(ROLL).train[0]
        assert roll.shape == (2, 88)
        assert np.flatnonzero(roll[0]).tolist() == [39, 43]
        assert self.read({**ROLL, "test": [[[21], [108]]]}).test[0][[0, 1], [0, 87]].all()

    def test_silence_is_a_step(self):
        assert self.read({**ROLL, "valid": [[[], [60]]]}).valid[0].sum() == 1

    def test_other_keys_are_reported(self):
        assert "'composer'" in self.read({**ROLL, "composer": "x"}).warnings[0]

    @pytest.mark.parametrize(
        ("data", "part"),
        [
            ([1, 2], "it is a list of 2"),
            ({"train": [STEP]}, "an object with the keys 'train'"),
            ({}, "none"),
            ({**ROLL, "valid": []}, "'valid' must be a list of at least one piece"),
            ({**ROLL, "valid": None}, "not null"),
            ({**ROLL, "test": [STEP, [[60]]]}, "piece 1 of 'test' must be a list of at least two steps"),
            ({**ROLL, "test": [STEP, "ab"]}, "not text"),
            ({**ROLL, "train": [[[60], 61]]}, "step 1 of piece 0 of 'train' must be a list of notes, not a number"),
            ({**ROLL, "train": [[[60], [20]]]}, "contains 20, but notes are whole numbers from 21 to 108"),
            ({**ROLL, "train": [[[60], [109]]]}, "contains 109"),
            ({**ROLL, "train": [[[60], [60.5]]]}, "contains 60.5"),
            ({**ROLL, "train": [[[60], [True]]]}, "contains true"),
            ({**ROLL, "train": [[[60], [float("nan")]]]}, "contains NaN"),
            ({**ROLL, "train": [[[60], ["C4"]]]}, 'contains "C4"'),
        ],
    )
    def test_not_a_piano_roll(self, data, part):
        refused("MUSIC_FORMAT", lambda: self.read(data), part, "a.json")

    @pytest.mark.parametrize("data", ["{", "hello", "[" * 100_000, "1" * 5000])
    def test_not_json(self, data):
        refused("MUSIC_JSON", lambda: self.read(data), "JSON")

    def test_binary(self):
        refused("TEXT_BINARY", lambda: self.read(b"\x7fELF\0\0"))


class TestSeries:
    def test_target_comes_first_and_rows_keep_their_order(self):
        read = series(table("a,y", "5,1", "3,4", "4,2"))
        assert read.columns == ("y", "a")
        assert read.values.tolist() == [[1, 5], [4, 3], [2, 4]]
        assert read.warnings == ()

    @pytest.mark.parametrize("separator", [";", "\t", ","])
    def test_separators(self, separator):
        assert series(table(f"a{separator}y", f"1{separator}2", f"1{separator}3")).values[:, 0].tolist() == [2, 3]

    def test_quotes_windows_line_ends_and_a_mark(self):
        assert series(text(b'\xef\xbb\xbf"y","a"\r\n1,"2,5"\r\n3,x\r\n\r\n')).values[:, 0].tolist() == [1, 3]

    @pytest.mark.parametrize(
        ("column", "cells", "part"),
        [
            ("when", ["2020-01-01", "2020-01-02", "2020-01-03"], "'when' was left out: it holds dates"),
            ("Month", ["1949-01", "1949-02", "1949-03"], "it holds dates"),
            ("shop", ["north", "south", "5"], "it does not hold numbers"),
            ("year", ["1990", "1991", "1992"], "it rises in every row"),
            ("left", ["3", "2", "1"], "it falls in every row"),
            ("rain", ["1", "", "3"], "it lacks 1 of 3 values, the first in row 2 below the header; at most 10 %"),
            ("rain", ["1", "inf", "0"], "1 cells are infinite, the first in row 2"),
            ("gone", ["", "", ""], "it does not hold numbers"),
            ("", ["0", "5", "1"], "without a name was left out"),
        ],
    )
    def test_columns_left_out_are_reported(self, column, cells, part):
        read = series(table(f"{column},y", *(f"{cell},{y}" for cell, y in zip(cells, "142", strict=True))))
        assert read.columns == ("y",)
        assert len(read.values) == 3
        assert part in read.warnings[0]

    def test_no_target(self):
        refused("SERIES_TARGET", lambda: series(table("a,b", "1,2"), None), "target=COLUMN", "'a', 'b'")

    def test_unknown_column_names_the_nearest_and_all(self):
        content = table("units,price", "1,2", "2,3")
        refused(
            "COLUMN",
            lambda: series(content, "Unit"),
            "no column 'Unit'",
            "did you mean 'units'",
            "'units', 'price'",
        )

    def test_long_columns_are_not_all_listed(self):
        header = ",".join(f"{k} {'x' * 200}" for k in range(30))
        with pytest.raises(InputError, match=r"has a header .* and 23 more\) but no rows") as error:
            series(text(f"{header}\n"))
        assert len(str(error.value)) < 800

    def test_many_columns_are_not_all_listed(self):
        header = ",".join(f"c{index}" for index in range(200))
        with pytest.raises(InputError, match="and 170 more"):
            series(table(header, ",".join("1" * 200), ",".join("2" * 200)))

    def test_file_without_header(self):
        refused("COLUMN", lambda: series(table("1.5,2", "1,2", "2,3")), "first line must name the columns")

    @pytest.mark.parametrize(
        ("cells", "parts"),
        [
            (["1", "2", "-inf", "3"], ["row 3", "'-inf', which is infinite"]),
            (["1", "2", "1e200", "3"], ["row 3", "too large"]),
            (["1", "2", "9" * 400, "3"], ["row 3", "too large"]),
            (["1", "two", "3", "x"], ["row 2", "'two', which is not a number", "2 of 4 rows"]),
            (["1", "1 234", "3", "4"], ["row 2", "'1 234'"]),
        ],
    )
    def test_bad_values_in_the_target(self, cells, parts):
        refused("SERIES_VALUE", lambda: series(table("a,y", *(f"0,{cell}" for cell in cells))), "'y'", *parts)

    @pytest.mark.parametrize("cells", [["1", "", "3", ""], ["1", "NaN", "2", "3"], ["1", "N/A", "3", "2"]])
    def test_too_many_gaps_in_the_target(self, cells):
        content = table("a,y", *(f"0,{cell}" for cell in cells))
        refused("SERIES_GAPS", lambda: series(content), "'y'", "lacks 1 of", "row 2", "10 %", "fill=")

    def test_blank_line_in_a_table_of_one_column_is_a_missing_value(self):
        refused("SERIES_GAPS", lambda: series(table("y", "1", "", "3")), "row 2")

    def test_constant_target(self):
        refused("SERIES_CONSTANT", lambda: series(table("y", "2.5", "2.5", "2.5")), "2.5 in all 3 rows")

    def test_too_few_rows(self):
        content = table("y", "1", "2", "3")
        refused("SERIES_SHORT", lambda: series(content, minimum=40), "3 rows", "at least 40", "the split keeps 15 %")

    def test_header_only(self):
        refused("SERIES_EMPTY", lambda: series(text("a,y\n")), "'a', 'y'", "no rows")

    def test_ragged_row(self):
        refused("SERIES_ROW", lambda: series(table("a,y", "1,2", "1,2,3")), "line 3", "3 cells", "2 columns")

    def test_column_named_twice(self):
        refused("SERIES_HEADER", lambda: series(table("y,y", "1,2")), "'y' more than once")

    def test_open_quote(self):
        refused("SERIES_CSV", lambda: series(table("a,y", '"1,2', "3,4")), "line")

    def test_binary(self):
        refused("TEXT_BINARY", lambda: series(text(b"PK\x03\x04\0\0")))

    @pytest.mark.parametrize("days", [["2020-01-02", "2020-01-01"], ["03/01/2020", "02/01/2020"]])
    def test_newest_first_is_refused(self, days):
        content = table("day,y", f"{days[0]},1", f"{days[1]},2")
        refused(
            "SERIES_ORDER",
            lambda: series(content),
            "oldest first",
            f"from {days[0]} back to {days[1]} at row 2",
            "sort the file",
        )

    def test_repeated_dates_are_in_order(self):
        assert len(series(table("day,y", "2020-01-01,1", "2020-01-01,2")).values) == 2


class TestDuplicates:
    def rolls(self, train, test):
        return PianoRolls((train,), (np.roll(train, 3, axis=1),), (test,))

    def notes(self, seed, steps=40):
        return np.random.default_rng(seed).random((steps, 88)) < 0.05

    def test_copied_passage_is_found(self):
        train, test = self.notes(0), self.notes(1)
        assert shared_passages(self.rolls(train, test)) == ()
        test[5:25] = train[10:30]
        (warning,) = shared_passages(self.rolls(train, test))
        assert warning.startswith("test: 1 of 1 pieces (20 of 40 steps)")

    def test_short_copied_piece_is_found(self):
        piece = self.notes(0, steps=5)
        assert "5 of 5 steps" in shared_passages(PianoRolls((piece,), (self.notes(1),), (piece,)))[0]

    def test_held_chord_is_no_passage(self):
        held = np.tile(self.notes(0, steps=1), (40, 1))
        assert shared_passages(self.rolls(held, held)) == ()

    def test_chorales_share_a_few_phrases(self):
        warnings = shared_passages(read_music(locate("bundled:jsb")))
        assert [warning.split(" of a ")[0] for warning in warnings] == [
            "valid: 2 of 76 pieces (82 of 4602 steps) repeat a passage of at least 16 steps",
            "test: 2 of 77 pieces (32 of 4725 steps) repeat a passage of at least 16 steps",
        ]

    def test_rows(self):
        values = np.random.default_rng(0).random(200)
        assert shared_rows(values, 140) == ()
        values[150:180] = values[20:50]
        assert shared_rows(values, 140)[0].startswith("30 of 60 rows")
        assert shared_rows(np.zeros(200), 140) == ()
        assert shared_rows(values[:30], 20) == ()

    def test_text(self):
        letters = np.random.default_rng(0).choice(list("abcdefghijklmnopqrstuvwxyz"), 3000)
        train, other = "".join(letters[:2000]), "".join(letters[2000:])
        assert shared_text(train, other, "test") == ()
        copied = other[:300] + train[777:977] + other[300:]
        assert shared_text(train, copied, "test")[0].startswith("test: ")
        assert shared_text("-" * 500 + train, "-" * 500 + other, "test") == ()
