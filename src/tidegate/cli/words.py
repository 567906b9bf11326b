"""The shell's words for what the library says in Python's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tidegate.errors import InputError

# "horizon=24", "strategy='recursive'", "known=" or "streaming=True", with nothing of a word before it
SETTING = re.compile(r"""(?<![\w.\-'"/])(?P<name>[a-z][a-z0-9_]*)=(?P<value>'[^']*'|"[^"]*"|[\w.+\-]*\w)?""")


def in_shell(text: str, names: Iterable[str]) -> str:
    """The text with these arguments of Python's written as options of the shell.

    Examples:
        >>> in_shell("train it with horizon=24, or with strategy='recursive'", ["horizon", "strategy"])
        'train it with --horizon 24, or with --strategy recursive'
        >>> in_shell("raise longest=, or set stress=False or calibrate=True", ["longest", "stress", "calibrate"])
        'raise --longest, or set --no-stress or --calibrate'
    """
    known = set(names)

    def option(match: re.Match[str]) -> str:
        name, value = match["name"], match["value"]
        if name not in known:
            return match[0]
        flag = name.replace("_", "-")
        if value in ("True", "False"):
            return f"--{'' if value == 'True' else 'no-'}{flag}"
        return f"--{flag}" if value is None else f"--{flag} {value.strip(chr(39) + chr(34))}"

    return SETTING.sub(option, text)


def read_config(path: Path) -> str:
    """The text of the file that ``--config`` names.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("CONFIG", f"--config {path} cannot be read: {error}", fix="check the file") from error
