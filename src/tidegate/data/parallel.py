"""Folders of parallel files such as ``train.en`` and ``train.de``, which agree line by line and split by split."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial

from tidegate.data.owner import check_no_column
from tidegate.data.packed import plain_name
from tidegate.data.pair import NAMES, Names, Pairs, cleaned, read_pairs
from tidegate.data.source import Source
from tidegate.data.text import decode, file_lines
from tidegate.errors import InputError

FILE = re.compile(r"(train|val|valid|dev|test)(?:[^a-z/][^/]*?)?\.([A-Za-z_-]{2,12})")
SPLITS = {"train": "train", "val": "valid", "valid": "valid", "dev": "valid", "test": "test"}
LAYOUT = "train.en, train.de, valid.en, valid.de, test.en and test.de, or the same compressed, such as train.en.gz"

Files = dict[str, dict[str, list[str]]]  # by split and language


def read_splits(
    source: Source,
    names: Names = (None, None),
    stress: bool = False,
    separator: str | None = None,
    owner: str | None = None,
) -> dict[str, Pairs]:
    """Pairs by split. A single file is ``train``; validation and test files, if given, are the other splits.

    A folder has a file for each split and language, such as ``train.en`` and ``test_2016.de.gz``.

    Args:
        source: a file that ``read_pairs`` reads, or such a folder.
        names: the columns of a file, or the languages of a folder.
        stress: whether phonemes keep their stress digits.
        separator: as ``read_pairs`` takes it.
        owner: the column whose values say whom a training pair belongs to.

    Raises:
        InputError: a file cannot be read or is missing, or two parallel files differ in their number of lines.
    """
    read = partial(read_pairs, names=names, stress=stress, separator=separator)
    if source.members:
        check_no_column(source.title, owner, "a folder of parallel files")
    pairs = _folder(source, names) if source.members else {"train": read(source, owner=owner)}
    for split, part in (("valid", source.valid), ("test", source.test)):
        if part is not None:
            pairs[split] = _marked(read(part), split)
    return pairs


def _marked(pairs: Pairs, split: str) -> Pairs:
    """The pairs, with the split at the front of each warning."""
    return replace(pairs, warnings=tuple(f"{split}: {warning}" for warning in pairs.warnings))


def _folder(source: Source, names: Names) -> dict[str, Pairs]:
    files = _files(source)
    languages = _languages(source, files, names)
    return {
        split: _aligned(source, split, [_only(source, files[split], split, language) for language in languages])
        for split in ("train", "valid", "test")
        if split in files
    }


def _files(source: Source) -> Files:
    files: Files = {}
    for member in source.members:
        if match := FILE.fullmatch(plain_name(member)):
            files.setdefault(SPLITS[match[1]], {}).setdefault(match[2], []).append(member)
    if "train" not in files:
        raise InputError(
            "PAIR_FOLDER", f"the folder {source.title} has no files such as train.en and train.de", fix=f"name {LAYOUT}"
        )
    return files


def _languages(source: Source, files: Files, names: Names) -> tuple[str, str]:
    known = sorted(files["train"])
    for name, option in zip(names, ("source", "target"), strict=True):
        if name is None or name not in known:
            problem = f"no {option} language was named" if name is None else f"{name!r} is not one of them"
            raise InputError(
                "PAIR_FOLDER",
                f"the folder {source.title} has the languages {', '.join(known)}, but {problem}",
                fix=f"name one with {option}_column=LANGUAGE",
            )
    assert names[0] is not None
    assert names[1] is not None
    return names[0], names[1]


def _only(source: Source, by_language: dict[str, list[str]], split: str, language: str) -> str:
    members = by_language.get(language, [])
    if len(members) != 1:
        present = f"{len(members)} {split} files for {language!r}: {', '.join(members[:5])}" if members else "none"
        raise InputError(
            "PAIR_FOLDER",
            f"the folder {source.title} must have one {split} file for {language!r}, but has {present}",
            fix="keep one in the folder" if members else f"name {LAYOUT}",
        )
    return members[0]


def _aligned(source: Source, split: str, members: list[str]) -> Pairs:
    """The pairs of two parallel files, joined line by line into one file."""
    sides = [_lines(source, member) for member in members]
    counts = [*map(len, sides)]
    if not _evened(*sides):
        raise InputError(
            "PAIR_LINES",
            f"{members[0]} has {counts[0]} lines, but {members[1]} has {counts[1]}",
            fix="each line of one file must translate the same line of the other",
        )
    text = "\n".join(json.dumps(dict(zip(NAMES, pair, strict=True))) for pair in zip(*sides, strict=True))
    joined = Source(source.address, f"{' and '.join(members)}.jsonl", text.encode())
    return _marked(read_pairs(joined), split)


def _evened(left: list[str], right: list[str]) -> bool:
    """Drop the blank lines by which the end of one is longer; whether both have as many lines then."""
    for longer, other in ((left, right), (right, left)):
        while len(longer) > len(other) and not longer[-1]:
            longer.pop()
    return len(left) == len(right)


def _lines(source: Source, member: str) -> list[str]:
    part = Source(f"{source.address}/{member}", plain_name(member), source.read(member))
    return [cleaned(line) for line in file_lines(decode(part))]
