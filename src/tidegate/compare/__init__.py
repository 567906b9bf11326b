"""The protocol that answers "which cell": equal budgets, paired seeds, honest statistics."""

from tidegate.compare.executor import Progress
from tidegate.compare.run import DEFAULT_CELLS, named, run

__all__ = ["DEFAULT_CELLS", "Progress", "named", "run"]
