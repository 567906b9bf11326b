"""Which recordings teach, which validate, which test; none is in two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from tidegate.data import Corpus, Recording
from tidegate.errors import InputError
from tidegate.train.task import Split

TENTH = 10
Parts = dict[Split, list[Recording]]


def split(corpus: Corpus, hold_out: str | None) -> tuple[Parts, str]:
    """The parts, and how they were made.

    A speaker that is held out is the test, alone. Else what says its part belongs there. What is left of validation and
    test is drawn: of all recordings in order of speaker, text and content every tenth, so that each speaker and text
    has its share. Equal sounds always stay together.

    Raises:
        InputError: nobody has the speaker's name, or a part is empty.
    """
    recordings = list(corpus.recordings) if hold_out is None else _held_out(list(corpus.recordings), hold_out)
    named = {one.split for one in recordings}
    wanted: list[Split] = [name for name in ("valid", "test") if name not in named]
    parts = _placed(recordings, wanted)
    how = (
        "" if len(wanted) == 2 else "as the data say; " if hold_out is None else f"the test is the speaker {hold_out}; "
    )
    how += f"a tenth each drawn for {' and '.join(wanted)}; " if wanted else ""
    empty = next((name for name, part in parts.items() if not part), None)
    if empty:
        raise InputError(
            "SPEECH_PART",
            f"{len(recordings)} recordings leave none for the part {empty!r}",
            fix="pass more recordings, at least 20, or name their split in a table",
        )
    return parts, how.removesuffix("; ")


def _held_out(recordings: list[Recording], speaker: str) -> list[Recording]:
    known = sorted({one.speaker for one in recordings} - {""})
    if speaker not in known:
        names = f"the speakers are {', '.join(known)[:200]}" if known else "the data do not name the speakers"
        raise InputError("SPEECH_SPEAKER", f"there is no speaker {speaker!r}: {names}", fix="correct hold_out=")
    return [replace(one, split="test" if one.speaker == speaker else "") for one in recordings]


def _placed(recordings: list[Recording], wanted: list[Split]) -> Parts:
    parts: Parts = {"train": [], "valid": [], "test": []}
    chosen = _drawn([one for one in recordings if one.split in ("", "train")], wanted)
    for one in recordings:
        named: Split | None = {"valid": "valid", "test": "test"}.get(one.split)  # type: ignore[assignment]
        parts[named or chosen.get(_key(one), "train")].append(one)
    return parts


def _drawn(recordings: Sequence[Recording], wanted: list[Split]) -> dict[str, Split]:
    """The part of each sound, by its key, as far as it is not training's."""
    turn = {TENTH - 1 - k: name for k, name in enumerate(wanted)}
    order = sorted({_key(one): one for one in recordings}.values(), key=lambda one: (one.speaker, one.text, _key(one)))
    return {_key(one): turn[k % TENTH] for k, one in enumerate(order) if k % TENTH in turn}


def _key(recording: Recording) -> str:
    return hashlib.sha256(recording.sound.tobytes()).hexdigest()


def shared_sounds(parts: Parts) -> tuple[str, ...]:
    """Warnings about sounds of validation and test that training has, too, sample for sample."""
    seen = {_key(one) for one in parts["train"]}
    shared = {name: sum(_key(one) in seen for one in parts[name]) for name in ("valid", "test")}
    return tuple(
        f"{name}: {count} of {len(parts[name])} recordings are the same as one of training, sample for sample"  # type: ignore[index]
        for name, count in shared.items()
        if count
    )
