"""Recordings: changes of the waveform, heard through the model's own features."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch.nn.functional import ctc_loss, pad
from torch.nn.utils.rnn import pad_sequence

from tidegate.adversary import Ball, free
from tidegate.attack.kind.base import Continuous, Loss, Rows, padded_otherwise
from tidegate.attack.kind.limit import Limits
from tidegate.data.script import has_words
from tidegate.errors import InputError
from tidegate.records import AttackedRecord, TraceLine
from tidegate.tasks.speech.decode import BLANK, best_path
from tidegate.tasks.speech.source import again
from tidegate.tasks.speech.task import SpeechBatch

LEVELS = 1 << 15  # of a 16-bit sample, from 0 to 1
LOUDNESSES = (40.0, 30.0, 20.0)  # dB of a curve, unless a user gives some
LOUDEST = 10.0  # a budget within which nothing of a recording is heard any more: -20 dB
POINTS = 1_500  # of a drawing
SURE = 5.0  # by how much a wrong symbol leads before a step pays no more


class AudioKind(Continuous):
    """A speech recogniser on recordings.

    What changes are samples, which are rounded to 16 bits before the model hears them. All changes of a recording
    together are at most as long as the recording times 10^(-dB / 20), rounding included: a signal-to-noise ratio. The
    features are those of the task (peak, windows, spectra, bands, logarithm, scale), which have a gradient.

    Equations:
        dB = 20 log10(|x| / |x' - x|), both over all samples of a recording

    Args:
        estimator: a ``Transcriber``.
        sounds: [n] samples of each recording, at the rate of its features.
        texts: what they say.
        names: of them.

    References:
        Carlini and Wagner 2018, arXiv 1801.01944 (CTC loss, 16 bits), who bound the largest sample and not the length.
    """

    unit, better, norm = "shares of the recording's loudness, in dB", "lower", "signal-to-noise ratio"
    asks: ClassVar[str] = "audio_snr"
    settled, imitated = False, False

    def __init__(
        self, estimator: Any, sounds: Sequence[NDArray[np.float32]], texts: Sequence[str], names: Sequence[str]
    ) -> None:
        self.estimator, self.encoding, self.names = estimator, estimator.encoding_, list(names)
        self.model = copy.deepcopy(estimator.model_).requires_grad_(requires_grad=False)
        self.count, self.texts = len(sounds), [self.encoding.clean(text) for text in texts]
        self.lengths = torch.tensor(list(map(len, sounds)))
        self.x = pad_sequence([torch.from_numpy(np.asarray(sound, np.float32)) for sound in sounds])[..., None]
        self.ball = Ball("l2", 0.0, free(self.lengths, self.x.shape))
        self.symbols = [torch.tensor(self.encoding.encode(text), dtype=torch.int64) for text in self.texts]
        self.losses: Mapping[str, Loss] = {"CTC": self._ctc, "margin": self._margin}
        self.by_word = has_words(self.texts)
        self.measure = "word error rate" if self.by_word else "character error rate"
        self.parts = max(1, sum(len(self._split(text)) for text in self.texts))
        self._sounds: dict[str, bytes] = {}
        self._errors: dict[tuple[int, str], int] = {}
        self.steps = max(map(self._steps, range(self.count)))

    @classmethod
    def total(cls, task: Any) -> int:
        return len(task.utterances["test"])

    @classmethod
    def of(cls, estimator: Any, task: Any, rows: Sequence[int], limits: Limits) -> AudioKind:
        if limits.limited or limits.norm != "linf" or limits.direction != "error" or limits.tolerance is not None:
            raise InputError(
                "ATTACK_AUDIO",
                "recordings change as a whole: norm, only_steps, features, target_direction, tolerance are for series",
                fix="leave them out, and pass audio_snr=",
            )
        corpus = task.source.read_by(again(task.setting, estimator.encoding_.filterbank.rate))
        if corpus.spectra is not None:
            raise InputError(
                "ATTACK_SPECTRA",
                f"{task.source.title} holds spectra, which no sound can be changed in",
                fix="pass recordings, such as a folder of WAV files with their transcripts",
            )
        known = {recording.name: recording for recording in corpus.recordings}
        test = [task.utterances["test"][row] for row in rows]
        if any(utterance.name not in known for utterance in test):
            raise InputError(
                "ATTACK_JOINED",
                "the recordings of this test are joined at random",
                fix="pass the recordings of the test as data of their own",
            )
        chosen = [known[utterance.name] for utterance in test]
        return cls(estimator, *zip(*((one.sound, one.text, one.name) for one in chosen), strict=True))

    @property
    def budgets(self) -> tuple[float, ...]:
        return tuple(10 ** (-loudness / 20) for loudness in LOUDNESSES)

    @property
    def broken(self) -> str:
        return f"a transcript that is wrong in a {'word' if self.by_word else 'character'}"

    @property
    def chance(self) -> tuple[float, str]:
        return 1.0, "an empty transcript"

    @property
    def unbounded(self) -> float:
        return LOUDEST

    def radius(self, budget: torch.Tensor, rows: Rows) -> torch.Tensor:
        loud = self.x[:, rows, 0].double().square().sum(0).sqrt()
        rounding = self.lengths[rows].double().sqrt() * (0.5 / LEVELS)
        return (budget.double() * loud - rounding).clamp(min=0.0)

    def outputs(self, x: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Logits [K, T, symbols], T of the longest of all recordings."""
        return self._asked(self.batch(x, rows))

    def batch(self, x: torch.Tensor, rows: Rows) -> SpeechBatch:
        """What the model reads of waveforms [n, K, 1] after rounding, with a gradient."""
        heard = rounded(x)[..., 0]
        steps = [
            self.encoding.steps(self.encoding.filterbank(heard[: self.lengths[row], place]))
            for place, row in enumerate(rows.tolist())
        ]
        symbols = [self.symbols[row] for row in rows.tolist()]
        lengths, counts = (torch.tensor(list(map(len, parts))) for parts in (steps, symbols))
        return SpeechBatch(pad_sequence(steps), pad_sequence(symbols), lengths, symbols=counts)

    def _asked(self, batch: SpeechBatch) -> torch.Tensor:
        outputs: torch.Tensor = self.model(batch)[0].transpose(0, 1)
        return pad(outputs, (0, 0, 0, self.steps - outputs.shape[1]))

    @property
    def sounds(self) -> Mapping[str, bytes]:
        return self._sounds

    def stuffed(self, rows: Rows) -> torch.Tensor | None:
        batch = self.batch(self.x[:, rows], rows)
        inputs = padded_otherwise(batch)
        if inputs is None:
            return None
        with torch.no_grad():
            found = self._asked(SpeechBatch(inputs, batch.targets, batch.lengths, symbols=batch.symbols))
            return torch.where(self._behind(rows)[..., None], self._asked(batch), found)

    def score(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Errors, and of answers with as many errors the one of the higher loss; below 0 without an error."""
        with torch.no_grad():
            loss = self._ctc(outputs, rows).double()
        errors = self._missed(outputs, rows)
        return errors + loss / (1 + loss) - torch.where(errors > 0, 0.0, 1.0)

    def value(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        return self._missed(outputs, rows) * (self.count / self.parts)

    def _missed(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        """[K] the errors of each transcript."""
        answers = outputs.detach()
        said = [self._said(answers[place], row) for place, row in enumerate(rows.tolist())]
        return torch.tensor(
            [self._count(row, text) for row, text in zip(rows.tolist(), said, strict=True)], dtype=torch.float64
        )

    def _said(self, outputs: torch.Tensor, row: int) -> str:
        return str(self.encoding.text(best_path(outputs[: self._steps(row)])))

    def _steps(self, row: int) -> int:
        """The steps of the network for a recording."""
        frames: int = self.encoding.filterbank.count(int(self.lengths[row]))
        return -(-frames // int(self.encoding.stack))

    def _count(self, row: int, text: str) -> int:
        if (row, text) not in self._errors:
            self._errors[row, text] = distance(self._split(self.texts[row]), self._split(text))
        return self._errors[row, text]

    def _split(self, text: str) -> Sequence[str]:
        return text.split() if self.by_word else text

    def _ctc(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        """[K] -log p of each transcript."""
        symbols = [self.symbols[row] for row in rows.tolist()]
        lengths = torch.tensor([self._steps(row) for row in rows.tolist()])
        counts = torch.tensor(list(map(len, symbols)))
        chances = outputs.transpose(0, 1).float().log_softmax(-1)
        found: torch.Tensor = ctc_loss(
            chances, pad_sequence(symbols).T, lengths, counts, BLANK, reduction="none", zero_infinity=True
        )
        return found

    def _margin(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        """[K] by how much the blank and other symbols lead those of the transcript, summed over steps."""
        own = torch.zeros(len(rows), outputs.shape[-1], dtype=torch.bool)
        for place, row in enumerate(rows.tolist()):
            own[place, self.symbols[row]] = True
        right, wrong = (outputs.masked_fill(~there[:, None], -torch.inf).amax(-1) for there in (own, ~own))
        return (wrong - right).clamp(max=SURE).masked_fill(self._behind(rows), 0.0).sum(1)

    def _behind(self, rows: Rows) -> torch.Tensor:
        """[K, T] bool: the steps behind the end of each recording."""
        ends = torch.tensor([self._steps(row) for row in rows.tolist()])
        return torch.arange(self.steps) >= ends[:, None]

    def verified(self, rows: Rows, change: torch.Tensor) -> int:
        moved = rounded(self._moved(rows, change))[..., 0]
        sounds = [moved[: self.lengths[row], place].numpy() for place, row in enumerate(rows.tolist())]
        said = self.estimator.transcribe(sounds, rate=self.encoding.filterbank.rate)
        return sum(self._count(row, one.text) > 0 for row, one in zip(rows.tolist(), said, strict=True))

    def shown(self, row: int, change: torch.Tensor, budget: float) -> AttackedRecord:
        rows, length = torch.tensor([row]), int(self.lengths[row])
        pair = [rounded(x)[:length, 0, 0] for x in (self.x[:, rows], self._moved(rows, change))]
        with torch.no_grad():
            said = [self._said(self.outputs(x, rows)[0], row) for x in (self.x[:, rows], self._moved(rows, change))]
        files = tuple(f"{row + 1}-{word}.wav" for word in ("original", "changed"))
        self._sounds |= {
            name: waveform(sound, self.encoding.filterbank.rate) for name, sound in zip(files, pair, strict=True)
        }
        every = -(-length // POINTS)
        name = f"every {every}th sample" if every > 1 else "samples"
        line = TraceLine(name, *(tuple(one[::every].tolist()) for one in pair))
        loud, noise = (float(one.double().norm()) for one in (pair[0], pair[1] - pair[0]))
        size = f"{20 * math.log10(loud / noise):.1f} dB" if noise else "nothing"
        before, after = said
        return AttackedRecord(self.names[row], self.texts[row], before, after, budget, size, (line,), sounds=files)

    @property
    def notes(self) -> tuple[str, ...]:
        read = "the features are made anew, peak and scale included"
        return (
            f"samples change; they are rounded to 16 bits before the model hears them, and {read}",
            f"transcripts are best paths, scored by {'words' if self.by_word else 'characters'}",
        )


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        del ctx
        return (x * LEVELS).round().clamp(-LEVELS, LEVELS - 1) / LEVELS

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        del ctx
        return gradient


def rounded(x: torch.Tensor) -> torch.Tensor:
    """Samples as a file of 16 bits holds them; the gradient is that of samples themselves."""
    found: torch.Tensor = _Rounded.apply(x)  # type: ignore[no-untyped-call]
    return found


def waveform(samples: torch.Tensor, rate: int) -> bytes:
    """A WAV file of 16 bits, of samples that are rounded already."""
    content = io.BytesIO()
    soundfile.write(content, (samples * LEVELS).short().numpy(), rate, "PCM_16", format="WAV")
    return content.getvalue()


def distance(truth: Sequence[str], answer: Sequence[str]) -> int:
    """Substitutions, deletions and insertions from one to the other.

    Examples:
        >>> distance("one two".split(), "one too many".split())
        2
    """
    last = list(range(len(answer) + 1))
    for place, own in enumerate(truth, 1):
        row = [place]
        for at, other in enumerate(answer, 1):
            row.append(min(row[-1] + 1, last[at] + 1, last[at - 1] + (own != other)))
        last = row
    return last[-1]
