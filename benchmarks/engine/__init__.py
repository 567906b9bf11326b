"""The benchmark: our layers against other libraries on the same work, in the same run."""

from benchmarks.engine.machine import cores, processor
from benchmarks.engine.markdown import page
from benchmarks.engine.record import BenchRecord, RowRecord
from benchmarks.engine.run import rows_of, run

__all__ = ["BenchRecord", "RowRecord", "cores", "page", "processor", "rows_of", "run"]
