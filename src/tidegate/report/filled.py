"""The equations of a layer with the numbers of one step and one unit, as the page shows them before its script runs."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from tidegate.language import local
from tidegate.records import ExactRecord, LayerRecord, TraceRecord
from tidegate.report.number import rounded
from tidegate.report.trace import equation_lines


def filled_equations(layer: LayerRecord, trace: TraceRecord | None) -> dict[str, Any]:
    """Lines at the last step of the window of exact numbers, for its first unit; none if there are no such numbers.

    Args:
        layer: whose equations.
        trace: the sequence.
    """
    exact = next((one for one in trace.exact if one.layer == layer.name), None) if trace else None
    if trace is None or exact is None or not exact.steps or not exact.units:
        return {"title": "", "lines": []}
    step = exact.first + exact.steps - 1
    title = local("Step {step} ({label}), unit {unit}", step=step + 1, label=trace.labels[step], unit=exact.units[0])
    numbers = _numbers(exact)
    lines = [
        {
            "name": name,
            "pieces": [_piece(text, numbers, is_key=bool(k % 2)) for k, text in enumerate(pieces) if text],
            "value": numbers.get(name, rounded(None)),
        }
        for name, pieces in equation_lines(layer.graph)
    ]
    return {"title": title, "lines": lines}


def _piece(text: str, numbers: dict[str, str], *, is_key: bool) -> dict[str, str]:
    return {"key": text, "text": numbers.get(text, rounded(None))} if is_key else {"key": "", "text": text}


def _numbers(exact: ExactRecord) -> dict[str, str]:
    """Every term at the last step, of the first unit."""
    place = (exact.steps - 1) * len(exact.units)
    read = {text: np.frombuffer(base64.b64decode(code), "<f4") for text, code in exact.terms.items()}
    return {text: rounded(float(values[place]), 4) for text, values in read.items()}
