"""What is inside the artefact of each task, and what stays with the caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Said(NamedTuple):
    """In words.

    Attributes:
        inside: what the artefact computes.
        outside: what it does not.
    """

    inside: str
    outside: str


WHOLE: Mapping[str, Said] = {
    "classification": Said(
        "scale or embedding, layers, pooling, temperature, chances of the classes",
        "cutting texts into units or series into frames, and filling in missing values",
    ),
    "forecast": Said(
        "scale, lags, seasonal base, layers, blend, corrections, back to the unit of the target",
        "reading rows and their calendar (second of the day, weekday, day of the year); intervals do not follow misses",
    ),
    "language": Said(
        "embedding, layers, chances of the next symbol", "cutting texts into symbols, and choosing among the chances"
    ),
    "music": Said("layers, chances of the 88 keys", "reading MIDI files into steps, and drawing keys"),
    "speech": Said(
        "window, spectrum, mel filters, logarithm, scale, layers, chances of the symbols",
        "resampling, dividing by the loudest sample, and the best path through the chances",
    ),
    "tagging": Said(
        "embeddings of words, shapes and ends, layers, chances of the tags", "looking words up, and spans from tags"
    ),
    "translation": Said(
        "encoder, one step of the decoder with its attention, chances of the next unit",
        "cutting texts into units, averaging the directions of the encoder's states, and the beam search",
    ),
}
LAYERS: Mapping[str, Said] = {
    "classification": Said(
        "scale or embedding, layers, pooling, temperature",
        "the votes beside the layers; cutting texts into units or series into frames",
    ),
    "speech": Said(
        "layers, chances of the symbols",
        "log-mel spectra, their scale and stacking (facts.json has the sizes), and the best path through the chances",
    ),
}
BARE = Said("the recurrent layers", "what they read is made by the caller, and their output is read by it")
NETWORK = Said("the recurrent layers and the linear head", "what stands before the layers and behind the head: {rest}")


def said(task: str, part: str) -> Said:
    """What an artefact of a whole model, or of its part, holds; ``task`` is empty for bare layers."""
    if not task:
        return BARE
    return (LAYERS if part == "layers" and task in LAYERS else WHOLE)[task]
