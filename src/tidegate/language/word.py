"""Codes of records as words."""

from __future__ import annotations

from tidegate.language.said import say, translated

WORDS = {
    "fault": say("fault"),
    "warning": say("warning"),
    "note": say("note"),
    "above": say("above"),
    "below": say("below"),
    "lower": say("lower"),
    "higher": say("higher"),
    "finished": say("finished"),
    "diverged": say("diverged"),
    "epoch": say("epoch"),
    "second": say("second"),
    "units": say("units"),
    "features": say("features"),
    "padding": say("padding"),
    "chunks": say("chunks"),
    "resets": say("resets"),
    "leak": say("leak"),
}


def word(code: str) -> str:
    """What a code of a record is called in the language that is spoken; anything else as it is.

    Args:
        code: such as ``"fault"``.
    """
    text: str = translated(WORDS.get(code, code))
    return text
