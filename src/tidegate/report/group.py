"""Which runs belong to which cell, and in which order cells are shown."""

from __future__ import annotations

from tidegate.records import CellRecord, ComparisonRecord, RunRecord
from tidegate.report.number import known


def ranking(record: ComparisonRecord) -> list[int]:
    """Places of the cells in the record, best mean first, cells without a score last."""
    means = [cell.mean for cell in record.cells]
    return sorted(range(len(means)), key=lambda i: (not known(means[i]), means[i] if known(means[i]) else 0.0, i))


def runs_of(record: ComparisonRecord, cell: str) -> list[RunRecord]:
    """All runs of a cell by seed, diverged ones included."""
    return sorted((run for run in record.runs if run.cell == cell), key=lambda run: run.seed)


def scores_of(record: ComparisonRecord, cell: str) -> dict[int, float]:
    """Test score by seed, of runs that have one."""
    return {run.seed: run.test for run in runs_of(record, cell) if run.test is not None and known(run.test)}


def best_cell(record: ComparisonRecord) -> CellRecord | None:
    """The cell with the best mean, None if no run finished."""
    order = ranking(record)
    return record.cells[order[0]] if order and known(record.cells[order[0]].mean) else None


def best_steady(record: ComparisonRecord) -> CellRecord | None:
    """The best of the cells of which no run diverged: the one that baselines are measured against."""
    cells = [record.cells[place] for place in ranking(record)]
    return next((cell for cell in cells if known(cell.mean) and not cell.diverged), None)


def all_runs(record: ComparisonRecord) -> list[RunRecord]:
    """Every run, cells in the order of the record, runs of unknown cells behind them."""
    names = dict.fromkeys([cell.name for cell in record.cells] + [run.cell for run in record.runs])
    return [run for name in names for run in runs_of(record, name)]
