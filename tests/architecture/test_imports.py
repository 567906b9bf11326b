"""The import table of docs/design/architecture.md, held by reading every import with ``ast``."""

import ast
import sys
from pathlib import Path

import pytest

import tidegate

ROOT = Path(tidegate.__file__).parent

# room: (rooms it may import, third-party packages it may import)
TABLE: dict[str, tuple[str, str]] = {
    "errors": ("", ""),
    "spec": ("errors", ""),
    "zoo": ("errors spec", ""),
    "passes": ("errors spec", ""),
    "emit": ("errors spec passes", ""),
    "runtime": ("errors spec passes emit", "torch numpy"),
    "nn": ("errors spec zoo passes emit runtime", "torch numpy"),
    "convert": ("errors spec zoo passes nn", "torch numpy onnx"),
    "keras": ("errors spec zoo passes runtime nn", "torch keras"),
    "bench": ("errors spec zoo nn runtime", "torch numpy jax onnx onnxruntime torchrecurrent"),
    "records": ("errors", ""),
    "storage": ("", ""),
    "setting": ("errors", "tomli_w"),
    "data": ("errors records", "numpy pandas scipy soundfile mido"),
    "tasks": ("errors records setting nn data", "torch numpy scipy sklearn sacrebleu jiwer sentencepiece"),
    "train": ("errors storage setting nn data tasks records", "torch safetensors"),
    "estimator": (
        "errors storage spec zoo setting nn data tasks train records report",
        "torch numpy pandas safetensors sklearn filelock matplotlib",
    ),
    "compare": ("errors storage spec zoo nn data tasks train records", "torch numpy scipy safetensors filelock"),
    "report": ("errors storage spec zoo emit records", "matplotlib jinja2 numpy markupsafe"),
    "__main__": ("cli", ""),
    "cli": (
        "errors storage spec zoo emit setting nn bench data tasks train estimator compare records report",
        "tyro rich torch pandas",
    ),
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
            assert target in rooms | {room} or target == "__version__" or (room, name) == ("compare", "tidegate"), name
        elif first not in sys.stdlib_module_names:
            assert first in packages, f"{room} may not import {first}"


def test_every_room_of_the_table_exists() -> None:
    assert set(TABLE) == {room_of(path) for path in FILES}


def test_there_is_no_drawer_for_leftovers() -> None:
    names = {path.stem for path in FILES} | {path.parent.name for path in FILES}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}
