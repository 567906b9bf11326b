"""The gradient by lag: median and quartiles over sequences, the bound, and the product of the Jacobians' norms."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tidegate.language import local
from tidegate.records import ExplanationRecord, FlowRecord
from tidegate.report.figure.lag import HEIGHT, gapped, known, mark_at, whole_steps
from tidegate.report.figure.svg import drawing, to_svg, wrapped
from tidegate.report.palette import GRID, colour

MEASURED, BOUND, PRODUCT = 0, 1, 2  # their colours
LEAST_LAGS = 20
NEAR = 0.2  # of the axis: names of marks would touch
DASHES = {BOUND: (5, 3), PRODUCT: (1.5, 2)}


def shown_to(record: ExplanationRecord, flow: FlowRecord) -> int:
    """The last lag that is drawn: three times the lag asked for, where there are more."""
    return min(max(flow.lags, default=0), max(LEAST_LAGS, 3 * record.lag, (record.seasonality or 0) + 1))


def flow_figure(record: ExplanationRecord, flow: FlowRecord, width: int, name: str) -> str:
    """The figure; nothing if there is no lag or no gradient."""
    if not known(flow.low, flow.median, flow.high):
        return ""
    flow = _near(flow, shown_to(record, flow))
    with drawing(width, HEIGHT) as (figure, axes):
        axes.axhline(0, color=GRID, linewidth=1.6)
        axes.fill_between(
            flow.lags, gapped(flow.low), gapped(flow.high), color=colour(MEASURED), alpha=0.2, linewidth=0
        )
        for series, kind in ((flow.bound, BOUND), (flow.product, PRODUCT)):
            if series:
                axes.plot(flow.lags, gapped(series), color=colour(kind), linewidth=1.8, dashes=DASHES[kind])
        axes.plot(flow.lags, gapped(flow.median), color=colour(MEASURED), linewidth=2.4)
        whole_steps(axes, flow.lags, local("lag (steps back from the loss)"), width)
        axes.set_ylabel(wrapped(local("log10 of the gradient, relative to lag 1"), HEIGHT - 60))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        _limits(axes, flow)
        season = record.seasonality if record.seasonality != record.lag else None
        near = season is not None and abs(season - record.lag) < NEAR * max(flow.lags)
        mark_at(axes, record.lag, local("lag {lag}", lag=record.lag), strong=True, raised=near)
        if season:
            mark_at(axes, season, local("season {season}", season=season))
        return to_svg(
            figure,
            name,
            local("Gradient by lag in {layer}; the numbers are in the table below", layer=flow.layer),
            hover=False,
        )


def _near(flow: FlowRecord, last: int) -> FlowRecord:
    """The same up to a lag."""
    kept = slice(sum(lag <= last for lag in flow.lags))
    series = {part: getattr(flow, part)[kept] for part in ("low", "median", "high", "bound", "product")}
    return replace(flow, lags=flow.lags[kept], **series)


def _limits(axes: Axes, flow: FlowRecord) -> None:
    """What was measured fills at least half of the frame; lines above it may leave."""
    measured = [0.0, *known(flow.low, flow.median, flow.high)]
    low, high = min(measured), max(measured)
    span = max(high - low, 1.0)
    others = known(flow.bound, flow.product)
    top = min(max([high, *others]), high + span)
    bottom = max(min([low, *others]), low - span)
    pad = 0.06 * (top - bottom or 1.0)
    axes.set_ylim(bottom - pad, top + pad)
