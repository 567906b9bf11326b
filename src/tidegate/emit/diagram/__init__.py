"""A cell's graph drawn as SVG."""

from tidegate.emit.diagram.draw import svg

__all__ = ["svg"]
