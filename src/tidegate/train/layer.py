"""Recurrent layers from settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.cell import Graph
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.train.setting import SETTING_OPTIONS, Training, task_of
from tidegate.train.task import MakeLayer


@dataclass(frozen=True)
class LayerMaker:
    """Makes the recurrent layers of a model.

    Attributes:
        graph: the cell.
        setting: the hidden size, the number of layers, dropout and all layer options.
    """

    graph: Graph
    setting: Training

    def given(self, offered: Mapping[str, str]) -> tuple[str, ...]:
        """What the cell asks for at every step beside its input.

        Args:
            offered: what the task has for every step, and the axis of each.

        Raises:
            InputError: the cell asks for something else.
        """
        asked = {value.name: value.axis for value in self.graph.given}
        lacking = [f"{name}:{axis}" for name, axis in asked.items() if offered.get(name) != axis]
        if lacking:
            has = " ".join(f"{name}:{axis}" for name, axis in offered.items())
            raise InputError(
                "CELL_GIVEN",
                f"the cell {self.graph.name} is given {' '.join(lacking)} at every step, but the task "
                f"{task_of(self.setting)!r} has {has or 'nothing'} beside its inputs here",
                fix="choose another cell" if has else "choose another cell, or train classification on series",
            )
        return tuple(asked)

    def __call__(self, features: int, /, *, given: Sequence[str] = (), **options: Any) -> Recurrent:
        """The layers.

        Args:
            features: the number of input features. A cell that must read as many as it has units gets that many, and
                layers that share their parameters get as many as they give.
            given: what the model passes beside the input, as ``given`` names it.
            options: of ``nn.Recurrent``, in place of the settings.
        """
        if not given:
            self.given({})
        defaults = {
            "num_layers": self.setting.layers,
            "dropout": self.setting.dropout if self.setting.layers > 1 else 0.0,
            **{option.name: getattr(self.setting, option.name) for option in SETTING_OPTIONS},
        }
        chosen = {**defaults, **options}
        units, shared = self.setting.hidden_size, chosen["share"] == "layers" and chosen["num_layers"] > 1
        given_out = units * (1 + bool(chosen.get("bidirectional")))
        width = given_out if shared else units if self.graph.input_axis == "H" else features
        return Recurrent(self.graph, width, units, **chosen)


def make_layer(graph: Graph, setting: Training) -> MakeLayer:
    """What makes the recurrent layers of a model.

    Args:
        graph: the cell.
        setting: the hidden size, the number of layers, dropout and all layer options.
    """
    return LayerMaker(graph, setting)
