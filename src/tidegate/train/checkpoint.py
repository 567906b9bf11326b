"""Checkpoints: tensors and plain data in one safetensors file. Loading one runs no code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from tidegate.errors import InputError
from tidegate.storage import replace_file

FORMAT = "tidegate-checkpoint-1"


@dataclass(frozen=True)
class Checkpoint:
    """Named tensors, and data that JSON can hold."""

    tensors: dict[str, torch.Tensor]
    data: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the whole file or nothing: readers never see half of it, whenever the process dies."""
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.tensors.items()}
        replace_file(path, save(tensors, metadata={"format": FORMAT, "data": json.dumps(self.data)}))

    @staticmethod
    def load(path: Path) -> Checkpoint:
        """Read a checkpoint back.

        Raises:
            InputError: no such file, or not a checkpoint.
        """
        if not path.is_file():
            raise InputError("CHECKPOINT_MISSING", f"there is no checkpoint {path}")
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                if header.get("format") != FORMAT:
                    raise InputError(
                        "CHECKPOINT_FORMAT",
                        f"{path} says format {header.get('format')!r}, expected {FORMAT!r}",
                        fix="pass a file that tidegate wrote",
                    )
                return Checkpoint({name: file.get_tensor(name) for name in file.keys()}, json.loads(header["data"]))  # noqa: SIM118  not a mapping
        except (SafetensorError, KeyError, json.JSONDecodeError, OSError) as error:
            raise InputError(
                "CHECKPOINT_DAMAGED", f"{path} is not a readable checkpoint: {error}", fix="delete it to start afresh"
            ) from error


def prefixed(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Put tensors into a named compartment of a checkpoint."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def compartment(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take them out again."""
    start = prefix + "."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
