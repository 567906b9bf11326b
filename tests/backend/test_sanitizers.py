"""A few configurations with the engine built for the sanitizers; tests/backend/sanitize.py runs many."""

import os
import subprocess
import sys

import pytest

from tests.backend import sanitize
from tidegate.errors import BackendError

CELLS, COUNT, FIRST = ["lstm"], 1, 11  # each cell takes seconds to compile, and seed 10 to run
NORMED, NORMED_COUNT = ["rnn|all"], 1  # an LSTM with layer norm takes minutes, with sanitizers
BY_UNIT, BY_UNIT_COUNT = ["indrnn"], 1
ISA = "baseline"  # AVX-512 reads parts of vectors by instructions that compilers do not watch

MISUSES = 80  # of layers of one cell; python -m tests.backend.misuse draws thousands, of several

OVERRUN = f"""
import ctypes, torch, warnings
from tests.backend.misuse import outcome
from tidegate.runtime.sized import compiled
from tidegate.runtime.library import load
from tidegate.zoo import LSTM

warnings.simplefilter("ignore")
ended = [outcome(seed, ["LSTM"])[1] for seed in range({MISUSES})]
print(sum(end in ("error", "right") for end in ended), "misuses", flush=True)
source = compiled(LSTM.graph).source
address = load().function(source)(source.function("forward", 0, saving=False, dtype="f32"))
rows = [torch.zeros(64) for _ in range(32)]
places = (ctypes.c_void_p * 32)(*[row.data_ptr() for row in rows])
strides = (ctypes.c_int64 * 32)()

class Tile(ctypes.Structure):
    _fields_ = [("rows", ctypes.c_void_p), ("strides", ctypes.c_void_p), ("counts", ctypes.c_int32 * 2)]

for width in (64, 65):
    tile = Tile(ctypes.addressof(places), ctypes.addressof(strides), (1, width))
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)(ctypes.addressof(tile))
    print("ran", width, flush=True)
"""


@pytest.fixture(scope="module", autouse=True)
def _sanitizers():
    try:
        found = sanitize.runtimes("address")
    except BackendError as error:
        pytest.skip(str(error))
    if not found:
        pytest.skip("the compiler has no sanitizers")


def skip_unless_started(printed: str, complaints: str) -> None:
    if not printed and "Sanitizer" not in complaints:
        pytest.skip(f"Python does not start under the sanitizer here: {complaints[-500:]}")


def python(program: str) -> subprocess.CompletedProcess[str]:
    settings = sanitize.environment("address", ISA) | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=settings, cwd=sanitize.ROOT, capture_output=True, text=True, check=False)


def test_no_configuration_leaves_its_memory_or_the_language():
    seeds = sanitize.seeds_of(CELLS, COUNT, FIRST) + sanitize.seeds_of(NORMED, NORMED_COUNT)
    seeds += sanitize.seeds_of(BY_UNIT, BY_UNIT_COUNT)
    outcome = sanitize.run(seeds, "address", ISA)
    skip_unless_started(str(outcome.running or ""), outcome.said)
    assert outcome.complaints == [], outcome.said[-sanitize.REPORT :]
    assert len(outcome.seeds) == COUNT + NORMED_COUNT + BY_UNIT_COUNT


def test_misuses_leave_no_memory_and_the_sanitizer_watches_what_torch_allocates():
    """Behind the misuses a planted bug: a row that is shorter than the engine is told."""
    done = python(OVERRUN)
    skip_unless_started(done.stdout, done.stderr)
    assert done.returncode
    assert done.stdout == f"{MISUSES} misuses\nran 64\n"
    assert "heap-buffer-overflow" in done.stderr
