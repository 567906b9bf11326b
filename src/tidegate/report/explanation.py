"""The page of an explanation: one HTML file without external resources, under a megabyte, readable without a script."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from tidegate.language import local, say, speaking, translated
from tidegate.records import (
    AblationRecord,
    AttributionRecord,
    DynamicsRecord,
    ExplanationRecord,
    FlowRecord,
    LayerRecord,
    MemoryRecord,
)
from tidegate.report.attribution import feature_rows, in_order, ranked_features, share_beyond, shown_lags
from tidegate.report.environment import environment
from tidegate.report.figure.attribution import attribution_figure
from tidegate.report.figure.dynamics import exponent_figure, plane_figure
from tidegate.report.figure.equation import Typesetter
from tidegate.report.figure.flow import flow_figure, shown_to
from tidegate.report.figure.history import context_figure, forcing_figure
from tidegate.report.figure.memory import memory_figure
from tidegate.report.figure.svg import NARROW, WIDE
from tidegate.report.filled import filled_equations
from tidegate.report.number import count, percent, rounded
from tidegate.report.trace import Fitted, fitted, levels_of
from tidegate.storage import replace_file

LARGEST = 1_000_000  # bytes
SPARE, TRIES = 2_000, 4  # bytes for what says that something was left out; rounds until traces fit
BESIDE = 560  # pixels of a figure that has a table beside it
MOST_POINTS = 24
MOST_CHANGES = 12  # of a loss without a part, in the table
PARTS = {
    "flow": say("Flow"),
    "memory": say("Memory"),
    "dynamics": say("Dynamics"),
    "attributions": say("Attributions"),
}
MOST_PARTS = {"flow": 9, "memory": 9, "dynamics": 9, "attributions": 6}  # with a figure; JSON has all
STILL = LinearSegmentedColormap.from_list("still", ["#2f62d0", "#f3f3f0", "#c8520a"])  # as the script paints
UNMEASURED = {
    "steps": say("Gates and states step by step were not measured."),
    "flow": say("The gradient by lag was not measured."),
    "memory": say("Half-lives were not measured."),
    "dynamics": say("Exponents and fixed points were not measured."),
    "ablation": say("The loss without single units was not measured."),
    "attribution": say("Attributions were not measured."),
    "history": say("The score by the length of the history was not measured."),
    "checks": say("Checks were not measured."),
}
SECTIONS: tuple[tuple[str, str, Callable[[ExplanationRecord], Any]], ...] = (
    ("verdicts", say("Verdicts"), lambda _: True),
    ("steps", say("Steps"), lambda record: record.traces),
    ("flow", say("Gradient"), lambda record: record.flow),
    ("memory", say("Memory"), lambda record: record.memory),
    ("dynamics", say("Dynamics"), lambda record: record.dynamics or record.silences),
    ("ablation", say("Ablation"), lambda record: record.ablations),
    ("attribution", say("Attribution"), lambda record: record.attributions),
    ("history", say("History"), lambda record: record.context or record.forcing),
    ("checks", say("Checks"), lambda record: record.checks),
    ("about", say("About"), lambda _: True),
)


def write_explanation(record: ExplanationRecord, path: Path, language: str = "en") -> None:
    """Write the page of an explanation, atomically; the same record gives the same bytes.

    The page has under 1,000,000 bytes. Where the traces are larger, it has the most important units, then fewer
    sequences, then the last steps, and says so.

    Args:
        record: the explanation.
        path: the file; it is replaced whole or not at all.
        language: ``"en"`` or ``"zh"``.

    Raises:
        InputError: there is no such language.
    """
    with speaking(language):
        replace_file(Path(path), render(record, language))


def render(record: ExplanationRecord, language: str = "en") -> str:
    """The page as text.

    Args:
        record: the explanation.
        language: that is spoken.
    """
    record, dropped = _drawn(record)
    page = environment(language).get_template("explanation/page.html")
    parts = _answer(record) | _measures(record) | _cells(record) | _picture(record)
    room = 0
    for _ in range(TRIES):
        text = page.render(record=record, **parts, **_traces(record, fitted(record, room), dropped))
        left = LARGEST - SPARE - len(text.encode())
        if room and left + SPARE > 0:
            break
        room = max(1, room + left)
    return text


def _drawn(record: ExplanationRecord) -> tuple[ExplanationRecord, list[str]]:
    """The record with no more parts than the page can draw, and what it then lacks, in words."""
    counts = {part: len(getattr(record, part)) for part in MOST_PARTS}
    texts = [
        local(
            "{part}: the page shows the first {most} of {count}.", part=PARTS[part], most=MOST_PARTS[part], count=count
        )
        for part, count in counts.items()
        if count > MOST_PARTS[part]
    ]
    return replace(record, **{part: getattr(record, part)[:most] for part, most in MOST_PARTS.items()}), texts


def _answer(record: ExplanationRecord) -> dict[str, Any]:
    shares = [share.share for share in record.shares]
    whole = all(share is not None and 0 <= share <= 1 for share in shares)
    return {
        "sections": _sections(record),
        "bars": [{"width": f"{share:.4f}"} for share in shares] if whole else [],
        "layer_facts": [
            (
                one.name,
                local(
                    "{cell}, {inputs} to {units}", cell=one.cell, inputs=one.input_size, units=count(one.hidden_size)
                ),
            )
            for one in record.layers
        ],
    }


def _sections(record: ExplanationRecord) -> list[tuple[str, str]]:
    """The sections that the page has: their ids and names in the menu."""
    return [(name, text) for name, text, has in SECTIONS if has(record)]


def _measures(record: ExplanationRecord) -> dict[str, Any]:
    context, forcing = record.context, record.forcing
    return {
        "flows": [_flow(record, flow, k) for k, flow in enumerate(record.flow)],
        "memories": [_memory(record, memory, k) for k, memory in enumerate(record.memory)],
        "ablations": [_ablation(one) for one in record.ablations],
        "systems": [_system(dynamics, k) for k, dynamics in enumerate(record.dynamics)],
        "attributions": [_attribution(record, in_order(one), k) for k, one in enumerate(record.attributions)],
        "context_svg": context_figure(record, context, "context") if context else "",
        "forcing_svg": forcing_figure(forcing, "forcing") if forcing else "",
    }


def _flow(record: ExplanationRecord, flow: FlowRecord, k: int) -> dict[str, Any]:
    series = {local("lower quartile"): flow.low, local("median"): flow.median, local("upper quartile"): flow.high}
    series |= {local("product of norms"): flow.product} if flow.product else {}
    series |= {flow.bound_name or local("bound"): flow.bound} if flow.bound else {}
    places = [place for place, lag in enumerate(flow.lags) if _is_round(lag) or lag in (record.lag, flow.lags[-1])]
    rows = [{"lag": flow.lags[p]} | {name: rounded(values[p]) for name, values in series.items()} for p in places]
    svg = [flow_figure(record, flow, width, f"flow-{k}-{width}") for width in (WIDE, NARROW)]
    beyond = last if (last := shown_to(record, flow)) < max(flow.lags, default=0) else 0
    return {"flow": flow, "svg": svg, "rows": rows, "series": list(series), "beyond": beyond}


def _is_round(lag: int) -> bool:
    """1, 2, 5, 10, 20, 50 and so on."""
    return lag > 0 and lag / 10 ** math.floor(math.log10(lag)) in (1, 2, 5)


def _memory(record: ExplanationRecord, memory: MemoryRecord, k: int) -> dict[str, Any]:
    def steps(value: float | None) -> str:
        return local("never") if value is None else local("{count} steps", count=rounded(value))

    facts = [
        (local("Lower quartile half-life"), steps(memory.low)),
        (local("Median half-life"), steps(memory.median)),
        (local("Upper quartile half-life"), steps(memory.high)),
        (local("Longest half-life"), steps(memory.longest)),
    ]
    facts = facts if memory.units else []
    gradient = local("does not fall") if memory.gradient is None else steps(memory.gradient)
    facts += [(local("Half-life of the gradient"), gradient)]
    movement = local("Movement of the output in a step")
    facts += [] if memory.movement is None else [(movement, rounded(memory.movement))]
    return {
        "memory": memory,
        "svg": [memory_figure(record, memory, width, f"memory-{k}-{width}") for width in (BESIDE, NARROW)],
        "facts": facts,
        "endless": sum(life is None for life in memory.units),
    }


def _system(dynamics: DynamicsRecord, k: int) -> dict[str, Any]:
    names = {"driven": local("Largest along the data"), "free": local("Largest free-running")}
    facts = []
    for one in dynamics.exponents:
        largest = one.values[0] if one.values else None
        shown = "−∞" if largest is None else rounded(largest)  # noqa: RUF001
        facts.append((names[one.kind], local("{exponent}, {count} steps", exponent=shown, count=count(one.steps))))
        if lost := sum(value is None for value in one.values):
            facts.append(
                (local("Minus infinity"), local("{lost} of {count} exponents", lost=lost, count=len(one.values)))
            )
    points = sorted(dynamics.points, key=lambda one: (not one.stable, -one.reached))
    return {
        "dynamics": dynamics,
        "kinds": [one.kind for one in dynamics.exponents],
        "exponents": exponent_figure(dynamics, f"exponents-{k}"),
        "plane": plane_figure(dynamics, f"plane-{k}"),
        "facts": facts,
        "points": points[:MOST_POINTS],
        "more": max(0, len(points) - MOST_POINTS),
    }


def _ablation(one: AblationRecord) -> dict[str, Any]:
    unit = f" {translated(one.unit)}" if one.unit else ""
    rows = [
        {"name": change.name, "change": rounded(change.change), "error": rounded(change.error)}
        for change in one.changes[:MOST_CHANGES]
    ]
    return {
        "part": one.part,
        "singular": local("unit") if one.part == "units" else local("feature"),
        "plural": local("units") if one.part == "units" else local("features"),
        "loss": f"{rounded(one.loss)}{unit}",
        "held": len(one.changes),
        "count": one.count,
        "rows": rows,
        "more": len(one.changes) - len(rows),
    }


def _attribution(record: ExplanationRecord, one: AttributionRecord, k: int) -> dict[str, Any]:
    unit = f" {translated(one.unit)}" if one.unit else ""
    start = local("At the baseline ({baseline})", baseline=one.baseline)
    facts = [] if one.start is None else [(start, f"{rounded(one.start)}{unit}")]
    facts += [(part.part, f"{rounded(part.share)}{unit}") for part in one.parts]
    facts += [] if one.answer is None else [(local("Answer"), f"{rounded(one.answer)}{unit}")]
    error = one.completeness_error
    facts += (
        []
        if error is None
        else [(local("Completeness error"), local("{share}, {count} points", share=_share(error), count=one.points))]
    )
    shown = ranked_features(one)
    lags = shown_lags(one, record.seasonality) if shown else 0
    return {
        "attribution": one,
        "svg": [attribution_figure(record, one, width, f"attribution-{k}-{width}") for width in (BESIDE, NARROW)],
        "facts": facts,
        "rows": feature_rows(one),
        "more": len(one.features) - len(shown),
        "last": one.lags[lags - 1] if lags else 0,
        "beyond": percent(share_beyond(one, lags)) if lags < len(one.lags) else "",
    }


def _share(error: float) -> str:
    return percent(error, 3) if error >= 5e-6 else local("below {share}", share=percent(1e-5, 3))


def _cells(record: ExplanationRecord) -> dict[str, Any]:
    typesetter = Typesetter()
    cards = [_card(record, layer, typesetter) for layer in record.layers]
    return {"cards": cards, "glyphs": typesetter.defs()}


def _card(record: ExplanationRecord, layer: LayerRecord, typesetter: Typesetter) -> dict[str, Any]:
    filled = filled_equations(layer, record.traces[0] if record.traces else None)
    return {"layer": layer, "equations": typesetter.cell(layer.graph), "filled": filled}


def _traces(record: ExplanationRecord, traces: Fitted, dropped: list[str]) -> dict[str, Any]:
    windows = [exact for trace in record.traces for exact in trace.exact]
    steps, units = max((e.steps for e in windows), default=0), max((len(e.units) for e in windows), default=0)
    some = local("{steps} steps of each sequence and the first {units} units", steps=steps, units=units)
    window = some if windows else local("no step")
    absent = [what for name, what in UNMEASURED.items() if name not in dict(_sections(record))]
    texts = [*record.left_out, *traces.left_out, *dropped, *absent]
    return {
        "data": traces.data,
        "shown": len(traces.data["sequences"]),
        "cut": traces.left_out,
        "left_out": texts,
        "window": window,
    }


def _picture(record: ExplanationRecord) -> dict[str, Any]:
    """The output of the first layer over the first sequence, for readers without JavaScript."""
    signals = record.traces[0].signals if record.traces else ()
    if not signals or not record.layers:
        return {"picture": ""}
    first = record.layers[0]
    output = next((state["name"] for state in first.graph.get("states", ())), "")
    signal = next((one for one in signals if (one.layer, one.name) == (first.name, output)), signals[0])
    levels = levels_of(signal)[-200:, :32]
    values = np.where(levels == 255, np.nan, signal.low + levels / 254 * (signal.high - signal.low))
    size = max(abs(signal.low), abs(signal.high)) or 1.0
    file = io.BytesIO()
    matplotlib.image.imsave(file, values.T, cmap=STILL, vmin=-size, vmax=size, format="png")
    return {"picture": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"}
