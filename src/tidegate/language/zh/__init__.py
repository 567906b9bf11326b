"""Chinese: a template for each English one, in a file for each place, and how texts are joined."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tidegate.language.zh import compare, explain, explanation, page, report

TEXTS: Mapping[str, str] = {**explain.TEXTS, **compare.TEXTS, **report.TEXTS, **page.TEXTS, **explanation.TEXTS}
JOINTS = {", ": "、", "; ": "；", ": ": "：", " and ": " 和 ", " to ": " 至 "}
AFTER_SIGN = re.compile("(?<=[，。；：？！）]) ")  # a sign of punctuation is as wide as a letter, and has its space


def join(joint: str, parts: Sequence[str]) -> str:
    """Texts in a row.

    Args:
        joint: what stands between them in English.
        parts: the texts, in Chinese.
    """
    return AFTER_SIGN.sub("", JOINTS.get(joint, joint).join(parts))
