"""All rows, in the order of the table."""

from dataclasses import dataclass

from . import adding, jsb
from .case import Case


@dataclass(frozen=True)
class Row:
    """A row: what is measured, and by which cases."""

    title: str
    cases: list[Case]


ROWS = {
    "jsb": Row(jsb.TITLE, jsb.CASES),
    "adding200": Row("adding problem, T = 200, mean squared error", adding.SHORT),
    "adding600": Row("adding problem, T = 600, mean squared error", adding.LONG),
}
