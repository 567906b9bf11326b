"""Plain data: JSON that is read with clear errors, values that are held to their declared types, and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import reprlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tidegate.errors import InputError, visible

WORDS = {int: "an integer", float: "a number", bool: "true or false", str: "a string", NoneType: "null"}
EXACT = 1 << 53  # larger integers have no float of their own


HALF = re.compile("[\ud800-\udfff]")
FORMULA = re.compile(r"'*[=+\-@\t\r]")  # how a cell begins that a spreadsheet computes
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(text: str | bytes) -> Any:
    """The value that a JSON text describes.

    Raises:
        InputError: it is not JSON; the message is a reason without the name of the text.
    """
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        value = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError("JSON", f"{error.msg} at {place}") from None
    except UnicodeDecodeError as error:
        raise InputError("JSON", f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise InputError("JSON", "it is nested too deeply") from None
    except ValueError:  # Python's limit
        raise InputError("JSON", "it has a number of thousands of digits") from None
    if SURROGATE.search(text) and HALF.search(json.dumps(value, ensure_ascii=False)):
        raise InputError("JSON", "it has half of a surrogate pair")
    return value


def to_csv(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table as CSV whose texts no spreadsheet computes and whose header no terminal obeys; ``from_csv`` reads it.

    Args:
        header: names of the columns.
        rows: texts, numbers, and None for an empty cell.
    """
    return "".join(",".join(map(_quoted, row)) + "\n" for row in [map(visible, header), *rows])


def from_csv(text: str) -> list[dict[str, str]]:
    """The rows of a table that ``to_csv`` wrote, each text as it was.

    Raises:
        ValueError: a row has more or fewer cells than the header.
        csv.Error: a quote is open.
    """
    rows = [[unguarded(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""), strict=True)]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def guarded(cell: Any) -> Any:
    """A text that a spreadsheet would compute, with an apostrophe in front; anything else unchanged.

    Examples:
        >>> guarded("=1+1"), guarded("'=1"), guarded("-1.5"), guarded("it's")
        ("'=1+1", "''=1", '-1.5', "it's")
    """
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) and not _number(cell) else cell


def unguarded(cell: str) -> str:
    """The text that ``guarded`` has had."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def _quoted(cell: Any) -> str:
    """A cell as CSV has it; Python's own writer leaves a carriage return bare, which ends the row for other readers."""
    text = "" if cell is None else str(guarded(cell))
    return '"' + text.replace('"', '""') + '"' if re.search('[",\r\n]', text) else text


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell.isprintable()


def typed(value: Any, hint: Any, place: str) -> Any:
    """A value from JSON or TOML as its declared type.

    Lists become tuples, objects become dataclasses, and integers become floats, where that is the declared type.

    Args:
        value: strings, numbers, lists and mappings.
        hint: a scalar type, a literal, a union, a list, a tuple, a dictionary of strings, or a dataclass.
        place: the name of the value in errors.

    Raises:
        InputError: the value, or one inside it, has another type; the message names its place.
    """
    if hint is Any:
        return value
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _one_of(value, arguments, place)
    if origin in (tuple, list) and isinstance(value, list):
        return _items(value, hint, place)
    if origin is dict and isinstance(value, dict):
        return {key: typed(item, arguments[1], f"{place}.{_key(key)}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return _instance(value, hint, place)
    if hint is float and type(value) is int and abs(value) < EXACT:
        return float(value)
    literal = origin is Literal and any(type(value) is type(known) and value == known for known in arguments)
    if not literal and type(value) is not hint:
        raise misfit(value, hint, place)
    return value


def misfit(value: Any, hint: Any, place: str) -> InputError:
    """The error for a value of another type than declared."""
    return InputError("TYPE", f"{place} is {in_json(value)}, expected {in_words(hint)}")


def in_json(value: Any) -> str:
    """A value as JSON and TOML have it, shortened.

    Examples:
        >>> in_json(None), in_json(True), in_json("a"), in_json([1, 2])
        ('null', 'true', "'a'", '[1, 2]')
    """
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return reprlib.repr(value)


def _one_of(value: Any, options: tuple[Any, ...], place: str) -> Any:
    for option in options:
        with suppress(InputError):
            return typed(value, option, place)
    raise misfit(value, Union[options], place)  # noqa: UP007  of a tuple


def _items(value: list[Any], hint: Any, place: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    fixed = origin is tuple and Ellipsis not in arguments
    if fixed and len(value) != len(arguments):
        raise misfit(value, hint, place)
    kinds = arguments if fixed else arguments[:1] * len(value)
    return origin(typed(item, kind, f"{place}[{k}]") for k, (item, kind) in enumerate(zip(value, kinds, strict=True)))


def _instance(value: Mapping[str, Any], kind: Any, place: str) -> Any:
    hints, known = get_type_hints(kind), {field.name: field for field in dataclasses.fields(kind) if field.init}
    strange = next((key for key in value if key not in known), None)
    if strange is not None:
        raise InputError("TYPE", f"{place} has the unknown key {_key(strange)}")
    for name, field in known.items():
        if name not in value and field.default is field.default_factory is dataclasses.MISSING:
            raise InputError("TYPE", f"{place} lacks {name}")
    return kind(**{name: typed(item, hints[name], f"{place}.{name}") for name, item in value.items()})


def _key(key: str) -> str:
    return reprlib.repr(key)


def in_words(hint: Any) -> str:
    """A declared type in words.

    Examples:
        >>> in_words(tuple[float, ...]), in_words(int | None)
        ('a list, each item a number', 'an integer or null')
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(in_words, arguments)))
    if origin is Literal:
        return " or ".join(f'"{literal}"' for literal in arguments)
    if origin in (tuple, list):
        count = f" of {len(arguments)}" if origin is tuple and Ellipsis not in arguments else ""
        return f"a list{count}, each item {in_words(arguments[0])}"
    return WORDS.get(hint, "an object with keys")
