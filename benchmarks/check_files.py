"""Damaged and malicious files of every format that convert.read knows: is each refused by one clear error?

    python -m benchmarks.check_files --out benchmarks/results/check_files.md

Each file is read in a process of its own, which has ten seconds, and 256 MiB beyond what it begins with; then every
layer that was found is made. What is expected is an InputError. A file whose damage can have met nothing but numbers
may be read instead. A canary file appears if code in one of them ran, and a secret beside the folder must not be read.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from benchmarks.files.damage import Bad, damaged
from benchmarks.files.malice import malicious

import tidegate as tg
from tidegate.errors import InputError

SECONDS, MEMORY, LONGEST = 10, 256 << 20, 1200  # bytes; characters of an error
REFUSED, READ, LEAK, LARGE, OTHER = 0, 10, 11, 12, 13  # exit codes
MEANING = {REFUSED: "refused", READ: "read", LEAK: "read what it may not", LARGE: "took more memory", OTHER: "unclear"}
SECRET = b"\x07" * 4096


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="file for the table; printed alone by default")
    parser.add_argument("--only", default="", help="part of the name of a file")
    arguments = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        results = judged(Path(scratch), arguments.only)
    text = page(results)
    print(text, f"{time.perf_counter() - started:.0f} s", sep="\n")
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    return int(any(fault for *_, fault in results))


def judged(scratch: Path, only: str) -> list[tuple[str, bool, str, str]]:
    """For each file its format, whether it was made to do harm, what came of it, and what is wrong with that."""
    canary, secret = scratch / "canary", scratch / "secret"
    secret.write_bytes(SECRET)
    warm()
    found = []
    for malign, files in ((False, damaged()), (True, malicious(canary))):
        for bad in files:
            if only not in f"{bad.name}{bad.suffix}":
                continue
            outcome, seconds = attempt(bad, scratch)
            fault = ""
            if canary.exists():
                fault = "code was run"
                canary.unlink()
            elif outcome == "read" and not bad.may_be_read:
                fault = "read"
            elif outcome not in {"refused", "read"}:
                fault = outcome
            if fault:
                print(f"{bad.suffix} {bad.name}: {fault} ({seconds:.1f} s)", flush=True)
            found.append((bad.suffix, malign, outcome, fault))
    return found


def warm() -> None:
    """Import what readers import, so that each process need not."""
    import h5py  # noqa: F401
    import onnx.reference  # noqa: F401


def attempt(bad: Bad, scratch: Path) -> tuple[str, float]:
    """What came of a file, and how long it took."""
    folder = scratch / "folder"
    folder.mkdir(exist_ok=True)
    for name, content in bad.beside.items():
        (folder / name).write_bytes(content)
    path = folder / f"model{bad.suffix}"
    path.write_bytes(bad.content)
    started, child = time.perf_counter(), os.fork()
    if not child:
        os._exit(limited(path, scratch / "told"))
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        seconds = time.perf_counter() - started
        if done:
            break
        if seconds > SECONDS:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"no end within {SECONDS} s", seconds
        time.sleep(0.002)
    if os.WIFSIGNALED(status):
        return f"died of signal {os.WTERMSIG(status)}", seconds
    code = os.WEXITSTATUS(status)
    told = (scratch / "told").read_text(encoding="utf-8") if code == OTHER else ""
    return f"{MEANING.get(code, f'exit code {code}')}{': ' * bool(told)}{told}", seconds


def limited(path: Path, told: Path) -> int:
    """In a process of its own: read, with an eye on the memory that it takes."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
    size, resident = (int(count) * resource.getpagesize() for count in pages[:2])
    resource.setrlimit(resource.RLIMIT_AS, (size + 4 * MEMORY, size + 4 * MEMORY))
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    code = read(path, told)
    return code if 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident <= MEMORY else LARGE


def read(path: Path, told: Path) -> int:
    """What comes of a file, as an exit code; of other errors ``told`` has the text."""
    try:
        reading = tg.convert.read(path)
        layers = [found.layer() for found in reading]
        assert str(reading)
        values = [value for layer in layers for value in layer.state_dict().values()]
        if any(SECRET[:4] in value.numpy().tobytes() for value in values):
            return LEAK
        told.write_text("no layer, and no error", encoding="utf-8")
        return READ if layers else OTHER  # noqa: TRY300  what the other exits say is an error
    except InputError as error:
        text = str(error)
        clear = error.code and error.message and "\n" not in text and len(text) < LONGEST
        told.write_text(f"unclear: {text[:200]!r}", encoding="utf-8")
        return REFUSED if clear else OTHER
    except BaseException:  # noqa: BLE001  that is the question
        told.write_text(" ".join(traceback.format_exc().split())[-300:], encoding="utf-8")
        return OTHER


def page(results: list[tuple[str, bool, str, str]]) -> str:
    rows = []
    for suffix in dict.fromkeys(suffix for suffix, *_ in results):
        own = [result for result in results if result[0] == suffix]
        counts = Counter((malign, outcome) for _, malign, outcome, _ in own)
        wrong = sum(1 for *_, fault in own if fault)
        cells = (counts[False, "refused"], counts[True, "refused"], counts[False, "read"], wrong)
        rows.append(f"| {suffix} | {' | '.join(map(str, cells))} |")
    refused, read = (sum(1 for _, _, outcome, _ in results if outcome == what) for what in ("refused", "read"))
    faults = sum(1 for *_, fault in results if fault)
    lines = [
        "# Damaged and malicious files\n",
        "`python -m benchmarks.check_files`\n",
        f"{len(results)} files; {refused} are refused with one clear error, each in less than {SECONDS} s and within",
        f"{MEMORY >> 20} MiB. {read} have changed bytes in their numbers or where nobody reads, and are read. Faults",
        f"(a file read that must not be, code run, a crash, an unclear error, no end, too much memory): {faults}.\n",
        "| format | damaged, refused | malicious, refused | damaged in its numbers, read | faults |",
        "| --- | --- | --- | --- | --- |",
        *rows,
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
