"""What do two threads cost on a busy machine, and what do they bring on an idle one?

    python -m benchmarks.busy_threads --output benchmarks/results/busy_threads.md

A training step of a small language model (100 steps of 32 sequences, 128 units) is run by Tidegate's LSTM and by
torch.nn's, whose step is hundreds of small operations. Each case is a process of its own, since OpenMP reads how long
its threads wait when it is loaded: as GNU's OpenMP does by default, as ``tidegate.machine`` asks of it, and without
looking at all. "Alone" runs at a real-time priority, so that nothing else takes its processors (it needs root, and is
left out otherwise); "busy" runs beside one endless loop for each processor. Losses must be equal to the last bit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tidegate.machine import LOOKS, WAITING, bound

STEPS, SEQUENCES, UNITS, SYMBOLS = 100, 32, 128, 65
WAITS = {"as OpenMP does": {}, "briefly": {"GOMP_SPINCOUNT": LOOKS}, "asleep": {"OMP_WAIT_POLICY": "passive"}}


def measure(layer: str, repeats: int, *, alone: bool) -> dict[str, float]:
    """Mean time of a step, by the clock and by the processors, and the last loss."""
    import torch

    from tidegate import nn

    if alone:  # before there is a second thread, which inherits it
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    torch.manual_seed(0)
    kind = nn.LSTM if layer == "Tidegate" else torch.nn.LSTM
    embedding, recurrent = torch.nn.Embedding(SYMBOLS, UNITS), kind(UNITS, UNITS)
    head = torch.nn.Linear(UNITS, SYMBOLS)
    parameters = [*embedding.parameters(), *recurrent.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-3, fused=True)
    symbols = torch.randint(0, SYMBOLS, (STEPS + 1, SEQUENCES))

    def step() -> float:
        outputs, _ = recurrent(embedding(symbols[:-1]))
        loss = torch.nn.functional.cross_entropy(head(outputs).flatten(0, 1), symbols[1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    for _ in range(3):
        step()
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        loss = step()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {"wall": 1e3 * wall / repeats, "processor": 1e3 * processor / repeats, "loss": loss}


def case(layer: str, threads: int, wait: str, repeats: int, *, alone: bool) -> dict[str, float] | None:
    """Measure in a process of its own; None where it may not run alone."""
    environment = {name: value for name, value in os.environ.items() if name not in WAITING}
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.busy_threads", "--one", layer, str(repeats), str(int(alone))],
        env={**environment, **(WAITS[wait] or {"GOMP_SPINCOUNT": "300000"}), "OMP_NUM_THREADS": str(threads)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if alone and "PermissionError" in run.stderr:
        return None
    if run.returncode:
        sys.exit(run.stderr)
    result: dict[str, float] = json.loads(run.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        layer, repeats, alone = arguments.one
        print(json.dumps(measure(layer, int(repeats), alone=alone == "1")))
        return
    lines = ["| layer | machine | threads | they wait | step, ms | processor time, ms |", "|---|---|---|---|---|---|"]
    losses = set()
    for alone in (True, False):
        spin = [sys.executable, "-S", "-c", "while True: pass"]
        others = [subprocess.Popen(spin) for _ in range(0 if alone else bound())]
        try:
            for layer in ("Tidegate", "torch.nn"):
                for threads, wait in ((1, "-"), *((2, wait) for wait in WAITS)):
                    found = case(layer, threads, wait if threads > 1 else "briefly", arguments.repeats, alone=alone)
                    if found is not None:
                        losses.add(found["loss"])
                        times = f"{found['wall']:.0f} | {found['processor']:.0f}"
                        lines.append(f"| {layer} | {'alone' if alone else 'busy'} | {threads} | {wait} | {times} |")
        finally:
            for other in others:
                other.kill()
    text = "\n".join(lines) + f"\n\nLosses: {'equal' if len(losses) == 1 else sorted(losses)}\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(f"# Threads on a busy machine\n\n`python -m benchmarks.busy_threads`\n\n{text}")
    sys.exit(len(losses) != 1)


if __name__ == "__main__":
    main()
