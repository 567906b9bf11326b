"""How much memory does a training step take in bfloat16, how long does it run, and how exact are its gradients?

    python -m benchmarks.half.memory
    python -m benchmarks.half.memory --only lstm --rounds 2    # a look
    python -m benchmarks.half.memory --output benchmarks/results/half

**Memory.** Each contestant runs in a process of its own, with one thread. After two steps that count for nothing the
process gives free memory back to the system. Then one step is run:

- *held* is what the C library has handed out behind the forward pass, less what it had before: all that waits for the
  backward pass, the output included (``mallinfo2``, whoever asked for it);
- *peak* is the highest resident memory of the whole step, gradients included, less that of its begin (``VmHWM``).

**Time** is that of the thread, forward and backward; contestants take turns in one process, the lowest of many counts.

**Error** of a gradient is ``|g - e| / |e|`` of all numbers of a parameter together, of the worst parameter, where e is
made in float64: of plain products for float32, of products whose factors are rounded to bfloat16 for bfloat16, by the
equations and autograd. Saved values are never rounded in e. What such a rounding costs is the difference between lines.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from benchmarks.engine import processor

from tidegate.nn import Recurrent
from tidegate.runtime import Rows, SizedCell, Steps, run_layer, sized
from tidegate.zoo import find

SHAPES = ((100, 32, 128), (128, 32, 256), (64, 64, 512))
CELLS = ("lstm", "gru")
CONTESTANTS = {
    "torch float32": (True, torch.float32, None),
    "torch bfloat16": (True, torch.bfloat16, None),
    "float32": (False, torch.float32, None),
    "float32, saved bfloat16": (False, torch.float32, "bfloat16"),
    "bfloat16": (False, torch.bfloat16, None),
    "bfloat16, saved bfloat16": (False, torch.bfloat16, "bfloat16"),
}
TORCH = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
MIB = 1 << 20


class _Heap(ctypes.Structure):
    """``struct mallinfo2``."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks")]
    _fields_ += [(name, ctypes.c_size_t) for name in ("fsmblks", "uordblks", "fordblks", "keepcost")]


def handed_out() -> int:
    """Bytes that the C library has handed out."""
    info = ctypes.CDLL(None).mallinfo2
    info.restype = _Heap
    heap = info()
    return int(heap.uordblks + heap.hblkhd)


def status(name: str) -> int:
    """A size in bytes of ``/proc/self/status``."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def layer_of(cell: str, contestant: str, hidden: int) -> torch.nn.Module:
    """A layer as wide as its input."""
    by_torch, dtype, saved = CONTESTANTS[contestant]
    torch.manual_seed(0)
    made = TORCH[cell](hidden, hidden) if by_torch else Recurrent(cell, hidden, hidden, saved_activations=saved)
    return made.to(dtype)


def stepper(cell: str, contestant: str, steps: int, batch: int, hidden: int) -> Callable[[], Callable[[], None]]:
    """What runs a forward pass, and returns what runs the backward pass."""
    layer, dtype = layer_of(cell, contestant, hidden), CONTESTANTS[contestant][1]
    x, weights = torch.randn(steps, batch, hidden).to(dtype), torch.randn(steps, batch, hidden).to(dtype)

    def forward() -> Callable[[], None]:
        layer.zero_grad(set_to_none=True)
        output = layer(x)[0]
        if getattr(layer, "last_path", "fused") != "fused":
            sys.exit(f"{contestant} does not run on the engine: {layer.last_path}")
        return lambda: output.backward(weights)

    return forward


def remembered(cell: str, contestant: str, shape: Sequence[int]) -> dict[str, int]:
    """Bytes that a step holds and takes; for a process of its own."""
    torch.set_num_threads(1)
    forward = stepper(cell, contestant, *shape)
    for _ in range(2):
        forward()()
    forward()  # which leaves no gradients, as nothing follows
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins anew
    begun, had = status("VmRSS"), handed_out()
    backward = forward()
    held = handed_out() - had
    backward()
    return {"held": held, "peak": status("VmHWM") - begun}


def in_processes(cell: str, shape: Sequence[int]) -> dict[str, dict[str, int]]:
    """The same of all contestants."""
    found = {}
    for name in CONTESTANTS:
        words = [sys.executable, "-m", "benchmarks.half.memory", "--one", cell, name, *map(str, shape)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        found[name] = json.loads(done.stdout)
    return found


def seconds(cell: str, shape: Sequence[int], rounds: int) -> dict[str, float]:
    """Thread time of a step of each contestant."""
    running = {name: stepper(cell, name, *shape) for name in CONTESTANTS}
    best = dict.fromkeys(running, float("inf"))
    for _ in range(rounds + 1):  # the first one compiles and is never the best
        for name, forward in running.items():
            begun = time.thread_time()
            forward()()
            best[name] = min(best[name], time.thread_time() - begun)
    return best


def gradients(cell: SizedCell, dtype: torch.dtype, steps: int, batch: int) -> list[torch.Tensor]:
    """Of the input and of the parameters, for one draw of all numbers in float32."""
    generator = torch.Generator().manual_seed(1)
    width = cell.widths["H"] ** -0.5
    drawn = [width * (2 * torch.rand(shape, generator=generator) - 1) for shape in cell.shapes[0]]
    parameters = [value.to(dtype).requires_grad_() for value in drawn]
    x = torch.randn(steps * batch, cell.features, generator=generator).bfloat16().to(dtype).requires_grad_()
    rows = Rows(x, Steps.uniform(steps, batch), None)
    _, (y, *_) = run_layer(cell, rows, batch, None, parameters)
    weights = torch.randn(y.shape, generator=generator).bfloat16().to(dtype)
    return [*torch.autograd.grad(y, [x, *parameters], weights)]


def errors(cell: str, steps: int, batch: int, hidden: int) -> dict[str, float]:
    """Of the worst parameter, by contestant."""
    graph, widths = find(cell).graph, (("I", hidden), ("H", hidden))
    found = {}
    for products in (None, "bfloat16"):
        exact = gradients(sized(graph, widths, products=products), torch.float64, steps, batch)
        for saved in (None, "bfloat16"):
            own = gradients(sized(graph, widths, products=products, saved=saved), torch.float32, steps, batch)
            name = f"{products or 'float32'}{', saved bfloat16' if saved else ''}"
            pairs = zip(own, exact, strict=True)
            found[name] = max(float((g.double() - e).norm() / e.norm()) for g, e in pairs)
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows])


def report(cells: Sequence[str], rounds: int) -> str:
    """All measurements in words and tables."""
    memory, timed, exact = [], [], []
    for cell in cells:
        for shape in SHAPES:
            name = f"{cell} {','.join(map(str, shape))}"
            sizes: Mapping[str, Any] = in_processes(cell, shape)
            for what in ("held", "peak"):
                own = [f"{sizes[c][what] / MIB:.1f}" for c in CONTESTANTS]
                best, plain = sizes["bfloat16, saved bfloat16"][what], sizes["float32"][what]
                ratios = [f"{plain / best:.2f}", f"{sizes['torch bfloat16'][what] / best:.2f}"]
                memory.append([name, what, *own, *ratios])
            times = seconds(cell, shape, rounds)
            timed.append([name, *(f"{1e3 * times[c]:.2f}" for c in CONTESTANTS)])
        steps, batch, hidden = 100, 8, 128
        found = errors(cell, steps, batch, hidden)
        exact.append([f"{cell} {steps},{batch},{hidden}", *(f"{value:.1e}" for value in found.values())])
        names = [*found]
    ours = "float32 / bfloat16, saved"
    return "\n\n".join(
        [
            "Memory in MiB: T, B, I = H.",
            table(["row", "", *CONTESTANTS, ours, "torch bfloat16 / bfloat16, saved"], memory),
            "Milliseconds of a step, forward and backward.",
            table(["row", *CONTESTANTS], timed),
            "Relative error of the worst gradient.",
            table(["row", *names], exact),
        ]
    )


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write a page if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=CELLS, help="one cell")
    parser.add_argument("--rounds", type=int, default=20, help="of timings")
    parser.add_argument("--output", type=Path, help="folder of the page")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    if given.one:
        cell, name, *shape = given.one
        print(json.dumps(remembered(cell, name, [*map(int, shape)])))
        return
    text = report([given.only] if given.only else CELLS, given.rounds)
    print(text)
    if given.output:
        given.output.mkdir(parents=True, exist_ok=True)
        command = shlex.join(["python", "-m", "benchmarks.half.memory", *(words or sys.argv[1:])])
        head = "# Memory, time and exactness of a training step in bfloat16\n\n"
        head += f"`{command}`, {processor()}, torch {torch.__version__}, one thread"
        (given.output / f"{processor().slug}-memory.md").write_text(f"{head}\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
