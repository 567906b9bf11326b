"""Small devices under emulation: instructions, flash and stack of a step, and the same bits of every cell.

    python -m benchmarks.ship.devices                  # two minutes
    python -m benchmarks.ship.devices --emx PYTHON     # an interpreter that has emx-onnx-cgen: its C beside ours

A GRU of 16 features and 64 units multiplies 15,360 weights at each step. ``benchmarks/ship/qemu.py`` says how
instructions are counted; they are not cycles. Then all cells of the zoo that have a form in whole numbers, and layers
with options, run 200 steps in every build; each must print the sum of bits that the simulation in NumPy gives. Writes
benchmarks/results/ship/devices.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from benchmarks.ship import qemu
from benchmarks.ship.program import HEAD, noise, run_of, sum_of_bits

import tidegate as tg
from tidegate.errors import EmitError
from tidegate.nn import Recurrent
from tidegate.zoo import CELLS

RESULTS = Path(__file__).parents[1] / "results" / "ship"
I, H, MULTIPLIED = 16, 64, 3 * 64 * (16 + 64)
STEPS, RUNS = 200, 50
STRICT = ("-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Wdouble-promotion", "-Wshadow", "-Werror")
MEASURED = """
int main(void)
{
    static STATE;
    static float x[16], y[64];
    uint32_t seed = 1, total = 0, before;
    int t, k;
    BEGIN;
    paint_stack();
    for (t = 0; t < 50; ++t) {
        for (k = 0; k < 16; ++k) x[k] = noise(&seed);
        before = ticks();
        STEP;
        total += (ticks() - before) & 0xffffffu;
    }
    print("stack", stack_used());
    print("ticks", total);
    print("loop", loop());
    return 0;
}
"""
OURS = {"STATE": "gru_state state", "BEGIN": "gru_reset(&state)", "STEP": "gru_step(&state, x, y)"}
THEIRS = {
    "STATE": "float h[2][64]",
    "BEGIN": "memset(h, 0, sizeof h)",
    "STEP": "model((const void *)x, (const void *)h[t & 1], (void *)y, (void *)h[1 - (t & 1)])",
}
DECLARED = "void model(const void *x, const void *h, void *y, void *next);\n"
BUILDS = [(c, level) for c in ("gcc", "clang") for level in ("-O0", "-O1", "-O2", "-O3", "-Os")]
BUILDS += [("cortex-m4", level) for level in ("-O0", "-O2", "-O3", "-Os")] + [
    ("cortex-m0", "-O2"),
    ("cortex-m0", "-Os"),
]


def measured(target: str, level: str, source: Path, calls: Mapping[str, str], head: str) -> tuple[float, int, int]:
    """Instructions of a step, bytes of flash, and of stack."""
    with tempfile.TemporaryDirectory() as folder:
        main = Path(folder, "main.c")
        text = MEASURED
        for name, call in calls.items():
            text = text.replace(name, call)
        main.write_text(HEAD + head + text)
        flags, libraries = [f"-I{source.parent}"], ["-lm"]
        program = qemu.build(target, [source, main], Path(folder), level=level, flags=flags, libraries=libraries)
        numbers = qemu.run(target, program)
        size = qemu.size(target, Path(folder, f"{source.stem}.o"))
        return qemu.instructions(numbers) / RUNS, size.code + size.constants, numbers["stack"]


def counts(emx: str | None) -> Iterator[str]:
    """The table of one layer."""
    layer, weights = drawn(tg.nn.GRU(I, H), 0.25), 0
    weights = 4 * sum(p.numel() for p in layer.parameters())
    whole = tg.ship.quantise(layer, noise(100, 4, I))
    yield f"GRU {I} -> {H}: {MULTIPLIED:,} multiplications at each step, {weights:,} bytes of weights in float32.\n"
    yield "| C | processor | flags | instructions | for each multiplication | flash | stack |"
    yield "|---|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder:
        for target in ("cortex-m4", "cortex-m0"):
            written = {
                "float32": tg.ship.c(layer, "gru", target=target).write(Path(folder, target))[1],
                "whole numbers": tg.ship.c(layer, "gru", weights=whole).write(Path(folder, target + "8"))[1],
            }
            for name, source in written.items():
                for level in ("-O2", "-O3"):
                    yield row(name, target, level, *measured(target, level, source, OURS, '#include "gru.h"\n'))
        if emx:
            source = of_emx(layer, Path(folder), emx)
            for level in ("-O2", "-O3"):
                head = measured("cortex-m4", level, source, THEIRS, DECLARED)
                yield row("emx-onnx-cgen, float32", "cortex-m4", level, *head)


def row(name: str, target: str, level: str, steps: float, flash: int, stack: int) -> str:
    return f"| {name} | {target} | {level} | {steps:,.0f} | {steps / MULTIPLIED:.2f} | {flash:,} | {stack:,} |"


def of_emx(layer: Recurrent, folder: Path, python: str) -> Path:
    """The C that emx-onnx-cgen makes of the same layer as an ONNX node of one step."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def rows(tensor: torch.Tensor) -> np.ndarray:
        r, z, n = tensor.detach().numpy().reshape(3, H, -1)
        return np.concatenate([z, r, n])

    one = {name: rows(getattr(layer, f"{name}_l0")) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    arrays = {"W": one["weight_ih"], "R": one["weight_hh"], "B": np.concatenate([one["bias_ih"], one["bias_hh"]])[:, 0]}
    made = helper.make_node("GRU", ["x", "W", "R", "B", "", "h"], ["y", "next"], hidden_size=H, linear_before_reset=1)
    shapes = {"x": [1, 1, I], "h": [1, 1, H], "y": [1, 1, 1, H], "next": [1, 1, H]}
    values = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in shapes.items()}
    stored = [numpy_helper.from_array(array[None], name) for name, array in arrays.items()]
    graph = helper.make_graph([made], "gru", [values["x"], values["h"]], [values["y"], values["next"]], stored)
    saved = folder / "gru.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), saved)
    source = folder / "emx.c"
    subprocess.run([python, "-m", "emx_onnx_cgen", "compile", saved, source], check=True, capture_output=True)
    return source


def drawn(layer: Recurrent, size: float) -> Recurrent:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-size, size, generator=generator)
    return layer.eval()


def layers() -> dict[str, Recurrent]:
    """All cells, and layers with options."""
    cells = {name: drawn(Recurrent(cell, 9, 9), 0.5) for name, cell in CELLS.items()}
    options = {
        "stack": {"num_layers": 2},
        "projected": {"num_layers": 2, "proj_size": 5},
        "clipped": {"state_clip": 0.3},
    }
    options |= {"first": {"learn_initial_state": True}, "kept": {"zoneout": 0.1}, "wide": {"hidden_size": 70}}
    return cells | {name: drawn(tg.nn.LSTM(5, **{"hidden_size": 9, **one}), 0.5) for name, one in options.items()}


def same_integers() -> Iterator[str]:
    """All cells in every build."""
    wanted, refused, text, calls, files = {}, [], HEAD, "", []
    with tempfile.TemporaryDirectory() as written:
        for k, (name, layer) in enumerate(layers().items()):
            x = noise(STEPS, 1, layer.input_size)
            try:
                whole = tg.ship.quantise(layer, x)
            except EmitError as error:
                refused.append(f"- {name}: {error.message}")
                continue
            files.append(tg.ship.c(layer, f"c{k}", weights=whole).write(written)[1])
            text += f'#include "c{k}.h"\n' + run_of(f"c{k}", layer.input_size, layer.output_size, STEPS)
            calls += f"    run_c{k}();\n"
            wanted |= {f"c{k}": sum_of_bits(whole.run(x)[0]), f"c{k}_wrong": 0}
        main = Path(written, "main.c")
        main.write_text(f"{text}int main(void)\n{{\n{calls}    return 0;\n}}\n")
        yield f"\n{len(files)} layers in whole numbers, {STEPS} steps: all outputs against the simulation in NumPy.\n"
        for target, level in BUILDS:
            if missing := qemu.TARGETS[target].missing:
                yield f"- {target} {level}: not run, {missing} is not installed"
                continue
            with tempfile.TemporaryDirectory() as folder:
                flags = [*STRICT, f"-I{written}"]
                found = qemu.run(target, qemu.build(target, [*files, main], Path(folder), level=level, flags=flags))
            different = [name for name in wanted if found[name] != wanted[name]]
            yield f"- {target} {level}: {'DIFFERENT ' + ', '.join(different) if different else 'all equal'}"
    yield "\nRefused:\n"
    yield from refused


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emx", metavar="PYTHON", help="an interpreter that has emx-onnx-cgen")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["# Small devices\n", "`python -m benchmarks.ship.devices`\n"]
    for part in (counts(options.emx), same_integers()):
        for line in part:
            print(line, flush=True)
            lines.append(line)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "devices.md").write_text("\n".join([*lines, ""]))
    return any("DIFFERENT" in line for line in lines)


if __name__ == "__main__":
    sys.exit(main())
