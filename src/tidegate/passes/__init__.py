"""Graph to graph, one verb a file."""

from tidegate.passes.project import project

__all__ = ["project"]
