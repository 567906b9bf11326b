"""The training loop: it learns, stops, diverges loudly, and goes on exactly where it was."""

import math
from dataclasses import replace

import pytest
import torch

from tidegate import tasks
from tidegate.cell import Graph
from tidegate.errors import InputError, TidegateWarning
from tidegate.nn import Recurrent
from tidegate.records import EpochRecord
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.train import loop
from tidegate.train.batch import Batch
from tidegate.train.checkpoint import Checkpoint, compartment
from tidegate.train.loop import Outcome, evaluate, train
from tidegate.train.plan import Plan
from tidegate.train.state import RunState
from tidegate.train.task import Task

PLAN = Plan(ForecastSetting(learning_rate=4e-3, dropout=0.1, epochs=6, patience=6), initial_seed=1, order_seed=2)


def plan_with(**changes) -> Plan:
    return replace(PLAN, setting=replace(PLAN.setting, **changes))


@pytest.fixture(scope="module")
def task() -> Task:
    return tasks.load("elnino")


@pytest.fixture
def saved_always(monkeypatch) -> None:
    """A checkpoint after every step."""
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", -1.0)
    monkeypatch.setattr(loop, "SAVE_SHARE", math.inf)


def layer(inputs: int) -> Recurrent:
    return Recurrent("gru", inputs, 6)


def without_seconds(outcome: Outcome) -> list:
    return [replace(epoch, seconds=0.0) for epoch in outcome.curve]


def test_training_improves_on_the_first_epoch(task) -> None:
    outcome = train(task, layer, plan_with(epochs=25, patience=25))
    assert outcome.best_valid < 0.9 * outcome.curve[0].valid
    assert evaluate(task, outcome.model, "valid") == pytest.approx(outcome.best_valid, rel=1e-6)


def test_the_same_plan_gives_the_same_run_and_leaves_the_global_state(task) -> None:
    state = torch.get_rng_state()
    first = train(task, layer, PLAN)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    second = train(task, layer, PLAN)
    assert without_seconds(first) == without_seconds(second)


def test_another_order_or_first_parameters_give_another_run(task) -> None:
    curves = [
        without_seconds(train(task, layer, plan))
        for plan in (PLAN, replace(PLAN, order_seed=3), replace(PLAN, initial_seed=3))
    ]
    assert curves[0] != curves[1] != curves[2] != curves[0]


@pytest.mark.parametrize(("stop", "averaging"), [(1, 0.0), (3, 0.9), (5, 0.0)])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(task, tmp_path, saved_always, stop, averaging) -> None:
    plan = plan_with(averaging=averaging)
    whole = train(task, layer, plan)
    path = tmp_path / "run.safetensors"

    def interrupt(record) -> None:
        if record.epoch == stop + 1:  # the checkpoint holds the epoch before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(task, layer, plan, checkpoint=path, on_epoch=interrupt)
    seen = []
    resumed = train(task, layer, plan, checkpoint=path, on_epoch=lambda record: seen.append(record.epoch))
    assert seen == list(range(stop + 1, PLAN.setting.epochs + 1))
    assert without_seconds(resumed) == without_seconds(whole)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])


def test_a_checkpoint_of_another_run_is_refused(task, tmp_path, saved_always) -> None:
    path = tmp_path / "run.safetensors"
    train(task, layer, plan_with(epochs=1), checkpoint=path)
    with pytest.raises(InputError, match="other settings"):
        train(task, layer, PLAN, checkpoint=path)
    with pytest.raises(InputError, match="other layers"):
        train(task, lambda n: Recurrent("mgu", n, 6), plan_with(epochs=1), checkpoint=path)


def test_a_run_that_goes_on_with_other_threads_says_so(task, tmp_path, saved_always) -> None:
    path, before = tmp_path / "run.safetensors", torch.get_num_threads()
    train(task, layer, plan_with(epochs=1), checkpoint=path)
    try:
        torch.set_num_threads(before + 1)
        with pytest.warns(TidegateWarning, match=f"began with {before} threads and goes on with {before + 1}"):
            train(task, layer, plan_with(epochs=1), checkpoint=path)
    finally:
        torch.set_num_threads(before)


def test_a_checkpoint_holds_its_cell_as_data(task, tmp_path, saved_always) -> None:
    path = tmp_path / "run.safetensors"
    train(task, layer, plan_with(epochs=1), checkpoint=path)
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
    outcome = train(task, lambda n: Recurrent("rnn/relu", n, 6), plan_with(learning_rate=1e30))
    assert outcome.diverged
    assert not math.isfinite(outcome.curve[-1].valid)
    assert len(outcome.curve) < PLAN.setting.epochs


def test_patience_and_rate() -> None:
    state = RunState(rate=1.0)
    plan = plan_with(epochs=100, patience=4, patience_rate=2)
    for epoch, valid in enumerate([3.0, 2.0, 2.5, 2.5, 2.5, 2.5], start=1):
        assert not state.finished(plan.setting)
        record = EpochRecord(epoch, 0.0, valid, 0.0, state.rate, 0.0)
        assert state.take(record, plan.setting) == (epoch <= 2)
    assert state.finished(plan.setting)
    assert [epoch.learning_rate for epoch in state.curve] == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]


def run_with(monkeypatch, task, plan, steps):
    """Train; gradients as ``clip_grad_norm_`` is given them, the norms it tells, and the rates of the optimizer."""
    seen = []
    clip = torch.nn.utils.clip_grad_norm_

    def watched(parameters, most):
        parameters = list(parameters)
        raw = torch.cat([parameter.grad.flatten() for parameter in parameters])
        norm = clip(parameters, most)
        seen.append((raw, torch.cat([parameter.grad.flatten() for parameter in parameters]), norm))
        return norm

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", watched)
    outcome = train(task, layer, plan, on_step=steps.append)
    return outcome, seen


def test_gradients_are_clipped_and_the_raw_norm_is_told(task, monkeypatch) -> None:
    steps = []
    outcome, seen = run_with(monkeypatch, task, plan_with(epochs=1, clip=0.05), steps)
    norms = [float(raw.square().sum().sqrt()) for raw, _, _ in seen]
    assert [step.gradient_norm for step in steps] == pytest.approx(norms, rel=1e-5)
    assert outcome.curve[0].gradient_norm == pytest.approx(sum(norms) / len(norms), rel=1e-5)
    for (raw, clipped, _), norm in zip(seen, norms, strict=True):
        torch.testing.assert_close(clipped, raw * min(1.0, 0.05 / norm), rtol=1e-4, atol=0)
    assert max(norms) > 0.05


class TestSchedules:
    def rates(self, task, **change) -> tuple[list[float], list[float]]:
        """The rates of all steps as the optimizer had them, and of all epochs as the curve has them."""
        taken = []
        step = torch.optim.Adam.step

        def watched(optimizer, *arguments):
            taken.append(optimizer.param_groups[0]["lr"])
            return step(optimizer, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.optim.Adam, "step", watched)
            outcome = train(task, layer, plan_with(learning_rate=0.01, **change))
        return taken, [epoch.learning_rate for epoch in outcome.curve]

    def test_constant(self, task) -> None:
        steps, epochs = self.rates(task, schedule="constant", epochs=3, patience=3, patience_rate=1)
        assert set(steps) == set(epochs) == {0.01}

    def test_cosine(self, task) -> None:
        steps, epochs = self.rates(task, schedule="cosine", epochs=4, patience=4)
        a_quarter = 0.01 * (1 + 2**-0.5) / 2
        assert epochs == pytest.approx([0.01, a_quarter, 0.005, 0.01 - a_quarter])
        assert list(dict.fromkeys(steps)) == pytest.approx(epochs)

    def test_warm_up(self, task) -> None:
        steps, _ = self.rates(task, schedule="constant", warmup=5, epochs=2)
        assert steps[:7] == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01, 0.01, 0.01])
        assert set(steps[7:]) <= {0.01}

    def test_warm_up_goes_on_over_epochs_and_times_the_cosine(self, task) -> None:
        steps, epochs = self.rates(task, schedule="cosine", warmup=1000, epochs=2, patience=2)
        assert steps[:2] == pytest.approx([1e-5, 2e-5])
        assert steps[-1] == epochs[-1] == pytest.approx(1e-5 * len(steps) * 0.5)
        assert epochs[0] == max(steps)

    def test_plateau(self) -> None:
        state, plan = RunState(rate=0.8), plan_with(epochs=9, patience=9, patience_rate=2)
        rates = []
        for epoch, valid in enumerate([5.0, 5.0, 5.0, 4.0, 4.5, 4.5, 4.5, 4.5], start=1):
            rates.append(state.step_rate(plan.setting, 100))
            state.take(EpochRecord(epoch, 0.0, valid, 0.0, 0.0, 0.0), plan.setting)
        assert rates == pytest.approx([0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2])
        assert state.rate == pytest.approx(0.1)


def test_weight_decay_is_decoupled(task) -> None:
    """Without clipping, AdamW's first step is Adam's and -rate * decay * parameter."""
    made = {}
    for decay in (0.0, 0.5):
        steps = []

        def stop(record, steps=steps) -> None:
            steps.append(record)
            raise KeyboardInterrupt

        run = loop._Run(task, layer, plan_with(weight_decay=decay, dropout=0.0), None, stop)
        torch.manual_seed(0)
        for parameter in run.model.parameters():
            torch.nn.init.normal_(parameter)
        first = [parameter.detach().clone() for parameter in run.model.parameters()]
        with pytest.raises(KeyboardInterrupt):
            run.epoch()
        made[decay] = [parameter.detach() for parameter in run.model.parameters()]
    for start, plain, decayed in zip(first, made[0.0], made[0.5], strict=True):
        torch.testing.assert_close(decayed, plain - 4e-3 * 0.5 * start, rtol=1e-5, atol=1e-7)


def test_the_running_mean_by_hand(task, monkeypatch) -> None:
    """It is validated and kept; the steps themselves go on from the parameters."""
    plans = [plan_with(epochs=2, averaging=averaging) for averaging in (0.0, 0.6)]
    seen, scored = [], []
    monkeypatch.setattr(loop, "evaluate", lambda task, model, split, _: scored.append(flat(model)) or 1 / len(scored))
    for plan in plans:
        torch.manual_seed(0)
        run = loop._Run(task, layer, plan, None, lambda _: seen.append(flat(run.model)))  # noqa: B023
        first = flat(run.model)
        run.epoch()
        run.epoch()
        assert torch.equal(flat(run.outcome().model), scored[-1])
    steps = len(seen) // 2
    plain, own = seen[:steps], seen[steps:]
    assert all(map(torch.equal, plain, own))
    mean = first
    for step, parameters in enumerate(own):
        share = min(0.6, (step + 1) / (step + 10))
        mean = share * mean + (1 - share) * parameters
    torch.testing.assert_close(scored[-1], mean)
    assert not torch.allclose(scored[-1], own[-1])


def flat(model) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_training_stops_when_validation_no_longer_improves(task, monkeypatch) -> None:
    scores = iter([3.0, 2.0, 2.5, 2.0, 2.1, 1.0])
    weights = []

    def scored(task, model, split, _):
        weights.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(loop, "evaluate", scored)
    outcome = train(task, layer, plan_with(epochs=50, patience=3))
    assert [epoch.valid for epoch in outcome.curve] == [3.0, 2.0, 2.5, 2.0, 2.1]
    assert (outcome.best_epoch, outcome.best_valid) == (2, 2.0)
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in outcome.model.state_dict().items())


def test_checkpoints_take_a_small_share_of_the_time(task, tmp_path, monkeypatch) -> None:
    """A checkpoint that takes a second is followed by fifty without one."""
    now = [0.0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
    run = loop._Run(task, layer, PLAN, tmp_path / "c", None)
    monkeypatch.setattr(Checkpoint, "save", lambda *_: now.__setitem__(0, now[0] + 1.0))
    now[0] += 1.9
    assert not run._due()
    now[0] += 0.2
    assert run._due()
    run.save()
    now[0] += 49.0
    assert not run._due()
    now[0] += 2.0
    assert run._due()


@pytest.mark.parametrize(
    "part", ["model.head.bias", "best.head.bias", "mean.head.bias", "adam.0.exp_avg", "process0.random", "order"]
)
def test_a_checkpoint_that_lacks_a_part_is_one_clear_error(task, tmp_path, saved_always, part) -> None:
    path, plan = tmp_path / "run.safetensors", plan_with(epochs=1, averaging=0.9)
    train(task, layer, plan, checkpoint=path)
    saved = Checkpoint.load(path)
    assert part in saved.tensors
    Checkpoint({name: tensor for name, tensor in saved.tensors.items() if name != part}, saved.data).save(path)
    with pytest.raises(InputError, match=r"run\.safetensors"):
        train(task, layer, plan, checkpoint=path)


def test_a_batch_in_another_precision_is_the_same_batch() -> None:
    batch = Batch(
        torch.rand(3, 2, 1), torch.ones(3, 2, dtype=torch.int64), torch.tensor([3, 2]), starts=False, context=1
    )
    other = batch.to(torch.float64)
    assert (other.inputs.dtype, other.targets.dtype, other.lengths.dtype) == (torch.float64, torch.int64, torch.int64)
    assert (other.starts, other.context) == (False, 1)
    assert torch.equal(other.inputs.float(), batch.inputs)
