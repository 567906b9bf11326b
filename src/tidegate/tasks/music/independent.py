"""Keys that are drawn one by one, each by itself."""

from __future__ import annotations

import torch

BOUND = 40.0  # the logit of a probability of practically 1
HALVINGS = 60


def draw(logits: torch.Tensor, temperature: float, random: torch.Generator) -> torch.Tensor:
    """Draw the keys that sound.

    Equations:
        P(key k) = sigmoid(logit[k] / temperature + b), independently for each key, where b keeps the expected number
        of keys at its value for temperature 1; otherwise chords would thin out

    Args:
        logits: of each key.
        temperature: 0 takes the most probable keys.
        random: draws the keys.

    Shapes:
        logits: [keys]; the result [keys] bool.
    """
    logits = logits.double()
    expected = torch.sigmoid(logits).sum()
    if temperature == 0:
        likeliest = logits.topk(int(expected.round())).indices
        return torch.zeros(len(logits), dtype=torch.bool).index_fill(0, likeliest, value=True)
    sharpened = logits / temperature
    return torch.rand(len(logits), generator=random) < torch.sigmoid(sharpened + shift(sharpened, expected))


def shift(logits: torch.Tensor, expected: torch.Tensor) -> float:
    """The shift of all logits at which ``expected`` keys sound on average, by bisection."""
    low, high = -float(logits.max()) - BOUND, -float(logits.min()) + BOUND
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if torch.sigmoid(logits + middle).sum() > expected else (middle, high)
    return (low + high) / 2
