"""Cells: the definition, the graph that is traced from it, and the facts derived from that graph."""

from tidegate.cell.definition import Cell
from tidegate.cell.function import (
    clamp,
    exp,
    log,
    log_sigmoid,
    maximum,
    mean,
    minimum,
    relu,
    sigmoid,
    sqrt,
    tanh,
    variance,
)
from tidegate.cell.graph import Block, Given, Graph, Mask, Matrix, Node, Op, State, Vector
from tidegate.cell.norm import layer_norm
from tidegate.cell.trace import trace
from tidegate.cell.verify import verify

__all__ = [
    "Block",
    "Cell",
    "Given",
    "Graph",
    "Mask",
    "Matrix",
    "Node",
    "Op",
    "State",
    "Vector",
    "clamp",
    "exp",
    "layer_norm",
    "log",
    "log_sigmoid",
    "maximum",
    "mean",
    "minimum",
    "relu",
    "sigmoid",
    "sqrt",
    "tanh",
    "trace",
    "variance",
    "verify",
]
