"""Messages of the library, reworded for the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable

# "horizon=24", "strategy='recursive'", "known=", "streaming=True" or "eps=(0.1, 0.2)", not in a longer word or the
# brackets of a cell
SETTING = re.compile(
    r"""(?<![\w.\-'"/\[,])(?P<name>[a-z][a-z0-9_]*)=(?P<value>'[^']*'|"[^"]*"|\([\d., ]*\)|[\w.+\-]*\w)?"""
)


def in_shell(text: str, names: Iterable[str]) -> str:
    """Rewrite Python arguments in a message as command-line options.

    Args:
        text: a message such as "set horizon=24".
        names: the arguments that are options, too.

    Returns:
        The message with "--horizon 24".

    Examples:
        >>> in_shell("train it with horizon=24, or with strategy='recursive'", ["horizon", "strategy"])
        'train it with --horizon 24, or with --strategy recursive'
        >>> in_shell("raise longest=, or set stress=False or calibrate=True", ["longest", "stress", "calibrate"])
        'raise --longest, or set --no-stress or --calibrate'
        >>> in_shell("GRU[heads=4,rank=2] has heads=4", ["heads", "rank"])
        'GRU[heads=4,rank=2] has --heads 4'
        >>> in_shell("pass edits=(1, 2, 3)", ["edits"])
        'pass --edits 1,2,3'
    """
    known = set(names)

    def option(match: re.Match[str]) -> str:
        name, value = match["name"], match["value"]
        if name not in known:
            return match[0]
        flag = name.replace("_", "-")
        if value in ("True", "False"):
            return f"--{'' if value == 'True' else 'no-'}{flag}"
        if value and value[0] == "(":
            return f"--{flag} {value[1:-1].replace(' ', '')}"
        return f"--{flag}" if value is None else f"--{flag} {value.strip(chr(39) + chr(34))}"

    return SETTING.sub(option, text)
