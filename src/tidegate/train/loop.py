"""One training run, the same for every cell and every task."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.records import EpochRecord
from tidegate.tasks.task import SequenceModel, Split, Task
from tidegate.train.checkpoint import Checkpoint, compartment, prefixed

SAVE_EVERY_SECONDS = 2.0  # short epochs need no checkpoint each; resuming is exact from any of them


@dataclass(frozen=True)
class Plan:
    """Everything that determines a run beside its task and its layer.

    Attributes:
        initial_seed: of the first parameters and of dropout.
        order_seed: of the order of the training data.
        learning_rate: of Adam at the start.
        dropout: on the outputs of the recurrent layer.
        epochs: the cap.
        patience: stop after so many epochs without a better validation score.
        patience_rate: halve the rate after so many.
        clip: the largest norm of the gradient.
    """

    initial_seed: int
    order_seed: int
    learning_rate: float
    dropout: float
    epochs: int
    patience: int
    patience_rate: int
    clip: float


@dataclass(frozen=True)
class Outcome:
    """A trained model with the parameters of its best epoch, and how it got there."""

    model: SequenceModel
    diverged: bool
    best_valid: float
    best_epoch: int
    curve: tuple[EpochRecord, ...]


@dataclass
class _Progress:
    """What a run remembers between epochs, beside tensors."""

    rate: float
    curve: list[EpochRecord] = field(default_factory=list)
    best_valid: float = math.inf
    best_epoch: int = 0
    rate_epoch: int = 0  # the epoch from which patience_rate counts
    diverged: bool = False

    def finished(self, plan: Plan) -> bool:
        epoch = len(self.curve)
        return self.diverged or epoch >= plan.epochs or epoch - self.best_epoch >= plan.patience

    def take(self, record: EpochRecord, plan: Plan) -> bool:
        """Add an epoch; True if it is the best so far."""
        self.curve.append(record)
        if record.valid < self.best_valid:
            self.best_valid, self.best_epoch, self.rate_epoch = record.valid, record.epoch, record.epoch
            return True
        if record.epoch - self.rate_epoch >= plan.patience_rate:
            self.rate, self.rate_epoch = self.rate / 2, record.epoch
        return False


def train(
    task: Task,
    layer: Callable[[int], Recurrent],
    plan: Plan,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
) -> Outcome:
    """Train until validation no longer improves.

    The result depends on the arguments alone: neither on the global random state, which is left as
    it was, nor on interruptions, since a run goes on from ``checkpoint`` exactly where it was.

    Args:
        task: data, model, loss and metric.
        layer: makes the recurrent layer from its input size.
        plan: seeds and settings.
        checkpoint: where to keep the state of the run; go on from it if it exists.
        on_epoch: told about every epoch that this call trains.

    Raises:
        InputError: ``checkpoint`` belongs to another run, or is damaged.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(plan.initial_seed)  # torch.manual_seed would seed every device
        run = _Run(task, layer, plan)
        if checkpoint is not None and checkpoint.exists():
            run.restore(Checkpoint.load(checkpoint), checkpoint)
        saved = time.monotonic()
        while not run.progress.finished(plan):
            on_epoch(run.epoch())
            if checkpoint is not None and time.monotonic() - saved > SAVE_EVERY_SECONDS:
                run.checkpoint().save(checkpoint)
                saved = time.monotonic()
        return run.outcome()


def evaluate(task: Task, model: SequenceModel, split: Split) -> float:
    """The task's metric on one split."""
    model.eval()
    error, count, state = 0.0, 0, None
    with torch.inference_mode():
        for batch in task.batches(split):
            outputs, state = model(batch, None if batch.starts else state)
            measure = task.measure(outputs, batch)
            error, count = error + measure.error, count + measure.count
    return task.score(error, count)


class _Run:
    def __init__(self, task: Task, layer: Callable[[int], Recurrent], plan: Plan) -> None:
        self.task, self.plan = task, plan
        self.model = task.model(layer, plan.dropout)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=plan.learning_rate, fused=True)
        self.order = torch.Generator().manual_seed(plan.order_seed)
        self.progress = _Progress(rate=plan.learning_rate)
        self.best = _copied(self.model.state_dict())

    def epoch(self) -> EpochRecord:
        """Train on every batch once, then validate."""
        start = time.perf_counter()
        rate = self.progress.rate
        loss, norm = self._train_epoch(rate)
        valid = evaluate(self.task, self.model, "valid") if math.isfinite(loss) else math.nan
        seconds = time.perf_counter() - start
        record = EpochRecord(len(self.progress.curve) + 1, loss, valid, norm, rate, seconds)
        self.progress.diverged = not math.isfinite(valid)
        if self.progress.take(record, self.plan):
            self.best = _copied(self.model.state_dict())
        return record

    def _train_epoch(self, rate: float) -> tuple[float, float]:
        """Mean loss and mean norm of the gradient; the loss is NaN as soon as one is not finite."""
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, count, norms = 0.0, 0, []
        state: Any = None
        for batch in self.task.batches("train", self.order):
            outputs, state = self.model(batch, None if batch.starts else _detached(state))
            measure = self.task.measure(outputs, batch)
            self.optimizer.zero_grad(set_to_none=True)
            (measure.loss / measure.count).backward()
            norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip))
            if not math.isfinite(norm):
                return math.nan, norm
            self.optimizer.step()
            loss, count = loss + float(measure.loss.detach()), count + measure.count
            norms.append(norm)
        return loss / count, sum(norms) / len(norms)

    def outcome(self) -> Outcome:
        self.model.load_state_dict(self.best)
        done = self.progress
        return Outcome(self.model, done.diverged, done.best_valid, done.best_epoch, tuple(done.curve))

    def checkpoint(self) -> Checkpoint:
        moments = {
            f"{k}.{name}": tensor
            for k, moment in self.optimizer.state_dict()["state"].items()
            for name, tensor in moment.items()
        }
        tensors = {
            **prefixed("model", self.model.state_dict()),
            **prefixed("best", self.best),
            **prefixed("adam", moments),
            "random.global": torch.get_rng_state(),
            "random.order": self.order.get_state(),
        }
        return Checkpoint(tensors, {**self._identity(), "progress": dataclasses.asdict(self.progress)})

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree in to be this run's: its plan and its cell, as data."""
        layer = self.model.layer
        cell = {"graph": layer.graph.to_json(), "input_size": layer.input_size, "hidden_size": layer.hidden_size}
        return {"plan": dataclasses.asdict(self.plan), "cell": cell}

    def restore(self, checkpoint: Checkpoint, path: Path) -> None:
        if {name: checkpoint.data.get(name) for name in ("plan", "cell")} != self._identity():
            raise InputError(
                "CHECKPOINT_OTHER_RUN",
                f"{path} belongs to a run with other settings or another cell",
                fix="delete it, or choose another place for this run",
            )
        progress = dict(checkpoint.data["progress"])
        curve = [EpochRecord(**epoch) for epoch in progress.pop("curve")]
        self.progress = _Progress(**progress, curve=curve)
        self.model.load_state_dict(compartment("model", checkpoint.tensors))
        self.best = compartment("best", checkpoint.tensors)
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in compartment("adam", checkpoint.tensors).items():
            k, name = key.split(".")
            moments.setdefault(int(k), {})[name] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        torch.set_rng_state(checkpoint.tensors["random.global"])
        self.order.set_state(checkpoint.tensors["random.order"])


def _copied(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _detached(state: Any) -> Any:
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
