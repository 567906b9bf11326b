"""What no change below a radius can do to a smoothed model: certificates of the rows of a test."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tidegate.adversary.smoothing import LEVEL, Certificate, certified, noise
from tidegate.errors import InputError
from tidegate.phase import counted
from tidegate.records import CertificateRecord
from tidegate.tasks import from_pretrained
from tidegate.train.batch import Batch
from tidegate.train.estimator import Estimator
from tidegate.train.task import AnyTask

AT_ONCE = 1 << 20  # values of a pass
SELECT = 100  # votes that choose the answer
OBJECTS = {  # what is certified, in words
    "classification": "the series (all observed values together, each channel in standard deviations of training)",
    "speech": "the features (the log-mel spectrum that the network reads, each band in standard deviations of "
    "training; not the waveform, whose division by its loudest sample changes radii by hundreds)",
}


@dataclass(frozen=True)
class Certified:
    """The certificates of the rows of a test.

    Attributes:
        rows: of each row; their answers are None where the model abstains.
        right: [rows] whether the answer is the right one.
        sigma: the deviation of the noise.
        draws: copies that were counted for each row.
        level: of each row, the chance that its certificate is wrong.
        of: what is certified, in words.
    """

    rows: tuple[Certificate, ...]
    right: tuple[bool, ...]
    sigma: float
    draws: int
    level: float
    of: str

    def accuracy(self, radius: float) -> float:
        """The share of rows that are right, and stay so under every change of a smaller l2 length."""
        sure = (right and row.radius >= radius for row, right in zip(self.rows, self.right, strict=True))
        return sum(sure) / len(self.rows)

    @property
    def sentence(self) -> str:
        """What the numbers mean."""
        abstained = sum(row.answer is None for row in self.rows)
        return (
            f"certified by {self.draws:,} copies with noise of {self.sigma:g} on {self.of}: below its radius (l2) no "
            f"change of a row can alter the answer of the votes, with {100 * (1 - self.level):g} % certainty for each "
            f"row; {abstained:,} of {len(self.rows):,} abstain"
        )

    @property
    def curve(self) -> tuple[CertificateRecord, ...]:
        """Certified accuracy by radius, in halves of sigma up to what so many draws can prove."""
        radii = [k * self.sigma / 2 for k in range(8)]
        most = max((row.radius for row in self.rows), default=0.0)
        return tuple(CertificateRecord(r, self.accuracy(r)) for r in radii if r <= max(most, self.sigma))


def certify(
    model: Any,
    data: Any = None,
    *,
    sigma: float | None = None,
    draws: int = 1000,
    level: float = LEVEL,
    examples: int = 100,
    seed: int = 0,
) -> Certified:
    """Certify the answers of a smoothed model: a radius for each row that no change can cross.

    The model that is certified answers by the votes of copies with Gaussian noise. It need not have been trained with
    ``--smooth``, but without it radii are small.

    Args:
        model: the folder of a trained model, or a fitted estimator, of classification of series or of speech.
        data: as its ``evaluate`` takes them; the test part of the training data unless given, if they are bundled.
        sigma: the deviation of the noise, in standard deviations of training; that of the training unless given.
        draws: copies to count for each row. 1,000 prove a radius of at most 2.46 sigma, 10,000 one of 3.20.
        level: of each row, the chance that its certificate is wrong.
        examples: rows to certify, evenly drawn from the test.
        seed: of the noise.

    Returns:
        The certificates.

    Raises:
        InputError: the model is none, or its answers are not certified; a number is out of range; or the model was not
            trained with noise and no sigma is given.

    References:
        Cohen, Rosenfeld and Kolter 2019, arXiv 1902.02918.
    """
    estimator = model if isinstance(model, Estimator) else from_pretrained(model)
    return certified_rows(estimator, estimator.tested(data), sigma, draws, level, examples, seed)


def certified_rows(
    estimator: Any, task: AnyTask, sigma: float | None, draws: int, level: float, examples: int, seed: int
) -> Certified:
    """The same of a task that is read already."""
    sigma = task.setting.smooth if sigma is None else sigma
    if sigma is None:
        raise InputError("CERTIFY_SIGMA", "the model was trained without noise", fix="pass sigma=, or train --smooth")
    if task.name not in OBJECTS or not _floating(task):
        raise InputError(
            "CERTIFY_TASK",
            f"answers of this model ({task.name}) are not certified: it reads symbols or answers numbers",
            fix="certify a model of classification of series, or of speech",
        )
    if draws < 1 or examples < 1:
        raise InputError("CERTIFY", f"{draws} draws of {examples} examples certify nothing", fix="pass 1 or more")
    rows, right = [], []
    generator = torch.Generator().manual_seed(seed)
    singles = list(_singles(task, examples))
    with torch.inference_mode():
        for single in counted("certifying", singles):
            voter = Voter(task, estimator.model_, single, sigma, generator)
            rows.append(certified(voter, sigma, SELECT, draws, level))
            right.append(rows[-1].answer == task.truths(single)[0])
    return Certified(tuple(rows), tuple(right), sigma, draws, level, OBJECTS[task.name])


class Voter:
    """The answers of a model to noisy copies of one row.

    Args:
        task: says what may have noise, and what an answer is.
        model: answers.
        single: a batch of that row alone.
        sigma: the deviation of the noise.
        generator: draws it.
    """

    def __init__(
        self, task: AnyTask, model: torch.nn.Module, single: Batch, sigma: float, generator: torch.Generator
    ) -> None:
        self.task, self.model, self.sigma, self.generator = task, model.eval(), sigma, generator
        self.single = single
        self.most = max(1, AT_ONCE // single.inputs.numel())

    def __call__(self, count: int) -> Sequence[Hashable]:
        """So many answers, each to a fresh copy."""
        answers: list[Hashable] = []
        while len(answers) < count:
            batch = repeated(self.single, min(self.most, count - len(answers)))
            change = noise(self.task.pliable(batch), self.sigma, batch.inputs.dtype, self.generator)
            batch = self.task.changed(batch, change)
            answers += self.task.answers(self.model(batch)[0], batch)
        return answers


def repeated(single: Batch, count: int) -> Batch:
    """A batch of one row, so many times."""
    rows: dict[str, Any] = {
        field.name: value.expand(-1, count, *value.shape[2:]) if value.dim() > 1 else value.expand(count)
        for field in dataclasses.fields(single)
        if isinstance(value := getattr(single, field.name), torch.Tensor) and value.numel()
    }
    return dataclasses.replace(single, **rows)


def _singles(task: AnyTask, examples: int) -> Iterator[Batch]:
    """Evenly drawn rows of the test, each as a batch of its own without padding."""
    batches = list(task.batches("test"))
    sizes = [len(batch.lengths) for batch in batches if batch.lengths is not None]
    if not sum(sizes):
        raise InputError("CERTIFY_EMPTY", "the data have no row to certify", fix="pass other data")
    places = torch.linspace(0, sum(sizes) - 1, min(examples, sum(sizes))).round().long().tolist()
    first = 0
    for batch, size in zip(batches, sizes, strict=True):
        for place in places:
            if first <= place < first + size:
                single = batch.share(place - first, size)
                assert single.lengths is not None
                yield dataclasses.replace(single, inputs=single.inputs[: int(single.lengths[0])])
        first += size


def _floating(task: AnyTask) -> bool:
    batch = next(iter(task.batches("test")), None)
    return batch is None or batch.inputs.is_floating_point()
