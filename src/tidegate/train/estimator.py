"""What every estimator does: fit, evaluate, save and load, in the manner of scikit-learn."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from sklearn.base import BaseEstimator

from tidegate import zoo
from tidegate.cell import Cell, Graph
from tidegate.data import Source
from tidegate.errors import InputError, TidegateError
from tidegate.records import DataRecord, EpochRecord, ScoreRecord, StepRecord
from tidegate.storage import replace_file
from tidegate.train.folder import (
    CARD,
    CHECKPOINT,
    CONFIG,
    FORMAT,
    WEIGHTS,
    content_of,
    damaged,
    held,
    holds_model,
    read_card,
    with_weights,
)
from tidegate.train.layer import make_layer
from tidegate.train.log import Log
from tidegate.train.loop import evaluate, train
from tidegate.train.plan import Plan
from tidegate.train.setting import Training
from tidegate.train.task import AnyTask, Encoding
from tidegate.train.toml import from_toml, to_toml
from tidegate.train.world import World
from tidegate.zoo import graph_of

MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)  # a card's content

S = TypeVar("S", bound=Training)


@dataclass
class Watch:
    """Who wants to know how a training goes on."""

    on_data: Callable[[DataRecord], None] = lambda _: None
    on_step: Callable[[StepRecord], None] | None = None
    on_epoch: Callable[[EpochRecord], None] = lambda _: None


class Estimator(BaseEstimator, Generic[S]):
    """A task, its settings and, once fitted, its model.

    The settings are the arguments of the constructor, so ``get_params``, ``set_params`` and
    ``sklearn.base.clone`` work as for any estimator of scikit-learn.

    Attributes:
        model_: the trained model.
        encoding_: what it learnt from the training data beside weights.
        curve_: its epochs.
        scores_: what it scores on the test split of its training data, beside naive baselines.
        data_: the data it was trained on: name, hash, split, warnings.
        memory_: what else the verbs of the class need of the training data, as plain data.
    """

    kind: ClassVar[type[AnyTask]]
    cell: Any
    model_: Any
    encoding_: Any
    graph_: Graph
    curve_: tuple[EpochRecord, ...]
    scores_: list[ScoreRecord]
    data_: DataRecord
    memory_: dict[str, Any]

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        valid: str | os.PathLike[str] | None = None,
        test: str | os.PathLike[str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        watch: Watch | None = None,
        tensorboard: bool = False,
    ) -> Self:
        """Train on data, validate on a part of them, score another part.

        Args:
            data: the path of a file, the name of a bundled set, or data in memory as the class says.
            y: labels, where the class has any.
            valid: a file of its own for validation; else it is a part of the data.
            test: the same for the test.
            folder: where checkpoints and logs go, and the finished model. A fit that was interrupted goes on
                from there exactly; one that was finished is read back.
            watch: who wants to know how it goes on.
            tensorboard: write TensorBoard's files there too.

        Raises:
            InputError: settings or data that cannot be used, a folder that holds another model or is being
                written by another fit, or a training whose loss is no longer finite.
        """
        watch = watch or Watch()
        setting = self.setting()
        setting.check()
        self.graph_ = graph_of(self.cell)
        task = self.kind.load(self.source(data, y), setting, valid=valid, test=test)
        watch.on_data(task.data)
        if folder is None:
            return self._fit(task, None, watch, tensorboard=tensorboard)
        with held(Path(folder)):
            if holds_model(Path(folder)):
                return self._take(self.from_pretrained(folder), task, Path(folder))
            return self._fit(task, Path(folder), watch, tensorboard=tensorboard)

    def _fit(self, task: AnyTask, home: Path | None, watch: Watch, *, tensorboard: bool) -> Self:
        setting, checkpoint = task.setting, home and home / CHECKPOINT
        with _logged(home, watch, tensorboard=tensorboard) as (on_step, on_epoch):
            layer = make_layer(self.graph_, setting)
            outcome = train(task, layer, Plan.of(setting), checkpoint=checkpoint, on_epoch=on_epoch, on_step=on_step)
        if outcome.diverged:
            if checkpoint and World().first:
                checkpoint.unlink(missing_ok=True)  # so that the same folder can be tried with another rate
            raise InputError(
                "DIVERGED",
                f"training diverged in epoch {len(outcome.curve)}: the loss is no longer a finite number",
                fix=f"give a smaller learning rate than {setting.learning_rate:g}",
            )
        task.settle(outcome.model)
        self.model_, self.encoding_, self.data_ = outcome.model.eval(), task.encoding, task.data
        self.curve_ = outcome.curve
        self.scores_, self.memory_ = self._scores(task), self._memory(task)
        if home and checkpoint and World().first:
            self.save_pretrained(home)
            checkpoint.unlink(missing_ok=True)
        return self

    def _take(self, other: Self, task: AnyTask, home: Path) -> Self:
        """Be what was trained already, if it is what would be trained now."""
        mine, theirs = (dataclasses.asdict(one.setting()) for one in (self, other))
        differing = [name for name in mine if mine[name] != theirs[name] and name != "cell"]
        said = ", ".join(f"{name} {theirs[name]!r} and not {mine[name]!r}" for name in differing)
        if self.graph_ != other.graph_:
            said = ", ".join(filter(None, [_other_cell(self.graph_, other.graph_), said]))
        if not said and other.data_.hash != task.data.hash:
            said = (
                f"data {other.data_.name} whose SHA-256 is {other.data_.hash[:12]}... and not {task.data.hash[:12]}..."
            )
        if said:
            raise InputError(
                "OUT_TAKEN",
                f"{home} holds a model that was trained with {said}",
                fix="choose another folder, or delete that one",
            )
        for name, value in vars(other).items():
            if name.endswith("_"):  # what fitting leaves, as in scikit-learn
                setattr(self, name, value)
        return self

    def evaluate(self, data: Any = None, y: Any = None) -> list[ScoreRecord]:
        """Scores on new data, all of them a test; without data, those of the test split of the training data.

        Raises:
            InputError: not fitted yet, or data that cannot be used.
        """
        self._check_fitted()
        if data is None:
            return self.scores_
        return self._scores(self.kind.load(self.source(data, y), self.setting(), encoding=self.encoding_))

    def _scores(self, task: AnyTask) -> list[ScoreRecord]:
        metric = evaluate(task, self.model_, "test")
        with torch.inference_mode():
            return task.scores(self.model_, metric)

    def _memory(self, task: AnyTask) -> dict[str, Any]:
        """What the verbs of the class need of the training data beside model and encoding; saved with them."""
        del task
        return {}

    def source(self, data: Any, y: Any) -> Source | str | os.PathLike[str]:
        """Where the task shall read; data in memory as the file that would hold them."""
        if y is None and isinstance(data, (str, os.PathLike, Source)):
            return data
        raise InputError(
            "FIT_DATA", f"data is {type(data).__name__}", fix="pass the path of a file, or the name of a bundled set"
        )

    def setting(self) -> S:
        """The settings alone, as the plain dataclass that they come from."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self.kind.setting_type)}
        values["cell"] = cell_name(self.cell)
        made: S = self.kind.setting_type(**values)
        return made

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write ``config.toml``, ``model.json`` and ``model.safetensors``: settings, what else is known, weights.

        Raises:
            InputError: not fitted yet.
        """
        self._check_fitted()
        home = Path(folder)
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.model_.state_dict().items()}
        files = {WEIGHTS: save(tensors), CONFIG: to_toml(self.setting()).encode()}
        card = {
            "format": FORMAT,
            "task": self.kind.name,
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
            "cell": self.graph_.to_json(),
            "encoding": self.encoding_.to_json(),
            "data": dataclasses.asdict(self.data_),
            "scores": [dataclasses.asdict(score) for score in self.scores_],
            "curve": [dataclasses.asdict(epoch) for epoch in self.curve_],
            "memory": self.memory_,
        }
        for name, content in files.items():
            replace_file(home / name, content)
        replace_file(home / CARD, json.dumps(card, indent=1, ensure_ascii=False) + "\n")  # last: it makes a model of it

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Self:
        """Read a model back; nothing in its folder is run.

        Raises:
            InputError: no such folder, no model in it, a model of another task, or a damaged one.
        """
        home = Path(folder)
        card = read_card(home)
        if card["task"] != cls.kind.name:
            raise InputError(
                "MODEL_TASK",
                f"{home} holds a model of the task {card['task']!r}, expected {cls.kind.name!r}",
                fix="name the folder of another model",
            )
        config, weights = (content_of(home, name, card) for name in (CONFIG, WEIGHTS))
        try:
            setting = from_toml(config.decode(), cls.kind.setting_type, CONFIG)
            made = cls(**{field.name: getattr(setting, field.name) for field in dataclasses.fields(setting)})
            made._restore(card, setting, load(weights))
        except (*MALFORMED, SafetensorError, TidegateError) as error:
            raise damaged(f"{home} holds no readable model: {type(error).__name__}: {error}") from error
        return made

    def _restore(self, card: dict[str, Any], setting: Training, weights: dict[str, torch.Tensor]) -> None:
        self.graph_ = Graph.from_json(card["cell"])
        self.cell = _shortest(self.cell, self.graph_)
        self.encoding_ = _encoding(self.kind, card["encoding"])
        self.model_ = with_weights(lambda: self.encoding_.model(make_layer(self.graph_, setting), setting), weights)
        self.data_ = DataRecord(**{**card["data"], "warnings": tuple(card["data"]["warnings"])})
        self.scores_ = [ScoreRecord(**score) for score in card["scores"]]
        self.curve_ = tuple(EpochRecord(**epoch) for epoch in card["curve"])
        self.memory_ = dict(card["memory"])

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise InputError("NOT_FITTED", f"this {type(self).__name__} is not fitted", fix="call fit first")


@contextmanager
def _logged(
    home: Path | None, watch: Watch, *, tensorboard: bool
) -> Iterator[tuple[Callable[[StepRecord], None] | None, Callable[[EpochRecord], None]]]:
    """Whom a training tells about steps and epochs: the log, and those who watch; in the first process only."""
    if not World().first:
        yield None, lambda _: None
        return
    log = Log(home, tensorboard=tensorboard) if home else None

    def on_epoch(record: EpochRecord) -> None:
        if log:
            log.epoch(record)
        watch.on_epoch(record)

    def on_step(record: StepRecord) -> None:
        if log:
            log.step(record)
        if watch.on_step:
            watch.on_step(record)

    try:
        yield (on_step if tensorboard or watch.on_step else None), on_epoch
    finally:
        if log:
            log.close()


def _encoding(kind: type[AnyTask], data: dict[str, Any]) -> Encoding[Any]:
    made: Encoding[Any] = kind.encoding_type.from_json(data)
    return made


def cell_name(cell: str | type[Cell] | Graph) -> str:
    """How a configuration names a cell."""
    return cell if isinstance(cell, str) else graph_of(cell).name


def _other_cell(mine: Graph, theirs: Graph) -> str:
    return f"another {theirs.name} cell" if mine.name == theirs.name else f"cell {theirs.name} and not {mine.name}"


def _shortest(name: str, graph: Graph) -> str | Graph:
    """The name, if the zoo has that very cell under it; else the cell itself, of a file that is not needed any more."""
    return name if name.strip().lower() in zoo.CELLS and graph_of(name) == graph else graph
