"""The recurrent layers of a model, as its settings ask for them."""

from __future__ import annotations

from typing import Any

from tidegate.cell import Graph
from tidegate.nn import Recurrent
from tidegate.train.setting import SETTING_OPTIONS, Training
from tidegate.train.task import MakeLayer


def make_layer(graph: Graph, setting: Training) -> MakeLayer:
    """What makes the recurrent layers of a model from the number of features that they read.

    A cell that reads as many features as it has units gets so many, whatever the number.
    """

    def make(features: int, /, **options: Any) -> Recurrent:
        asked = {
            "num_layers": setting.layers,
            "dropout": setting.dropout if setting.layers > 1 else 0.0,
            **{option.name: getattr(setting, option.name) for option in SETTING_OPTIONS},
        }
        width = setting.hidden_size if graph.input_axis == "H" else features
        return Recurrent(graph, width, setting.hidden_size, **{**asked, **options})

    return make
