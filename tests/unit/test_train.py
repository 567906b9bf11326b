"""The training loop: it learns, stops, diverges loudly, and goes on exactly where it was."""

import math
from dataclasses import replace

import pytest
import torch

from tidegate import tasks, train
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.spec import Graph
from tidegate.train import Checkpoint, Plan, loop
from tidegate.train.checkpoint import compartment

PLAN = Plan(
    initial_seed=1,
    order_seed=2,
    learning_rate=4e-3,
    dropout=0.1,
    epochs=6,
    patience=6,
    patience_rate=2,
    clip=1.0,
)


@pytest.fixture(scope="module")
def task() -> tasks.Task:
    return tasks.load("elnino")


def layer(inputs: int) -> Recurrent:
    return Recurrent("gru", inputs, 6)


def without_seconds(outcome: train.Outcome) -> list:
    return [replace(epoch, seconds=0.0) for epoch in outcome.curve]


def test_training_improves_on_the_first_epoch(task) -> None:
    outcome = train.train(task, layer, replace(PLAN, epochs=25, patience=25))
    assert outcome.best_valid < 0.9 * outcome.curve[0].valid
    assert train.evaluate(task, outcome.model, "valid") == pytest.approx(outcome.best_valid, rel=1e-6)


def test_the_same_plan_gives_the_same_run_and_leaves_the_global_state(task) -> None:
    state = torch.get_rng_state()
    first = train.train(task, layer, PLAN)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    second = train.train(task, layer, PLAN)
    assert without_seconds(first) == without_seconds(second)


def test_another_order_or_first_parameters_give_another_run(task) -> None:
    curves = [
        without_seconds(train.train(task, layer, plan))
        for plan in (PLAN, replace(PLAN, order_seed=3), replace(PLAN, initial_seed=3))
    ]
    assert curves[0] != curves[1] != curves[2] != curves[0]


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(task, tmp_path, monkeypatch, stop) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    whole = train.train(task, layer, PLAN)
    path = tmp_path / "run.safetensors"

    def interrupt(record) -> None:
        if record.epoch == stop + 1:  # the checkpoint holds the epoch before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.train(task, layer, PLAN, checkpoint=path, on_epoch=interrupt)
    seen = []
    resumed = train.train(task, layer, PLAN, checkpoint=path, on_epoch=lambda record: seen.append(record.epoch))
    assert seen == list(range(stop + 1, PLAN.epochs + 1))
    assert without_seconds(resumed) == without_seconds(whole)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])


def test_a_checkpoint_of_another_run_is_refused(task, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    path = tmp_path / "run.safetensors"
    train.train(task, layer, replace(PLAN, epochs=1), checkpoint=path)
    with pytest.raises(InputError, match="other settings"):
        train.train(task, layer, PLAN, checkpoint=path)
    with pytest.raises(InputError, match="other layers"):
        train.train(task, lambda n: Recurrent("mgu", n, 6), replace(PLAN, epochs=1), checkpoint=path)


def test_a_checkpoint_holds_its_cell_as_data(task, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    path = tmp_path / "run.safetensors"
    train.train(task, layer, replace(PLAN, epochs=1), checkpoint=path)
    saved = Checkpoint.load(path)
    (cell,) = saved.data["layers"]
    again = Recurrent(Graph.from_json(cell["graph"]), task.encoding.features, 6)
    again.load_state_dict(compartment("model.layer", saved.tensors))
    assert again.graph == layer(1).graph


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x08\0\0\0\0\0\0\0{}      ", b"\xff" * 64])
def test_a_damaged_checkpoint_is_one_clear_error(tmp_path, content) -> None:
    path = tmp_path / "run.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"run\.safetensors"):
        Checkpoint.load(path)


def test_a_missing_checkpoint_is_one_clear_error(tmp_path) -> None:
    with pytest.raises(InputError, match="there is no checkpoint"):
        Checkpoint.load(tmp_path / "none")


def test_checkpoints_keep_tensors_and_data(tmp_path) -> None:
    tensors = {"a.x": torch.arange(3), "a.y": torch.ones(2, 2).T, "b.x": torch.tensor(1.5)}
    Checkpoint(tensors, {"k": [1, 0.1]}).save(tmp_path / "c")
    back = Checkpoint.load(tmp_path / "c")
    assert back.data == {"k": [1, 0.1]}
    assert sorted(compartment("a", back.tensors)) == ["x", "y"]
    assert all(torch.equal(back.tensors[name], tensor) for name, tensor in tensors.items())
    assert [path.name for path in tmp_path.iterdir()] == ["c"]  # no draft is left behind


def test_divergence_ends_the_run_and_is_said(task) -> None:
    outcome = train.train(task, lambda n: Recurrent("rnn/relu", n, 6), replace(PLAN, learning_rate=1e30))
    assert outcome.diverged
    assert not math.isfinite(outcome.curve[-1].valid)
    assert len(outcome.curve) < PLAN.epochs


def test_patience_and_rate() -> None:
    progress = loop._Progress(rate=1.0)
    plan = replace(PLAN, epochs=100, patience=4, patience_rate=2)
    for epoch, valid in enumerate([3.0, 2.0, 2.5, 2.5, 2.5, 2.5], start=1):
        assert not progress.finished(plan)
        record = train.loop.EpochRecord(epoch, 0.0, valid, 0.0, progress.rate, 0.0)
        assert progress.take(record, plan) == (epoch <= 2)
    assert progress.finished(plan)
    assert [epoch.learning_rate for epoch in progress.curve] == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]


def test_gradients_are_clipped(task) -> None:
    """With a tiny clip the first step of Adam is the same size, but the recorded norm is the raw one."""
    outcome = train.train(task, layer, replace(PLAN, epochs=1, clip=1e-6))
    assert outcome.curve[0].gradient_norm > 1e-3
