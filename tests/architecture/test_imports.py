"""The import table of docs/design/architecture.md, held by reading every import with ``ast``."""

import ast
import sys
from pathlib import Path

import pytest

import tidegate

ROOT = Path(tidegate.__file__).parent

# room: (rooms it may import, third-party packages it may import)
TABLE: dict[str, tuple[str, str]] = {
    "_version": ("", ""),
    "errors": ("", ""),
    "cell": ("errors", ""),
    "zoo": ("errors cell", ""),
    "passes": ("errors cell", ""),
    "emit": ("errors cell passes", ""),
    "option": ("errors cell passes", "torch"),  # for types, and inside functions
    "runtime": ("errors cell passes emit", "torch numpy"),
    "nn": ("errors cell zoo passes emit option runtime", "torch numpy"),
    "convert": ("errors cell zoo passes nn", "torch numpy onnx"),
    "keras": ("errors cell zoo passes runtime nn", "torch keras"),
    "records": ("errors", ""),
    "storage": ("", "filelock"),
    "data": ("errors records", "numpy pandas pyarrow scipy soundfile mido sentencepiece"),
    "train": ("errors storage cell zoo option nn data records", "torch numpy safetensors sklearn filelock tomli_w"),
    "tasks": (
        "errors storage records cell nn data train report",
        "torch numpy pandas scipy sklearn sacrebleu jiwer sentencepiece matplotlib",
    ),
    "report": ("errors storage cell zoo emit records", "matplotlib jinja2 numpy markupsafe"),
    "compare": (
        "_version errors storage cell zoo nn data tasks train records",
        "torch numpy scipy safetensors filelock",
    ),
    "cli": (
        "_version errors storage cell zoo emit nn data tasks train compare records report",
        "tyro rich torch pandas",
    ),
    "__main__": ("cli", ""),
}


def imports(path: Path) -> set[str]:
    """Absolute names of all modules that a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> str:
    part = path.relative_to(ROOT).parts[0]
    return part.removesuffix(".py")


FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_table(path: Path) -> None:
    room = room_of(path)
    assert room in TABLE, f"{room} is not a room: add it to the table and to docs/design/architecture.md"
    rooms, packages = (set(part.split()) for part in TABLE[room])
    for name in imports(path):
        first, *rest = name.split(".")
        if first == "tidegate":
            target = rest[0] if rest else ""
            assert target in rooms | {room}, name
        elif first not in sys.stdlib_module_names:
            assert first in packages, f"{room} may not import {first}"


def test_every_room_of_the_table_exists() -> None:
    assert set(TABLE) == {room_of(path) for path in FILES}


def test_there_is_no_drawer_for_leftovers() -> None:
    names = {path.stem for path in FILES} | {path.parent.name for path in FILES}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}
