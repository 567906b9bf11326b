"""What a cell is: its definition, the graph it is traced to, and what can be read off that graph."""

from tidegate.spec.cell import Cell
from tidegate.spec.function import exp, log, log_sigmoid, maximum, minimum, relu, sigmoid, tanh
from tidegate.spec.graph import Block, Graph, Matrix, Node, Op, State
from tidegate.spec.trace import trace
from tidegate.spec.verify import verify

__all__ = [
    "Block",
    "Cell",
    "Graph",
    "Matrix",
    "Node",
    "Op",
    "State",
    "exp",
    "log",
    "log_sigmoid",
    "maximum",
    "minimum",
    "relu",
    "sigmoid",
    "tanh",
    "trace",
    "verify",
]
