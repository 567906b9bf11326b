"""Numbers as users type them."""

from __future__ import annotations

from tidegate.errors import InputError


def check_number(option: str, value: int | None, low: int = 1, high: int | None = None) -> None:
    """Refuse a number out of range; None stands for an option that was not given.

    Raises:
        InputError: ``value`` is below ``low`` or above ``high``.
    """
    if value is None or (low <= value and (high is None or value <= high)):
        return
    most = "" if high is None else f" and at most {high}"
    raise InputError("NUMBER", f"--{option} is {value}", fix=f"give at least {low}{most}")
