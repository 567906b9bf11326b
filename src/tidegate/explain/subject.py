"""Who is explained: a trained model of any task on data of its test, or a module on an input of the caller's."""

from __future__ import annotations

import copy
import math
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tidegate.data import BUNDLED
from tidegate.errors import InputError
from tidegate.explain.change import TRAIN
from tidegate.explain.kind import KINDS, Aim, Kind, aim_of, halved
from tidegate.language import say
from tidegate.phase import counted, phase
from tidegate.records import ContextRecord, ShareRecord
from tidegate.tasks import from_pretrained
from tidegate.train.card import CONFIG
from tidegate.train.estimator import Estimator

MANY = 64  # sequences whose losses a context curve averages, over which parts of answers vary, and to learn from
AT_ONCE = 8  # sequences of a step of learning


@dataclass(frozen=True)
class Subject:
    """What is explained.

    Attributes:
        title: of the model, in words.
        task: its name; ``"module"`` for a module of the caller's.
        model: the folder, or the class.
        data: what the sequences are from.
        command: how the model is trained; commands of remedies begin with it.
        aim: the answers that are explained.
        wanted: which, as ``Kind.aim`` takes it.
        target: the same in words.
        kind: how the task is asked; None for a module.
        season: the steps of a season of the data, or 0.
        season_from: how that is known.
    """

    title: str
    task: str
    model: str
    data: str
    command: str
    aim: Aim
    wanted: str
    target: str
    kind: Kind | None = None
    season: int = 0
    season_from: str = ""

    @property
    def shares(self) -> Mapping[str, float]:
        """The share that each part of the model has in its answers; empty if the layers answer alone."""
        return {} if self.kind is None else self.kind.shares(self.many)

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the gradient by lag does not have, and why."""
        return () if self.kind is None else self.kind.left_out(self.aim)

    @cached_property
    def many(self) -> Aim:
        """The same answers for more sequences than are explained, where a few would mislead."""
        return self.aim if self.kind is None else self.kind.aim(self.kind.draw(MANY), self.wanted)

    def lessons(self) -> Callable[[int], tuple[Any, Any, dict[str, Any]]] | None:
        """What a copy of the model may learn from: sequences of the training part, eight at a step.

        None for a module, whose caller alone has more data.
        """
        if self.kind is None:
            return None
        kind = copy.copy(self.kind)
        kind.split = "train"
        batch = kind.draw(MANY)
        parts = math.ceil(kind.size(batch) / AT_ONCE)
        aims = [kind.aim(batch.share(part, parts), self.wanted) for part in range(parts)]

        def lesson(step: int) -> tuple[Any, Any, dict[str, Any]]:
            aim = aims[step % parts]
            return aim.x, aim.loss, {**aim.named, "batch": aim.batch}

        return lesson

    @property
    def facts(self) -> dict[str, Any]:
        """What a record says of it."""
        return {
            "title": self.title,
            "task": self.task,
            "model": self.model,
            "data": self.data,
            "target": self.target,
            "sequences": len(self.aim.steps),
            "seasonality": self.season or None,
            "privacy": next((text for m in self.aim.model.modules() if (text := getattr(m, "privacy", ""))), ""),
            "shares": tuple(ShareRecord(part, share) for part, share in self.shares.items()),
        }

    def context(self) -> ContextRecord | None:
        """The losses with a shortened history; None where there is no history to shorten."""
        if self.kind is None:
            return None
        aim, scored = self.many, []
        for context in counted("shortening the history", halved(int(aim.spans.max()) + 1)):
            short = self.kind.shortened(aim, context)
            if short is None:
                return None
            scored.append((context, short.losses()))
        return _curve(scored, self.kind.unit)


def subject_of(
    model: Any,
    data: Any,
    target: str,
    sequences: int,
    loss: Callable[[Any], torch.Tensor] | None = None,
    lengths: torch.Tensor | Sequence[int] | None = None,
) -> Subject:
    """Prepare a model and its data.

    Args:
        model: the folder of a trained model, an estimator, or a torch module.
        data: of a trained model a path or the name of a bundled set, or None; of a module its input.
        target: whose loss is explained; ``"auto"`` for what suits the task.
        sequences: how many to explain.
        loss: of a module.
        lengths: of a module's sequences.

    Raises:
        InputError: the model could run code when it is loaded, is none, or does not fit the data.
    """
    if isinstance(model, torch.nn.Module):
        return _of_module(model, data, target, loss, lengths)
    if loss is not None or lengths is not None:
        raise InputError(
            "EXPLAIN_LOSS",
            "loss= and lengths= are for a torch module: a trained model has its own",
            fix="leave them out",
        )
    folder = "" if isinstance(model, Estimator) else os.fspath(model)
    if folder:
        model = from_pretrained(folder)
    phase("reading")
    task = tested(model, data)
    command = _training(task.name, _named(model, data), folder)
    kind = KINDS[task.name](model.model_, task)
    return of_kind(kind, model.graph_.name, folder or type(model).__name__, command, target, sequences)


def of_kind(kind: Kind, cell: str, model: str, command: str, target: str = "auto", sequences: int = 8) -> Subject:
    """A trained model whose task is known.

    Args:
        kind: how the task is asked.
        cell: the name of the cell.
        model: the folder, or what it is.
        command: how it is trained.
        target: whose loss is explained; ``"auto"`` for what suits the task.
        sequences: how many to explain.

    Raises:
        InputError: there is no such target, or the data hold no sequence.
    """
    task, wanted = kind.task, kind.default if target == "auto" else target
    aim = kind.aim(kind.draw(sequences), wanted)
    title, season = say("{cell} on {data}", cell=cell, data=task.data.name), kind.season()
    name, said = task.data.name, kind.target(wanted)
    return Subject(title, task.name, model, name, command, aim, wanted, said, kind, *season)


def _named(model: Estimator[Any], data: Any) -> str:
    """The data as a command takes them."""
    if isinstance(data, (str, os.PathLike)):
        return os.fspath(data)
    bundled = (name for name, entry in BUNDLED.items() if entry.title == model.data_.name)
    return next(bundled, model.data_.name)


def _training(task: str, data: str, folder: str) -> str:
    """The command that trains such a model again, elsewhere."""
    if not folder:
        return TRAIN
    home = Path(folder)
    config, out = home / CONFIG, home.with_name(f"{home.name}-mended")
    return shlex.join(["tidegate", "train", task, data, "--config", str(config), "--out", str(out)])


def tested(model: Estimator[Any], data: Any) -> Any:
    """The task whose test part is explained; of a forecaster without data, the history that it keeps."""
    if data is None and "history" in getattr(model, "memory_", {}):
        try:
            return model.tested()
        except InputError:
            return model.remembered()
    return model.tested(data)


def _of_module(model: torch.nn.Module, data: Any, target: str, loss: Any, lengths: Any) -> Subject:
    if data is None:
        raise InputError("EXPLAIN_DATA", "a module needs an input", fix="pass x, as the module reads it")
    if target not in ("auto", "last"):
        raise InputError(
            "TARGET",
            f"target={target!r} of a module",
            fix="choose what is explained by loss=, a function of its output",
        )
    aim = aim_of(model, data, loss, lengths)
    name = type(model).__name__
    what = say("the loss that was passed") if loss else say("the answer at the last step, in a random direction")
    return Subject(name, "module", name, say("the input that was passed"), TRAIN, aim, "last", what)


def _curve(scored: Sequence[tuple[int, torch.Tensor]], unit: str) -> ContextRecord:
    """The mean losses, and from where on a longer history helps no more than the error of the score itself."""
    whole = scored[-1][1]
    count = len(whole)
    spread = float(whole.std() / count**0.5) if count > 1 else 0.0
    errors = [float(losses.std() / count**0.5) if count > 1 else 0.0 for _, losses in scored]
    means = [float(losses.mean()) for _, losses in scored]
    far = [k for k, mean in enumerate(means[:-1]) if not mean - means[-1] <= spread]
    reach = scored[far[-1] + 1][0] if far else scored[0][0]
    return ContextRecord(
        lengths=tuple(context for context, _ in scored),
        scores=tuple(means),
        metric=say("loss"),
        low=tuple(mean - error for mean, error in zip(means, errors, strict=True)),
        high=tuple(mean + error for mean, error in zip(means, errors, strict=True)),
        unit=unit,
        reach=reach,
    )
