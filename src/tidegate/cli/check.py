"""Checks of what users type, before anything slow begins."""

from __future__ import annotations

import re
from pathlib import Path

from tidegate.errors import InputError
from tidegate.storage import replace_file

PICTURES = (".svg", ".png", ".pdf")
LISTS = ("--text", "--known", "--quantiles")


def check_lists(arguments: list[str]) -> None:
    """Reject a repeated option that takes several values: only the last values would count.

    Raises:
        InputError: an option is repeated.
    """
    for option in LISTS:
        if arguments.count(option) > 1:
            raise InputError("REPEATED", f"{option} is given twice", fix=f"give all values at once: {option} A B")


def check_number(option: str, value: int | None, low: int = 1, high: int | None = None) -> None:
    """Reject a number out of range.

    Args:
        option: its name, without dashes.
        value: None if the option was not given.
        low: the smallest value allowed.
        high: the largest value allowed; None for no limit.

    Raises:
        InputError: ``value`` is below ``low`` or above ``high``.
    """
    if value is None or (low <= value and (high is None or value <= high)):
        return
    allowed = f"at least {low}" if high is None else f"between {low} and {high}"
    raise InputError("NUMBER", f"--{option} must be {allowed}, got {value}", fix=f"change --{option}")


def check_picture(option: str, path: Path | None) -> None:
    """Reject a file name whose suffix is not that of a picture; None stands for an option that was not given.

    Raises:
        InputError: ``path`` ends in none of .svg, .png and .pdf.
    """
    if path is not None and path.suffix.casefold() not in PICTURES:
        known = ", ".join(PICTURES)
        raise InputError("PICTURE", f"--{option} {path} has none of the suffixes {known}", fix="use one of them")


def check_model(folder: Path, data: str | None = None) -> None:
    """Reject a folder without a model, and data that do not exist, before torch is loaded.

    Args:
        folder: of the model.
        data: what the model is applied to: the name of a bundled set, or a path; None for nothing.

    Raises:
        InputError: there is no such model, or there are no such data.
    """
    from tidegate.train.card import read_card

    read_card(folder)
    if data is not None and not Path(data).exists():
        from tidegate.data import address_of, locate  # slow to load: not for --help

        locate(address_of(data))  # raises, with a suggestion, unless the set is bundled


def check_folder(out: Path, what: str) -> None:
    """Reject a path that is no folder and cannot become one.

    Args:
        out: the path.
        what: what will be written there, for the error.

    Raises:
        InputError: the path is a file, lies inside a file, or is inaccessible.
    """
    fix = "choose another folder with --out"
    try:
        nearest = next((path for path in (out, *out.parents) if path.exists()), out)
        if not nearest.is_dir():
            raise InputError("OUT", f"cannot write {what} to {out}: {nearest} is not a folder", fix=fix)
    except OSError as error:
        raise InputError("OUT", f"cannot write {what} to {out}: {error.strerror}", fix=fix) from error


def write_file(option: str, path: Path, content: str | bytes) -> None:
    """Write the file that an option names, whole or not at all.

    Args:
        option: its name, without dashes.
        path: the file; its folder must exist, so that a mistyped one is not made.
        content: what the file shall hold.

    Raises:
        InputError: there is no such folder, or the file cannot be written.
    """
    check_file(option, path)
    replace_file(path, content)


def check_file(option: str, path: Path | None) -> None:
    """Reject a file that cannot be written because of its folder; None stands for an option that was not given.

    Raises:
        InputError: it is a folder, or there is no such folder.
    """
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        reason = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise InputError(
            "OUT", f"--{option} {path} cannot be written: {reason}", fix="name a file in a folder that exists"
        )


def folder_name(address: str, task: str, target: str | None) -> str:
    """The default folder for results, a different one for each combination of data, task and target column."""
    if address.startswith("bundled:") and target is None:
        return address.removeprefix("bundled:")
    parts = [Path(address).stem, task] if target is None else [Path(address).stem, task, target]
    return re.sub(r"[^\w.-]", "_", "-".join(parts))


def read_config(path: Path) -> str:
    """The text of the file that ``--config`` names.

    Raises:
        InputError: the file cannot be read.
    """
    fix = "write the settings to a file in UTF-8, e.g. with --print-config"
    try:
        if path.exists() and not path.is_file():
            raise InputError("CONFIG", f"--config {path} is no regular file", fix=fix)
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError("CONFIG", f"--config {path} is not UTF-8 at byte {error.start}", fix=fix) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError("CONFIG", f"--config {path} cannot be read: {reason}", fix=fix) from error
