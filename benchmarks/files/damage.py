"""Damages that any file may have had on its way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from benchmarks.files.sound import SOUND

CUTS, FLIPS = 14, 22  # of each format


@dataclass(frozen=True)
class Bad:
    """A file that must be refused.

    Attributes:
        name: what is wrong with it, after its format.
        suffix: of its name.
        content: of the file.
        beside: further files of its folder.
        may_be_read: the damage may have touched nothing but numbers or what nobody reads.
    """

    name: str
    suffix: str
    content: bytes
    beside: dict[str, bytes] = field(default_factory=dict)
    may_be_read: bool = False


def damaged() -> Iterator[Bad]:
    """Cut, flipped, mixed, and of another format than the name says."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    sound = {suffix: make() for suffix, make in SOUND.items()}
    for suffix, content in sound.items():
        yield Bad("empty", suffix, b"")
        yield Bad("zeros", suffix, bytes(len(content)))
        yield Bad("noise", suffix, rng.bytes(len(content)))
        yield Bad("text", suffix, b"<html><body>404 not found</body></html>")
        for cut in np.linspace(1, 0.9 * len(content), CUTS).astype(int):
            yield Bad(f"cut at {cut}", suffix, content[:cut])
        for k in range(FLIPS):
            changed = bytearray(content)
            for at in rng.integers(0, len(content), 1 + 4 * (k % 6)):
                changed[at] ^= int(rng.integers(1, 256))
            yield Bad(f"bytes changed, {k}", suffix, bytes(changed), may_be_read=True)
        middle = len(content) // 2
        yield Bad("a hole", suffix, content[: middle // 2] + content[middle:], may_be_read=suffix == ".bin")
        yield Bad("half zeros", suffix, content[:middle] + bytes(len(content) - middle), may_be_read=suffix == ".pth")
