"""What users type, before it is used."""

from __future__ import annotations

from pathlib import Path

from tidegate.errors import InputError

PICTURES = (".svg", ".png", ".pdf")
LISTS = ("--text", "--known", "--quantiles")


def check_lists(arguments: list[str]) -> None:
    """Refuse an option for several values that stands there twice: only its last values would count.

    Raises:
        InputError: it does.
    """
    for option in LISTS:
        if arguments.count(option) > 1:
            raise InputError("REPEATED", f"{option} is given twice", fix=f"give all values at once: {option} A B")


def check_number(option: str, value: int | None, low: int = 1, high: int | None = None) -> None:
    """Refuse a number out of range; None stands for an option that was not given.

    Raises:
        InputError: ``value`` is below ``low`` or above ``high``.
    """
    if value is None or (low <= value and (high is None or value <= high)):
        return
    most = "" if high is None else f" and at most {high}"
    raise InputError("NUMBER", f"--{option} is {value}", fix=f"give at least {low}{most}")


def check_picture(option: str, path: Path | None) -> None:
    """Refuse the name of a picture that does not say its format; None stands for an option that was not given.

    Raises:
        InputError: ``path`` ends in none of SVG, PNG and PDF.
    """
    if path is not None and path.suffix.casefold() not in PICTURES:
        raise InputError("PICTURE", f"--{option} {path} is no kind of picture", fix=f"end it in {', '.join(PICTURES)}")
