"""What a model promises to those whose data it learnt from goes wherever the model goes."""

import dataclasses
import json
import shutil
import warnings

import pytest
import torch

import tidegate as tg
from tests.unit.test_ship_kind import SMALL, untrained
from tidegate.errors import InputError, TidegateWarning
from tidegate.records import PrivacyRecord, privacy_sentence
from tidegate.tasks import Forecaster, from_pretrained
from tidegate.train.statement import promised

RECORD = PrivacyRecord(8.0, 1e-5, "a */ row", 1.112, 1.0, 0.05, 1000, "PLD", public=("vocabulary",))
PROMISE = privacy_sentence(RECORD)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An untrained model under a promise."""
    home = tmp_path_factory.mktemp("model") / "private"
    model = untrained(Forecaster(**SMALL, horizon=3, strategy="recursive"), "elnino")
    model.privacy_ = RECORD
    model.save_pretrained(home)
    return home


def test_the_card_keeps_it_and_the_estimator_shows_it(folder, tmp_path):
    card = json.loads((folder / "model.json").read_text())
    assert card["privacy"]["epsilon"] == 8.0
    assert card["privacy"]["unit"] == "a */ row"
    model = from_pretrained(folder)
    assert model.privacy_ == RECORD
    model.save_pretrained(tmp_path / "again")
    assert from_pretrained(tmp_path / "again").privacy_ == RECORD


@pytest.mark.parametrize("damage", [{"epsilon": "8"}, {"epsilon": None}, {"steps": 0}, {"more": 1}])
def test_a_statement_that_was_tampered_with_is_damage(folder, tmp_path, damage):
    home = tmp_path / "model"
    shutil.copytree(folder, home)
    card = json.loads((home / "model.json").read_text())
    card["privacy"] |= damage
    (home / "model.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="no readable model"):
        from_pretrained(home)


def test_onnx_and_c_and_facts_carry_it(folder, tmp_path):
    onnx = pytest.importorskip("onnx")
    shipped = tg.ship.ship(folder, "onnx", tmp_path)
    for name in ("private.onnx", "private_step.onnx"):
        if name in shipped.files:
            told = {entry.key: entry.value for entry in onnx.load(tmp_path / name).metadata_props}
            assert told["tidegate.privacy"] == PROMISE
    assert json.loads((tmp_path / "private.facts.json").read_text())["privacy"] == PROMISE
    header = tg.ship.ship(folder, "c").files["private.h"].decode()
    comment = header[: header.index("*/")]
    assert PROMISE.replace("*/", "* /") in " ".join(comment.replace("\n *", " ").split())


def layers():
    lstm, gru = tg.nn.LSTM(4, 8), tg.nn.GRU(4, 8)
    return promised(lstm, RECORD), promised(gru, RECORD), torch.nn.Linear(8, 8)


def test_every_format_of_layers_is_read_back_with_it(tmp_path):
    pytest.importorskip("onnx")
    lstm, gru, head = layers()
    files = {
        "a.onnx": tg.ship.onnx(lstm).SerializeToString(),
        "a.json": tg.ship.rtneural(lstm, head).encode(),
        "a.nam": tg.ship.nam(lstm, head, 48000.0).encode(),
        "a.bin": tg.ship.dnnw({"gru": gru, "out": head}),
        "a.safetensors": tg.ship.safetensors({"lstm": lstm, "head": head}),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        layer = tg.convert.read(tmp_path / name)[0].layer()
        assert layer.privacy == PROMISE, name
        assert PROMISE in json.loads(tg.ship.ship(layer, "safetensors", name="x").files["x.facts.json"])["privacy"]
    assert tg.ship.c(lstm, "x").header.count("Privacy: epsilon 8 at delta 1e-05") == 1


def test_nothing_is_said_of_a_layer_without_it(tmp_path):
    pytest.importorskip("onnx")
    lstm, head = tg.nn.LSTM(4, 8), torch.nn.Linear(8, 8)
    (tmp_path / "a.nam").write_text(tg.ship.nam(lstm, head, 48000.0))
    assert tg.convert.read(tmp_path / "a.nam")[0].layer().privacy == ""
    assert b"rivacy" not in tg.ship.safetensors({"lstm": lstm}) + tg.ship.onnx(lstm).SerializeToString()
    assert "rivacy" not in tg.ship.c(lstm, "x").header + tg.ship.rtneural(lstm, head)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tg.convert.dump(lstm, "torch")


def test_arrays_in_memory_cannot_carry_it_and_say_so():
    lstm, *_ = layers()
    with pytest.warns(TidegateWarning, match="keep it beside them: epsilon 8 at delta"):
        tg.convert.dump(lstm, "keras")


def test_it_stays_with_a_layer_that_becomes_torchs_and_ours_again():
    model = torch.nn.Sequential(layers()[0])
    assert tg.accelerate(tg.restore(model))
    assert model[0].privacy == PROMISE


def test_what_shows_a_model_shows_it(folder, tmp_path, capsys):
    from tidegate.cli import main

    assert main(["evaluate", str(folder)]) in (0, None)
    assert f"privacy: {PROMISE[:40]}" in capsys.readouterr().out
    assert main(["ship", str(folder), "--to", "safetensors", "--out", str(tmp_path)]) in (0, None)
    assert f"privacy: {PROMISE[:40]}" in capsys.readouterr().out


def test_a_model_without_privacy_has_no_key(folder, tmp_path):
    model = from_pretrained(folder)
    model.privacy_ = None
    model.save_pretrained(tmp_path)
    assert "privacy" not in json.loads((tmp_path / "model.json").read_text())
    assert dataclasses.fields(PrivacyRecord)[0].name == "epsilon"
