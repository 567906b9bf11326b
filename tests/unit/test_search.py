"""The choice among candidates: on validation, at a bounded cost, and the same after interruptions."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.unit.refusal import refused
from tidegate.records import StepRecord
from tidegate.tasks import Forecaster, from_pretrained
from tidegate.train.search import SCORES
from tidegate.train.watch import Watch


def frame(rows=160):
    rng = np.random.default_rng(0)
    return pd.DataFrame({"y": np.sin(2 * np.pi * np.arange(rows) / 12) + 0.1 * rng.normal(size=rows).cumsum() + 4})


def forecaster(**options):
    return Forecaster(**{"target": "y", "horizon": 3, "hidden_size": 4, "epochs": 10, "averaging": 0.5, **options})


class KilledError(Exception):
    """What a test raises in place of a signal."""


class Steps:
    """Counts steps, and kills the training at one of them."""

    def __init__(self, most: float = float("inf")) -> None:
        self.count, self.most = 0, most

    def __call__(self, record: StepRecord) -> None:
        del record
        self.count += 1
        if self.count > self.most:
            raise KilledError


@pytest.fixture(scope="module")
def whole():
    steps = Steps()
    made = forecaster().fit(frame(), watch=Watch(on_step=steps))
    return made, steps.count


def weights(made):
    return {name: tensor.clone() for name, tensor in made.model_.state_dict().items()}


@pytest.mark.parametrize("shares", [(0.1,), (0.45, 0.1), (0.8,), (0.97,)])
def test_killed_and_started_again_it_ends_as_if_it_had_not_been(whole, tmp_path, shares) -> None:
    made, steps = whole
    for share in shares:
        with pytest.raises(KilledError):
            forecaster().fit(frame(), folder=tmp_path, watch=Watch(on_step=Steps(share * steps)))
    refused("MODEL_MISSING", lambda: from_pretrained(tmp_path), "not finished")
    again = forecaster().fit(frame(), folder=tmp_path)
    assert again.notes_ == made.notes_
    assert again.encoding_ == made.encoding_
    assert [epoch.valid for epoch in again.curve_] == [epoch.valid for epoch in made.curve_]
    assert all(torch.equal(weights(made)[name], tensor) for name, tensor in weights(again).items())
    assert {path.name for path in tmp_path.iterdir()} <= {
        "config.toml", "model.json", "model.safetensors", "log.csv", ".lock"
    }  # fmt: skip
    saved = from_pretrained(tmp_path)
    assert saved.notes_ == made.notes_
    assert saved.strategy == "auto"
    pd.testing.assert_frame_equal(saved.predict(), made.predict())


def test_what_is_left_open_is_chosen_and_told(whole) -> None:
    made, _ = whole
    assert made.notes_[0].startswith("chosen on validation: ")
    assert made.encoding_.strategy in ("direct", "recursive")
    fixed = forecaster(strategy="direct", difference="last", epochs=1).fit(frame())
    assert not [text for text in fixed.notes_ if text.startswith("chosen")]
    half = forecaster(strategy="recursive", epochs=2).fit(frame())
    assert half.encoding_.strategy == "recursive"


@pytest.mark.parametrize("epochs", [1, 2, 10, 30])
def test_the_search_takes_at_most_twice_the_training(epochs) -> None:
    every, final = Steps(), []
    made = forecaster(epochs=epochs, patience=epochs).fit(frame(), watch=Watch(on_step=every, on_epoch=final.append))
    per_epoch = Steps()
    forecaster(epochs=1, strategy="direct", difference="last").fit(frame(), watch=Watch(on_step=per_epoch))
    assert every.count <= 3 * len(made.curve_) * per_epoch.count


def test_scores_of_another_run_are_refused(tmp_path) -> None:
    with pytest.raises(KilledError):
        forecaster().fit(frame(), folder=tmp_path, watch=Watch(on_step=Steps(30)))
    assert (tmp_path / SCORES).exists()
    refused("CHECKPOINT_OTHER_RUN", lambda: forecaster(seed=1).fit(frame(), folder=tmp_path), SCORES)
    (tmp_path / SCORES).write_text("[")
    refused("CHECKPOINT_DAMAGED", lambda: forecaster().fit(frame(), folder=tmp_path), "delete it")


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
@pytest.mark.parametrize("difference", ["last", "season", "linear", "none"])
@pytest.mark.parametrize("logarithm", ["yes", "no"])
def test_every_choice_is_saved_and_read_back(tmp_path, strategy, difference, logarithm) -> None:
    options = {"strategy": strategy, "difference": difference, "logarithm": logarithm, "season": 12}
    made = forecaster(**options, quantiles=(0.1, 0.9), epochs=1).fit(frame())
    made.model_.share.fill_(0.5)
    made.save_pretrained(tmp_path)
    again = from_pretrained(tmp_path)
    pd.testing.assert_frame_equal(again.predict(), made.predict())
    assert bool(again.encoding_.logs) == (logarithm == "yes")


def test_a_model_of_one_row_that_reads_other_columns_goes_no_further() -> None:
    made = forecaster(horizon=1, epochs=1).fit(frame().assign(x=np.random.default_rng(1).normal(size=160)))
    assert len(made.predict()) == 1
    refused("HORIZON", lambda: made.predict(3), "1 row ahead, not 3", "horizon=3")


def test_models_of_earlier_versions_are_read_as_they_were(tmp_path) -> None:
    made = forecaster(strategy="direct", difference="last", logarithm="no", epochs=1).fit(frame())
    made.model_.share.fill_(1.0)
    made.save_pretrained(tmp_path)
    card = json.loads((tmp_path / "model.json").read_text())
    del card["notes"]
    for name in ("strategy", "ridge", "plain", "logs", "effect"):
        del card["encoding"][name]
    tensors = load_file(tmp_path / "model.safetensors")
    save_file({name: tensor for name, tensor in tensors.items() if name not in ("share", "shift")}, tmp_path / "w")
    (tmp_path / "w").replace(tmp_path / "model.safetensors")
    card["sha256"]["model.safetensors"] = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    (tmp_path / "model.json").write_text(json.dumps(card))
    again = from_pretrained(tmp_path)
    pd.testing.assert_frame_equal(again.predict(), made.predict())
    assert again.notes_ == ()
    assert set(again.evaluate(frame())[0].baselines) == {"persistence", "drift", "seasonal naive"}
