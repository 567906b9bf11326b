"""The layers, each with the constructor of Keras's own."""

from __future__ import annotations

from typing import Any

import keras

from tidegate.cell import Cell, Graph
from tidegate.keras.cell import PeepholeLSTMCell, RecurrentCell, peephole_config
from tidegate.keras.engine import OnEngine

SHARED = ("dtype", "trainable")  # arguments that a layer and its cell both take
OF_LAYERS = (
    *("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "zero_output_for_mask"),
    *("activity_regularizer", "name"),
)


def _divided(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of a layer, and those of its cell."""
    of_layer = {name: value for name, value in options.items() if name in (*OF_LAYERS, *SHARED)}
    return of_layer, {name: value for name, value in options.items() if name not in OF_LAYERS}


@keras.saving.register_keras_serializable(package="tidegate")
class RNN(OnEngine, keras.layers.RNN):
    """``keras.layers.RNN``, with the engine under each cell of Keras and of Tidegate, stacked ones too.

    A cell of any other class runs as Keras runs it, and ``last_path`` says so.

    Example:
        >>> import keras, tidegate.keras
        >>> layer = tidegate.keras.RNN([keras.layers.LSTMCell(4), keras.layers.GRUCell(6)])
        >>> layer(keras.ops.zeros((2, 5, 3))).shape, layer.last_path
        (torch.Size([2, 6]), 'fused')
    """


@keras.saving.register_keras_serializable(package="tidegate")
class SimpleRNN(OnEngine, keras.layers.SimpleRNN):
    """The simple recurrent network, with every argument, weight and result of ``keras.layers.SimpleRNN``.

    Example:
        >>> import keras, tidegate.keras
        >>> tidegate.keras.SimpleRNN(4, activation="relu")(keras.ops.zeros((2, 5, 3))).shape
        torch.Size([2, 4])
    """

    def get_config(self) -> dict[str, Any]:
        """The arguments, as plain data, with the seed of the dropout, which Keras's own leaves out."""
        return {**super().get_config(), "seed": self.cell.seed}


@keras.saving.register_keras_serializable(package="tidegate")
class LSTM(OnEngine, keras.layers.LSTM):
    """Long short-term memory, with every argument, weight and result of ``keras.layers.LSTM``.

    Example:
        >>> import keras, tidegate.keras
        >>> layer = tidegate.keras.LSTM(4, return_sequences=True)
        >>> layer(keras.ops.zeros((2, 5, 3)), mask=keras.ops.ones((2, 5), "bool")).shape, layer.last_path
        (torch.Size([2, 5, 4]), 'fused')
    """


@keras.saving.register_keras_serializable(package="tidegate")
class GRU(OnEngine, keras.layers.GRU):
    """Gated recurrent unit, with every argument, weight and result of ``keras.layers.GRU``.

    Example:
        >>> import keras, tidegate.keras
        >>> tidegate.keras.GRU(4, reset_after=False)(keras.ops.zeros((2, 5, 3))).shape
        torch.Size([2, 4])
    """


@keras.saving.register_keras_serializable(package="tidegate")
class PeepholeLSTM(LSTM):
    """LSTM whose gates see the cell state.

    Args:
        units: H.
        activation: of the candidate and of the cell state.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        options: every other argument of ``PeepholeLSTMCell`` and of ``keras.layers.LSTM``, but for ``use_cudnn``.

    Weights:
        Those of ``keras.layers.LSTM``, then ``peephole_kernel`` [3, H] in the order i f o.

    Example:
        >>> import keras, tidegate.keras
        >>> layer = tidegate.keras.PeepholeLSTM(4, dropout=0.1, return_sequences=True)
        >>> layer(keras.ops.zeros((2, 5, 3))).shape
        torch.Size([2, 5, 4])
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        **options: Any,
    ) -> None:
        of_layer, of_cell = _divided(options)
        cell = PeepholeLSTMCell(units, activation, recurrent_activation, use_bias, name="peephole_lstm_cell", **of_cell)
        keras.layers.RNN.__init__(self, cell, **of_layer)  # the constructor of an LSTM would make a cell of its own
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.use_cudnn = False  # it has no peepholes

    def get_config(self) -> dict[str, Any]:
        """The arguments, as plain data."""
        return {**super().get_config(), **peephole_config(self.cell)}


@keras.saving.register_keras_serializable(package="tidegate")
class Recurrent(RNN):
    """A layer of any cell: a class of your own, a traced graph, or a cell of the zoo by its name.

    Args:
        cell: see ``RecurrentCell``.
        units: H.
        use_bias: False drops every bias of the cell.
        options: every other argument of ``RecurrentCell`` and of ``keras.layers.RNN``.

    Weights:
        Those of ``RecurrentCell``.

    Example:
        >>> import keras, tidegate.keras
        >>> model = keras.Sequential([tidegate.keras.Recurrent("mgu", 16), keras.layers.Dense(1)])
        >>> model(keras.ops.zeros((2, 5, 3))).shape
        torch.Size([2, 1])
    """

    def __init__(self, cell: type[Cell] | Graph | str, units: int, use_bias: bool = True, **options: Any) -> None:
        of_layer, of_cell = _divided(options)
        super().__init__(RecurrentCell(cell, units, use_bias, name="recurrent_cell", **of_cell), **of_layer)
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def get_config(self) -> dict[str, Any]:
        """The arguments, as plain data: the cell as its graph, which is loaded without running code."""
        of_layer, of_cell = super().get_config(), self.cell.get_config()
        return {**of_cell, **of_layer, "cell": of_cell["cell"]}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Recurrent:  # noqa: ARG003  as RNN has it
        """The inverse of ``get_config``.

        Raises:
            SpecError: the cell in it is no graph that could have been saved.
        """
        return cls(**{**config, "cell": Graph.from_json(config["cell"])})
