"""The command line in processes that are killed and interrupted; torch is loaded once for all of them."""

import math
import multiprocessing
import os
import signal as signals
import sys
import threading
from pathlib import Path

from tidegate.cli import main
from tidegate.train import loop
from tidegate.train.checkpoint import Checkpoint

AGAIN = 0.002  # seconds between signals
SOON = 0.03  # seconds from a checkpoint to the signal, which then comes at any point of a step

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["tidegate.cli.training", "tidegate.train.estimator", "tests.unit.process", "torch._dynamo"]  # optimizers load it
)


def start(
    arguments: list[str],
    out: Path,
    environment: dict[str, str] | None = None,
    signal: int = 0,
    after: int = 0,
    times: int = 1,
) -> multiprocessing.Process:
    """``tidegate`` with these arguments; what it prints goes to ``out``, what it complains of beside it.

    With a signal, it gets that soon after the checkpoint of this step, and again, if several times, while it ends.
    """
    process = _context.Process(target=_run, args=(arguments, out, environment or {}, signal, after, times))
    process.start()
    return process


def _signal_itself(signal: int, after: int, times: int) -> None:
    save = Checkpoint.save

    def then_signal(checkpoint: Checkpoint, path: Path) -> None:
        save(checkpoint, path)
        if checkpoint.data["state"]["steps"] == after:
            for time in range(times):
                timer = threading.Timer(SOON + time * AGAIN, os.kill, (os.getpid(), signal))
                timer.daemon = True
                timer.start()

    Checkpoint.save = then_signal


def _run(arguments: list[str], out: Path, environment: dict[str, str], signal: int, after: int, times: int) -> None:
    os.environ.update(environment)
    signals.signal(signals.SIGINT, signals.default_int_handler)  # which a run in the background of a script lacks
    if signal:
        _signal_itself(signal, after, times)
    for descriptor, path in ((1, out), (2, out.with_suffix(".err"))):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    loop.SAVE_EVERY_SECONDS, loop.SAVE_SHARE = -1.0, math.inf  # after every step
    sys.argv[1:] = arguments
    sys.exit(main())
