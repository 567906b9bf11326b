"""How series become tensors: in standard deviations, and which values were observed when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data.labelled import Gapped, Values, complete
from tidegate.errors import InputError
from tidegate.tasks.classification.reading import Reading
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.train.fitted import Fitted
from tidegate.train.layer import LayerMaker
from tidegate.train.task import MakeLayer

FRAMES = 40  # steps of the longest series, unless frame says
OFFERED = {"dt": "1", "m": "I"}  # what a cell may declare as given, and the axis of each

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale(Reading):
    """Mean and standard deviation of each channel over all values of the training series, and steps in a frame.

    Equations:
        z = (x - mean) / sd;  step k of a model reads z[k F .. (k+1) F - 1] of all channels, padded with the last value
    """

    mean: tuple[float, ...]
    sd: tuple[float, ...]
    frame: int

    def __post_init__(self) -> None:
        if len(self.sd) != len(self.mean) or not all(sd > 0 for sd in self.sd) or self.frame < 1:
            raise ValueError("the scale of the series does not fit its channels")

    @classmethod
    def of(cls, series: Sequence[Values | Gapped], setting: ClassificationSetting) -> Self:
        """The scale of the training series; a constant channel keeps its unit.

        Raises:
            InputError: a frame is longer than each of them.
        """
        longest = max(map(len, series))
        if setting.frame > longest:
            raise InputError(
                "FRAME",
                f"frame={setting.frame} is longer than the longest training series, which has {longest} steps",
                fix=f"set frame= to at most {longest}",
            )
        steps = np.concatenate([np.asarray(_raw(item), dtype=np.float64) for item in series])
        there = np.isfinite(steps)
        count = np.maximum(there.sum(0), 1)
        mean = np.where(there, steps, 0).sum(0) / count
        sd = np.sqrt((np.where(there, steps - mean, 0) ** 2).sum(0) / count)
        scale = (tuple(mean.tolist()), tuple(np.where(sd > 0, sd, 1.0).tolist()))
        return cls(*scale, **cls._found(series, setting, longest))

    @classmethod
    def _found(cls, series: Sequence[Values | Gapped], setting: ClassificationSetting, longest: int) -> dict[str, Any]:
        """The other fields."""
        del series
        return {"frame": setting.frame or math.ceil(longest / FRAMES)}

    def fitted(self, setting: ClassificationSetting) -> tuple[Fitted, ...]:
        scale = Fitted("scale", f"mean and deviation of {self.channels} channels")
        frame = Fitted("frame", f"that {self.frame} steps are read together", f"frame={self.frame}")
        return (scale,) if setting.frame else (scale, frame)

    def named(self, channels: Sequence[str] | None = None) -> tuple[str, ...]:
        """What each number of a step is.

        Args:
            channels: their names; numbers unless given.
        """
        names = channels or [f"channel {channel + 1}" for channel in range(self.channels)]
        later = [f" of step {place + 1} of the frame" if self.frame > 1 else "" for place in range(self.frame)]
        return tuple(name + place for place in later for name in names)

    @property
    def channels(self) -> int:
        """The number of channels of a series."""
        return len(self.mean)

    @property
    def width(self) -> int:
        """The number of values in a frame."""
        return self.frame * self.channels

    def scaled(self, item: Values | Gapped) -> NDArray[np.float32]:
        """[T, C] in standard deviations from the mean, gaps filled; a channel without any value becomes the mean."""
        scaled = (np.asarray(complete(item), dtype=np.float64) - self.mean) / self.sd
        return np.nan_to_num(scaled, nan=0.0).astype(np.float32)

    def encode(self, item: Values | Gapped) -> torch.Tensor:
        values = torch.from_numpy(self.scaled(item))
        rest = -len(values) % self.frame
        return torch.cat([values, values[-1:].expand(rest, -1)]).reshape(-1, self.width)

    def encoder(self, setting: ClassificationSetting, layer: MakeLayer | None = None) -> tuple[torch.nn.Module, int]:
        return self._encoder(setting, SeriesEncoder(self.frame, self.channels, layer))

    @staticmethod
    def _encoder(setting: ClassificationSetting, made: SeriesEncoder) -> tuple[SeriesEncoder, int]:
        if "dt" in made.given_names and setting.bidirectional:
            raise InputError(
                "CELL_TIME",
                f"cell={setting.cell!r} is given dt, the time since the step before, which is not the time since the "
                "step behind it, where a layer that reads from the end comes from",
                fix="set bidirectional=False",
            )
        return made, made.features

    def raw(self, inputs: Floats, beside: Sequence[str]) -> dict[str, Floats]:
        """What ``encode`` made its steps of, as a shipped model reads them.

        Args:
            inputs: [T, B, F] float64.
            beside: what else the model reads, as ``SeriesEncoder`` names it.
        """
        mean, sd = (np.tile(values, self.frame) for values in (self.mean, self.sd))
        del beside
        return {"values": inputs[..., : self.width] * sd + mean}

    def observed(self, inputs: torch.Tensor) -> torch.Tensor:
        """[T, B, width] bool: the values of a batch that were observed, all of them."""
        return torch.ones_like(inputs[..., : self.width], dtype=torch.bool)

    def unframed(self, sequence: torch.Tensor) -> torch.Tensor:
        """The values [T, C] of a series, from what ``encode`` made of it."""
        return sequence[:, : self.width].reshape(-1, self.channels)


@dataclass(frozen=True)
class Observed(Scale):
    """The scale of series with gaps or with times of their own, of observed values alone.

    Equations:
        a step reads z with gaps filled by straight lines in time; m, 1 where a value was observed, else 0; and
        dt = (t[k] - t[k-1]) / step, 0 at the first one

    Where steps are read in frames, t is the time of the last one in a frame.

    Attributes:
        step: the median time between steps in training; 0 where steps are equally far apart, which have dt = 1.
        beside: whether layers whose cell takes no mask or no times read these as further inputs.
    """

    step: float = 0.0
    beside: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.step) and self.step >= 0):
            raise ValueError("the time between steps is negative or not finite")

    @classmethod
    def _found(cls, series: Sequence[Values | Gapped], setting: ClassificationSetting, longest: int) -> dict[str, Any]:
        times = [item.times for item in series if isinstance(item, Gapped) and item.times is not None]
        between = np.concatenate([np.diff(own) for own in times]) if times else np.zeros(0)
        step = float(np.median(between)) if len(between) else 1.0
        frame = setting.frame or (1 if times else math.ceil(longest / FRAMES))
        return {"frame": frame, "step": step if times else 0.0, "beside": setting.missing == "inputs"}

    def fitted(self, setting: ClassificationSetting) -> tuple[Fitted, ...]:
        gaps = "which values may be missing" + (", and the median time between steps" if self.step else "")
        return (*super().fitted(setting), Fitted("gaps", gaps))

    def named(self, channels: Sequence[str] | None = None) -> tuple[str, ...]:
        values = super().named(channels)
        return (*values, *(f"{value} observed" for value in values), "time since the step before")

    def encode(self, item: Values | Gapped) -> torch.Tensor:
        """[T, 2 F + 1] float32: the values of each frame, which of them were observed, and dt."""
        last = np.minimum(np.arange(0, len(item), self.frame) + self.frame, len(item)) - 1
        between = np.diff(_times(item)[last], prepend=np.nan) / (self.step or self.frame)
        there = np.isfinite(np.asarray(_raw(item), dtype=np.float64))
        mask = np.concatenate([there, np.zeros((-len(there) % self.frame, self.channels))])
        seen = torch.from_numpy(mask.astype(np.float32).reshape(-1, self.width))
        return torch.cat([super().encode(item), seen, torch.from_numpy(np.nan_to_num(between)).float()[:, None]], 1)

    def observed(self, inputs: torch.Tensor) -> torch.Tensor:
        """[T, B, width] bool: the values of a batch that were observed."""
        return inputs[..., self.width : 2 * self.width] > 0

    def raw(self, inputs: Floats, beside: Sequence[str]) -> dict[str, Floats]:
        dt, seen = inputs[..., -1:] * (self.step or self.frame), inputs[..., self.width : 2 * self.width]
        further = {name: part for key, name, part in (("dt", "dt", dt), ("m", "observed", seen)) if key in beside}
        return {**super().raw(inputs, beside), **further}

    def encoder(self, setting: ClassificationSetting, layer: MakeLayer | None = None) -> tuple[torch.nn.Module, int]:
        made = SeriesEncoder(self.frame, self.channels, layer, observed=True, beside=self.beside)
        return self._encoder(setting, made)


class SeriesEncoder(torch.nn.Module):
    """What recurrent layers read of series, as their input and as what their cell is given.

    Args:
        frame: the number of steps in a frame.
        channels: of a series.
        layer: makes the layers, and knows what their cell asks for; None for a cell that asks for nothing.
        observed: whether batches hold masks and times, as ``Observed.encode`` makes them. Otherwise everything was
            observed and dt is 1.
        beside: whether what the cell does not ask for becomes further inputs.

    Shapes:
        [T, B, width], or [T, B, 2 width + 1], to [T, B, features].
    """

    def __init__(
        self, frame: int, channels: int, layer: MakeLayer | None, *, observed: bool = False, beside: bool = False
    ) -> None:
        super().__init__()
        self.frame, self.channels, self.width, self.observed = frame, channels, frame * channels, observed
        self.given_names = layer.given(OFFERED) if isinstance(layer, LayerMaker) else ()
        self.beside = tuple(name for name in OFFERED if beside and observed and name not in self.given_names)
        self.features = self.width + sum({"dt": 1, "m": self.width}[name] for name in self.beside)

    @property
    def says(self) -> str:
        """What the layers read of gaps and times, in words."""
        ways = {"beside the input": self.given_names, "as further inputs": self.beside}
        parts = [f"{' and '.join(names)} {how}" for how, names in ways.items() if names]
        read = (
            f"the layers read {' and '.join(parts)}" if parts else "the layers do not see where or when (missing=fill)"
        )
        return f"gaps are filled by straight lines in time; {read}"

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        aside = self._aside(inputs, self.beside)
        return torch.cat([inputs[..., : self.width], *aside.values()], -1)

    def unframed(self, inputs: torch.Tensor) -> torch.Tensor:
        """The values [T * frame, B, C] of a batch."""
        framed = inputs[..., : self.width].unflatten(-1, (self.frame, self.channels))
        values: torch.Tensor = framed.transpose(1, 2).flatten(0, 1)
        return values

    def given(self, inputs: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """What the cell is given at every step: dt [T, B, 1] and m [T, B, width], as far as it asks."""
        return self._aside(inputs, self.given_names)

    def _aside(self, inputs: torch.Tensor, names: Iterable[str]) -> dict[str, torch.Tensor]:
        if self.observed:
            parts = {"m": inputs[..., self.width : 2 * self.width], "dt": inputs[..., -1:]}
        else:
            later = torch.ones_like(inputs[..., :1])
            later[:1] = 0
            parts = {"m": torch.ones_like(inputs), "dt": later}
        return {name: parts[name] for name in names}


def _raw(item: Values | Gapped) -> Values:
    return item.values if isinstance(item, Gapped) else item


def _times(item: Values | Gapped) -> Floats:
    return item.place if isinstance(item, Gapped) else np.arange(len(item), dtype=np.float64)
