"""Threads that other programs hold up: calls that go on alone, with the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import tidegate as tg
from tests.backend.agreement import engine, threads
from tests.backend.test_pool import compiled, need_working, run
from tidegate.runtime.library import BRIDLES, ENDURES

CHECK = Path(__file__).with_name("patience_check.cpp")
SEATS = Path(__file__).with_name("seat_check.cpp")
T, H = 12, 256
LAYERS: dict[str, Callable[[], tg.nn.Recurrent]] = {
    "lstm": lambda: tg.nn.LSTM(H, H),
    "both directions": lambda: tg.nn.GRU(H, H, bidirectional=True),
    "two phases": lambda: tg.nn.GRU(H, H, reset="before"),
    "means": lambda: tg.nn.LSTM(H, H, layer_norm=True),
}


@pytest.mark.parametrize("build", [["-O1"], ["-O1", "-fsanitize=address,undefined"]], ids=["plain", "address"])
def test_patience_keeps_its_promises(build: list[str], tmp_path: Path) -> None:
    need_working(build, tmp_path)
    program, said = compiled(CHECK, build, tmp_path)
    assert program.exists(), said
    done = run(program)
    assert done.returncode == 0, done.stderr


def test_a_member_that_wakes_on_the_processor_of_another_moves_to_a_free_one(tmp_path: Path) -> None:
    need_working([], tmp_path)
    program, said = compiled(SEATS, ["-O1"], tmp_path)
    assert program.exists(), said
    for _ in range(20):
        done = run(program)
        if done.returncode == 77:
            pytest.skip("one processor")
        assert done.returncode == 0, done.stderr


def gradients(layer: tg.nn.Recurrent, count: int, *, ragged: bool) -> list[torch.Tensor]:
    """Output, states and gradients of a call with few sequences: threads share units."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(T, count, H, generator=generator, requires_grad=True)
    more = {
        "lengths": [T, *(T - 5 for _ in range(count - 1))],
        "reset": torch.rand(T, count, generator=generator) < 0.2,
    }
    y, last = layer(x, **(more if ragged else {}))
    values = [y, *(last if isinstance(last, tuple) else [last])]
    loss = sum((value * torch.randn(value.shape, generator=generator)).sum() for value in values)
    return [*values, *torch.autograd.grad(loss, [x, *layer.parameters()])]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_call_that_goes_on_alone_has_the_same_bits(kind: str, count: int) -> None:
    layer = LAYERS[kind]()
    for ragged in (False, True):
        with engine(), threads(1):
            wanted = gradients(layer, count, ragged=ragged)
        for members in (2, 4, 7):
            for temper in (ENDURES, BRIDLES):
                with engine(), threads(members, temper):
                    got = gradients(layer, count, ragged=ragged)
                assert all(map(torch.equal, got, wanted)), (members, temper)


WORK = """
import os, torch
from tidegate.nn import LSTM
from tidegate.runtime.library import load
torch.set_num_threads(2)
layer, x = LSTM(256, 256), torch.randn(2000, 1, 256)
def spent():
    times = {}
    for task in os.listdir("/proc/self/task"):
        times[task] = int(open(f"/proc/self/task/{task}/schedstat").read().split()[0])
    return times
with torch.inference_mode():
    load().share(2, 1)
    layer(x)
    for temper in (1, 2):
        load().share(2, temper)
        before = spent()
        for _ in range(3):
            layer(x)
        own, *others = sorted((spent()[task] - before[task] for task in before), reverse=True)
        print(max(others) / own)
"""


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel does not count time by threads")
def test_after_its_first_step_a_call_may_be_one_threads() -> None:
    """By the time that each thread spends on a processor: a waiting one sleeps."""
    environment = os.environ | {"TIDEGATE_THREADS": "own"}
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    shared, alone = map(float, done.stdout.split())
    assert shared > 0.3
    assert alone < 0.1


STRESS = """
import os, sys, time, torch
from tidegate.nn import LSTM
torch.set_num_threads(2)
def bits(steps):
    torch.manual_seed(steps)
    layer, x = LSTM(256, 256), torch.randn(steps, 1, 256)
    y, _ = layer(x)
    return [t.numpy().tobytes() for t in (y.detach(), *torch.autograd.grad(y.sum(), list(layer.parameters())))]
from tidegate.runtime.library import load
load().share(1)
wanted = {steps: bits(steps) for steps in (5, 30)}
load().share(2)
print("ready", flush=True)
sys.stdin.readline()
os.nice(3)
end = time.monotonic() + 1
while time.monotonic() < end:
    for steps, own in wanted.items():
        assert bits(steps) == own
"""


@pytest.mark.parametrize("whose", ["own", "torch's"])
def test_descheduled_threads_change_no_bit(whose: str) -> None:
    """A loop on every processor, each bound to it and more urgent than the threads of the call."""
    loop = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
    environment = os.environ | {"TIDEGATE_THREADS": whose}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", STRESS], text=True, env=environment, **pipes) as calls:
        assert calls.stdout is not None
        ready = calls.stdout.readline()
        processors = sorted(os.sched_getaffinity(0))[:4] if ready else []
        loops = [subprocess.Popen([sys.executable, "-S", "-c", loop, str(processor)]) for processor in processors]
        try:
            _, said = calls.communicate("go\n")
        finally:
            for process in loops:
                process.kill()
                process.wait()
    assert calls.returncode == 0, said
