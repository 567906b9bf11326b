"""Weights to and from other frameworks, by one table that is read both ways."""

from tidegate.convert.node import OnnxNode
from tidegate.convert.transfer import dump, load

__all__ = ["OnnxNode", "dump", "load"]
