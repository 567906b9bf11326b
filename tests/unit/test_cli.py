"""The command line: what it prints, and that a user's mistake is one line and exit code 2."""

import json
import math
import re
import subprocess
import sys
import textwrap
import warnings

import pytest

from tidegate import compare, zoo
from tidegate.cli import cells, main
from tidegate.cli.cell import load, load_all
from tidegate.cli.compare import Compare, folder_name, parse_count
from tidegate.cli.console import warnings_as_notes
from tidegate.cli.listing import ALONE, OF_ONE, OF_SEVERAL, SUMS, kind_of
from tidegate.errors import InputError, SpecError, TidegateError, TidegateWarning
from tidegate.zoo import CELLS

OTHER = """
from tidegate.cell import Cell

class Other(Cell):
    gates = "n"

    def step(self, x, h, U):
        n = x.n + U(h).n
        return n
"""
BROKEN = """
from tidegate.cell import Cell

class MyCell(Cell):
    def step(self, x, h):
        return x.q
"""
OWN = """
from tidegate.cell import Cell, sigmoid, tanh

class MyCell(Cell):
    gates = "z n"

    def step(self, x, h, U):
        z = sigmoid(x.z + U(h).z)
        n = tanh(x.n + U(z * h).n)
        return (1 - z) * h + z * n
"""

ANNOTATED = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Options:
    size: int = 1
"""


def series(rows: int = 80, column: str = "units") -> str:
    return f"month,{column}\n" + "".join(f"{t},{math.sin(t / 3) + t % 7 / 10:.4f}\n" for t in range(rows))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sales.csv").write_text(series())
    (tmp_path / "my.py").write_text(OWN)
    return tmp_path


def fails(capsys, *arguments: str) -> str:
    """Run a command that must fail on its input; returns its one line, which only what is being read may precede."""
    code = main(list(arguments))
    captured = capsys.readouterr()
    assert code == 2
    assert re.fullmatch(r"(reading \S+\n)?", captured.out)
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("tidegate: ")
    return line


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (None, ["none.csv", "--target", "units"], "none.csv"),
        ("", ["bad.csv", "--target", "units"], "empty"),
        (series(), ["bad.csv", "--target", "unit"], "units"),
        (series(), ["bad.csv"], "target"),
        (
            series().replace("\n10,", "\n10,nan#", 1).replace("nan#", "n/k\n999,", 1),
            ["bad.csv", "--target", "units"],
            "row",
        ),
        ("abc", ["bad.txt", "--task", "language"], "character"),
        ("abc", ["bad.txt", "--task", "gardening"], "gardening"),
        (series(), ["bad.csv", "--target", "units", "--cells", "lstm,gruu"], "did you mean 'gru'"),
        (series(), ["bad.csv", "--target", "units", "--parameters", "many"], "many"),
        (series(), ["bad.csv", "--target", "units", "--seeds", "0"], "--seeds must be at least 1, got 0"),
        (series(), ["bad.csv", "--target", "units", "--trials", "0"], "--trials must be at least 1, got 0"),
        (series(), ["bad.csv", "--target", "units", "--epochs", "-1"], "--epochs must be at least 1, got -1"),
        (series(), ["bad.csv", "--target", "units", "--workers", "0"], "--workers must be at least 1, got 0"),
        (series(), ["bad.csv", "--target", "units", "--first-seed", "-1"], "--first-seed must be between 0 and"),
        (series(), ["bad.csv", "--target", "units", "--cells", "=lstm"], "'' is not a valid name"),
        (series(), ["bad.csv", "--target", "units", "--cells", "gru[zoneouts=1]"], "did you mean 'zoneout'"),
        ('task = "music"', ["bad.toml", "--config", "bad.toml", "--task", "forecast"], "settings of the task 'music'"),
        (series(), ["bad.csv", "--target", "units", "--config", "none.toml"], "none.toml"),
        (None, ["bad\udcff.csv"], "not valid UTF-8"),
        (series(), ["bad.csv", "--target", "units", "--cells", "none.py:A"], "none.py"),
    ],
)
def test_bad_input_to_compare_is_one_line(here, capsys, content, arguments, says) -> None:
    if content is not None:
        (here / arguments[0]).write_text(content)
    assert says in fails(capsys, "compare", *arguments, "--out", "out")
    assert not (here / "out" / "report.html").exists()


def test_compare_runs_a_users_file_and_a_users_cell(here, capsys) -> None:
    arguments = ["compare", "sales.csv", "--target", "units", "--cells", "gru,my.py:MyCell", "--seeds", "2"]
    assert main([*arguments, "--epochs", "2", "--parameters", "1k", "--out", "out", "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "MyCell" in printed
    assert "No evidence on sales.csv" in printed.splitlines()[-1]
    assert "earlier" not in printed
    assert (here / "out" / "report.html").stat().st_size < 1_000_000
    record = json.loads((here / "out" / "report.json").read_text())
    assert [cell["name"] for cell in record["cells"]] == ["GRU", "MyCell"]
    assert len((here / "out" / "runs.csv").read_text().splitlines()) == 5
    assert main([*arguments[:-1], "3", "--epochs", "2", "--parameters", "1k", "--out", "out", "--workers", "1"]) == 0
    again = capsys.readouterr().out
    assert re.search(r"report: out/report.html   \d+ s \(4 runs from earlier sessions\)\n", again)
    assert "No evidence on sales.csv" in again.splitlines()[-1]


def test_compare_takes_the_settings_of_the_task_from_a_file(here, capsys) -> None:
    rows = [
        f"2024-{month:02}-{day:02},{shop},{day % 7 + day % 3}"
        for shop in "ab"
        for month in (7, 8)
        for day in range(1, 32)
    ]
    (here / "shops.csv").write_text("\n".join(["day,shop,sold", *rows]) + "\n")
    (here / "a.toml").write_text('time = "day"\nseries = "shop"\nhorizon = 2\nhidden_size = 3\n')
    arguments = ["compare", "shops.csv", "--target", "sold", "--cells", "rnn", "--seeds", "1", "--epochs", "1"]
    assert "shop" in fails(capsys, *arguments)  # no series of numbers
    assert main([*arguments, "--parameters", "1k", "--out", "out", "--workers", "1", "--config", "a.toml"]) == 0
    assert "hidden_size = 3 in a.toml has no effect: --parameters sets the size" in capsys.readouterr().out
    record = json.loads((here / "out" / "report.json").read_text())
    assert "series 'shop', time 'day', horizon 2" in record["protocol"]["settings of the task"]
    assert record["cells"][0]["hidden_size"] > 3


def test_results_of_different_data_lie_apart() -> None:
    assert folder_name("bundled:jsb", "music", None) == "jsb"
    assert folder_name("/a/elnino.csv", "forecast", "temperature") == "elnino-forecast-temperature"
    assert folder_name("/a/my book.v2.txt", "language", None) == "my_book.v2-language"
    assert folder_name("/a/x.csv", "forecast", "/../°C é") == "x-forecast-_..__C_é"


@pytest.mark.parametrize("out", ["sales.csv", "sales.csv/deeper", "a" * 300])
def test_results_need_a_folder(here, capsys, out) -> None:
    line = fails(capsys, "compare", "sales.csv", "--target", "units", "--out", out)
    assert "cannot write the results to" in line
    assert "--out" in line


def test_a_cell_may_take_part_twice_under_another_name(here) -> None:
    assert list(load_all("lstm,again=lstm, own=my.py:MyCell")) == ["LSTM", "again", "own"]
    with pytest.raises(InputError, match="is listed twice"):
        load_all("lstm,LSTM")
    with pytest.raises(InputError, match="names no cell"):
        load_all(" , ")
    assert list(load_all(f"{'x' * 60}=lstm, my model é=gru")) == ["x" * 60, "my model é"]


@pytest.mark.parametrize("alias", ["", "x" * 61, "a\nb", "a\u2028b", "a\x1bm"])
def test_an_alias_can_be_shown_in_one_line(alias) -> None:
    with pytest.raises(InputError, match="is not a valid name for a cell") as caught:
        load_all(f"{alias}=lstm")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ("x = 1", InputError, "its cells: none"),
        (OTHER, InputError, "Other"),
        ("raise RuntimeError('boom')", InputError, "RuntimeError: boom"),
        ("import", InputError, "SyntaxError"),
        ("import sys; sys.exit(3)", InputError, "SystemExit: 3"),
        ("raise ValueError('a\\nb')", InputError, "my.py failed: ValueError: a b"),
        (BROKEN, SpecError, "no part 'q'"),
    ],
)
def test_a_file_without_the_cell_is_one_clear_error(here, body, error, says) -> None:
    (here / "my.py").write_text(body)
    modules = set(sys.modules)
    with pytest.raises(error, match=re.escape(says)) as caught:
        load("my.py:MyCell")
    left = any(name.startswith("_tidegate_file") for name in set(sys.modules) - modules)
    assert left == (caught.value.code == "CELL_CLASS")  # a file that failed leaves no module behind


def test_a_file_may_define_dataclasses_and_change_the_path(here) -> None:
    (here / "my.py").write_text(ANNOTATED + "import sys\nsys.path.clear()\n" + OWN)
    path = list(sys.path)
    try:
        first, second = load("my.py:MyCell"), load("my.py:MyCell")
    finally:
        sys.path[:] = path
    assert first is not second
    assert "my" not in sys.modules


def test_a_file_imports_its_neighbours(here) -> None:
    (here / "own_neighbour.py").write_text(OWN)
    (here / "my.py").write_text("from own_neighbour import MyCell")
    path = list(sys.path)
    assert load("my.py:MyCell").name == "MyCell"
    assert sys.path == path


@pytest.mark.parametrize("text", ["my.py", "my.py:", " my.py "])
def test_a_file_without_a_class_lists_its_cells(here, text) -> None:
    with pytest.raises(InputError, match=r"write my\.py:CLASS; its cells: MyCell$"):
        load_all(text)


@pytest.mark.parametrize("verb", ["cells", "trace"])
@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("gru/", "did you mean 'gru'"),
        ("/", "no cell"),
        (":", "no file ''"),
        (":X", "no file ''"),
        ("gru:X", "no file 'gru'"),
        ("ünï☃", "no cell"),
        ("a\nb:X", "no file"),
        ("folder.py:X", "is a folder"),
        ("sales.csv:X", "not a Python file"),
        ("my.py/x.py:X", "no file"),
        ("my.py:[/b]", "its cells: MyCell"),
        ("x" * 5000 + ".py:X", "cannot be read: File name too long"),
    ],
)
def test_what_is_no_cell_is_one_line(here, capsys, verb, cell, says) -> None:
    (here / "folder.py").mkdir()
    assert says in fails(capsys, verb, cell)


def test_an_unreadable_file_is_one_line(here, capsys, monkeypatch) -> None:
    def deny(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tidegate.cli.cell.Path.open", deny)
    assert "my.py cannot be read: Permission denied" in fails(capsys, "cells", "my.py:MyCell")


def test_the_default_cells_are_those_of_the_library() -> None:
    """Written twice, since --help must not load the room that compares."""
    assert tuple(Compare().cells.split(",")) == compare.DEFAULT_CELLS


@pytest.mark.parametrize(("text", "count"), [("50k", 50_000), ("1.5M", 1_500_000), ("300", 300), (None, None)])
def test_counts(text, count) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["", "k", "-3", "0", "nan", "inf", "1e400", "5 k k"])
def test_what_is_no_count(text) -> None:
    with pytest.raises(InputError, match="is not a number of parameters"):
        parse_count(text)


def test_the_zoo_is_listed(capsys) -> None:
    assert main(["cells"]) == 0
    printed = capsys.readouterr().out
    assert all(cell.name in printed for cell in CELLS.values())
    assert "33,280" in printed  # an LSTM of 64 inputs and 64 units has 4 * 64 * (64 + 64 + 2) parameters
    said = " ".join(printed.split())
    assert all(" ".join(cell.source.split()[:4]) in said for cell in CELLS.values())
    assert f"{len(zoo.FAMILIES)} cells and {len(CELLS) - len(zoo.FAMILIES)} variants" in said


def test_cells_stand_in_groups_by_how_they_recur() -> None:
    groups = {name: kind_of(zoo.find(name).graph) for name in ("gru", "lstm", "scrn", "indrnn", "mingru")}
    assert groups == {"gru": OF_ONE, "lstm": OF_SEVERAL, "scrn": OF_SEVERAL, "indrnn": ALONE, "mingru": SUMS}


def test_a_filter_lists_cells_that_have_all_of_its_words(capsys) -> None:
    assert main(["cells", "--filter", "Feng 2024"]) == 0
    printed = capsys.readouterr().out
    assert "MinGRU" in printed
    assert "MinLSTM" in printed
    assert "2 cells and 0 variants" in printed
    assert OF_ONE not in printed
    assert "no cell has 'gru aardvark'" in fails(capsys, "cells", "--filter", "gru aardvark")
    assert "leave out --filter or gru" in fails(capsys, "cells", "gru", "--filter", "gru")


def test_a_cell_shows_its_settings_and_what_they_make_of_it(capsys) -> None:
    assert main(["cells", "mingru"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "weight_dropout in [0, 1] MinGRU has no recurrent matrix" in printed
    assert "zoneout in [0, 1] Probability that a unit keeps" in printed
    assert main(["cells", "rnn[layer_norm]"]) == 0
    normed = capsys.readouterr().out
    assert normed.startswith("RNN[layer_norm]  ")
    assert "norm_W" in normed
    assert "forget_bias needs a gate that keeps the state" in normed
    assert "RNN has the gates h" in fails(capsys, "cells", "rnn[forget_bias=1]")
    assert main(["cells", "gru[rank=8]"]) == 0
    assert "14,720 (64 inputs, 64 units, R = 8)" in capsys.readouterr().out
    assert main(["cells", "gru[heads=4]"]) == 0
    assert "192 x 16" in capsys.readouterr().out
    assert "multiple of 3" in fails(capsys, "cells", "gru[heads=3]")
    assert "rank=65, but U" in fails(capsys, "cells", "gru[rank=65]")


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_shows_its_equations(capsys, name) -> None:
    assert main(["cells", name]) == 0
    printed = capsys.readouterr().out
    assert r"\begin{align*}" in printed
    assert re.search(r"^h\[t\] += ", printed, re.MULTILINE)


def test_a_docstring_is_shown_as_it_was_written(here, capsys) -> None:
    words = "Splits W [h, x] in two [bold] [/] :smile:"
    (here / "my.py").write_text(OWN.replace("(Cell):", f"(Cell):\n    '{words}'"))
    assert main(["cells", "my.py:MyCell"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"MyCell  {words}"


def test_a_cell_is_drawn_into_a_new_file(here, capsys) -> None:
    (here / "my.py").write_text(OWN)
    for cell, title in (("gru[layer_norm]", "<title>GRU</title>"), ("my.py:MyCell", "<title>MyCell</title>")):
        path = here / f"{title[7:10]}.svg"
        assert main(["cells", cell, "--diagram", path.name]) == 0
        assert capsys.readouterr().out == f"wrote {path.name}\n"
        assert title in path.read_text(encoding="utf-8")
    kept = path.read_bytes()
    assert "MyC.svg exists already" in fails(capsys, "cells", "lstm", "--diagram", path.name)
    assert path.read_bytes() == kept
    assert "draws one cell" in fails(capsys, "cells", "--diagram", "new.svg")
    assert "draws one cell" in fails(capsys, "cells", "--filter", "gru", "--diagram", "new.svg")
    assert "does not end in .svg" in fails(capsys, "cells", "lstm", "--diagram", "new.png")
    assert "no folder none" in fails(capsys, "cells", "lstm", "--diagram", "none/new.svg")


@pytest.mark.parametrize("option", ["--hidden", "--input"])
@pytest.mark.parametrize("number", ["0", "-3", "9" * 30])
def test_cells_are_counted_for_sizes_that_exist(capsys, option, number) -> None:
    line = fails(capsys, "cells", option, number)
    assert f"{option} must be between 1 and 1000000000, got {number}" in line


@pytest.mark.parametrize("verb", ["compare", "cells", "trace"])
def test_only_a_comparison_goes_on_after_an_interruption(here, capsys, monkeypatch, verb) -> None:
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Compare, "run", interrupt)
    monkeypatch.setattr(cells, "load_spec", interrupt)
    monkeypatch.setattr("tidegate.cli.trace.load", interrupt)
    assert main([verb, *(["lstm"] if verb != "compare" else [])]) == 130
    said = capsys.readouterr().err.strip()
    assert said == ("interrupted; the same command resumes from here" if verb == "compare" else "interrupted")


def test_an_error_is_its_message_and_its_remedy() -> None:
    assert str(TidegateError("CODE", "it is (somehow) wrong", fix="mend it")) == "it is (somehow) wrong — mend it"
    assert str(TidegateError("CODE", "it is wrong")) == "it is wrong"


def test_the_worked_example_by_hand(here, capsys) -> None:
    """Four steps of an LSTM with one unit, in nothing but arithmetic."""
    w, u, b, d = [0.5, -0.3, 0.8, 0.1], [0.2, 0.4, -0.6, 0.3], [0.0, 1.0, 0.1, -0.2], [0.1, 0.0, 0.0, 0.05]
    weights = {"weight_ih_l0": [[v] for v in w], "weight_hh_l0": [[v] for v in u], "bias_ih_l0": b, "bias_hh_l0": d}
    (here / "weights.json").write_text(json.dumps(weights))
    assert main(["trace", "LSTM", "--inputs", "1,0.5,-1,2", "--weights", "weights.json", "--digits", "12"]) == 0
    lines = capsys.readouterr().out.splitlines()
    header = next(k for k, line in enumerate(lines) if line.startswith("t "))
    printed = [[float(number) for number in line.split()] for line in lines[header + 1 : header + 5]]

    h = c = 0.0
    for t, x in enumerate([1.0, 0.5, -1.0, 2.0]):
        i = 1 / (1 + math.exp(-(0.5 * x + 0.0 + 0.2 * h + 0.1)))
        f = 1 / (1 + math.exp(-(-0.3 * x + 1.0 + 0.4 * h + 0.0)))
        g = math.tanh(0.8 * x + 0.1 - 0.6 * h + 0.0)
        o = 1 / (1 + math.exp(-(0.1 * x - 0.2 + 0.3 * h + 0.05)))
        c = f * c + i * g
        h = o * math.tanh(c)
        assert printed[t] == pytest.approx([t + 1, x, i, f, g, o, c, h], abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--inputs", "1,zwei"], "zwei"),
        (["--inputs", "1,2 3"], "1, 2 features"),
        (["--inputs", ""], "features"),
        (["--hidden", "0"], "--hidden must be between 1 and 1000, got 0"),
        (["--hidden", "1001"], "--hidden must be between 1 and 1000, got 1001"),
        (["--digits", "-1"], "--digits must be between 0 and 17, got -1"),
        (["--digits", "18"], "--digits must be between 0 and 17, got 18"),
        (["--seed", "99999999999999999999"], "got 99999999999999999999"),
        (["--seed", "-1"], "--seed must be between 0 and 9223372036854775807, got -1"),
        (["--save", "none/w.json"], "--save none/w.json cannot be written"),
        (["--save", "."], "--save . cannot be written"),
        (["--weights", "none.json"], "no file"),
        (["--weights", "sales.csv"], "JSON"),
        (["--weights", "wrong.json"], "this cell needs"),
        (["--weights", "large.json"], "JSON"),
        (["--weights", "deep.json"], "JSON"),
    ],
)
def test_bad_input_to_trace_is_one_line(here, capsys, arguments, says) -> None:
    (here / "wrong.json").write_text(json.dumps({"weight_ih_l0": [[1.0]]}))
    (here / "large.json").write_text(json.dumps({"weight_ih_l0": [[10**400]]}))
    (here / "deep.json").write_text("[" * 100_000)
    assert says in fails(capsys, "trace", "LSTM", *arguments)


def test_bounds_themselves_are_fine(capsys) -> None:
    for digits in ("0", "17"):
        assert main(["trace", "LSTM", "--digits", digits, "--seed", str(2**63 - 1)]) == 0


def test_a_weight_file_may_have_brackets_in_its_name(here, capsys) -> None:
    assert main(["trace", "LSTM", "--save", "[x] [r].json"]) == 0
    assert main(["trace", "LSTM", "--weights", "[x] [r].json"]) == 0
    assert "[x] [r].json" in " ".join(capsys.readouterr().out.split())


def test_saved_weights_read_back(here, capsys) -> None:
    assert main(["trace", "gru/before", "--hidden", "3", "--seed", "5", "--save", "w.json"]) == 0
    first = capsys.readouterr().out.split()
    assert main(["trace", "gru/before", "--hidden", "3", "--weights", "w.json"]) == 0
    assert " ".join(capsys.readouterr().out.split()).replace("from w.json", "seed 5") == " ".join(first)


def test_help_reads_and_loads_no_torch() -> None:
    pages = ["", "--help", "compare --help", "generate --help", "cells --help", "trace --help"]
    code = textwrap.dedent(f"""
        import sys
        from tidegate.cli import main
        for page in {pages}:
            try:
                main(page.split())
            except SystemExit as stop:
                assert not stop.code
            assert "torch" not in sys.modules, page
            print("end of page")
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page, text in zip(pages, done.stdout.split("end of page\n"), strict=False):
        assert "usage: tidegate" in text, page
        top = page in ("", "--help")
        assert ("tidegate --version prints the version" in " ".join(text.split())) == top, page


@pytest.mark.parametrize(("speaks", "printed"), [(True, "note: a has no effect\n"), (False, "")])
def test_a_warning_of_the_library_is_one_note_and_others_stay_warnings(speaks, printed, capsys) -> None:
    with warnings.catch_warnings(record=True) as others, warnings_as_notes(speaks=speaks):
        warnings.simplefilter("always")
        for _ in range(2):
            warnings.warn("a has no effect", TidegateWarning, stacklevel=1)
        warnings.warn("of another library", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == printed
    assert [str(other.message) for other in others] == ["of another library"]
