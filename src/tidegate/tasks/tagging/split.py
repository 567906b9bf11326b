"""Split sentences into training, validation and test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tidegate.data import Source
from tidegate.data.group import cut_by_group
from tidegate.errors import InputError
from tidegate.tasks.tagging.reader import taken
from tidegate.tasks.tagging.record import Sentence, Tagged
from tidegate.tasks.tagging.setting import TaggingSetting

SENTENCES = 10


def filled(part: Tagged) -> Tagged:
    """Leave out sentences without words."""
    rows = [row for row, sentence in enumerate(part.sentences) if sentence.words]
    return taken(part, rows, notes=True)


def parted(source: Source, read: Mapping[str, Tagged], setting: TaggingSetting) -> dict[str, Tagged]:
    """Split sentences; parts that the data do not name are drawn by sentence.

    Equal sentences stay in one part. The draw depends on the sentences and the seed alone, not on their order.

    Raises:
        InputError: too few sentences, or a single tag.
    """
    whole = read["train"]
    _check(source, whole.sentences)
    shares = {"valid": setting.valid_share, "test": setting.test_share}
    shares = {part: share for part, share in shares.items() if part not in read and share}
    names = [f"{setting.split_seed} {sentence.owner or ' '.join(sentence.words)}" for sentence in whole.sentences]
    rows = cut_by_group(names, shares)
    drawn = {part: taken(whole, own, notes=part == "train") for part, own in rows.items()}
    parts = {"test": Tagged(()), **read, **drawn}
    empty = next((part for part in ("train", "valid") if not parts[part].sentences), None)
    if empty:
        raise InputError(
            "TAGGING_SPLIT",
            f"{source.title} leaves no sentences for {empty}: {len(set(names))} of its {len(names)} differ",
            fix="pass more data, or files for validation and test",
        )
    return {part: parts[part] for part in ("train", "valid", "test")}


def _check(source: Source, sentences: Sequence[Sentence]) -> None:
    if len(sentences) < SENTENCES:
        raise InputError(
            "TAGGING_SHORT",
            f"{source.title} has {len(sentences)} sentence{'s' * (len(sentences) != 1)} for training, but at least "
            f"{SENTENCES} are needed",
            fix="pass more; in files of columns, end every sentence with a blank line",
        )
    tags = {tag for sentence in sentences for tag in sentence.tags}
    if len(tags) < 2:
        raise InputError(
            "TAGGING_ONE",
            f"every word of {source.title} has the tag {next(iter(tags))!r}",
            fix="pass two or more tags, or choose their column with tag_column=",
        )


def described(parts: Mapping[str, Tagged], read: Mapping[str, Tagged], setting: TaggingSetting) -> str:
    """The parts and where they come from."""
    sizes = ", ".join(f"{part} {len(own.sentences):,}" for part, own in parts.items())
    given = [part for part in ("valid", "test") if part in read]
    if "train" not in parts:
        return f"all sentences: {sizes}"
    how = "as given" if len(given) == 2 else f"drawn by sentence (seed {setting.split_seed})"
    return f"{how}: {sizes}" + (f"; {given[0]} as given" if len(given) == 1 else "")


def shared(parts: Mapping[str, Tagged]) -> Iterator[str]:
    """Warnings about sentences that also occur in training."""
    train = {sentence.words for sentence in parts["train"].sentences} if "train" in parts else set()
    for part in ("valid", "test"):
        own = parts[part].sentences if part in parts else ()
        count = sum(sentence.words in train for sentence in own)
        if count:
            yield f"{part}: {count} of {len(own)} sentences occur in training, too"
