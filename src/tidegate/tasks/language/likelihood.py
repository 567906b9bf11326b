"""How likely a model finds a text."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import cross_entropy

from tidegate.tasks.language.model import SymbolModel
from tidegate.train.task import Batch

STEPS = 1024  # at once: the numbers do not depend on it


@torch.inference_mode()
def surprise(model: SymbolModel, symbols: torch.Tensor) -> torch.Tensor:
    """-log2 of the probability of every symbol but the first, behind all before it.

    Shapes:
        symbols: [T + 1] int64; the answer [T] float64.
    """
    model.eval()
    bits: list[torch.Tensor] = []
    state = None
    for at in range(0, len(symbols) - 1, STEPS):
        given, asked = symbols[at : at + STEPS + 1][:-1], symbols[at + 1 : at + STEPS + 1]
        logits, state = model(Batch(given[:, None], asked[:, None]), state)
        bits.append(cross_entropy(logits[:, 0].double(), asked, reduction="none") / math.log(2))
    return torch.cat(bits) if bits else torch.zeros(0, dtype=torch.float64)
