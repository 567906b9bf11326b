"""One piece of work: a cell, a shape and what is done with it, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Literal

from benchmarks.engine.own_cell import SRU, OwnCell

from tidegate import zoo
from tidegate.cell import Graph
from tidegate.cell.parameter import attribute, parameter_shapes
from tidegate.cell.width import axis_widths
from tidegate.nn import Recurrent

Mode = Literal["inference", "training"]
OWN = "own cell"
NORMED = "layer norm lstm"
CELLS = {OWN: OwnCell, "sru": SRU, NORMED: zoo.LSTM}  # those that have no name in the zoo


@dataclass(frozen=True)
class Item:
    """A layer of one cell over a batch.

    Attributes:
        cell: its name in the zoo or in ``CELLS``: a cell of ``own_cell.py``, or a normalised LSTM.
        T, B, I, H: steps, rows, input features, hidden units.
        mode: "inference" is the forward pass alone; "training" is the forward pass and the gradients of
            ``sum(y * upstream)`` for every weight and for the input.
        dtype: "float32" or "float64".
        threads: how many threads the work may use.
        proj: width of a projected output, 0 for none.
        ragged: the rows have lengths, which sum to half of T * B; else all are T long.
        layers: one above the other.
        bidirectional: each layer runs in both directions.
        products: the type of the matrix products where that is not ``dtype``: "bfloat16", "float16" or "int8".
    """

    cell: str
    T: int
    B: int
    I: int
    H: int
    mode: Mode = "inference"
    dtype: str = "float32"
    threads: int = 1
    proj: int = 0
    ragged: bool = False
    layers: int = 1
    bidirectional: bool = False
    products: str = ""

    def layer(self, **options: Any) -> Recurrent:
        """The public layer, with weights of its own."""
        cell = CELLS.get(self.cell) or zoo.find(self.cell)
        normed = self.cell == NORMED
        stack = {"num_layers": self.layers, "bidirectional": self.bidirectional}
        return Recurrent(cell, self.I, self.H, proj_size=self.proj, layer_norm=normed, **stack, **options)

    @cached_property
    def graph(self) -> Graph:
        return self.layer(device="meta").graph

    @property
    def widths(self) -> dict[str, int]:
        return self._widths(self.I)

    @property
    def stacked(self) -> bool:
        """Whether it is more than one layer in one direction."""
        return self.layers > 1 or self.bidirectional

    @property
    def output_size(self) -> int:
        return (self.proj or self.H) * (1 + self.bidirectional)

    @cached_property
    def places(self) -> dict[str, tuple[str, int, bool]]:
        """Where each weight belongs: its name in the graph, its layer, and whether that pass runs backwards.

        The keys are the names in the graph, those of the layer's attributes for a stack.
        """
        found = {}
        for k, reverse in product(range(self.layers), (False, True)[: 1 + self.bidirectional]):
            for name in parameter_shapes(self.graph, self.widths):
                found[attribute(name, k, reverse=reverse) if self.stacked else name] = (name, k, reverse)
        return found

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights, by the keys of ``places``."""
        inputs = [self.I, *[self.output_size] * (self.layers - 1)]
        of_layer = [parameter_shapes(self.graph, self._widths(width)) for width in inputs]
        return {key: of_layer[k][name] for key, (name, k, _) in self.places.items()}

    def _widths(self, inputs: int) -> dict[str, int]:
        return axis_widths(self.graph, inputs, self.H) | ({"P": self.proj} if self.proj else {})

    @property
    def tokens(self) -> int:
        """Steps of all rows together, padding left out."""
        return self.T * self.B // (2 if self.ragged else 1)

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products; what is pointwise is left out.

        Forward: 2 * rows * columns of every matrix for each token, which for a cell with G gates and no
        projection is 2 G H (I + H) T B. Backward: twice that, once for the gradients of what
        was multiplied (dgates U and dgates W) and once for those of the matrices (dU and dW).
        """
        products = sum(2 * shape[0] * shape[1] for shape in self.shapes.values() if len(shape) == 2)
        return products * self.tokens * (3 if self.mode == "training" else 1)

    @property
    def title(self) -> str:
        """What tables print: ``lstm 128,32,256,256 training``."""
        parts = [self.cell, f"{self.T},{self.B},{self.I},{self.H}"]
        parts += [f"P={self.proj}"] if self.proj else []
        parts += [self.dtype] if self.dtype != "float32" else []
        parts += [self.products] if self.products else []
        parts += ["ragged"] if self.ragged else []
        parts += [f"{self.layers} layers"] if self.layers > 1 else []
        parts += ["bidirectional"] if self.bidirectional else []
        return " ".join([*parts, self.mode])
