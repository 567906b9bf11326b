"""The script of texts, as far as a score depends on it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Script = Literal["Han", "Japanese", "Hangul", "South-East Asian", "other"]

HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
KANA = re.compile(r"[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")
SOUTH_EAST = re.compile(
    r"[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\ua980-\ua9df]"
)
LETTER = re.compile(r"[^\W\d_]")
JAPANESE = 0.05  # of Chinese characters and kana together; Chinese texts have a kana only in names
BLANKS = 0.1  # for each letter; with more of them, the words are written apart
UNSPACED: tuple[Script, ...] = ("Han", "Japanese", "South-East Asian")


def script_of(texts: Iterable[str]) -> Script:
    """The script that most letters are of: one whose words a score cannot find by blanks, or any other.

    South-East Asian scripts are Thai, Lao, Tibetan, Burmese, Khmer and their relatives.
    """
    text = "".join(texts)
    han, kana, hangul, south_east = (
        sum(1 for _ in script.finditer(text)) for script in (HAN, KANA, HANGUL, SOUTH_EAST)
    )
    special: dict[Script, int] = {"Han": han + kana, "Hangul": hangul, "South-East Asian": south_east}
    others = sum(1 for _ in LETTER.finditer(SOUTH_EAST.sub("", text))) - han - kana - hangul
    script = max(special, key=lambda name: special[name])
    if special[script] <= others:
        return "other"
    return "Japanese" if script == "Han" and kana > JAPANESE * special[script] else script


def has_words(texts: Iterable[str]) -> bool:
    """Whether blanks separate the words: not in scripts that are written without them, unless the texts have them."""
    written = list(texts)
    blanks, letters = (sum(count(text) for text in written) for count in (_blanks, len))
    return script_of(written) not in UNSPACED or blanks > BLANKS * letters


def _blanks(text: str) -> int:
    return text.count(" ")
