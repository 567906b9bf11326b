"""torch's own module database over our classes: nothing fails that does not fail with torch's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")
CHECKS = 12 * 2 + 2  # of each module, in float32 in evaluation and in float64 in training; two of them in float64 only

# In the place of ours a layer that exchanges units on the way out, where the input has no batch.
BROKEN = """
import json, sys, tidegate.nn
from tests.peer import module_database
class Broken(tidegate.nn.{name}):
    def forward(self, *arguments, **options):
        y, *rest = super().forward(*arguments, **options)
        return y.roll(1, -1) if getattr(arguments[0], "ndim", 3) == 2 else y, *rest
checks = module_database.as_torch_has_it, module_database.as_the_reference_has_it
for line in module_database.lines("{name}", Broken, checks):
    print(json.dumps(line))
"""


def answers(*command):
    """The lines that a process prints, read as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", MODULES)
def test_every_check_ends_as_with_torch(name, record_property):
    found = answers("-m", "tests.peer.module_database", name)
    failed = [line for line in found if line["ours"]]
    record_property("passed", len(found) - len(failed))
    record_property("failed", len(failed))
    print(f"{name}: {len(found) - len(failed)} passed, {len(failed)} failed, 0 skipped")  # noqa: T201  shown by -rP
    assert len(found) == CHECKS
    assert not failed


def test_a_broken_layer_is_found():
    found = answers("-c", BROKEN.format(name="GRU"))
    assert len(found) == 4
    assert all(line["ours"].startswith("AssertionError") and not line["torchs"] for line in found)
