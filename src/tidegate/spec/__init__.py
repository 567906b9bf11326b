"""What a cell is: its definition, the graph it is traced to, and what can be read off that graph."""

from tidegate.spec.cell import Cell
from tidegate.spec.function import clamp, exp, log, maximum, minimum, relu, sigmoid, tanh
from tidegate.spec.graph import Block, Graph, Mask, Matrix, Node, Op, State
from tidegate.spec.trace import trace
from tidegate.spec.verify import verify

__all__ = [
    "Block",
    "Cell",
    "Graph",
    "Mask",
    "Matrix",
    "Node",
    "Op",
    "State",
    "clamp",
    "exp",
    "log",
    "maximum",
    "minimum",
    "relu",
    "sigmoid",
    "tanh",
    "trace",
    "verify",
]
