"""Split recordings into training, validation and test without overlap."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from tidegate.data import Corpus, Recording, cut_by_group
from tidegate.errors import InputError
from tidegate.train.task import Split

TENTH = 10
Parts = dict[Split, list[Recording]]


def split(corpus: Corpus, hold_out: str | None) -> tuple[Parts, str]:
    """Split recordings, and describe the split.

    A held-out speaker is the whole test. Otherwise recordings that name a part belong to it. Missing parts are drawn:
    every tenth recording in the order of speaker, text and content, so that each speaker and text has its share. Equal
    sounds stay together. Where recordings have owners, a tenth of these is drawn, with all that they have.

    Raises:
        InputError: there is no such speaker, or a part is empty.
    """
    recordings = list(corpus.recordings) if hold_out is None else _held_out(list(corpus.recordings), hold_out)
    named = {recording.split for recording in recordings}
    drawn: list[Split] = [name for name in ("valid", "test") if name not in named]
    parts = _placed(recordings, drawn)
    how = (
        "" if len(drawn) == 2 else "as the data say; " if hold_out is None else f"the test is the speaker {hold_out}; "
    )
    how += f"a tenth each drawn for {' and '.join(drawn)}; " if drawn else ""
    empty = next((name for name, part in parts.items() if not part), None)
    if empty:
        raise InputError(
            "SPEECH_PART",
            f"{len(recordings)} recordings leave none for the part {empty!r}",
            fix="pass more recordings, at least 20, or name their split in a table",
        )
    return parts, how.removesuffix("; ")


def _held_out(recordings: list[Recording], speaker: str) -> list[Recording]:
    known = sorted({recording.speaker for recording in recordings} - {""})
    if speaker not in known:
        names = f"the speakers are {', '.join(known)[:200]}" if known else "the data do not name the speakers"
        raise InputError("SPEECH_SPEAKER", f"there is no speaker {speaker!r}: {names}", fix="correct hold_out=")
    return [replace(recording, split="test" if recording.speaker == speaker else "") for recording in recordings]


def _placed(recordings: list[Recording], drawn: list[Split]) -> Parts:
    parts: Parts = {"train": [], "valid": [], "test": []}
    chosen = _drawn([recording for recording in recordings if recording.split in ("", "train")], drawn)
    for recording in recordings:
        named: Split | None = {"valid": "valid", "test": "test"}.get(recording.split)  # type: ignore[assignment]
        parts[named or chosen.get(recording.owner or _key(recording), "train")].append(recording)
    return parts


def _drawn(recordings: Sequence[Recording], drawn: list[Split]) -> dict[str, Split]:
    """The part of each sound, or of each owner, that is not for training, by its key."""
    owners = [recording.owner for recording in recordings if recording.owner]
    if owners:
        places = cut_by_group(owners, dict.fromkeys(drawn, 1 / TENTH))
        return {owners[place]: part for part in drawn for place in places[part]}
    turn = {TENTH - 1 - k: name for k, name in enumerate(drawn)}
    order = sorted(
        {_key(recording): recording for recording in recordings}.values(),
        key=lambda recording: (recording.speaker, recording.text, _key(recording)),
    )
    return {_key(recording): turn[k % TENTH] for k, recording in enumerate(order) if k % TENTH in turn}


def _key(recording: Recording) -> str:
    return hashlib.sha256(recording.sound.tobytes()).hexdigest()


def shared_sounds(parts: Parts) -> tuple[str, ...]:
    """Warnings about sounds of validation and test that also occur in training."""
    seen = {_key(recording) for recording in parts["train"]}
    shared = {name: sum(_key(recording) in seen for recording in parts[name]) for name in ("valid", "test")}
    return tuple(
        f"{name}: {count} of {len(parts[name])} recordings are the same as one of training, sample for sample"  # type: ignore[index]
        for name, count in shared.items()
        if count
    )
