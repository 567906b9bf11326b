"""Tables as text: separators, quotes, first lines, numbers and cells that can be read in two ways."""

import csv
import io
import json
from datetime import date, timedelta

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.refusal import refused
from tidegate.data import Layout, Source, read_pairs, read_panel
from tidegate.data.labelled import Layout as Labels
from tidegate.data.labelled import in_memory, read_labelled
from tidegate.data.number import numbers
from tidegate.data.speech import _table
from tidegate.data.table import read_table
from tidegate.errors import InputError
from tidegate.tasks import Forecaster, SequenceClassifier
from tidegate.tasks.forecast.encoding import ForecastEncoding

DAYS = [str(date(2020, 1, 1) + timedelta(days)) for days in range(200)]
FILMS = [f"{word} {count}\t{label}" for count in range(20) for word, label in (("good", "pos"), ("bad", "neg"))]


def source(content, name="a.csv"):
    return Source(f"/nowhere/{name}", name, content if isinstance(content, bytes) else content.encode())


def rows(content, name="a.csv", separator=None):
    return list(zip(*read_table(source(content, name), separator).cells.values(), strict=True))


def notes(content, name="a.csv"):
    return " / ".join(read_table(source(content, name)).notes)


def panel(cells, separator=";", name="a.csv", **layout):
    content = "\n".join([f"day{separator}y", *(f"d{separator}{cell}" for cell in cells)])
    return read_panel(source(content, name), Layout("y", **layout), 2, "")


def first_column(found):
    return found.values[:, 0].tolist()  # noqa: PD011  (not pandas' values)


def values(cells, separator=";", **layout):
    return first_column(panel(cells, separator, **layout))


def parquet(columns):
    content = io.BytesIO()
    pd.DataFrame(columns).to_parquet(content)
    return content.getvalue()


class TestSeparator:
    """Each file of a spreadsheet has 200 days."""

    @pytest.mark.parametrize(
        ("first", "between", "last", "note"),
        [
            ("sep=;\ndate;sales", ";", "", "'sep=;' names the separator"),
            ("sep=\t\r\ndate\tsales", "\t", "", "names the separator"),
            ("date;price, net", ";", "", ""),
            ("date|sales", "|", "", ""),
            ("date;sales;;", ";", ";;;\n;;;\n;;;\n", "left out 3 empty rows at the end, from line 202 on"),
            ("# exported on 1 May, by hand\ndate,sales", ",", "", "left out 1 first line with '#'"),
            ("#date\tsales", "\t", "\n\t\n", "left out 2 empty rows"),
            ('"date;time";"sales"', ";", "", ""),
        ],
    )
    def test_files_of_spreadsheets(self, first, between, last, note):
        body = "\n".join(f"{day}{between}{row}{';;' * first.endswith(';;')}" for row, day in enumerate(DAYS))
        found = read_table(source(f"{first}\n{body}\n{last}"))
        assert len(found.header) == 2
        assert found.cells[found.header[0]] == DAYS
        assert found.separator == between
        assert note in " / ".join(found.notes)

    def test_empty_columns_at_the_right_are_left_out_with_a_note(self):
        assert rows("a;b;;\n1;2;;\n3;4\n5;6;;;;\n") == [("1", "2"), ("3", "4"), ("5", "6")]
        assert "left out 2 columns at the right" in notes("a;b;;\n1;2;;\n")

    def test_empty_cells_right_of_the_header_are_noted(self):
        assert notes("a;b\n1;2\n3;4;;\n") == "left out empty cells at the end of 1 row, the first in line 3"

    def test_a_separator_at_the_end_of_a_line_of_one_column_is_no_cell(self):
        refused("SERIES_ROW", lambda: rows("text\nwell,\nfine\n"), "line 2", "2 cells", "1 column")
        assert rows("text\nwell,\n", separator="|") == [("well,",)]

    def test_long_texts(self):
        assert len(rows(f'text,label\n"{"word, " * 30_000}",pos\nbad,neg\n')[0][0]) == 180_000

    @given(
        st.sampled_from(",;\t|"),
        st.lists(st.lists(st.text('ab" \n,;\t|', min_size=1), min_size=2, max_size=2), min_size=1, max_size=4),
        st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    )
    def test_what_csv_writes_is_read_refused_or_noted(self, mark, cells, quoting):
        hypothesis.assume(all(any(map(str.strip, row)) for row in cells))
        content = io.StringIO(newline="")
        csv.writer(content, delimiter=mark, lineterminator="\n", quoting=quoting).writerows([["x", "y"], *cells])
        try:
            found = read_table(source(content.getvalue()))
        except InputError as error:
            assert error.code in ("SEPARATOR", "SERIES_ROW")  # noqa: PT017  either is right
        else:
            assert found.notes or [list(row) for row in zip(*found.cells.values(), strict=True)] == cells

    def test_blank_lines_are_counted(self):
        assert rows("a;b\n1;2\n\n3;4\n") == [("1", "2"), ("3", "4")]
        assert notes("a;b\n1;2\n\n3;4\n") == "left out 1 blank line, the first is line 3"
        assert notes("a;b\n1;2\n3;4\n\n\n") == ""
        assert notes("a;b\n1;2\n3;4\n") == ""

    def test_an_empty_row_within_stays(self):
        assert rows("a;b\n1;2\n;\n3;4\n") == [("1", "2"), ("", ""), ("3", "4")]

    def test_two_separators_ask_and_the_answer_works(self):
        content = "date;price, net\n2020;51,13\n2021;52,20\n"
        refused("SEPARATOR", lambda: rows(content), "',' and ';'", "separator=")
        assert rows(content, separator=";") == [("2020", "51,13"), ("2021", "52,20")]

    @pytest.mark.parametrize(("named", "mark"), [("tab", "\t"), ("\\t", "\t"), ("\t", "\t"), ("~", "~"), (" ", " ")])
    def test_a_named_separator(self, named, mark):
        assert rows(f"a{mark}b\n1{mark}2,5\n", separator=named) == [("1", "2,5")]

    @pytest.mark.parametrize("wrong", ["", "tabs", '"', "\n", "a"])
    def test_what_is_no_separator(self, wrong):
        refused("SEPARATOR", lambda: rows("a,b\n1,2\n", separator=wrong), "separator=")

    def test_a_title_above_the_table_is_named(self):
        refused("SEPARATOR", lambda: rows("Report\n\na;b\n1;2\n"), "line 1", "'Report'", "2 cells separated by ';'")

    def test_a_ragged_row_is_named_with_the_separator_of_the_others(self):
        refused("SERIES_ROW", lambda: rows("a;b, c\n1;2\n3;4;5\n6;7\n"), "line 3", "3 cells", "2 columns", "separator=")

    def test_columns_without_a_name_that_hold_something(self):
        refused("SERIES_HEADER", lambda: rows("a;;\n1;x;y\n"), "several columns without a name", "columns 2 and 3")

    @pytest.mark.parametrize("content", ["# a comment\n", "\n;;\n"])
    def test_no_header(self, content):
        refused("SERIES_EMPTY", lambda: rows(content), "names no columns")

    def test_every_reader_takes_it(self):
        assert read_labelled(source("text~label\ngood, a\tb~pos\n"), Labels(separator="~"))["train"].labels == ("pos",)
        assert read_labelled(source("text~label\ngood~pos\n", "a.txt"), Labels(separator="~"))["train"].items == (
            "good",
        )
        assert read_pairs(source("one~eins\ntwo~zwei\n", "a.txt"), separator="~").targets == ("eins", "zwei")
        assert read_pairs(source("source~target\none~eins\n"), separator="~").targets == ("eins",)
        (recording,), _ = _table(source("path~text\na.wav~one\n"), "~", None)
        assert (recording.name, recording.text) == ("a.wav", "one")


class TestQuotes:
    def films(self, *lines):
        return "\n".join(["text\tlabel", *FILMS, *lines, *FILMS]) + "\n"

    def test_a_quote_does_not_swallow_lines_between_tabs(self):
        content = self.films('"Wonderful film\tpos', 'an awful film"\tneg')
        assert len(rows(content)) == 82
        assert rows(content)[40:42] == [('"Wonderful film', "pos"), ('an awful film"', "neg")]
        assert "in line 42" in notes(content)

    def test_a_quoted_word_between_tabs_is_text(self):
        content = self.films('"Wonderful" film, he said\tpos')
        assert len(rows(content)) == 81
        assert rows(content)[40] == ('"Wonderful" film, he said', "pos")

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ('text\tlabel\n"He said ""hi"""\tpos\nfine\tneg\n', 'He said "hi"'),
            ('text\tlabel\n"one\ntwo"\tpos\nfine\tneg\n', "one\ntwo"),
            ('text\tlabel\n"one, two"\tpos\nfine\tneg\n', "one, two"),
            ('"text"\t"label"\n"one"\t1\n"two"\t2\n', "one"),
            ('text\tlabel\n"Yes."\tpos\nNo.\tneg\n', '"Yes."'),
            ('text\tlabel\n5" disk\tpos\nNo.\tneg\n', '5" disk'),
        ],
    )
    def test_quotes_of_csv_between_tabs(self, content, expected):
        found = rows(content)
        assert found[0][0] == expected
        assert len(found) == 2

    def test_an_open_quote_that_no_reading_accepts_names_its_line(self):
        refused("SERIES_ROW", lambda: rows('a\tb\n"one\ntwo"\tx\n"o" k\ty\n'), "line 2", "1 cell,")

    def test_a_cell_that_spans_lines_and_holds_the_separator_is_noted(self):
        content = 'text,label\ngood,pos\n"Wonderful film,pos\nan awful film",neg\n'
        assert len(rows(content)) == 2
        assert "1 row with a quoted cell that spans lines and holds the separator, the first in line 3" in notes(
            content
        )
        assert notes('text,label\n"one\ntwo",pos\n') == ""

    def test_a_blank_before_a_quote(self):
        assert rows('a, b\n1, "x, y"\n') == [("1", "x, y")]

    def test_speech_tables_and_pairs_follow(self):
        content = 'path\ttext\na.wav\t"one\nb.wav\ttwo"\n'
        recordings, (note,) = _table(source(content, "a.tsv"), None, None)
        assert [recording.text for recording in recordings] == ['"one', 'two"']
        assert "in line 2" in note
        assert read_pairs(source('"Hi," he said.\tEr\n"a ""b"""\tc\n', "a.tsv")).sources[0] == '"Hi," he said.'
        assert read_pairs(source('"a ""b"""\tc\n', "a.tsv")).sources == ('a "b"',)


class TestNumbers:
    def test_thousands_beside_hundreds(self):
        cells = [f"{value:,}".replace(",", ".") for value in range(900, 1500, 3)]
        found = panel(cells)
        assert first_column(found) == list(range(900, 1500, 3))
        assert "'1.002' in 'y' is read as 1002, since '1.002' and '999' are in one column" in found.warnings[0]
        assert found.decimal == ","

    @pytest.mark.parametrize(
        ("cells", "separator", "expected"),
        [
            (["1.234,56", "51,13"], ";", [1234.56, 51.13]),
            (["51,13", "1.497"], ";", [51.13, 1497]),
            (["1.234.567", "1.497"], "\t", [1234567, 1497]),
            (['"1,002"', '"1,234,567"'], ",", [1002, 1234567]),
            (['"1,002"', "999"], ",", [1002, 999]),
            (["1.497", "0.998"], ";", [1.497, 0.998]),
            (["1.497", "1.5"], ";", [1.497, 1.5]),
            (["1.497", "2.5e3"], "|", [1.497, 2500]),
            (["1.497", "1.498"], ",", [1.497, 1.498]),
            (["1500", "2"], ";", [1500, 2]),
            (["-1.234,5", "+0,25"], ";", [-1234.5, 0.25]),
        ],
    )
    def test_the_column_decides(self, cells, separator, expected):
        assert values(cells, separator) == expected

    @pytest.mark.parametrize(
        ("cells", "separator"),
        [
            (["1.497", "1.498"], ";"),
            (["1.497", "1.498"], "\t"),
            (['"1,497"', '"1,498"'], ","),
            (["1.497", "1.498", "0"], "|"),
            (["1.497", "998"], ","),
            (["1.497", "2,498"], ";"),
        ],
    )
    def test_what_no_row_decides_is_asked_and_the_answer_works(self, cells, separator):
        refused("SERIES_DECIMAL", lambda: values(cells, separator), "'y'", "row 1", "1497", "1.497", "decimal=")
        used = [mark for mark in ",." if not np.isnan(numbers([cell.strip('"') for cell in cells], mark)).any()]
        assert used == [",", "."]
        assert {1497, 1.497} == {values(cells, separator, decimal=mark)[0] for mark in used}

    def test_other_columns_decide(self):
        content = "day;price;y\na;51,13;1.497\nb;4,2;1.498\n"
        found = read_panel(source(content), Layout("y"), 2, "")
        assert first_column(found) == [1497, 1498]
        assert "as the other columns have it" in found.warnings[0]

    def test_a_model_goes_on_reading_as_in_training(self):
        assert values(["1.497", "1.498"], learnt=",") == [1497, 1498]
        assert values(["1.49", "1.498"], learnt=",") == [1.49, 1.498]

    @pytest.mark.parametrize("cell", ["1 234", "5%", "\u22125", "1.2.3", "12,34,567", "1,2,3", "€5", "1.000,5,5"])
    def test_what_is_no_number_is_named(self, cell):
        refused("SERIES_VALUE", lambda: values(["2.5", cell, "3.5"]), repr(cell), "row 2", "decimal=")

    def test_a_named_mark_is_kept_to(self):
        refused("SERIES_VALUE", lambda: values(["51,13", "2.5"], decimal=","), "'2.5'", "row 2")

    @pytest.mark.parametrize("write", [lambda frame: source(frame.to_csv().encode(), "a.csv"), None])
    def test_frames_and_parquet_are_what_they_are(self, write):
        frame = pd.DataFrame({"y": [1.497, 2.0, 1.498]})
        given = write(frame) if write else source(parquet(frame), "a.parquet")
        assert first_column(read_panel(given, Layout("y", decimal=None if write else ","), 2, ""))[0] == 1.497

    def test_a_saved_forecaster_keeps_its_reading(self, tmp_path):
        thousands = [f"1.{row * 7 % 90:03}" for row in range(200)]
        for name, end in (("open", ""), ("decided", ",5")):
            content = ["day;y", *(f"{day};{cell}{end}" for day, cell in zip(DAYS, thousands, strict=True))]
            (tmp_path / name).write_text("\n".join(content), encoding="utf-8")
        refused("SERIES_DECIMAL", lambda: Forecaster(target="y", epochs=1).fit(tmp_path / "open"))
        Forecaster(target="y", time="day", epochs=1).fit(tmp_path / "decided").save_pretrained(tmp_path / "model")
        loaded = Forecaster.from_pretrained(tmp_path / "model")
        assert loaded.encoding_.decimal == ","
        assert loaded.predict(history=tmp_path / "open")["forecast"][0] > 900
        assert loaded.predict()["forecast"][0] > 900

    def test_models_of_before_have_no_mark(self):
        assert ForecastEncoding.__dataclass_fields__["decimal"].default is None


class TestCells:
    """Cells of Parquet and JSON that are no text and no class."""

    @pytest.mark.parametrize(
        ("cell", "shown"),
        [(["a", "b"], "a list: ['a', 'b']"), (b"x", "bytes: b'x'"), ({"a": 1}, "an object: {'a': 1}"), (None, "empty")],
    )
    def test_labels_and_texts_of_parquet(self, cell, shown):
        labels = source(parquet({"text": ["a", "b"], "label": [cell, cell]}), "a.parquet")
        refused("LABELLED_LABEL", lambda: read_labelled(labels, Labels()), "'label' in row 1", "a class", shown)
        texts = source(parquet({"text": [cell, cell], "label": ["a", "b"]}), "a.parquet")
        refused("LABELLED_TEXT", lambda: read_labelled(texts, Labels()), "'text' in row 1", "a text", shown)

    @pytest.mark.parametrize(
        ("cell", "shown"), [(["a"], "a list: ['a']"), (b"x", "bytes: b'x'"), ({"a": 1}, "an object")]
    )
    def test_pairs(self, cell, shown):
        content = parquet({"source": [cell, cell], "target": ["a", "b"]})
        refused("PAIR_PARQUET", lambda: read_pairs(source(content, "a.parquet")), "row 1", "'source'", shown)

    @pytest.mark.parametrize("cell", [["a"], {"a": 1}, None, 5])
    def test_json(self, cell):
        pair = source(json.dumps({"source": "a", "target": cell}), "a.jsonl")
        refused("PAIR_JSON", lambda: read_pairs(pair), "line 1", "'target'")
        sound = source(json.dumps({"path": "a.wav", "text": cell}), "a.jsonl")
        refused("SPEECH_JSON", lambda: _table(sound, None, None), "'text' in line 1")
        film = source(json.dumps({"text": cell, "label": 1}), "a.jsonl")
        refused("LABELLED_TEXT", lambda: read_labelled(film, Labels()), "'text' in line 1")

    def test_a_speaker_of_null_is_none(self):
        (recording,), _ = _table(source('{"path": "a", "text": "b", "speaker": null}', "a.jsonl"), None, None)
        assert recording.speaker == ""


class TestLabels:
    def labels(self, *labels):
        content = "\n".join(json.dumps({"text": f"film {row}", "label": label}) for row, label in enumerate(labels))
        return read_labelled(source(content, "a.jsonl"), Labels())["train"].labels

    def test_mixed_types_are_named(self):
        refused(
            "LABELLED_TYPES",
            lambda: self.labels(*[True], "0", 1, 0),
            "3 types",
            "true in line 1",
            '"0" in line 2',
            "1 in line 3",
        )

    def test_mixed_types_in_memory(self):
        refused("LABELLED_TYPES", lambda: in_memory([[1.0], [2.0]], [1, "1"]), "numbers (1 in place 0)")

    def test_numbers_with_and_without_a_point_are_of_one_type(self):
        assert self.labels(1, 2.5) == (1, 2.5)

    @pytest.mark.parametrize(
        ("label", "part"),
        [
            (10**4000, "more than 1,000 digits"),
            ("9" * 4000, "4,000 characters"),
            ("a\x1b[2J", r"'\x1b'"),
            ("a\nb", r"'\n'"),
            ("\x85b\x9b", r"'\x9b'"),
            (float("inf"), "inf"),
        ],
    )
    def test_unusable_classes(self, label, part):
        refused("LABELLED_LABEL", lambda: self.labels("a" if isinstance(label, str) else 1, label), "line 2", part)

    def test_a_class_in_a_line_or_a_file_name(self):
        refused("LABELLED_LABEL", lambda: read_labelled(source("a\x1b x\nb y\n", "a.txt"), Labels()), "sequence 1")

    def test_too_many_digits_for_json(self):
        content = source('{"text": "a", "label": ' + "1" * 5000 + "}", "a.jsonl")
        refused("JSONL", lambda: read_labelled(content, Labels()), "thousands of digits")

    def test_answers_line_up_or_say_so(self, tmp_path):
        texts, labels = zip(*(film.split("\t") for film in FILMS), strict=True)
        model = SequenceClassifier(epochs=1, hidden_size=4, test_share=0).fit(list(texts), list(labels))
        (tmp_path / "a.txt").write_text("good\n\nbad\u2028film\n", encoding="utf-8")
        with pytest.warns(UserWarning, match="left out 1 blank line, the first is line 2"):
            assert len(model.predict(tmp_path / "a.txt")) == 2
        (tmp_path / "a.csv").write_text("text,label\n,pos\ngood,pos\n", encoding="utf-8")
        with pytest.warns(UserWarning, match="1 texts are empty"):
            assert len(model.predict(tmp_path / "a.csv")) == 2
