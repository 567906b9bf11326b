"""Cells for ``keras.layers.RNN`` that Keras does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import torch
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell  # a base of each cell of Keras, though not exported

from tidegate.cell import Cell, Graph
from tidegate.cell.parameter import parameter_shapes
from tidegate.cell.width import axis_widths
from tidegate.errors import InputError
from tidegate.keras.backend import own_errors
from tidegate.keras.precision import precision_of, unrounded
from tidegate.nn import Options
from tidegate.nn.argument import graph_of
from tidegate.nn.initial import begin
from tidegate.nn.mirror import Mirrored
from tidegate.runtime import Rows, SizedCell, Steps, run_layer, sized

KINDS = ("kernel", "recurrent", "bias")  # of weights, as Keras's arguments name them


def value_of(weight: Any) -> torch.Tensor:
    """A weight as a step of Keras would see it: in the dtype that the layer computes in, unless ``unrounded``."""
    value: torch.Tensor = keras.ops.convert_to_tensor(weight)
    return value


@keras.saving.register_keras_serializable(package="tidegate")
class RecurrentCell(keras.layers.Layer, DropoutRNNCell):
    """One step of any cell of Tidegate, for ``keras.layers.RNN``, ``tidegate.keras.RNN`` and ``StackedRNNCells``.

    Args:
        cell: a ``Cell`` class, a traced graph, or the name of a cell of the zoo.
        units: H.
        use_bias: False drops every bias of the cell.
        kernel_initializer: of the matrix of the input, and of the vectors of the cell.
        recurrent_initializer: of every other matrix.
        bias_initializer: of the biases. Where the definition of a cell says how a bias or a vector begins, it does so.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: of the same weights.
        kernel_constraint, recurrent_constraint, bias_constraint: of the same weights.
        dropout: share of the inputs that are zeroed in training, the same ones at every step.
        seed: of the dropout.
        widths: of axes that a cell has of its own, as ``{"S": 16}`` for SCRN; each is H unless given.
        heads: groups of units that see only their own states, as in ``tidegate.nn``.
        rank: of recurrent matrices that are products, as in ``tidegate.nn``; ``recurrent_kernel_U_rank`` is the second
            factor. Both begin as ``recurrent_initializer`` says.
        semi_tied: whether all gates share one block of each matrix, as in ``tidegate.nn``.
        kwargs: ``name``, ``dtype`` and ``trainable``, as every layer of Keras takes them.

    Weights:
        ``kernel`` [I, rows of W], ``recurrent_kernel`` [H, rows of U], ``recurrent_kernel_M`` for any other matrix M,
        then ``bias`` (of W), ``recurrent_bias`` (of U) and ``bias_M``, then the vectors of the cell by their names.
        Matrices are the transposed ones of ``tidegate.nn``; their columns stand in the order that the cell declares
        as ``gates``.

    Shapes:
        - inputs: [B, I].
        - states: for each state of the cell [B, H].
        - output: [B, H].

    Raises:
        InputError: no such cell, a projected one, one that reads more than its input or has a state as wide as that, or
            a rank or heads that it cannot have.

    Example:
        >>> import keras, tidegate.keras
        >>> layer = keras.layers.RNN(tidegate.keras.RecurrentCell("mgu", 4))
        >>> layer(keras.ops.zeros((2, 5, 3))).shape
        torch.Size([2, 4])
    """

    recurrent_dropout = 0.0  # what multiplies a state differs from cell to cell, so it is left out

    def __init__(
        self,
        cell: type[Cell] | Graph | str,
        units: int,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        seed: int | None = None,
        widths: Mapping[str, int] | None = None,
        heads: int = 1,
        rank: int | None = None,
        semi_tied: bool = False,
        **kwargs: Any,
    ) -> None:
        given = _checked(graph_of(cell), units)
        super().__init__(**kwargs)
        self.given, self.units, self.use_bias = given, units, use_bias
        self.options = Options(heads=heads, rank=rank, semi_tied=semi_tied)
        self.graph = self.options.define(given if use_bias else given.without_bias())
        self.initializers = [
            *map(keras.initializers.get, (kernel_initializer, recurrent_initializer, bias_initializer))
        ]
        self.regularizers = [
            *map(keras.regularizers.get, (kernel_regularizer, recurrent_regularizer, bias_regularizer))
        ]
        self.constraints = [*map(keras.constraints.get, (kernel_constraint, recurrent_constraint, bias_constraint))]
        self.dropout = min(1.0, max(0.0, dropout))
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed=seed)
        self.widths = dict(widths or {})
        self.state_size = [self.widths.get(state.axis, units) for state in self.graph.states]
        self.output_size = units

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        with own_errors():
            added = {axis: width for axis, width in self.options.widths.items() if axis in self.graph.own_axes}
            widths = axis_widths(self.graph, input_shape[-1], self.units, {**self.widths, **added})
            self.options.check_widths(self.graph, widths)
        self.sized: SizedCell = sized(self.graph, tuple(widths.items()))
        shapes = parameter_shapes(self.graph, widths)
        self.held = [self._made(name, shape[::-1]) for name, shape in shapes.items()]
        with torch.no_grad():
            begin(self.graph, widths, dict(zip(shapes, map(value_of, self.held), strict=True)))

    def values(self) -> list[torch.Tensor]:
        """The parameters as the runtime takes them."""
        held = map(value_of, self.held)
        values = [value.T if value.dim() == 2 else value for value in held]
        for matrix in self.graph.matrices:
            if matrix.mirror:
                k = self.sized.parameters.index(f"weight_{matrix.name}")
                values[k] = Mirrored(matrix.mirror)(values[k])
        return values

    def call(
        self, inputs: torch.Tensor, states: Any, training: bool = False
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The output and the new states.

        Raises:
            InputError: inputs or states of another shape than the cell was built for.
        """
        self._check_shapes(inputs, states)
        if training and self.dropout:
            inputs = inputs * self.get_dropout_mask(inputs)
        precision = precision_of(self)
        with unrounded(self):
            values = precision.working(self.values())
        x, *first = precision.working(tensor.unsqueeze(0) for tensor in (inputs, *states))
        cell, rows = self.sized.with_products(precision.products), Rows(x, Steps.uniform(1, len(inputs)))
        with own_errors():
            _, (output, *last) = run_layer(cell, rows, len(inputs), tuple(first), values)
        return output[0].to(precision.result), [state[0] for state in precision.results(last)]

    def get_initial_state(self, batch_size: int | None = None) -> list[torch.Tensor]:
        """Zeros."""
        return [keras.ops.zeros((batch_size, width), dtype=self.compute_dtype) for width in self.state_size]

    def get_config(self) -> dict[str, Any]:
        """The arguments, as plain data: the cell as its graph, which is loaded without running code."""
        config: dict[str, Any] = {"cell": self.given.to_json(), "units": self.units, "use_bias": self.use_bias}
        for k, kind in enumerate(KINDS):
            config[f"{kind}_initializer"] = keras.initializers.serialize(self.initializers[k])
            config[f"{kind}_regularizer"] = keras.regularizers.serialize(self.regularizers[k])
            config[f"{kind}_constraint"] = keras.constraints.serialize(self.constraints[k])
        return {
            **super().get_config(), **config, "dropout": self.dropout, "seed": self.seed, "widths": self.widths or None,
            **dict(self.options.chosen),
        }  # fmt: skip

    def _check_shapes(self, inputs: torch.Tensor, states: Any) -> None:
        got = [tuple(tensor.shape) for tensor in (inputs, *states)]
        rows = len(inputs)
        wanted = [(rows, self.sized.widths["I"]), *((rows, width) for width in self.sized.state_widths)]
        if got != wanted:
            with own_errors():
                raise InputError("SHAPE_STEP", f"inputs and states are {got}", fix=f"pass tensors of shapes {wanted}")

    def _made(self, name: str, shape: tuple[int, ...]) -> Any:
        """A new weight for a parameter of the graph."""
        label, kind = _weight(name)
        return self.add_weight(
            shape=shape,
            name=label,
            initializer=self.initializers[kind],
            regularizer=self.regularizers[kind],
            constraint=self.constraints[kind],
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RecurrentCell:
        """The inverse of ``get_config``.

        Raises:
            SpecError: the cell in it is no graph that could have been saved.
        """
        return cls(**{**config, "cell": Graph.from_json(config["cell"])})


def _checked(graph: Graph, units: int) -> Graph:
    if graph.output.axis == "P":
        raise InputError("PROJECTION", f"{graph.name} is a projected cell", fix="pass the cell itself")
    if graph.given:
        names = " and ".join(value.name for value in graph.given)
        raise InputError(
            "KERAS_GIVEN",
            f"{graph.name} reads {names} beside its input, which layers of Keras have no place for",
            fix="use tidegate.nn.Recurrent, or put them among the inputs of a cell that reads nothing else",
        )
    if as_input := [state.name for state in graph.states if state.axis == "I"]:
        raise InputError(
            "KERAS_STATE",
            f"{as_input[0]} of {graph.name} is as wide as the input, but Keras asks for the widths of states before it "
            "knows the input",
            fix="use tidegate.nn.Recurrent",
        )
    if units <= 0:  # as every cell of Keras says it
        raise ValueError(f"Received an invalid value for argument `units`, expected a positive integer, got {units}.")
    return graph


def _weight(name: str) -> tuple[str, int]:
    """How Keras would call a parameter of a graph, and which of ``KINDS`` it is."""
    kind, _, matrix = name.partition("_")
    if kind == "weight":
        labels = {"W": "kernel", "U": "recurrent_kernel"}
        return labels.get(matrix, f"recurrent_kernel_{matrix}"), int(matrix != "W")
    if kind == "bias":
        return {"W": "bias", "U": "recurrent_bias"}.get(matrix, name), 2
    return name, 0


@keras.saving.register_keras_serializable(package="tidegate")
class PeepholeLSTMCell(keras.layers.LSTMCell):
    """The LSTM cell of Keras with peepholes: its gates see the cell state.

    Args:
        units: H.
        peephole_initializer: of the peepholes.
        peephole_regularizer: of the peepholes.
        peephole_constraint: of the peepholes.
        kwargs: every other argument of ``keras.layers.LSTMCell``.

    Weights:
        ``kernel`` [I, 4H], ``recurrent_kernel`` [H, 4H] and ``bias`` [4H] in the order i f c o, as those of an LSTM,
        then ``peephole_kernel`` [3, H] in the order i f o.

    References:
        Gers and Schmidhuber, "Recurrent nets that time and count", 2000; the equations are those of
        ``tidegate.zoo.keras.PeepholeLSTM``.

    Example:
        >>> import keras, tidegate.keras
        >>> layer = keras.layers.RNN(tidegate.keras.PeepholeLSTMCell(4))
        >>> layer(keras.ops.zeros((2, 5, 3))).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        units: int,
        *args: Any,
        peephole_initializer: Any = "glorot_uniform",
        peephole_regularizer: Any = None,
        peephole_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, *args, **kwargs)
        self.peephole_initializer = keras.initializers.get(peephole_initializer)
        self.peephole_regularizer = keras.regularizers.get(peephole_regularizer)
        self.peephole_constraint = keras.constraints.get(peephole_constraint)

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        super().build(input_shape)
        self.peephole_kernel = self.add_weight(
            shape=(3, self.units),
            name="peephole_kernel",
            initializer=self.peephole_initializer,
            regularizer=self.peephole_regularizer,
            constraint=self.peephole_constraint,
        )

    def _compute_carry_and_output_fused(self, z: Any, c_tm1: Any) -> tuple[Any, Any]:
        """Keras calls this where nothing is dropped for each gate; z are the four sums of products."""
        p_i, p_f, p_o = value_of(self.peephole_kernel)
        i = self.recurrent_activation(z[0] + p_i * c_tm1)
        f = self.recurrent_activation(z[1] + p_f * c_tm1)
        c = f * c_tm1 + i * self.activation(z[2])
        return c, self.recurrent_activation(z[3] + p_o * c)

    def _compute_carry_and_output(self, x: Any, h_tm1: Any, c_tm1: Any) -> tuple[Any, Any]:
        """Keras calls this where each gate has its own dropped x and h."""
        kernels = keras.ops.split(self.recurrent_kernel, 4, axis=1)
        z = [of_x + keras.ops.matmul(h, kernel) for of_x, h, kernel in zip(x, h_tm1, kernels, strict=True)]
        return self._compute_carry_and_output_fused(z, c_tm1)

    def get_config(self) -> dict[str, Any]:
        """The arguments, as plain data."""
        return {**super().get_config(), **peephole_config(self)}


def peephole_config(cell: PeepholeLSTMCell) -> dict[str, Any]:
    """The arguments that an LSTM does not have."""
    return {
        "peephole_initializer": keras.initializers.serialize(cell.peephole_initializer),
        "peephole_regularizer": keras.regularizers.serialize(cell.peephole_regularizer),
        "peephole_constraint": keras.constraints.serialize(cell.peephole_constraint),
    }
