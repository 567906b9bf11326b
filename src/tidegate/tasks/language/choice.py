"""How the next symbol is chosen from the logits of all."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tidegate.errors import InputError


@dataclass(frozen=True)
class Choice:
    """A random choice, narrowed to what is likely.

    Equations:
        p = softmax(logits / temperature), of which the ``top_k`` likeliest stay, and of those the fewest that
        hold ``top_p`` of their probability; what stays is scaled to sum to 1

    Args:
        temperature: below 1 for likelier symbols, above 1 for rarer ones; 0 takes the likeliest.
        top_k: choose among so many.
        top_p: choose among the likeliest that together have this probability.

    Raises:
        InputError: a number out of its range.

    References:
        Fan et al. 2018, arXiv 1805.04833 (top-k); Holtzman et al. 2020, arXiv 1904.09751 (top-p).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:
            raise InputError("TEMPERATURE", f"the temperature is {self.temperature}", fix="give 0 to 100")
        if self.top_k is not None and self.top_k < 1:
            raise InputError("TOP_K", f"top-k is {self.top_k}", fix="give at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise InputError("TOP_P", f"top-p is {self.top_p}", fix="give more than 0 and at most 1")

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """The probability of each symbol, [vocabulary] float64, from logits [vocabulary]."""
        if not self.temperature:
            return torch.nn.functional.one_hot(logits.argmax(), len(logits)).double()
        chances = (logits.double() / self.temperature).softmax(-1)
        if self.top_k is None and self.top_p is None:
            return chances
        ranked, order = chances.sort(descending=True, stable=True)
        ranked[len(ranked) if self.top_k is None else self.top_k :] = 0
        return torch.zeros_like(chances).scatter(0, order, self._nucleus(ranked))

    def draw(self, logits: torch.Tensor, generator: torch.Generator) -> int:
        """One symbol."""
        if not self.temperature:
            return int(logits.argmax())
        return int(torch.multinomial(self.probabilities(logits), 1, generator=generator))

    def _nucleus(self, ranked: torch.Tensor) -> torch.Tensor:
        """Sorted probabilities without those behind which enough has been gathered, scaled to sum to 1."""
        ranked = ranked / ranked.sum()
        if self.top_p is not None:
            before = ranked.cumsum(0) - ranked
            ranked = torch.where(before < self.top_p, ranked, 0)
        return ranked / ranked.sum()
