"""The benchmark: our layers against other libraries on the same work, in the same run."""

from tidegate.bench.machine import cores
from tidegate.bench.markdown import page
from tidegate.bench.record import BenchRecord, RowRecord
from tidegate.bench.run import rows_of, run

__all__ = ["BenchRecord", "RowRecord", "cores", "page", "rows_of", "run"]
