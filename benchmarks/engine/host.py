"""Starts the processes of the contestants and gives them the word, one at a time.

Threads that a library leaves spinning after its call would take the cores from whoever is measured next. So
every contestant has a process of its own, which is stopped by a signal while it is not its turn, and
which may run on as many cores as the item has threads: some libraries heed no other limit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from types import TracebackType
from typing import Any, Self

from benchmarks.engine.item import Item
from benchmarks.engine.problem import Arrays

from tidegate.errors import BackendError

PROGRAM = "from benchmarks.engine.worker import main; main()"
PATIENCE_SECONDS = 120.0  # for one answer; compilers take their time
LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")  # NPROC is XLA's


class Host:
    """A process for one contestant on so many threads.

    Raises:
        BackendError: by any method, if the contestant fails, dies or is too slow.
    """

    def __init__(self, peer: str, threads: int, environment: Mapping[str, str] | None = None) -> None:
        self._pipe, theirs = Pipe()
        limits = dict.fromkeys(LIMITS, str(threads))
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, str(theirs.fileno()), peer, str(threads)],
            env={**os.environ, **limits, "JAX_PLATFORMS": "cpu", **(environment or {})},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def prepare(self, key: str, item: Item) -> tuple[Arrays | None, float]:
        """Its results, and the seconds until they were there; see ``Worker``."""
        arrays, seconds = self._ask("prepare", key, item)
        return arrays, seconds

    def turn(self, key: str) -> float:
        """Seconds of one call."""
        return float(self._ask("turn", key))

    def forget(self) -> None:
        """Let go of all items."""
        self._ask("forget")

    def close(self) -> None:
        """End the process."""
        self._end()
        self._pipe.close()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _ask(self, command: str, *arguments: Any) -> Any:
        try:
            self._process.send_signal(signal.SIGCONT)
            self._pipe.send((command, arguments))
            if not self._pipe.poll(PATIENCE_SECONDS):
                self._end()
                raise BackendError("BENCH_SLOW", f"no answer within {PATIENCE_SECONDS:.0f} s")
            done, answer = self._pipe.recv()
            self._process.send_signal(signal.SIGSTOP)
        except (EOFError, OSError) as error:
            self._end()
            raise BackendError("BENCH_DIED", "its process died") from error
        if not done:
            raise BackendError("BENCH_PEER", str(answer))
        return answer


class Crew:
    """The hosts of a run, started when they are first needed, with further variables of the environment."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment
        self._hosts: dict[tuple[str, int], Host] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self._hosts.values():
            host.close()

    def start(self, peers: Iterable[str], threads: int) -> None:
        """Start these contestants side by side, and wait until each has come up and rests."""
        for peer in peers:
            self.host(peer, threads)
        self.forget()

    def host(self, peer: str, threads: int) -> Host:
        """The process of a contestant; a new one if the last one died."""
        key = peer, threads
        if key not in self._hosts or not self._hosts[key].alive:
            self._hosts[key] = Host(peer, threads, self._environment)
        return self._hosts[key]

    def forget(self) -> None:
        """Between rows: let go of all items."""
        for host in self._hosts.values():
            with suppress(BackendError):  # one that died is replaced when it is needed
                host.forget()
