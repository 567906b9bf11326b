"""The protocol that answers "which cell": equal budgets, paired seeds, honest statistics."""

from tidegate.errors import explain_missing

with explain_missing():
    from tidegate.compare.executor import Progress
    from tidegate.compare.run import DEFAULT_CELLS, named, run

__all__ = ["DEFAULT_CELLS", "Progress", "named", "run"]
