"""Files with a JSON object on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tidegate.data.source import Source
from tidegate.data.text import lines
from tidegate.errors import InputError


def read_objects(source: Source, form: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The place of each line that is not blank, as errors name it, and its object.

    Args:
        source: the file.
        form: what a line should look like, for errors.

    Raises:
        InputError: the file is not text, or a line is not an object with keys.
    """
    for place, line in lines(source):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:  # absurdly long numbers, absurdly deep nesting
            said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise InputError("JSONL", f"{place} of {source.title} is not JSON: {said}", fix=f"write {form}") from None
        if not isinstance(found, dict) or not found:
            raise InputError(
                "JSONL",
                f"{place} of {source.title} is not a JSON object with keys: {line.strip()[:40]!r}",
                fix=f"write {form}",
            )
        yield place, found
