"""One training run, the same for every cell and every task."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.records import EpochRecord, StepRecord
from tidegate.tasks.task import AnyTask, Batch, MakeLayer, Measure, Split
from tidegate.train.carry import detached, flattened, unflattened
from tidegate.train.checkpoint import Checkpoint, compartment, prefixed
from tidegate.train.plan import Plan
from tidegate.train.world import World

SAVE_EVERY_SECONDS = 2.0  # short steps need no checkpoint each; resuming is exact from any of them


@dataclass(frozen=True)
class Outcome:
    """A trained model with the parameters of its best epoch, and how it got there."""

    model: Any
    diverged: bool
    best_valid: float
    best_epoch: int
    curve: tuple[EpochRecord, ...]


@dataclass
class _Epoch:
    """Where a run stands inside an epoch; sums are over its steps so far."""

    steps: int = 0
    loss: float = 0.0
    count: int = 0
    norms: float = 0.0
    seconds: float = 0.0


@dataclass
class _Progress:
    """What a run remembers beside tensors."""

    rate: float
    curve: list[EpochRecord] = field(default_factory=list)
    best_valid: float = math.inf
    best_epoch: int = 0
    rate_epoch: int = 0  # the epoch from which patience_rate counts
    diverged: bool = False
    steps: int = 0  # in all epochs
    now: _Epoch = field(default_factory=_Epoch)

    def finished(self, plan: Plan) -> bool:
        epoch = len(self.curve)
        return self.diverged or epoch >= plan.epochs or epoch - self.best_epoch >= plan.patience

    def take(self, record: EpochRecord, plan: Plan) -> bool:
        """Add an epoch; True if it is the best so far."""
        self.curve.append(record)
        if record.valid < self.best_valid:
            self.best_valid, self.best_epoch, self.rate_epoch = record.valid, record.epoch, record.epoch
            return True
        if plan.schedule == "plateau" and record.epoch - self.rate_epoch >= plan.patience_rate:
            self.rate, self.rate_epoch = self.rate / 2, record.epoch
        return False


def train(
    task: AnyTask,
    layer: MakeLayer,
    plan: Plan,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
    on_step: Callable[[StepRecord], None] | None = None,
) -> Outcome:
    """Train until validation no longer improves.

    The result depends on the arguments alone: neither on the global random state, which is left as
    it was, nor on interruptions, since a run goes on from ``checkpoint`` exactly where it was, in the middle of an
    epoch too. Processes that torchrun started share the rows of every batch and end with the same model.

    Args:
        task: data, model, loss and metric.
        layer: makes recurrent layers from the number of features that they read.
        plan: seeds and settings.
        checkpoint: where to keep the state of the run; go on from it if it exists.
        on_epoch: told about every epoch that this call trains.
        on_step: told about every step.

    Raises:
        InputError: ``checkpoint`` belongs to another run, or is damaged.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(plan.initial_seed)  # torch.manual_seed would seed every device
        run = _Run(task, layer, plan, checkpoint, on_step)
        if checkpoint is not None and checkpoint.exists():
            run.restore(Checkpoint.load(checkpoint))
        while not run.progress.finished(plan):
            on_epoch(run.epoch())
            run.save()  # behind on_epoch: an epoch that nobody was told about is trained again
        return run.outcome()


def evaluate(task: AnyTask, model: torch.nn.Module, split: Split) -> float:
    """The task's metric on one split."""
    world = World()
    model.eval()
    error, count, state = 0.0, 0, None
    with torch.inference_mode():
        for whole in task.batches(split):
            batch, counts = world.share(whole)
            outputs, state = model(batch, None if batch.starts else state)
            if counts:
                measure = task.measure(outputs, batch)
                error, count = error + measure.error, count + measure.count
    error, total = world.total(error, count)
    return task.score(error, int(total))


class _Run:
    def __init__(
        self,
        task: AnyTask,
        layer: MakeLayer,
        plan: Plan,
        path: Path | None,
        on_step: Callable[[StepRecord], None] | None,
    ) -> None:
        self.task, self.plan, self.path, self.on_step = task, plan, path, on_step
        self.world = World()
        self.model = task.model(layer, plan.dropout)
        if plan.precision == "float64":
            self.model.double()
        self.joined = self.world.joined(self.model)
        if not self.world.first:
            torch.default_generator.manual_seed(plan.initial_seed + self.world.rank)  # other masks for other rows
        self.optimizer = _optimizer(self.model, plan)
        self.order = torch.Generator().manual_seed(plan.order_seed)
        self.order_state = self.order.get_state()  # as it was when the present epoch began
        self.progress = _Progress(rate=plan.learning_rate)
        self.best = _copied(self.model.state_dict())
        self.carry: Any = None
        self.saved = time.monotonic()

    def epoch(self) -> EpochRecord:
        """Train on every batch once, or on those that are left, then validate."""
        start = time.perf_counter()
        now = self.progress.now
        finite = self._train_epoch()
        loss, count = self.world.total(now.loss, now.count)
        loss = loss / count if finite else math.nan
        valid = evaluate(self.task, self.model, "valid") if math.isfinite(loss) else math.nan
        record = EpochRecord(
            epoch=len(self.progress.curve) + 1,
            train=loss,
            valid=valid,
            gradient_norm=now.norms / now.steps,
            learning_rate=self.progress.rate,
            seconds=now.seconds + time.perf_counter() - start,
        )
        self.progress.diverged = not math.isfinite(valid)
        if self.progress.take(record, self.plan):
            self.best = _copied(self.model.state_dict())
        self.progress.now, self.carry, self.order_state = _Epoch(), None, self.order.get_state()
        return record

    def _train_epoch(self) -> bool:
        """All steps that are left; False as soon as a gradient is not finite."""
        self.model.train()
        total = self._count_steps() if self.on_step else 0
        before = self.progress.now.seconds
        start = time.perf_counter()
        for batch in self._left_batches():
            now, begun = self.progress.now, time.perf_counter()
            measure, norm = self._step(batch)
            now.norms, now.steps, self.progress.steps = now.norms + norm, now.steps + 1, self.progress.steps + 1
            if not math.isfinite(norm):
                return False
            now.loss, now.count = now.loss + float(measure.loss.detach()), now.count + measure.count
            now.seconds = before + time.perf_counter() - start
            if self.on_step:
                self.on_step(self._record(measure, norm, total, time.perf_counter() - begun))
            if self.world.size == 1:  # several processes must agree on the moment, so they save between epochs only
                self.save()
        now = self.progress.now
        now.seconds = before  # the caller's clock has run over all of this
        return True

    def _left_batches(self) -> Iterator[Batch]:
        """The batches of the present epoch from the present step on."""
        self.order.set_state(self.order_state)
        for index, batch in enumerate(self.task.batches("train", self.order)):
            if index >= self.progress.now.steps:
                yield batch

    def _step(self, whole: Batch) -> tuple[Measure, float]:
        batch, counts = self.world.share(whole)
        for group in self.optimizer.param_groups:
            group["lr"] = self.progress.rate * self.plan.factor(len(self.progress.curve), self.progress.steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.plan.precision == "bfloat16"):
            outputs, self.carry = self.joined(batch, None if batch.starts else detached(self.carry))
            measure = self.task.measure(outputs, batch)
        if not counts:
            measure = Measure(0 * measure.loss, 0.0, 0)
        self.optimizer.zero_grad(set_to_none=True)
        (count,) = self.world.total(measure.count)
        (measure.loss * (self.world.size / count)).backward()
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip))
        if math.isfinite(norm):
            self.optimizer.step()
        return measure, norm

    def _record(self, measure: Measure, norm: float, total: int, seconds: float) -> StepRecord:
        loss = float(measure.loss.detach()) / max(1, measure.count)
        epoch = len(self.progress.curve) + 1
        return StepRecord(epoch, self.progress.now.steps, total, loss, norm, measure.count, seconds)

    def _count_steps(self) -> int:
        order = torch.Generator()
        order.set_state(self.order_state)
        return sum(1 for _ in self.task.batches("train", order))

    def outcome(self) -> Outcome:
        self.model.load_state_dict(self.best)
        done = self.progress
        return Outcome(self.model, done.diverged, done.best_valid, done.best_epoch, tuple(done.curve))

    def save(self) -> None:
        """Write a checkpoint if it is time for one."""
        if self.path is None:
            return
        between = not self.progress.now.steps
        if (self.world.size > 1 and between) or time.monotonic() - self.saved > SAVE_EVERY_SECONDS:
            checkpoint = self.checkpoint()
            if self.world.first:
                checkpoint.save(self.path)
            self.saved = time.monotonic()

    def checkpoint(self) -> Checkpoint:
        own = {"random": torch.get_rng_state(), **prefixed("carry", flattened(self.carry))}
        moments = {
            f"{k}.{name}": tensor
            for k, moment in self.optimizer.state_dict()["state"].items()
            for name, tensor in moment.items()
        }
        tensors = {
            **prefixed("model", self.model.state_dict()),
            **prefixed("best", self.best),
            **prefixed("adam", moments),
            "order": self.order_state,
        }
        for rank, one in enumerate(self.world.gathered(own)):
            tensors |= prefixed(f"process{rank}", one)
        return Checkpoint(tensors, {**self._identity(), "progress": dataclasses.asdict(self.progress)})

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree in to be this run's: its plan, its data and its cells, as data."""
        layers = [module for module in self.model.modules() if isinstance(module, Recurrent)]
        data = {name: value for name, value in self.task.to_json().items() if name != "source"}
        return {
            "plan": dataclasses.asdict(self.plan),
            "task": data,
            "layers": [{"graph": layer.graph.to_json(), "made": repr(layer)} for layer in layers],
            "processes": self.world.size,
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        identity = self._identity()
        other = next((name for name in identity if checkpoint.data.get(name) != identity[name]), None)
        if other:
            what = {"plan": "settings", "task": "data", "layers": "layers", "processes": "number of processes"}[other]
            raise InputError(
                "CHECKPOINT_OTHER_RUN",
                f"{self.path} belongs to a run with other {what}",
                fix="delete it, or choose another place for this run",
            )
        progress = dict(checkpoint.data["progress"])
        curve = [EpochRecord(**epoch) for epoch in progress.pop("curve")]
        now = _Epoch(**progress.pop("now"))
        self.progress = _Progress(**progress, curve=curve, now=now)
        self.model.load_state_dict(compartment("model", checkpoint.tensors))
        self.best = compartment("best", checkpoint.tensors)
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in compartment("adam", checkpoint.tensors).items():
            k, name = key.split(".")
            moments.setdefault(int(k), {})[name] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        own = compartment(f"process{self.world.rank}", checkpoint.tensors)
        self.carry = unflattened(compartment("carry", own))
        torch.set_rng_state(own["random"])
        self.order_state = checkpoint.tensors["order"]


def _optimizer(model: torch.nn.Module, plan: Plan) -> torch.optim.Optimizer:
    if plan.weight_decay:
        return torch.optim.AdamW(model.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True)
    return torch.optim.Adam(model.parameters(), lr=plan.learning_rate, fused=True)


def _copied(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
