"""Splits that do not leak: all members of a group are in the same part."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence


def group_of(text: str) -> str:
    """The group of a text: its letters and digits in lower case, so that trivial variants share a group.

    Examples:
        >>> group_of("Go on!") == group_of("go  on...")
        True
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(letter if letter.isalnum() else " " for letter in folded).split()) or text


def cut_by_group(groups: Sequence[str], shares: Mapping[str, float]) -> dict[str, list[int]]:
    """Split items into parts without separating a group; returns the indices in each part.

    Groups are ordered by the hash of their name, so the split depends on the data alone.

    Args:
        groups: the group of each item.
        shares: the share of the groups in each part, rounded to at least one group; the rest is ``"train"``.
    """
    ordered = sorted(set(groups), key=lambda group: hashlib.sha256(group.encode()).digest())
    part_of: dict[str, str] = {}
    first = 0
    for part, share in shares.items():
        last = first + max(1, round(share * len(ordered)))
        part_of |= dict.fromkeys(ordered[first:last], part)
        first = last
    parts: dict[str, list[int]] = {part: [] for part in ("train", *shares)}
    for index, group in enumerate(groups):
        parts[part_of.get(group, "train")].append(index)
    return parts
