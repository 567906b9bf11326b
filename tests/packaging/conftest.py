"""What is built once for all tests of this folder, in all processes of a run, and a way to run what was built."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

from tidegate.errors import BackendError
from tidegate.runtime import library

ROOT = Path(__file__).parents[2]
NO_COMPILER = "/nonexistent/c++"
SDIST = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"


def run(command, **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    base = tmp_path_factory.getbasetemp()
    made = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "packaging"
    made.mkdir(exist_ok=True)
    return made


def once(folder: Path, command: list[str], **options) -> Path:
    """The one file that a command leaves in a folder; other processes wait for the one that runs it."""
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            run([*command, str(folder)], **options)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="session")
def sdist(folder) -> Path:
    pytest.importorskip("scikit_build_core", reason="building needs scikit-build-core: make test installs it")
    return once(folder / "sdist", [sys.executable, "-c", SDIST], cwd=ROOT)


def is_there(tool: str) -> bool:
    spec = importlib.util.find_spec(tool)  # the folder cmake/ of the repository is found too, but has no origin
    return bool(shutil.which(tool) or (spec and spec.origin))


def build_wheel(sdist: Path, into: Path, **variables: str) -> Path:
    if not (is_there("cmake") and (is_there("ninja") or is_there("make"))):
        pytest.skip("building the wheel without a network needs CMake and Ninja: pip install cmake ninja")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-cache-dir", "--no-deps", "--no-build-isolation"]
    environment = {**os.environ, "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count()), **variables}
    return once(into, [*build, str(sdist), "--wheel-dir"], env=environment)


@pytest.fixture(scope="session")
def compiled(folder) -> Path:
    """Where the command of each compilation of the wheel is noted."""
    return folder / "compiled.txt"


@pytest.fixture(scope="session")
def wheel(sdist, folder, compiled) -> Path:
    """The wheel as it is published: made from the source distribution, with a compiler.

    Only that it is compiled without optimisation, which takes a third of the time: what is fast is tested elsewhere.
    """
    try:
        compiler = " ".join(library.compiler())
    except BackendError as error:
        pytest.skip(str(error))
    quick = folder / f"quick-{os.getpid()}"
    quick.write_text(f'#!/bin/sh\necho "$@" >> {compiled}\nexec {compiler} "$@" -O0\n')
    quick.chmod(0o700)
    return build_wheel(sdist, folder / "wheel", CXX=str(quick))


@pytest.fixture(scope="session")
def plain_wheel(sdist, folder) -> Path:
    """The wheel of a machine without a compiler."""
    return build_wheel(sdist, folder / "plain", CXX=NO_COMPILER)


@pytest.fixture
def run_installed(tmp_path):
    """Run code against an unpacked wheel, on a machine without a compiler and with an empty cache."""

    def run_code(wheel: Path, code: str, **variables: str) -> str:
        site = tmp_path / "site"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
        return run(
            [sys.executable, "-S", "-c", code, str(site)],  # -S: no hook of an editable install gets in the way
            env={
                "PYTHONPATH": os.pathsep.join([str(site), sysconfig.get_path("purelib")]),
                "CXX": NO_COMPILER,
                "TIDEGATE_CACHE": str(tmp_path / "cache"),
                **variables,
            },
            cwd=tmp_path,
        )

    return run_code
