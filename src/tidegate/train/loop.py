"""The training loop, the same for every cell and every task."""

from __future__ import annotations

import dataclasses
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tidegate.errors import InputError, TidegateWarning
from tidegate.nn import Recurrent
from tidegate.phase import counted, phase
from tidegate.records import EpochRecord, PrivacyRecord, StepRecord
from tidegate.train.adversarial import AdversarialStep
from tidegate.train.batch import Batch
from tidegate.train.checkpoint import Checkpoint, compartment, prefixed
from tidegate.train.crowd import unhindered
from tidegate.train.fitted import is_private
from tidegate.train.lean import Lean
from tidegate.train.plan import Plan
from tidegate.train.precision import prepared
from tidegate.train.private import PrivateStep
from tidegate.train.smooth import SmoothStep
from tidegate.train.state import EpochState, RunState, decay
from tidegate.train.step import Kept, Step, Taken, dtype_of
from tidegate.train.task import AnyTask, MakeLayer, Split
from tidegate.train.world import World

SAVE_EVERY_SECONDS = 2.0  # at most one checkpoint in this time; resuming is exact from any of them
SAVE_SHARE = 0.02  # the largest share of the time to spend on checkpoints, so those of large models are rarer
PHASES = {"train": "scoring the training data", "valid": "validation", "test": "scoring"}
ADDRESSES = ("source", "valid", "test", "cache")  # data may move: their hash identifies them, not their address

OnStep = Callable[[StepRecord], None]


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    Attributes:
        model: the trained model, with the weights of its best epoch.
        diverged: whether a loss or a gradient was not finite.
        best_valid: the best validation score.
        best_epoch: its epoch; 0 if there is none.
        curve: the record of each epoch.
        paused: the state from which to go on, if the run has not ended.
        privacy: what is promised to whom the training part belongs to; None for nothing.
    """

    model: Any
    diverged: bool
    best_valid: float
    best_epoch: int
    curve: tuple[EpochRecord, ...]
    paused: Checkpoint | None = None
    privacy: PrivacyRecord | None = None


def train(
    task: AnyTask,
    layer: MakeLayer,
    plan: Plan,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
    on_step: OnStep | None = None,
    until: int | None = None,
    paused: Checkpoint | None = None,
) -> Outcome:
    """Train with Adam until validation no longer improves.

    The result depends only on the arguments: not on the global random state, which stays as it is, and not on
    interruptions, since a run resumes exactly from ``checkpoint``, even in the middle of an epoch. Processes started
    by torchrun share the rows of every batch and end with the same model.

    Args:
        task: data, model, loss and metric.
        layer: makes the recurrent layers.
        plan: the recipe and its seeds.
        checkpoint: file for the state of the run, which resumes from it if it exists; None for no checkpoints.
        on_epoch: called after every epoch that this call trains.
        on_step: called after every step.
        until: the epoch after which to pause; None to go on to the end.
        paused: where to go on; from ``checkpoint`` unless given.

    Returns:
        The trained model and its history; a run that diverged returns, too.

    Raises:
        InputError: ``checkpoint`` belongs to another run, or is damaged.

    References:
        Kingma and Ba 2015, arXiv 1412.6980; with weight decay, Loshchilov and Hutter 2019, arXiv 1711.05101.
    """
    with torch.random.fork_rng(devices=[]), unhindered() as look:
        torch.default_generator.manual_seed(plan.initial_seed)  # torch.manual_seed would seed every device
        run = _Run(task, layer, plan, checkpoint, on_step, look)
        if paused is None and checkpoint is not None and checkpoint.exists():
            paused = Checkpoint.load(checkpoint)
        if paused is not None:
            run.restore(paused)
        while not run.finished(until):
            on_epoch(run.epoch())
            run.save_if_due()  # after on_epoch, so that an epoch that was never reported is trained again
        return run.outcome(until)


def evaluate(
    task: AnyTask, model: torch.nn.Module, split: Split, hardened: Callable[[Batch], Batch] | None = None
) -> float:
    """Score a model by the task's metric.

    Args:
        task: the data and the metric.
        model: put into evaluation mode.
        split: the part of the data.
        hardened: makes the batch that is scored in place of one; that batch itself, unless given.

    Returns:
        The score, in the unit of the task; lower is better.
    """
    world, dtype = World(), dtype_of(model)
    model.eval()
    error, count, state = 0.0, 0, None
    with torch.inference_mode():
        for whole in counted(PHASES[split], task.batches(split), task.count(split)):
            batch, counts = world.share(whole.to(dtype))
            batch = batch if hardened is None else hardened(batch)
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
        on_step: OnStep | None,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self.task, self.plan, self.setting, self.path = task, plan, plan.setting, path
        self.on_step, self.look = on_step, look
        self.world = World()
        self.model = prepared(task.model(layer, self.setting), self.setting)
        layers = [module for module in self.model.modules() if isinstance(module, Recurrent)]
        self.made = [{"graph": layer.graph.to_json(), "made": repr(layer)} for layer in layers]
        chosen = {PrivateStep: is_private(self.setting), SmoothStep: self.setting.smooth is not None}
        chosen |= {AdversarialStep: self.setting.adversarial is not None}
        kind = next((kind for kind, asked in chosen.items() if asked), Step)
        self.step = kind(task, self.model, plan, self.world)
        if not self.world.first:
            torch.default_generator.manual_seed(plan.initial_seed + self.world.rank)  # other masks for other rows
        self.state = RunState(rate=self.setting.learning_rate)
        self.lean = Lean(self.model, self.setting, self.step.count)
        self.best = _copied(self.model.state_dict())
        self.mean = _copied(dict(self.model.named_parameters())) if self.setting.averaging else {}
        self.steps = 0  # in an epoch; 0 until counted
        self.saved, self.pause = time.monotonic(), SAVE_EVERY_SECONDS

    def epoch(self) -> EpochRecord:
        """Train on the remaining batches of the epoch, then validate."""
        phase(f"epoch {len(self.state.curve) + 1}", self.state.now.steps, self.steps)
        start = time.perf_counter()
        before = self.state.now.seconds
        finite = self._train_epoch(start - before)
        now = self.state.now
        loss = now.loss / max(1, now.count) if finite else math.nan
        with self._averaged():
            valid = evaluate(self.task, self.model, "valid", self.step.hardened) if math.isfinite(loss) else math.nan
            record = EpochRecord(
                epoch=len(self.state.curve) + 1,
                train=loss,
                valid=valid,
                gradient_norm=now.norms / max(1, now.steps),
                learning_rate=self.state.step_rate(self.setting, self.state.steps - 1),
                seconds=before + time.perf_counter() - start,
                epsilon=self._spent(),
            )
            self.state.diverged = not math.isfinite(valid)
            if self.state.take(record.kept if is_private(self.setting) else record, self.setting):
                self.best = _copied(self.model.state_dict())
        self.state.now = EpochState()
        self.step.end_epoch()
        return record

    def _spent(self) -> float | None:
        """The epsilon of all steps so far, if there is one."""
        promise = self.step.statement(self.state.steps)
        return None if promise is None else promise.epsilon

    def _train_epoch(self, start: float) -> bool:
        """Take the remaining steps of the epoch that began at ``start``; False as soon as a gradient is not finite."""
        self.model.train()
        if self.on_step and not self.steps:
            self.steps = self.step.count()
        for batch in self.step.batches(self.state.now.steps):
            begun = time.perf_counter()
            rate = self.state.step_rate(self.setting, self.state.steps)
            taken = self.step.take(batch, rate, due=self._due())
            finite = self._count(taken, rate)
            if not finite:
                return False
            self.state.now.seconds = time.perf_counter() - start
            if self.on_step:
                self.on_step(self._record(taken, time.perf_counter() - begun))
            if taken.due:
                self.save()
            self.look()
        return True

    def _count(self, taken: Taken, rate: float) -> bool:
        """Add a step to what was done; False if its gradient is not finite."""
        now, finite = self.state.now, math.isfinite(taken.norm)
        if finite:
            self._average_in()
            self.lean.step(rate, self.mean)
            now.loss, now.count = now.loss + taken.loss, now.count + taken.count
        now.norms, now.steps, self.state.steps = now.norms + taken.norm, now.steps + 1, self.state.steps + 1
        return finite

    def _average_in(self) -> None:
        share = 1 - decay(self.setting, self.state.steps)
        for name, parameter in self.model.named_parameters() if self.mean else ():
            self.mean[name].lerp_(parameter.detach(), share)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Use the moving average of the weights, if there is one, in place of the weights."""
        if not self.mean:
            yield
            return
        own = _copied(dict(self.model.named_parameters()))
        self.model.load_state_dict(self.mean, strict=False)
        yield
        self.model.load_state_dict(own, strict=False)

    def _record(self, taken: Taken, seconds: float) -> StepRecord:
        epoch, step = len(self.state.curve) + 1, self.state.now.steps
        mean = taken.loss / max(1, taken.count)
        return StepRecord(epoch, step, self.steps, mean, taken.norm, taken.count, seconds, self.state.steps)

    def finished(self, until: int | None) -> bool:
        """Whether training ends or pauses here."""
        return self.state.finished(self.setting) or (until is not None and len(self.state.curve) >= until)

    def outcome(self, until: int | None = None) -> Outcome:
        if self.step.finish():
            self.save()
        paused = None if until is None else self.save().copied()
        self.model.load_state_dict(self.best)
        state = self.state
        curve, promise = tuple(state.curve), self.step.statement(state.steps)
        return Outcome(self.model, state.diverged, state.best_valid, state.best_epoch, curve, paused, promise)

    def _due(self) -> bool:
        """Whether this process asks for a checkpoint: the first one's clock decides for all."""
        return self.path is not None and self.world.first and time.monotonic() - self.saved > self.pause

    def save_if_due(self) -> None:
        """Write a checkpoint if it is time for one."""
        if any(self.world.total(self._due())):
            self.save()

    def save(self) -> Checkpoint:
        """Make a checkpoint and write it; the first process writes it, the others contribute their states."""
        begun = time.monotonic()
        checkpoint = self.checkpoint()
        if self.path is not None and self.world.first:
            checkpoint.save(self.path)
        self.saved = time.monotonic()
        self.pause = max(SAVE_EVERY_SECONDS, (self.saved - begun) / SAVE_SHARE)
        return checkpoint

    def checkpoint(self) -> Checkpoint:
        own = {"random": torch.get_rng_state(), **self.step.own()}
        tensors = {
            **prefixed("model", self.model.state_dict()),
            **prefixed("best", self.best),
            **prefixed("mean", self.mean),
            **self.step.tensors(),
        }
        for rank, process in [*enumerate(self.world.gathered(own)), (self.world.rank, own)]:
            tensors |= prefixed(f"process{rank}", process)
        state = {"state": dataclasses.asdict(self.state), "threads": torch.get_num_threads(), "step": self.step.data()}
        return Checkpoint(tensors, {**self._identity(), **state})

    def _identity(self) -> dict[str, Any]:
        """What must be equal for a checkpoint to belong to this run: plan, data, layers, number of processes."""
        own = {**identity(self.task, self.plan), "layers": self.made, "processes": self.world.size}
        comparable: dict[str, Any] = json.loads(json.dumps(own))  # as in the file, where tuples are lists
        return comparable

    def restore(self, checkpoint: Checkpoint) -> None:
        identity = self._identity()
        part = next((name for name in identity if checkpoint.data.get(name) != identity[name]), None)
        if part:
            what = {"plan": "settings", "task": "data", "layers": "layers", "processes": "number of processes"}[part]
            raise InputError(
                "CHECKPOINT_OTHER_RUN",
                f"{self.path} belongs to a run with other {what}",
                fix="delete it, or choose another folder for this run",
            )
        try:
            self._load(checkpoint)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
            raise InputError(
                "CHECKPOINT_DAMAGED", f"{self.path} is incomplete: {reason}", fix="delete it to start afresh"
            ) from error

    def _load(self, checkpoint: Checkpoint) -> None:
        self.state = RunState.from_json(checkpoint.data.get("state"))
        self.best = compartment("best", checkpoint.tensors)
        for part in (self.best, compartment("model", checkpoint.tensors)):
            self.model.load_state_dict(part)
        mean = compartment("mean", checkpoint.tensors)
        self.mean = {name: mean[name] for name in self.mean}
        own = compartment(f"process{self.world.rank}", checkpoint.tensors)
        ended = self.state.finished(self.setting)
        self.step.load(Kept(checkpoint.tensors, own, checkpoint.data.get("step", {}), self.state.steps, ended))
        self.lean.resume(self.state.steps)
        torch.set_rng_state(own["random"])
        before, now = checkpoint.data.get("threads"), torch.get_num_threads()
        if before not in (None, now):
            text = f"this run began with {before} threads and goes on with {now}, so its last digits may differ"
            warnings.warn(text, TidegateWarning, stacklevel=5)


def identity(task: AnyTask, plan: Plan) -> dict[str, Any]:
    """The plan and the data of a run as plain data, wherever the data are."""
    described = {name: value for name, value in task.to_json().items() if name not in ADDRESSES}
    own = {"title": task.title, "canaries": task.planted}
    named = {name: text for name, text in own.items() if text}
    return {"plan": dataclasses.asdict(plan), "task": {**described, **named}}


def _copied(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
