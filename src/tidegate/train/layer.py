"""Recurrent layers from settings."""

from __future__ import annotations

from typing import Any

from tidegate.cell import Graph
from tidegate.nn import Recurrent
from tidegate.train.setting import SETTING_OPTIONS, Training
from tidegate.train.task import MakeLayer


def make_layer(graph: Graph, setting: Training) -> MakeLayer:
    """A function that makes the recurrent layers of a model.

    Args:
        graph: the cell.
        setting: the hidden size, the number of layers, dropout and all layer options.

    Returns:
        A function from the number of input features, and options that override the settings, to the layers. A cell
        that must read as many features as it has units gets that many.
    """

    def make(features: int, /, **options: Any) -> Recurrent:
        defaults = {
            "num_layers": setting.layers,
            "dropout": setting.dropout if setting.layers > 1 else 0.0,
            **{option.name: getattr(setting, option.name) for option in SETTING_OPTIONS},
        }
        width = setting.hidden_size if graph.input_axis == "H" else features
        return Recurrent(graph, width, setting.hidden_size, **{**defaults, **options})

    return make
