"""Files with a JSON object on each line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tidegate.data.source import Source
from tidegate.data.text import lines
from tidegate.errors import InputError
from tidegate.plain import read_json


def read_objects(source: Source, form: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line that is not blank: its place, as errors name it, and its object.

    Args:
        source: the file.
        form: what a line should look like, for errors.

    Raises:
        InputError: the file is not text, or a line is not an object with keys.
    """
    for place, line in lines(source):
        try:
            value = read_json(line)
        except InputError as error:
            raise InputError("JSONL", f"{place} of {source.title} is not JSON: {error}", fix=f"write {form}") from None
        if not isinstance(value, dict) or not value:
            raise InputError(
                "JSONL",
                f"{place} of {source.title} is not a JSON object with keys: {line.strip()[:40]!r}",
                fix=f"write {form}",
            )
        yield place, value
