"""Choose on validation what settings leave open: train each candidate for a few epochs, and go on with the best."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tidegate.errors import InputError
from tidegate.plain import read_json, typed
from tidegate.storage import replace_file
from tidegate.train.checkpoint import Checkpoint
from tidegate.train.fitted import is_private
from tidegate.train.loop import OnStep, Outcome, identity, train
from tidegate.train.plan import Plan
from tidegate.train.task import AnyTask, MakeLayer
from tidegate.train.world import World

SCORES = "search.json"
SHORT, LONG = 10, 4  # the epochs of a training, divided by these: those of each candidate, of the best two
STEPS = 200  # enough for the first round
MOST = 2  # epochs of all candidates but the chosen one, in trainings


@dataclass
class Candidate:
    """A task to choose, and its training so far."""

    task: AnyTask
    path: Path | None
    outcome: Outcome | None = None
    paused: Checkpoint | None = None
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """The latest score."""
        return list(self.scores.values())[-1]


@dataclass(frozen=True)
class Found:
    """The chosen task, where its training goes on, and what was said about the choice."""

    task: AnyTask
    checkpoint: Path | None
    paused: Checkpoint | None = None
    notes: tuple[str, ...] = ()


def search(
    task: AnyTask,
    layer: MakeLayer,
    plan: Plan,
    checkpoint: Path | None,
    told: Callable[[str], None] = lambda _: None,
    on_step: OnStep | None = None,
) -> Found:
    """Choose among the candidates of a task, by successive halving in two rounds.

    All candidates are trained for a tenth of the epochs, or fewer if these are 200 steps; the best two go on to two and
    a half times as many, and the better of them is trained on from there. So of six candidates the others take at most
    0.65 of the largest number of epochs. Candidates are scored by ``Task.judged``. The choice depends only on the
    arguments, not on interruptions.

    Args:
        task: the task.
        layer: makes the recurrent layers.
        plan: the recipe and its seeds.
        checkpoint: the file for the state of the run; those of candidates and their scores lie beside it.
        told: called with a line for each candidate.
        on_step: called after every step.

    References:
        Jamieson and Talwalkar 2016, arXiv 1502.07943.
    """
    made = task.candidates()
    if len(made) == 1:
        return Found(made[0], checkpoint)
    if is_private(task.setting):
        raise InputError(
            "PRIVATE_CANDIDATES",
            f"epsilon= trains one model, and these settings ask to choose among {len(made)}: "
            f"{'; '.join(one.title for one in made)}",
            fix="settle by settings what they leave open",
        )
    first = max(1, min(plan.setting.epochs // SHORT, math.ceil(STEPS / _steps(made[0], plan))))
    made = made[: max(1, MOST * plan.setting.epochs // first - 1)]
    memory = _Memory(checkpoint, task, plan)
    runs = [Candidate(one, checkpoint and _beside(checkpoint, place)) for place, one in enumerate(made)]
    for until, kept in ((first, 2), (max(first + 1, first * SHORT // LONG), 1)):
        for run in runs:
            _go_on(run, until, layer, plan, memory, on_step)
            told(f"tried {run.task.title}: {until} epoch{'s' * (until > 1)}, {_worth(run)}")
        runs = sorted(runs, key=lambda run: run.score)[:kept]
    (best,) = runs
    return Found(best.task, best.path, best.paused, (f"chosen on validation: {best.task.title}",))


def _worth(run: Candidate) -> str:
    if math.isinf(run.score):
        return "diverged"
    return f"gain in validation {-run.score:.3g}" if run.score < 0 else "no gain in validation"


def _go_on(run: Candidate, until: int, layer: MakeLayer, plan: Plan, memory: _Memory, on_step: OnStep | None) -> None:
    """Train a candidate up to this epoch and score it, unless that was done before."""
    key = f"{run.task.title}, {until}"
    if key not in memory.scores:
        outcome = train(run.task, layer, plan, checkpoint=run.path, on_step=on_step, until=until, paused=run.paused)
        run.paused = outcome.paused
        with torch.inference_mode():
            memory.keep(key, math.inf if outcome.diverged else run.task.judged(outcome.model))
    run.scores[key] = memory.scores[key]


def _steps(task: AnyTask, plan: Plan) -> int:
    """The number of steps in an epoch."""
    return max(1, sum(1 for _ in task.batches("train", torch.Generator().manual_seed(plan.order_seed))))


def _beside(checkpoint: Path, place: int) -> Path:
    return checkpoint.with_name(f"{checkpoint.stem}-{place}{checkpoint.suffix}")


def clean(checkpoint: Path) -> None:
    """Remove a checkpoint, those of candidates, drafts of killed processes, and scores of candidates."""
    name, suffix = checkpoint.stem, checkpoint.suffix
    others = (path for pattern in (f"{name}-*{suffix}", f".{name}*.draft") for path in checkpoint.parent.glob(pattern))
    for path in (checkpoint, *others, _scores(checkpoint)):
        path.unlink(missing_ok=True)


def _scores(checkpoint: Path) -> Path:
    return checkpoint.with_name(SCORES)


class _Memory:
    """The scores so far, in a file beside the checkpoint: a candidate that went on is no longer what was scored."""

    def __init__(self, checkpoint: Path | None, task: AnyTask, plan: Plan) -> None:
        self._path = checkpoint and _scores(checkpoint)
        self._run = hashlib.sha256(json.dumps(identity(task, plan), sort_keys=True).encode()).hexdigest()
        self.scores: dict[str, float] = {}
        if self._path is not None and self._path.exists():
            self.scores = self._read(self._path)

    def _read(self, path: Path) -> dict[str, float]:
        try:
            data: dict[str, dict[str, float]] = typed(read_json(path.read_bytes()), dict[str, dict[str, float]], SCORES)
        except (InputError, OSError) as error:
            raise InputError("CHECKPOINT_DAMAGED", f"{path} is not readable: {error}", fix="delete it") from error
        if set(data) != {self._run}:
            raise InputError(
                "CHECKPOINT_OTHER_RUN",
                f"{path} belongs to a run with other settings or data",
                fix="delete it, or choose another folder for this run",
            )
        return data[self._run]

    def keep(self, key: str, score: float) -> None:
        self.scores[key] = score
        if self._path is not None and World().first:
            replace_file(self._path, json.dumps({self._run: self.scores}).encode())
