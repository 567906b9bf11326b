"""Training with products of bfloat16 numbers: what is rounded, what is not, and that runs stay exact."""

import json
import math

import numpy as np
import pytest
import torch

import tidegate as tg
from tests.unit.test_adversarial import learnt, series_task
from tests.unit.test_protected import CASES, _model, _task
from tidegate.errors import InputError, TidegateWarning
from tidegate.nn import Recurrent
from tidegate.runtime.processor import Processor
from tidegate.tasks import SequenceClassifier, from_pretrained
from tidegate.train import loop
from tidegate.train.plan import Plan
from tidegate.train.precision import ROUNDED, prepared
from tidegate.train.step import Step
from tidegate.train.world import World

CHANGED = 0.02  # of a loss or a gradient, by rounding each factor to 8 bits


class Noted:
    """What passes between the parts of a model in one step of a training, and what the step learns."""

    def __init__(self, name: str, precision: str, monkeypatch) -> None:
        options = {"epsilon": None, "protect": "row", "dropout": 0.0, "batch_size": 16}
        self.task = _task(name, **options, precision=precision)
        self.model = prepared(_model(self.task), self.task.setting)
        self.step = Step(self.task, self.model, Plan(self.task.setting, 1, 2), World())
        self.layers = [module for module in self.model.modules() if isinstance(module, Recurrent)]
        self.types: set[torch.dtype] = set()
        self.heard: list[torch.Tensor] = []
        for layer in self.layers:
            layer.register_forward_hook(lambda _, __, results: self._hear(*results))
        measure = type(self.task).measure

        def seen(task, outputs, batch):
            measured = measure(task, outputs, batch)
            self._see(outputs, measured.loss)
            return measured

        monkeypatch.setattr(type(self.task), "measure", seen)
        with tg.strict():
            self.taken = self.step.take(next(iter(self.step.batches(0))), 0.0)
        self.slopes = torch.cat([parameter.grad.flatten() for parameter in self.model.parameters()])

    def _hear(self, output, *states) -> None:
        self.heard.append(output.detach())
        self._see(output, *states)

    def _see(self, *tensors) -> None:
        self.types |= {tensor.dtype for tensor in tensors}


@pytest.mark.parametrize("name", CASES)
def test_a_step_of_every_task_rounds_factors_of_products_alone(name, monkeypatch) -> None:
    full, rounded = (Noted(name, precision, monkeypatch) for precision in ("float32", "bfloat16"))
    assert full.types == rounded.types == {torch.float32}
    assert {layer.last_path for layer in rounded.layers} == {"fused"}
    held = [*rounded.model.parameters(), *(p.grad for p in rounded.model.parameters())]
    moments = [tensor for tensor in rounded.step.tensors().values() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in (*held, *moments)} == {torch.float32}
    assert rounded.taken.loss == pytest.approx(full.taken.loss, rel=CHANGED)
    pairs = [(full.slopes, rounded.slopes), *zip(full.heard, rounded.heard, strict=True)]  # layers round as well
    assert all(0 < (other - one).norm() / one.norm() < CHANGED for one, other in pairs)


@pytest.mark.parametrize("option", [{"averaging": 0.9}, {"adversarial": 0.3}])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(option, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", -1.0)
    monkeypatch.setattr(loop, "SAVE_SHARE", math.inf)
    task, path = series_task(precision="bfloat16", **option), tmp_path / "run.safetensors"
    whole = learnt(task)

    def stop(record) -> None:
        if record.total == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learnt(task, checkpoint=path, on_step=stop)
    resumed = learnt(task, checkpoint=path)
    for name, tensor in whole.model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, resumed.model.state_dict()[name])
    other = learnt(series_task(**option)).model.state_dict()
    assert any(not torch.equal(tensor, other[name]) for name, tensor in whole.model.state_dict().items())


def test_a_run_in_another_precision_does_not_go_on(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", -1.0)
    path = tmp_path / "run.safetensors"
    learnt(series_task(precision="bfloat16"), checkpoint=path)
    with pytest.raises(InputError, match="other settings"):
        learnt(series_task(), checkpoint=path)


def test_a_processor_without_instructions_says_that_nothing_is_won(monkeypatch) -> None:
    monkeypatch.setattr("tidegate.nn.precision.processor", Processor)
    with pytest.warns(TidegateWarning, match="no instructions for bfloat16"):
        learnt(series_task(precision="bfloat16"), until=0)


def test_a_finished_model_answers_in_float32_and_says_how_it_was_trained(tmp_path) -> None:
    x = np.linspace(0, 6, 40)[:, None] + np.arange(12)
    series = [np.sin(column) for column in x.T]
    model = SequenceClassifier(hidden_size=8, epochs=1, precision="bfloat16", votes=False)
    model.fit(series, ["ab"[k % 2] for k in range(12)], folder=tmp_path)
    assert ROUNDED in model.notes_
    assert ROUNDED in json.loads((tmp_path / "model.json").read_text())["notes"]
    again = from_pretrained(tmp_path)
    assert again.precision == "bfloat16"
    assert np.array_equal(again.predict_proba(series), model.predict_proba(series))
    assert {tensor.dtype for tensor in again.model_.state_dict().values()} == {torch.float32}
