"""What stands after the recurrent layers: chances of the keys, each by itself or in the light of those below it."""

from __future__ import annotations

from typing import Any

import torch

from tidegate.data import KEYS
from tidegate.tasks.music.independent import draw
from tidegate.tasks.music.nade import Nade
from tidegate.train.batch import Batch
from tidegate.train.task import MakeLayer, SequenceModel, dropped


class MusicModel(SequenceModel):
    """Recurrent layers over piano rolls, and a head that is linear or a ``Nade``, whose b_v is the linear one.

    Args:
        layer: makes the recurrent layers.
        dropout: probability of zeroing an input of the head during training.
        units: hidden units of the ``Nade``; 0 for keys that are independent given the steps before.
    """

    def __init__(self, layer: MakeLayer, dropout: float, units: int) -> None:
        super().__init__(torch.nn.Identity(), KEYS, layer, dropout, KEYS)
        self.nade = Nade(self.layer.output_size, units) if units else None

    def readers(self) -> dict[str, list[str]]:
        """The head, and what a ``Nade`` has of its own."""
        return {"layer": ["head", *(["nade.hidden"] if self.nade else [])]}

    def forward(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Logits [T, B, 88] of each key given the steps before, and with a ``Nade`` the keys below; and the state."""
        hidden, state = self.layer(self.encoder(batch.inputs), state, lengths=batch.lengths)
        hidden = dropped(self, hidden, self.dropout)
        logits = self.head(hidden)
        return (logits if self.nade is None else self.nade(hidden, logits, batch.targets)), state

    def compose(
        self, heard: torch.Tensor, state: Any, temperature: float, random: torch.Generator
    ) -> tuple[torch.Tensor, Any]:
        """Draw the chord after the steps heard.

        Args:
            heard: the steps since ``state``.
            state: of the recurrent layers; None at the beginning.
            temperature: of sampling.
            random: draws the keys.

        Shapes:
            heard: [T, 88] bool.

        Returns:
            The chord, [88] bool, and the state after the steps heard.
        """
        inputs = heard.to(self.head.weight.dtype)[:, None]
        hidden, state = self.layer(self.encoder(inputs), state)
        last = hidden[-1, 0]
        logits = self.head(last)
        if self.nade is None:
            return draw(logits, temperature, random), state
        return self.nade.draw(last, logits, temperature, random), state
