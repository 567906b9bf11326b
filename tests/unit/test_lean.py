"""Pruning and the penalty in training: schedule, exact resuming, and models that are saved and read back."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tidegate import Session, tasks
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.records import EpochRecord
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.language.model import SymbolModel
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.translation.model import SequenceToSequence
from tidegate.train import loop
from tidegate.train.lean import Lean
from tidegate.train.loop import train
from tidegate.train.plan import Plan
from tidegate.train.state import RunState, dense_epochs, density_after

LEAN = {"density": 0.2, "block": 4, "density_epochs": 3}
BASE = ForecastSetting(learning_rate=1e-2, dropout=0.0, epochs=6, patience=6)


@pytest.fixture(scope="module")
def task():
    return tasks.load("elnino")


def layer(inputs: int, **options) -> Recurrent:
    return Recurrent("gru", inputs, 16, **options)


def plan_with(**changes) -> Plan:
    return Plan(replace(BASE, **changes), initial_seed=1, order_seed=2)


def kept(model) -> list[float]:
    return [float((w != 0).double().mean()) for n, w in model.layer.named_parameters() if n.startswith("weight")]


def test_the_density_falls_over_its_epochs_and_only_then_models_count(task) -> None:
    seen = []
    outcome = train(task, layer, plan_with(**LEAN), on_epoch=seen.append)
    assert outcome.best_epoch >= 3
    assert all(0.15 < share <= 0.2 for share in kept(outcome.model))
    assert outcome.model.layer.cells[0].sparse
    setting = plan_with(**LEAN).setting
    assert [density_after(setting, epoch) for epoch in (0, 3, 6)] == [1.0, 0.2, 0.2]
    assert density_after(setting, 1) == pytest.approx(0.2 + 0.8 * (2 / 3) ** 3)


def test_epochs_before_the_density_neither_count_nor_cost_patience() -> None:
    setting = replace(BASE, **LEAN, patience=2, patience_rate=1)
    state = RunState(rate=1.0)
    scores = [0.1, 0.2, 0.5, 0.6, 0.7]
    best = [state.take(EpochRecord(epoch, 0.0, score, 0.0, 1.0, 0.0), setting) for epoch, score in enumerate(scores, 1)]
    assert best == [False, False, True, False, False]
    assert (state.best_epoch, state.best_valid, state.rate) == (3, 0.5, 0.25)
    assert state.finished(setting)
    assert dense_epochs(setting) == 2
    assert dense_epochs(replace(setting, density_epochs=None)) == 2
    assert dense_epochs(BASE) == 0


@pytest.mark.parametrize(("stop", "changes"), [(1, LEAN), (4, {**LEAN, "averaging": 0.9}), (2, {"group_penalty": 0.5})])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(task, tmp_path, monkeypatch, stop, changes) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", -1.0)
    monkeypatch.setattr(loop, "SAVE_SHARE", math.inf)
    plan, path = plan_with(**changes), tmp_path / "run.safetensors"
    whole = train(task, layer, plan)

    def interrupt(record) -> None:
        if record.epoch == stop + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(task, layer, plan, checkpoint=path, on_epoch=interrupt)
    resumed = train(task, layer, plan, checkpoint=path)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])
    zeros = sum(int((p == 0).sum()) for p in whole.model.layer.parameters())
    assert zeros > 0  # or nothing was shown


def test_a_saved_model_runs_on_lists(tmp_path) -> None:
    """And as what it was in every format."""
    kind = tasks.Forecaster
    model = kind(cell="gru", hidden_size=32, epochs=2, **LEAN).fit("elnino", folder=tmp_path)
    read = kind.from_pretrained(tmp_path)
    for own in (model.model_.layer, read.model_.layer):
        assert own.cells[0].sparse == ("W", "U")
    assert repr(read.model_.layer) == repr(model.model_.layer)
    assert any(text.startswith("layer: weights kept=0.") for text in model.notes_)
    assert read.evaluate() == model.evaluate()
    assert [part.cell.sparse for part in Session(read.model_.layer)._stream._layers] == [("W", "U")]
    assert kind(cell="gru", hidden_size=32, epochs=2, **LEAN).fit("elnino", folder=tmp_path)


def test_a_penalised_model_is_saved_without_its_silent_units(tmp_path) -> None:
    kind = tasks.Forecaster
    setting = {"cell": "gru", "hidden_size": 24, "epochs": 3, "group_penalty": 8.0}
    model = kind(**setting).fit("elnino", folder=tmp_path)
    units = model.units_["layer"]
    assert 1 <= units < 24
    assert model.model_.layer.hidden_size == model.model_.head.in_features == units
    assert f"units: layer  {units} of 24 units" in model.notes_
    read = kind.from_pretrained(tmp_path)
    assert read.model_.layer.hidden_size == units
    assert read.hidden_size == 24
    assert read.evaluate() == model.evaluate()
    again = kind(**setting).fit("elnino", folder=tmp_path)  # the same command finds its model
    assert again.units_ == model.units_


def test_of_models_in_folds_the_one_that_is_kept_loses_its_silent_units(tmp_path) -> None:
    kind, generator = tasks.SequenceClassifier, np.random.default_rng(0)
    series, labels = [generator.normal(size=(6, 1)) for _ in range(40)], [0, 1] * 20
    penalty = {"group_penalty": 2.0, "learning_rate": 0.01}
    model = kind(cell="gru", hidden_size=16, epochs=4, votes=False, calibrate=True, **penalty).fit(series, labels)
    assert "folds" in model.data_.split
    assert [*model.units_] == ["layer"]
    units = model.units_["layer"]
    assert 1 <= units < 16
    assert sum(text.startswith("units: ") for text in model.notes_) == 1
    model.save_pretrained(tmp_path)
    read = kind.from_pretrained(tmp_path)
    assert read.model_.layer.hidden_size == units
    assert np.array_equal(read.predict_proba(series), model.predict_proba(series))


def test_what_has_no_penalty_is_refused_before_training() -> None:
    """A decoder that begins with the states of its encoder, and embeddings as wide as the units that they read."""
    reader = SequenceToSequence((5, 5), 16, layer, "dot", bidirectional=False, dropout=0.0)
    tied = SymbolModel(5, layer, LanguageSetting(tied=True, embedding_size=16))
    for model, message in (
        (reader, "nobody says what reads"),
        (tied, "expected a torch.nn.Linear of 16 features at head"),
    ):
        with pytest.raises(InputError, match=f"{message}.* — leave group_penalty at 0 here"):
            Lean(model, replace(BASE, group_penalty=0.1), lambda: 1)
