"""What each cell remembers, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.language import local
from tidegate.records import CellRecord, ComparisonRecord, MemoryRecord, RecallRecord
from tidegate.report import number
from tidegate.report.group import ranking
from tidegate.report.palette import key

Row = dict[str, object]


def recall_rows(record: ComparisonRecord) -> list[Row]:
    """A row for each layer of each cell, the best cell first; those that were not measured have none."""
    return [row for i in ranking(record) for row in _rows(record.cells[i], i)]


def recall_problems(record: ComparisonRecord) -> list[tuple[str, str]]:
    """Cells that were not measured, and why."""
    return [(cell.name, cell.recall.problem) for cell in record.cells if cell.recall and cell.recall.problem]


def recall_pages(record: ComparisonRecord) -> list[Row]:
    """The explanation of the best run of each cell, the best cell first, with what is wrong there."""
    return [
        {"name": cell.name, "key": key(i), "page": own.page, "seed": own.seed, "verdicts": own.verdicts}
        for i in ranking(record)
        if (own := (cell := record.cells[i]).recall) and not own.problem
    ]


def _rows(cell: CellRecord, index: int) -> Iterator[Row]:
    own = cell.recall
    if own is None or own.problem:
        return
    for place, memory in enumerate(own.memory):
        yield {
            "name": cell.name,
            "key": key(index),
            "layer": memory.layer if len(own.memory) > 1 else "",
            "first": place == 0,
            "gradient": _at_lag(own),
            "exponent": number.MISSING if own.flow is None else number.rounded(own.flow.slope),
            "gate": memory.gate or number.MISSING,
            "median": _life(memory, memory.median),
            "longest": _life(memory, memory.longest),
            "saturated": _list((one.part, one.share) for one in memory.saturated),
            "shut": _list((gate.name, gate.shut) for gate in memory.gates),
            "open": _list((gate.name, gate.open) for gate in memory.gates),
        }


def _at_lag(own: RecallRecord) -> str:
    flow = own.flow
    if flow is None or own.lag not in flow.lags:
        return number.MISSING
    value = flow.median[flow.lags.index(own.lag)]
    return local("zero") if value is None else number.fixed(value, 2)


def _life(memory: MemoryRecord, value: float | None) -> str:
    if not memory.units:
        return number.MISSING
    return local("never") if value is None else number.rounded(value)


def _list(shares: Iterator[tuple[str, float | None]]) -> str:
    """Names with their shares, such as ``"f 3 %, i 12 %"``."""
    return ", ".join(f"{name}{number.SPACE}{number.percent(share, 0)}" for name, share in shares) or number.MISSING
