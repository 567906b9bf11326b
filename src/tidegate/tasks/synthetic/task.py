"""Generated problems that test what a cell can remember, and for how long."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.nn.functional import cross_entropy, one_hot

from tidegate.data import Source, locate
from tidegate.language import say
from tidegate.records import BaselineRecord, DataRecord, ScoreRecord
from tidegate.tasks.synthetic.setting import SyntheticSetting
from tidegate.train.batch import Batch, Measure
from tidegate.train.sample import Sample, deciding
from tidegate.train.task import Encoding, MakeLayer, SequenceModel, Split, Task

HELD_OUT = 1000  # sequences in each of validation and test
SEEDS = {"train": 0, "valid": 1, "test": 2}
COPIED = 10  # symbols to be copied; they are 1 to 8
KINDS = 8


@dataclass(frozen=True)
class Final(Batch):
    """A batch whose rows are scored at their last step only."""

    def scored(self) -> torch.Tensor:
        steps, rows = self.inputs.shape[:2]
        ends = torch.full((rows,), steps) if self.lengths is None else self.lengths
        return torch.arange(steps)[:, None] == ends - 1


@dataclass(frozen=True)
class SyntheticEncoding(Encoding[SyntheticSetting]):
    """The widths of inputs and outputs."""

    features: int
    outputs: int

    def model(self, layer: MakeLayer, setting: SyntheticSetting) -> SequenceModel:
        return SequenceModel(torch.nn.Identity(), self.features, layer, setting.dropout, self.outputs)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class SyntheticTask(Task[SyntheticSetting, SyntheticEncoding]):
    """A problem with random sequences; training draws new ones for every batch.

    Validation and test are 1,000 sequences each, from fixed seeds of their own.
    """

    unit = ""
    setting_type = SyntheticSetting
    encoding_type = SyntheticEncoding
    widths: ClassVar[tuple[int, int]]  # of inputs and outputs

    def __init__(
        self,
        source: Source | None = None,
        setting: SyntheticSetting | None = None,
        encoding: SyntheticEncoding | None = None,
    ) -> None:
        self.source, self.setting = source or locate(f"bundled:{self.name}"), setting or SyntheticSetting()
        self.encoding = encoding or SyntheticEncoding(*self.widths)
        self.data = DataRecord(
            name=self.source.title,
            hash=self.source.hash,
            description=f"{self.source.description}, over {self.setting.length} steps",
            licence=self.source.licence,
            split=f"{self.setting.steps} batches drawn anew each epoch, {HELD_OUT:,} sequences for validation, "
            f"{HELD_OUT:,} for the test",
            warnings=(),
        )

    def scores(self, model: torch.nn.Module, metric: float) -> list[ScoreRecord]:
        (record,) = super().scores(model, metric)
        own = self.sample(model)
        constant = {line.name: Sample.of(line.score * own.counts, own.counts) for line in self.baselines()}
        return [deciding(record, own, constant, "sequences")]

    @abstractmethod
    def draw(self, rows: int, random: torch.Generator) -> Batch:
        """Draw ``rows`` sequences."""

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[Batch]:
        """A fixed number of training batches that ``order`` draws; without it, the same sequences in every pass."""
        rows = self.setting.batch_size
        random = torch.Generator().manual_seed(SEEDS[split]) if order is None else order
        for _ in range(self.setting.steps if split == "train" else math.ceil(HELD_OUT / rows)):
            yield self.draw(rows, random)


class Adding(SyntheticTask):
    """The sum of two marked numbers in a long sequence.

    Shapes:
        inputs: [T, B, 2]: a number from 0 to 1, and 1 at two steps, one in each half; targets [T, B], of which
        the last step is scored.

    References:
        Hochreiter & Schmidhuber 1997, Neural Computation 9, in the version of Bai et al. 2018, arXiv 1803.01271.
    """

    name = "adding"
    metric = say("mean squared error")
    widths = (2, 1)

    def draw(self, rows: int, random: torch.Generator) -> Batch:
        steps = self.setting.length
        numbers = torch.rand(steps, rows, generator=random)
        half, every = steps // 2, torch.arange(rows)
        first = torch.randint(half, (rows,), generator=random)
        second = torch.randint(half, steps, (rows,), generator=random)
        marks = torch.zeros(steps, rows)
        marks[first, every] = marks[second, every] = 1
        total = numbers[first, every] + numbers[second, every]
        return Final(torch.stack([numbers, marks], -1), total.expand(steps, rows))

    def measure(self, outputs: torch.Tensor, batch: Batch) -> Measure:
        scored = batch.scored()
        loss = (outputs[scored][:, 0] - batch.targets[scored]).square().sum()
        return Measure(loss, loss.item(), int(scored.sum()))

    def baselines(self) -> list[BaselineRecord]:
        totals = torch.cat([batch.targets[-1] for batch in self.batches("test")])
        return [BaselineRecord("predict 1", float((totals - 1).square().mean()), "the mean of all sums, always")]


class Symbolic(SyntheticTask):
    """A problem whose answers are symbols."""

    metric = say("cross-entropy")
    unit = say("nats")

    def measure(self, outputs: torch.Tensor, batch: Batch) -> Measure:
        scored = batch.scored()
        loss = cross_entropy(outputs[scored], batch.targets[scored], reduction="sum")
        return Measure(loss, loss.item(), int(scored.sum()))

    def scores(self, model: torch.nn.Module, metric: float) -> list[ScoreRecord]:
        right = [model(batch)[0].argmax(-1)[at] == batch.targets[at] for batch, at in self._answers()]
        accuracy = ScoreRecord("accuracy", float(torch.cat(right).float().mean()), "", "higher")
        return [*super().scores(model, metric), accuracy]

    def _answers(self) -> Iterator[tuple[Batch, torch.Tensor]]:
        """Batches of the test, and the steps whose answers need memory."""
        for batch in self.batches("test"):
            yield batch, batch.scored()


class CopyMemory(Symbolic):
    """Repeat ten symbols after a long wait and a signal.

    Shapes:
        inputs: [T + 20, B, 10] one-hot: 1 to 8 in the first ten steps, 9 in the last eleven, else 0; targets
        [T + 20, B]: 0, and in the last ten steps the first ten symbols.

    Every step is scored, as in the tables of the literature: answering 0 and then one of eight symbols at random
    costs 10 ln 8 / (T + 20).

    References:
        Hochreiter & Schmidhuber 1997, Neural Computation 9; as in Arjovsky et al. 2016, arXiv 1511.06464, and Bai et
        al. 2018, arXiv 1803.01271.
    """

    name = "copy"
    widths = (KINDS + 2, KINDS + 1)

    def draw(self, rows: int, random: torch.Generator) -> Batch:
        steps = self.setting.length + 2 * COPIED
        symbols = torch.randint(1, KINDS + 1, (COPIED, rows), generator=random)
        inputs, targets = torch.zeros(2, steps, rows, dtype=torch.int64)
        inputs[:COPIED], inputs[-COPIED - 1 :], targets[-COPIED:] = symbols, KINDS + 1, symbols
        return Batch(one_hot(inputs, KINDS + 2).float(), targets)

    def baselines(self) -> list[BaselineRecord]:
        chance = COPIED * math.log(KINDS) / (self.setting.length + 2 * COPIED)
        return [BaselineRecord("memoryless", chance, "0 until the signal, then every symbol with the chance 1/8")]

    def _answers(self) -> Iterator[tuple[Batch, torch.Tensor]]:
        for batch in self.batches("test"):
            yield batch, batch.targets > 0


class SelectiveCopy(Symbolic):
    """Repeat sixteen symbols that are scattered among noise, in their order.

    Shapes:
        inputs: [T + 16, B, 16] one-hot: 16 symbols 1 to 14 at drawn places, noise 0 elsewhere, then 15 sixteen times;
        targets [T + 16, B], of which the last 16 steps are scored.

    References:
        Gu & Dao 2023, arXiv 2312.00752, whose T is 4096.
    """

    name = "selective"
    widths = (16, 16)
    copied = 16

    def draw(self, rows: int, random: torch.Generator) -> Batch:
        steps, count = max(self.setting.length, self.copied), self.copied
        symbols = torch.randint(1, 15, (count, rows), generator=random)
        places = torch.rand(steps, rows, generator=random).argsort(0)[:count].sort(0).values
        inputs = torch.full((steps + count, rows), 15)
        inputs[:steps] = torch.zeros(steps, rows, dtype=torch.int64).scatter(0, places, symbols)
        targets = torch.cat([torch.zeros(steps, rows, dtype=torch.int64), symbols])
        return Batch(one_hot(inputs, 16).float(), targets, context=steps)

    def baselines(self) -> list[BaselineRecord]:
        return [BaselineRecord("memoryless", math.log(14), "every symbol with the chance 1/14")]


class TemporalOrder(Symbolic):
    """Classify the order of two signals, each X or Y, among distractors.

    Shapes:
        inputs: [T, B, 8] one-hot: E at the first step, B at the last, X or Y between 10 and 20 % of the way and again
        between 50 and 60 %, else a, b, c or d; rows are 100 to 110 % of ``length`` long. Targets [T, B], 0 to 3 for
        XX, XY, YX, YY; the last step of a row is scored.

    References:
        Hochreiter & Schmidhuber 1997, Neural Computation 9, task 6a, whose ``length`` is 100.
    """

    name = "order"
    widths = (8, 4)

    def draw(self, rows: int, random: torch.Generator) -> Batch:
        tenth, every = self.setting.length // 10, torch.arange(rows)
        lengths = torch.randint(10 * tenth, 11 * tenth + 1, (rows,), generator=random)
        inputs = torch.randint(4, (11 * tenth, rows), generator=random)
        inputs[0], inputs[lengths - 1, every] = 4, 5
        first, second = torch.randint(2, (2, rows), generator=random)
        for start, signal in ((tenth, first), (5 * tenth, second)):
            inputs[torch.randint(start, start + tenth + 1, (rows,), generator=random), every] = 6 + signal
        answer = (2 * first + second).expand(11 * tenth, rows)
        return Final(one_hot(inputs, 8).float(), answer, lengths)

    def baselines(self) -> list[BaselineRecord]:
        return [BaselineRecord("chance", math.log(4), "every order with the chance 1/4")]


class Timing(Symbolic):
    """Measure the time between two spikes and answer with a third, as much later; three times in a row.

    Shapes:
        inputs: [T, B, 1]: 1 at two steps of each round, else 0; targets [T, B]: 1 at the step that lies as far behind
        the second spike as the second behind the first, else 0. T is 7.5 ``length`` + 1.

    The distance is drawn from half of ``length`` to ``length``, and so is a wait of 1 to half of ``length`` before each
    round. Every step is scored. The accuracy is the share of spikes that come at the very step.

    References:
        After Gers, Schraudolph & Schmidhuber 2002, Learning Precise Timing with LSTM Recurrent Networks, JMLR 3,
        115-143, who measure distances and generate spikes in problems of their own.
    """

    name = "timing"
    widths = (1, 2)
    rounds = 3

    def draw(self, rows: int, random: torch.Generator) -> Batch:
        longest, half, every = self.setting.length, self.setting.length // 2, torch.arange(rows)
        waits = torch.randint(1, half + 1, (self.rounds, rows), generator=random)
        distances = torch.randint(half, longest + 1, (self.rounds, rows), generator=random)
        answers = (waits + 2 * distances).cumsum(0)
        steps = self.rounds * (half + 2 * longest) + 1
        spikes, targets = torch.zeros(steps, rows), torch.zeros(steps, rows, dtype=torch.int64)
        spikes[answers - distances, every] = spikes[answers - 2 * distances, every] = 1
        targets[answers, every] = 1
        return Batch(spikes[..., None], targets)

    def baselines(self) -> list[BaselineRecord]:
        rate = self.rounds / (self.rounds * (self.setting.length // 2 + 2 * self.setting.length) + 1)
        chance = -rate * math.log(rate) - (1 - rate) * math.log(1 - rate)
        return [BaselineRecord("memoryless", chance, "a spike at every step with the same probability")]

    def _answers(self) -> Iterator[tuple[Batch, torch.Tensor]]:
        for batch in self.batches("test"):
            yield batch, batch.targets > 0
