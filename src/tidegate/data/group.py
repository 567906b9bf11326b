"""Splits that do not leak: what belongs together falls into one part."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence


def group_of(text: str) -> str:
    """What texts have in common that say the same: their letters and digits, in lower case.

    Examples:
        >>> group_of("Go on!") == group_of("go  on...")
        True
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(letter if letter.isalnum() else " " for letter in folded).split()) or text


def cut_by_group(groups: Sequence[str], shares: Mapping[str, float]) -> dict[str, list[int]]:
    """Places of each part, and of the rest as ``"train"``; equal groups stay together.

    Groups are drawn by the hash of their name, so the cut depends on nothing but the data.

    Args:
        groups: the group of each place.
        shares: of the groups that each part gets, at least one.
    """
    drawn = sorted(set(groups), key=lambda group: hashlib.sha256(group.encode()).digest())
    part_of: dict[str, str] = {}
    first = 0
    for part, share in shares.items():
        last = first + max(1, round(share * len(drawn)))
        part_of |= dict.fromkeys(drawn[first:last], part)
        first = last
    parts: dict[str, list[int]] = {part: [] for part in ("train", *shares)}
    for place, group in enumerate(groups):
        parts[part_of.get(group, "train")].append(place)
    return parts
