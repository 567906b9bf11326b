"""Plots of piano rolls."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tidegate.storage import replace_file

LOWEST = 21  # the MIDI number of the first of 88 keys
OCTAVE = 12
MARGIN = 2  # keys shown above the highest and below the lowest
STEPS_PER_INCH = 12.0
WIDTHS = (6.0, 24.0)  # inches


def draw_piano_roll(roll: NDArray[np.bool_], path: Path, title: str, prompt: int = 0) -> None:
    """Draw a piano roll into a PNG, SVG or PDF file, with a line at the end of the prompt.

    Args:
        roll: [T, 88].
        path: the suffix decides the format.
        title: title of the figure.
        prompt: number of steps in the prompt.

    Raises:
        InputError: the file cannot be written.
        ValueError: the suffix is unknown.
    """
    keys = np.flatnonzero(roll.any(0))
    low, high = (int(keys[0]), int(keys[-1])) if len(keys) else (0, roll.shape[1] - 1)
    figure = Figure(figsize=(float(np.clip(len(roll) / STEPS_PER_INCH, *WIDTHS)), 3.5), layout="constrained")
    axes = figure.subplots()
    for key in range(low, high + 1):
        edges = np.flatnonzero(np.diff(np.pad(roll[:, key].astype(np.int8), 1)))
        held = [(float(start), float(end - start)) for start, end in edges.reshape(-1, 2)]
        axes.broken_barh(held, (key - 0.45, 0.9), facecolors="#28608f", edgecolors="white", linewidth=0.3)
    if prompt:
        axes.axvline(prompt, color="#b5481b", linewidth=1)
    octaves = [key for key in range(roll.shape[1]) if (LOWEST + key) % OCTAVE == 0]
    axes.set_yticks(octaves, [f"C{(LOWEST + key) // OCTAVE - 1}" for key in octaves])
    axes.set(xlim=(0, len(roll)), ylim=(low - MARGIN, high + MARGIN), xlabel="step", title=title)
    axes.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, dpi=150, format=path.suffix[1:].lower())
    replace_file(path, content.getvalue())
