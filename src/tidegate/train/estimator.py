"""The base of all estimators: fit, evaluate, save and load, with the interface of scikit-learn."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from sklearn.base import BaseEstimator

from tidegate.cell import Graph
from tidegate.data import Source
from tidegate.errors import InputError, TidegateError, note
from tidegate.phase import heard_by, phase
from tidegate.plain import typed
from tidegate.records import DataRecord, EpochRecord, PrivacyRecord, ScoreRecord, VerdictRecord
from tidegate.storage import replace_files
from tidegate.train.answer import NotFitted
from tidegate.train.canary import CANARIES, Canaries, planted
from tidegate.train.card import CARD, CHECKPOINT, CONFIG, WEIGHTS, damaged, holds_model, read_model, written_card
from tidegate.train.fitted import is_private
from tidegate.train.folder import locked, overflowing, with_weights
from tidegate.train.layer import make_layer
from tidegate.train.lean import finished, listed, shaped
from tidegate.train.loop import evaluate, train
from tidegate.train.name import other_cell, other_settings, shortest
from tidegate.train.plan import Plan
from tidegate.train.precision import noted
from tidegate.train.promise import check_private
from tidegate.train.search import clean, search
from tidegate.train.setting import Training, check, documented, older, with_recipe
from tidegate.train.statement import promised
from tidegate.train.task import AnyTask
from tidegate.train.tested import tested, trained_on
from tidegate.train.toml import from_toml, to_toml
from tidegate.train.verdict import verdict
from tidegate.train.watch import Watch, logged
from tidegate.train.world import World
from tidegate.zoo import graph_of

MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)  # from a bad card

S = TypeVar("S", bound=Training)


class Estimator(BaseEstimator, Generic[S]):
    """A task, its settings and, once fitted, its model.

    The settings are the arguments of the constructor, so ``get_params``, ``set_params``, ``clone`` and the searches
    of scikit-learn work.

    Attributes:
        model_: the trained torch module.
        encoding_: what the model learnt from the training data besides weights, such as a vocabulary.
        graph_: the cell as data.
        curve_: the record of each epoch.
        scores_: scores on the test split of the training data, with those of naive baselines.
        verdict_: whether the model is worth more than those; None if there are none.
        data_: the training data: name, hash, split, warnings.
        memory_: other texts from training that the methods need, such as the last rows of a series.
        notes_: what training chose by itself, and what the layers add.
        privacy_: the differential privacy of the model; None if it has none.
        canaries_: which rows were planted (``canaries=``), after ``fit`` only; None if there are none.
        planted_: names the canaries among the training rows (``canaries=``); empty if there are none.
        units_: by path in the model, the units of recurrent layers that have fewer than ``hidden_size``.
    """

    _task_class: ClassVar[type[AnyTask]]
    cell: Any
    model_: Any
    encoding_: Any
    graph_: Graph
    curve_: tuple[EpochRecord, ...]
    scores_: list[ScoreRecord]
    data_: DataRecord
    memory_: dict[str, str]
    notes_: tuple[str, ...]
    units_: dict[str, int]
    planted_: str = ""
    privacy_: PrivacyRecord | None = None
    canaries_: Canaries | None = None

    __eq__ = object.__eq__  # an estimator is not equal to another with the same settings, which may be trained
    __hash__ = object.__hash__

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if issubclass(cls, Training):
            cls.__doc__ = documented(cls)
            setattr(cls, "__init__", with_recipe(cls.__init__, cls._task_class.setting_type))  # noqa: B010  for mypy

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
        cache: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train on one part of the data, validate on another, and score a third.

        Args:
            data: the path of a file, the name of a bundled set, or data in memory as the class describes them.
            y: labels, for classes that take them.
            valid: a file for validation; part of ``data`` unless given.
            test: a file for the test; part of ``data`` unless given.
            folder: for checkpoints, logs and the finished model. An interrupted fit resumes exactly from there, and a
                finished one is loaded.
            watch: callbacks for phases, steps and epochs.
            tensorboard: whether to write TensorBoard logs into ``folder``, too.
            cache: a folder for what training reads in place of ``data``. Unless given, it lies beside a file larger
                than 64 MiB, where the task can read one piece by piece, and other data are held in memory.

        Returns:
            The estimator itself.

        Raises:
            InputError: a setting is out of range, the data cannot be used, the folder holds another model or is in
                use, or training diverged.

        Warns:
            DataWarning: for each note on the data, such as rows left out, or rows of the training part in the test.
        """
        if tensorboard and folder is None:
            raise InputError("TENSORBOARD_FOLDER", "TensorBoard logs need a folder", fix="pass folder=")
        watch = watch or Watch()
        setting = self._setting()
        check(setting)
        check_private(setting)
        self.graph_ = graph_of(self.cell)
        with heard_by(watch.on_phase):
            phase("reading")
            task = self._read_task(self._source(data, y), setting, valid=valid, test=test, cache=cache)
            if folder is None:
                return self._learn(task, None, watch, tensorboard=tensorboard)
            with locked(Path(folder)):
                return self._learn(task, Path(folder), watch, tensorboard=tensorboard)

    @property
    def verdict_(self) -> VerdictRecord | None:
        """Whether the model is better than the baselines on the test split of the training data."""
        return verdict(self.scores_, self.curve_, self._fitted_setting)

    def _learn(self, read: AnyTask, home: Path | None, watch: Watch, *, tensorboard: bool) -> Self:
        """Train, or become the model that lies in the folder."""
        trained = home is not None and holds_model(home)
        task, self.canaries_ = (read, None) if trained else planted(read, home)
        task = self._ready(task)
        watch.on_data(task.data)
        note(*task.data.warnings)
        if home is not None and trained:
            return self._become(self.from_pretrained(home), task, home)
        return self._fit(task, home, watch, tensorboard=tensorboard)

    def _ready(self, task: AnyTask) -> AnyTask:
        """The task as training takes it, once its rows are what they are."""
        return task

    def _fit(self, task: AnyTask, home: Path | None, watch: Watch, *, tensorboard: bool) -> Self:
        checkpoint, plan = home and home / CHECKPOINT, Plan.of(task.setting, self.graph_.name)
        with logged(home, watch, tensorboard=tensorboard, private=is_private(task.setting)) as watched:
            layer = make_layer(self.graph_, task.setting)
            found = search(task, layer, plan, checkpoint, watched.on_note, watched.on_step)
            task = found.task
            outcome = train(
                task,
                layer,
                plan,
                checkpoint=found.checkpoint,
                on_epoch=watched.on_epoch,
                on_step=watched.on_step,
                paused=found.paused,
            )
        problem = "the loss is not a finite number" if outcome.diverged else overflowing(outcome.model.state_dict())
        if problem:
            if checkpoint and World().first:
                clean(checkpoint)  # so that the next fit may use another rate in this folder
            raise InputError(
                "DIVERGED",
                f"training diverged in epoch {len(outcome.curve)}: {problem}",
                fix=f"lower learning_rate={task.setting.learning_rate:g}",
            )
        self.model_, self.units_, told = finished(task.settle(outcome.model).eval(), task.setting)
        self.encoding_, self.data_, self.planted_ = task.encoding, task.kept, task.planted
        self.curve_, self._fitted_setting, self.privacy_ = outcome.curve, task.setting, outcome.privacy
        promised(self.model_, self.privacy_)
        phase("scoring")
        self.scores_, self.memory_ = self._scores(task), {} if is_private(task.setting) else self._memory(task)
        self.notes_ = found.notes + told + noted(task.setting) + task.remarks(outcome.model)
        if home and checkpoint and World().first:
            self._save(home)
            clean(checkpoint)
        return self

    def _become(self, other: Self, task: AnyTask, home: Path) -> Self:
        """Become the model in the folder, if it is the one that this fit would produce."""
        saved = other._current()
        differences = [*other_cell(self.graph_, other.graph_), *other_settings(task.setting, saved)]
        if not differences and other.data_.hash != task.kept.hash:
            differences = [
                f"other data: {other.data_.name} of SHA-256 {other.data_.hash[:12]}..., not {task.kept.hash[:12]}..."
            ]
        if differences:
            raise InputError(
                "OUT_TAKEN",
                f"{home} holds a model that was trained with {', '.join(differences)}",
                fix="choose another folder, or delete that one",
            )
        self.__dict__.update({name: value for name, value in vars(other).items() if name.endswith("_")})
        self._fitted_setting = saved
        return self

    def evaluate(self, data: Any = None, y: Any = None) -> list[ScoreRecord]:
        """Score the model.

        Args:
            data: new data, all of which are scored; the test split of the training data unless given.
            y: labels, for classes that take them.

        Returns:
            A record for each score, with the scores of naive baselines.

        Raises:
            InputError: the model is not fitted, or the data cannot be used.
        """
        self._check_fitted()
        if data is None:
            return self.scores_
        phase("reading")
        task = self._task_class.load(self._source(data, y), self._current(), encoding=self.encoding_)
        note(*task.data.warnings)
        return self._scores(task)

    def tested(self, data: Any = None) -> AnyTask:
        """The task whose test split is ``data``; of the data of the training, the part that was kept for the test.

        Args:
            data: as ``evaluate`` takes them; those of the training unless given, if they are bundled.

        Raises:
            InputError: the model is not fitted, or the data cannot be used, or are not given and not bundled.
        """
        self._check_fitted()
        source = None if data is None else self._source(data, None)
        return tested(self._task_class, self._current(), self.encoding_, self.data_, source)

    def trained_on(self, data: Any = None, *, valid: Any = None, test: Any = None) -> AnyTask:
        """The task with the data that the model was trained on, read again, without canaries.

        Args:
            data: those of the training; they need not be given if they are bundled.
            valid: the file for validation, if there was one.
            test: the file for the test, if there was one.

        Raises:
            InputError: the model is not fitted, or these are not the data of its training.
        """
        self._check_fitted()
        source = None if data is None else self._source(data, None)
        own = (self._current(), self.encoding_, self.data_)
        return trained_on(self._task_class, *own, source, valid=valid, test=test)

    def _scores(self, task: AnyTask) -> list[ScoreRecord]:
        metric = evaluate(task, self.model_, "test")
        with torch.inference_mode():
            return task.scores(self.model_, metric)

    def _memory(self, task: AnyTask) -> dict[str, str]:
        """Other texts from training that the methods need; saved with the model."""
        del task
        return {}

    def _read_task(self, source: Source | str | os.PathLike[str], setting: S, **files: Any) -> AnyTask:
        """The task to train on."""
        return self._task_class.load(source, setting, **files)

    def _source(self, data: Any, y: Any) -> Source | str | os.PathLike[str]:
        """The source that the task reads; data in memory become the file that would hold them."""
        if y is None and isinstance(data, (str, os.PathLike, Source)):
            return data
        raise InputError(
            "FIT_DATA",
            f"data must be a path or a name, got {type(data).__name__}",
            fix="pass the path of a file, or the name of a bundled set",
        )

    def _setting(self) -> S:
        """The settings alone, as the task's dataclass."""
        kind = self._task_class.setting_type
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(kind)}
        values["cell"] = self.cell if isinstance(self.cell, str) else graph_of(self.cell).name
        setting: S = kind(**values)
        return setting

    def _current(self) -> S:
        """The settings; those that are None are as in training, such as the target of a bundled set."""
        setting = self._setting()
        chosen: dict[str, Any] = {
            field.name: getattr(self._fitted_setting, field.name)
            for field in dataclasses.fields(setting)
            if getattr(setting, field.name) is None
        }
        return dataclasses.replace(setting, **chosen)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write ``config.toml`` (settings), ``model.safetensors`` (weights) and ``model.json`` (everything else).

        The folder holds either the old model or the new one, whenever the process dies.

        Args:
            folder: where to write them; created if it does not exist.

        Raises:
            InputError: the model is not fitted, the disk is full, or the folder may not be written or is in use.
        """
        self._check_fitted()
        with locked(Path(folder), keep=False):
            self._save(Path(folder))

    def _save(self, home: Path) -> None:
        phase("saving")
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.model_.state_dict().items()}
        files = {WEIGHTS: save(tensors), CONFIG: to_toml(self._current()).encode()}
        parts = {
            "cell": self.graph_.to_json(),
            "encoding": self.encoding_.to_json(),
            "data": dataclasses.asdict(self.data_),
            "scores": [dataclasses.asdict(score) for score in self.scores_],
            "verdict": self.verdict_ and dataclasses.asdict(self.verdict_),
            "curve": [epoch.to_json() for epoch in self.curve_],
            "memory": self.memory_,
            "notes": self.notes_,
        }
        promise = self.privacy_ and dataclasses.asdict(self.privacy_)
        rare = {"units": self.units_, "privacy": promise, "planted": self.planted_}
        card = written_card(self._task_class.name, files, parts | {name: part for name, part in rare.items() if part})
        canaries = {CANARIES: self.canaries_.to_text().encode()} if self.canaries_ else {}
        replace_files(home, {**files, **canaries, CARD: card})

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Self:
        """Load a saved model. Loading runs no code from the folder.

        Args:
            folder: where ``save_pretrained`` or ``tidegate train`` wrote it.

        Returns:
            The fitted estimator.

        Raises:
            InputError: the folder does not exist, or holds no model, a model of another task, or a damaged one.
        """
        home, kind = Path(folder), cls._task_class
        phase("loading the model")
        card, config, weights = read_model(home)
        if card["task"] != kind.name:
            raise InputError(
                "MODEL_TASK",
                f"{home} holds a model of the task {card['task']!r}, expected {kind.name!r}",
                fix="pass the folder of another model",
            )
        try:
            setting = from_toml(config.decode(), kind.setting_type, CONFIG, older(kind.setting_type))
            estimator = cls(**{field.name: getattr(setting, field.name) for field in dataclasses.fields(setting)})
            estimator._restore(card, setting, load(weights))
        except UnicodeDecodeError as error:
            raise damaged(f"{home / CONFIG} is not UTF-8 at byte {error.start}") from error
        except (*MALFORMED, SafetensorError, TidegateError) as error:
            raise damaged(f"{home} holds no readable model: {error}") from error
        return estimator

    def _restore(self, card: dict[str, Any], setting: Training, weights: dict[str, torch.Tensor]) -> None:
        self.graph_, self._fitted_setting = Graph.from_json(typed(card.get("cell"), dict[str, Any], "cell")), setting
        self.cell = shortest(self.cell, self.graph_)
        self.encoding_ = self._task_class.encoding_type.from_json(
            typed(card.get("encoding"), dict[str, Any], "encoding")
        )
        self.units_ = typed(card.get("units", {}), dict[str, int], "units")
        self.planted_ = typed(card.get("planted", ""), str, "planted")
        make = make_layer(self.graph_, setting)
        model = with_weights(lambda: shaped(self.encoding_.model(make, setting), self.units_), weights)
        self.privacy_ = typed(card.get("privacy"), PrivacyRecord | None, "privacy")
        self.model_ = promised(listed(model, setting), self.privacy_)
        self.data_ = typed(card.get("data"), DataRecord, "data")
        self.scores_ = typed(card.get("scores"), list[ScoreRecord], "scores")
        self.curve_ = typed(card.get("curve"), tuple[EpochRecord, ...], "curve")
        self.memory_ = typed(card.get("memory"), dict[str, str], "memory")
        self.notes_ = typed(card.get("notes", []), tuple[str, ...], "notes")

    def _check_fitted(self) -> None:
        if "model_" not in vars(self):
            raise NotFitted("NOT_FITTED", f"this {type(self).__name__} is not fitted", fix="call fit first")
