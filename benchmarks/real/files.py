"""Fetches packages into a folder of their own, and reads their files without running what is in them."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from benchmarks.real.subject import Package

FETCH_SECONDS = 300
ARRAYS = {
    *((module, name) for module in ("numpy.core.multiarray", "numpy._core.multiarray") for name in ("_reconstruct",)),
    *(("numpy", name) for name in ("ndarray", "dtype")),
    ("_codecs", "encode"),
}  # all that a pickled array of numbers asks for

PLAIN = {  # what pickles of Python 2 ask for to make an object without arguments
    ("copy_reg", "_reconstructor"): lambda kind, *_: kind(),
    ("__builtin__", "object"): object,
}


class UnavailableError(Exception):
    """Something is not to be had here; the message says why."""


def unpacked(package: Package, work: Path) -> Path:
    """The files of a package, downloaded and unpacked at first use; nothing is installed.

    Raises:
        UnavailableError: the registry does not give it.
    """
    folder, archives = work / f"{package.name}-{package.version}", work / "archives"
    if not folder.exists():
        tool = installed(package.tool, work) if package.tool else None
        _pip("download", "--no-deps", "--dest", str(archives), f"{package.name}=={package.version}", path=tool)
        (archive,) = (path for path in archives.iterdir() if _plain(path.name).startswith(_plain(folder.name)))
        _unpack(archive, folder)
    return folder


def installed(requirement: str, work: Path) -> Path:
    """A tool of the registry in a folder of its own, to be put on a path."""
    folder = work / "tools" / _plain(requirement)
    if not folder.exists():
        _pip("install", "--no-deps", "--target", str(folder), requirement)
    return folder


def environment(path: Path | None) -> dict[str, str]:
    """That of a process that can import what is in a folder."""
    return {**os.environ, **({} if path is None else {"PYTHONPATH": str(path)})}


def untar(archive: Path, folder: Path) -> Path:
    """Unpack an archive that a package ships, at first use."""
    if not folder.exists():
        _unpack(archive, folder)
    return folder


class Record:
    """An object of a pickle whose class is not loaded: its attributes, and as ``kind`` the name of that class.

    For a function stands a class of that ``kind``.
    """

    kind = ""


def unpickled(path: Path, records: str = "") -> Any:
    """What a pickle holds, without running anything of it: numbers, text, arrays.

    Args:
        path: of the file.
        records: the package whose classes and functions become ``Record`` s.

    Raises:
        pickle.UnpicklingError: it asks for something else.
    """

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) in ARRAYS:
                return super().find_class(module, name)
            if (module, name) in PLAIN:
                return PLAIN[module, name]
            if records and f"{module}.".startswith(f"{records}."):
                return type(name, (Record,), {"kind": name})
            raise pickle.UnpicklingError(f"{path.name} asks for {module}.{name}, which is neither data nor expected")

    with path.open("rb") as file:
        return Reader(file, encoding="latin1").load()


def _unpack(archive: Path, folder: Path) -> None:
    """Into a folder that is there only once it is complete, the first folder of an archive left out if it has one."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(partial)  # noqa: S202  zipfile keeps names inside the folder
    else:
        with tarfile.open(archive) as opened:
            opened.extractall(partial, filter="data")
    inside = list(partial.iterdir())
    (inside[0] if len(inside) == 1 and inside[0].is_dir() else partial).rename(folder)
    shutil.rmtree(partial, ignore_errors=True)


def _pip(*arguments: str, path: Path | None = None) -> None:
    isolated = [] if path is None else ["--no-build-isolation"]
    try:
        run = subprocess.run(
            [sys.executable, "-m", "pip", *arguments, *isolated, "--quiet"], env=environment(path),
            capture_output=True, text=True, check=False, timeout=FETCH_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"pip {arguments[0]} takes longer than {FETCH_SECONDS} s") from error
    if run.returncode:
        errors = [line for line in run.stderr.splitlines() if line.startswith("ERROR")] or run.stderr.splitlines()[-1:]
        raise UnavailableError(f"pip {arguments[0]} fails: {' '.join(errors[-1:])[:160]}")


def _plain(name: str) -> str:
    return re.sub(r"[-_.=]+", "-", name).casefold()
