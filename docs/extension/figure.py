"""Figures that a page's code leaves open, as SVG in the colours of the page."""

import html
import io
import re
from contextlib import AbstractContextManager
from functools import partial

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

INK = "#010203"  # stands for the page's own colour of text
COLOURS = ["#3b82c4", "#d97706", "#2f9e6e", "#c2528b", "#7c6fd0", "#8a7a4b"]  # readable on white and on black


def style() -> AbstractContextManager[None]:
    """Settings of matplotlib under which a page's code runs."""
    ink = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
    return mpl.rc_context({
        **ink,
        "axes.prop_cycle": mpl.cycler(color=COLOURS),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.constrained_layout.use": True,
        "figure.figsize": (4.8, 2.6),
        "font.size": 9,
        "legend.frameon": False,
        "savefig.transparent": True,
        "svg.fonttype": "none",  # text stays text, in the page's font
        "svg.hashsalt": "page",  # the same figure has the same bytes
    })  # fmt: skip


def drawn(name: str) -> list[str]:
    """The open figures as SVG, which are closed; ``name`` keeps their identifiers apart on one page."""
    found = []
    for number in plt.get_fignums():
        mpl.rcParams["svg.hashsalt"] = f"{name} {number}"
        target, figure = io.StringIO(), plt.figure(number)
        figure.savefig(target, format="svg", metadata={"Date": None})
        plt.close(number)
        text = target.getvalue()
        text = text[text.index("<svg") :].replace(INK, "currentColor")
        text = re.sub(r'id="([\w-]+_\d+)"', rf'id="\1-{name}-{number}"', text)  # matplotlib counts anew each time
        found.append(
            re.sub(r'<svg [^>]*?viewBox="0 0 ([\d.]+) ([^"]*)"[^>]*>', partial(opening, figure), text, count=1)
        )
    return found


def opening(figure: Figure, found: re.Match[str]) -> str:
    """An SVG as wide as its place, within bounds that keep its text legible: narrower, it scrolls."""
    width, height = found.groups()
    least, most = (round(float(width) * pixels) for pixels in (0.95, 1.6))
    shown = html.escape(
        "; ".join(f"{axes.get_ylabel()} by {axes.get_xlabel()}" for axes in figure.axes).replace("$", "")
    )
    size = f'style="min-width: {least}px; max-width: {most}px"'
    return f'<svg viewBox="0 0 {width} {height}" {size} role="img" aria-label="{shown}">'
