"""Clipped gradients of the units of every task, held to a loop over the units."""

from typing import Any

import pytest
import torch

from tests.unit.test_private_gradient import check
from tests.unit.test_protected import CASES, _model, _task
from tidegate.train.precision import doubled

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in CASES},
    "attention over time": ("texts", {"pooling": "attention", "bidirectional": True}),
    "largest over time": ("series", {"pooling": "max", "layers": 2}),
    "general attention": ("translation", {"attention": "general"}),
    "additive attention": ("translation", {"attention": "additive"}),
    "keys by themselves": ("music", {"nade_size": 0}),
    "tied embedding": ("language", {"tied": True, "embedding_size": 6}),
    "tied embedding behind a map": ("language", {"tied": True, "embedding_size": 4}),
}


@pytest.mark.parametrize("model", MODELS)
def test_models_of_tasks(model: str) -> None:
    name, options = MODELS[model]
    task = _task(name, **options)
    network = doubled(_model(task))
    for dropped in network.modules():
        if hasattr(dropped, "dropout") and isinstance(dropped.dropout, float):
            dropped.dropout = 0.0  # the same run is made several times
    protected = task.protected(task.setting.protect)
    places = list(range(0, len(protected), max(1, len(protected) // 6)))[:6]
    torch.manual_seed(1)
    batch, owner = protected.batch(places)

    def run() -> Any:
        return task.losses(network(batch)[0], batch.to(torch.float64)), owner

    check(network, run, units=len(places), runs=2)
