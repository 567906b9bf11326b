"""Polyphonic music: which of the 88 keys sound at the next step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from tidegate.data import KEYS, LOWEST, Roll, Source, read_music, shared_passages
from tidegate.data.owner import check_no_column
from tidegate.language import joined, say
from tidegate.records import BaselineRecord, DataRecord, ScoreRecord
from tidegate.tasks.music.example import Pieces
from tidegate.tasks.music.keywise import Keywise, keywise
from tidegate.tasks.music.model import MusicModel
from tidegate.tasks.music.setting import MusicSetting
from tidegate.tasks.music.source import reader
from tidegate.train.batch import Batch, Measure
from tidegate.train.bucket import bucketed
from tidegate.train.fitted import ROW, is_private
from tidegate.train.protected import Protected
from tidegate.train.sample import deciding
from tidegate.train.task import Encoding, MakeLayer, Split, Task

LONGEST = 1 << 30  # a window longer than any piece
NOTHING = Keywise(*[[4 / KEYS] * KEYS] * 3)  # is known of the keys but that some four of them sound
SPREAD = 8  # how far shuffling may mix lengths, in steps


@dataclass(frozen=True)
class MusicEncoding(Encoding[MusicSetting]):
    """The grid of the training pieces, and the statistics of each key, which baselines need.

    Attributes:
        steps_per_quarter: steps in a quarter note.
        keys: how often each key sounds, stays and begins; ``NOTHING`` in a private model.
        openings: MIDI notes of the first chords of training pieces, without repeats; a composition begins with one. A
            private model has none.
    """

    steps_per_quarter: int
    keys: Keywise
    openings: list[list[int]]

    def __post_init__(self) -> None:
        if any(not LOWEST <= note < LOWEST + KEYS for chord in self.openings for note in chord):
            raise ValueError("an opening has a note that no piano has")
        if self.steps_per_quarter < 1:
            raise ValueError(f"there are {self.steps_per_quarter} steps in a quarter note")

    def model(self, layer: MakeLayer, setting: MusicSetting) -> MusicModel:
        """A model whose first predictions are the frequencies of the keys.

        Few keys sound at a time. From a bias of 0, a probability of 1/2, training would first saturate the hidden
        units to silence the other keys, and a GRU hardly recovers from that.
        """
        model = MusicModel(layer, setting.dropout, setting.nade_size)
        with torch.no_grad():
            model.head.bias.copy_(torch.tensor(self.keys.sounds, dtype=torch.float64).logit())
        return model

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class MusicTask(Task[MusicSetting, MusicEncoding]):
    """Next-step prediction of piano rolls.

    Equations:
        error = -Σ_k x[t+1,k] log p[t,k] + (1 - x[t+1,k]) log(1 - p[t,k]), p[t,k] from x[0..t], and with a NADE from the
        keys below k at step t+1, so that it is the exact -log p(x[t+1] | x[0..t])

    The score is the mean over all steps of all pieces of a split, in nats; the first step of a piece is given and not
    scored. Training cuts pieces into windows of ``setting.window`` steps; each continues from the detached state of
    the one before.

    Args:
        source: piano rolls or MIDI as ``data.read_music`` reads them.

    Shapes:
        inputs: [T, B, 88] float; targets [T, B, 88] float, the inputs one step later.

    Raises:
        InputError: the source holds no piano rolls.

    References:
        Boulanger-Lewandowski et al. 2012, arXiv 1206.6392; metric as in Bai et al. 2018,
        arXiv 1803.01271, Table 1.
    """

    name = "music"
    metric = say("NLL")
    unit = say("nats per step")
    setting_type = MusicSetting
    encoding_type = MusicEncoding
    reader = staticmethod(reader)

    def __init__(
        self, source: Source, setting: MusicSetting | None = None, encoding: MusicEncoding | None = None
    ) -> None:
        self.source, self.setting = source, setting or MusicSetting()
        if encoding:
            rolls = read_music(source, encoding.steps_per_quarter, self.setting.split_seed, score=True)
        else:
            rolls = source.read_by(reader(self.setting))
        self.pieces: dict[Split, list[torch.Tensor]] = {
            "train": [torch.from_numpy(roll).float() for roll in rolls.train],
            "valid": [torch.from_numpy(roll).float() for roll in rolls.valid],
            "test": [torch.from_numpy(roll).float() for roll in rolls.test],
        }
        private = is_private(self.setting)
        self.encoding = encoding or MusicEncoding(
            rolls.steps_per_quarter,
            NOTHING if private else keywise(self.pieces["train"]),
            [] if private else _openings(rolls.train),
        )
        self.data = DataRecord(
            name=source.title,
            hash=source.hash,
            description=source.description or say("piano rolls, 88 keys"),
            licence=source.licence,
            split=joined([rolls.split, _sizes(self.pieces)], ": "),
            warnings=rolls.warnings + shared_passages(rolls),
        )

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[Batch]:
        """Batches of pieces of similar length; with ``order``, both are shuffled."""
        pieces = self.pieces[split]
        lengths = torch.tensor([len(piece) for piece in pieces])
        window = self.setting.window if split == "train" else LONGEST
        for group in bucketed(lengths, self.setting.batch_size, order, spread=SPREAD):
            yield from _chunks([pieces[index] for index in group], window)

    def measure(self, outputs: torch.Tensor, batch: Batch) -> Measure:
        terms = binary_cross_entropy_with_logits(outputs, batch.targets, reduction="none").sum(-1)  # [T, B]
        scored = batch.scored()
        loss = terms[scored].sum()
        return Measure(loss, loss.item(), int(scored.sum()))

    def losses(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        terms = binary_cross_entropy_with_logits(outputs, batch.targets, reduction="none").sum(-1)
        return terms.masked_fill(~batch.scored(), 0).sum(0)

    def protected(self, unit: str = ROW) -> Protected:
        check_no_column(self.source.title, None if unit == ROW else unit, "pieces of music")
        pieces, window = self.pieces["train"], self.setting.window
        cut = [(piece, begin) for piece, roll in enumerate(pieces) for begin in range(0, len(roll) - 1, window)]

        def make(rows: list[int]) -> Batch:
            own = [pieces[piece][begin : begin + window + 1] for piece, begin in map(cut.__getitem__, rows)]
            return next(_chunks(own, LONGEST))

        return Protected.of([piece for piece, _ in cut], len(cut), make, "one piece of music, with all its windows")

    @property
    def off(self) -> tuple[str, ...]:
        state = "the state of a piece from window to window in training"
        return ("the frequencies of the keys", "chords that begin training pieces", state, *super().off)

    @property
    def examples(self) -> Pieces:
        return Pieces(self)

    def baselines(self) -> list[BaselineRecord]:
        counted = say("the test") if is_private(self.setting) else say("the training pieces")
        return self._keys.baselines(self.pieces["test"], counted)

    @property
    def _keys(self) -> Keywise:
        """What is known of the keys; a private model knows none of training, so what the test itself shows."""
        test = self.pieces["test"]
        return keywise(test) if test and is_private(self.setting) else self.encoding.keys

    def scores(self, model: torch.nn.Module, metric: float) -> list[ScoreRecord]:
        pieces, lengths = self.pieces["test"], torch.tensor([len(piece) for piece in self.pieces["test"]])
        groups = bucketed(lengths, self.setting.batch_size)  # as ``batches`` has them
        theirs = self._keys.samples([pieces[index] for group in groups for index in group])
        (record,) = super().scores(model, metric)
        return [deciding(record, self.sample(model), theirs, "pieces")]


def _chunks(pieces: list[torch.Tensor], window: int) -> Iterator[Batch]:
    """Batches of ``window`` steps of all pieces; pieces that have ended are padded."""
    padded = torch.nn.utils.rnn.pad_sequence(pieces)  # [T + 1, B, 88]
    lengths = torch.tensor([len(piece) - 1 for piece in pieces])
    steps = len(padded) - 1
    for begin in range(0, steps, window):
        end = min(begin + window, steps)
        remaining = (lengths - begin).clamp(0, end - begin)
        yield Batch(padded[begin:end], padded[begin + 1 : end + 1], remaining, starts=begin == 0)


def _openings(pieces: tuple[Roll, ...]) -> list[list[int]]:
    chords = (piece[piece.any(1)][:1] for piece in pieces)  # the first step that is not silent
    return [list(notes) for notes in sorted({tuple((LOWEST + chord.nonzero()[1]).tolist()) for chord in chords})]


def _sizes(parts: Mapping[Split, list[torch.Tensor]]) -> str:
    sizes = [
        say("{part} {count} pieces ({steps:,} steps)", part=part, count=len(pieces), steps=sum(map(len, pieces)))
        for part, pieces in parts.items()
        if pieces
    ]
    return joined(sizes, ", ")
