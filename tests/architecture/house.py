"""What a source tree looks like: its rooms, who imports whom, and what is long.

    python -m tests.architecture.house                     # src/tidegate
    python -m tests.architecture.house OTHER/src/tidegate

A room is a folder or a file at the top of the package. An arrow is an import of one room by another, wherever the
statement stands. An arrow is backward if it points to a room further down the table of the design.
"""

import ast
import statistics
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tidegate"
DESIGN = Path("docs") / "design" / "architecture.md"
LONGEST_FUNCTION = 40  # lines without the docstring
LONGEST_FILE = 400
Definition = ast.FunctionDef | ast.AsyncFunctionDef


class Row(NamedTuple):
    """A room in the table of the design: the rooms and the third-party packages that it may import."""

    rooms: frozenset[str]
    packages: frozenset[str]


class Function(NamedTuple):
    """A function or method, with its length in lines without the docstring."""

    place: str
    lines: int


def read_table(text: str) -> dict[str, Row]:
    """The rooms of the design, in its order, lowest first."""
    lines = text.partition("| room |")[2].splitlines()[2:]
    table: dict[str, Row] = {}
    for line in lines:
        if not line.startswith("|"):
            break
        room, _, rooms, packages = (cell.strip() for cell in line.strip("|").split("|"))
        table[room.strip("`").removesuffix("/").removesuffix(".py")] = Row(_names(rooms), _names(packages))
    return table


def _names(cell: str) -> frozenset[str]:
    return frozenset(name.strip().strip("`") for name in cell.split(",") if name.strip() not in {"-", "(C++)"})


def imports(tree: ast.AST) -> set[str]:
    """Absolute names of all modules that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@dataclass(frozen=True)
class House:
    """A package that lies in one folder."""

    source: Path = SOURCE

    @cached_property
    def trees(self) -> Mapping[Path, ast.Module]:
        """Each Python file with its syntax tree; not the package's own ``__init__``, which names everything."""
        paths = sorted(path for path in self.source.rglob("*.py") if path != self.source / "__init__.py")
        return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}

    @cached_property
    def table(self) -> Mapping[str, Row]:
        """The table of the design that lies beside the source."""
        return read_table((self.source.parents[1] / DESIGN).read_text(encoding="utf-8"))

    def room(self, path: Path) -> str:
        """The room that a file is in."""
        return path.relative_to(self.source).parts[0].removesuffix(".py")

    @cached_property
    def rooms(self) -> Mapping[str, Row]:
        """Each room that has Python files, with what it imports."""
        own: dict[str, set[str]] = {}
        foreign: dict[str, set[str]] = {}
        for path, tree in self.trees.items():
            room = self.room(path)
            own.setdefault(room, set())
            foreign.setdefault(room, set())
            for name in imports(tree):
                first, *rest = name.split(".")
                if first == self.source.name and rest:
                    own[room] |= {rest[0]} - {room}
                elif first not in sys.stdlib_module_names:
                    foreign[room].add(first)
        return {room: Row(frozenset(own[room]), frozenset(foreign[room])) for room in own}

    @cached_property
    def arrows(self) -> list[tuple[str, str]]:
        """Every room with each room that it imports."""
        return [(room, other) for room, row in sorted(self.rooms.items()) for other in sorted(row.rooms)]

    @cached_property
    def backward(self) -> list[tuple[str, str]]:
        """Arrows against the order of the design."""
        place = {room: k for k, room in enumerate(self.table)}
        return [(room, other) for room, other in self.arrows if place.get(other, -1) >= place.get(room, len(place))]

    @cached_property
    def circles(self) -> list[set[str]]:
        """Sets of rooms that reach each other."""
        reached = {room: self._reached(room) for room in self.rooms}
        circles = {frozenset(other for other in reached[room] if room in reached[other]) for room in reached}
        return [set(circle) for circle in circles if circle]

    def _reached(self, room: str) -> set[str]:
        reached: set[str] = set()
        waiting = {room}
        while waiting:
            other = waiting.pop()
            new = self.rooms[other].rooms & self.rooms.keys() - reached if other in self.rooms else set()
            reached |= new
            waiting |= new
        return reached

    @cached_property
    def functions(self) -> list[Function]:
        """All functions and methods, the longest first."""
        functions = (
            Function(f"{path.relative_to(self.source)}:{node.lineno} {node.name}", _length(node))
            for path, tree in self.trees.items()
            for node in ast.walk(tree)
            if isinstance(node, Definition)
        )
        return sorted(functions, key=lambda function: -function.lines)

    @cached_property
    def files(self) -> Mapping[Path, int]:
        """Lines of every source file, Python and C++."""
        paths = (path for suffix in ("py", "h", "cpp") for path in self.source.rglob(f"*.{suffix}"))
        return {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sorted(paths)}

    @cached_property
    def over_budget(self) -> list[str]:
        """A line for each function and file that is longer than it should be."""
        functions = [f"{place}: {lines} lines" for place, lines in self.functions if lines > LONGEST_FUNCTION]
        files = [f"{path.relative_to(self.source)}: {n} lines" for path, n in self.files.items() if n > LONGEST_FILE]
        return functions + files

    def report(self) -> Iterator[str]:
        """What there is to say, line by line."""
        lengths = sorted(function.lines for function in self.functions)
        python = sum(lines for path, lines in self.files.items() if path.suffix == ".py")
        yield f"rooms: {len(self.rooms)}, arrows: {len(self.arrows)}"
        yield f"backward arrows: {', '.join(f'{a} -> {b}' for a, b in self.backward) or 'none'}"
        yield f"circles: {', '.join(' '.join(sorted(circle)) for circle in self.circles) or 'none'}"
        yield f"lines: {python:,} of Python, {sum(self.files.values()) - python:,} of C++, in {len(self.files)} files"
        yield f"functions: {len(lengths)}, median {statistics.median(lengths):.0f} lines, longest {lengths[-1]}"
        yield f"over budget (functions of {LONGEST_FUNCTION} lines, files of {LONGEST_FILE}): {len(self.over_budget)}"
        yield from (f"  {line}" for line in self.over_budget)


def _length(node: Definition) -> int:
    """Lines of a function without its docstring."""
    assert node.end_lineno
    first, *_ = node.body
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    docstring = (first.end_lineno or 0) - first.lineno + 1 if is_text else 0
    return node.end_lineno - node.lineno + 1 - docstring


if __name__ == "__main__":
    print("\n".join(House(Path(sys.argv[1]).resolve() if sys.argv[1:] else SOURCE).report()))  # noqa: T201
