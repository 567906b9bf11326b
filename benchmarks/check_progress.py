"""How long a command is silent: every task's training and what uses a model, on a terminal and in a pipe.

    python benchmarks/check_progress.py                    # all cases; writes benchmarks/results/progress.md
    python benchmarks/check_progress.py series generate    # these alone; prints only

A terminal must show something at least every 2 s, and name the phase; a pipe gets a line at least every 10 s. The
longest silence counts from the first word to the end of the process, and the first word from its start. Other work on
the machine adds to both.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import random
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tidegate.data import locate

LIMITS = {"terminal": 2.0, "pipe": 10.0}  # longest silence in seconds
RESULTS = Path(__file__).parent / "results" / "progress.md"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
MOMENT = 0.05  # seconds
WORDS = 60  # characters of a phase in the table
QUICK = "--hidden-size 16 --epochs 2"


class Case(NamedTuple):
    """A command, in words of the shell, and what writes its data into the folder where it runs."""

    command: str
    write: Callable[[Path], None] = lambda _: None


def _series(home: Path, rows: int = 300, steps: int = 200) -> None:
    draw = random.Random(0)  # noqa: S311  data, not secrets
    head = "@problemName s\n@univariate true\n@classLabel true c0 c1 c2\n@data\n"
    values = [[(k % 3) * t / steps + draw.gauss(0, 1) for t in range(steps)] for k in range(rows)]
    lines = [f"{','.join(f'{value:.3f}' for value in row)}:c{k % 3}\n" for k, row in enumerate(values)]
    (home / "series.ts").write_text(head + "".join(lines))


def _texts(home: Path, rows: int = 4000, words: int = 60) -> None:
    draw = random.Random(0)  # noqa: S311  data, not secrets
    known = ["".join(draw.choices("abcdefghij", k=draw.randint(3, 9))) for _ in range(3000)]
    lines = [
        f"c{k % 2},{' '.join(draw.choices(known[(k % 2) * 500 : 2500 + (k % 2) * 500], k=words))}" for k in range(rows)
    ]
    (home / "texts.csv").write_text("\n".join(["label,text", *lines]) + "\n")


def _book(home: Path) -> None:
    (home / "book.txt").write_bytes(locate("bundled:shakespeare").raw[:400_000])


def _sentences(home: Path) -> None:
    (home / "sentences.txt").write_text("I am very tired today.\nWhere is the station?\n" * 200)


CASES = {
    "series": Case(f"train classification series.ts {QUICK} --out series", _series),
    "texts": Case(f"train classification texts.csv {QUICK} --out texts", _texts),
    "forecast": Case(f"train forecast elnino {QUICK} --horizon 12 --out forecast"),
    "language": Case(f"train language book.txt {QUICK} --epoch-size 50000 --out language", _book),
    "pieces": Case(f"train language book.txt {QUICK} --unit piece --epoch-size 50000 --out pieces", _book),
    "music": Case(f"train music jsb {QUICK} --out music"),
    "speech": Case(f"train speech fsdd {QUICK} --out speech"),
    "tagging": Case(f"train tagging atis {QUICK} --out tagging"),
    "translation": Case(f"train translation tatoeba {QUICK} --out translation"),
    "evaluate": Case("evaluate texts texts.csv"),
    "predict": Case("predict texts texts.csv --out answers.csv"),
    "predict-tags": Case("predict tagging --text one_flight_to_boston"),
    "next-rows": Case("forecast forecast --out rows.csv"),
    "generate": Case("generate language --length 2000 --beam 4"),
    "compose": Case("compose music --out tune.mid --steps 400"),
    "transcribe": Case("transcribe speech fsdd"),
    "translate": Case("translate translation --file sentences.txt --beam 8", _sentences),
    "compare": Case("compare elnino --cells rnn,gru --seeds 2 --epochs 3 --workers 1 --out compare"),
}


@dataclass
class Heard:
    """What a command said, and when.

    Attributes:
        first: seconds until its first word.
        longest: seconds of the longest silence after that.
        during: what it had said last when that silence began.
        seconds: from its start to its end.
        processor: seconds of processor time, with those of its children.
        code: the exit code.
    """

    first: float = 0.0
    longest: float = 0.0
    during: str = ""
    seconds: float = 0.0
    processor: float = 0.0
    code: int = 0


def listen(command: str, home: Path, *, terminal: bool) -> Heard:
    """Run a command in a folder and time what it says."""
    reader, writer = pty.openpty() if terminal else os.pipe()
    if terminal:
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    begun = time.monotonic()
    words = [sys.executable, "-m", "tidegate", *command.split()]
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(words, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer)
    os.close(writer)
    heard, last, said = Heard(), begun, ""
    while (chunk := _read(reader)) or (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        if not chunk:
            continue
        now = time.monotonic()
        heard = _after(heard, now - last, said, first=last == begun)
        last, said = now, _last_line(chunk) or said
    os.close(reader)
    _, status, usage = ended
    process.returncode = heard.code = os.waitstatus_to_exitcode(status)
    heard = _after(heard, time.monotonic() - last, said, first=False)
    heard.seconds, heard.processor = time.monotonic() - begun, usage.ru_utime + usage.ru_stime
    return heard


def _read(reader: int) -> bytes:
    """What has been said by now, waiting a moment: processes that outlive the command may keep the pipe open."""
    try:
        return os.read(reader, 1 << 16) if select.select([reader], [], [], MOMENT)[0] else b""
    except OSError:  # a terminal whose last user has gone
        return b""


def _after(heard: Heard, silence: float, said: str, *, first: bool) -> Heard:
    if first:
        heard.first = silence
    elif silence > heard.longest:
        heard.longest, heard.during = silence, said
    return heard


def _last_line(chunk: bytes) -> str:
    lines = re.split(r"[\r\n]+", ANSI.sub("", chunk.decode(errors="replace")))
    return next((line.strip()[:WORDS] for line in reversed(lines) if line.strip()), "")


def main() -> int:
    """Run the cases, print a table, and fail if a silence is too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"some of {', '.join(CASES)}")
    chosen = parser.parse_args().cases
    lines = [
        "| case | where | first word | longest silence | after | whole | processor |",
        "|---|---|---|---|---|---|---|",
    ]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name, case in CASES.items():
            if chosen and name not in chosen:
                continue
            case.write(home)
            for where, limit in LIMITS.items():
                own = case.command + (f"-{where}" if case.command.startswith(("train", "compare")) else "")
                heard = listen(_with_model(own, where), home, terminal=where == "terminal")
                late = heard.longest > limit or heard.code != 0
                wrong += late
                lines.append(
                    f"| {name} | {where} | {heard.first:.1f} s | {heard.longest:.1f} s{' **late**' * late} "
                    f"| {heard.during.replace('|', ' ')} | {heard.seconds:.0f} s | {heard.processor:.0f} s |"
                )
                print(lines[-1], f"exit {heard.code}" if heard.code else "", flush=True)
    if not chosen:
        load = f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
        RESULTS.write_text(
            "# Silences\n\n`python benchmarks/check_progress.py`; " + load + ".\n\n" + "\n".join(lines) + "\n"
        )
    return int(bool(wrong))


def _with_model(command: str, where: str) -> str:
    """The command with the model that the case of the same mode has trained, where it uses one."""
    verb, _, rest = command.partition(" ")
    if verb in ("train", "compare"):
        return command
    model, _, rest = rest.partition(" ")
    return f"{verb} {model}-{where} {rest}"


if __name__ == "__main__":
    sys.exit(main())
