"""``inspect``: what a shipped file is, how large it is and how fast, what it remembers, and what runs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.ship.c import Source
from tidegate.ship.inspect.graph import onnx_file
from tidegate.ship.inspect.inspection import Inspection, content_of, duration
from tidegate.ship.inspect.source import c_file, text_of
from tidegate.ship.inspect.weights import weights_file

if TYPE_CHECKING:
    from tidegate.ship.ship import Shipped

__all__ = ["Inspection", "duration", "inspect", "inspected"]


def inspect(path: str | os.PathLike[str], *, run_c: bool = False) -> Inspection:
    """What a file for another place is.

    Args:
        path: of an .onnx, a .c or .h of ours, a .nam, a .json of RTNeural, a "DNNw" file, or a .safetensors.
        run_c: compile and run a .c file, for its self-test and its latency: pass True only for a file that you trust.
            ONNX files of ours are run in any case, if onnxruntime is installed.

    Returns:
        Sizes, inputs, outputs, states, layers, operations, latency, the self-test, and what runs the file. ``print``
        shows it.

    Raises:
        InputError: there is no such file, it is damaged, or of no format that is known here.
        MissingError: a package that reads it is not installed.
    """
    file = Path(path)
    content = content_of(file)
    if file.suffix in (".c", ".h"):
        return c_file(
            file, Source(file.stem, *(text_of(file.with_suffix(suffix)) for suffix in (".h", ".c"))), run=run_c
        )
    if file.suffix == ".onnx":
        return onnx_file(file, content)
    return weights_file(file, content)


def inspected(shipped: Shipped) -> list[Inspection]:
    """The same of what ``ship`` made; the self-tests are run. Networks alone are read again where they were written.

    Args:
        shipped: what ``ship`` returned.
    """
    found = []
    for name, content in shipped.files.items():
        if name.endswith(".onnx"):
            found.append(onnx_file(Path(name), content))
        elif name.endswith(".c"):
            texts = (shipped.files[f"{name[:-2]}{suffix}"].decode() for suffix in (".h", ".c"))
            found.append(c_file(Path(name), Source(name[:-2], *texts), run=True))
        elif shipped.folder is not None and not shipped.flows and name == next(iter(shipped.files)):
            found.append(weights_file(shipped.folder / name, content))
    return found
