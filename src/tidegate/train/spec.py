"""A cell with settings of its own, such as ``gru[heads=4]``: what takes part in a comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any, TypeVar, get_type_hints

from tidegate.cell import Cell
from tidegate.errors import InputError, TidegateError, did_you_mean
from tidegate.option import Options
from tidegate.plain import in_json, in_words, typed
from tidegate.records import in_brackets
from tidegate.train.setting import SETTING_OPTIONS, Training, check
from tidegate.zoo import find, graph_of

S = TypeVar("S", bound=Training)
WORDS = {"true": True, "false": False, "none": None}
PAIRED = "runs are paired: all cells have the same data in the same order"
EQUAL = {
    "cell": "the name before the bracket is the cell",
    "hidden_size": "the budget sets the size of each cell",
    "group_penalty": "no budget foresees how many units it takes out",
    **dict.fromkeys(("batch_size", "epochs", "steps", "seed", "precision"), PAIRED),
}
OWN = tuple(field.name for field in fields(Training) if field.name not in EQUAL)


class Spec:
    """A cell for a comparison, and the settings in which it differs from the recipe.

    Args:
        cell: a name from the zoo, or a class.
        **options: settings of its layers or of its training, as ``tidegate train`` has them, such as ``heads=4`` or
            ``learning_rate=0.01``. Those of the recipe hold for the rest.

    Attributes:
        cell: the class.
        graph: the cell, with what options of its layers make of it.
        layer: these options.
        options: the settings, plain data, in the order of the flags of ``tidegate train``.
        name: such as ``"GRU[heads=4]"``.

    Raises:
        InputError: there is no such cell or setting, a comparison holds the setting equal for all cells, or its value
            has another type or is out of range, or the cell has no gate for it.
        SpecError: the cell has what an option would give it.

    Example:
        >>> from tidegate.compare import Spec
        >>> Spec("gru", zoneout=0.1, layer_norm=True).name
        'GRU[layer_norm,zoneout=0.1]'
    """

    def __init__(self, cell: str | type[Cell], **options: Any) -> None:
        graph_of(cell)  # raises if this is not a cell
        self.cell = find(cell) if isinstance(cell, str) else cell
        hints = get_type_hints(Training)
        given = {name: _fitted(name, value, hints) for name, value in options.items()}
        self.options = {name: given[name] for name in OWN if name in given}
        check(replace(Training(), **self.options))
        layer = Options(**{option.name: given[option.name] for option in SETTING_OPTIONS if option.name in given})
        self.graph, self.layer = layer.define(self.cell.graph), layer
        layer.check(self.graph)
        self.name = f"{self.cell.name}{in_brackets(self.options)}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and (self.cell.graph, self.options) == (other.cell.graph, other.options)

    def __hash__(self) -> int:
        return hash((self.cell.graph, *self.options.items()))

    def __repr__(self) -> str:
        return f"Spec({', '.join([repr(self.cell.name), *(f'{name}={v!r}' for name, v in self.options.items())])})"

    def over(self, recipe: S) -> S:
        """The recipe with the settings of this cell."""
        return replace(recipe, **self.options)


def parsed(text: str, load: Callable[[str], type[Cell]] = find) -> Iterator[tuple[str, Spec]]:
    """The cells that a text names, such as ``"gru,gru[heads=4],small=gru[zoneout=0.1,layer_norm]"``.

    Args:
        text: cells with commas between them. Settings of a cell follow in brackets, with commas between them, and
            ``NAME=`` in front renames a cell.
        load: the class of a name.

    Returns:
        The name of each cell in the comparison, and the cell.

    Raises:
        InputError: a bracket is open, a setting is given twice, or as ``Spec``.
    """
    for part in _split(text):
        head, options = opened(part)
        alias, renamed, cell = head.partition("=")
        spec = _spec(part, load(cell.strip() if renamed else head), options)
        yield alias.strip() if renamed else spec.name, spec


def one(text: str, load: Callable[[str], type[Cell]] = find) -> Spec:
    """A single cell, perhaps with settings in brackets.

    Args:
        text: such as ``"gru"`` or ``"gru[heads=4]"``.
        load: the class of a name.

    Raises:
        InputError: as ``Spec``.
    """
    head, options = opened(text.strip())
    return _spec(text, load(head), options)


def opened(part: str) -> tuple[str, dict[str, Any]]:
    """A cell and the settings in the brackets behind it: ``"gru[heads=4]"``.

    Args:
        part: a cell as ``parsed`` takes it.

    Returns:
        The text before the brackets, and the values by name.

    Raises:
        InputError: a setting is given twice.
    """
    if not part.endswith("]"):
        return part, {}
    head, _, inside = part[:-1].rpartition("[")
    options: dict[str, Any] = {}
    for entry in filter(None, map(str.strip, inside.split(","))):
        name, equals, value = entry.partition("=")
        name = name.strip().replace("-", "_")
        if name in options:
            raise InputError("CELL_OPTION", f"{part} has {name} twice", fix="leave one of them out")
        options[name] = _value(value.strip()) if equals else True
    return head.strip(), options


def _split(text: str) -> Iterable[str]:
    """The parts between those commas that stand in no bracket."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if depth not in (0, 1):
            break
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    if depth:
        what = "is not closed" if depth > 0 else "was never opened"
        raise InputError("CELL_BRACKET", f"a bracket in {text!r} {what}", fix="write e.g. gru,gru[heads=4]")
    return filter(None, map(str.strip, parts))


def _spec(part: str, cell: type[Cell], options: Mapping[str, Any]) -> Spec:
    try:
        return Spec(cell, **options)
    except TidegateError as error:
        raise type(error)(error.code, f"{part}: {error.message}", fix=error.fix) from None


def _value(text: str) -> Any:
    """A number, true, false or none; any other text is a word."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _fitted(name: str, value: Any, hints: Mapping[str, Any]) -> Any:
    """The value as its declared type."""
    if name in EQUAL:
        raise InputError("CELL_OPTION", f"{name} cannot differ between cells: {EQUAL[name]}", fix="leave it out")
    if name not in OWN:
        near = did_you_mean(name, OWN)
        raise InputError("CELL_OPTION", f"a cell has no setting {name!r}{near}", fix=f"settings: {', '.join(OWN)}")
    try:
        return typed(value, hints[name], name)
    except InputError:
        expected = in_words(hints[name]).replace("null", "none")
        raise InputError("CELL_OPTION", f"{name} is {in_json(value)}, expected {expected}", fix="correct it") from None
