"""The other programs: how each is compiled from its sources, and run."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
EIGEN = "/usr/include/eigen3"  # of Debian's libeigen3-dev


@dataclass(frozen=True)
class Peer:
    """A program that loads a file and runs it.

    Attributes:
        name: of its checkout, a folder below ``--peers``.
        origin: where that comes from.
        main: the file here that calls it.
        sources: further files of the checkout.
        command: the compiler and its options; ``{peer}`` is the checkout.
    """

    name: str
    origin: str
    main: str
    sources: tuple[str, ...]
    command: tuple[str, ...]

    def built(self, peers: Path, work: Path) -> Path:
        """The program, compiled at first use."""
        program, checkout = work / self.name.casefold(), peers / self.name
        if not program.exists():
            options = [part.format(peer=checkout) for part in self.command]
            files = [str(HERE / self.main), *(str(checkout / source) for source in self.sources)]
            subprocess.run([*options, *files, "-lm", "-o", str(program)], check=True)
        return program


PEERS = (
    Peer(
        "RTNeural", "https://github.com/jatinchowdhury18/RTNeural", "rtneural.cpp", ("RTNeural/RTNeural.cpp",),
        ("g++", "-std=c++17", "-O2", "-DRTNEURAL_USE_EIGEN=1", "-I{peer}", f"-I{EIGEN}"),
    ),
    Peer(
        "NAM", "https://github.com/sdatkinson/NeuralAmpModelerCore", "nam.cpp",
        tuple(f"NAM/{name}.cpp" for name in ("lstm", "get_dsp", "dsp", "activations", "util", "nam_file")),
        ("g++", "-std=c++20", "-O2", "-w", "-I{peer}", "-I{peer}/NAM", "-I{peer}/Dependencies/nlohmann", f"-I{EIGEN}"),
    ),
    Peer(
        "rnnoise", "https://gitlab.xiph.org/xiph/rnnoise", "rnnoise.c",
        tuple(f"src/{name}.c" for name in ("nnet", "nnet_default", "parse_lpcnet_weights")),
        ("gcc", "-O2", "-w", "-I{peer}/src", "-I{peer}/include"),
    ),
)  # fmt: skip


def run(program: Path, content: str | bytes, x: Any, width: int, work: Path, further: Sequence[int] = ()) -> Any:
    """The outputs [T, O] that a program gives for inputs [T, I], given the content of the model's file."""
    model, given, found = work / "model", work / "input", work / "output"
    model.write_bytes(content.encode() if isinstance(content, str) else content)
    given.write_bytes(np.ascontiguousarray(x, np.float32).tobytes())
    command = [str(program), str(model), str(given), str(found), str(len(x)), *map(str, further)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
    return np.fromfile(found, np.float32).reshape(len(x), width)
