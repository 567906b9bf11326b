"""Classification: the class of a text or of a series."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from tidegate import setting as settings
from tidegate.data import Source
from tidegate.data.labelled import Label, Labelled, Layout, read_labelled
from tidegate.errors import InputError
from tidegate.records import BaselineRecord, DataRecord, ScoreRecord
from tidegate.tasks.classification.baseline import Part, Rival, majority, series_rivals, text_rivals
from tidegate.tasks.classification.batch import Sequences, drawn, in_order, padded
from tidegate.tasks.classification.encoding import ClassificationEncoding, Vocabulary, cut
from tidegate.tasks.classification.score import SCORES, log_loss, scored, temperature
from tidegate.tasks.classification.split import stratified
from tidegate.tasks.task import Measure, Recipe, Split, Task

ROWS = 10
STEPS = 24  # the least number of batches in an epoch: small sets are passed through several times
SCORED = 256  # sequences of a batch that is only scored


class Classification(Task[settings.Classification, ClassificationEncoding]):
    """The class of each sequence: of texts by character or word, or of series of one or more channels.

    Equations:
        error = -log p(class | x[0..T-1])

    Training is a part of the data, and so are validation and test unless they have files of their own. Parts
    are drawn class by class; rows with the same content stay in one part. An epoch has at least 24 batches.

    Args:
        source: what ``data.labelled.read_labelled`` reads.

    Shapes:
        inputs: [T, B] int64 units or [T, B, C] float; targets [B] int64.

    Raises:
        InputError: the source holds no sequences with classes, fewer than 10 of them, one class only, or one that
            training lacks.
    """

    name = "classification"
    metric = "NLL"
    unit = "nats"
    setting_type = settings.Classification
    encoding_type = ClassificationEncoding
    reads_folders = True

    def __init__(
        self,
        source: Source,
        setting: settings.Classification | None = None,
        encoding: ClassificationEncoding | None = None,
    ) -> None:
        self.source, self.setting = source, setting or settings.Classification()
        found = read_labelled(source, layout(self.setting))
        parts = {"test": found["train"]} if encoding else _parted(source, found, self.setting)
        if encoding is None:
            train = parts["train"]
            encoding = ClassificationEncoding.of(train.items, train.labels, self.setting)
        encoding.check(found["train"], source.title)
        self.encoding = encoding
        self.parts: dict[str, Part] = {
            split: Part(part.items, encoding.indices(part.labels, f"{source.title} ({split})"))
            for split, part in parts.items()
        }
        self.sequences = {split: [encoding.reading.encode(one) for one in part.items] for split, part in parts.items()}
        self.recipe = _recipe(encoding, self.setting)
        self.data = DataRecord(
            name=source.title,
            hash=source.hash,
            description=source.description or self._description(),
            licence=source.licence,
            split=_split(found, parts, self.setting),
            warnings=self._warnings(found, parts),
        )

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[Sequences]:
        """Sequences of similar length together; with ``order``, training batches are drawn."""
        sequences, targets = self.sequences.get(split, []), torch.from_numpy(self.parts[split].classes)
        lengths = [len(one) for one in sequences]
        if order is None or split != "train":
            groups = in_order(lengths, SCORED)
        else:
            size = min(self.setting.batch_size, max(4, len(lengths) // 4))
            passes = math.ceil(STEPS / math.ceil(len(lengths) / size))
            groups = [group for _ in range(passes) for group in drawn(lengths, size, order)]
        for rows in groups:
            yield padded([sequences[row] for row in rows], targets[rows])

    def measure(self, outputs: torch.Tensor, batch: Any) -> Measure:
        loss = cross_entropy(outputs.float(), batch.targets, reduction="sum")
        return Measure(loss, loss.item(), len(batch.targets))

    def baselines(self) -> list[BaselineRecord]:
        truth = self.parts["test"].classes
        return [
            BaselineRecord(rival.name, log_loss(rival.chances, truth), rival.how)
            for rival in self._rivals
            if rival.probable
        ]

    def scores(self, model: torch.nn.Module, metric: float) -> list[ScoreRecord]:
        del metric  # among those below
        logits, truth = self._answers(model, "test")
        own = scored(logits.double().softmax(1).numpy(), truth.numpy())
        others = {rival.name: scored(rival.chances, truth.numpy()) for rival in self._rivals}
        judged = {rival.name for rival in self._rivals if rival.probable}
        return [
            ScoreRecord(
                name, own[name], unit, better,
                {rival: values[name] for rival, values in others.items() if name in ("accuracy", "macro F1") or rival in judged},
            )
            for name, (unit, better) in SCORES.items()
        ]

    def settle(self, model: torch.nn.Module) -> None:
        if self.setting.calibrate:
            with torch.no_grad():
                model.temperature.fill_(temperature(*self._answers(model, "valid")))  # type: ignore[operator, union-attr]

    def _answers(self, model: torch.nn.Module, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [N, classes] and classes [N] of a split."""
        model.eval()
        with torch.inference_mode():
            pairs = [(model(batch)[0], batch.targets) for batch in self.batches(split)]
        return torch.cat([logits for logits, _ in pairs]), torch.cat([targets for _, targets in pairs])

    @cached_property
    def _rivals(self) -> list[Rival]:
        """In the order of ``_answers``."""
        test = self.parts["test"]
        groups = in_order([len(one) for one in self.sequences["test"]], SCORED)
        rows = [row for group in groups for row in group]
        test = Part([test.items[row] for row in rows], test.classes[rows])
        found = [majority(self.encoding.shares, len(rows))]
        if "train" in self.parts:
            reading = self.encoding.reading
            others: Any = text_rivals if isinstance(reading, Vocabulary) else series_rivals
            found += others(reading, self.parts["train"], self.parts["valid"], test)
        return found

    def _description(self) -> str:
        reading, kinds = self.encoding.reading, len(self.encoding.classes)
        lengths = [len(one) for sequences in self.sequences.values() for one in sequences]
        what = f"texts read by {reading.unit}" if isinstance(reading, Vocabulary) else f"series of {reading.channels} channels"
        span = f"{min(lengths)} to {max(lengths)}" if min(lengths) < max(lengths) else str(min(lengths))
        return f"{len(lengths):,} {what}, {span} steps, {kinds} classes"

    def _warnings(self, found: dict[str, Labelled], parts: dict[str, Labelled]) -> tuple[str, ...]:
        warnings = [text for part in found.values() for text in part.warnings]
        reading = self.encoding.reading
        if isinstance(reading, Vocabulary):
            lengths = [len(cut(text, reading.unit)) for part in parts.values() for text in part.items]
            long, empty = sum(n > reading.longest for n in lengths), lengths.count(0)
            warnings += [f"{long} texts were cut off after {reading.longest} {reading.unit}s (--longest)"] if long else []
            warnings += [f"{empty} texts hold nothing to read; each counts as one unknown {reading.unit}"] if empty else []
        return (*warnings, *_shared(parts))


def layout(setting: settings.Classification, **changes: Any) -> Layout:
    """How files are read under these settings."""
    names = ("text", "label", "label_end", "encoding", "flat")
    return Layout(**{**{name: getattr(setting, name) for name in names}, **changes})


def _recipe(encoding: ClassificationEncoding, setting: settings.Classification) -> Recipe:
    reading = encoding.reading
    fixed = reading.size * setting.embedding_size if isinstance(reading, Vocabulary) else 0
    return Recipe(
        parameters=fixed + 70_000,
        trials=1,
        learning_rate=setting.learning_rate,
        dropout=setting.dropout,
        epochs=setting.epochs,
        patience=setting.patience,
        patience_rate=setting.patience_rate,
    )


def _key(item: Any) -> Any:
    """What makes two sequences the same: letters but not their case and spacing, or all values."""
    return " ".join(item.split()).casefold() if isinstance(item, str) else (item.shape, item.tobytes())


def _parted(source: Source, found: dict[str, Labelled], setting: settings.Classification) -> dict[str, Labelled]:
    """Training, validation and test, drawn from the data where they have no files of their own."""
    rows = found["train"]
    _check(source, rows, setting)
    shares = {"test": setting.test_share, "valid": setting.valid_share}
    shares = {part: share for part, share in shares.items() if part not in found}
    names = {label: index for index, label in enumerate(dict.fromkeys(rows.labels))}
    classes = [names[label] for label in rows.labels]
    drawn_rows = stratified([_key(item) for item in rows.items], classes, list(shares.values()), setting.split_seed)
    own = {part: _taken(rows, taken) for part, taken in zip((*shares, "train"), drawn_rows, strict=True)}
    parts = {**found, **own}
    empty = next((part for part in ("train", "valid") if not parts[part].items), None)
    if empty:
        raise InputError(
            "CLASSIFICATION_SPLIT",
            f"{source.title} leaves no rows for {empty}: {len(set(map(_key, rows.items)))} different ones of {len(rows.items)}",
            fix="pass more data, or larger shares",
        )
    return {part: parts[part] for part in ("train", "valid", "test")}


def _taken(rows: Labelled, taken: Sequence[int]) -> Labelled:
    return Labelled(tuple(rows.items[row] for row in taken), tuple(rows.labels[row] for row in taken))


def _check(source: Source, rows: Labelled, setting: settings.Classification) -> None:
    count = Counter(map(str, rows.labels))
    if len(count) < 2:
        raise InputError(
            "CLASSIFICATION_ONE", f"every row of {source.title} has the class {next(iter(count))!r}", fix="pass two or more classes"
        )
    if len(rows.items) < ROWS:
        raise InputError(
            "CLASSIFICATION_SHORT",
            f"{source.title} has {len(rows.items)} rows, but at least {ROWS} are needed: a part is kept for validation",
            fix="pass more",
        )
    if len(count) > len(rows.items) // 2:
        raise InputError(
            "CLASSIFICATION_CLASSES",
            f"{source.title} has {len(count)} different classes in {len(rows.items)} rows",
            fix="name the column with the classes (--label), or end them early (--label-end)",
        )


def _split(found: dict[str, Labelled], parts: dict[str, Labelled], setting: settings.Classification) -> str:
    sizes = ", ".join(f"{part} {len(rows.items):,}" for part, rows in parts.items())
    own = " and ".join(part for part in ("valid", "test") if part in found)
    how = f"drawn class by class (seed {setting.split_seed})" if "train" in parts else "all rows"
    return f"{how}: {sizes}" + (f"; {own} as given" if own else "")


def _shared(parts: dict[str, Labelled]) -> Iterator[str]:
    train = set(map(_key, parts["train"].items)) if "train" in parts else set()
    for split in ("valid", "test"):
        rows = parts[split].items if split in parts else ()
        shared = sum(_key(item) in train for item in rows) if train else 0
        if shared:
            yield f"{split}: {shared} of {len(rows)} rows stand in training, too"
