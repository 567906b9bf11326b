"""Checkpoints: tensors and plain data in one safetensors file. Loading a checkpoint runs no code."""

from __future__ import annotations

import json
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from tidegate.errors import InputError
from tidegate.plain import read_json, typed
from tidegate.storage import replace_file

FORMAT = "tidegate-checkpoint-1"
LONGEST = 200  # characters of a reason


@dataclass(frozen=True)
class Checkpoint:
    """Named tensors and JSON data."""

    tensors: dict[str, torch.Tensor]
    data: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the file at once: whenever the process dies, the file is either the old or the new one.

        Args:
            path: the file to replace.
        """
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.tensors.items()}
        replace_file(path, save(tensors, metadata={"format": FORMAT, "data": json.dumps(self.data)}))

    def copied(self) -> Checkpoint:
        """The same with tensors of its own."""
        return Checkpoint({name: tensor.detach().clone() for name, tensor in self.tensors.items()}, self.data)

    @staticmethod
    def load(path: Path) -> Checkpoint:
        """Read a checkpoint.

        Args:
            path: the file.

        Raises:
            InputError: the file does not exist or is not a checkpoint.
        """
        if not path.is_file():
            raise InputError("CHECKPOINT_MISSING", f"there is no checkpoint {path}")
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
        except (SafetensorError, OSError) as error:
            raise _damaged(path, str(error)) from error
        if header.get("format") != FORMAT:
            raise InputError(
                "CHECKPOINT_FORMAT",
                f"{path} has the format {reprlib.repr(header.get('format'))}, expected {FORMAT!r}",
                fix="pass a checkpoint written by tidegate",
            )
        try:
            return Checkpoint(tensors, typed(read_json(header.get("data", "")), dict[str, Any], "data"))
        except InputError as error:
            raise _damaged(path, str(error)) from error


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(
        "CHECKPOINT_DAMAGED",
        f"{path} is not a readable checkpoint: {reason[:LONGEST]}",
        fix="delete it to start afresh",
    )


def prefixed(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Put a prefix in front of the names of tensors."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def compartment(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors with this prefix, without it."""
    start = prefix + "."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
