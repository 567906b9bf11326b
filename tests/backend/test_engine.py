"""The engine against the definition, and what is around it: cache, compilers, threads, forks, torch's transforms.

benchmarks/check_engine.py compares thousands of configurations; here is a sample.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch

from tests.backend.agreement import engine, judge, poisoned, threads
from tests.backend.drawn import Configuration, draw
from tests.backend.sanitize import seeds_of
from tidegate.cell import Cell, maximum, sigmoid, tanh
from tidegate.errors import BackendError, InputError
from tidegate.nn import GRU, LSTM, RNN, Recurrent
from tidegate.runtime import cache as cache_of_cells
from tidegate.runtime import eager_only, fused, library, strict
from tidegate.runtime.path import Obstacle
from tidegate.runtime.sized import check_size

ROOT = Path(__file__).parents[2]
FIRST, MANY, FEW = 1, 12, 3  # the first seed; how many in the instruction set of this machine, and in each other
ELSEWHERE = ("lstm",)  # what runs in the others, as each cell must be compiled for them

try:
    library.load()
except library.BackendError as none:
    pytest.skip(f"no engine here: {none}", allow_module_level=True)

# test_sanitizers runs the baseline, which is enough where it is not the set of this machine
ISAS = [isa for isa in library.ISAS if isa != "baseline" or isa == library.isa()]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, from the root of the repository."""
    settings = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=settings | environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("isa", ISAS)
def test_drawn_configurations_agree_with_the_definition(isa):
    if isa not in library._available_isas():
        pytest.skip(f"this CPU cannot run {isa}")
    seeds = range(FIRST, FIRST + MANY) if isa == library.isa() else seeds_of(ELSEWHERE, FEW, FIRST)
    done = run("-m", "tests.backend.agreement", *map(str, seeds), TIDEGATE_ISA=isa)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    verdicts = [line for line in lines if "complaints" in line]
    assert [v for v in verdicts if v["complaints"]] == []
    assert done.returncode == 0, done.stderr
    assert len(verdicts) == len(seeds)


# Shapes that are seldom drawn

SMALL = replace(
    draw(1), cell="lstm", projected=0, T=3, B=2, features=3, hidden=5, layers=1, bidirectional=False, layout="full",
    lengths=None, resets=False, place="whole", saturated=False, loss="all", input_gradient=True, frozen=0.0, extras=(),
    norm=False,
)  # fmt: skip
RAGGED = tuple((7 * k) % 24 for k in range(57))
SHAPES = {
    "one step": replace(SMALL, T=1),
    "one number": replace(SMALL, T=1, B=1, features=1, hidden=1),
    "a wide layer in one step": replace(SMALL, T=1, B=1, features=300, hidden=200, threads=2),
    "a few rows, matrices as stored": replace(SMALL, T=1, B=7, features=33, hidden=41),
    "a few rows of a wide layer": replace(SMALL, T=2, B=4, features=300, hidden=131, threads=2),
    "two steps of one row": replace(SMALL, T=2, B=1, features=70, hidden=65, bidirectional=True),
    "one step of two rows, with a reset": replace(SMALL, T=1, hidden=33, resets=True),
    "two steps of one row, normalised": replace(SMALL, T=2, B=1, hidden=33, norm="all"),
    "one unit": replace(SMALL, hidden=1, T=20, B=40),
    "many sequences": replace(SMALL, B=3000, hidden=17, threads=2),
    "many sequences, one unit": replace(SMALL, B=3000, hidden=1),
    "many steps": replace(SMALL, T=1000, B=1, hidden=9),
    "no sequences": replace(SMALL, B=0),
    "no steps at all": replace(SMALL, layout="lengths", lengths=(0, 0)),
    "a chunk for each few steps": replace(SMALL, T=24, B=57, features=64, hidden=64, layout="lengths", lengths=RAGGED),
    "few sequences, shared by units": replace(SMALL, T=6, B=5, hidden=150, bidirectional=True, threads=4),
    "normalised": replace(SMALL, hidden=9, norm="all"),
    "normalised, shared by units": replace(SMALL, T=6, B=5, hidden=150, bidirectional=True, threads=4, norm="all"),
    "normalised, a wide layer in one step": replace(SMALL, T=1, B=1, features=300, hidden=1500, threads=2, norm="all"),
    "each normalised, with resets": replace(SMALL, T=24, B=19, hidden=65, resets=True, norm="each"),
    "normalised, projected": replace(SMALL, T=5, B=9, hidden=70, projected=20, norm="all"),
    "normalised, a chunk for each few steps": replace(
        SMALL, T=24, B=57, features=64, hidden=64, layout="lengths", lengths=RAGGED, norm="all"
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_rare_shapes_agree_with_the_definition(shape, dtype):
    assert judge(replace(SHAPES[shape], dtype=dtype)).complaints == []


def test_the_comparison_finds_a_wrong_engine():
    """A planted bug: one activation for another, far below what anybody would see in an output."""
    right = fused.run

    def wrong(*args, **named):
        y, *last = right(*args, **named)
        return (y + 1e-11, *last)

    with mock.patch.object(fused, "run", wrong):
        assert "y is" in judge(replace(SMALL, dtype=torch.float64)).complaints[0]
    with mock.patch.object(fused, "obstacle", return_value=Obstacle("planted")):
        assert "ran by its definition" in judge(SMALL).complaints[0]


# Threads and processes

SHARED_BY = {
    "sequences": replace(SMALL, T=24, B=57, features=64, hidden=64, layout="lengths", lengths=RAGGED),
    "units": replace(SMALL, T=12, B=3, features=129, hidden=129),
    "directions": replace(SMALL, T=12, B=20, features=33, hidden=65, bidirectional=True, resets=True),
}


@pytest.mark.parametrize(("cell", "norm"), [("lstm", False), ("gru/before", False), ("fgr", False), ("lstm", "all")])
@pytest.mark.parametrize("shared", SHARED_BY)
def test_every_number_of_threads_gives_the_same_bits(shared, cell, norm):
    for repeat in range(3):  # a race need not show at once
        configuration: Configuration = replace(
            SHARED_BY[shared], cell=cell, norm=norm, seed=repeat, extras=("threads",), threads=2
        )
        assert judge(configuration).complaints == []


def test_calls_from_several_threads_at_once_give_the_same_numbers():
    layer = LSTM(64, 64, bidirectional=True)
    inputs = [torch.randn(20, 17, 64) for _ in range(12)]

    def call(x):
        x = x.clone().requires_grad_()
        y, _ = layer(x)
        return y.detach(), *torch.autograd.grad(y.square().sum(), [x, layer.weight_hh_l0])

    with engine(), threads(2):
        alone = [call(x) for x in inputs]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(call, inputs))
    for one, other in zip(alone, together, strict=True):
        assert all(map(torch.equal, one, other))


SMALL_STACKS = """
import threading, torch
from tidegate.nn import LSTM
torch.set_num_threads(2)
layer, x = LSTM(32, 128, bidirectional=True, layer_norm=True, state_clip=1.0), torch.randn(9, 16, 32)
def call():
    y, _ = layer(x)
    return [tensor.numpy().tobytes() for tensor in torch.autograd.grad(y.sum(), list(layer.parameters()))]
before, after = call(), []
threading.stack_size(64 << 10)
thread = threading.Thread(target=lambda: after.extend(call()))
thread.start(); thread.join()
assert after == before and layer.last_path == "fused"
"""


def test_threads_with_small_stacks_are_enough():
    done = run("-c", SMALL_STACKS, OMP_STACKSIZE="32k")
    assert done.returncode == 0, done.stderr


# torch's own threads do not survive a fork: in a child nothing but the engine may use more than one.
FORK = """
import os, torch
from tidegate.nn import GRU
torch.set_num_threads(2)
layer, x, upstream = GRU(64, 64), torch.randn(20, 40, 64), torch.ones(20, 40, 64)
def call():
    y, _ = layer(x)
    grads = torch.autograd.grad(y, list(layer.parameters()), upstream)
    return [tensor.detach().numpy().tobytes() for tensor in (y, *grads)]
before = call()  # by two threads, which no child has
for generation in range(3):
    child = os.fork()
    if child == 0:
        os._exit(0 if call() == before else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert call() == before
"""

LOADER = """
import torch
from torch.utils.data import DataLoader, Dataset
from tidegate.nn import GRU
torch.set_num_threads(2)
layer, x = GRU(64, 64), torch.randn(8, 20, 40, 64)
def call(part):
    torch.set_num_threads(2)
    with torch.no_grad():
        y, _ = layer(part)
    torch.set_num_threads(1)
    return y
class Outputs(Dataset):
    def __len__(self): return len(x)
    def __getitem__(self, k): return call(x[k])
wanted = torch.stack([call(part) for part in x])
got = torch.cat(list(DataLoader(Outputs(), batch_size=2, num_workers=2, multiprocessing_context="fork")))
assert torch.equal(got, wanted)
"""


THREADS = """
import os, sys, torch
from tidegate.nn import LSTM

torch.set_num_threads(2)
layer, x = LSTM(64, 64), torch.randn(50, 32, 64)
x.exp().sum()  # torch makes its threads
torch.randn(1000, 1000) @ torch.randn(1000, 1000)
before = len(os.listdir("/proc/self/task"))
layer(x)[0].sum().backward()
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_the_engine_runs_on_the_threads_that_torch_has():
    """A pool of its own would compete with them; ``TIDEGATE_THREADS`` asks for one, as race detectors need."""
    shared, own = run("-c", THREADS), run("-c", THREADS, TIDEGATE_THREADS="own")
    if not torch.backends.openmp.is_available():
        pytest.skip("this torch has no OpenMP")
    assert (shared.stdout.strip(), own.stdout.strip()) == ("0", "1"), shared.stderr + own.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.parametrize("program", [FORK, LOADER], ids=["fork", "data loader"])
def test_a_child_of_a_fork_computes_the_same(program):
    done = run("-c", program)
    assert done.returncode == 0, done.stderr


# Compilers and the cache

OWN = """
import json, sys, warnings
import torch
from tidegate.nn import Recurrent
from tidegate.runtime import eager_only
from tidegate.cell import Cell, sigmoid, tanh

class Own(Cell):
    gates = "z n"
    biases = "W"
    def step(self, x, h, U):
        z = sigmoid(x.z - U(h).z)
        n = tanh(x.n + 2 * U(h).n)
        h = n - z * h
        return h

class Second(Own):
    def step(self, x, h, U):
        z = sigmoid(x.z + U(h).z)
        n = tanh(x.n - U(h).n)
        h = n * z + h
        return h

errors = []
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for cell in [Own, Second][: int(sys.argv[1])]:
        layer, x = Recurrent(cell, 3, 5), torch.randn(4, 2, 3)
        for _ in range(2):
            y, _ = layer(x)
        with eager_only():
            errors.append(float((y - layer(x)[0]).abs().max().detach()))
print(json.dumps({"errors": errors, "warnings": [str(w.message) for w in caught]}))
"""


@pytest.fixture
def cache(tmp_path):
    """An empty cache, but for the engine, which takes long to compile."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    built = library.load().path
    if built.parent == cache_of_cells.folder():
        shutil.copy(built, folder)
    return folder


@pytest.fixture
def compiler(tmp_path):
    """A compiler that writes down what it is asked to do."""
    log, program = tmp_path / "log", tmp_path / "logged"
    log.touch()
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {" ".join(library.compiler())} "$@"\n')
    program.chmod(0o700)
    return program, lambda: [line for line in log.read_text().splitlines() if "-o " in line]


def test_two_processes_compile_a_cell_once(cache, compiler):
    program, compiled = compiler
    settings = {"TIDEGATE_CACHE": str(cache), "CXX": str(program)}
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: run("-c", OWN, "1", **settings), range(2)))
    for done in both:
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert max(found["errors"]) < 1e-6
        assert found["warnings"] == []
    files = list(cache.glob("cell-*.so"))
    assert len(files) == 1
    assert len(compiled()) == 1
    assert not [path for path in cache.iterdir() if path.is_dir()]  # nothing half made is left

    written = files[0].stat().st_mtime_ns
    again = run("-c", OWN, "1", **settings)
    assert max(json.loads(again.stdout)["errors"]) < 1e-6
    assert len(compiled()) == 1
    assert files[0].stat().st_mtime_ns == written


def test_without_a_compiler_layers_run_eagerly_and_say_so_once(tmp_path):
    # Flags of one's own: prebuilt libraries are left aside. test_cache.py has further reasons.
    done = run("-c", OWN, "2", CXX="/nonexistent", TIDEGATE_CACHE=str(tmp_path / "none"), TIDEGATE_FLAGS="-O1")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["errors"] == [0.0, 0.0]
    assert len(found["warnings"]) == 1
    assert "layers run eagerly" in found["warnings"][0]
    assert "no C++ compiler was found" in found["warnings"][0]


def test_an_instruction_set_that_is_none_is_one_clear_error(monkeypatch):
    monkeypatch.setenv("TIDEGATE_ISA", "sparc")
    with pytest.raises(InputError, match=r"TIDEGATE_ISA is 'sparc', but this processor runs .*baseline"):
        library.isa.__wrapped__()


# torch's transforms


def pair(*shape: int) -> tuple[Recurrent, torch.Tensor]:
    torch.manual_seed(0)
    return GRU(3, 5, dtype=torch.float64), torch.randn(*shape, dtype=torch.float64)


def both_ways(function):
    """A result as it comes, and by the definition alone."""
    with eager_only():
        wanted = function()
    return function(), wanted


def test_double_backward_equals_that_of_the_definition():
    layer, x = pair(4, 2, 3)
    x.requires_grad_()

    def second():
        leaves = [x, *layer.parameters()]
        grads = torch.autograd.grad(layer(x)[0].square().sum(), leaves, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in grads), leaves)

    for got, wanted in zip(*both_ways(second), strict=True):
        torch.testing.assert_close(got, wanted)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own forward mode uses it
def test_vmap_jvp_and_hessians_equal_the_definition():
    layer, x = pair(4, 2, 3)
    many = torch.stack([x, 2 * x, -x])
    parameters = dict(layer.named_parameters())

    def output(v):
        return layer(v)[0]

    def loss(weights):
        return torch.func.functional_call(layer, weights, (x,))[0].sum()

    for function in (
        lambda: torch.func.vmap(output)(many),
        lambda: torch.func.jvp(output, (x,), (torch.ones_like(x),)),
        lambda: torch.func.grad(lambda v: output(v).sum())(x),
        lambda: torch.func.grad(loss)(parameters),
        lambda: torch.func.vmap(torch.func.grad(lambda v: output(v).sum()))(many),
        lambda: torch.func.hessian(lambda v: output(v).sum())(x[:, :1]),
    ):
        torch.testing.assert_close(*both_ways(function))


def engine_ran(function) -> bool:
    with mock.patch.object(fused, "run", wraps=fused.run) as spy:
        function()
    return spy.called


def test_other_types_run_by_the_definition():
    layer, x = RNN(3, 5, dtype=torch.complex64), torch.randn(4, 2, 3, dtype=torch.complex64)
    assert not engine_ran(lambda: layer(x))


class Named(Cell):
    """Its vectors have the names of what else a run reads and writes."""

    gates = "n"
    vectors = "y dy dx saved"

    def step(self, x, h, U, y, dy, dx, saved):
        n = tanh(x.n + U(h).n * y + dy * saved)
        return n + dx


def test_vectors_may_have_any_name():
    layer, x = Recurrent(Named, 3, 5, dtype=torch.float64), torch.randn(4, 2, 3, dtype=torch.float64)

    def results():
        y, h = layer(x)
        return y, h, *torch.autograd.grad(y.sum(), [*layer.parameters()])

    with strict():
        got = results()
    with eager_only():
        torch.testing.assert_close(got, results())


# Numbers that are none


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn/relu", "minlstm", "lstm1997", "misprintgru", "slstm"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e38])
def test_what_is_not_finite_stays_with_its_sequence_and_looks_as_by_the_definition(cell, value):
    torch.manual_seed(0)
    layer, x = Recurrent(cell, 3, 17), torch.randn(5, 9, 3)
    clean = layer(x)[0]
    x[2, 4, 1] = value
    with engine(), poisoned():
        y = layer(x)[0]
    with eager_only():
        wanted = layer(x)[0]
    assert torch.equal(y.isnan(), wanted.isnan())
    torch.testing.assert_close(y, wanted, equal_nan=True)
    others = [b for b in range(9) if b != 4]
    assert torch.equal(y[:, others], clean[:, others])
    assert torch.equal(y[:2], clean[:2])
    (grad,) = torch.autograd.grad(layer(x)[0].sum(), [layer.weight_ih_l0])
    assert value == 1e38 or not grad.isfinite().all()


class Wide(Cell):
    """A cell with more products than the engine holds in a step."""

    parts = tuple(f"a{k}" for k in range(150))
    inputs = " ".join(parts)
    matrices = {"U": inputs}

    def step(self, x, h, U):
        terms = [tanh(getattr(x, part) + getattr(U(h), part)) for part in self.parts]
        return sum(terms[1:], terms[0])


def test_a_cell_that_the_engine_has_no_room_for_runs_by_its_definition():
    layer, x = Recurrent(Wide, 2, 3), torch.randn(4, 1, 2)
    with pytest.warns(UserWarning, match="the engine holds 256 products"):
        y, _ = layer(x)
    assert layer.last_path.startswith("eager: the engine holds 256 products and 512 values a step, got ")
    y.sum().backward()
    with strict(), pytest.raises(BackendError, match="eager_only"):
        layer(x)


def long_cell(count: int) -> type[Cell]:
    """A cell of so many operations in a row, none of which has a name, and each of which reads its argument twice."""

    class Long(Cell):
        gates = "z"

        def step(self, x, h, U):
            z = sigmoid(x.z + U(h).z)
            v = h
            for _ in range(count // 2):
                v = maximum(v, z * v)
            return v

    return Long


def test_a_cell_of_hundreds_of_operations_is_compiled():
    layer, x = Recurrent(long_cell(900), 2, 3), torch.randn(2, 1, 2)
    check_size(layer.graph)  # which makes all of it but the compiler's share, which takes long
    with eager_only():
        layer(x)[0].sum().backward()


def test_a_cell_of_thousands_of_operations_runs_by_its_definition():
    layer, x = Recurrent(long_cell(4_000), 2, 3), torch.randn(1, 1, 2)
    with pytest.warns(UserWarning, match="the engine compiles cells of at most 1,000 operations a step, Long has 4,0"):
        y, _ = layer(x)
    y.sum().backward()
    assert layer.last_path.startswith("eager: the engine compiles cells of at most 1,000 operations")
