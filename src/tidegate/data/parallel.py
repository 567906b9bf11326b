"""Folders of parallel files: ``train.en`` beside ``train.de``, line by line, with their own splits."""

from __future__ import annotations

import re
from dataclasses import replace

from tidegate.data.pair import Names, Pairs, cleaned, read_pairs, unpacked
from tidegate.data.source import Source
from tidegate.data.text import decode
from tidegate.errors import InputError

FILE = re.compile(r"(train|val|valid|dev|test)(?:[^a-z/][^/]*?)?\.(?!gz$)([A-Za-z_-]{2,12})(?:\.gz)?")
SPLITS = {"train": "train", "val": "valid", "valid": "valid", "dev": "valid", "test": "test"}
LAYOUT = "train.en, train.de, valid.en, valid.de, test.en and test.de, or the same with .gz"

Files = dict[str, dict[str, list[str]]]  # by split and language


def read_splits(source: Source, names: Names = (None, None), *, stress: bool = False) -> dict[str, Pairs]:
    """Pairs by split: all of a file's as ``train``, beside whatever has a file of its own.

    A folder holds a file for each split and language, such as ``train.en`` and ``test_2016.de.gz``.

    Args:
        source: a file as ``read_pairs`` reads it, or such a folder.
        names: columns, or the languages of a folder.
        stress: whether phonemes keep their stress digits.

    Raises:
        InputError: a part cannot be read, a folder lacks a file, or two files differ in their lines.
    """
    found = _folder(source, names) if source.members else {"train": read_pairs(source, names, stress=stress)}
    for split, part in (("valid", source.valid), ("test", source.test)):
        if part is not None:
            found[split] = _marked(read_pairs(part, names, stress=stress), split)
    return found


def _marked(pairs: Pairs, split: str) -> Pairs:
    """The pairs, whose warnings say of which split they are."""
    return replace(pairs, warnings=tuple(f"{split}: {warning}" for warning in pairs.warnings))


def _folder(source: Source, names: Names) -> dict[str, Pairs]:
    files = _files(source)
    languages = _languages(source, files, names)
    return {
        split: _aligned(source, split, [_one(source, files[split], split, language) for language in languages])
        for split in ("train", "valid", "test")
        if split in files
    }


def _files(source: Source) -> Files:
    files: Files = {}
    for member in source.members:
        if match := FILE.fullmatch(member):
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
            came = "which one to translate was not said" if name is None else f"{name!r} is not among them"
            raise InputError(
                "PAIR_FOLDER",
                f"the folder {source.title} has the languages {', '.join(known)}, and {came}",
                fix=f"name one with --{option}-column LANGUAGE",
            )
    assert names[0] is not None
    assert names[1] is not None
    return names[0], names[1]


def _one(source: Source, by_language: dict[str, list[str]], split: str, language: str) -> str:
    members = by_language.get(language, [])
    if len(members) != 1:
        came = f"{len(members)} {split} files for {language!r}: {', '.join(members[:5])}" if members else "none"
        raise InputError(
            "PAIR_FOLDER",
            f"the folder {source.title} must have one {split} file for {language!r}, came {came}",
            fix="keep one in the folder" if members else f"name {LAYOUT}",
        )
    return members[0]


def _aligned(source: Source, split: str, members: list[str]) -> Pairs:
    """The pairs of two files that agree line by line, read as one file with tabs."""
    sides = [_lines(source, member) for member in members]
    if len(sides[0]) != len(sides[1]):
        raise InputError(
            "PAIR_LINES",
            f"{members[0]} has {len(sides[0])} lines and {members[1]} {len(sides[1])}, expected as many",
            fix="line by line one must be the translation of the other",
        )
    text = "".join(f"{one}\t{other}\n" for one, other in zip(*sides, strict=True))
    joined = Source(source.address, f"{' and '.join(members)}.tsv", text.encode())
    return _marked(read_pairs(joined), split)


def _lines(source: Source, member: str) -> list[str]:
    part = unpacked(Source(f"{source.address}/{member}", member, source.read(member)))
    return [cleaned(line) for line in decode(part).removesuffix("\n").split("\n")]
