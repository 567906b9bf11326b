"""What whole numbers cost a task: every bundled task with its recurrent layers in 8 bits.

    python -m benchmarks.ship.int8 FOLDER     # of trained models; those that are not there are trained, several minutes

Each model is trained as ``tidegate train`` does by default, that of texts for one epoch. Its recurrent layers are
quantised with the data of its validation, and the test is scored again with the layers in whole numbers in their place.
What runs there is the simulation in NumPy; the C of each layer is compiled and has to give the same bits on a sequence
of the test. Writes benchmarks/results/ship/int8.md.
"""

from __future__ import annotations

import argparse
import ctypes
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tidegate as tg
from tidegate import tasks
from tidegate.nn import Recurrent
from tidegate.ship import Quantised
from tidegate.train.loop import evaluate

RESULTS = Path(__file__).parents[1] / "results" / "ship"
TRAINED = {
    "music": "music jsb",
    "language": "language shakespeare --epochs 1",
    "tagging": "tagging atis",
    "classification": "classification names",
    "forecast": "forecast elnino --time month --horizon 12 --quantiles 0.1 0.5 0.9",
    "speech": "speech fsdd",
    "translation": "translation tatoeba",
}
RATES = ("accuracy", "accuracy on unknown words", "WER", "CER", "PER")  # of items, right or wrong
DERIVED = ("perplexity per character", "perplexity per word", "ECE", "macro F1", "coverage of 0.1 to 0.9")
BOUND = 0.005  # of a score


def model(name: str, folder: Path) -> Any:
    """The trained model, trained now unless it is there."""
    home = folder / name
    if not (home / "model.json").exists():
        command = [sys.executable, "-m", "tidegate", "train", *shlex.split(TRAINED[name]), "--out", str(home)]
        subprocess.run(command, check=True)
    return tasks.from_pretrained(home)


@contextmanager
def in_place(layers: Mapping[str, Recurrent], whole: Mapping[str, Quantised], seen: dict[str, Any]) -> Iterator[None]:
    """The layers compute in whole numbers meanwhile. ``seen`` gets the first input of each."""

    def forward(name: str) -> Any:
        def run(x: torch.Tensor, hx: Any = None, *, lengths: Any = None, **_: Any) -> Any:
            seen.setdefault(name, x.detach().numpy())
            states = None if hx is None else tuple(s.numpy() for s in hx) if isinstance(hx, tuple) else hx.numpy()
            y, last = whole[name].run(x.detach().numpy(), states, lengths=lengths)
            ends = tuple(map(torch.from_numpy, last)) if isinstance(last, tuple) else torch.from_numpy(last)
            return torch.from_numpy(np.ascontiguousarray(y)), ends

        return run

    for name, layer in layers.items():
        layer.forward = forward(name)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers.values():
            del layer.forward


def same_in_c(layer: Recurrent, whole: Quantised, x: np.ndarray) -> bool:
    """Whether compiled C gives the same bits on the first sequence of a batch."""
    row = np.ascontiguousarray((x.swapaxes(0, 1) if layer.batch_first else x)[:, 0], np.float32)
    wanted = whole.run(row[None] if layer.batch_first else row[:, None])[0].reshape(len(row), -1)
    with tempfile.TemporaryDirectory() as folder:
        body = tg.ship.c(layer, "layer", weights=whole).write(folder)[1]
        library = Path(folder, "layer.so")
        flags = ["-std=c99", "-O2", "-ffp-contract=off", "-shared", "-fPIC"]
        subprocess.run(["gcc", *flags, str(body), "-o", str(library)], check=True)
        c = ctypes.CDLL(str(library))
        y, work = np.zeros(wanted.shape, np.float32), np.zeros(wanted.shape, np.float32)
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (row, y, work)]
        if layer.bidirectional:
            c["layer_sequence"](*pointers[:2], ctypes.c_size_t(len(row)), pointers[2])
        else:
            state = ctypes.create_string_buffer(1 << 16)
            c["layer_reset"](state)
            c["layer_block"](state, *pointers[:2], ctypes.c_size_t(len(row)))
        return c["layer_selftest"]() == 0 and np.array_equal(y, wanted)


def counted(name: str, task: Any) -> int:
    """The items of the test that are right or wrong: words of tagging, else sequences."""
    batches = list(task.batches("test"))
    if name == "tagging":
        return sum(int(batch.lengths.sum()) for batch in batches)
    return sum(batch.inputs.shape[1] for batch in batches)


def verdict(name: str, before: float, after: float, items: float, *, higher: bool) -> str:
    """Within the bound or not."""
    if name in DERIVED:
        return ""
    worse = (before - after) if higher else (after - before)
    if name in RATES:
        share = 100 if max(before, after) > 1.5 else 1
        count = worse / share * items
        return f"{'ok' if count <= 1.0001 else 'MISS'}, {count:+.0f} of {items:,.0f}"
    return f"{'ok' if worse <= BOUND * abs(before) else 'MISS'}, {worse / abs(before):+.2%}"


def scores(task: Any, network: torch.nn.Module) -> list[Any]:
    """All scores of the test."""
    metric = evaluate(task, network, "test")
    with torch.inference_mode():
        return list(task.scores(network, metric))


def scored(name: str, folder: Path) -> Iterator[str]:
    """The rows of a task."""
    estimator = model(name, folder)
    task = estimator.tested()
    layers = {n: m for n, m in estimator.model_.named_modules() if isinstance(m, Recurrent)}
    whole = tg.ship.quantise(estimator.model_, lambda: evaluate(task, estimator.model_, "valid"))
    before = scores(task, estimator.model_)
    seen: dict[str, Any] = {}
    with in_place(layers, whole, seen):
        after = scores(task, estimator.model_)
    floats = sum(4 * sum(p.numel() for p in layer.parameters()) for layer in layers.values())
    size = sum(one.size for one in whole.values())
    same = all(same_in_c(layer, whole[n], seen[n]) for n, layer in layers.items())
    shape = "; ".join(str(layer) for layer in layers.values())
    yield f"\n## `tidegate train {TRAINED[name]}`\n"
    yield f"{shape}: {floats:,} bytes in float32, {size:,} in whole numbers, {floats / size:.2f} times smaller. "
    yield f"C and NumPy: {'the same bits' if same else 'DIFFERENT'}.\n"
    yield "| score | float32 | whole numbers | |\n|---|---|---|---|"
    items = counted(name, task)
    for one, other in zip(before, after, strict=True):
        says = verdict(one.name, one.value, other.value, items, higher=one.better == "higher")
        yield f"| {one.name} | {one.value:.6g} | {other.value:.6g} | {says} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="a folder of trained models, which are made if they are not there")
    parser.add_argument("--only", nargs="*", default=list(TRAINED), choices=TRAINED)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["# Tasks in whole numbers\n", "`python -m benchmarks.ship.int8 FOLDER`"]
    for name in options.only:
        for line in scored(name, options.models):
            print(line, flush=True)
            lines.append(line)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "int8.md").write_text("\n".join([*lines, ""]))
    return any("MISS" in line or "DIFFERENT" in line for line in lines)


if __name__ == "__main__":
    sys.exit(main())
