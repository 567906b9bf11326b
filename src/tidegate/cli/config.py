"""The file that ``--config`` names."""

from __future__ import annotations

from pathlib import Path

from tidegate.errors import InputError


def read_config(path: Path) -> str:
    """Its text.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("CONFIG", f"--config {path} cannot be read: {error}", fix="check the file") from error
