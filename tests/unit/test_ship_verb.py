"""``tidegate ship`` and ``inspect``: models of every task as files, run inside their task, and what is refused."""

import json
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch

import tidegate as tg
from tests.unit.test_ship_kind import SMALL, untrained
from tidegate.cli import main
from tidegate.cli.ship import Ship
from tidegate.errors import InputError
from tidegate.ship.check.compiled import CRunner
from tidegate.ship.check.session import OnnxRunner
from tidegate.ship.said import LAYERS, WHOLE
from tidegate.ship.write import WRITERS
from tidegate.tasks import (
    ESTIMATORS,
    Composer,
    Forecaster,
    LanguageModel,
    SequenceClassifier,
    SequenceTagger,
    Transcriber,
    Translator,
)

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
COMPILER = shutil.which("gcc") or shutil.which("cc")
compiled = pytest.mark.skipif(COMPILER is None, reason="no C compiler is installed")
MODELS = {
    "classification": lambda: untrained(SequenceClassifier(**SMALL, embedding_size=5, bidirectional=False), "names"),
    "forecast": lambda: untrained(Forecaster(**SMALL, horizon=3, strategy="recursive"), "elnino"),
    "language": lambda: untrained(LanguageModel(**SMALL, embedding_size=5), "shakespeare"),
    "music": lambda: untrained(Composer(**SMALL, nade_size=4), "jsb"),
    "speech": lambda: untrained(Transcriber(**SMALL, streaming=True), "fsdd"),
    "tagging": lambda: untrained(SequenceTagger(**SMALL, embedding_size=5), "atis"),
    "translation": lambda: untrained(Translator(**SMALL, embedding_size=5), "cmudict"),
}
SCORED = ("forecast", "language", "speech")  # all are, by benchmarks/ship/tasks.py
MADE: dict[str, Path] = {}


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    monkeypatch.setattr(import_module("tidegate.ship.inspect.inspection"), "SECONDS", 0.01)


@pytest.fixture
def model(tmp_path_factory):
    """The folder of an untrained model of a task, made once."""

    def folder(task: str) -> Path:
        if task not in MADE:
            MADE[task] = tmp_path_factory.mktemp("models") / task
            MODELS[task]().save_pretrained(MADE[task])
        return MADE[task]

    return folder


def test_the_tables_name_the_same() -> None:
    assert list(tg.ship.FORMATS) == list(WRITERS) == list(get_args(get_type_hints(Ship)["to"]))
    assert set(WHOLE) == set(ESTIMATORS) == set(MODELS)
    assert set(LAYERS) < set(WHOLE)


@pytest.mark.parametrize("task", MODELS)
def test_a_model_of_each_task_from_the_shell(task, model, tmp_path, capsys) -> None:
    folder = str(model(task))
    part = ["--part", "layers"] if task == "speech" else []
    check = ["--check", "test"] if task in SCORED else []
    assert main(["ship", folder, "--to", "onnx", "--out", str(tmp_path), *check, *part]) == 0
    said = capsys.readouterr().out
    assert "self-test passed" in said
    assert ("check passed" in said) == bool(check)
    assert "native: GRU" in said
    facts = json.loads((tmp_path / f"{task}.facts.json").read_text())
    flows = tg.ship.flows(folder, part=part[1] if part else "whole")
    assert [len(own["inputs"]) for own in facts["models"].values()] == [len(flow.inputs) for flow in flows]
    for name, file in facts["files"].items():
        assert (tmp_path / name).stat().st_size == file["bytes"]
    both = any(not flow.streams for flow in flows)
    code = main(["ship", folder, "--to", "c", "--out", str(tmp_path / "c"), *part])
    said = capsys.readouterr()
    assert code == (2 if both else 0)
    assert ("reads each sequence from its end" in said.err) == both
    assert (tmp_path / "c").exists() != both
    assert any("has no steps" in text for text in facts["missing"]) == both


@compiled
@pytest.mark.parametrize("task", ["forecast", "classification"])
def test_c_answers_inside_its_task_as_the_model(task, model) -> None:
    checked = tg.ship.check(tg.ship.ship(model(task), "c"))
    assert checked.passed
    assert checked.largest <= 1e-5 * max(1.0, checked.scale)
    assert checked.after == pytest.approx(checked.before, rel=1e-5)
    assert checked.count > 100


@compiled
def test_wrong_weights_fail_the_selftest_and_the_check(model, tmp_path) -> None:
    shipped = tg.ship.ship(model("forecast"), "c", name="sea")
    body = shipped.files["sea.c"].decode()
    first = body.index("{\n    ", body.index("sea_head[")) + len("{\n    ")
    wrong = replace(
        shipped, files={**shipped.files, "sea.c": (body[:first] + "9.0f" + body[body.index(",", first) :]).encode()}
    )
    assert [one.tested.passed for one in tg.ship.inspected(wrong)] == [False]
    checked = tg.ship.check(wrong)
    assert not checked.passed
    assert checked.largest > 0.1
    other = replace(tg.ship.ship(model("forecast"), "onnx"), flows=tg.ship.ship(model("language"), "onnx").flows)
    with pytest.raises(KeyError):
        tg.ship.check(other)


@compiled
def test_marks_stay_marks_in_a_selftest() -> None:
    flows = tg.ship.flows(untrained(Translator(**SMALL, embedding_size=5, bidirectional=False), "cmudict"))
    assert [CRunner(flow, tg.ship.c(flow, flow.name)).compiled.selftest() for flow in flows] == [0, 0]


@compiled
def test_layers_in_whole_numbers_stand_beside_floats(model, tmp_path, capsys) -> None:
    words = [
        "ship",
        str(model("forecast")),
        "--to",
        "c",
        "--weights",
        "int8",
        "--out",
        str(tmp_path),
        "--check",
        "test",
    ]
    assert main([*words, "--name", "sea", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "weights of 8 bits" in said
    assert "check passed: MAE/sd at most 0.5 % worse" in said
    assert "int16_t h_l0[6];" in (tmp_path / "sea.h").read_text()
    keys = untrained(Composer(hidden_size=12, cell="lstm", nade_size=0), "jsb")  # has float sigmoids, too
    shipped = tg.ship.ship(keys, "c", weights="int8")
    plain = tg.ship.ship(keys, "c")
    assert len(shipped.files["music.c"]) < 0.6 * len(plain.files["music.c"])
    checked = tg.ship.check(shipped)
    assert 0 < checked.largest < 0.1
    assert checked.after == pytest.approx(checked.before, rel=0.005)
    with pytest.raises(InputError, match="other scales"):
        tg.ship.ship(model("translation"), "c", weights="int8")
    other = {"encoder": tg.ship.quantise(tg.nn.GRU(2, 3), torch.randn(9, 1, 2))}
    with pytest.raises(InputError, match="no layers 'encoder'"):
        tg.ship.c(plain.flows["music"], "music", weights=other)


@compiled
@pytest.mark.parametrize("kind", ["c", "onnx"])
def test_runners_keep_lengths_and_states(kind) -> None:
    layer = tg.nn.LSTM(3, 5, 2, learn_initial_state=True)
    torch.manual_seed(0)
    torch.nn.init.normal_(layer.initial_h if hasattr(layer, "initial_h") else next(layer.parameters()))
    flow = tg.ship.Flow.of(layer, torch.nn.Linear(5, 2), name="stack")
    runner = (
        CRunner(flow, tg.ship.c(flow, "stack"))
        if kind == "c"
        else OnnxRunner(flow, tg.ship.onnx(flow).SerializeToString())
    )
    x = np.random.default_rng(0).normal(size=(7, 3, 3)).astype(np.float32)
    lengths = [7, 0, 4]
    first = runner.run({"x": x}, lengths)
    second = runner.run({"x": x[:2]}, None, first.states)
    exact = flow.run({"x": x}, lengths)
    np.testing.assert_allclose(first.outputs["y"], exact.outputs["y"], atol=1e-6)
    for name, state in exact.states.items():
        np.testing.assert_allclose(first.states[name], state, atol=1e-6)
    np.testing.assert_allclose(second.outputs["y"], flow.run({"x": x[:2]}, None, exact.states).outputs["y"], atol=1e-6)


REFUSED = {
    "--to onnx --target host": "onnx has no choice of processors",
    "--to onnx --weights int8": "onnx has no weights 'int8'",
    "--to nam": "how many samples a second",
    "--to nam --sample-rate 48000": "nam has no cell|Neural Amp Modeler has no cell",
    "--to c --sample-rate 48000": "no sample rate",
    "--to c --calibrate elnino": "has no effect",
    "--to rtneural --part layers": "holds the network alone",
    "--to c --name 1st": "cannot name files",
    "--to c --part layers": "no part 'layers'",
    "--to rtneural --check test": "run by other programs",
    "--to rtneural --weights int8": "rtneural has no weights",
    "--to c --node lstm": "is no file",
    "--to c --check nothing.csv": "nothing.csv",
    "--to keras": "invalid choice|Cannot find|keras",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_makes_no_sense_is_refused_by_name(words, model, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    try:
        code = main(["ship", str(model("forecast")), *words.split(), "--out", str(out)])
    except SystemExit as ended:
        code = ended.code
    printed = capsys.readouterr()
    assert code == 2
    assert any(text in printed.err + printed.out for text in REFUSED[words].split("|"))


def test_what_can_be_done_is_said_in_words_of_the_shell(model, tmp_path, capsys) -> None:
    assert main(["ship", str(model("tagging")), "--to", "c", "--out", str(tmp_path)]) == 2
    assert "train with --no-bidirectional" in capsys.readouterr().err


def test_whole_numbers_without_data_ask_for_some(model, monkeypatch) -> None:
    def tested(*_):
        raise InputError("DATA", "there are none", fix="pass data")

    monkeypatch.setattr(Forecaster, "tested", tested)
    with pytest.raises(InputError, match="there are none — name such data with calibrate="):
        tg.ship.ship(model("forecast"), "c", weights="int8")


def test_files_are_not_replaced_silently(model, tmp_path, capsys) -> None:
    words = ["ship", str(model("language")), "--to", "safetensors", "--out", str(tmp_path)]
    assert main(words) == 0
    (tmp_path / "language.safetensors").write_text("mine")
    assert main(words) == 2
    assert "replace them with --overwrite" in capsys.readouterr().err
    assert (tmp_path / "language.safetensors").read_text() == "mine"
    assert main([*words, "--overwrite"]) == 0
    assert (tmp_path / "language.safetensors").read_bytes()[8:9] == b"{"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["language.facts.json", "language.safetensors"]


def test_networks_for_plugins_and_from_one_plugin_to_another(tmp_path) -> None:
    lstm, head = tg.nn.LSTM(1, 8), torch.nn.Linear(8, 1)
    (tmp_path / "amp.nam").write_text(tg.ship.nam(lstm, head, 48000.0))
    assert main(["ship", str(tmp_path / "amp.nam"), "--to", "rtneural", "--out", str(tmp_path / "out")]) == 0
    (found,) = tg.convert.read(tmp_path / "out" / "amp.json")
    x = torch.randn(9, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(found.layer()(x)[0], lstm(x)[0])
    np.testing.assert_array_equal(found.head["weight"], head.weight.detach().numpy())
    shipped = tg.ship.ship(found, "c", name="amp")
    assert list(shipped.files) == ["amp.h", "amp.c", "amp.facts.json"]
    with pytest.raises(InputError, match="bare layers"):
        tg.ship.check(shipped)
    model = untrained(Composer(hidden_size=8, cell="gru", nade_size=0), "jsb")
    assert tg.ship.ship(model, "dnnw", weights="int8").files["music.bin"][:4] == b"DNNw"
    with pytest.raises(InputError, match="NADE"):
        tg.ship.ship(untrained(Composer(**SMALL, nade_size=3), "jsb"), "rtneural")


def test_inspect_says_what_a_file_is(model, tmp_path, capsys) -> None:
    tg.ship.ship(model("forecast"), "onnx", tmp_path, name="sea")
    tg.ship.ship(model("forecast"), "c", tmp_path / "c", name="sea")
    tg.ship.ship(model("forecast"), "rtneural", tmp_path / "r", name="sea")
    found = tg.ship.inspect(tmp_path / "sea.onnx")
    weights = sum(
        p.numel() for name, p in tg.tasks.from_pretrained(model("forecast")).model_.named_parameters() if p.dim() == 2
    )
    assert found.multiplies >= weights
    assert found.tested is not None
    assert found.tested.passed
    assert ("layer_h", "[batch_or_1, 1, 6]") in [(name.removeprefix("state."), shape) for name, shape in found.states]
    assert dict(found.facts)["task"] == "forecast"
    source = tg.ship.inspect(tmp_path / "c" / "sea.h")
    assert source.multiplies == found.multiplies
    assert source.latency is None
    assert "run_c=True" in source.tested.says
    assert tg.ship.inspect(tmp_path / "r" / "sea.json").layers == ("lstm",) or "GRU 2 -> 6" in str(
        tg.ship.inspect(tmp_path / "r" / "sea.json")
    )
    assert main(["inspect", str(tmp_path / "sea.onnx")]) == 0
    assert "multiplications of weights" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("no.onnx", None),
        ("a.onnx", b""),
        ("a.onnx", b"\x08\x09" * 40),
        ("a.c", b"int main(void) { return 0; }"),
        ("a.nam", b"{"),
        ("a.json", b"[1, 2]"),
        ("a.safetensors", b"\xff" * 64),
        ("a.bin", b"DNNw" + b"\xff" * 20),
        ("a.txt", b"hello"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damaged_files_get_one_clear_error(name, content, tmp_path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    if name == "a.c":
        (tmp_path / "a.h").write_bytes(content)
    with pytest.raises(InputError, match=name):
        tg.ship.inspect(tmp_path / name)
