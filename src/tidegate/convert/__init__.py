"""Weights to and from other frameworks, by one table that is read both ways; and what is in their files."""

from tidegate.convert.activation import Activation
from tidegate.convert.found import FoundLayer, Reading
from tidegate.convert.node import OnnxNode
from tidegate.convert.read import read
from tidegate.convert.reverse import Reverse
from tidegate.convert.transfer import dump, load
from tidegate.convert.xlstm import from_xlstm

__all__ = ["Activation", "FoundLayer", "OnnxNode", "Reading", "Reverse", "dump", "from_xlstm", "load", "read"]
