"""The command line in processes that can be killed and interrupted; torch is loaded once for all of them."""

import multiprocessing
import os
import sys
from pathlib import Path

from tidegate.cli import main
from tidegate.train import loop

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tidegate.cli.training", "tidegate.train.estimator", "tests.unit.process"])


def start(arguments: list[str], out: Path, environment: dict[str, str] | None = None) -> multiprocessing.Process:
    """``tidegate`` with these arguments; what it prints goes to ``out``, what it complains of beside it."""
    process = _context.Process(target=_run, args=(arguments, out, environment or {}))
    process.start()
    return process


def _run(arguments: list[str], out: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    for descriptor, path in ((1, out), (2, out.with_suffix(".err"))):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    loop.SAVE_EVERY_SECONDS = 0.1  # so that tests need not wait
    sys.exit(main(arguments))
