"""Weights to and from other frameworks, by one table that is read both ways."""

from tidegate.convert.node import Node
from tidegate.convert.transfer import dump, load

__all__ = ["Node", "dump", "load"]
