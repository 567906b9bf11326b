"""Speech recognition: recordings to text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from torch.nn.functional import ctc_loss
from torch.nn.utils.rnn import pad_sequence

from tidegate.adversary import free
from tidegate.data import Corpus, Recording, Source
from tidegate.data.script import has_words
from tidegate.errors import InputError
from tidegate.language import say
from tidegate.phase import counted
from tidegate.records import BaselineRecord, DataRecord, ScoreRecord
from tidegate.tasks.speech.decode import BLANK, best_path
from tidegate.tasks.speech.encoding import SpeechEncoding, clean
from tidegate.tasks.speech.example import Recordings
from tidegate.tasks.speech.feature import Filterbank
from tidegate.tasks.speech.score import character_error_rate, edits, error_sample, nearest, word_error_rate
from tidegate.tasks.speech.setting import SpeechSetting
from tidegate.tasks.speech.source import again, reader
from tidegate.tasks.speech.split import Parts, shared_sounds, split
from tidegate.tasks.speech.utterance import Utterance, joined
from tidegate.train.batch import Batch, Measure
from tidegate.train.bucket import bucketed
from tidegate.train.fitted import ROW, Fitted, is_private
from tidegate.train.protected import Protected, check_unit
from tidegate.train.sample import deciding
from tidegate.train.task import Split, Task

SPREAD = 8  # how far shuffling may mix lengths, in steps
NEAREST = "nearest template"
JOINED_SEED = 1  # seed for joining recordings of validation and test


@dataclass(frozen=True)
class SpeechBatch(Batch):
    """Recordings and their transcripts.

    Attributes:
        symbols: [B] number of symbols in each transcript; ``targets`` are [L, B].
    """

    symbols: torch.Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    def scored(self) -> torch.Tensor:
        """[L, B] bool: the symbols of the transcripts."""
        return torch.arange(len(self.targets))[:, None] < self.symbols


class SpeechTask(Task[SpeechSetting, SpeechEncoding]):
    """Transcription of recordings, learnt from transcripts without times.

    Equations:
        loss = -log Σ_a Π_t p[t](a[t])  over all alignments a that give the transcript when repeats are merged and
        blanks removed; error = edits from the transcript to the best path, per symbol of the transcript

    Symbols are characters or words of the training transcripts. With ``join``, each epoch joins the training
    recordings of each speaker anew, each once; those of validation and test are joined once, at the start.

    Args:
        source: recordings and transcripts as ``data.read_speech`` reads them.

    Shapes:
        inputs: [T, B, bands * stack] float; targets [L, B] int64 symbols, 0 where a transcript has ended.

    Raises:
        InputError: the data cannot be used, or no recording is long enough for its transcript.

    References:
        Graves et al. 2006, doi 10.1145/1143844.1143891.
    """

    name = "speech"
    metric = say("symbol error rate")
    unit = say("edits per symbol of the transcripts")
    setting_type = SpeechSetting
    encoding_type = SpeechEncoding
    reader = staticmethod(reader)

    def __init__(
        self,
        source: Source,
        setting: SpeechSetting | None = None,
        encoding: SpeechEncoding | None = None,
        given: SpeechEncoding | None = None,
    ) -> None:
        self.source, self.setting, self.given = source, setting or SpeechSetting(), given
        corpus = source.read_by(again(self.setting, encoding.filterbank.rate) if encoding else reader(self.setting))
        bank = _filterbank(corpus, self.setting, encoding or given, source.title)
        parts, how = split(corpus, self.setting.hold_out) if encoding is None else _all_test(corpus)
        warnings = [*corpus.warnings, *shared_sounds(parts)]
        utterances = {name: self._utterances(name, part, bank, corpus, warnings) for name, part in parts.items()}
        self.encoding = encoding or given or _learnt(self.setting, bank, utterances["train"])
        self.utterances: dict[Split, list[Utterance]] = {
            "train": utterances["train"],
            "valid": utterances["valid"],
            "test": utterances["test"],
        }
        if encoding is None:
            self._prepare(warnings)
        self._check_known()
        warnings += self._unknown()
        seconds = (
            sum(len(utterance.frames) for part in utterances.values() for utterance in part) * bank.hop / bank.rate
        )
        kind = "words" if self.encoding.words else "characters"
        about = f"{sum(map(len, utterances.values())):,} recordings, {seconds / 60:.1f} minutes"
        self.data = DataRecord(
            name=source.title,
            hash=source.hash,
            description=f"{source.description or about}; {len(self.encoding.symbols)} {kind} as symbols",
            licence=source.licence,
            split=f"{how}: " + ", ".join(f"{name} {len(part):,}" for name, part in self.utterances.items()),
            warnings=tuple(warnings),
        )

    def _utterances(
        self, name: str, part: Sequence[Recording], bank: Filterbank, corpus: Corpus, warnings: list[str]
    ) -> list[Utterance]:
        """Spectra of recordings; too short or too long ones are left out, with a warning."""
        seconds = {recording.name: _seconds(recording, bank, corpus) for recording in part}
        least = bank.window / bank.rate
        for wrong, what in (
            (
                [recording for recording in part if seconds[recording.name] < least],
                f"shorter than one window, {1000 * least:g} ms",
            ),
            (
                [recording for recording in part if seconds[recording.name] > self.setting.longest],
                f"over {self.setting.longest:g} s",
            ),
        ):
            if wrong:
                warnings.append(f"{name}: {len(wrong)} recordings are left out, {what}; the first is {wrong[0].name}")
        chosen = [recording for recording in part if least <= seconds[recording.name] <= self.setting.longest]
        if part and not chosen:
            raise InputError(
                "SPEECH_LENGTH",
                f"all {len(part)} recordings of the part {name!r} are too short or too long, the first is "
                f"{part[0].name} with {seconds[part[0].name]:.3f} s",
                fix="correct window_ms= or longest=, or pass other recordings",
            )
        spectra = (
            torch.from_numpy(recording.sound) if corpus.spectra else bank(recording.sound)
            for recording in counted(f"preparing the sounds of {name}", chosen)
        )
        texts = (clean(recording.text, keep_case=self.setting.keep_case) for recording in chosen)
        return [
            Utterance(frames, text, recording.speaker, recording.owner, recording.name)
            for frames, text, recording in zip(spectra, texts, chosen, strict=True)
        ]

    def _prepare(self, warnings: list[str]) -> None:
        """Leave out training recordings that are too short for their transcript; join those of validation and test."""
        fits = [utterance for utterance in self.utterances["train"] if self._fits(utterance)]
        missing = len(self.utterances["train"]) - len(fits)
        if not fits:
            raise InputError(
                "SPEECH_FIT",
                f"no training recording has as many steps as its transcript has symbols, e.g. "
                f"{self.utterances['train'][0].text[:40]!r}",
                fix="use a shorter hop_ms=, a smaller stack=, or symbols='words'",
            )
        if missing:
            warnings.append(f"train: {missing} recordings are left out: they have fewer steps than symbols")
        self.utterances["train"] = fits
        if self.setting.join > 1:
            order = torch.Generator().manual_seed(JOINED_SEED)
            for name in ("valid", "test"):
                self.utterances[name] = joined(self.utterances[name], self.setting.join, order)

    def _fits(self, utterance: Utterance) -> bool:
        symbols = self.encoding.encode(utterance.text)
        repeats = sum(a == b for a, b in pairwise(symbols))  # need a blank in between
        return -(-len(utterance.frames) // self.encoding.stack) >= len(symbols) + repeats

    def _check_known(self) -> None:
        """Check that each part that is scored has a symbol of training, since others are not."""
        for name in ("valid", "test"):
            texts = [utterance.text for utterance in self.utterances[name]]
            if texts and not any(map(self.encoding.encode, texts)):
                kind = "words" if self.encoding.words else "characters"
                raise InputError(
                    "SPEECH_STRANGE",
                    f"no transcript of the part {name!r} of {self.source.title} has one of the "
                    f"{len(self.encoding.symbols)} {kind} that training has, the first is {texts[0][:40]!r}",
                    fix="pass transcripts in the spelling of the training data",
                )

    def _unknown(self) -> list[str]:
        known, words = self.encoding.numbers, self.encoding.words
        counts = {
            name: sum(
                part not in known
                for utterance in self.utterances[name]
                for part in (utterance.text.split() if words else utterance.text)
            )
            for name in ("valid", "test")
        }
        return [f"{name}: {count} symbols do not occur in training" for name, count in counts.items() if count]

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[SpeechBatch]:
        """Batches of recordings of similar length; ``order`` shuffles them, and joins and masks training recordings."""
        utterances = self.utterances[split]
        training = order is not None and split == "train"
        if order is not None and training and self.setting.join > 1:
            utterances = joined(utterances, self.setting.join, order)
        lengths = torch.tensor([len(utterance.frames) for utterance in utterances])
        for group in bucketed(lengths, self.setting.batch_size, order, spread=SPREAD):
            yield self._batch([utterances[place] for place in group], order if training else None)

    def batch(self, utterances: Sequence[Utterance]) -> SpeechBatch:
        """Recordings as one batch, in their order."""
        return self._batch(utterances, None)

    def _batch(self, utterances: Sequence[Utterance], order: torch.Generator | None) -> SpeechBatch:
        steps = [self.encoding.steps(self._masked(utterance.frames, order)) for utterance in utterances]
        symbols = [torch.tensor(self.encoding.encode(utterance.text), dtype=torch.int64) for utterance in utterances]
        counts = torch.tensor([len(row) for row in symbols])
        lengths = torch.tensor([len(row) for row in steps])
        return SpeechBatch(pad_sequence(steps), pad_sequence(symbols), lengths, symbols=counts)

    def _masked(self, frames: torch.Tensor, order: torch.Generator | None) -> torch.Tensor:
        """Replace some steps and some bands by their mean, as in SpecAugment (Park et al. 2019, arXiv 1904.08779)."""
        if order is None or not (self.setting.mask_frames or self.setting.mask_bands):
            return frames
        hidden, mean = frames.clone(), frames.mean(0)
        for axis, most in ((0, self.setting.mask_frames), (1, self.setting.mask_bands)):
            width = min(int(torch.randint(most + 1, (1,), generator=order)), frames.shape[axis] // 2)
            start = int(torch.randint(frames.shape[axis] - width + 1, (1,), generator=order))
            place = slice(start, start + width)
            hidden[place if axis == 0 else (slice(None), place)] = mean if axis == 0 else mean[place]
        return hidden

    def measure(self, outputs: torch.Tensor, batch: Batch) -> Measure:
        assert isinstance(batch, SpeechBatch)
        assert batch.lengths is not None
        answers = [best_path(outputs[:length, row]) for row, length in enumerate(batch.lengths.tolist())]
        truth = [batch.targets[:count, row].tolist() for row, count in enumerate(batch.symbols.tolist())]
        return Measure(self.losses(outputs, batch).sum(), float(edits(truth, answers)), int(batch.symbols.sum()))

    def losses(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        assert isinstance(batch, SpeechBatch)
        assert batch.lengths is not None
        chances = outputs.log_softmax(-1, dtype=torch.promote_types(outputs.dtype, torch.float32))
        if not len(batch.lengths):
            return chances.sum((0, 2))  # no terms, where ctc_loss wants at least one
        # Where a test recording has fewer steps than symbols, no alignment exists and the loss would be infinite.
        return ctc_loss(
            chances, batch.targets.T, batch.lengths, batch.symbols, BLANK, reduction="none", zero_infinity=True
        )

    def protected(self, unit: str = ROW) -> Protected:
        check_unit(unit, self.setting)
        utterances = self.utterances["train"]

        def make(rows: list[int]) -> SpeechBatch:
            return self._batch([utterances[row] for row in rows], torch.default_generator)

        if unit == ROW:
            return Protected.each(len(utterances), make, "one recording with its transcript")
        owners = [utterance.owner for utterance in utterances]
        return Protected.of(owners, len(owners), make, f"all recordings that share a value of {unit!r}")

    @property
    def learns(self) -> tuple[Fitted, ...]:
        encoding, setting = self.encoding, self.setting
        kind = "words" if encoding.words else "characters"
        symbols = Fitted("symbols", f"the {len(encoding.symbols)} {kind} of the transcripts")
        auto = Fitted("unit", f"that {kind} are symbols", f"symbols={kind!r}")
        scale = Fitted("scale", "mean and deviation of each band", "normalise='recording'")
        return (symbols, *[auto] * (setting.symbols == "auto"), *[scale] * (not encoding.per_recording))

    def pliable(self, batch: Batch) -> torch.Tensor:
        """Every feature of every step: the standardised log-mel spectrum, not the waveform."""
        assert batch.lengths is not None
        return free(batch.lengths, batch.inputs.shape)

    def changed(self, batch: Batch, change: torch.Tensor) -> Batch:
        return replace(batch, inputs=batch.inputs + change)

    @property
    def examples(self) -> Recordings:
        return Recordings(self)

    def answers(self, outputs: torch.Tensor, batch: Batch) -> list[str]:
        """Transcripts, by the best path."""
        assert batch.lengths is not None
        lengths = batch.lengths.tolist()
        return [self.encoding.text(best_path(outputs[:length, row])) for row, length in enumerate(lengths)]

    def truths(self, batch: Batch) -> list[str]:
        assert isinstance(batch, SpeechBatch)
        counts = batch.symbols.tolist()
        return [self.encoding.text(batch.targets[:count, row].tolist()) for row, count in enumerate(counts)]

    def baselines(self) -> list[BaselineRecord]:
        if not self._compared:
            return []
        truth, guess = ([self.encoding.encode(text) for text in texts] for texts in self._templates())
        rate = edits(truth, guess) / max(1, sum(map(len, truth)))
        how = "the transcript of the training recording whose log-mel spectra, stretched to 20 steps, are nearest"
        return [BaselineRecord(NEAREST, rate, how)]

    def scores(self, model: torch.nn.Module, metric: float) -> list[ScoreRecord]:
        """Word and character error rates, by the best path; of a script without blanks the latter alone."""
        del metric  # the symbol error rate is one of the two
        truth, answers = [], []
        size = -(-len(self.utterances["test"]) // self.setting.batch_size)
        for utterances, batch in counted("scoring", self._test_batches(), size):
            outputs, _ = model(batch)
            truth += [utterance.text for utterance in utterances]
            answers += self.answers(outputs, batch)
        texts, guess = self._templates() if self._compared else ([], [])
        named = [("WER", word_error_rate, "word errors per word")] if has_words(truth) else []
        named.append(("CER", character_error_rate, "per character"))
        records = [
            ScoreRecord(name, rate(truth, answers), unit, "lower", {NEAREST: rate(texts, guess)} if texts else {})
            for name, rate, unit in named
        ]
        if texts:  # the last one decides, since every script has characters
            own, theirs = error_sample(truth, answers), {NEAREST: error_sample(texts, guess)}
            records[-1] = deciding(records[-1], own, theirs, "recordings")
        return records

    @property
    def _compared(self) -> bool:
        """Whether there are training recordings to compare with."""
        return bool(self.utterances["train"]) and not is_private(self.setting)

    def _test_batches(self) -> Iterator[tuple[list[Utterance], SpeechBatch]]:
        utterances = self._test()
        for at in range(0, len(utterances), self.setting.batch_size):
            group = utterances[at : at + self.setting.batch_size]
            yield group, self._batch(group, None)

    def _test(self) -> list[Utterance]:
        """The shortest first, as they are scored."""
        return sorted(self.utterances["test"], key=lambda utterance: len(utterance.frames))

    def _templates(self) -> tuple[list[str], list[str]]:
        """Transcripts of the test, and those of the nearest training recordings."""
        train, test = self.utterances["train"], self._test()
        if self.setting.join > 1:
            train = joined(train, self.setting.join, torch.Generator().manual_seed(JOINED_SEED))
        places = nearest([utterance.frames for utterance in train], [utterance.frames for utterance in test])
        return [utterance.text for utterance in test], [train[place].text for place in places]


def _all_test(corpus: Corpus) -> tuple[Parts, str]:
    return {"train": [], "valid": [], "test": list(corpus.recordings)}, "all are the test"


def _filterbank(corpus: Corpus, setting: SpeechSetting, encoding: SpeechEncoding | None, title: str) -> Filterbank:
    """The front end; stored spectra must come from the same one."""
    bank = encoding.filterbank if encoding else Filterbank.of(setting, corpus.rate)
    if bank.rate != corpus.rate:
        raise InputError(
            "PRIVATE_DATA",
            f"{title} has {corpus.rate:,} samples per second, but the public data {bank.rate:,}",
            fix=f"resample both with rate={bank.rate}",
        )
    if corpus.spectra is not None and (made := Filterbank(**corpus.spectra)) != bank:
        differing = [name for name in corpus.spectra if getattr(made, name) != getattr(bank, name)]
        differences = ", ".join(f"{name} {getattr(made, name)} (asked: {getattr(bank, name)})" for name in differing)
        raise InputError(
            "SPECTRA_OTHER",
            f"{title} holds spectra that were made with {differences}",
            fix="leave the settings of the spectrum out, or pass recordings",
        )
    return bank


def _seconds(recording: Recording, bank: Filterbank, corpus: Corpus) -> float:
    samples = bank.window + (len(recording.sound) - 1) * bank.hop if corpus.spectra else len(recording.sound)
    return samples / bank.rate


def _learnt(setting: SpeechSetting, bank: Filterbank, train: Sequence[Utterance]) -> SpeechEncoding:
    return SpeechEncoding.learnt(
        setting, bank, torch.cat([utterance.frames for utterance in train]), [utterance.text for utterance in train]
    )
