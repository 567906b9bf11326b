"""Comparison of recurrent cells: equal parameter budgets, paired seeds, paired significance tests."""

from tidegate.errors import explain_missing

with explain_missing():
    from tidegate.compare.executors.job import Progress, Workers
    from tidegate.compare.run import DEFAULT_CELLS, named, run
    from tidegate.train.spec import Spec

__all__ = ["DEFAULT_CELLS", "Progress", "Spec", "Workers", "named", "run"]
