"""torch's own module database over our classes: nothing fails that does not fail with torch's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

GROUPS = ("LSTM", "LSTMCell", "RNNCell"), ("RNN", "GRU", "GRUCell")  # a process for each, as importing is slow
CHECKS = 14 + 4  # of each module, in float64 in training; four of them also in float32 in evaluation

# After the modules, in the place of our GRU a layer that exchanges units on the way out, where the input has no batch.
PROGRAM = """
import json, sys, tidegate.nn
from tests.peer import module_database

class Broken(tidegate.nn.GRU):
    def forward(self, *arguments, **options):
        y, *rest = super().forward(*arguments, **options)
        return y.roll(1, -1) if getattr(arguments[0], "ndim", 3) == 2 else y, *rest

module_database.report(sys.argv[1:])
checks = module_database.as_torch_has_it, module_database.as_the_reference_has_it
for line in module_database.lines("GRU", Broken, checks):
    print(json.dumps({"module": "Broken"} | line))
"""


@pytest.mark.parametrize("modules", GROUPS, ids=" ".join)
def test_every_check_ends_as_with_torch_and_a_broken_layer_is_found(modules, record_property):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *modules],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for name in modules:
        found = [line for line in lines if line["module"] == name]
        failed = [line for line in found if line["ours"]]
        record_property(f"{name} passed", len(found) - len(failed))
        print(f"{name}: {len(found) - len(failed)} passed, {len(failed)} failed, 0 skipped")  # noqa: T201  shown by -rP
        assert len(found) == CHECKS
        assert not failed
    broken = [line for line in lines if line["module"] == "Broken"]
    assert len(broken) == 4
    assert all(line["ours"].startswith("AssertionError") and not line["torchs"] for line in broken)
