"""What every task is: data cut into batches, a model around a recurrent layer, a loss, a metric, baselines."""

from __future__ import annotations

import dataclasses
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

import torch

from tidegate.data import Source, address_of, bundled_at, locate, with_parts
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.records import BaselineRecord, DataRecord, ScoreRecord
from tidegate.train.setting import Training

Split = Literal["train", "valid", "test"]


class MakeLayer(Protocol):
    """Makes a recurrent layer from the number of features that it shall read, which it may not heed.

    Options, such as ``bidirectional``, are those of ``nn.Recurrent``.
    """

    def __call__(self, features: int, /, **options: Any) -> Recurrent: ...


@dataclass(frozen=True)
class Batch:
    """Sequences that are run together.

    Attributes:
        inputs: [T, B, features] float, or [T, B] token ids.
        targets: what the task's loss wants beside the outputs.
        lengths: [B] valid steps of each row, or None where all are full.
        starts: True for the first batch of a stream; False continues with the (detached) state
            of the batch before.
        context: so many leading steps only inform the state: they are neither scored nor learnt from.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    lengths: torch.Tensor | None = None
    starts: bool = True
    context: int = 0

    def share(self, rank: int, size: int) -> Self:
        """Every size-th row, from row ``rank`` on: what one of several processes works on."""
        rows: dict[str, Any] = {
            field.name: value[:, rank::size] if value.dim() > 1 else value[rank::size]
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), torch.Tensor)
        }
        return replace(self, **rows)

    def to(self, dtype: torch.dtype) -> Self:
        """The same with all floating-point tensors in another precision."""
        floats: dict[str, Any] = {
            field.name: value.to(dtype)
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), torch.Tensor) and value.is_floating_point()
        }
        return replace(self, **floats)

    def scored(self) -> torch.Tensor:
        """[T, B] bool: the steps that count, neither context nor padding."""
        steps, rows = self.inputs.shape[:2]
        time = torch.arange(steps, device=self.inputs.device)[:, None]
        ends = torch.full((rows,), steps) if self.lengths is None else self.lengths
        return (time >= self.context) & (time < ends.to(time.device))


@dataclass(frozen=True)
class Measure:
    """Sums over one batch: the loss to minimise, the metric's error, and how many terms each sum has."""

    loss: torch.Tensor
    error: float
    count: int


class SequenceModel(torch.nn.Module):
    """Encoder, recurrent layer, dropout, linear head: the shape of every model that answers at each step.

    Where the layer takes another number of features than the encoder gives, a linear map stands between them.
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

    def forward(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Outputs [T, B, outputs] and the state after the last valid step."""
        hidden, state = self.layer(self.encoder(batch.inputs), state, lengths=batch.lengths)
        return self.head(dropped(self, hidden, self.dropout)), state


def dropped(model: torch.nn.Module, values: torch.Tensor, rate: float) -> torch.Tensor:
    """Dropout of values, if the model is in training.

    It takes half the time of torch's dropout, which draws its Bernoulli numbers one by one.
    """
    if not (model.training and rate):
        return values
    return values * torch.rand_like(values).ge_(rate).div_(1 - rate)


S = TypeVar("S", bound=Training)


class Encoding(ABC, Generic[S]):
    """What a task learns from its training data beside weights: a vocabulary, a scale, the names of classes.

    With it, the weights and the settings a model can be made again and read new data. It is plain data.
    """

    @abstractmethod
    def model(self, layer: MakeLayer, setting: S) -> torch.nn.Module:
        """A fresh model; calling it with a batch and a state gives outputs and the next state."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """What ``from_json`` makes an equal one of."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read it back.

        Raises:
            KeyError, TypeError, ValueError: ``data`` is no such encoding.
        """


E = TypeVar("E", bound=Encoding[Any])


class Task(ABC, Generic[S, E]):
    """One thing to be learnt from one data set.

    Args:
        source: the data.
        setting: how they are read and modelled; the defaults unless given.
        encoding: of a trained model. Nothing is learnt from the data then, and all of them are the test split.
    """

    name: ClassVar[str]
    metric: ClassVar[str]  # what training validates by; better when lower
    unit: ClassVar[str]
    items: ClassVar[str] = "steps"  # what ``Measure.count`` counts, for people who watch a training
    setting_type: ClassVar[type[Any]]  # the class of ``setting``
    encoding_type: ClassVar[type[Any]]  # the class of ``encoding``
    reads_folders: ClassVar[bool] = False
    rates: ClassVar[int] = 1  # learning rates that a comparison tries in each run, unless told
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
    ) -> Self:
        """The task on a bundled set or a file.

        Args:
            data: the name of a bundled set, the path of a file, or a source read already.
            setting: how the data are read, modelled and learnt; the task's defaults unless given. The target of a
                bundled set is used where the settings name none.
            encoding: of a trained model that the data are for.
            valid: a file of its own for validation, where the task reads such.
            test: the same for the test.

        Raises:
            InputError: the data cannot be used, or belong to another task.
        """
        address = data.address if isinstance(data, Source) else address_of(data)
        source = data if isinstance(data, Source) else locate(address, folders=cls.reads_folders)
        source = with_parts(source, valid=valid, test=test, folders=cls.reads_folders)
        setting, bundled = setting or cls.setting_type(), bundled_at(address)
        if bundled and bundled.task != cls.name:
            raise InputError(
                "BUNDLED_TASK",
                f"{source.title} is a data set for the task {bundled.task}, not for {cls.name}",
                fix="leave the task out, or pass a file of your own",
            )
        if bundled and bundled.target and getattr(setting, "target", None) is None:
            setting = replace(setting, target=bundled.target)
        return cls(source, setting, encoding)

    def to_json(self) -> dict[str, Any]:
        """Plain data from which ``tasks.from_json`` makes the same task again, in another process too."""
        values = dataclasses.asdict(self.setting)
        setting = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return {"task": self.name, "setting": setting, **self.source.to_json()}

    def model(self, layer: MakeLayer) -> Any:
        """A fresh model around recurrent layers that ``layer`` makes."""
        return self.encoding.model(layer, self.setting)

    @abstractmethod
    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[Batch]:
        """The batches of one pass; training passes draw their order from ``order``."""

    @abstractmethod
    def measure(self, outputs: Any, batch: Batch) -> Measure:
        """Loss and error of a model's outputs."""

    def settle(self, model: torch.nn.Module) -> None:
        """Set what a trained model takes from the validation part beside weights; nothing unless a task says."""

    @abstractmethod
    def baselines(self) -> list[BaselineRecord]:
        """Scores on the test split, by the metric, that need no recurrent network."""

    def score(self, error: float, count: int) -> float:
        """The metric from summed errors; their mean unless a task says otherwise."""
        return error / count

    def scores(self, model: torch.nn.Module, metric: float) -> list[ScoreRecord]:
        """What people want to know of a trained model, on the test split; ``metric`` is what ``evaluate`` gave."""
        del model
        baselines = {line.name: line.score for line in self.baselines()}
        return [ScoreRecord(self.metric, metric, self.unit, "lower", baselines)]


AnyTask = Task[Any, Any]


def doubled(model: torch.nn.Module) -> torch.nn.Module:
    """The model in float64. It casts batches of float32 itself, so that no caller needs to know its precision."""
    model.double().register_forward_pre_hook(_cast)
    return model


def _cast(model: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    del model
    return tuple(one.to(torch.float64) if isinstance(one, Batch) else one for one in arguments)
