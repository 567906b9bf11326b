"""Training with differential privacy: gradients of single units, clipped, summed and hidden in noise."""

from tidegate.private.use import Use

__all__ = ["Use"]
