"""``ship``: a trained model as files for another place, whatever the format."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tidegate._version import __version__
from tidegate.errors import InputError, TidegateError, explain_missing
from tidegate.nn import Recurrent
from tidegate.phase import phase
from tidegate.ship.c import Source, c
from tidegate.ship.chain import chain_of
from tidegate.ship.dnnw import BLOCK_IN, BLOCK_OUT, dnnw
from tidegate.ship.flow import Flow
from tidegate.ship.kind import flows
from tidegate.ship.nam import nam
from tidegate.ship.rtneural import rtneural
from tidegate.ship.safetensors import safetensors, said_of
from tidegate.ship.said import NETWORK, WHOLE, said
from tidegate.ship.target import Format, chosen
from tidegate.storage import replace_files

if TYPE_CHECKING:
    from tidegate.ship.kind.base import Part

FACTS = ".facts.json"


@dataclass(frozen=True)
class Part_:  # noqa: N801
    """Placeholder."""


@dataclass(frozen=True)
class Shipped:
    """A model as files.

    Attributes:
        name: of the files.
        to: their format.
        weights: the kind of the weights.
        target: the processor; empty where there is no choice.
        files: the content of each file by its name, the main one first.
        facts: what ``NAME.facts.json`` holds: inputs, outputs, states, labels, and how each layer was written.
        flows: what the files compute, each with the names of its files; empty for formats that hold a network alone.
        folder: where the files were written; None if nowhere.
    """

    name: str
    to: str
    weights: str
    target: str
    files: Mapping[str, bytes]
    facts: Mapping[str, Any]
    flows: Mapping[str, Flow] = field(default_factory=dict)
    folder: Path | None = None
