"""Estimators: as scikit-learn has them, and folders that come back exactly or say what is wrong with them."""

import dataclasses
import hashlib
import inspect
import json
import os
import pickle
import pydoc
import random
import re
import shutil
from pathlib import Path

import pytest
import torch
from benchmarks import check_saving
from safetensors.torch import load_file, save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from tidegate import zoo
from tidegate.cell import Cell, sigmoid, tanh
from tidegate.errors import InputError
from tidegate.records import EpochRecord
from tidegate.tasks import ESTIMATORS, Composer, Forecaster, LanguageModel, from_pretrained
from tidegate.tasks.music.task import MusicTask
from tidegate.train import card as train_card
from tidegate.train import loop
from tidegate.train.log import Log
from tidegate.train.setting import names
from tidegate.train.watch import Watch

SMALL = {"hidden_size": 4, "epochs": 1}
FILES = ["config.toml", "model.json", "model.safetensors"]


class Own(Cell):
    gates = "z n"

    def step(self, x, h, U):
        z = sigmoid(x.z + U(h).z)
        n = tanh(x.n + U(z * h).n)
        return (1 - z) * h + z * n


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> tuple[Composer, Path]:
    folder = tmp_path_factory.mktemp("model") / "m"
    return Composer(**SMALL).fit("jsb", folder=folder), folder


@pytest.fixture
def folder(fitted, tmp_path) -> Path:
    """A copy that may be damaged."""
    shutil.copytree(fitted[1], tmp_path / "m")
    return tmp_path / "m"


def answer(model: Composer) -> torch.Tensor:
    inputs = (torch.rand(7, 2, 88, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    batch = next(iter(MusicTask(_jsb()).batches("test")))
    with torch.no_grad():
        return model.model_(dataclasses.replace(batch, inputs=inputs, targets=inputs, lengths=None))[0]


def _jsb():
    from tidegate.data import locate

    return locate("bundled:jsb")


def sign(folder: Path) -> None:
    """Make model.json vouch for what lies there now, as somebody could who means harm."""
    card = json.loads((folder / "model.json").read_text())
    card["sha256"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in card["sha256"]}
    (folder / "model.json").write_text(json.dumps(card))


def refused(folder: Path, *says: str) -> None:
    with pytest.raises(InputError) as error:
        from_pretrained(folder)
    line = str(error.value)
    assert len(line.splitlines()) == 1
    assert len(line) < 600
    assert all(part in line for part in says), line


@pytest.mark.parametrize("kind", [row.estimator for row in ESTIMATORS.values()], ids=ESTIMATORS)
def test_parameters_are_the_settings(kind) -> None:
    made = kind(hidden_size=7)
    assert set(made.get_params()) == {field.name for field in dataclasses.fields(kind._task_class.setting_type)}
    assert made.set_params(cell="gru", layers=2) is made
    copy = clone(made)
    assert copy is not made
    assert copy.get_params() == made.get_params()
    assert (copy.hidden_size, copy.cell, copy.layers) == (7, "gru", 2)
    assert copy._setting() == made._setting()
    with pytest.raises(ValueError, match="hiden_size"):
        made.set_params(hiden_size=3)


def test_what_is_not_fitted_says_so() -> None:
    with pytest.raises(InputError, match="call fit first"):
        Composer().evaluate()
    with pytest.raises(InputError, match="call fit first"):
        Composer().save_pretrained("/nowhere")


@pytest.mark.parametrize("kind", [row.estimator for row in ESTIMATORS.values()], ids=ESTIMATORS)
def test_what_is_not_fitted_can_be_asked_for_its_attributes(kind) -> None:
    made = kind()
    assert {name: getattr(made, name) for name in dir(made)}  # none of them raises
    assert not hasattr(made, "classes_")
    assert not hasattr(made, "model_")
    with pytest.raises(NotFittedError) as error:
        made.evaluate()
    assert isinstance(error.value, InputError)


@pytest.mark.parametrize("kind", [row.estimator for row in ESTIMATORS.values()], ids=ESTIMATORS)
def test_every_setting_is_in_the_signature_and_in_help(kind) -> None:
    settings = names(kind._task_class.setting_type)
    assert set(inspect.signature(kind).parameters) == set(settings)
    text = pydoc.plain(pydoc.render_doc(kind))
    assert [name for name in settings if not re.search(rf"^ \|\s+{name}: \w", text, re.MULTILINE)] == []
    assert [name for name in dir(kind()) if name.isupper()] == []
    assert not {"names", "own_names", "check", "marks", "kind"} & set(dir(kind()))


def test_settings_are_checked_before_the_data_are_read() -> None:
    with pytest.raises(InputError, match="hidden_size=0 is out of range"):
        Composer(hidden_size=0).fit("/nowhere/a.json")
    with pytest.raises(InputError, match="did you mean 'lstm'"):
        Composer(cell="lstn").fit("/nowhere/a.json")
    with pytest.raises(InputError, match="there is no file"):
        Composer().fit("/nowhere/a.json")


def test_a_caller_in_python_gets_pythons_words() -> None:
    with pytest.raises(InputError) as error:
        Forecaster(horizon=0).fit("elnino")
    assert "horizon=0" in str(error.value)
    assert "--" not in str(error.value)
    with pytest.raises(InputError, match=r"El Niño.* no column 'nosuch'"):
        Forecaster(target="nosuch").fit("elnino")


def test_a_model_comes_back_exactly_and_leaves_the_random_state(fitted) -> None:
    model, folder = fitted
    state = torch.get_rng_state()
    back = from_pretrained(folder)
    assert torch.equal(torch.get_rng_state(), state)
    assert type(back) is Composer
    assert torch.equal(answer(back), answer(model))
    assert back.get_params() == model.get_params()
    assert (back.scores_, back.curve_, back.data_) == (model.scores_, model.curve_, model.data_)
    assert back.evaluate() == model.scores_
    assert not back.model_.training


def test_what_comes_back_is_saved_as_the_same_bytes(fitted, tmp_path) -> None:
    from_pretrained(fitted[1]).save_pretrained(tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (fitted[1] / name).read_bytes()


def test_float64_goes_through(tmp_path) -> None:
    model = Composer(**SMALL, precision="float64").fit("jsb", folder=tmp_path)
    back = Composer.from_pretrained(tmp_path)
    assert all(tensor.dtype == torch.float64 for tensor in back.model_.state_dict().values())
    assert answer(back).dtype == torch.float64
    assert torch.equal(answer(back), answer(model))
    assert back.evaluate("jsb")[0].value > 0


def test_a_cell_of_ones_own_comes_back_without_its_file(tmp_path) -> None:
    model = Composer(**SMALL, cell=Own).fit("jsb", folder=tmp_path)
    back = from_pretrained(tmp_path)
    assert back.graph_ == Own.graph
    assert torch.equal(answer(back), answer(model))
    assert clone(back).fit("jsb").scores_ == model.scores_


def test_a_finished_fit_is_read_back(fitted) -> None:
    model, folder = fitted
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    epochs = []
    again = Composer(**SMALL).fit("jsb", folder=folder, watch=Watch(on_epoch=epochs.append))
    assert not epochs
    assert torch.equal(answer(again), answer(model))
    assert again.scores_ == model.scores_
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != ".lock"} == {
        name: time for name, time in before.items() if name != ".lock"
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hidden_size": 5}, "hidden_size=4 instead of 5"),
        ({"layer_norm": True}, "layer_norm=False instead of layer_norm=True"),
        ({"seed": 1, "clip": 2.0}, "clip=1.0 instead of 2.0, seed=0 instead of 1"),
        ({"cell": "gru"}, "cell='LSTM' instead of 'GRU'"),
        ({"cell": type("LSTM", (Own,), {})}, "another LSTM cell"),
    ],
)
def test_a_folder_with_another_model_is_refused(fitted, change, says) -> None:
    with pytest.raises(InputError, match=says):
        Composer(**{**SMALL, **change}).fit("jsb", folder=fitted[1])


def test_a_folder_with_a_model_of_other_data_is_refused(fitted, tmp_path) -> None:
    roll = [[60], [62], [60, 64]] * 3
    (tmp_path / "a.json").write_text(json.dumps(dict.fromkeys(("train", "valid", "test"), [roll] * 3)))
    with pytest.raises(InputError, match="other data: JSB chorales"):
        Composer(**SMALL).fit(tmp_path / "a.json", folder=fitted[1])
    with pytest.raises(InputError, match="task 'music'"):
        LanguageModel().fit("shakespeare", folder=fitted[1])


def test_two_fits_do_not_write_into_one_folder(tmp_path) -> None:
    def second(_) -> None:
        Composer(**SMALL).fit("jsb", folder=tmp_path)

    with pytest.raises(InputError, match="another training is using"):
        Composer(**SMALL).fit("jsb", folder=tmp_path, watch=Watch(on_epoch=second))


def test_an_interrupted_fit_goes_on_and_its_log_has_each_epoch_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", -1.0)
    settings = {"hidden_size": 4, "epochs": 4, "dropout": 0.3}
    whole = Composer(**settings).fit("jsb", folder=tmp_path / "whole")

    def stop(record) -> None:
        if (record.epoch, record.step) == (3, 9):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Composer(**settings).fit("jsb", folder=tmp_path / "cut", watch=Watch(on_step=stop), tensorboard=True)
    assert not (tmp_path / "cut" / "model.json").exists()
    with pytest.raises(InputError, match="not finished"):
        from_pretrained(tmp_path / "cut")
    again = Composer(**settings).fit("jsb", folder=tmp_path / "cut", tensorboard=True)
    assert torch.equal(answer(again), answer(whole))
    rows = [
        [line.rsplit(",", 1)[0] for line in (tmp_path / name / "log.csv").read_text().splitlines()]
        for name in ("whole", "cut")
    ]
    assert rows[0] == rows[1]
    assert [row.split(",")[0] for row in rows[0]] == ["epoch", "1", "2", "3", "4"]
    assert not (tmp_path / "cut" / "checkpoint.safetensors").exists()
    _check_events(tmp_path / "cut" / "tensorboard", again)


HEAD = b"epoch,train,valid,gradient_norm,learning_rate,seconds\n"
LOGS = {
    "a head again": HEAD + HEAD,
    "a cell more": HEAD + b"1,1,1,1,1,1,1\n",
    "a cell less": HEAD + b"1,1,1\n",
    "no number": HEAD + b"one,1,1,1,1,1\n",
    "not UTF-8": HEAD + b"\xff,1,1,1,1,1\n",
    "an open quote": HEAD + b'"1,1\n',
}


@pytest.mark.parametrize("name", LOGS)
def test_a_damaged_log_is_named(name, tmp_path) -> None:
    (tmp_path / "log.csv").write_bytes(LOGS[name])
    with pytest.raises(InputError, match=r"log\.csv is not a log of epochs"):
        Log(tmp_path).epoch(EpochRecord(2, 1.0, 1.0, 1.0, 0.1, 1.0))


def _check_events(folder: Path, model: Composer) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    steps = [event.step for event in events.Scalars("step/loss")]
    assert steps == list(range(1, 61))  # 15 batches of 229 pieces, four epochs, none twice
    valid = events.Scalars("epoch/valid")
    assert [event.step for event in valid] == [15, 30, 45, 60]
    assert [event.value for event in valid] == pytest.approx([epoch.valid for epoch in model.curve_])


def test_a_diverged_fit_says_so_and_leaves_the_folder_for_another_rate(tmp_path) -> None:
    with pytest.raises(InputError, match=r"diverged in epoch 1.*lower learning_rate=100"):
        Composer(**SMALL, cell="rnn/relu", layers=8, learning_rate=100.0, clip=1e30).fit("jsb", folder=tmp_path)
    assert Composer(**SMALL, cell="rnn/relu", layers=8).fit("jsb", folder=tmp_path).scores_


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_needed(folder, name) -> None:
    (folder / name).unlink()
    refused(folder, name)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("left", [0, 7, -1])
def test_a_truncated_file_is_refused(folder, name, left) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:left] if name != "model.json" or left >= 0 else content[:-3])
    refused(folder, name)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [b"\xff\xfe" * 50, b"[" * 100_000, b"{}", b"[]", b"null", b'{"format": 1}'])
def test_other_content_is_refused(folder, name, content) -> None:
    (folder / name).write_bytes(content)
    refused(folder, name)


@pytest.mark.parametrize("name", ["config.toml", "model.safetensors"])
def test_a_file_of_another_model_is_refused(folder, tmp_path, name) -> None:
    Composer(**SMALL, seed=1).fit("jsb", folder=tmp_path / "other")  # the same shapes
    shutil.copy(tmp_path / "other" / name, folder / name)
    refused(folder, name, "belongs to another model")


def test_a_folder_and_a_file_that_are_none(tmp_path) -> None:
    refused(tmp_path / "none", "there is no folder", "none")
    refused(tmp_path, "no trained model", "model.json")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "file")


@pytest.mark.parametrize("change", [{"format": 2}, {"format": "x" * 10**5}, {"format": None}, {"task": 3}])
def test_another_format_is_refused(folder, change) -> None:
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**card, **change}))
    refused(folder, "model.json", "format")


def test_an_unknown_task_is_refused(folder) -> None:
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**card, "task": "poetry"}))
    refused(folder, "poetry")
    with pytest.raises(InputError, match="expected 'language'"):
        LanguageModel.from_pretrained(folder)


PARTS = ["cell", "encoding", "data", "scores", "curve", "sha256"]
OTHER = [None, 3, "text", [], {}, [[[]]], {"a": {"b": 1}}]
SOUND = [("encoding", {}), ("scores", []), ("scores", {}), ("curve", []), ("curve", {})]  # empty parts of this model


@pytest.mark.parametrize(
    ("part", "value"), [(part, value) for part in PARTS for value in OTHER if (part, value) not in SOUND]
)
def test_a_card_with_a_damaged_part_is_one_line(folder, part, value) -> None:
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**card, part: value}))
    refused(folder, "m")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e30])
def test_weights_that_are_not_finite_are_refused(folder, value) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["head.bias"][3] = value
    save_file(weights, folder / "model.safetensors")
    sign(folder)
    refused(folder, "head.bias", "not finite")


@pytest.mark.parametrize("line", ["hidden_size = 5", "hidden_size = 65536", "layers = 64", 'precision = "int8"'])
def test_settings_of_another_size_ask_for_no_memory(folder, line) -> None:
    key = line.split(" = ", maxsplit=1)[0]
    text = (folder / "config.toml").read_text().splitlines()
    (folder / "config.toml").write_text("\n".join(line if row.startswith(key) else row for row in text))
    sign(folder)
    refused(folder, "shape" if key != "precision" else "precision")


@pytest.mark.parametrize("drop", ["head.weight", None])
def test_weights_that_are_missing_or_too_many_are_named(folder, drop) -> None:
    weights = load_file(folder / "model.safetensors")
    weights = {name: tensor for name, tensor in weights.items() if name != drop} | (
        {} if drop else {"extra": torch.ones(1)}
    )
    save_file(weights, folder / "model.safetensors")
    sign(folder)
    refused(folder, drop or "extra")


def test_the_cell_of_the_card_is_what_is_run(folder) -> None:
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**card, "cell": zoo.find("gru").graph.to_json()}))
    refused(folder, "layer.")


class Bomb:
    """What a pickle would run."""

    def __reduce__(self):
        return os.mkdir, ("run",)


@pytest.mark.parametrize("name", FILES)
def test_no_pickle_is_read(folder, name, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    refused(folder, name)
    torch.save(Bomb(), folder / name)
    refused(folder, name)
    if name != "model.json":
        sign(folder)
        refused(folder, "m")
    assert not (tmp_path / "run").exists()


def test_a_sound_folder_is_read_without_pickle(fitted, monkeypatch) -> None:
    def refuse(*_, **__):
        raise AssertionError("a pickle was read")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    from_pretrained(fitted[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_model_is_old_or_new_whenever_its_saving_is_killed(fitted, tmp_path) -> None:
    other = from_pretrained(fitted[1])
    with torch.no_grad():
        other.model_.head.bias += 1
    found, dead = check_saving.check({"old": fitted[0], "new": other}, 5, tmp_path, random.Random(0))
    assert dead > 0
    assert found["neither"] == 0


def test_weights_that_no_model_is_loaded_with_are_not_saved(tmp_path) -> None:
    with pytest.raises(
        InputError, match=r"training diverged in epoch 1: \w.* has values .*beyond 1e\+10 .* lower learning_rate=100"
    ):
        Composer(**{**SMALL, "epochs": 1, "steps": 8, "learning_rate": 100.0, "weight_decay": 10.0}).fit(
            "jsb", folder=tmp_path
        )
    assert not (tmp_path / "model.json").exists()


def test_a_reader_gets_one_model_while_another_is_saved(fitted, folder, monkeypatch) -> None:
    other = Composer(**SMALL, seed=1).fit("jsb")

    def then_saved(home, name, card):
        monkeypatch.undo()
        other.save_pretrained(home)
        return content_of(home, name, card)

    content_of = train_card.content_of
    monkeypatch.setattr(train_card, "content_of", then_saved)
    assert torch.equal(answer(from_pretrained(folder)), answer(other))


def test_a_model_on_its_way_is_a_model(folder) -> None:
    (folder / ".complete").mkdir()
    for name in FILES[1:]:
        (folder / name).rename(folder / ".complete" / name)
    assert from_pretrained(folder).scores_


CHANGED = [
    (("encoding", "steps_per_quarter"), "4", "an integer"),
    (("encoding", "keys", "sounds", 3), None, "sounds[3]"),
    (("encoding", "keys", "sounds"), [0.5], "88"),
    (("encoding", "openings"), [[400]], "no piano"),
    (("curve", 0, "\x1b[2Jodd"), 1, r"\x1b"),
    (("curve", 0, "valid"), "9" * 5000, "a number"),
    (("scores", 0, "baselines"), {"a": True}, "a number"),
    (("data", "warnings"), "text", "a list"),
    (("memory",), {"history": [1]}, "a string"),
    (("cell", "name"), 3, ""),
]


@pytest.mark.parametrize(("place", "value", "says"), CHANGED, ids=[".".join(map(str, row[0])) for row in CHANGED])
def test_a_value_of_another_type_is_named(folder, place, value, says) -> None:
    card = json.loads((folder / "model.json").read_text())
    *path, last = place
    part = card
    for key in path:
        part = part[key]
    part[last] = value
    (folder / "model.json").write_text(json.dumps(card))
    refused(folder, "no readable model", says)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"format": ' + "9" * 5000 + "}", '{"format": 1, "task": "mu'])
def test_a_card_is_refused_in_plain_words(folder, content) -> None:
    (folder / "model.json").write_text(content)
    with pytest.raises(InputError) as error:
        from_pretrained(folder)
    assert not re.search(r"Error|limit|recursion", str(error.value))
