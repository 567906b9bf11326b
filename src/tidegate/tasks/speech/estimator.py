"""``Transcriber``: transcribes speech."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from tidegate.data import BUNDLED, SUFFIXES, audio, locate, read_sound
from tidegate.data.audio import OPPOSITE
from tidegate.errors import InputError, TidegateWarning
from tidegate.tasks.speech.decode import Hypothesis, align, beam_search, best_path
from tidegate.tasks.speech.setting import Rate, SpeechSetting
from tidegate.tasks.speech.task import SpeechBatch, SpeechTask
from tidegate.train.estimator import Estimator
from tidegate.train.setting import Range, checked


@dataclass(frozen=True)
class Spoken:
    """A symbol and its time in a recording.

    The network outputs a symbol when it is certain, which is usually after the sound begins.

    Attributes:
        symbol: a character or a word.
        start: in seconds.
        end: in seconds.
    """

    symbol: str
    start: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """The transcript of a recording.

    Attributes:
        name: the file, or the number of the array.
        text: the best hypothesis.
        log_probability: of all alignments of the text with a beam search, otherwise of the best path.
        others: further hypotheses with their log-probabilities, the best first.
        spoken: the symbols of ``text`` with their times.
    """

    name: str
    text: str
    log_probability: float
    others: tuple[tuple[str, float], ...]
    spoken: tuple[Spoken, ...]


class Transcriber(Estimator[SpeechSetting], SpeechSetting):
    """A speech recogniser.

    Example:
        >>> from tidegate.tasks import Transcriber
        >>> Transcriber(symbols="words", streaming=True).get_params()["symbols"]
        'words'
    """

    _task_class = SpeechTask

    @checked
    def transcribe(
        self,
        recordings: str | os.PathLike[str] | Sequence[Any],
        *,
        rate: Rate = None,
        beam: Annotated[int, Range(1)] = 1,
        best: Annotated[int, Range(1)] = 1,
        resample: bool = False,
    ) -> Iterator[Transcript]:
        """Transcribe recordings.

        Args:
            recordings: files, folders of files, names of bundled sets of recordings, or arrays [n] of samples.
            rate: samples per second of arrays.
            beam: width of the prefix beam search; 1 takes the best path instead.
            best: the number of hypotheses for each recording; at most ``beam``.
            resample: whether to resample recordings whose rate differs from the model's; otherwise they are an error.

        Returns:
            An iterator over the transcripts, in the order of the recordings.

        Raises:
            InputError: the model is not fitted, or a recording cannot be used.
        """
        self._check_fitted()
        if beam < best:
            raise InputError("BEAM", f"{best} hypotheses need a beam of at least {best}, got {beam}", fix="widen it")
        if isinstance(recordings, (str, os.PathLike)) or getattr(recordings, "ndim", 0) == 1:
            recordings = [recordings]
        for name, samples, own in _sounds(recordings, rate):
            yield self._transcript(name, self._frames(name, samples, own, resample=resample), beam, best)

    def _frames(self, name: str, samples: Any, rate: int, *, resample: bool) -> torch.Tensor:
        bank = self.encoding_.filterbank
        if rate != bank.rate and not resample:
            raise InputError(
                "AUDIO_RATE",
                f"{name} has {rate:,} samples per second, but the model was trained on {bank.rate:,}",
                fix="resample it with resample=True",
            )
        sound = samples if rate == bank.rate else audio.resample(samples, rate, bank.rate)
        if not bank.count(len(sound)):
            least = 1000 * bank.window / bank.rate
            raise InputError(
                "AUDIO_SHORT",
                f"{name} has {len(sound)} samples, which is less than one window of {least:g} ms",
                fix="pass a longer recording",
            )
        frames: torch.Tensor = bank(sound)
        return frames

    def _transcript(self, name: str, frames: torch.Tensor, beam: int, best: int) -> Transcript:
        encoding = self.encoding_
        steps = encoding.steps(frames)[:, None]
        batch = SpeechBatch(steps, torch.zeros(0, 1, dtype=torch.int64), torch.tensor([len(steps)]))
        with torch.inference_mode():
            chances = self.model_(batch)[0][:, 0].float().log_softmax(-1)
        if beam > 1:
            hypotheses = beam_search(chances, beam, best)
        else:
            hypotheses = [Hypothesis(best_path(chances), float(chances.max(-1).values.sum()))]
        first, *rest = hypotheses
        places = align(chances, first.symbols)
        spoken = tuple(
            Spoken(encoding.text([symbol]) or " ", start * encoding.seconds, (end + 1) * encoding.seconds)
            for symbol, (start, end) in zip(first.symbols, places, strict=True)
        )
        others = tuple((encoding.text(hypothesis.symbols), hypothesis.log_probability) for hypothesis in rest)
        return Transcript(name, encoding.text(first.symbols), first.log_probability, others, spoken)


def _sounds(recordings: Any, rate: int | None) -> Iterator[tuple[str, Any, int]]:
    for k, recording in enumerate(recordings):
        if isinstance(recording, (str, os.PathLike)):
            for path, name in _files(recording):
                sound = read_sound(locate(path).raw, name)
                if sound.cancelled:
                    warnings.warn(f"{name}: {OPPOSITE}", TidegateWarning, stacklevel=2)
                yield name, sound.samples, sound.rate
        else:
            yield str(k), _array(k, recording, rate), rate or 0


def _files(path: str | os.PathLike[str]) -> list[tuple[Path, str]]:
    """Sound files and their names for users: paths as given, or file names if the set is bundled."""
    bundled = str(path) in BUNDLED and not Path(path).exists()
    folder = (
        Path(str(resources.files("tidegate.data"))) / "bundled" / str(path) / "recordings" if bundled else Path(path)
    )
    if not folder.is_dir() and not bundled:
        return [(folder, str(path))]
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError("SPEECH_NONE", f"the folder {path} holds no recordings", fix="pass sound files")
    return [(file, file.name if bundled else str(file)) for file in files]


def _array(number: int, samples: Any, rate: int | None) -> Any:
    sound = np.asarray(samples, dtype=np.float32)
    if rate is None:
        raise InputError("AUDIO_RATE", "arrays do not say their rate", fix="pass rate=, in samples per second")
    if sound.ndim != 1 or not np.isfinite(sound).all():
        raise InputError(
            "AUDIO_ARRAY",
            f"array {number} must be finite numbers of shape [n], came shape {list(sound.shape)}",
            fix="pass one channel, without NaN or infinity",
        )
    return sound
