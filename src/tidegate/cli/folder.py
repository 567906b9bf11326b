"""Where results go unless the user says, and whether they can go there."""

from __future__ import annotations

import re
from pathlib import Path

from tidegate.errors import InputError


def folder_name(address: str, task: str, target: str | None) -> str:
    """Where the results go unless the user says: different data, tasks and columns lie apart."""
    if address.startswith("bundled:") and target is None:
        return address.removeprefix("bundled:")
    parts = [Path(address).stem, task] if target is None else [Path(address).stem, task, target]
    return re.sub(r"[^\w.-]", "_", "-".join(parts))


def check_folder(out: Path, what: str) -> None:
    """Refuse a place that is no folder and cannot become one.

    Raises:
        InputError: it is a file, lies in one, or cannot be looked at.
    """
    fix = "choose another folder with --out"
    try:
        nearest = next((path for path in (out, *out.parents) if path.exists()), out)
        if not nearest.is_dir():
            raise InputError("OUT", f"{what} cannot go to {out}: {nearest} is not a folder", fix=fix)
    except OSError as error:
        raise InputError("OUT", f"{what} cannot go to {out}: {error.strerror}", fix=fix) from error
