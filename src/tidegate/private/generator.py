"""Torch's own generator, from the secret stream."""

from __future__ import annotations

import numpy as np
import torch

from tidegate.private.stream import SecretStream

WORDS = 624  # the state of the Mersenne Twister
HEADER, WIDTH = 24, 8  # bytes of torch's state before its words, and of each


def seed_default(stream: SecretStream) -> None:
    """Seed torch's default generator with its whole state, so that no small seed can be guessed.

    Dropout draws from it for all rows of a batch in a row: if the masks were known, one row more would change those of
    the others, and the gradient by more than its own.
    """
    state = torch.get_rng_state()
    words = (stream.words(WORDS) & 0xFFFFFFFF).astype("<u8")
    state[:HEADER] = torch.from_numpy(np.array([0, 1 | 1 << 32, 0], "<u8").view(np.uint8))  # seed, left, seeded, next
    state[HEADER : HEADER + WORDS * WIDTH] = torch.from_numpy(words.view(np.uint8))
    torch.set_rng_state(state)
