"""How long one step of emitted C takes, beside RTNeural and onnxruntime: a GRU of 16 features and 64 units.

    python -m benchmarks.ship.c_speed --rtneural CHECKOUT

RTNeural (with Eigen from /usr/include/eigen3) is compiled with the same flags and run in the same process, in turns;
onnxruntime runs the same GRU as an ONNX node with bound inputs and outputs, in turns with the C as a shared library.
Process CPU time, lowest of many short rounds; nine processes, of which the lowest times and the median ratio are
shown. What the code weighs besides the weights is printed, too. Writes
benchmarks/results/ship/c_speed.md.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

import tidegate as tg

HERE, RESULTS = Path(__file__).parent / "speed", Path(__file__).parents[1] / "results" / "ship"
I, H = 16, 64
PROCESSES = 9  # where the weights lie in memory differs from one to the next, and with it the time
FLAGS = (("-O2",), ("-O3",), ("-O2", "-march=native"), ("-O3", "-march=native"))
ALIGNMENT = {True: 32, False: 16}  # what RTNeural's own build sets with and without AVX
RAW = {"gru": 4 * (3 * H * (I + H) + 6 * H), "lstm": 4 * (4 * H * (I + H) + 8 * H)}
ARM = ("arm-none-eabi-gcc", "-mthumb")
CHIPS = {
    "x86": ("gcc", "size"),
    "cortex-m4": (*ARM, "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "arm-none-eabi-size"),
    "cortex-m0+": (*ARM, "-mcpu=cortex-m0plus", "arm-none-eabi-size"),
}


def run(*command: object) -> str:
    done = subprocess.run([*map(str, command)], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr}")
    return done.stdout


def against_rtneural(folder: Path, checkout: Path, flags: tuple[str, ...], compiler: str) -> tuple[float, ...]:
    """Microseconds of our step and of theirs, the median ratio of a process, and the largest difference of outputs."""
    cpp = {"gcc": "g++", "clang": "clang++"}[compiler]
    alignment = ALIGNMENT["-march=native" in flags]
    defined = ["-DRTNEURAL_USE_EIGEN=1", f"-DRTNEURAL_DEFAULT_ALIGNMENT={alignment}"]
    include = ["-I", checkout, "-I", checkout / "modules" / "json", "-isystem", "/usr/include/eigen3"]
    run(cpp, "-std=c++17", *flags, "-w", *defined, *include, "-c", HERE / "rtneural.cpp", "-o", folder / "peer.o")
    ours = [compiler, "-std=c99", *flags, "-ffp-contract=off", "-I", folder]
    run(*ours, "-c", folder / "gru.c", "-o", folder / "gru.o")
    run(*ours, "-c", HERE / "turns.c", "-o", folder / "turns.o")
    run(cpp, folder / "turns.o", folder / "gru.o", folder / "peer.o", "-o", folder / "turns")
    runs = [[*map(float, run(folder / "turns", folder / "gru.json").split())] for _ in range(PROCESSES)]
    mine, theirs, errors = zip(*runs, strict=True)
    ratio = median(a / b for a, b in zip(mine, theirs, strict=True))
    return min(mine), min(theirs), ratio, max(errors)


def onnx_step(layer: tg.nn.GRU) -> Callable[[], object]:
    """One step of the layer in onnxruntime, with bound inputs and outputs."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    order = [1, 0, 2]  # ONNX has z r n
    parts = {name: p.detach().numpy().reshape(3, H, -1)[order] for name, p in layer.named_parameters()}
    arrays = {
        "W": parts["weight_ih_l0"].reshape(1, 3 * H, I),
        "R": parts["weight_hh_l0"].reshape(1, 3 * H, H),
        "B": np.concatenate([parts["bias_ih_l0"].ravel(), parts["bias_hh_l0"].ravel()])[None],
    }
    node = helper.make_node("GRU", ["x", "W", "R", "B", "", "h"], ["y", "h_n"], hidden_size=H, linear_before_reset=1)
    shapes = {"x": [1, 1, I], "h": [1, 1, H], "y": [1, 1, 1, H], "h_n": [1, 1, H]}
    infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    graph = helper.make_graph(
        [node], "gru", [infos["x"], infos["h"]], [infos["y"], infos["h_n"]],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, shape in shapes.items():
        value = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))
        (binding.bind_ortvalue_input if name in "xh" else binding.bind_ortvalue_output)(name, value)
    return lambda: session.run_with_iobinding(binding)


def against_onnxruntime(folder: Path, layer: tg.nn.GRU) -> tuple[float, float]:
    """Microseconds of our step, called through a block, and of theirs."""
    run("gcc", "-std=c99", "-O3", "-march=native", "-ffp-contract=off", "-fPIC", "-shared", folder / "gru.c",
        "-o", folder / "gru.so")  # fmt: skip
    library, steps = ctypes.CDLL(str(folder / "gru.so")), 500
    state, x, y = (np.zeros(n, np.float32) for n in (H, steps * I, steps * H))
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (state, x, y)]
    theirs, least = onnx_step(layer), [np.inf, np.inf]
    for _ in range(60):
        begin = time.process_time_ns()
        library.gru_block(*pointers, ctypes.c_size_t(steps))
        middle = time.process_time_ns()
        for _ in range(steps):
            theirs()
        end = time.process_time_ns()
        least = [min(least[0], middle - begin), min(least[1], end - middle)]
    return least[0] / steps / 1e3, least[1] / steps / 1e3


def weights_and_more(folder: Path, name: str, chip: str) -> tuple[int, int]:
    """Bytes of the object file at -O2 besides those of the layer's parameters, and the deepest frame."""
    *compiler, tool = CHIPS[chip]
    target = folder / f"{name}.{chip}.o"
    form = folder / ("host" if chip == "x86" else "cortex-m4")
    flags = ["-std=c99", "-O2", "-ffp-contract=off", "-fno-asynchronous-unwind-tables", "-fstack-usage"]
    run(*compiler, *flags, "-c", form / f"{name}.c", "-o", target)
    text, data, bss, *_ = run(tool, target).splitlines()[1].split()
    frames = {line.split()[0].rpartition(":")[2]: int(line.split()[1]) for line in target.with_suffix(".su").open()}
    deepest = sum(sorted((n for f, n in frames.items() if "selftest" not in f), reverse=True)[:4])
    return int(text) + int(data) + int(bss) - RAW[name], deepest


def in_silence(folder: Path) -> tuple[list[float], list[float]]:
    """Microseconds of a step of a GRU that has decayed, and where its state ends: as emitted, and with tiny states."""
    layer = tg.nn.GRU(1, H)
    with torch.no_grad():
        layer.weight_ih_l0.zero_()
        layer.weight_hh_l0[2 * H :].zero_()  # the candidate is 0, and z keeps 0.95
        for bias in (layer.bias_ih_l0, layer.bias_hh_l0):
            bias.zero_()
        layer.bias_ih_l0[H : 2 * H] = 3.0
    source = tg.ship.c(layer, "silent")
    source.write(folder)
    cut = "return silent_number((silent_bits(v) & 0x7f800000u) != 0u ? silent_bits(v) : 0u);"
    assert source.body.count(cut) == 1
    (folder / "tiny.c").write_text(source.body.replace(cut, "return v;"))
    found = []
    for name in ("silent", "tiny"):
        files = [HERE / "silence.c", folder / f"{name}.c"]
        run("gcc", "-std=c99", "-O3", "-ffp-contract=off", "-I", folder, *files, "-o", folder / "silence")
        found.append([float(value) for value in run(folder / "silence").split()])
    return found[0], found[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rtneural", type=Path, required=True)
    parser.add_argument("--print", action="store_true", help="write no file")
    chosen = parser.parse_args()
    torch.manual_seed(0)
    layer = tg.nn.GRU(I, H)
    lines = [
        "| compiler | flags | C, us a step | RTNeural | median ratio | largest difference |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tg.ship.c(layer, "gru").write(folder)
        for form in ("host", "cortex-m4"):
            tg.ship.c(layer, "gru", target=form).write(folder / form)
            tg.ship.c(tg.nn.LSTM(I, H), "lstm", target=form).write(folder / form)
        data = json.loads(tg.ship.rtneural(layer, torch.nn.Linear(H, 1)))
        (folder / "gru.json").write_text(json.dumps(data | {"layers": data["layers"][:1]}))
        for compiler in ("gcc", "clang"):
            for flags in FLAGS:
                mine, theirs, ratio, error = against_rtneural(folder, chosen.rtneural, flags, compiler)
                row = [
                    compiler,
                    " ".join(flags),
                    f"{mine:.3f}",
                    f"{theirs:.3f}",
                    f"{ratio:.2f}",
                    f"{error:.1e}",
                ]
                lines.append(f"| {' | '.join(row)} |")
        mine, theirs = against_onnxruntime(folder, layer)
        lines += [
            "",
            f"onnxruntime with IOBinding: {theirs:.2f} us a step, C {mine:.3f}, ratio {mine / theirs:.3f}.",
            "",
        ]
        (mine, end), (tiny, tiny_end) = in_silence(folder)
        lines += [f"After silence: {mine:.3f} us a step, state {end:g}; with tiny states {tiny:.3f}, {tiny_end:g}.", ""]
        lines += ["| | processor | bytes besides the weights at -O2 | deepest four frames |", "|---|---|---|---|"]
        for name in RAW:
            for chip in CHIPS:
                more, stack = weights_and_more(folder, name, chip)
                lines.append(f"| {name} | {chip} | {more:,} | {stack:,} |")
    print("\n".join(lines))
    if not chosen.print:
        RESULTS.mkdir(parents=True, exist_ok=True)
        head = "# Speed and size of emitted C\n\nWritten by `python -m benchmarks.ship.c_speed`: GRU, 16 -> 64.\n\n"
        (RESULTS / "c_speed.md").write_text(head + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
