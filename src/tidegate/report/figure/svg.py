"""matplotlib's SVG, adapted for inclusion in a page.

Fonts and colours become CSS of the page, ids are renumbered to be unique in the whole page, and anything that no
browser needs is dropped.
"""

from __future__ import annotations

import io
import json
import re
import textwrap
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tidegate.report.palette import GRID, INK, MUTED, VARIABLES

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
WIDE, NARROW = 760, 400  # pixels: on a screen, and on a telephone
LETTER, SQUARE, LINE = 7.4, 12.5, 15  # pixels: a wide estimate of a letter, of a Chinese sign, the height of a line
RULES: dict[str, Any] = {
    "svg.fonttype": "none",  # text remains text: smaller, searchable, in the font of the page
    "svg.hashsalt": "tidegate",
    "text.parse_math": False,  # a dollar sign in the name of a cell is a dollar sign
    "font.size": 12,
    "font.family": "DejaVu Sans",  # ships with matplotlib and is wide, so that text in the font of the page fits
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 12,
    "axes.labelpad": 8,
    "xtick.major.pad": 6,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.solid_capstyle": "round",
}


@contextmanager
def drawing(width: int, height: int) -> Iterator[tuple[Figure, Axes]]:
    """A figure of this size in pixels with one axes, independent of the user's matplotlib style."""
    with matplotlib.style.context(["default", RULES]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the browser's fonts have it
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        axes = figure.add_subplot()
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        yield figure, axes


def wrapped(text: str, pixels: int) -> str:
    """A label, wrapped to a width in pixels; matplotlib would cut it off."""
    if not any(map(_is_wide, text)):
        return textwrap.fill(text, max(1, round(pixels / LETTER)))
    lines, room = [""], float(pixels)
    for letter in text:
        wide = SQUARE if _is_wide(letter) else LETTER
        if wide > room and lines[-1]:
            lines, room = [*lines, ""], float(pixels)
        lines[-1] += letter
        room -= wide
    return "\n".join(lines)


def _is_wide(letter: str) -> bool:
    """Whether a letter is a Chinese sign, between any two of which a line may end."""
    return unicodedata.east_asian_width(letter) in "WF"


def tag(artist: Artist, *, title: str = "", series: int | None = None, part: str = "") -> None:
    """Describe a mark: ``title`` appears on hover, ``series`` and ``part`` are for scripts and styles."""
    attributes = {"title": title, "data-series": "" if series is None else str(series), "class": part}
    artist.set_gid(json.dumps({name: text for name, text in attributes.items() if text}))


def to_svg(figure: Figure, name: str, label: str, *, hover: bool = True) -> str:
    """The figure as an ``<svg>`` element; ``name`` makes ids unique, ``label`` describes it, ``hover`` keeps titles."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    root = ET.fromstring(text.getvalue())  # noqa: S314  (our own drawing)
    _drop(root)
    _apply_tags(root, hover)
    _renumber(root, name)
    for element in root.iter():
        _restyle(element)
    _frame(root, label)
    return _serialise(root)


def _frame(root: ET.Element, label: str) -> None:
    width = root.attrib["viewBox"].split()[2]
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib |= {"class": "figure", "role": "img", "aria-label": label, "style": f"--width:{width}px"}


def _drop(root: ET.Element) -> None:
    """Remove metadata, empty groups, and the style sheet, which would apply to the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            hollow = child.tag == f"{SVG}g" and len(child) == 0
            if hollow or child.tag == f"{SVG}metadata" or child.find(f"{SVG}style") is not None:
                parent.remove(child)


def _apply_tags(root: ET.Element, hover: bool) -> None:
    for element in root.iter():
        if not element.get("id", "").startswith("{"):
            continue
        attributes = json.loads(element.attrib.pop("id"))
        title = attributes.pop("title", "")
        element.attrib |= attributes
        if title and hover:
            child = ET.Element(f"{SVG}title")
            child.text = title
            element.insert(0, child)


def _renumber(root: ET.Element, name: str) -> None:
    """Keep only ids that something refers to, numbered in order of appearance."""
    used = set(re.findall(r"url\(#([^)]+)\)", " ".join(v for e in root.iter() for v in e.attrib.values())))
    used |= {element.attrib[LINK][1:] for element in root.iter() if LINK in element.attrib}
    referenced = [element.attrib["id"] for element in root.iter() if element.get("id") in used]
    new = {old: f"{name}-{place}" for place, old in enumerate(referenced)}
    for element in root.iter():
        if (old := element.attrib.pop("id", "")) in new:
            element.set("id", new[old])
        if LINK in element.attrib:
            element.set("href", "#" + new[element.attrib.pop(LINK)[1:]])
        if "clip-path" in element.attrib:
            element.set("clip-path", f"url(#{new[element.attrib['clip-path'][5:-1]]})")


def _restyle(element: ET.Element) -> None:
    """Fonts and colours from the page; coordinates to a tenth of a pixel."""
    if "style" in element.attrib:
        style = re.sub(r"font: (?:(\d+) )?([\d.]+px) [^;]*", _font, element.attrib["style"])
        style = re.sub(r"font-family: [^;]*;? ?", "", style)
        style = re.sub(r"#0[0-9a]0[0-9a]0[0-9a]", lambda hit: f"var(--{VARIABLES[hit[0]]})", style)
        element.set("style", style.replace(": ", ":").replace("; ", ";"))
    for attribute in ("d", "x", "y", "width", "height", "transform", "points"):
        if attribute in element.attrib:
            element.set(attribute, _coarse(element.attrib[attribute]))
    for attribute, value in element.attrib.items():
        element.set(attribute, value.strip())
    if element.tag not in {f"{SVG}text", f"{SVG}title"}:
        element.text = None
    element.tail = None


def _font(hit: re.Match[str]) -> str:
    return f"font-size:{hit[2]}" + (f";font-weight:{hit[1]}" if hit[1] else "")


def _coarse(text: str) -> str:
    text = re.sub(r"-?\d+\.\d+", lambda hit: f"{round(float(hit[0]), 1) + 0:g}", text)
    return re.sub(r"\s*\n\s*", "", re.sub(r"\s*([MLCQZz])\s*", r"\1", text)).strip()


def _serialise(root: ET.Element) -> str:
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
    return ET.tostring(root, encoding="unicode", short_empty_elements=True)
