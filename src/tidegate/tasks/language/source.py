"""How settings read a source. It loads no torch, so that a wrong file is refused before that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.data import Reader, Source, decode
from tidegate.errors import InputError
from tidegate.tasks.language.setting import LanguageSetting

if TYPE_CHECKING:
    from tidegate.train.task import Split

CHARACTERS = 1000
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def reader(setting: LanguageSetting) -> Reader[dict[Split, str]]:
    """What reads the text of each split."""
    del setting
    return Reader(_cut)


def _cut(source: Source) -> dict[Split, str]:
    """The text of each split: from a file of its own, or a last twentieth of the training file."""
    own: dict[Split, str] = {}
    for split, part in (("valid", source.valid), ("test", source.test)):
        if part is not None:
            own[split] = _text(part, 2)  # type: ignore[index]
    text = _text(source, CHARACTERS)
    missing = [split for split in SPLITS[1:] if split not in own]
    edges = [int((1 - 0.05 * count) * len(text)) for count in range(len(missing), -1, -1)]
    cut = {split: text[a:b] for split, a, b in zip(missing, edges, edges[1:], strict=False)}
    return {"train": text[: edges[0]], **cut, **own}


def all_test(source: Source) -> dict[Split, str]:
    return {"train": "", "valid": "", "test": _text(source, 2)}


def _text(source: Source, least: int) -> str:
    text = decode(source)
    if len(text) < least:
        why = ": 5 % are kept for validation and 5 % for the test" if least == CHARACTERS else ""
        raise InputError(
            "LANGUAGE_SHORT",
            f"{source.title} has {len(text)} characters, but at least {least:,} are needed{why}",
            fix="pass a longer text",
        )
    return text
