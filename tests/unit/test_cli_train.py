"""``tidegate train``: its options, what it says while it runs, and what becomes of a training that is stopped."""

import gzip
import io
import re
import signal

import pytest
from rich.console import Console

from tests.unit.process import start
from tidegate.cli import main, training
from tidegate.cli.console import console
from tidegate.cli.score import of_test, print_scores
from tidegate.cli.train import SETTINGS
from tidegate.cli.training import TrainingProgress
from tidegate.data import locate
from tidegate.records import DataRecord, EpochRecord, ScoreRecord, StepRecord
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.music.setting import MusicSetting
from tidegate.train.setting import PRIVACY, names
from tidegate.train.toml import from_toml, to_toml

QUICK = ["--hidden-size", "4", "--epochs", "1"]


def fails(capsys, *arguments: str) -> str:
    """Run a command that must fail on its input; returns the one line that says why, after notes on the data."""
    assert main(["train", *arguments]) == 2
    captured = capsys.readouterr()
    *notes, line = captured.err.splitlines()
    assert all(note.startswith("note: ") for note in notes)
    assert line.startswith("tidegate: ")
    return line


def printed(capsys, *arguments: str) -> str:
    assert main(["train", *arguments, "--print-config"]) == 0
    return capsys.readouterr().out


class TestOptions:
    def test_no_task(self, capsys) -> None:
        assert "tidegate train TASK DATA; tasks: " in fails(capsys)

    @pytest.mark.parametrize(("task", "says"), [("lnguage", "did you mean 'language'"), ("jsb", "no task 'jsb'")])
    def test_an_unknown_task(self, capsys, task, says) -> None:
        assert says in fails(capsys, task, "x.txt")

    def test_options_before_the_task(self, capsys) -> None:
        assert "tidegate train TASK DATA" in fails(capsys, "--out", "x", "music", "jsb")

    @pytest.mark.parametrize("task", SETTINGS)
    def test_no_data(self, capsys, task) -> None:
        assert f"train {task} needs DATA" in fails(capsys, task)

    def test_an_unknown_option_is_answered_with_the_nearest_once(self, capsys) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["train", "music", "jsb", "--hiden-size", "3"])
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert error.count("--hidden-size") == 1
        assert "forecast" not in error

    @pytest.mark.parametrize(
        ("option", "value", "wanted"),
        [("epochs", "1.5", "a whole number"), ("zoneout", "0,5", "a number"), ("chrono", "x", "a number")],
    )
    def test_what_is_no_number_is_refused_in_plain_words(self, capsys, option, value, wanted) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["train", "music", "jsb", f"--{option}", value])
        assert ended.value.code == 2
        assert f"--{option}: expected {wanted}, got '{value}'" in capsys.readouterr().err

    @pytest.mark.parametrize("task", SETTINGS)
    def test_help_has_every_setting_the_tasks_own_first(self, capsys, task) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["train", task, "--help"])
        assert not ended.value.code
        text = capsys.readouterr().out
        usual = [name for name in names(SETTINGS[task]) if name not in PRIVACY]
        flags = [f"--{name.replace('_', '-')}" for name in (*usual, *PRIVACY)]  # those of privacy have their own part
        places = [re.search(rf"^\W* {flag}[ ,]", text, re.MULTILINE).start() for flag in flags]
        assert places == sorted(places)
        assert "NUMBER" in text
        assert not re.search(r"\b(INT|FLOAT|STR|None)\b", text)

    def test_help_lists_the_tasks(self, capsys) -> None:
        with pytest.raises(SystemExit):
            main(["train", "--help"])
        text = capsys.readouterr().out
        assert all(f"• {task}" in text for task in SETTINGS)

    @pytest.mark.parametrize("task", SETTINGS)
    def test_what_is_printed_is_a_configuration(self, capsys, task) -> None:
        kind = SETTINGS[task]
        assert from_toml(printed(capsys, task), kind) == kind()
        given = printed(capsys, task, "any.data", "--cell", "gru", "--hidden_size=7", "--layer-norm")
        assert from_toml(given, kind) == kind(cell="gru", hidden_size=7, layer_norm=True)


class TestConfig:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "my settings =é.toml"
        path.write_text(to_toml(MusicSetting(cell="gru", hidden_size=9, layer_norm=True, schedule="cosine", clip=2.5)))
        return path

    @pytest.mark.parametrize("form", ["two", "one"])
    def test_a_file_stands_for_its_options(self, capsys, file, form) -> None:
        given = ["--config", str(file)] if form == "two" else [f"--config={file}"]
        assert printed(capsys, "music", "jsb", *given) == file.read_text()

    @pytest.mark.parametrize(
        ("given", "change"),
        [
            (["--hidden-size", "3"], {"hidden_size": 3}),
            (["--hidden_size", "3"], {"hidden_size": 3}),
            (["--hidden-size=3", "--cell=mgu"], {"hidden_size": 3, "cell": "mgu"}),
            (["--no-layer-norm"], {"layer_norm": False}),
            (["--no_layer_norm"], {"layer_norm": False}),
            (["--layer-norm"], {}),
            (["--clip", "1.0"], {"clip": 1.0}),  # the default, said aloud
            (["--schedule", "plateau"], {"schedule": "plateau"}),
        ],
    )
    @pytest.mark.parametrize("first", [True, False])
    def test_options_stand_above_it_on_either_side(self, capsys, file, given, change, first) -> None:
        config = ["--config", str(file)]
        arguments = [*given, *config] if first else [*config, *given]
        found = from_toml(printed(capsys, "music", *arguments, "jsb"), MusicSetting)
        expected = {"cell": "gru", "hidden_size": 9, "layer_norm": True, "schedule": "cosine", "clip": 2.5, **change}
        assert found == MusicSetting(**expected)

    def test_none_stays_none_unless_given(self, capsys, tmp_path) -> None:
        path = tmp_path / "f.toml"
        path.write_text("epochs = 2\n")
        assert from_toml(printed(capsys, "forecast", "--config", str(path)), ForecastSetting).target is None
        path.write_text('target = "two words"\n')
        assert from_toml(printed(capsys, "forecast", "--config", str(path)), ForecastSetting).target == "two words"
        given = printed(capsys, "forecast", "--config", str(path), "--target=-odd")
        assert from_toml(given, ForecastSetting).target == "-odd"

    def test_a_file_of_another_task(self, capsys, file) -> None:
        assert "'music', expected 'language'" in fails(capsys, "language", "shakespeare", "--config", str(file))


class TestFolder:
    def test_a_finished_model_is_not_trained_again(self, capsys, tmp_path) -> None:
        command = ["train", "music", "jsb", *QUICK, "--out", str(tmp_path / "m")]
        assert main(command) == 0
        first = capsys.readouterr().out
        weights = (tmp_path / "m" / "model.safetensors").stat().st_mtime_ns
        assert main(command) == 0
        second = capsys.readouterr().out
        assert "epoch 1: loss" in first
        assert "epoch 1" not in second
        assert "this model was already trained" in second
        assert [line for line in first.splitlines() if "NLL (" in line] == [
            line for line in second.splitlines() if "NLL (" in line
        ]
        assert (tmp_path / "m" / "model.safetensors").stat().st_mtime_ns == weights
        line = fails(capsys, "music", "jsb", *QUICK, "--seed", "1", "--out", str(tmp_path / "m"))
        assert "--seed 0 instead of 1" in line
        assert main(["evaluate", str(tmp_path / "m")]) == 0
        assert "NLL" in capsys.readouterr().out

    def test_models_go_where_their_names_say(self, tmp_path, monkeypatch, capsys) -> None:
        monkeypatch.chdir(tmp_path)
        assert main(["train", "music", "jsb", *QUICK]) == 0
        assert "model: tidegate-models/jsb" in capsys.readouterr().out
        assert (tmp_path / "tidegate-models" / "jsb" / "model.json").exists()


class TestProgress:
    DATA = DataRecord("a.txt", "0", "prose", "", "in order", ("odd",))

    @pytest.fixture
    def clock(self, monkeypatch):
        now = [100.0]
        monkeypatch.setattr(training.time, "monotonic", lambda: now[0])
        return now

    def epoch(self, progress: TrainingProgress, clock: list[float], number: int, first: int = 1) -> None:
        """Forty steps of 3 s and 500 characters each; the very first takes a minute longer, as one that compiles."""
        for step in range(first, 41):
            clock[0] += 63.0 if step == first else 3.0
            progress.watch.on_step(StepRecord(number, step, 40, 2.0, 0.1, 500, 3.0, step))
        progress.watch.on_epoch(EpochRecord(number, 2.0, 2.5, 0.1, 8e-3, 130.0))

    def lines(self, clock, first: int = 1) -> list[str]:
        text = io.StringIO()
        with TrainingProgress(Console(file=text, width=200), LanguageSetting(epochs=3)) as progress:
            progress.phase("reading a.txt")
            progress.watch.on_data(self.DATA)
            self.epoch(progress, clock, 1, first)
        return text.getvalue().splitlines()

    def test_a_pipe_gets_a_line_before_ten_seconds_are_silent(self, clock) -> None:
        first, data, split, *steps, epoch = self.lines(clock)
        assert first == "reading a.txt"
        assert data == "language: a.txt, prose"
        assert split == "split in order"
        places = [int(re.search(r"batch (\d+)/40", line)[1]) for line in steps]
        assert places == list(range(1, 41, 3))  # 9 s apart
        assert steps[1] == "epoch 1: batch 4/40, loss 2, 167 symbols/s, 2 min left in this epoch"
        assert steps[-1].endswith("0.0 s left in this epoch")
        assert epoch == (
            "epoch 1: loss 2, validation bits per character 2.5, gradient 0.1, rate 0.008, 2 min; "
            "at most 2 more epochs, about 4 min"
        )

    def test_a_training_that_goes_on_says_where(self, clock) -> None:
        lines = self.lines(clock, first=31)
        assert lines[3] == "resuming at epoch 1, batch 31"
        assert "batch 34/40, loss 2, 167 symbols/s, 18 s left in this epoch" in lines[4]

    def test_a_terminal_gets_a_bar(self, clock) -> None:
        text = io.StringIO()
        screen = Console(file=text, force_terminal=True, width=140, color_system=None, legacy_windows=False)
        with TrainingProgress(screen, LanguageSetting(epochs=3)) as progress:
            self.epoch(progress, clock, 1)
        drawn = text.getvalue()
        assert "━" in drawn
        assert "batch 20/40, loss 2, 167 symbols/s, 60 s left in this epoch" in drawn
        assert "at most 2 more epochs, about 4 min" in drawn


class TestStopping:
    OPTIONS = ("--hidden-size", "24", "--epochs", "2", "--dropout", "0.2")

    def test_killed_and_interrupted_it_ends_with_the_same_bytes(self, tmp_path) -> None:
        book = tmp_path / "book.txt"
        book.write_bytes(locate("bundled:shakespeare").raw[:60_000])
        whole, command = (
            ["train", "language", str(book), *self.OPTIONS, "--out", str(tmp_path / name)] for name in ("whole", "cut")
        )
        whole = start(whole, tmp_path / "whole.out")
        ends = ((signal.SIGKILL, -9, 1), (signal.SIGKILL, -9, 1), (signal.SIGINT, 130, 20))  # Ctrl-C, many times
        for after, (sign, code, times) in enumerate(ends):
            process = start(command, tmp_path / "cut.out", signal=sign, after=1 + 25 * after, times=times)
            process.join(200)
            assert process.exitcode == code
        said = (tmp_path / "cut.err").read_text().split("\n")
        assert said == ["", "interrupted; the same command resumes from here", ""]
        last = start(command, tmp_path / "cut.out")
        for process in (whole, last):
            process.join(200)
            assert process.exitcode == 0
        assert "resuming at epoch" in (tmp_path / "cut.out").read_text()
        weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut")]
        assert weights[0] == weights[1]


LEVEL = ScoreRecord("accuracy", 0.5, "", "higher", {"a": 0.4, "b": 0.5})
WORSE = ScoreRecord("NLL", 0.5, "", "lower", {"a": 0.4, "b": 0.3})
WORSE_TOO = ScoreRecord("F1", 0.5, "", "higher", {"a": 0.6, "b": 0.3})


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ([LEVEL, WORSE], ["note: a baseline beats the model in NLL (b 0.3, model 0.5)"]),
        ([WORSE, WORSE_TOO], ["note: a baseline beats the model in NLL (b 0.3, model 0.5); F1 (a 0.6, model 0.5)"]),
        ([LEVEL], []),
        ([ScoreRecord("coverage", 0.5, "", "0.8", {"a": 0.8})], []),
        ([ScoreRecord("NLL", 0.5)], []),
    ],
)
def test_a_model_worse_than_a_baseline_says_so(capsys, scores, says) -> None:
    print_scores(console(), scores, "data")
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")] == says


WIDE = [ScoreRecord(f"score {k}", 0.5, "unit", "lower", {f"baseline {j}": 0.25 for j in range(9)}) for k in range(9)]


@pytest.mark.parametrize("width", [300, 120, 80, 40])
def test_no_score_is_cut_off_by_a_narrow_terminal(width) -> None:
    text = io.StringIO()
    print_scores(Console(file=text, width=width, force_terminal=True, color_system=None), WIDE, "a.csv.gz")
    lines = text.getvalue().splitlines()
    assert "scores on a.csv.gz" in lines
    assert max(map(len, lines[:-1])) <= width  # the note about baselines is one line, whatever its length
    assert sum(line.count("0.25") for line in lines[:-1]) == 81
    assert "…" not in text.getvalue()


@pytest.mark.parametrize(("test", "says"), [("", "the test part of a.csv"), ("b.csv.gz", "b.csv.gz")])
def test_scores_name_the_file_that_they_were_computed_on(test, says) -> None:
    assert of_test(DataRecord("a.csv", "0", "", "", "", (), test)) == says


def test_compressed_files_and_files_in_folders_are_named_as_they_are(tmp_path, capsys) -> None:
    (tmp_path / "in").mkdir()
    rows = "".join(f"{'ab'[k % 2]},{'ab'[k % 2] * 9} {k}\n" for k in range(60))
    (tmp_path / "in" / "train.csv.gz").write_bytes(gzip.compress(b"label,text\n" + rows.encode()))
    (tmp_path / "held.csv").write_text("label,text\n" + rows)
    command = ["train", "classification", str(tmp_path / "in" / "train.csv.gz"), *QUICK]
    assert main([*command, "--test", str(tmp_path / "held.csv"), "--out", str(tmp_path / "m")]) == 0
    printed = capsys.readouterr().out
    assert "classification: train.csv.gz, " in printed
    assert "\nscores on held.csv" in printed
    assert main(["evaluate", str(tmp_path / "m")]) == 0
    assert "\nscores on held.csv" in capsys.readouterr().out
