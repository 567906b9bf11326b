"""Exponents, and fixed points in the plane of the states."""

from __future__ import annotations

from matplotlib.ticker import MaxNLocator

from tidegate.language import local
from tidegate.records import DynamicsRecord
from tidegate.report.figure.lag import HEIGHT, gapped, known
from tidegate.report.figure.svg import NARROW, drawing, tag, to_svg
from tidegate.report.number import percent
from tidegate.report.palette import INK, MUTED, SURFACE, colour

KINDS = {"driven": 0, "free": 1}  # their colours
MOST_EXPONENTS, MOST_PATHS, MOST_STEPS = 48, 8, 300


def exponent_figure(dynamics: DynamicsRecord, name: str) -> str:
    """The figure; nothing if there is no finite exponent."""
    if not known(*(one.values for one in dynamics.exponents)):
        return ""
    with drawing(NARROW + 60, HEIGHT) as (figure, axes):
        axes.axhline(0, color=INK, linewidth=1)
        for one in dynamics.exponents:
            values = one.values[:MOST_EXPONENTS]
            places = range(1, len(values) + 1)
            if one.low and one.high:
                axes.vlines(places, gapped(one.low[: len(values)]), gapped(one.high[: len(values)]),
                            color=colour(KINDS[one.kind]), alpha=0.35, linewidth=3)  # fmt: skip
            face = colour(0) if one.kind == "driven" else SURFACE
            axes.plot(places, gapped(values), "o", color=colour(KINDS[one.kind]), markersize=5, markerfacecolor=face)
        axes.set_xlabel(local("exponents, the largest first"))
        axes.set_ylabel(local("per step"))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        return to_svg(figure, name, local("Lyapunov exponents of {layer}", layer=dynamics.layer), hover=False)


def plane_figure(dynamics: DynamicsRecord, name: str) -> str:
    """The figure; nothing if there is no plane."""
    if not dynamics.plane or not (dynamics.points or dynamics.paths):
        return ""
    with drawing(NARROW + 60, HEIGHT + 60) as (figure, axes):
        for path in dynamics.paths[:MOST_PATHS]:
            x, y = gapped(path.x[-MOST_STEPS:]), gapped(path.y[-MOST_STEPS:])
            axes.plot(x, y, color=MUTED, linewidth=0.9, alpha=0.45)
        for point in sorted(dynamics.points, key=lambda one: one.stable):
            shape, face = ("o", colour(0)) if point.stable else ("D", SURFACE)
            edge = SURFACE if point.stable else colour(1)
            size = 10 if point.stable else 8
            (dot,) = axes.plot(point.x, point.y, shape, color=face, markersize=size, markeredgecolor=edge,
                               markeredgewidth=1.6, zorder=3)  # fmt: skip
            unstable = local("unstable in {count} directions", count=point.unstable)
            kind = local("stable") if point.stable else unstable
            title = local(
                "{kind}, reached from {reached} of {starts} starts",
                kind=kind,
                reached=point.reached,
                starts=dynamics.starts,
            )
            tag(dot, title=title)
        shares = [*dynamics.plane, 0.0, 0.0]
        axes.set_xlabel(local("first axis ({share} of the variance)", share=percent(shares[0], 0)))
        axes.set_ylabel(local("second axis ({share})", share=percent(shares[1], 0)))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.margins(0.08)
        return to_svg(figure, name, local("Fixed points of {layer} in the plane of its states", layer=dynamics.layer))
