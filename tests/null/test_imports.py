"""What describes cells needs nothing but Python."""

import subprocess
import sys
from pathlib import Path

import pytest

import tidegate

SOURCE = Path(tidegate.__file__).parents[1]
PROGRAM = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in sys.stdlib_module_names | {"tidegate"}:
            raise ImportError(f"third-party module {name}")

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
import importlib
importlib.import_module(sys.argv[2])
"""


def run(module):
    # -S leaves site-packages out, -I the environment
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", PROGRAM, str(SOURCE), module]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


ROOMS = ["errors", "cell", "zoo", "zoo.keras", "emit", "emit.latex", "passes", "option", "records"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_without_any_third_party_package(room):
    done = run(f"tidegate.{room}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", ["runtime", "nn"])
def test_the_check_itself_finds_an_import_of_torch(room):
    done = run(f"tidegate.{room}")
    assert "third-party module torch" in done.stderr
