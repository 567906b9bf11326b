"""``python -m benchmarks.real MODULE WORK THREADS SECONDS``: the rows of one package as JSON; see real_models.py."""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import torch
from benchmarks.real.files import UnavailableError, unpacked
from benchmarks.real.turns import RowRecord, measured

import tidegate as tg


def main() -> None:
    name, work, threads, seconds = sys.argv[1:]
    warnings.simplefilter("ignore")  # packages from 2018 use what has been deprecated since
    if hasattr(os, "sched_setaffinity"):  # some libraries heed no other limit
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-int(threads) :])
    torch.set_num_threads(int(threads))
    module = importlib.import_module(f"benchmarks.real.{name}")
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what packages print is no row
    for row in rows(module, Path(work), float(seconds)):
        print(json.dumps(asdict(row)), file=out, flush=True)


def rows(module: ModuleType, work: Path, seconds: float) -> Iterator[RowRecord]:
    package = str(module.PACKAGE)
    try:
        folder = unpacked(module.PACKAGE, work)
    except UnavailableError as error:
        yield RowRecord(package, package, str(error))
        return
    with torch.inference_mode(), tg.strict():
        for subject in module.subjects(folder):
            yield measured(subject, package, seconds)


if __name__ == "__main__":
    main()
