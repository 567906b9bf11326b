"""``python -m benchmarks.real MODULE FOLDER THREADS SECONDS``: the rows of one package as JSON; see real_models.py."""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings
from dataclasses import asdict
from pathlib import Path

import torch
from benchmarks.real.turns import measured

import tidegate as tg


def main() -> None:
    name, folder, threads, seconds = sys.argv[1:]
    warnings.simplefilter("ignore")  # packages from 2018 use what has been deprecated since
    if hasattr(os, "sched_setaffinity"):  # some libraries heed no other limit
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-int(threads) :])
    torch.set_num_threads(int(threads))
    module = importlib.import_module(f"benchmarks.real.{name}")
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what packages print is no row
    with torch.inference_mode(), tg.strict():
        for subject in module.subjects(Path(folder)):
            print(json.dumps(asdict(measured(subject, str(module.PACKAGE), float(seconds)))), file=out, flush=True)


if __name__ == "__main__":
    main()
