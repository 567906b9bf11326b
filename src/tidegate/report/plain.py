"""Records as JSON and CSV, for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidegate.plain import to_csv
from tidegate.records import (
    AttackRecord,
    AuditRecord,
    ComparisonRecord,
    ExplanationRecord,
    RunRecord,
    in_brackets,
    to_json,
)
from tidegate.storage import replace_file

TIMING_COLUMNS = ("train_seconds",)
COLUMNS = (
    *("run", "cell", "options", "seed", "layers", "hidden_size", "parameters", "recurrent_dropout", "learning_rate"),
    *("status", "valid", "test", "best_epoch", "epochs"),
    *TIMING_COLUMNS,
)


def write_json(record: ComparisonRecord | ExplanationRecord | AttackRecord | AuditRecord, path: Path) -> None:
    """Write a record as JSON. Numbers that JSON cannot hold (NaN, infinity) become null.

    Args:
        record: what to write.
        path: the file; it is replaced whole or not at all.
    """
    text = json.dumps(_finite(to_json(record)), indent=1, ensure_ascii=False, allow_nan=False)
    replace_file(Path(path), text + "\n")


def write_runs_csv(runs: Sequence[RunRecord], path: Path) -> None:
    """Write one line per run, ordered by the first appearance of the cell, then by seed.

    Floats read back bit-identically. A cell's name that a spreadsheet would compute, such as ``=a``, has an apostrophe
    in front, which ``plain.from_csv`` takes away. ``TIMING_COLUMNS`` come last; all other columns are the same whenever
    the experiment is repeated.

    Args:
        runs: of the comparison.
        path: the file, which is replaced atomically.
    """
    order = {cell: place for place, cell in enumerate(dict.fromkeys(run.cell for run in runs))}
    ordered = sorted(runs, key=lambda run: (order[run.cell], run.seed))
    rows = [[_field(run, column) for column in COLUMNS] for run in ordered]
    replace_file(Path(path), to_csv(COLUMNS, rows))


def _field(run: RunRecord, column: str) -> str:
    if column == "options":
        return in_brackets(run.options)[1:-1]
    value = len(run.curve) if column == "epochs" else getattr(run, column)
    if value is None:
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
