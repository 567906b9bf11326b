"""torch.nn's own layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.peer.case import Case, Draw, H, I, P

KINDS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


class TorchSide:
    def why_not(self, case: Case) -> str | None:
        return None

    def run(self, case: Case, weights: Any, x: np.ndarray) -> np.ndarray:
        module = _module(case)
        module.load_state_dict(weights)
        return _run(module, x)

    def drawn(self, case: Case, x: np.ndarray) -> tuple[Any, np.ndarray]:
        module, draw = _module(case), Draw(case)
        module.load_state_dict({k: torch.from_numpy(draw(*v.shape)) for k, v in module.state_dict().items()})
        return module, _run(module, x)


def _module(case: Case) -> torch.nn.Module:
    options: dict[str, Any] = {"nonlinearity": "relu"} if case.cell == "rnn/relu" else {}
    if case.projected:
        options["proj_size"] = P
    return KINDS[case.family](
        I, H, case.layers, bias=case.bias, bidirectional=case.bidirectional, dtype=getattr(torch, case.dtype), **options
    )


def _run(module: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(x))[0].numpy()
