"""What a classifier learns from: rows in memory, or those of a large file, of which training reads a cache."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tidegate.data import Source
from tidegate.data.cache import Cache, Draft, Facts, Stored
from tidegate.data.labelled import Label, Labelled, check_labels, each_row
from tidegate.data.large import in_megabytes
from tidegate.data.owner import check_no_column
from tidegate.data.piecewise import Text
from tidegate.errors import InputError
from tidegate.phase import phase
from tidegate.plain import typed
from tidegate.tasks.classification.encoding import ClassificationEncoding, Vocabulary, sorted_classes
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.source import again, layout, reader
from tidegate.tasks.classification.split import check_classes, described, key_of, parted
from tidegate.tasks.classification.stored import ROWS, StoredTexts, write_texts
from tidegate.train.fitted import check_in_memory, is_private, owner_of

LEARNT = 8 << 20  # bytes of a large file whose rows the vocabulary and the baselines learn from
SCORED = 4 << 20  # bytes of a large file whose rows validate, and of those that test
CLASSES = 1 << 16  # most classes in a large file
KEPT = ("text", "label", "separator", "label_end", "unit", "vocabulary", "longest", "valid_share", "test_share")
SAMPLES = ("train", "valid", "test")


@dataclass(frozen=True)
class Content:
    """The rows of a source.

    Attributes:
        source: where they come from, with its hash.
        read: the rows of each file; of a large one, those of its samples.
        parts: the rows of each split; of a large file, samples, which for training are those of the baselines.
        encoding: of the rows.
        stored: the training rows, if they are not in memory.
        split: how many rows each split has.
        notes: what is a sample.
    """

    source: Source
    read: dict[str, Labelled]
    parts: dict[str, Labelled]
    encoding: ClassificationEncoding
    stored: StoredTexts | None
    split: str
    notes: tuple[str, ...] = ()


def content_of(
    source: Source,
    setting: ClassificationSetting,
    encoding: ClassificationEncoding | None,
    given: ClassificationEncoding | None = None,
) -> Content:
    """Read and split a source.

    Args:
        source: what ``read_labelled`` reads; CSV, TSV and JSON lines of any size.
        setting: how.
        encoding: of a trained model, which takes all rows as the test split.
        given: learnt from public data; unless given, it is learnt from the training part.

    Raises:
        InputError: the source cannot be used.
    """
    check_in_memory(source, given)
    if source.large and encoding is None:
        return _large(source, setting)
    read = source.read_by(again(setting, encoding.columns) if encoding else reader(setting))
    phase("preparing")
    parts = {"test": read["train"]} if encoding else parted(source, read, setting)
    train = None if encoding else parts["train"]
    made = (
        encoding
        or given
        or ClassificationEncoding.of(parts["train"].items, parts["train"].labels, setting, read["train"].columns)
    )
    stored = _cached(source, setting, made, train) if train and source.cache else None
    return Content(source, read, parts, made, stored, described(read, parts, setting))


def _cached(
    source: Source, setting: ClassificationSetting, encoding: ClassificationEncoding, train: Labelled
) -> StoredTexts:
    """The training rows of a small source in its cache."""
    reading = encoding.reading
    if not isinstance(reading, Vocabulary):
        raise InputError("CACHE_TASK", f"the series of {source.title} are held in memory", fix="leave out cache=")

    def write(draft: Draft) -> Facts:
        write_texts(zip(train.items, encoding.indices(train.labels, source.title), strict=True), reading, draft)
        return {}

    return StoredTexts(Cache(source).stored(source.hash, _settings(setting), write), reading)


def _settings(setting: ClassificationSetting) -> Facts:
    return {"task": "classification", **{name: getattr(setting, name) for name in (*KEPT, "split_seed")}}


def _large(source: Source, setting: ClassificationSetting) -> Content:
    check_no_column(source.title, owner_of(setting), "larger than memory and read text by text")
    if setting.encoding != "utf-8":
        raise InputError(
            "FILE_LARGE",
            f"{source.title} is too large to be read in {setting.encoding}",
            fix="convert it, e.g. iconv -f latin1 -t utf-8",
        )
    if source.valid or source.test:
        raise InputError(
            "FILE_LARGE",
            f"{source.title} is larger than memory, so its rows for validation and test are drawn from itself",
            fix="leave out valid= and test=, and evaluate the model on the other file afterwards",
        )
    cache = Cache(source)
    found = cache.remembered("text", lambda: Text.surveyed(source).to_json())
    source = Text.from_json(source, found).source
    stored = cache.stored(source.hash, _settings(setting), lambda draft: _write(source, setting, draft))
    facts = stored.facts
    encoding = ClassificationEncoding.from_json(typed(facts.get("encoding"), dict[str, Any], "encoding"))
    if is_private(setting):  # any training may have written the cache
        encoding = replace(encoding, shares=())
    assert isinstance(encoding.reading, Vocabulary)
    parts = {part: _sample(stored, part, encoding) for part in SAMPLES}
    count = typed(facts.get("rows"), dict[str, int], "rows")
    split = ", ".join(f"{part} {count[part]:,}" for part in SAMPLES)
    return Content(
        source,
        {"train": parts["train"]},
        parts,
        encoding,
        StoredTexts(stored, encoding.reading),
        f"drawn by the hash of each row (seed {setting.split_seed}): {split}",
        typed(facts.get("notes"), tuple[str, ...], "notes"),
    )


class _Scan:
    """One pass over a large file: its classes, and samples of its rows."""

    def __init__(self, source: Source, setting: ClassificationSetting) -> None:
        self.source, self.setting = source, setting
        share, learnt = SCORED / source.size, LEARNT / source.size
        self._test = min(setting.test_share, share)
        self._valid = self._test + min(setting.valid_share, share)
        self._learnt = 1 - min(learnt, 1 - self._valid)
        self._first: dict[tuple[type, Label], str] = {}  # where each class occurs first
        self.count: dict[str, Counter[str]] = {part: Counter() for part in SAMPLES}
        self.samples: dict[str, list[tuple[str, Label]]] = {part: [] for part in SAMPLES}
        self.labels: dict[str, Label] = {}

    def rows(self) -> Iterator[tuple[str, str, Label, bool]]:
        """The split of each row, its text, its class, and whether it is in a sample."""
        end = self.setting.label_end
        for place, text, label in each_row(self.source, layout(self.setting)):
            short = label.split(end, 1)[0] if end and isinstance(label, str) else label
            if (type(short), short) not in self._first:
                self._add(short, place)
            at = self._hash(text)
            part = "test" if at < self._test else "valid" if at < self._valid else "train"
            yield part, text, short, part != "train" or at >= self._learnt

    def run(self) -> None:
        """Count the rows and collect the samples."""
        done = 0
        for number, (part, text, label, sampled) in enumerate(self.rows()):
            done += len(text)
            if number % ROWS == 0:
                phase(f"splitting {self.source.title}, {in_megabytes(self.source.size)}", done, self.source.size)
            self.count[part][str(label)] += 1
            if sampled:
                self.samples[part].append((text, label))
        places = list(self._first.values())
        check_labels(self.source.title, [label for _, label in self._first], places.__getitem__)
        check_classes(self.source, sum(self.count.values(), Counter()))
        self.labels = {str(label): label for _, label in self._first}
        empty = next((part for part in ("train", "valid") if not self.samples[part]), None)
        if empty:
            raise InputError(
                "CLASSIFICATION_SPLIT",
                f"{self.source.title} has so few rows that none is drawn for {empty}",
                fix="cut long texts into several rows",
            )

    def _add(self, label: Label, place: str) -> None:
        self._first[type(label), label] = place
        if len(self._first) > CLASSES:
            raise InputError(
                "CLASSIFICATION_CLASSES",
                f"{self.source.title} has more than {CLASSES:,} different classes",
                fix="name the column with the classes with label=, or cut them off with label_end=",
            )

    def _hash(self, text: str) -> float:
        """A number in [0, 1), the same for rows with the same content."""
        key = self.setting.split_seed.to_bytes(8, "little")
        raw = str(key_of(text)).encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(raw, digest_size=6, key=key).digest(), "little") / (1 << 48)


def _write(source: Source, setting: ClassificationSetting, draft: Draft) -> Facts:
    """Write the training rows and the samples; two passes over the file."""
    scan = _Scan(source, setting)
    scan.run()
    items, labels = zip(*scan.samples["train"], strict=True)
    train = scan.count["train"]
    made = ClassificationEncoding.of(items, labels, setting)
    classes = sorted_classes([scan.labels[name] for name in train])
    encoding = replace(made, classes=classes, shares=tuple(train[str(label)] / train.total() for label in classes))
    reading = encoding.reading
    assert isinstance(reading, Vocabulary)
    places = {str(label): place for place, label in enumerate(classes)}
    draft.reserve(2 * source.size)
    for part, rows in scan.samples.items():
        _write_sample(draft, part, rows, encoding, f"{source.title} ({part})")
    own = ((text, places[str(label)]) for part, text, label, _ in scan.rows() if part == "train")
    long, empty = write_texts(own, reading, draft)
    totals = {part: count.total() for part, count in scan.count.items()}
    return {
        "encoding": encoding.to_json(),
        "rows": totals,
        "notes": [*_notes(scan), *length_notes(long, empty, reading)],
    }


def _write_sample(
    draft: Draft, part: str, rows: Iterable[tuple[str, Label]], encoding: ClassificationEncoding, name: str
) -> None:
    raw = [text.encode("utf-8", "surrogatepass") for text, _ in rows]
    draft.append(f"{part}_text", np.frombuffer(b"".join(raw), np.uint8))
    draft.append(f"{part}_ends", np.cumsum([len(text) for text in raw], dtype=np.int64))
    draft.append(f"{part}_classes", encoding.indices([label for _, label in rows], name).astype(np.int32))


def _sample(stored: Stored, part: str, encoding: ClassificationEncoding) -> Labelled:
    raw, ends = stored.array(f"{part}_text").tobytes(), stored.array(f"{part}_ends").tolist()
    texts = tuple(raw[a:b].decode("utf-8", "surrogatepass") for a, b in zip([0, *ends], ends, strict=False))
    return Labelled(texts, tuple(encoding.classes[k] for k in stored.array(f"{part}_classes").tolist()))


def length_notes(long: int, empty: int, reading: Vocabulary) -> list[str]:
    """Notes that count the texts that are cut off, and those that are empty."""
    notes = [f"{long} texts were cut off after {reading.longest} {reading.unit}s (longest={reading.longest})"]
    unknown = [f"{empty} texts are empty; each counts as one unknown {reading.unit}"]
    return notes * bool(long) + unknown * bool(empty)


def _notes(scan: _Scan) -> Iterator[str]:
    count, sample = scan.count["train"].total(), len(scan.samples["train"])
    yield f"train: the vocabulary and the baselines are learnt from {sample:,} of {count:,} rows"
    for part in ("valid", "test"):
        yield f"{part}: {scan.count[part].total():,} rows, about {SCORED / 1e6:.1f} MB"
