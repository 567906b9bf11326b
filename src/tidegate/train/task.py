"""The base of all tasks: data in batches, a model around recurrent layers, a loss, a metric, baselines."""

from __future__ import annotations

import copy
import dataclasses
import os
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence, Sized
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

import torch

from tidegate.data import Reader, Source
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.phase import heard
from tidegate.plain import typed
from tidegate.records import BaselineRecord, DataRecord, ScoreRecord
from tidegate.train.batch import Batch, Measure
from tidegate.train.example import Examples
from tidegate.train.fitted import is_private, learnt_from, told
from tidegate.train.opened import called, completed, opened
from tidegate.train.protected import Protecting
from tidegate.train.sample import Sample
from tidegate.train.setting import Training
from tidegate.train.worst import within

Split = Literal["train", "valid", "test"]


class MakeLayer(Protocol):
    """Makes recurrent layers.

    Args:
        features: the number of input features; a cell that needs as many as it has units ignores it.
        options: those of ``nn.Recurrent``, such as ``bidirectional``.
    """

    def __call__(self, features: int, /, **options: Any) -> Recurrent: ...


class SequenceModel(torch.nn.Module):
    """A model that answers at each step: encoder, recurrent layers, dropout, linear head.

    If the layers need another number of features than the encoder gives, a linear map connects them.

    Args:
        encoder: maps inputs to features.
        features: the number of features that the encoder gives.
        layer: makes the recurrent layers.
        dropout: probability of zeroing an input of the head during training.
        outputs: the number of outputs at each step.
    """

    def __init__(
        self,
        encoder: torch.nn.Module,
        features: int,
        layer: MakeLayer,
        dropout: float,
        outputs: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.layer = layer(features)
        if self.layer.input_size != features:
            self.encoder = torch.nn.Sequential(encoder, torch.nn.Linear(features, self.layer.input_size))
        self.dropout = dropout
        self.head = torch.nn.Linear(self.layer.output_size, outputs)

    def readers(self) -> dict[str, list[str]]:
        """What reads the recurrent layers, by paths in the model: see ``tidegate.shrink``."""
        return {"layer": ["head"]}

    def forward(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Outputs [T, B, outputs] and the state after the last valid step."""
        hidden, state = self.layer(self.encoder(batch.inputs), state, lengths=batch.lengths)
        return self.head(dropped(self, hidden, self.dropout)), state


def dropped(model: torch.nn.Module, values: torch.Tensor, rate: float) -> torch.Tensor:
    """Apply dropout if the model is in training mode.

    This takes half the time of torch's dropout, which draws its Bernoulli numbers one by one.

    Args:
        model: says whether it is in training mode.
        values: a tensor of any shape.
        rate: probability of zeroing a value.
    """
    if not (model.training and rate):
        return values
    return values * torch.rand_like(values).ge_(rate).div_(1 - rate)


S = TypeVar("S", bound=Training)


class Encoding(ABC, Generic[S]):
    """Everything but the weights that is learnt from training data: a vocabulary, a scale, the names of classes.

    An encoding is plain data. Together with the weights and the settings, it restores a model that reads new data.
    """

    @abstractmethod
    def model(self, layer: MakeLayer, setting: S) -> torch.nn.Module:
        """Make an untrained model.

        Args:
            layer: makes the recurrent layers.
            setting: the other settings of the model.

        Returns:
            A module that maps a batch and a state to outputs and the next state.
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The encoding as JSON data, for ``from_json``."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Restore an encoding; by default, from its fields.

        Args:
            data: from ``to_json``.

        Raises:
            InputError, ValueError: ``data`` does not describe such an encoding.
        """
        encoding: Self = typed(data, cls, "encoding")
        return encoding


E = TypeVar("E", bound=Encoding[Any])


class Task(Protecting, ABC, Generic[S, E]):
    """A learning problem: a data set, a model, a loss, a metric and baselines.

    Args:
        source: the data.
        setting: how to read and model them; the defaults unless given.
        encoding: that of a trained model; then nothing is learnt from the data, and all of them are the test split.

    Attributes:
        name: the task's name.
        metric: the name of the score that validation minimises.
        unit: the unit of the metric.
        items: what ``Measure.count`` counts, as the progress display names it.
        setting_type: the class of ``setting``.
        encoding_type: the class of ``encoding``.
        reader: a function that says how given settings read a source; None for generated data.
        trials: the default number of settings that a comparison tries in each run.
        data: name, hash, split and warnings of the data.
        planted: names the canaries among the training rows; empty if there are none.
    """

    name: ClassVar[str]
    metric: ClassVar[str]
    unit: ClassVar[str]
    items: ClassVar[str] = "steps"
    setting_type: ClassVar[type[Any]]
    encoding_type: ClassVar[type[Any]]
    reader: ClassVar[Any] = None
    trials: ClassVar[int] = 1
    planted: ClassVar[str] = ""
    source: Source
    setting: S
    encoding: E
    data: DataRecord

    @abstractmethod
    def __init__(self, source: Source, setting: S | None = None, encoding: E | None = None) -> None: ...

    @classmethod
    def load(
        cls,
        data: str | os.PathLike[str] | Source,
        setting: S | None = None,
        *,
        encoding: E | None = None,
        valid: str | os.PathLike[str] | None = None,
        test: str | os.PathLike[str] | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Load the data of a bundled set or a file.

        Args:
            data: the name of a bundled set, the path of a file, or a source.
            setting: how to read, model and learn the data; the task's defaults unless given. If it names no target
                column, that of the bundled set is used.
            encoding: that of a trained model, to apply it to the data.
            valid: a separate file for validation.
            test: a separate file for the test.
            cache: a folder for what training reads in place of the data. Unless given, it lies beside a file larger
                than 64 MiB, and other data are held in memory.

        Returns:
            The task.

        Raises:
            InputError: the data cannot be used, or belong to another task.
        """
        setting = completed(cls.name, data, setting or cls.setting_type())
        reader: Reader[Any] = cls.reader(setting) if cls.reader else Reader(cls)
        any_size = reader.any_size if encoding is None else ()
        if cache is not None and not any_size:
            raise InputError("CACHE_TASK", f"the task {cls.name} holds its data in memory", fix="leave out cache=")
        source = opened(data, folders=reader.folders, any_size=any_size, valid=valid, test=test, cache=cache)
        given = {} if encoding or setting.public_data is None else {"given": learnt_from(cls, setting)}
        task = cls(source, setting, encoding, **given)
        task.data = replace(task.data, name=called(source), test="" if source.test is None else called(source.test))
        return task

    def to_json(self) -> dict[str, Any]:
        """The task as JSON data, from which ``tasks.from_json`` makes the same task, even in another process."""
        values = dataclasses.asdict(self.setting)
        setting = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return {"task": self.name, "setting": setting, **self.source.to_json()}

    def model(self, layer: MakeLayer, setting: S | None = None) -> Any:
        """Make an untrained model.

        Args:
            layer: makes the recurrent layers.
            setting: the other settings of the model; the task's own unless given.
        """
        return self.encoding.model(layer, setting or self.setting)

    @abstractmethod
    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterable[Batch]:
        """The batches of one pass; a sequence, if a batch can be read without those before it.

        Args:
            split: the part of the data.
            order: draws the order of a training pass; without it, the order is fixed.
        """

    def read_as(self, encoding: E) -> Self:
        """The same data with the same split, as a model with this encoding reads them.

        Args:
            encoding: of a model that was trained on these data.
        """
        other = copy.copy(self)
        other.encoding = encoding
        return other

    def count(self, split: Split) -> int:
        """The number of batches of a pass in fixed order; 0 where nobody listens to phases: counting takes time."""
        if heard() and split not in self._counts:
            batches = self.batches(split)
            self._counts[split] = len(batches) if isinstance(batches, Sized) else sum(1 for _ in batches)
        return self._counts.get(split, 0)

    @cached_property
    def _counts(self) -> dict[Split, int]:
        return {}

    @abstractmethod
    def measure(self, outputs: Any, batch: Batch) -> Measure:
        """Loss and error of a model's outputs on a batch, summed."""

    @property
    def examples(self) -> Examples[Any, Any]:
        """The rows of this task, for canaries and audits.

        Raises:
            InputError: it has none that could be exchanged for others.
        """
        raise InputError(
            "AUDIT_TASK",
            f"the task {self.name} has no rows that could be exchanged: what it learns from overlaps",
            fix="audit a model of classification, language, music, speech, tagging or translation",
        )

    def pliable(self, batch: Batch) -> torch.Tensor:
        """[T, B, C] bool: the values of a batch that an adversary may change, not padding, nor a calendar."""
        raise NotImplementedError

    def changed(self, batch: Batch, change: torch.Tensor) -> Batch:
        """The batch that would be made of changed data; the change [T, B, C] is in deviations of the training part."""
        raise NotImplementedError

    def answers(self, outputs: torch.Tensor, batch: Batch) -> Sequence[Hashable]:
        """What a model answers to each row, as whole answers that are the same or not."""
        raise NotImplementedError

    def truths(self, batch: Batch) -> Sequence[Hashable]:
        """The right answer to each row."""
        raise NotImplementedError

    def worst(
        self, model: torch.nn.Module, batch: Batch, generator: torch.Generator | None = None, share: float = 1.0
    ) -> Batch:
        """The batch changed for the worse within a share of ``adversarial``; ``generator`` draws the first change."""
        return within(self, model, batch, generator, share)

    @property
    def title(self) -> str:
        """What was chosen among ``candidates``, in words."""
        return ""

    def candidates(self) -> list[Self]:
        """The tasks to choose from, where settings leave something open: each on the same data, scored alike."""
        return [self]

    def judged(self, model: torch.nn.Module) -> float:
        """How much worse a candidate's model is on the validation split than what there is without layers."""
        raise NotImplementedError

    def remarks(self, model: torch.nn.Module) -> tuple[str, ...]:
        """What is worth saying of a trained model besides its scores, such as what the layers add."""
        del model
        return told(self) if is_private(self.setting) else ()

    def settle(self, model: torch.nn.Module) -> torch.nn.Module:
        """Fit what a model takes from the validation split after training, such as a temperature.

        Args:
            model: the trained model.

        Returns:
            The model to keep, which ``encoding`` describes.
        """
        return model

    @abstractmethod
    def baselines(self) -> list[BaselineRecord]:
        """Scores of predictors without a recurrent network on the test split, by the metric."""

    def score(self, error: float, count: int) -> float:
        """The metric from summed errors; by default their mean."""
        return error / count

    def scores(self, model: torch.nn.Module, metric: float) -> list[ScoreRecord]:
        """All scores of a trained model on the test split, with those of the baselines.

        Args:
            model: the trained model.
            metric: its score by ``train.loop.evaluate``.
        """
        del model
        baselines = {line.name: line.score for line in self.baselines()}
        return [ScoreRecord(self.metric, metric, self.unit, "lower", baselines)]

    @torch.inference_mode()
    def sample(self, model: torch.nn.Module) -> Sample:
        """The errors of a model [T, B, ...] in each row of the test, in the order of ``batches``."""
        rows: list[list[float]] = []
        state = None
        for batch in self.batches("test"):
            outputs, state = model(batch, None if batch.starts else state)
            size = batch.inputs.shape[1]
            own = [self.measure(outputs[:, [row]], batch.share(row, size)) for row in range(size)]
            if batch.starts:
                rows += [[0.0, 0.0] for _ in own]
            for total, measure in zip(rows[-size:], own, strict=True):
                total[0], total[1] = total[0] + measure.error, total[1] + measure.count
        return Sample.of(*zip(*rows, strict=True))


AnyTask = Task[Any, Any]
