"""What a stranger's file names can do to a terminal and to a spreadsheet: nothing; and what ends a command."""

import csv
import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tests.unit.report_record import comparison
from tidegate import report
from tidegate.__main__ import run
from tidegate.cli import forecast, main, transcribe
from tidegate.cli.console import Screen, console, print_line, print_note, say, shown, table, warnings_as_notes
from tidegate.cli.interrupt import interruptible
from tidegate.cli.predict import Predict, _write
from tidegate.errors import InputError, TidegateWarning, visible
from tidegate.plain import from_csv, guarded, read_json, to_csv
from tidegate.tasks import Composer
from tidegate.tasks.classification.estimator import _answer

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b2J\r\x08\u202egnp.exe\u2066\u2028\ud800\n\tend"
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def terminal() -> tuple[Screen, io.StringIO]:
    """A screen that takes itself for a terminal, and what it has printed."""
    text = io.StringIO()
    return Screen(file=text, force_terminal=True, color_system="standard", width=300, highlight=False), text


@pytest.mark.parametrize(
    "show",
    [
        lambda screen: print_line(screen, HOSTILE),
        lambda screen: print_note(screen, HOSTILE),
        lambda screen: screen.print(HOSTILE),
        lambda screen: screen.print(f"[bold]{shown(HOSTILE)}[/]"),
        lambda screen: screen.print(HOSTILE, markup=False, style="bold"),
        lambda screen: screen.print(table(shown(HOSTILE), title=HOSTILE)),
        lambda screen: screen.print(Console().render_str(HOSTILE)),
    ],
)
def test_no_way_of_printing_obeys_a_name(show) -> None:
    screen, text = terminal()
    show(screen)
    printed = re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue())  # our own colours
    assert not RAW.search(printed), printed
    assert "gnp.exe" in printed
    assert r"\x1b" in printed


@pytest.mark.parametrize("name", [HOSTILE, "a\x00b", "\x85", "\u2067x"])
def test_a_name_is_one_line(name, capsys) -> None:
    screen, text = terminal()
    for act in (lambda: print_line(screen, name), lambda: say(name)):
        act()
    assert len(text.getvalue().splitlines()) == 1
    error = capsys.readouterr().err
    assert error.splitlines() == [visible(name)]
    assert visible(name).isprintable()


def test_a_word_without_end_is_shortened_in_errors() -> None:
    error = InputError("A", f"the series {'Hu1' + '0' * 5000!r} is odd", fix=f"rename {'b' * 400}")
    assert len(str(error)) < 250
    assert "'Hu100" in str(error)
    assert "000' is odd" in str(error)
    assert str(InputError("A", "b" * 299)) == "b" * 299


def test_names_of_people_stay_as_they_are() -> None:
    for name in ("naïve", "日本語", "עברית", "عربى", "🙂", "a [b] c", "C:\\x1b"):
        assert visible(name) == name


def test_a_warning_is_one_line(capsys) -> None:
    with warnings_as_notes(speaks=True):
        warnings.simplefilter("always")
        warnings.warn(HOSTILE, TidegateWarning, stacklevel=1)
    assert capsys.readouterr().err == f"note: {visible(HOSTILE)}\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "m"
    Composer(hidden_size=4, epochs=1).fit("jsb", folder=folder)
    return folder


def changed(model: Path, folder: Path, change) -> Path:
    """A copy of the model with another card."""
    shutil.copytree(model, folder)
    card = json.loads((folder / "model.json").read_text())
    change(card)
    (folder / "model.json").write_text(json.dumps(card))
    return folder


NAMED = HOSTILE.replace("\ud800", "")
CHANGES = {
    "score": lambda card: card["scores"][0].update(name=NAMED, unit=NAMED, better=NAMED),
    "baseline": lambda card: card["scores"][0].update(baselines={NAMED: 1e-9}, better="lower"),
    "data": lambda card: card["data"].update(name=NAMED),
    "format": lambda card: card.update(format=NAMED),
    "task": lambda card: card.update(task=NAMED),
    "key": lambda card: card["encoding"].update({NAMED: 1}),
    "value": lambda card: card["encoding"].update(openings=NAMED),
    "cell": lambda card: card["cell"].update(name=NAMED),
    "surrogate": lambda card: card["data"].update(name=HOSTILE),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_of_a_stranger_does_not_reach_the_terminal(model, tmp_path, capsys, change) -> None:
    folder = changed(model, tmp_path / "m", CHANGES[change])
    code = main(["evaluate", str(folder)])
    out, error = capsys.readouterr()
    assert not RAW.search(out + error)
    assert code == (0 if change in ("score", "baseline", "data") else 2), error
    assert len(error.splitlines()) <= 1
    if change != "surrogate":
        assert r"\x1b" in out + error


def test_a_folder_and_a_file_with_a_hostile_name(model, tmp_path, capsys) -> None:
    name = "a\nb\x1b[2J"
    shutil.copytree(model, tmp_path / name)
    assert main(["evaluate", str(tmp_path / name)]) == 0
    assert main(["evaluate", str(tmp_path / name / "none")]) == 2
    (tmp_path / f"{name}.txt").write_text("x")
    assert main(["train", "tagging", str(tmp_path / f"{name}.txt"), "--out", str(tmp_path / "o")]) == 2
    assert main(["train", "language", str(tmp_path / f"{name}.txt"), "--out", str(tmp_path / "o")]) == 2
    out, error = capsys.readouterr()
    assert not RAW.search(out + error)
    assert error.count("tidegate: ") == len(error.splitlines()) == 3
    assert "is a text of" not in error


CLASSES = ["=HYPERLINK(1)", HOSTILE.replace("\ud800", ""), "-1", "@x"]


def test_predictions_are_harmless(tmp_path, monkeypatch, capsys) -> None:
    answers = [_answer("=1+1", None, np.array(row), CLASSES) for row in np.eye(4)]
    _write(answers, tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_bytes().decode()
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert all(name.isprintable() for name in header)
    assert [row[0] for row in rows] == ["'=1+1"] * 4
    assert [row[1] for row in rows] == ["'=HYPERLINK(1)", CLASSES[1], "-1", "'@x"]
    assert [row["label"] for row in from_csv(text)] == CLASSES
    _write(answers, tmp_path / "a.jsonl")
    lines = (tmp_path / "a.jsonl").read_bytes().decode().split("\n")[:-1]
    assert [json.loads(line)["label"] for line in lines] == CLASSES

    class Model:
        def answers(self, _):
            return answers

    monkeypatch.setattr("tidegate.tasks.from_pretrained", lambda _: Model())
    monkeypatch.setattr("tidegate.cli.predict.check_model", lambda *_: None)
    Predict(tmp_path, text=("x",)).run()
    assert not RAW.search(capsys.readouterr().out.replace("\t", ""))


@pytest.mark.parametrize("cell", ["=a", "+a", "-a", "@a", "\ta", "\ra", "'=a", "''=a", "=1", "+1+1", "-", "=", "-\n1"])
def test_a_formula_is_guarded_and_comes_back(cell) -> None:
    assert guarded(cell)[0] == "'"
    assert from_csv(to_csv(["=a", "b"], [["c", cell]])) == [{"=a": "c", "b": cell}]


@pytest.mark.parametrize("cell", ["", "a", "'a", "it's", "-1", "+1.5", "-1e-3", "-inf", 3, -2.5, None, "a=b", " =a"])
def test_other_cells_stay_as_they_are(cell) -> None:
    assert guarded(cell) == cell


def test_runs_come_back_as_they_were(tmp_path) -> None:
    names = {"RNN": "=cmd|' /C calc'!A0", "GRU": "+1", "LSTM": "'@a"}
    runs = tuple(replace(run, cell=names.get(run.cell, run.cell)) for run in comparison().runs)
    report.write_runs_csv(runs, tmp_path / "runs.csv")
    text = (tmp_path / "runs.csv").read_text(encoding="utf-8")
    assert not re.search(r"(?m)(^|,)[=@]", text)
    rows = from_csv(text)
    assert {row["cell"] for row in rows} == {run.cell for run in runs}
    assert float(rows[0]["learning_rate"]) == runs[0].learning_rate


def test_forecasts_and_transcripts_are_harmless() -> None:
    times = pd.to_datetime(["2026-01-01", "2026-01-02"])
    frame = pd.DataFrame({"=s": ["=a", "b"], "day": times, "step": [1, 2], "forecast": [-0.5, 0.1]})
    assert (
        forecast.in_file(frame, Path("a.csv")) == "'=s,day,step,forecast\n'=a,2026-01-01,1,-0.5\nb,2026-01-02,2,0.1\n"
    )
    spoken = transcribe._csv([type("T", (), {"name": "=a.wav", "text": "@b", "log_probability": -1.0, "others": ()})])
    assert spoken.splitlines()[1] == "'=a.wav,1,'@b,-1"


@pytest.mark.parametrize("raw", [b'"\\ud800"', b'{"a\\uDFFF": 1}', b'["\\udc00\\ud800"]'])
def test_half_of_a_surrogate_pair_is_refused(raw) -> None:
    with pytest.raises(InputError, match="half of a surrogate pair"):
        read_json(raw)
    assert read_json(b'"\\ud83d\\ude42 \\\\ud800"') == "🙂 \\ud800"


# --- what ends a command ---


def test_a_full_disk_names_the_file_and_ends_with_2(tmp_path, capsys, monkeypatch) -> None:
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert main(["train", "music", "jsb", "--hidden-size", "4", "--epochs", "1", "--out", str(tmp_path / "m")]) == 2
    error = capsys.readouterr().err.splitlines(keepends=True)[-1]  # after notes on the data
    assert re.fullmatch(r"tidegate: the disk is full: \S+/m/\S+ needs [\d,]+ bytes, and [\d,]+ are free — .+\n", error)


def test_a_system_error_names_its_file(capsys, monkeypatch) -> None:
    for number, code in ((errno.ENOSPC, 2), (errno.EIO, 1)):
        error = OSError(number, os.strerror(number), "/x/file")
        monkeypatch.setattr("tidegate.cli.cells.load_spec", lambda *_, error=error: (_ for _ in ()).throw(error))
        assert main(["cells", "lstm"]) == code
        assert capsys.readouterr().err == f"tidegate: /x/file: {os.strerror(number)}\n"


def press(times: int = 1) -> None:
    """Ctrl-C."""
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.001)  # Python handles it here


@pytest.fixture
def handler():
    """The handler of the tests, which comes back after them."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a run in the background of a script lacks
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_many_times_is_one_interruption(handler) -> None:
    done = []

    def interrupted() -> None:
        with interruptible(last=False):
            try:
                press()
                done.append("went on")
            finally:
                press(5)
                done.append("ended")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == ["ended"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_interruption_that_was_lost_can_be_repeated(handler, monkeypatch) -> None:
    monkeypatch.setattr("tidegate.cli.interrupt.PATIENCE", 0.0)
    with interruptible(last=False):
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                press()


def test_in_the_background_of_a_script_it_stays_ignored(handler) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interruptible(last=True):
        press(3)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_ctrl_c_while_the_command_line_is_loaded(monkeypatch) -> None:
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tidegate.cli.main", interrupt)
    assert run() == 130


@pytest.mark.parametrize("last", [True, False])
def test_a_process_that_ends_ignores_further_signals(handler, last) -> None:
    def interrupted() -> None:
        with interruptible(last=last):
            press()

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert signal.getsignal(signal.SIGINT) is (signal.SIG_IGN if last else handler)


def test_plain_output_is_a_screen_too(capsys) -> None:
    console().print(HOSTILE)
    assert not RAW.search(capsys.readouterr().out)


def test_where_nobody_reads_on_it_ends_in_silence() -> None:
    command = [sys.executable, "-m", "tidegate", "train", "music", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # as head does
        assert process.stderr.read() == b""
    assert process.returncode == 1
