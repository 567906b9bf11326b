"""How quick are sessions with weights of int8, against float32, bfloat16 and onnxruntime's dynamic quantisation?

    python -m benchmarks.half.int8_speed [--threads 2] [--rounds 60]

All take turns in one process, in rounds; a ratio is that of times of the same round, with the 95 % interval of its
median. One thread is measured by its own time, since a machine may have other work; several by the clock.
Writes benchmarks/results/half/PROCESSOR-int8_speed-THREADS.md.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import onnx
import onnxruntime
import torch
from benchmarks.engine import processor
from benchmarks.engine.item import Item
from benchmarks.engine.peer.onnx_session import inputs, model
from benchmarks.engine.problem import Problem, problem
from benchmarks.engine.statistic import paired
from onnxruntime.quantization import quantize_dynamic

import tidegate as tg

RESULTS = Path(__file__).parents[1] / "results" / "half"
KINDS = ("int8", "bfloat16", "float32")
STEPS = tuple(Item("lstm", 1, 1, H, H) for H in (64, 128, 256, 384, 512, 1024))
RUNS = tuple(
    Item(cell, T, B, H, H)
    for cell in ("lstm", "gru")
    for T, B, H in ((128, 1, 256), (100, 32, 128), (128, 32, 256), (64, 64, 512))
)
ROW = tuple(Item("lstm", 13, B, 384, 384, layers=3, bidirectional=True) for B in (1, 32))
PEERS = {"int8, a scale for each row": True, "int8, a scale for each matrix": False, "float32": None}
Calls = Mapping[str, Callable[[], object]]


def sessions(item: Item) -> Calls:
    """Ours, with each kind of weights."""
    torch.manual_seed(0)
    layer = tg.nn.Recurrent(item.cell, item.I, item.H, num_layers=item.layers, bidirectional=item.bidirectional)
    x = torch.randn(item.T, item.B, item.I)

    def call(weights: str) -> Callable[[], object]:
        session = tg.Session(layer, item.B, weights=weights, bidirectional=item.bidirectional)
        return (lambda: session.step(x[0])) if item.T == 1 else (lambda: session.run(x))

    return {kind: call(kind) for kind in KINDS}


def quantised(case: Problem, *, per_channel: bool) -> bytes:
    """The same model by ``quantize_dynamic``."""
    logging.getLogger().setLevel(logging.ERROR)  # it advises further passes, which change no LSTM
    with TemporaryDirectory() as folder:
        path = Path(folder, "int8.onnx")
        quantize_dynamic(onnx.load_from_string(model(case)), path, per_channel=per_channel)
        return path.read_bytes()


def runtime(item: Item, *, per_channel: bool | None) -> Callable[[], object]:
    """onnxruntime's in int8, or None for float32, whose nodes are what they should be."""
    case = problem(item)
    made = model(case) if per_channel is None else quantised(case, per_channel=per_channel)
    kinds = {node.op_type for node in onnx.load_from_string(made).graph.node} - {"Transpose", "Reshape"}
    assert kinds == {"LSTM" if per_channel is None else "DynamicQuantizeLSTM"}, kinds
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = item.threads, 1
    session = onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, value in inputs(case).items():
        binding.bind_cpu_input(name, value)
    for output in session.get_outputs():
        binding.bind_output(output.name)
    return lambda: session.run_with_iobinding(binding)


def timed(calls: Calls, rounds: int, threads: int) -> dict[str, list[float]]:
    """Seconds of each call, in turns."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            start, count = clock(), 0
            while not count or (count < 20 and clock() - start < 1e-3):
                call()
                count += 1
            times[name].append((clock() - start) / count)
    return times


def lines(item: Item, calls: Calls, rounds: int) -> Iterator[str]:
    """A row of the table: times, and how much quicker int8 is than each other."""
    times = timed(calls, rounds, item.threads)
    size = f"{item.cell}{f', {item.layers} layers in both directions' if item.layers > 1 else ''}"
    shape = f"{'step' if item.T == 1 else f'{item.T} steps'}, B = {item.B}, I = {item.I}, H = {item.H}"
    for name, values in times.items():
        ratio = paired(values, times["int8"])
        said = "" if name == "int8" else f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
        shown = f"{1e6 * median(values):.1f} ({1e6 * min(values):.1f} to {1e6 * max(values):.1f})"
        yield f"| {f'{size}: {shape}' if name == 'int8' else ''} | {name} | {shown} | {said} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--only", choices=("steps", "runs", "row"), nargs="*", default=["row", "steps", "runs"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = [
        "# Sessions with weights of int8", "",
        f"`python -m benchmarks.half.int8_speed --threads {options.threads} --rounds {options.rounds}`", "",
        f"{processor()}; threads: {options.threads}. Times in microseconds, median (least to most). Ratios are the",
        "other's time over that of int8, above 1 where int8 is quicker, with the 95 % interval of their median.",
        f"onnxruntime {onnxruntime.__version__}.", "",
        "| what | weights | us | times as long as int8 |", "|---|---|---|---|",
    ]  # fmt: skip
    for kind, items in (("row", ROW), ("steps", STEPS), ("runs", RUNS)):
        for item in items if kind in options.only else ():
            own = replace(item, threads=options.threads)
            calls = dict(sessions(own))
            if kind == "row":
                calls |= {f"onnxruntime {name}": runtime(own, per_channel=how) for name, how in PEERS.items()}
            for line in lines(own, calls, options.rounds):
                print(line, flush=True)
                found.append(line)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{processor().slug}-int8_speed-{options.threads}.md"
    path.write_text("\n".join([*found, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
