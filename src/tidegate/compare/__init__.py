"""Comparison of recurrent cells: equal parameter budgets, paired seeds, paired significance tests."""

from tidegate.errors import explain_missing

with explain_missing():
    from tidegate.compare.executor import Progress
    from tidegate.compare.run import DEFAULT_CELLS, named, run

__all__ = ["DEFAULT_CELLS", "Progress", "named", "run"]
