"""Does emitted C give the same bits everywhere, and how far is it from float64?

    python -m benchmarks.ship.c_bits             # about five minutes on one core
    python -m benchmarks.ship.c_bits --quick     # three builds, 200 steps

Every cell of the zoo, layers with each option, stacks, projections and a cell of one's own run 1,000 steps in every
build. A build prints one number for each layer, made of the bits of all outputs; all builds must print the same.
Warnings are errors, sanitizers and valgrind must be silent, and the errors against the equations in float64 are
measured on the same inputs. Compilers, emulators and valgrind that are missing are named. Writes
benchmarks/results/ship/c_bits.md.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from benchmarks.ship.program import HEAD, noise
from benchmarks.ship.qemu import DEVICE, STRICT, TARGETS, build, run

import tidegate as tg
from tidegate.nn import Recurrent
from tidegate.runtime import eager_only
from tidegate.zoo import CELLS

RESULTS = Path(__file__).parents[1] / "results" / "ship"
I, H = 5, 9  # no multiple of anything that is computed side by side
WARNINGS = ("-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Wdouble-promotion", "-Wshadow", "-Werror")
SANITIZED = ("-std=c99", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
AT_ONCE = {
    "as C++": ("g++", "-x", "c++", "-O2"),
    "as C++ too": ("clang++", "-x", "c++", "-O2"),
    "sanitizers": ("gcc", *SANITIZED),
    "sanitizers too": ("clang", *SANITIZED),
}
Layers = dict[str, Recurrent]


class Own(tg.Cell):
    """Reductions, a state that waits, roots and logarithms: what no cell of the zoo has."""

    gates = "a b"
    state = "h slow:S"
    inputs = "a b slow:S"
    matrices = {"U": "a b", "M": "b"}  # noqa: RUF012  plain data of the cell language

    def step(self, x, h, slow, U, M):
        a = tg.sigmoid(x.a + U(h).a)
        b = tg.tanh(x.b + U(a * h).b + M(slow).b)
        spread = tg.sqrt(tg.variance(b) + 0.1)
        h = a * h + (1 - a) * b / spread + 0.01 * tg.log(1 + tg.exp(h))
        return h, 0.9 * slow + 0.1 * tg.minimum(x.slow, 1.0)


OPTIONS = {
    "lstm_normed": lambda: tg.nn.LSTM(I, H, layer_norm=True),
    "gru_normed_each": lambda: tg.nn.GRU(I, H, layer_norm="each"),
    "gru_clipped": lambda: tg.nn.GRU(I, H, state_clip=0.2),
    "lstm_zoneout": lambda: tg.nn.LSTM(I, H, zoneout={"h": 0.1, "c": 0.3}),
    "lstm_learned": lambda: tg.nn.LSTM(I, H, 2, proj_size=4, learn_initial_state=True),
    "scrn_wide": lambda: Recurrent("scrn", I, H, widths={"S": 4}),
    "gru_3_layers": lambda: tg.nn.GRU(I, 8, 3, bias=False),
    "wide": lambda: tg.nn.LSTM(33, 40),
    "own": lambda: Recurrent(Own, I, H, widths={"S": 6}),
}


def layers() -> Layers:
    """By names that C takes."""
    torch.manual_seed(0)
    found = {}
    for name, cell in CELLS.items():
        features = I if cell.graph.input_axis == "I" else H
        found[name.replace("/", "_")] = Recurrent(cell, features, H)
    found |= {name: make() for name, make in OPTIONS.items()}
    with torch.no_grad():
        for layer in found.values():
            for name, parameter in layer.named_parameters():
                if name.startswith("initial"):
                    parameter.normal_()
    return {name: layer.eval() for name, layer in found.items()}


RUN = """\
static uint32_t run_@(void)
{
    @_state state;
    float x[IN], y[OUT];
    uint32_t seed = 1, sum = 2166136261u, word;
    @_reset(&state);
    for (int t = 0; t < STEPS; ++t) {
        for (int k = 0; k < IN; ++k) x[k] = noise(&seed);
        @_step(&state, x, y);
        for (int k = 0; k < OUT; ++k) {
            memcpy(&word, &y[k], sizeof word);
            sum = mix(sum, word);
        }
    }
    return @_selftest() ? 0 : sum;
}
"""


def sources(chosen: Layers, folder: Path, target: str) -> list[Path]:
    """All layers as C, and a program that runs each."""
    written = [tg.ship.c(layer, name, target=target).write(folder)[1] for name, layer in chosen.items()]
    text = HEAD + "".join(f'#include "{name}.h"\n' for name in chosen)
    for name, layer in chosen.items():
        sizes = RUN.replace("IN", str(layer.input_size)).replace("OUT", str(layer.output_size))
        text += sizes.replace("@", name)
    text += "int main(void)\n{\n" + "".join(f'    print("{name}", run_{name}());\n' for name in chosen)
    (folder / "main.c").write_text(text + "    return 0;\n}\n")
    return [folder / "main.c", *written]


@dataclass(frozen=True)
class Build:
    """One way to compile and run; ``form`` is the target for whom the products are written."""

    target: str
    level: str
    flags: tuple[str, ...] = ()
    form: str = "host"

    def __str__(self) -> str:
        return " ".join([self.target, self.level, *self.flags, f"(products for {self.form})"])


def builds(*, quick: bool) -> Iterator[Build]:
    if quick:
        yield from (Build("gcc", "-O0"), Build("gcc", "-O3", ("-march=native",)))
        yield Build("cortex-m4", "-O2", form="cortex-m4")
        return
    for compiler in ("gcc", "clang"):
        yield from (Build(compiler, level) for level in ("-O0", "-O1", "-O2", "-O3", "-Os"))
        yield from (Build(compiler, level, ("-march=native",)) for level in ("-O2", "-O3"))
        yield Build(compiler, "-O2", form="cortex-m4")
    yield from (Build("cortex-m4", level, form="cortex-m4") for level in ("-O0", "-O2", "-O3", "-Os"))
    yield from (Build("cortex-m0", level, form="cortex-m0") for level in ("-O2", "-Os"))
    yield Build("cortex-m4", "-O2", form="host")


def seen(one: Build, files: list[Path], steps: int) -> Mapping[str, int]:
    """What each layer's outputs add up to in one build."""
    with tempfile.TemporaryDirectory() as folder:
        flags = (*one.flags, *WARNINGS, f"-DSTEPS={steps}", f"-I{files[0].parent}")
        program = build(one.target, files, Path(folder), level=one.level, flags=flags)
        return run(one.target, program, seconds=1200)


def at_once(files: list[Path], steps: int, *command: str) -> str:
    """What a program prints that one command makes of everything."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "program")
        options = ["-ffp-contract=off", *WARNINGS, f"-DSTEPS={steps}", f"-I{DEVICE}", f"-I{files[0].parent}"]
        every = [*map(str, files), str(DEVICE / "host.c")]
        subprocess.run([*command, *options, *every, "-o", str(program)], check=True)
        return subprocess.run([program], check=True, capture_output=True, text=True).stdout


def under_valgrind(files: list[Path], steps: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        program = build("gcc", files, Path(folder), level="-O1", flags=(f"-DSTEPS={steps}", f"-I{files[0].parent}"))
        command = ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full", str(program)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def error(name: str, layer: Recurrent, library: ctypes.CDLL, steps: int) -> float:
    """The largest difference of outputs from the equations in float64."""
    x = noise(steps, layer.input_size)
    state, y = np.zeros(4096, np.float32), np.zeros((steps, layer.output_size), np.float32)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (state, x, y)]
    library[f"{name}_reset"](pointers[0])
    library[f"{name}_block"](*pointers, ctypes.c_size_t(steps))
    with eager_only(), torch.no_grad():
        exact = deepcopy(layer).double()(torch.from_numpy(x).double().unsqueeze(1))[0].squeeze(1).numpy()
    return float(np.abs(y - exact).max())


def errors(chosen: Layers, files: list[Path], steps: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "all.so")
        command = ["gcc", *STRICT, "-O2", "-fPIC", "-shared", *map(str, files[1:]), "-o", str(target)]
        subprocess.run(command, check=True)
        library = ctypes.CDLL(str(target))
        return {name: error(name, layer, library, steps) for name, layer in chosen.items()}


def version(command: str) -> str:
    return subprocess.run([command, "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three builds, 200 steps; writes no file")
    quick = parser.parse_args().quick
    steps, chosen, wrong = 200 if quick else 1000, layers(), 0
    lines = []

    def say(text: str) -> None:
        print(text, flush=True)
        lines.append(text)

    with tempfile.TemporaryDirectory() as folder:
        files = {form: sources(chosen, Path(folder, form), form) for form in ("host", "cortex-m4", "cortex-m0")}
        first: Mapping[str, int] = {}
        for one in builds(quick=quick):
            if missing := TARGETS[one.target].missing:
                say(f"- {one}: not run, {missing} is not installed")
                continue
            begin = time.monotonic()
            found = seen(one, files[one.form], steps)
            first = first or found
            different = [name for name in chosen if found[name] != first[name] or not found[name]]
            wrong += len(different)
            say(f"- {one}: {', '.join(different) or 'all equal'} ({time.monotonic() - begin:.0f} s)")
        if not quick:
            expected = "".join(f"{name} {value:08x}\n" for name, value in first.items())
            for what, command in AT_ONCE.items():
                same = at_once(files["host"], steps, *command) == expected
                wrong += not same
                say(f"- {what}, {' '.join(command)}: {'all equal' if same else 'different'}")
            if shutil.which("valgrind"):
                same = under_valgrind(files["host"], steps) == expected
                wrong += not same
                say(f"- valgrind, gcc -O1: silent, {'all equal' if same else 'different'}")
        found = errors(chosen, files["host"], steps)
    wrong += sum(value > 1e-5 for value in found.values())
    say(f"\nLargest error against float64 over {steps} steps: {max(found.values()):.2e}.\n")
    say("| layer | largest error |\n|---|---|")
    for name, value in sorted(found.items(), key=lambda pair: -pair[1]):
        say(f"| {name} | {value:.1e} |")
    if not quick:
        RESULTS.mkdir(parents=True, exist_ok=True)
        tools = "; ".join(map(version, ("gcc", "clang", "arm-none-eabi-gcc", "qemu-system-arm")))
        head = (
            "# The bits of emitted C\n\nWritten by `python -m benchmarks.ship.c_bits`: "
            f"{len(chosen)} layers, {steps:,} steps, one number for the bits of all outputs. "
            f"{tools}. `-std=c99 -ffp-contract=off {' '.join(WARNINGS)}`.\n\n"
        )
        (RESULTS / "c_bits.md").write_text(head + "\n".join(lines) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
