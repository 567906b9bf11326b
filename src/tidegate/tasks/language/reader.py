"""A trained model that reads symbol by symbol and predicts the next one."""

from __future__ import annotations

from typing import Any

import torch

from tidegate.errors import BackendError, InputError
from tidegate.nn import Session
from tidegate.nn.session import Snapshot
from tidegate.tasks.language.model import SymbolModel
from tidegate.tasks.language.unit import UNKNOWN
from tidegate.train.carry import mapped


class Reader:
    """Reads several texts at once, one in each row of a batch.

    The recurrent layers run as a ``Session``, which is quick in single steps, if a session supports them; otherwise
    they run as modules. The results are the same.

    Args:
        model: on the CPU.
        rows: the number of texts (B).
        session: False to run the layers as modules.

    Attributes:
        path: ``"session"``, or ``"layer"`` and the reason.
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
        """Logits of the next symbol, [B, vocabulary] float64; that of the unknown symbol is -inf.

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
        """Continue row ``b`` from the state of row ``rows[b]``; ``rows`` is [B]."""
        if self._session is not None:
            self._session.restore(Snapshot({name: value[:, rows] for name, value in self._session.state.items()}))
        else:
            self._state = mapped(self._state, lambda part: part[:, rows])
