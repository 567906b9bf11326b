"""What long calls say of themselves, and that notes on data are warnings in Python and one line each in the shell."""

import io
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from rich.console import Console

from tidegate import compare
from tidegate.cli import main
from tidegate.cli.status import Status
from tidegate.data import Reader, Source
from tidegate.errors import DataWarning
from tidegate.phase import counted, heard, heard_by, phase
from tidegate.tasks import Composer, Forecaster, LanguageModel, SequenceClassifier, SequenceTagger, Translator
from tidegate.train.watch import Watch

SMALL = {"hidden_size": 4, "epochs": 1}
ROWS = [f"{'ab'[k % 2] * (k % 5 + 2)} {k}" for k in range(40)]
SERIES = "day,sold,kind\n" + "".join(f"2024-{k // 28 + 1:02}-{k % 28 + 1:02},{k % 7},x\n" for k in range(140))


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_phases_are_told_to_the_innermost_listener_and_to_nobody_else() -> None:
    outer, inner = [], []
    phase("alone")
    assert not heard()
    with heard_by(lambda *said: outer.append(said)):
        with heard_by(None):
            phase("a", 1, 2)
        with heard_by(lambda *said: inner.append(said)):
            assert list(counted("b", "xy")) == ["x", "y"]
        phase("c")
    phase("alone")
    assert outer == [("a", 1, 2), ("c", 0, 0)]
    assert inner == [("b", 0, 2), ("b", 1, 2)]


def test_a_fit_goes_through_its_phases_in_order(capsys) -> None:
    said: list[str] = []
    model = SequenceClassifier(**SMALL)
    model.fit(ROWS, [row[0] for row in ROWS], watch=Watch(on_phase=lambda name, *_: said.append(name)))
    votes = "logistic regression on n-grams"
    order = ["reading", "preparing", f"{votes}, C = 3", votes, "epoch 1", "validation", "calibrating", "scoring"]
    places = [said.index(name) for name in order]
    assert places == sorted(places)
    assert all(0 <= done <= total or not total for done, total in _shares(model))
    SequenceClassifier(**SMALL).fit(ROWS, [row[0] for row in ROWS])
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")  # without a watch, nothing is printed


def _shares(model: SequenceClassifier) -> list[tuple[int, int]]:
    shares: list[tuple[int, int]] = []
    with heard_by(lambda _, done, total: shares.append((done, total))):
        model.predict(ROWS)
    assert shares
    return shares


def book(folder: Path) -> str:
    text = "".join(f"line {k} of a book that says little\n" for k in range(100))
    return str(written(folder, "book.txt", text * 2))


def texts(folder: Path) -> str:
    rows = "".join(f"{row[0]},{row}\n" for row in ROWS)
    return str(written(folder, "texts.csv", "label,text\n" + rows))


def tagged(folder: Path) -> str:
    return str(written(folder, "a.conll", "".join(f"to O\nBoston{k} B-city\n\n" for k in range(30))))


def pairs(folder: Path) -> str:
    return str(
        written(folder, "a.tsv", "".join(f"word {k}\tmot {k}\n" for k in range(60)) + "longer " * 90 + "\tlong\n")
    )


NOTED = {  # what has a note in each task
    "music": (Composer, {}, lambda _: "jsb"),
    "forecast": (Forecaster, {"target": "sold"}, lambda folder: str(written(folder, "a.csv", SERIES))),
    "language": (LanguageModel, {}, book),
    "classification": (SequenceClassifier, {"longest": 4}, texts),
    "tagging": (SequenceTagger, {"longest": 1}, tagged),
    "translation": (Translator, {"longest": 20}, pairs),
}


@pytest.mark.parametrize("task", NOTED)
def test_each_note_on_data_is_one_warning_in_python_and_one_line_in_the_shell(task, tmp_path, capsys) -> None:
    kind, settings, make = NOTED[task]
    data = make(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = kind(**SMALL, **settings).fit(data)
    notes = [warning for warning in caught if warning.category is DataWarning]
    assert [str(warning.message) for warning in notes] == list(model.data_.warnings)
    assert notes
    assert {warning.filename for warning in notes} == {__file__}
    options = [
        word for name, value in {**SMALL, **settings}.items() for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    assert main(["train", task, data, *options, "--out", str(tmp_path / "m")]) == 0
    captured = capsys.readouterr()
    said = [line for line in captured.err.splitlines() if line.startswith("note: ")]
    assert len(said) == len(set(model.data_.warnings))
    assert "note: " not in captured.out.replace("note: a baseline", "")


def test_new_data_with_notes_warn_in_evaluate(tmp_path) -> None:
    model = SequenceClassifier(**SMALL, longest=10, test_share=0).fit(ROWS, [row[0] for row in ROWS])
    with pytest.warns(DataWarning, match="cut off after 10"):
        model.evaluate(["a" * 20, *ROWS], ["a", *(row[0] for row in ROWS)])


def test_a_comparison_warns_of_its_data(tmp_path) -> None:
    with pytest.warns(DataWarning, match="'month' was left out"):
        compare.run("elnino", "rnn", folder=tmp_path, seeds=1, epochs=1, parameters=500, workers=1)


@pytest.mark.parametrize(
    "command",
    [
        "train classification bad.csv",
        "train forecast bad.csv --target z",
        "train language bad.bin",
        "compare bad.csv --target z",
        "predict none bad.csv",
    ],
)
def test_a_wrong_file_is_refused_before_torch_is_loaded(tmp_path, command) -> None:
    written(tmp_path, "bad.csv", "a,b\n1,2\n")
    (tmp_path / "bad.bin").write_bytes(bytes(range(256)) * 9)
    code = f"import sys; from tidegate.cli import main; print(main({command.split()!r}), *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "2"
    assert done.stderr.startswith("tidegate: ")
    assert not {"torch", "sklearn"} & set(modules)


def test_what_was_read_ahead_is_handed_out_once_and_to_an_equal_reader_only() -> None:
    calls = []

    def read(source: Source, by: int) -> int:
        calls.append(by)
        return len(source.raw) * by

    source = Source("memory", "a", b"abc")
    source.read_ahead(Reader(read, (2,)))
    assert source.read_by(Reader(read, (2,))) == 6
    assert calls == [2]
    assert source.read_by(Reader(read, (2,))) == 6
    source.read_ahead(Reader(read, (2,)))
    assert source.read_by(Reader(read, (3,))) == 9
    assert calls == [2, 2, 2, 3]


def lines_of(monkeypatch, act) -> list[str]:
    """What a pipe gets from a status whose clock ``act`` moves."""
    now, text = [100.0], io.StringIO()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Status(Console(file=text, width=200), speaks=True) as status:

        def wait(seconds: float) -> None:
            now[0] += seconds
            status.tick()

        act(status, wait)
    return text.getvalue().splitlines()


def test_a_silent_phase_is_said_before_ten_seconds_have_passed(monkeypatch) -> None:
    def act(status: Status, wait) -> None:
        phase("reading a.csv")
        wait(5)
        phase("baseline", 1, 3)
        wait(4)
        wait(7)
        phase("baseline", 2, 3)
        wait(1)
        phase("scoring", 250, 1000)
        wait(8)
        status.phase("epoch 1", detail=lambda: "batch 7/9")
        wait(9)

    said = ["baseline: 1 of 3, 4.0 s", "baseline: 2 of 3, 12 s", "scoring: 25 %, 8.0 s", "epoch 1: batch 7/9"]
    assert lines_of(monkeypatch, act) == ["reading a.csv", *said]


def test_a_terminal_shows_the_seconds_of_a_phase_that_says_nothing() -> None:
    text = io.StringIO()
    screen = Console(file=text, force_terminal=True, width=60, color_system=None, legacy_windows=False)
    with Status(screen):
        phase("a regression that takes long\x1b[2J")
        time.sleep(0.6)  # the clock of the thread is the real one
    drawn = text.getvalue()
    assert "\x1b[2J" not in drawn
    assert drawn.count("a regression that takes long") >= 2
    assert len(set(re.findall(r"0\.\d s", drawn))) >= 2
    assert not heard()


def test_a_quiet_process_shows_nothing() -> None:
    text = io.StringIO()
    with Status(Console(file=text, force_terminal=True, quiet=True), speaks=True) as status:
        phase("reading")
        status.print("line")
    assert text.getvalue() == ""
