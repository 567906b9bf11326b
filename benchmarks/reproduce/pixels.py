"""Row 6: MNIST pixel by pixel, in order and permuted, Bai et al. 2018, Table 1, and Cooijmans et al. 2017."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from tidegate.data import Source, locate
from tidegate.records import BaselineRecord, DataRecord, ScoreRecord
from tidegate.tasks.synthetic.task import Final, SyntheticEncoding
from tidegate.train.batch import Batch, Measure
from tidegate.train.setting import Training
from tidegate.train.task import Split, Task

from .case import DATA, Case

FILE = DATA / "images" / "mnist.npz"
SOURCE = "Bai et al. 2018, arXiv 1803.01271, Table 1"
REMARK = (
    "How far a quarter of an hour on one core gets: 4 passes over the images. The gates begin as Tallec & Ollivier "
    "2018 (arXiv 1804.11188) have them, with memories of up to 784 steps."
)
VALID = 5_000  # of the 60,000 training images
CLASSES = 10


@dataclass(kw_only=True)
class PixelSetting(Training):
    """Images, one pixel a step."""

    permuted: bool = False
    _task: ClassVar[str] = "pixels"


@cache
def _images() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """[784, N] uint8 and [N] classes of each split."""
    with np.load(FILE, allow_pickle=False) as file:
        found = {name: torch.from_numpy(file[name]) for name in file.files}
    flat = {part: found[f"{part}_x"].reshape(-1, 784).T.contiguous() for part in ("train", "test")}
    labels = {part: found[f"{part}_y"].long() for part in ("train", "test")}
    return {
        "train": (flat["train"][:, VALID:], labels["train"][VALID:]),
        "valid": (flat["train"][:, :VALID], labels["train"][:VALID]),
        "test": (flat["test"], labels["test"]),
    }


class Pixels(Task[PixelSetting, SyntheticEncoding]):
    """The class of an image after its last pixel."""

    name = "pixels"
    metric = "cross-entropy"
    unit = "nats"
    setting_type = PixelSetting
    encoding_type = SyntheticEncoding

    def __init__(
        self, source: Source, setting: PixelSetting | None = None, encoding: SyntheticEncoding | None = None
    ) -> None:
        self.source, self.setting = source, setting or PixelSetting()
        self.encoding = encoding or SyntheticEncoding(1, CLASSES)
        self.data = DataRecord("MNIST", source.hash, "images", "", "official", ())
        order = np.random.default_rng(0).permutation(784) if self.setting.permuted else np.arange(784)
        self.order = torch.from_numpy(order)

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[Batch]:
        images, labels = _images()[split]
        turns = torch.arange(len(labels)) if order is None else torch.randperm(len(labels), generator=order)
        for rows in turns.split(self.setting.batch_size if split == "train" else 500):
            pixels = images[:, rows][self.order].float()[..., None] / 255
            yield Final(pixels, labels[rows].expand(784, len(rows)))

    def measure(self, outputs: torch.Tensor, batch: Batch) -> Measure:
        loss = cross_entropy(outputs[-1], batch.targets[-1], reduction="sum")
        return Measure(loss, loss.item(), batch.targets.shape[1])

    def baselines(self) -> list[BaselineRecord]:
        return []

    def scores(self, model: torch.nn.Module, metric: float) -> list[ScoreRecord]:
        del metric
        right = [model(batch)[0][-1].argmax(-1) == batch.targets[-1] for batch in self.batches("test")]
        return [ScoreRecord("accuracy", float(torch.cat(right).float().mean()), "", "higher")]


def _case(name: str, published: str, cell: str, *, permuted: bool, **options: Any) -> Case:
    setting = PixelSetting(
        cell=cell,
        permuted=permuted,
        hidden_size=128,
        learning_rate=2e-3,
        batch_size=64,
        epochs=4,
        patience=4,
        schedule="cosine",
        dropout=0.0,
    )
    return Case(name, lambda setting: Pixels(locate(FILE), setting), setting, published, SOURCE, options, "accuracy")


CASES = [
    _case(f"{cell}, {order}", published, cell.lower(), permuted=order == "permuted", chrono=784)
    for cell, order, published in (
        ("GRU", "in order", "0.962"),
        ("LSTM", "in order", "0.872"),
        ("GRU", "permuted", "0.873"),
        ("LSTM", "permuted", "0.857"),
    )
]
