"""How exact are the engine's exp, log, sigmoid, tanh, relu and log_sigmoid, and torch's on the same points?

    python benchmarks/activation_sweep.py            # every float32 that matters: two minutes on two idle cores
    python benchmarks/activation_sweep.py --quick    # every 97th, and no files written

Compiles src/tidegate/engine/activation.cpp for each instruction set that this machine can run. float32 is held against
numpy's float64; float64, of which four million points are drawn, against x87's 80 bits, and 20,000 of them against
mpmath as well. Writes benchmarks/results/activations.md and .json.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import mpmath
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "tidegate" / "engine" / "activation.cpp"
RESULTS = ROOT / "benchmarks" / "results"
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
MARCH = {"x86_64_v4": "x86-64-v4", "x86_64_v3": "x86-64-v3", "baseline": "x86-64"}
CAPABILITIES = ("AVX512", "AVX2", "DEFAULT")  # torch's names of what a CPU can do, in the same order
FUNCTIONS = ("exp", "log", "sigmoid", "tanh", "relu", "log_sigmoid")  # in the order of the C interface
CHUNK = 1 << 15  # so that what is computed of it stays in the cache
STEP = 97  # where not every float32 counts
MPMATH_POINTS = 20_000
INTRODUCTION = """# How exact the engine's functions are

Written by `benchmarks/activation_sweep.py`. Errors against the exact result, in units of its last place and absolute.
float32: every bit pattern, but only every 97th for relu, and below 2^-39, where exp is 1, sigmoid 1/2, log_sigmoid
log(1/2) and tanh its argument. float64: four million points, random and where such functions go wrong. Subnormal
results count for the engine and not for torch, whose sigmoid is 0 there.
{conditions}.

"""
Array = np.ndarray
Function = Callable[[int, Array], Array]  # the number of a function, and points


def isas() -> list[str]:
    """The instruction sets that this machine can run."""
    return list(MARCH)[CAPABILITIES.index(torch.backends.cpu.get_cpu_capability()) :]


def compiler() -> str:
    return os.environ.get("CXX", "c++")


def start_compiler(isa: str, target: Path) -> subprocess.Popen:
    """The system's compiler at work on the library of one instruction set."""
    flags = [*FLAGS, f"-march={MARCH[isa]}", "-fPIC", "-shared"]
    return subprocess.Popen([compiler(), *flags, str(SOURCE), "-o", str(target)])


def build(folder: Path) -> dict[str, Function]:
    """Libraries of all instruction sets, compiled side by side."""
    running = {isa: start_compiler(isa, folder / f"{isa}.so") for isa in isas()}
    for isa, process in running.items():
        if process.wait():
            raise SystemExit(f"{SOURCE.name} did not compile for {isa}")
    return {isa: open_library(folder / f"{isa}.so") for isa in running}


def open_library(path: Path) -> Function:
    """The engine's functions on arrays of float32 or float64."""
    library = ctypes.CDLL(str(path))
    entries = {np.dtype(np.float32): library.tg_activation_f32, np.dtype(np.float64): library.tg_activation_f64}

    def apply(which: int, x: Array, out: Array | None = None) -> Array:
        assert x.flags.c_contiguous
        out = np.empty_like(x) if out is None else out
        entries[x.dtype](
            which, ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(x.size)
        )
        return out

    return apply


def by_torch(which: int, x: Array) -> Array:
    name = FUNCTIONS[which]
    function = torch.nn.functional.logsigmoid if name == "log_sigmoid" else getattr(torch, name)
    return function(torch.from_numpy(x)).numpy()


def ask(name: str, function: Function, which: int, x: Array, wanted: Array) -> Array:
    """The function's results; for torch the exact ones where they are subnormal, since its sigmoid is 0 there."""
    got = function(which, x)
    if name == "torch" and (subnormal := np.abs(wanted) < np.finfo(got.dtype).tiny).any():
        return np.where(subnormal, wanted, got).astype(got.dtype)
    return got


def exact(which: int, x: Array) -> Array:
    """numpy's own function at the precision of ``x``."""
    if FUNCTIONS[which] == "sigmoid":
        return 1 / (1 + np.exp(-x))
    if FUNCTIONS[which] == "log_sigmoid":
        return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
    return np.maximum(x, 0) if FUNCTIONS[which] == "relu" else getattr(np, FUNCTIONS[which])(x)


def by_mpmath(which: int, x: Array) -> Array:
    """The same from 40 digits, rounded to x87's 64 bits."""
    one = {"exp": mpmath.exp, "log": mpmath.log, "tanh": mpmath.tanh, "sigmoid": lambda v: 1 / (1 + mpmath.exp(-v))}
    one["log_sigmoid"] = lambda v: -mpmath.log1p(mpmath.exp(-v))
    with mpmath.workdps(40):
        return np.array([_rounded(one[FUNCTIONS[which]](mpmath.mpf(float(v)))) for v in x])


def _rounded(value: mpmath.mpf) -> np.longdouble:
    """0 and infinity far outside of float64, where to write the digits would take forever."""
    if value and abs(mpmath.mag(value)) > 2000:
        return np.longdouble("inf" if value > 1 else 0)
    return np.longdouble(mpmath.nstr(value, 25))


def ulps(got: Array, wanted: Array, unit_of: type) -> Array:
    """Errors in units of the last place that ``wanted`` has in dtype ``unit_of``, itself narrower than ``wanted``.

    Infinity counts as the next power of two, so that overflow an ulp too early is an error of one ulp.
    """
    info, wide = np.finfo(unit_of), wanted.dtype.type
    right = np.isnan(got) & np.isnan(wanted)
    limit = np.ldexp(wide(1), info.maxexp)
    got, wanted = (np.clip(value.astype(wide), -limit, limit) for value in (got, wanted))
    unit = np.ldexp(wide(1), np.maximum(np.frexp(wanted)[1] - 1, info.minexp) - info.nmant)
    error = np.abs(got - wanted) / unit
    return np.where(right, 0, np.where(np.isnan(error), np.inf, error)).astype(np.float64)


@dataclass
class Worst:
    """The largest errors seen so far, and where."""

    ulp: float = 0.0
    ulp_at: float = 0.0
    absolute: float = 0.0
    absolute_at: float = 0.0

    def see(self, x: Array, ulp: Array, absolute: Array) -> None:
        if (most := float(ulp.max())) > self.ulp:
            self.ulp, self.ulp_at = most, float(x[ulp.argmax()])
        if (most := float(absolute.max())) > self.absolute:
            self.absolute, self.absolute_at = most, float(x[absolute.argmax()])

    def join(self, other: Self) -> None:
        if other.ulp > self.ulp:
            self.ulp, self.ulp_at = other.ulp, other.ulp_at
        if other.absolute > self.absolute:
            self.absolute, self.absolute_at = other.absolute, other.absolute_at


def see_carefully(worst: Worst, x: Array, got: Array, wanted: Array) -> None:
    """Any values; ``see_float32`` has a faster way for finite ones."""
    finite = np.isfinite(got) & np.isfinite(wanted)
    absolute = np.abs(np.where(finite, got, 0) - np.where(finite, wanted, 0)).astype(np.float64)
    worst.see(x, ulps(got, wanted, got.dtype.type), absolute)


def see_float32(worst: dict[str, Worst], which: int, libraries: dict[str, Function], x: Array) -> None:
    wanted = exact(which, x.astype(np.float64))
    power = (wanted.view(np.int64) & 0x7FF0000000000000).view(np.float64)  # of two, not above
    per_ulp = 2.0**23 / np.maximum(power, 2.0**-126)
    rounded = wanted.astype(np.float32) if power.min() >= 2.0**128 else None  # infinities and NaN only
    for name, function in libraries.items():
        got = ask(name, function, which, x, wanted)
        if rounded is not None and np.array_equal(got, rounded, equal_nan=True):
            continue
        absolute = got.astype(np.float64)
        absolute -= wanted
        np.abs(absolute, out=absolute)
        ulp = absolute * per_ulp
        if np.isfinite(ulp.max()):
            worst[name].see(x, ulp, absolute)
        else:
            see_carefully(worst[name], x, got, wanted)


def sweep(which: int, libraries: dict[str, Function], patterns: range) -> dict[str, Worst]:
    """All float32 of these bit patterns."""
    worst = {name: Worst() for name in libraries}
    with np.errstate(all="ignore"):
        for first in range(patterns.start, patterns.stop, patterns.step * CHUNK):
            last = min(first + patterns.step * CHUNK, patterns.stop)
            x = np.arange(first, last, patterns.step, dtype=np.uint32).view(np.float32)
            see_float32(worst, which, libraries, x)
    return worst


def sweep_float32(which: int, libraries: dict[str, Function], *, quick: bool) -> dict[str, Worst]:
    """Of every eight binades all float32, or every 97th; NaN and infinities are among them."""
    part = 8 << np.finfo(np.float32).nmant
    parts = []
    for number, first in enumerate(range(0, 1 << 32, part)):
        small = number % 32 < 11 and FUNCTIONS[which] != "log"  # below 2^-39, of either sign
        parts.append(range(first, first + part, STEP if quick or small or FUNCTIONS[which] == "relu" else 1))
    worst = {name: Worst() for name in libraries}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(lambda patterns: sweep(which, libraries, patterns), parts):
            for name, other in found.items():
                worst[name].join(other)
    return worst


def points_float64(count: int) -> Array:
    """Where functions go wrong, and random points of several spreads up to ``count``."""
    draw = np.random.default_rng(0)
    one = np.ldexp(1.0, np.arange(-1074, 1024))
    halves = np.arange(-2200, 2201) * (np.log(2) / 2)  # where the integer part of the exponent changes
    roots = np.sqrt(0.5) * one[60:]  # where the exponent of log changes
    special = np.concatenate([one, -one, halves, halves / 2, roots])
    near = np.concatenate([(special.view(np.int64) + k).view(np.float64) for k in range(-3, 4)])
    share = (count - near.size) // 12
    spreads = [draw.uniform(-s, s, share) for s in (750, 40, 20, 1)]
    sign = draw.choice([-1, 1], share)
    ranges = [(-1074, 1024), (-30, 10), (-6, 6), (-3, 0), (0, 3), (3, 5)]  # narrow where all roundings count
    logarithmic = [np.exp2(draw.uniform(low, high, share)) * sign for low, high in ranges]
    subnormal = draw.integers(1, 1 << 52, share).view(np.float64)
    around_one = 1 + draw.normal(size=share) * np.exp2(draw.uniform(-52, -1, share))
    ends = [0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(np.float64).max]
    return np.concatenate([near, *spreads, *logarithmic, subnormal, around_one, ends])


def sweep_float64(which: int, libraries: dict[str, Function], count: int) -> dict[str, Worst]:
    x = points_float64(count)
    worst = {name: Worst() for name in libraries}
    with np.errstate(all="ignore"):
        wanted = exact(which, x.astype(np.longdouble))
        if FUNCTIONS[which] != "relu":
            some = np.flatnonzero(np.isfinite(x) & np.isfinite(wanted))[:: max(1, count // MPMATH_POINTS)]
            better = by_mpmath(which, x[some])
            assert ulps(wanted[some], better, np.float64).max() < 0.01, "x87's functions are no reference here"
            wanted[some] = better
        for name, function in libraries.items():
            see_carefully(worst[name], x, ask(name, function, which, x, wanted), wanted)
    return worst


def measure(libraries: dict[str, Function], *, quick: bool) -> list[dict[str, Any]]:
    """One row for each function, dtype and instruction set, with torch's worst error beside it."""
    found = []
    for which, function in enumerate(FUNCTIONS):
        for dtype in ("float32", "float64"):
            begin = time.monotonic()
            everyone = {**libraries, "torch": by_torch}
            if dtype == "float32":
                worst = sweep_float32(which, everyone, quick=quick)
            else:
                worst = sweep_float64(which, everyone, 200_000 if quick else 4_000_000)
            print(f"{function} {dtype}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
            theirs = worst.pop("torch")
            more = {"torch_ulp": theirs.ulp, "torch_ulp_at": theirs.ulp_at}
            found += [
                {"function": function, "dtype": dtype, "isa": isa, **asdict(w), **more} for isa, w in worst.items()
            ]
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| function | dtype | instructions | worst ulp | at | worst absolute | at | torch: worst ulp | at |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        errors = f"{row['ulp']:.3f} | {row['ulp_at']:.9g} | {row['absolute']:.2e} | {row['absolute_at']:.9g}"
        torchs = f"{row['torch_ulp']:.3f} | {row['torch_ulp_at']:.9g}"
        lines.append(f"| {row['function']} | {row['dtype']} | {row['isa']} | {errors} | {torchs} |")
    return "\n".join(lines) + "\n"


def about() -> dict[str, str]:
    """What the figures depend on."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    version = subprocess.run([compiler(), "--version"], check=True, capture_output=True, text=True).stdout
    return {"cpu": names[0], "compiler": version.splitlines()[0], "torch": torch.__version__, "numpy": np.__version__}


def write(rows: list[dict[str, Any]]) -> None:
    facts = about()
    (RESULTS / "activations.json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    conditions = ", ".join(f"{name} {value}" for name, value in facts.items())
    (RESULTS / "activations.md").write_text(INTRODUCTION.format(conditions=conditions) + table(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every 97th float32; prints only")
    parser.add_argument("--library", type=Path, help="a library already built, in place of compiling")
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # the sweep has threads of its own
    with tempfile.TemporaryDirectory() as folder:
        libraries = {"given": open_library(chosen.library)} if chosen.library else build(Path(folder))
        rows = measure(libraries, quick=chosen.quick)
    print(table(rows), end="")
    if not chosen.quick and not chosen.library:
        write(rows)


if __name__ == "__main__":
    main()
