"""The report: one HTML file without external resources, which also works without JavaScript."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidegate.language import speaking
from tidegate.records import CellRecord, ComparisonRecord
from tidegate.report import palette
from tidegate.report.curve import needs_thinning
from tidegate.report.environment import environment
from tidegate.report.figure.cost import cost_figures, points_are_ranks
from tidegate.report.figure.curve import curve_figures
from tidegate.report.figure.equation import Typesetter
from tidegate.report.figure.pair import drawn_pairs, pair_figure
from tidegate.report.figure.recall import half_life_figure, lag_of, recall_figure
from tidegate.report.figure.score import score_figure
from tidegate.report.figure.svg import NARROW, WIDE
from tidegate.report.group import best_undiverged
from tidegate.report.recall import recall_pages, recall_problems, recall_rows
from tidegate.report.table import baseline_rows, cell_rows, definition, latency_range, pair_rows, run_rows
from tidegate.storage import replace_file


def write_html(record: ComparisonRecord, path: Path, language: str = "en") -> None:
    """Write the report of a comparison to ``path``, atomically.

    The same record gives the same bytes.

    Args:
        record: of the comparison.
        path: the file; it is replaced whole or not at all.
        language: ``"en"`` or ``"zh"``.

    Raises:
        InputError: there is no such language.
    """
    with speaking(language):
        replace_file(Path(path), render(record, language))


def render(record: ComparisonRecord, language: str = "en") -> str:
    """The report as text.

    Args:
        record: of the comparison.
        language: that is spoken.
    """
    page = environment(language).get_template("report.html")
    return page.render(
        record=record, **_answer(record), **_tables(record), **_figures(record), **_cells(record), **_recall(record)
    )


def _answer(record: ComparisonRecord) -> dict[str, Any]:
    return {
        "recommended": next((row for row in cell_rows(record) if row["name"] == record.answer.recommended), None),
        "seeds": len({run.seed for run in record.runs}),
    }


def _tables(record: ComparisonRecord) -> dict[str, Any]:
    return {
        "cells": cell_rows(record),
        "pairs": pair_rows(record),
        "runs": run_rows(record),
        "baselines": baseline_rows(record),
        "lost": sum(cell.diverged for cell in record.cells),
        "best": best_undiverged(record),
    }


def _figures(record: ComparisonRecord) -> dict[str, Any]:
    panels = curve_figures(record)
    return {
        "scores_svg": [score_figure(record, width) for width in (WIDE, NARROW)],
        "pairs_svg": [pair_figure(record, width) for width in (WIDE, NARROW)],
        "pairs_drawn": len(drawn_pairs(record)),
        "cost_svgs": cost_figures(record),
        "latencies": latency_range(record),
        "ranks_in_costs": points_are_ranks(record),
        "curve_panels": panels,
        "curves_thinned": needs_thinning(record),
        "curve_data": {panel.axis: panel.data for panel in panels},
        "legend": [{"name": cell.name, "key": palette.key(i)} for i, cell in enumerate(record.cells)],
    }


def _recall(record: ComparisonRecord) -> dict[str, Any]:
    why = next((cell.recall.lag_from for cell in record.cells if cell.recall and not cell.recall.problem), "")
    return {
        "recall": {
            "lag": lag_of(record),
            "why": why,
            "flow": recall_figure(record),
            "lives": half_life_figure(record),
            "rows": recall_rows(record),
            "pages": recall_pages(record),
            "problems": recall_problems(record),
        }
    }


def _cells(record: ComparisonRecord) -> dict[str, Any]:
    typesetter = Typesetter()
    cards = [_card(cell, row["rank"], typesetter) for cell, row in _ranked(record)]
    return {"cards": cards, "glyphs": typesetter.defs()}


def _ranked(record: ComparisonRecord) -> list[tuple[CellRecord, dict[str, Any]]]:
    by_name = {cell.name: cell for cell in record.cells}
    return [(by_name[str(row["name"])], row) for row in cell_rows(record)]


def _card(cell: CellRecord, rank: Any, typesetter: Typesetter) -> dict[str, Any]:
    return {"cell": cell, "definition": definition(cell), "rank": rank, "equations": typesetter.cell(cell.graph)}
