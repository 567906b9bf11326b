"""Install a wheel into an empty environment with the core's packages only, and ask what can be done there.

``python -m benchmarks.install dist/*.whl`` runs on a bare Python. It prints a table, writes it with ``--out``, and ends
with exit code 1 if anything is not as it should be. ``--borrow FOLDER`` links torch from another environment's
site-packages instead of downloading it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
IMPORTS = 7  # of each kind; the least counts
HEAD = (
    "`python -m benchmarks.install WHEEL` on {where}: the core's packages only, and no compiler. pip and setuptools "
    f"are not counted. Times are of the processor, the least of {IMPORTS} fresh processes."
)
NO_COMPILER = "/nonexistent/c++"
EXTRA = "is not installed"

SIZES = """
import json
from importlib.metadata import distributions
files = {d.name: [f.locate() for f in d.files or ()] for d in distributions()}
print(json.dumps({name: sum(path.stat().st_size for path in paths if path.is_file()) for name, paths in files.items()}))
"""
IMPORT = """
import sys, time
before, began = set(sys.modules), time.process_time()
{statement}
seconds = time.process_time() - began
import json
new = sorted({{name.partition(".")[0] for name in set(sys.modules) - before}} - set(sys.stdlib_module_names))
print(json.dumps([seconds, [name for name in new if not name.startswith("_")]]))
"""
LAYER = """
import json, warnings, torch, tidegate as tg
from tidegate.runtime import library
warnings.simplefilter("error" if {compiled} else "ignore")

class Mine(tg.Cell):
    gates = "z n"
    def step(self, x, h, U):
        z = tg.sigmoid(x.z + U(h).z)
        n = tg.tanh(x.n + U(z * h).n)
        return (1 - z) * h + z * n

torch.manual_seed(0)
layer, plain, x = tg.nn.LSTM(8, 16), torch.nn.LSTM(8, 16), torch.randn(9, 3, 8)
layer.load_state_dict(plain.state_dict())
y, _ = layer(x)
y.sum().backward()
plain(x)[0].sum().backward()
far = max((a.grad - b.grad).abs().max().item() for a, b in zip(layer.parameters(), plain.parameters()))
session = tg.Session(layer.eval())
steps = torch.stack([session.step(row).clone() for row in x[:, :1]])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    tg.nn.Recurrent(Mine, 8, 16)(x)
print(json.dumps({{
    "path": layer.last_path, "far": max(far, (y - plain(x)[0]).abs().max().item()),
    "session": (steps - y[:, :1]).abs().max().item(), "own": [str(warning.message) for warning in caught],
    "engine": str(library.load().path) if {compiled} else "none",
}}))
"""
WORK = ("--version", "--help", "cells", "cells gru", "trace lstm --inputs 1,0.5", "engine", "train forecast --help")
MODELS = {  # the task whose models a verb takes
    **dict.fromkeys(("evaluate", "explain", "audit", "forecast", "backtest"), "forecast"),
    **dict.fromkeys(("attack", "predict"), "classification"),
    "generate": "language",
    "compose": "music",
    "translate": "translation",
    "transcribe": "speech",
}
OTHERS = {"predict": " x.csv", "transcribe": " x.wav", "translate": " hello"}  # words behind the model
NEED = (
    *("train forecast x.csv", "train music jsb", "compare", "compare x.csv", "ship forecast --to c"),
    *(f"{verb} {task}{OTHERS.get(verb, '')}" for verb, task in MODELS.items()),
)


class Environment:
    """An environment with the wheel, and how its Python is run: without a compiler, with an empty cache."""

    def __init__(self, folder: Path, wheel: Path, borrow: Path | None) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        self.python = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if borrow is not None:
            site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
            for name in (path.name for path in borrow.iterdir() if path.name.startswith("torch")):
                (site / name).symlink_to(borrow / name)
        install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-c",
            str(ROOT / "constraints.txt"),
        ]
        done = self.run(*install, str(wheel.resolve()))
        if done.returncode:
            sys.exit(done.stdout + done.stderr)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Python with these arguments, in an empty folder."""
        away = {name: text for name, text in os.environ.items() if name not in ("PYTHONPATH", "PIP_REQUIRE_VIRTUALENV")}
        own = {"CXX": NO_COMPILER, "TIDEGATE_CACHE": str(self.folder / "cache"), "PYTHONIOENCODING": "utf-8"}
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        return subprocess.run(
            [str(self.python), *words], capture_output=True, text=True, encoding="utf-8", check=False, cwd=work,
            env=away | own,
        )  # fmt: skip

    def ask(self, code: str) -> Any:
        """What a program prints as JSON."""
        done = self.run("-W", "error", "-c", code)
        if done.returncode:
            sys.exit(done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def verb(self, command: str) -> subprocess.CompletedProcess[str]:
        """A command of ``tidegate``."""
        return self.run("-m", "tidegate", *command.split())


def sizes(own: Environment, wheel: Path) -> Iterator[tuple[str, str]]:
    """Megabytes of all packages but pip, which every environment has."""
    found = {name: size for name, size in own.ask(SIZES).items() if name not in ("pip", "setuptools")}
    light = {name: size for name, size in found.items() if name != "torch"}
    yield "the wheel", f"{wheel.stat().st_size / 1e6:.2f} MB"
    yield "the installation", f"{sum(found.values()) / 1e6:.0f} MB in {len(found)} packages"
    yield "without torch", f"{sum(light.values()) / 1e6:.0f} MB in {len(light)} packages"
    yield "Tidegate itself", f"{found['tidegate'] / 1e6:.1f} MB"
    largest = sorted(light.items(), key=lambda pair: -pair[1])
    yield "the largest beside torch", ", ".join(f"{name} {size / 1e6:.0f}" for name, size in largest[:6])


def imports(own: Environment) -> Iterator[tuple[str, str]]:
    """Seconds of the processor, the least of some fresh processes, and the packages that are loaded then."""
    for statement in ("import tidegate", "import torch", "import tidegate.nn", "import tidegate.cli"):
        runs = [own.ask(IMPORT.format(statement=statement)) for _ in range(IMPORTS)]
        seconds, names = min(runs)
        loaded = f"; loads {', '.join(names)}" if len(names) < 8 else f"; loads {len(names)} packages"
        yield f"`{statement}`", f"{1000 * seconds:.0f} ms{loaded}"


def layers(own: Environment) -> Iterator[tuple[str, str]]:
    """A layer, a session and a cell of one's own, without a compiler.

    A wheel without libraries has none but the eager path, and no session.
    """
    compiled = own.ask("import json, tidegate, pathlib; print(json.dumps(any(pathlib.Path("
                       "tidegate.__file__).parent.glob('engine/lib/tidegate-*'))))")  # fmt: skip
    found = own.ask(LAYER.format(compiled=compiled))
    yield "engine", Path(found["engine"]).name
    yield "`tg.nn.LSTM`, forward and backward", f"{found['path']}; at most {found['far']:.1e} from torch.nn.LSTM"
    yield "`tg.Session`", f"at most {found['session']:.1e} from the layer"
    yield "a cell of one's own, without a compiler", "; ".join(found["own"]) or "fused"
    if (compiled and found["path"] != "fused") or max(found["far"], found["session"]) > 1e-5:
        sys.exit(f"wrong: {found}")


def verbs(own: Environment) -> Iterator[tuple[str, str]]:
    """What each verb says: it works, or names the extra that it needs, with exit code 1 and no traceback."""
    work = own.folder / "work"
    (work / "x.csv").write_text("t,y\n" + "".join(f"{k},{k % 7}\n" for k in range(100)), encoding="utf-8")
    (work / "x.wav").write_bytes(b"")
    for task in set(MODELS.values()):
        (work / task).mkdir()
        (work / task / "model.json").write_text(json.dumps({"format": 1, "task": task}), encoding="utf-8")
    for command in (*WORK, *NEED):
        done = own.verb(command)
        wanted = EXTRA if command in NEED else ""
        said = (done.stderr.strip() or "works").splitlines()[-1]
        if wanted not in done.stderr or "Traceback" in done.stderr or done.returncode != bool(wanted):
            sys.exit(f"tidegate {command} ended with {done.returncode}: {done.stderr}")
        yield f"`tidegate {command}`", said


def main() -> None:
    """Install, ask, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--borrow", type=Path, help="site-packages of another environment, whose torch is linked")
    parser.add_argument("--out", type=Path, help="write the tables into this file, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        own = Environment(Path(folder), options.wheel, options.borrow)
        parts = (("Size", sizes(own, options.wheel)), ("Imports", imports(own)), ("Layers", layers(own)),
                 ("Commands", verbs(own)))  # fmt: skip
        where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
        lines = ["# A wheel in an empty environment", "", HEAD.format(where=where)]
        for title, rows in parts:
            lines += ["", f"## {title}", "", "| | |", "|---|---|", *(f"| {what} | {found} |" for what, found in rows)]
            print("\n".join(lines[-3:]), flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
