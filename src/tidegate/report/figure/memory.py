"""The half-life of every unit, the longest first."""

from __future__ import annotations

from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from tidegate.language import local
from tidegate.records import ExplanationRecord, MemoryRecord
from tidegate.report.figure.lag import HEIGHT, known
from tidegate.report.figure.svg import drawing, to_svg
from tidegate.report.number import plain
from tidegate.report.palette import INK, colour


def memory_figure(record: ExplanationRecord, memory: MemoryRecord, width: int, name: str) -> str:
    """The figure; nothing if no unit has a half-life."""
    lives = [life for life in known(memory.units) if life > 0]
    if not lives:
        return ""
    endless = sum(life is None for life in memory.units)
    top = 3 * max(*lives, record.lag)
    drawn = [top] * endless + sorted(lives, reverse=True)
    with drawing(width, HEIGHT - 40) as (figure, axes):
        places = range(len(drawn) + 1)
        axes.stairs(drawn, places, baseline=min(lives) / 2, fill=True, color=colour(0), alpha=0.25, linewidth=0)
        axes.stairs(drawn, places, baseline=None, color=colour(0), linewidth=2.2)
        axes.set_yscale("log")
        axes.set_ylim(min([*lives, record.lag]) / 2, top)
        axes.set_xlim(0, len(drawn))
        axes.axhline(record.lag, color=INK, linewidth=1.2)
        lag = local("lag {lag}", lag=record.lag)
        axes.annotate(
            lag, (1, record.lag), (-5, 5), ("axes fraction", "data"), "offset points", ha="right",
            color=INK, fontsize=12,
        )  # fmt: skip
        axes.set_xlabel(local("units, the longest first"))
        axes.set_ylabel(local("half-life (steps)"))
        axes.xaxis.set_major_locator(MaxNLocator(width // 80, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        return to_svg(figure, name, local("Half-lives of the units of {layer}", layer=memory.layer), hover=False)
