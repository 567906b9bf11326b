"""Native libraries: found in the package or built by the system's compiler, and loaded.

The engine and the cells of the zoo come ready in the wheel, one library for each instruction set. Whatever is not
there, such as a user's own cell, is compiled at first use and kept in a cache, by the hash of all it is made of.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

from tidegate.emit.cpp import Source
from tidegate.errors import BackendError, InputError, visible
from tidegate.machine import most_threads
from tidegate.runtime import cache
from tidegate.runtime.processor import Processor
from tidegate.runtime.structure import CALL_FIELDS, MOST_PLACES, MOST_PRODUCTS, STRUCTURES
from tidegate.runtime.tiles import choose
from tidegate.runtime.tuning import chosen

FLAGS = (
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-fno-exceptions",
    "-fno-rtti",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    *(
        () if sys.platform == "darwin" else ("-Wl,-z,nodelete",)
    ),  # the pool's threads never end; Apple's linker has no -z
    "-pthread",
)
ISAS = {"x86-64-v4": ("-march=x86-64-v4",), "x86-64-v3": ("-march=x86-64-v3",), "baseline": ()}
TILES = {"x86-64-v4": (64, 4), "x86-64-v3": (32, 2), "baseline": (16, 2)}  # bytes of a vector, vectors of a panel
OPENMP = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")  # LLVM's and Intel's runtimes have them too
KEPT_BYTES = (32 << 20) - (64 << 10)  # the largest block that glibc learns from is a little less than 32 MiB
MEASURES, ENDURES, BRIDLES = 0, 1, 2  # ``Temper`` of ``engine/patience.h``
LINE = 64  # bytes of a cache line
SLOW_SECONDS = 1.0  # a longer wait is announced


@functools.cache
def isa() -> str:
    """The widest instruction set of this processor that there is a library for; ``TIDEGATE_ISA`` forces one.

    Raises:
        InputError: ``TIDEGATE_ISA`` names none, or one that this processor lacks.
    """
    can = _available_isas()
    wanted = os.environ.get("TIDEGATE_ISA", "")
    if wanted and wanted not in can:
        raise InputError(
            "ISA", f"TIDEGATE_ISA is {wanted!r}, but this processor runs {', '.join(can)}", fix="unset it or name one"
        )
    return wanted or can[0]


def panel_vectors(itemsize: int) -> tuple[int, int]:
    """Of the panels in which matrices are packed: columns of a vector, and vectors of a panel (``engine/kernel.h``).

    Args:
        itemsize: bytes of a number.
    """
    size, vectors = TILES[isa()]
    return size // itemsize, vectors


@functools.cache
def processor() -> Processor:
    """The processor of this machine."""
    return Processor.read()


def _available_isas() -> tuple[str, ...]:
    return processor().isas


def engine_folder() -> Path:
    """Where the engine's sources and prebuilt libraries lie."""
    return Path(str(files("tidegate") / "engine"))


@functools.cache
def sources_hash() -> str:
    """The hash of the engine's sources, which a library must have been built from."""
    digest = hashlib.sha256()
    for path in sorted(engine_folder().glob("*.h")) + sorted(engine_folder().glob("*.cpp")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


class Library:
    """The loaded engine, the choices for this processor, and the cells loaded so far.

    Attributes:
        path: the library.
        engine: its functions.
        tuning: the choices for this processor.
        tiles: what multiplies in each type of products that has tiles of its own, by name (``runtime/tiles.py``).
    """

    def __init__(self, path: Path, engine: ctypes.CDLL) -> None:
        self.path = path
        self.engine = engine
        self._declare()
        self._check(path)
        self._share_threads()
        self.share(most_threads())
        self.tuning = chosen(processor(), isa()).tuning
        self.tiles = choose(processor(), engine)
        _keep_freed_memory()
        self._cells: dict[str, ctypes.CDLL] = {}

    def _declare(self) -> None:
        self.engine.tg_workspace.restype = ctypes.c_int64
        self.engine.tg_workspace.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
        self.engine.tg_run.restype = None
        self.engine.tg_run.argtypes = (ctypes.c_void_p,)
        self.engine.tg_norms_workspace.restype = ctypes.c_int64
        self.engine.tg_norms_workspace.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
        self.engine.tg_norms.restype = None
        self.engine.tg_norms.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        self.engine.tg_packed.restype = ctypes.c_int64
        self.engine.tg_packed.argtypes = (ctypes.c_void_p, ctypes.c_int)
        self.engine.tg_pack.restype = None
        self.engine.tg_pack.argtypes = (ctypes.c_void_p, ctypes.c_int)
        self.engine.tg_large_pages.restype = None
        self.engine.tg_large_pages.argtypes = (ctypes.c_void_p, ctypes.c_int64)
        self.engine.tg_threads.restype = None
        self.engine.tg_threads.argtypes = (ctypes.c_void_p,) * 3
        self.engine.tg_tiles.restype = ctypes.c_int
        self.engine.tg_tiles.argtypes = (ctypes.c_char_p,)
        self.engine.tg_ask_for_tiles.restype = ctypes.c_int
        self.engine.tg_ask_for_tiles.argtypes = ()
        self.engine.tg_check_tiles.restype = ctypes.c_int
        self.engine.tg_check_tiles.argtypes = (ctypes.c_void_p,)
        self.engine.tg_share.restype = None
        self.engine.tg_share.argtypes = (ctypes.c_int, ctypes.c_int)
        self.engine.tg_size.restype = ctypes.c_int64
        self.engine.tg_size.argtypes = (ctypes.c_int,)
        self.engine.tg_read_f32.restype = ctypes.c_double
        self.engine.tg_read_f32.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_double)
        self.engine.tg_peak_f32.restype = ctypes.c_double
        self.engine.tg_peak_f32.argtypes = (ctypes.c_int, ctypes.c_double)

    def _check(self, path: Path) -> None:
        expected = [*map(ctypes.sizeof, STRUCTURES), 8 * CALL_FIELDS, MOST_PRODUCTS, MOST_PLACES]
        actual = [self.engine.tg_size(k) for k in range(len(expected))]
        if actual != expected:
            raise BackendError(
                "LIBRARY_LAYOUT", f"{path} has structures of {actual} bytes, expected {expected}", fix="reinstall"
            )

    def _share_threads(self) -> None:
        """Run on the threads of torch's OpenMP, which is in this process anyway; see ``engine/pool.h``."""
        process = ctypes.CDLL(None)
        if os.environ.get("TIDEGATE_THREADS") != "own" and all(hasattr(process, name) for name in OPENMP):
            self.engine.tg_threads(*(ctypes.cast(getattr(process, name), ctypes.c_void_p) for name in OPENMP))

    def share(self, most: int, temper: int = MEASURES) -> None:
        """Say how calls share their work.

        Args:
            most: threads that a call may use, however many torch has; by default what this process may run on.
            temper: when a call that waits for other threads goes on alone: as measured, or for tests ``ENDURES``,
                never, or ``BRIDLES``, after its first step.
        """
        self.engine.tg_share(most, temper)

    def function(self, source: Source) -> Callable[[str], int]:
        """How to find the functions of a cell; compiles it if it is nowhere."""
        library = self._cells.get(source.key) or self._load(source)

        def address(name: str) -> int:
            pointer = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
            assert pointer is not None
            return pointer

        return address

    def _load(self, source: Source) -> ctypes.CDLL:
        library = self.engine if hasattr(self.engine, source.first_function) else built(source)[1]
        self._cells[source.key] = library
        return library


def _keep_freed_memory() -> None:
    """Let glibc keep what training frees at every step and needs again at the next.

    It returns freed memory to the system above a limit, twice the largest block that it saw freed so far. Each page
    must then be had anew, up to half of a step's time. So it is shown a large block, which nobody touches.
    """
    process = ctypes.CDLL(None)
    if hasattr(process, "gnu_get_libc_version"):
        process.malloc.restype, process.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
        process.free.restype, process.free.argtypes = None, (ctypes.c_void_p,)
        process.free(process.malloc(KEPT_BYTES))


def _opened(path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise BackendError(
            "LIBRARY_LOAD", f"{path} cannot be loaded: {error}", fix="delete it, so that it is compiled here"
        ) from error


@functools.cache
def load() -> Library:
    """The engine for this processor.

    Raises:
        BackendError: there is no library for it, and no compiler to build one.
    """
    prebuilt = _prebuilt()
    if prebuilt is not None:
        try:
            return Library(prebuilt, _opened(prebuilt))
        except BackendError:  # made for a newer system than this one
            pass
    return Library(*built(None))


def _prebuilt() -> Path | None:
    """The library of the wheel, unless the sources have changed since."""
    folder = engine_folder() / "lib"
    stamp = folder / "sources.txt"
    path = folder / f"tidegate-{isa()}.so"
    if os.environ.get("TIDEGATE_FLAGS"):
        return None  # flags of one's own, such as a sanitizer's, ask for a build of one's own
    if path.exists() and stamp.exists() and stamp.read_text(encoding="ascii").strip() == sources_hash():
        return path
    return None


def compiler() -> list[str]:
    """The command of the system's C++ compiler; ``CXX`` names another.

    Raises:
        BackendError: there is none, ``CXX`` is no command, or this is Windows.
    """
    if sys.platform == "win32":  # threads and memory of the engine are those of a Unix
        raise BackendError("NO_ENGINE", "there is no engine for Windows yet", fix="use WSL, where there is one")
    chosen = _words("CXX") or next(([n] for n in ("c++", "g++", "clang++") if shutil.which(n)), [])
    if not chosen or not shutil.which(chosen[0]):
        raise BackendError(
            "NO_COMPILER",
            f"no C++ compiler was found ({' '.join(chosen) or 'c++, g++, clang++'})",
            fix="install one (Debian: apt install g++), or set CXX",
        )
    return chosen


def _words(variable: str) -> list[str]:
    """The words of a variable of the environment, as a shell would part them."""
    text = os.environ.get(variable, "")
    try:
        return shlex.split(text)
    except ValueError as error:
        raise BackendError("ENVIRONMENT", f"{variable} is {text!r}: {error}", fix="close the quote") from error


@functools.cache
def _compiler_version(command: tuple[str, ...]) -> str:
    try:
        result = subprocess.run([*command, "--version"], capture_output=True, check=False)  # noqa: S603
    except OSError as error:
        raise _failed("be started", f"{command[0]}: {error}") from error
    return result.stdout.decode(errors="replace")


def built(source: Source | None) -> tuple[Path, ctypes.CDLL]:
    """The library of a cell, or of the engine itself; compiled unless the cache has it, whole.

    Raises:
        BackendError: there is no compiler, or it failed, or the disk did.
    """
    flags = [*FLAGS, *ISAS[isa()], *_words("TIDEGATE_FLAGS")]
    command = [*compiler(), *flags, f"-I{engine_folder()}"]
    text = source.text if source else (engine_folder() / "engine.cpp").read_text(encoding="utf-8")
    version = _compiler_version(tuple(compiler()))
    key = hashlib.sha256("\0".join((text, sources_hash(), version, *flags)).encode()).hexdigest()[:32]
    path = cache.folder() / f"{'cell' if source else 'engine'}-{key}.so"
    what = "the engine" if source is None else _title(source)
    try:
        library = cache.whole(path)
        if library is None:
            with cache.making(path) as folder:
                library = cache.whole(path)  # another process may have made it meanwhile
                if library is None:
                    _compile(command, text, folder, path, what)
                    library = cache.whole(path)
    except OSError as error:
        raise _failed(f"build {what} in {path.parent}", str(error)) from error
    if library is None:
        raise _failed(f"build {what}", f"{path} is not what was written")
    return path, library


def _failed(what: str, reason: str) -> BackendError:
    return BackendError(
        "COMPILER_FAILED",
        f"the compiler could not {what}: {reason.strip()[:2000]}",
        fix="check that CXX names a C++17 compiler; without one, layers run eagerly",
    )


def _title(source: Source) -> str:
    return source.text.split("\n", 1)[0].removeprefix("// Pointwise part of ").split(";")[0]


def _compile(command: Sequence[str], text: str, folder: Path, path: Path, what: str) -> None:
    start, announced = time.monotonic(), False
    file, made = folder / "source.cpp", folder / "made.so"
    file.write_text(text, encoding="utf-8")
    with subprocess.Popen(  # noqa: S603  the compiler of this system
        [*command, str(file), "-o", str(made)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=SLOW_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if not announced:
                    _print(f"tidegate: compiling {what} for this processor, once ...")
                announced = True
    if process.returncode or not made.is_file():
        raise _failed(f"build {what}", output.decode(errors="replace") or "it said nothing and wrote nothing")
    made.chmod(0o700)
    cache.seal(made)
    made.replace(path)
    if announced:
        _print(f"tidegate: compiled {what} in {time.monotonic() - start:.1f} s")


def _print(line: str) -> None:
    print(visible(line), file=sys.stderr, flush=True)  # noqa: T201  progress of something that takes seconds


def fma_peak(threads: int, seconds: float = 0.2) -> float:
    """Floating-point operations a second that this machine does at most in float32, measured now."""
    return float(load().engine.tg_peak_f32(threads, seconds))


def read_peak(size: int, seconds: float = 0.05) -> float:
    """Bytes a second that one thread reads of ``size`` bytes at most, forth and back, measured now."""
    memory = ctypes.create_string_buffer(size + LINE)
    at = -(-ctypes.addressof(memory) // LINE) * LINE
    return float(load().engine.tg_read_f32(at, size, seconds))
