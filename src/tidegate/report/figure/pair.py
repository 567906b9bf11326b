"""Paired differences: a dot per seed, the t interval that decides, the bootstrap that does not."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from tidegate.language import local
from tidegate.records import ComparisonRecord, PairRecord
from tidegate.report.figure.svg import LINE, NARROW, WIDE, drawing, tag, to_svg, wrapped
from tidegate.report.group import best_cell, scores_of
from tidegate.report.number import MINUS, known, rounded
from tidegate.report.palette import BAND, INK, MUTED, short_names

ROW, FOOT = 40, 62
BESIDE = {WIDE: 320, NARROW: 130}  # pixels to the left of the axes, about
MOST = 15  # more rows than this cannot be read, so only pairs with the best cell are drawn
RESAMPLES = 2000


def pair_figure(record: ComparisonRecord, width: int = WIDE) -> str:
    """The figure, or nothing if there is no difference to draw; ``width`` is ``WIDE`` or ``NARROW``."""
    pairs = drawn_pairs(record)
    if not pairs:
        return ""
    height = ROW * len(pairs) + FOOT + LINE * (_label(record, width).count("\n") - 1)
    with drawing(width, height) as (figure, axes):
        for row, pair in enumerate(pairs):
            _row(axes, pair, differences(record, pair), row)
        _frame(axes, record, pairs, "\n" if width == NARROW else " ")
        axes.set_xlabel(_label(record, width))
        axes.xaxis.set_major_locator(MaxNLocator(width // 80))
        label = local(
            "Differences per seed of {count} pairs of cells with 95 % intervals; see the table of pairs",
            count=len(pairs),
        )
        return to_svg(figure, f"pairs-{width}", label, hover=width == WIDE)


def drawn_pairs(record: ComparisonRecord) -> list[PairRecord]:
    """All pairs that have differences, or those with the best cell if there are too many."""
    pairs = [pair for pair in record.pairs if differences(record, pair)]
    best = best_cell(record)
    if len(pairs) > MOST and best is not None:
        return [pair for pair in pairs if best.name in (pair.a, pair.b)]
    return pairs


def differences(record: ComparisonRecord, pair: PairRecord) -> dict[int, float]:
    """Score of a minus score of b, for every seed that both finished."""
    first, second = scores_of(record, pair.a), scores_of(record, pair.b)
    return {seed: first[seed] - second[seed] for seed in first if seed in second}


def bootstrap(values: list[float]) -> tuple[float, float] | None:
    """A percentile interval of the mean, from a fixed seed so that the page is always the same."""
    if len(values) < 2:
        return None
    draws = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(np.asarray(values)[draws].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def _row(axes: Axes, pair: PairRecord, by_seed: dict[int, float], row: int) -> None:
    name = local("{a} minus {b}", a=pair.a, b=pair.b)
    if known(pair.detectable):
        band = Rectangle((-pair.detectable, row - 0.4), 2 * pair.detectable, 0.8, color=BAND, linewidth=0)
        tag(
            band,
            title=local(
                "{name}: differences up to {difference} would often be missed",
                name=name,
                difference=rounded(pair.detectable),
            ),
        )
        axes.add_patch(band)
    for seed, value in by_seed.items():
        (dot,) = axes.plot(value, row + 0.2, "o", color=MUTED, alpha=0.6, markersize=5.5, markeredgewidth=0)
        tag(dot, title=local("{name}, seed {seed}: {value}", name=name, seed=seed, value=rounded(value, 4)))
    _intervals(axes, pair, list(by_seed.values()), row - 0.12)


def _intervals(axes: Axes, pair: PairRecord, values: list[float], level: float) -> None:
    name = local("{a} minus {b}", a=pair.a, b=pair.b)
    if known(pair.low) and known(pair.high):
        (line,) = axes.plot([pair.low, pair.high], [level] * 2, color=INK, linewidth=2.6)
        tag(
            line,
            title=local(
                "{name}: 95 % interval {low} to {high}", name=name, low=rounded(pair.low, 4), high=rounded(pair.high, 4)
            ),
        )
    if known(pair.difference):
        face = INK if pair.reliable else "white"
        (mean,) = axes.plot(pair.difference, level, "D", color=INK, markersize=7.5, markerfacecolor=face)
        tag(
            mean,
            title=local("{name}: mean {mean}", name=name, mean=rounded(pair.difference, 4)),
            part="" if pair.reliable else "hollow",
        )
    if (interval := bootstrap(values)) is not None:
        (ends,) = axes.plot(interval, [level - 0.14] * 2, color=MUTED, linewidth=1, marker="|", markersize=6)
        tag(
            ends,
            title=local(
                "{name}: bootstrap {low} to {high}, not used to decide",
                name=name,
                low=rounded(interval[0], 4),
                high=rounded(interval[1], 4),
            ),
        )


def _frame(axes: Axes, record: ComparisonRecord, pairs: list[PairRecord], between: str) -> None:
    names = dict(zip([c.name for c in record.cells], short_names([c.name for c in record.cells], 18), strict=True))
    rows = [f"{names.get(pair.a, pair.a)}{between}{MINUS} {names.get(pair.b, pair.b)}" for pair in pairs]
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(pairs)), rows, color=INK)
    axes.set_ylim(len(pairs) - 0.45, -0.55)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def _label(record: ComparisonRecord, width: int) -> str:
    what = local("difference in test {metric} ({unit})", metric=record.metric, unit=record.unit)
    side = local("left of zero, the cell named first is better")
    return "\n".join(wrapped(text, width - BESIDE[width]) for text in (what, side))
