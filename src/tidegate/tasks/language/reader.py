"""A trained model that reads symbol by symbol, and says what it expects next."""

from __future__ import annotations

from typing import Any

import torch

from tidegate.errors import BackendError, InputError
from tidegate.nn import Session
from tidegate.nn.session import Snapshot
from tidegate.tasks.language.model import SymbolModel
from tidegate.tasks.language.unit import UNKNOWN


class Reader:
    """Reads the same text, or others, in several rows.

    Its recurrent layers run as a ``Session``, quick in single steps, where there is one for them, else as they
    are; the numbers are the same.

    Args:
        model: on the CPU.
        rows: how many texts it follows (B).
        session: False to run the layers as they are.

    Attributes:
        path: ``"session"``, or ``"layer"`` and why.
    """

    def __init__(self, model: SymbolModel, rows: int = 1, *, session: bool = True) -> None:
        self._model, self._rows = model.eval(), rows
        self._session: Session | None = None
        self._state: Any = None
        self.path = "layer: asked for"
        if session:
            try:
                self._session, self.path = Session(model.layer, rows), "session"
            except (BackendError, InputError) as error:
                self.path = f"layer: {error.message}"

    @torch.inference_mode()
    def read(self, symbols: torch.Tensor) -> torch.Tensor:
        """Logits behind the last of the symbols, [B, vocabulary] float64; that of the unknown one is -inf.

        Shapes:
            symbols: [T, B] int64.
        """
        features = self._model.encoder(symbols)
        if self._session is not None:
            last = self._session.step(features[0]) if len(features) == 1 else self._session.run(features)[-1]
        else:
            hidden, self._state = self._model.layer(features, self._state)
            last = hidden[-1]
        logits = self._model.logits(last).double()
        logits[:, UNKNOWN] = -torch.inf
        return logits

    @torch.inference_mode()
    def select(self, rows: torch.Tensor) -> None:
        """Go on in each row from where another one stands; ``rows`` [B] says from which."""
        if self._session is not None:
            self._session.restore(Snapshot({name: value[:, rows] for name, value in self._session.state.items()}))
        else:
            self._state = _selected(self._state, rows)


def _selected(state: Any, rows: torch.Tensor) -> Any:
    if isinstance(state, tuple):
        return tuple(_selected(part, rows) for part in state)
    return state[:, rows]
