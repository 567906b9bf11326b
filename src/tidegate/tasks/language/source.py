"""How settings read a source. It loads no torch, so that a wrong file is refused before that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidegate.data import Reader, Source
from tidegate.data.piecewise import Text
from tidegate.errors import InputError
from tidegate.tasks.language.setting import LanguageSetting

if TYPE_CHECKING:
    from tidegate.train.task import Split

CHARACTERS = 1000
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def reader(setting: LanguageSetting) -> Reader[dict[Split, Text]]:
    """What reads the text of each file."""
    del setting
    return Reader(surveyed, any_size=("",))


def surveyed(source: Source) -> dict[Split, Text]:
    """The text of each file, which has been read once and checked."""
    files: dict[Split, Source | None] = {"valid": source.valid, "test": source.test}
    own = {split: Text.surveyed(file) for split, file in files.items() if file is not None}
    texts = {"train": Text.surveyed(with_hashes(source, own)), **own}
    for split, text in texts.items():
        check_long(text, CHARACTERS if split == "train" else 2)
    return texts


def with_hashes(source: Source, texts: dict[Split, Text]) -> Source:
    """The source with the hashes of its files for validation and test, which its own includes."""
    parts: dict[str, Any] = {split: text.source for split, text in texts.items() if split != "train"}
    return replace(source, **parts)


def check_long(text: Text, least: int) -> None:
    """Refuse a text that is too short.

    Raises:
        InputError: it has fewer than ``least`` characters.
    """
    if text.characters < least:
        why = ": 5 % are kept for validation and 5 % for the test" if least == CHARACTERS else ""
        raise InputError(
            "LANGUAGE_SHORT",
            f"{text.source.title} has {text.characters} characters, but at least {least:,} are needed{why}",
            fix="pass a longer text",
        )
