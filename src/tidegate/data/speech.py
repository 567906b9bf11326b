"""Recordings and their transcripts, from folders, tables and stored spectra."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.data.audio import OPPOSITE, SUFFIXES, read_sound, resample
from tidegate.data.column import absent, check_column, described
from tidegate.data.foreign import foreign
from tidegate.data.json_lines import read_objects
from tidegate.data.npz import read_npz
from tidegate.data.owner import check_no_column, owners_of
from tidegate.data.source import Source
from tidegate.data.table import Table, read_table
from tidegate.data.text import blank_lines, decode
from tidegate.errors import InputError
from tidegate.phase import counted
from tidegate.plain import read_json

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT_NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<take>\d+)")
OFFICIAL = 5  # recordings 0 to 4 of each speaker and digit are the official test set of FSDD
TABLES = (".csv", ".tsv", ".jsonl")
FIELDS = ("path", "text", "speaker", "split")
SPEAKER = "speaker"
WORDS = ("names", "texts", "speakers", "splits")  # of spectra
FORM = '{"path": "a.wav", "text": "what is said"}'
SPLITS = {"train": "train", "training": "train", "valid": "valid", "validation": "valid", "dev": "valid"}
SPLITS |= {"test": "test", "testing": "test", "": ""}
LAYOUTS = (
    "a table (.csv, .tsv, .jsonl) with the columns path and text, a .txt file for each recording, a folder for each "
    "text, or names such as 7_george_12.wav"
)


@dataclass(frozen=True)
class Recording:
    """One recording.

    Attributes:
        name: its path in the source.
        text: its transcript.
        speaker: empty if unknown.
        split: ``"train"``, ``"valid"``, ``"test"``, or empty if undecided.
        sound: [n] samples, or [T, bands] log-mel spectra.
        owner: whom it belongs to; empty unless that is asked for.
    """

    name: str
    text: str
    speaker: str = ""
    split: str = ""
    sound: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    owner: str = ""


@dataclass(frozen=True)
class Corpus:
    """Recordings with the same sampling rate.

    Attributes:
        rate: samples per second.
        spectra: parameters of the log-mel spectra (rate, window, hop, low, high, peak, bands); None for samples.
    """

    recordings: tuple[Recording, ...]
    rate: int
    spectra: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()


def read_speech(
    source: Source,
    transcripts: str = "auto",
    rate: int | None = None,
    separator: str | None = None,
    owner: str | None = None,
) -> Corpus:
    """Read a folder of recordings, a table that names them, or an ``.npz`` of spectra.

    Args:
        source: the data. Paths in a table are relative to its folder.
        transcripts: where the texts are: ``"auto"``, ``"table"``, ``"files"``, ``"folders"`` or ``"digits"``.
        rate: resample to this rate; unless given, all recordings must have the same.
        separator: what stands between the cells of a table; unless given, found from all rows.
        owner: the column of a table whose values say whom a recording belongs to, or ``"speaker"``.

    Raises:
        InputError: no recordings, missing texts, an unreadable file, or different rates.
    """
    if source.raw.startswith(b"PK"):
        corpus = _read_spectra(source, rate)
        return replace(corpus, recordings=tuple(_owned(source, list(corpus.recordings), owner)))
    recordings, notes = _located(source, transcripts, separator, owner)
    recordings = _owned(source, recordings, owner)
    repeated = [name for name, count in Counter(recording.name for recording in recordings).items() if count > 1]
    if repeated:
        raise InputError(
            "SPEECH_TWICE", f"{source.title} names {repeated[0]} more than once", fix="keep one of these lines"
        )
    folder = source if source.members else Source(str(Path(source.address).parent), source.title, b"")
    corpus = _with_sounds(recordings, folder.read, rate)
    return replace(corpus, warnings=notes + corpus.warnings)


def _owned(source: Source, recordings: list[Recording], owner: str | None) -> list[Recording]:
    """The recordings with whom they belong to, where no table says so: their speakers."""
    if owner is None or all(recording.owner for recording in recordings):
        return recordings
    check_no_column(source.title, None if owner == SPEAKER else owner, "no table of recordings")
    speakers = owners_of(
        source.title, {SPEAKER: [one.speaker for one in recordings]}, SPEAKER, lambda row: recordings[row].name
    )
    return [replace(one, owner=speaker) for one, speaker in zip(recordings, speakers, strict=True)]


def _located(
    source: Source, transcripts: str, separator: str | None, owner: str | None
) -> tuple[list[Recording], tuple[str, ...]]:
    if not source.members:
        return _table(source, separator, owner)
    sounds = [name for name in source.members if PurePosixPath(name).suffix.lower() in SUFFIXES]
    if not sounds:
        kinds = ", ".join(SUFFIXES)
        raise InputError("SPEECH_NONE", f"the folder {source.title} has no recordings ({kinds})", fix="check the path")
    layout = transcripts if transcripts != "auto" else _layout(source, sounds)
    if layout == "table":
        tables = _tables(source)
        if len(tables) != 1:
            present = f"{len(tables)}: {', '.join(tables)}" if tables else "none"
            raise InputError(
                "SPEECH_TABLE",
                f"the folder {source.title} must have one table of texts, but has {present}",
                fix="pass the table itself",
            )
        return _table(replace(source, title=tables[0], raw=source.read(tables[0]), members=()), separator, owner)
    if layout == "files":
        return _text_files(source, sounds), ()
    return _folders(sounds) if layout == "folders" else _digits(source, sounds)


def _tables(source: Source) -> list[str]:
    return [name for name in source.members if PurePosixPath(name).suffix.lower() in TABLES and "/" not in name]


def _layout(source: Source, sounds: list[str]) -> str:
    members = set(source.members)
    if len(_tables(source)) == 1:
        return "table"
    if all(_text_file(name) in members for name in sounds):
        return "files"
    if all(DIGIT_NAME.fullmatch(PurePosixPath(name).stem) for name in sounds):
        return "digits"
    if all("/" in name for name in sounds):
        return "folders"
    raise InputError(
        "SPEECH_TEXTS",
        f"the folder {source.title} has no texts for its {len(sounds)} recordings, e.g. {sounds[0]}",
        fix=f"add {LAYOUTS}",
    )


def _text_file(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(".txt"))


def _text_files(source: Source, sounds: list[str]) -> list[Recording]:
    recordings = []
    for name in sounds:
        text = _text_file(name)
        if text not in source.members:
            raise InputError("SPEECH_TEXTS", f"{name} has no text: {text} is missing", fix="add that file")
        recordings.append(Recording(name, decode(Source(text, text, source.read(text)))))
    return recordings


def _folders(sounds: list[str]) -> tuple[list[Recording], tuple[str, ...]]:
    loose = next((name for name in sounds if "/" not in name), None)
    if loose:
        raise InputError("SPEECH_TEXTS", f"{loose} is not in a folder that names its text", fix=f"add {LAYOUTS}")
    recordings = [Recording(name, PurePosixPath(name).parts[0].replace("_", " ")) for name in sounds]
    return recordings, (f"texts are the names of the folders: {sounds[0]} is {recordings[0].text!r}",)


def _digits(source: Source, sounds: list[str]) -> tuple[list[Recording], tuple[str, ...]]:
    recordings = []
    for name in sounds:
        parts = DIGIT_NAME.fullmatch(PurePosixPath(name).stem)
        if parts is None:
            raise InputError(
                "SPEECH_TEXTS",
                f"{name} in {source.title} is not named DIGIT_SPEAKER_NUMBER, such as 7_george_12.wav",
                fix="rename it, or say where the texts are with transcripts=",
            )
        split = "test" if int(parts["take"]) < OFFICIAL else "train"
        recordings.append(Recording(name, DIGITS[int(parts["digit"])], parts["speaker"], split))
    note = f"texts are the digits at the beginning of the names: {sounds[0]} is {recordings[0].text!r}"
    if {recording.split for recording in recordings} == {"train", "test"}:
        return recordings, (f"{note}; recordings 0 to 4 are the test",)
    return [replace(recording, split="") for recording in recordings], (note,)


def _table(source: Source, separator: str | None, owner: str | None) -> tuple[list[Recording], tuple[str, ...]]:
    suffix = PurePosixPath(source.title).suffix.lower()
    if suffix not in TABLES:
        raise InputError(
            "SPEECH_SOURCE",
            f"{source.title} is neither a folder nor a table of recordings",
            fix=f"pass {LAYOUTS}",
        )
    if suffix == ".jsonl":
        return [_entry(place, row, owner) for place, row in _json_rows(source)], blank_lines(source)
    table = read_table(source, separator)
    return [_entry(place, row, owner) for place, row in _csv_rows(source, table)], table.notes


def _csv_rows(source: Source, table: Table) -> Iterator[tuple[str, dict[str, str]]]:
    for column in ("path", "text"):
        check_column(source.title, column, table.header, fix="name it in the first line")
    for k, row in enumerate(zip(*table.cells.values(), strict=True)):
        yield f"row {k + 1} below the header of {source.title}", dict(zip(table.header, row, strict=True))


def _json_rows(source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    for line, row in read_objects(source, FORM):
        place = f"{line} of {source.title}"
        kept = {key: value for key, value in row.items() if key in FIELDS and not (key in FIELDS[2:] and absent(value))}
        odd = next((key for key, value in kept.items() if not isinstance(value, str)), None)
        if odd is not None:
            raise InputError(
                "SPEECH_JSON", f"{odd!r} in {place} must be a text, not {described(kept[odd])}", fix=f"write {FORM}"
            )
        yield place, {**{key: value for key, value in row.items() if key not in FIELDS}, **kept}


def _entry(place: str, row: dict[str, Any], owner: str | None) -> Recording:
    for column in ("path", "text"):
        if not row.get(column, "").strip():
            raise InputError("SPEECH_EMPTY", f"{place} has no {column}", fix="fill it in, or remove the line")
    split = row.get("split", "").strip().casefold()
    if split not in SPLITS:
        raise InputError("SPEECH_SPLIT", f"{place} has the split {split[:40]!r}", fix="write train, valid or test")
    path = row["path"].strip()
    if "\0" in path or len(path) > 4096:
        raise InputError("SPEECH_PATH", f"{place} has a path that is no file name: {path[:40]!r}", fix="correct it")
    cells = {name: [cell] for name, cell in row.items()}
    named = () if owner is None else owners_of(place, cells, owner, lambda _: "that row")
    return Recording(path, row["text"], row.get("speaker", "").strip(), SPLITS[split], owner="".join(named))


def _with_sounds(unread: list[Recording], read: Callable[[str], bytes], rate: int | None) -> Corpus:
    """Read every recording, at the same rate."""
    rates: dict[int, str] = {}  # with the first recording of each
    recordings, mixed, cancelled = [], 0, list[str]()
    for recording in counted("reading sounds", unread):
        samples, own, channels, opposite = read_sound(read(recording.name), recording.name)
        mixed += channels > 1
        cancelled += [recording.name] * opposite
        rates.setdefault(own, recording.name)
        recordings.append(replace(recording, sound=resample(samples, own, rate) if rate and own != rate else samples))
    if rate is None and len(rates) > 1:
        (first, here), (second, there) = list(rates.items())[:2]
        raise InputError(
            "AUDIO_RATES",
            f"the recordings have different sampling rates: {here} has {first:,} Hz, {there} has {second:,} Hz",
            fix=f"resample all of them with rate={min(rates)}",
        )
    notes = [f"{mixed} recordings have several channels, which were averaged"] if mixed else []
    others = sorted(own for own in rates if rate and own != rate)
    notes += [f"recordings of {', '.join(map(str, others))} Hz were resampled to {rate} Hz"] if others else []
    notes += [f"{len(cancelled)} recordings: {OPPOSITE}; the first is {cancelled[0]}"] if cancelled else []
    mute = [recording.name for recording in recordings if len(recording.sound) and not recording.sound.any()]
    silent = [name for name in mute if name not in cancelled]
    notes += [f"{len(silent)} recordings are silent throughout, the first is {silent[0]}"] if silent else []
    return Corpus(tuple(recordings), rate or next(iter(rates)), None, tuple(notes))


def _check_arrays(data: Mapping[str, NDArray[Any]]) -> None:
    """Refuse arrays of other kinds than spectra have: counts of frames, bytes, and texts for each recording."""
    if data["lengths"].dtype.kind not in "iu" or data["lengths"].ndim != 1 or data["lengths"].min(initial=0) < 0:
        raise ValueError("lengths must be counts")
    if data["frames"].dtype.kind not in "iu" or data["frames"].ndim != 2:
        raise ValueError("frames must be whole numbers [N, bands]")
    other = next((key for key in WORDS if data[key].dtype.kind != "U" or data[key].ndim != 1), None)
    if other is not None:
        raise ValueError(f"{other} must be texts, one for each recording")


def _read_spectra(source: Source, rate: int | None) -> Corpus:
    """Spectra in 8 bits: ``frames`` [N, bands], ``lengths``, ``names``, ``texts``, ``speakers`` and ``splits``."""
    with foreign("SPEECH_SPECTRA", f"{source.title} has no readable spectra", "pass recordings"):
        data = read_npz(source.raw)
        _check_arrays(data)
        made = read_json(str(data["made"].item()))
        frames = made["least"] + data["frames"].astype(np.float32) * ((made["most"] - made["least"]) / 255)
        ends = np.cumsum(data["lengths"], dtype=np.int64)
        if ends[-1] != len(frames):
            raise ValueError(f"lengths add up to {ends[-1]}, but there are {len(frames)} frames")
        sounds = np.split(frames.astype(np.float32), ends[:-1])
        words = zip(*(data[key].tolist() for key in WORDS), sounds, strict=True)
        recordings = tuple(Recording(*row) for row in words)
        spectra = {key: made[key] for key in ("rate", "window", "hop", "low", "high", "peak")}
    if rate not in (None, spectra["rate"]):
        raise InputError(
            "SPEECH_SPECTRA",
            f"{source.title} has spectra at {spectra['rate']} Hz, not {rate}",
            fix="leave out rate=",
        )
    return Corpus(recordings, spectra["rate"], {**spectra, "bands": frames.shape[1]})
