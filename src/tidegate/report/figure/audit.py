"""How exposed canaries are, and how many members an attack finds for how many false alarms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tidegate.records import CanaryRecord, MembershipRecord
from tidegate.report.figure.lag import HEIGHT, mark_at
from tidegate.report.figure.svg import NARROW, drawing, to_svg
from tidegate.report.palette import MUTED, colour

WIDTH = NARROW + 60
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
FEWEST = 1e-3  # the smallest share that is drawn


def exposure_figure(canaries: CanaryRecord) -> str:
    """The share of canaries that are at least so exposed; nothing without canaries.

    Args:
        canaries: of the audit.
    """
    if not canaries.exposure or not canaries.exposure_others:
        return ""
    with drawing(WIDTH, HEIGHT) as (figure, axes):
        shares = np.linspace(1, 0, len(canaries.exposure))
        for place, values in enumerate((canaries.exposure, canaries.exposure_others)):
            axes.plot(values, shares, color=colour(place), linewidth=2.2, linestyle=DASHES[place])
        most = max(*canaries.exposure, *canaries.exposure_others)
        axes.set_xlim(0, 1.05 * most)
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_formatter(FuncFormatter(_percent))
        if most > np.log2(canaries.draws):
            mark_at(axes, float(np.log2(canaries.draws)), "extrapolated beyond")
        axes.set_xlabel("exposure (bits)")
        axes.set_ylabel("canaries at least so exposed")
        return to_svg(figure, "exposure", "Shares of planted and other canaries by their exposure", hover=False)


def membership_figure(found: Sequence[MembershipRecord]) -> str:
    """The share of members found by the share of others accused; nothing without an attack.

    Args:
        found: one or more attacks.
    """
    if not found:
        return ""
    with drawing(WIDTH, HEIGHT) as (figure, axes):
        axes.plot([FEWEST, 1], [FEWEST, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        for place, one in enumerate(found):
            falsely, rightly = (np.maximum(values, FEWEST) for values in zip(*one.curve, strict=True))
            axes.plot(falsely, rightly, color=colour(place), linewidth=2.2, linestyle=DASHES[place % len(DASHES)])
        for set_scale, axis in ((axes.set_xscale, axes.xaxis), (axes.set_yscale, axes.yaxis)):
            set_scale("log")
            axis.set_major_formatter(FuncFormatter(_percent))
        _limits(axes)
        axes.set_xlabel("other rows accused")
        axes.set_ylabel("training rows found")
        return to_svg(figure, "membership", "Training rows found by other rows accused", hover=False)


def _limits(axes: Axes) -> None:
    axes.set_xlim(FEWEST, 1)
    axes.set_ylim(FEWEST, 1.1)
    mark_at(axes, 0.01, "1 %")


def _percent(value: float, place: int | None = None) -> str:
    del place
    return f"{100 * value:.3g} %"
