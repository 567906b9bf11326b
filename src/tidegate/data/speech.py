"""Recordings and what is said in them, from folders, tables and ready spectra."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.data.audio import SUFFIXES, read_sound, resample
from tidegate.data.json_lines import read_objects
from tidegate.data.source import Source
from tidegate.data.table import read_table
from tidegate.data.text import decode
from tidegate.errors import InputError, did_you_mean

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT_NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<take>\d+)")
OFFICIAL = 5  # recordings 0 to 4 of each speaker and digit are the test set of that collection
TABLES = (".csv", ".tsv", ".jsonl")
FORM = '{"path": "a.wav", "text": "what is said"}'
SPLITS = {"train": "train", "training": "train", "valid": "valid", "validation": "valid", "dev": "valid"}
SPLITS |= {"test": "test", "testing": "test", "": ""}
LAYOUTS = (
    "a table (.csv, .tsv, .jsonl) with the columns path and text, a .txt file beside each recording, "
    "a folder for each text, or names such as 7_george_12.wav"
)


@dataclass(frozen=True)
class Recording:
    """One recording.

    Attributes:
        name: its file, as the source calls it.
        text: what is said in it.
        speaker: who speaks; empty where nobody knows.
        split: ``"train"``, ``"valid"``, ``"test"``, or empty where it is not decided.
        sound: [n] samples, or [T, bands] log-mel spectra of a corpus that holds such.
    """

    name: str
    text: str
    speaker: str = ""
    split: str = ""
    sound: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass(frozen=True)
class Corpus:
    """Recordings of one rate.

    Attributes:
        spectra: what the log-mel spectra were computed with (rate, window, hop, low, high, peak); None for samples.
        warnings: what a user should know.
    """

    recordings: tuple[Recording, ...]
    rate: int
    spectra: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()


def read_speech(source: Source, transcripts: str = "auto", rate: int | None = None) -> Corpus:
    """Read a folder of recordings, a table that names them, or an ``.npz`` of spectra.

    Args:
        source: the data. Paths in a table are relative to its folder.
        transcripts: where the texts stand: ``"auto"``, ``"table"``, ``"files"``, ``"folders"`` or ``"digits"``.
        rate: recordings of another one are resampled; unless given all must have the same.

    Raises:
        InputError: no recordings, no texts, a file that cannot be read, or mixed rates.
    """
    if source.raw.startswith(b"PK"):
        return _read_spectra(source, rate)
    listed, notes = _listed(source, transcripts)
    doubled = [name for name, count in Counter(one.name for one in listed).items() if count > 1]
    if doubled:
        raise InputError("SPEECH_TWICE", f"{source.title} names {doubled[0]} more than once", fix="keep one line of it")
    home = source.members and source.read
    corpus = _with_sounds(listed, home or _beside(source), rate)
    return replace(corpus, warnings=notes + corpus.warnings)


def _beside(source: Source) -> Callable[[str], bytes]:
    """What reads a file that a table names."""
    folder = Source(str(Path(source.address).parent), source.title, b"")
    return folder.read


def _listed(source: Source, transcripts: str) -> tuple[list[Recording], tuple[str, ...]]:
    if not source.members:
        return _table(source), ()
    sounds = [name for name in source.members if PurePosixPath(name).suffix.lower() in SUFFIXES]
    if not sounds:
        kinds = ", ".join(SUFFIXES)
        raise InputError(
            "SPEECH_NONE", f"the folder {source.title} holds no recordings ({kinds})", fix="check the path"
        )
    layout = transcripts if transcripts != "auto" else _layout(source, sounds)
    if layout == "table":
        tables = _tables(source)
        if len(tables) != 1:
            came = f"{len(tables)}: {', '.join(tables)}" if tables else "none"
            raise InputError(
                "SPEECH_TABLE", f"the folder {source.title} must hold one table of texts, came {came}", fix="name one"
            )
        return _table(replace(source, title=tables[0], raw=source.read(tables[0]), members=())), ()
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
        f"nothing in the folder {source.title} says what is said in its {len(sounds)} recordings, e.g. in {sounds[0]}",
        fix=f"expected is {LAYOUTS}",
    )


def _text_file(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(".txt"))


def _text_files(source: Source, sounds: list[str]) -> list[Recording]:
    found = []
    for name in sounds:
        beside = _text_file(name)
        if beside not in source.members:
            raise InputError("SPEECH_TEXTS", f"{name} has no text beside it: {beside} is missing", fix="add that file")
        found.append(Recording(name, decode(Source(beside, beside, source.read(beside)))))
    return found


def _folders(sounds: list[str]) -> tuple[list[Recording], tuple[str, ...]]:
    loose = next((name for name in sounds if "/" not in name), None)
    if loose:
        raise InputError("SPEECH_TEXTS", f"{loose} lies in no folder that says its text", fix=f"expected is {LAYOUTS}")
    found = [Recording(name, PurePosixPath(name).parts[0].replace("_", " ")) for name in sounds]
    return found, (f"texts are the names of the folders: {sounds[0]} is {found[0].text!r}",)


def _digits(source: Source, sounds: list[str]) -> tuple[list[Recording], tuple[str, ...]]:
    found = []
    for name in sounds:
        parts = DIGIT_NAME.fullmatch(PurePosixPath(name).stem)
        if parts is None:
            raise InputError(
                "SPEECH_TEXTS",
                f"{name} in {source.title} is not named DIGIT_SPEAKER_NUMBER, such as 7_george_12.wav",
                fix="rename it, or say with --transcripts where the texts stand",
            )
        split = "test" if int(parts["take"]) < OFFICIAL else "train"
        found.append(Recording(name, DIGITS[int(parts["digit"])], parts["speaker"], split))
    if {one.split for one in found} != {"train", "test"}:
        found = [replace(one, split="") for one in found]
        return found, (f"texts are the digits that names begin with: {sounds[0]} is {found[0].text!r}",)
    note = f"texts are the digits that names begin with: {sounds[0]} is {found[0].text!r}; numbers 0 to 4 are the test"
    return found, (note,)


def _table(source: Source) -> list[Recording]:
    suffix = PurePosixPath(source.title).suffix.lower()
    if suffix not in TABLES:
        raise InputError(
            "SPEECH_SOURCE",
            f"{source.title} is not a folder of recordings, and no table of such",
            fix=f"expected is {LAYOUTS}",
        )
    rows = list(_json_rows(source) if suffix == ".jsonl" else _csv_rows(source))
    return [_entry(place, row) for place, row in rows]


def _csv_rows(source: Source) -> Iterator[tuple[str, dict[str, str]]]:
    table = read_table(source)
    _check_columns(source, table.header)
    for k, row in enumerate(zip(*table.cells.values(), strict=True)):
        yield f"row {k + 1} below the header of {source.title}", dict(zip(table.header, row, strict=True))


def _check_columns(source: Source, header: list[str]) -> None:
    for column in ("path", "text"):
        if column not in header:
            near = did_you_mean(column, header)
            raise InputError(
                "SPEECH_COLUMN",
                f"{source.title} has no column {column!r}{near}, but {', '.join(map(repr, header))[:200]}",
                fix="name the columns path and text in its first line; speaker and split may follow",
            )


def _json_rows(source: Source) -> Iterator[tuple[str, dict[str, str]]]:
    for line, row in read_objects(source, FORM):
        place = f"{line} of {source.title}"
        if not all(isinstance(row.get(key, ""), str) for key in ("path", "text")):
            raise InputError("SPEECH_JSON", f"{place} has no texts path and text: {str(row)[:40]}", fix=f"write {FORM}")
        yield place, {key: str(value) for key, value in row.items()}


def _entry(place: str, row: dict[str, str]) -> Recording:
    for column in ("path", "text"):
        if not row.get(column, "").strip():
            raise InputError("SPEECH_EMPTY", f"{place} has no {column}", fix="fill it in, or remove the line")
    split = row.get("split", "").strip().casefold()
    if split not in SPLITS:
        raise InputError("SPEECH_SPLIT", f"{place} has the split {split[:40]!r}", fix="write train, valid or test")
    path = row["path"].strip()
    if "\0" in path or len(path) > 4096:
        raise InputError("SPEECH_PATH", f"{place} has no path of a file: {path[:40]!r}", fix="correct it")
    return Recording(path, row["text"], row.get("speaker", "").strip(), SPLITS[split])


def _with_sounds(listed: list[Recording], read: Callable[[str], bytes], rate: int | None) -> Corpus:
    """Read every recording, at one rate."""
    rates: dict[int, str] = {}  # and the first recording of each
    found, mixed = [], 0
    for one in listed:
        samples, own, channels = read_sound(read(one.name), one.name)
        mixed += channels > 1
        rates.setdefault(own, one.name)
        found.append(replace(one, sound=resample(samples, own, rate) if rate and own != rate else samples))
    if rate is None and len(rates) > 1:
        (first, here), (second, there) = list(rates.items())[:2]
        raise InputError(
            "AUDIO_RATES",
            f"the recordings have different rates: {here} has {first:,} samples per second, {there} has {second:,}",
            fix=f"resample them all by --rate {min(rates)}",
        )
    notes = [f"{mixed} recordings have several channels; their mean was taken"] if mixed else []
    others = sorted(own for own in rates if rate and own != rate)
    notes += [f"recordings of {', '.join(map(str, others))} Hz were resampled to {rate} Hz"] if others else []
    silent = [one.name for one in found if len(one.sound) and not one.sound.any()]
    notes += [f"{len(silent)} recordings are silent throughout, the first is {silent[0]}"] if silent else []
    return Corpus(tuple(found), rate or next(iter(rates)), None, tuple(notes))


def _read_spectra(source: Source, rate: int | None) -> Corpus:
    """Spectra in 8 bits: arrays ``frames`` [N, bands], ``lengths``, ``names``, ``texts``, ``speakers``, ``splits``."""
    try:
        with np.load(io.BytesIO(source.raw), allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
        made = json.loads(str(data["made"]))
        frames = made["least"] + data["frames"].astype(np.float32) * ((made["most"] - made["least"]) / 255)
        ends = np.cumsum(data["lengths"].astype(np.int64))
        if ends[-1] != len(frames):
            raise ValueError(f"lengths add up to {ends[-1]}, but there are {len(frames)} frames")  # noqa: TRY301
        sounds = np.split(frames.astype(np.float32), ends[:-1])
        words = zip(*(data[key].tolist() for key in ("names", "texts", "speakers", "splits")), sounds, strict=True)
        found = tuple(Recording(*row) for row in words)
        spectra = {key: made[key] for key in ("rate", "window", "hop", "low", "high", "peak")}
    except (KeyError, ValueError, TypeError, IndexError, OSError, EOFError, zipfile.BadZipFile) as error:
        said = " ".join(str(error).split())[:120]
        raise InputError("SPEECH_SPECTRA", f"{source.title} holds no spectra: {said}", fix="pass recordings") from None
    if rate not in (None, spectra["rate"]):
        raise InputError(
            "SPEECH_SPECTRA",
            f"{source.title} holds spectra at {spectra['rate']} Hz, not {rate}",
            fix="leave --rate out",
        )
    return Corpus(found, spectra["rate"], {**spectra, "bands": frames.shape[1]})
