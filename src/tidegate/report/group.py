"""Runs and scores by cell, and the order in which cells are shown."""

from __future__ import annotations

from tidegate.records import CellRecord, ComparisonRecord, RunRecord
from tidegate.report.number import known


def ranking(record: ComparisonRecord) -> list[int]:
    """Indices of the cells, best mean first; cells without a score come last."""
    means = [cell.mean for cell in record.cells]
    return sorted(range(len(means)), key=lambda i: (not known(means[i]), means[i] if known(means[i]) else 0.0, i))


def runs_of(record: ComparisonRecord, cell: str) -> list[RunRecord]:
    """All runs of a cell, ordered by seed, including diverged ones."""
    return sorted((run for run in record.runs if run.cell == cell), key=lambda run: run.seed)


def scores_of(record: ComparisonRecord, cell: str) -> dict[int, float]:
    """Test score by seed, for runs that have one."""
    return {run.seed: run.test for run in runs_of(record, cell) if run.test is not None and known(run.test)}


def best_cell(record: ComparisonRecord) -> CellRecord | None:
    """The cell with the best mean; None if no run finished."""
    order = ranking(record)
    return record.cells[order[0]] if order and known(record.cells[order[0]].mean) else None


def best_undiverged(record: ComparisonRecord) -> CellRecord | None:
    """The best of the cells of which no run diverged, which baselines are compared with."""
    cells = [record.cells[index] for index in ranking(record)]
    return next((cell for cell in cells if known(cell.mean) and not cell.diverged), None)


def all_runs(record: ComparisonRecord) -> list[RunRecord]:
    """Every run, in the order of the cells; runs of unknown cells come last."""
    names = dict.fromkeys([cell.name for cell in record.cells] + [run.cell for run in record.runs])
    return [run for name in names for run in runs_of(record, name)]
