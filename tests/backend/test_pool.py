"""The engine's threads: pool_check.cpp, built as it is and under the sanitizers that see races and bad memory."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECK = Path(__file__).with_name("pool_check.cpp")
BUILDS = {
    "plain": ["-O2"],
    "thread": ["-O1", "-fsanitize=thread"],
    "address": ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "openmp": ["-O2", "-fopenmp"],  # on the threads of an OpenMP runtime
    "portable": ["-O2", "-U__linux__"],  # how threads sleep where there is no futex
}
ROUNDS = "300"  # enough for each mistake that was planted to be found, in about a second


def compiled(source: Path, flags: list[str], folder: Path) -> tuple[Path, str]:
    """The program, and what the compiler said if there is none."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        pytest.skip("no C++ compiler here: c++ is not found, and CXX names no other")
    program = folder / source.stem
    build = [compiler, "-std=c++17", "-g", "-pthread", "-Wall", "-Wextra", *flags, str(source), "-o", str(program)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    return program, done.stderr


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # No leak checker: in a child it looks for its parent's threads. The pool allocates nothing.
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, env=environment)


def need_working(flags: list[str], folder: Path) -> None:
    """Skips where an empty program does not link, or does not start, as under some kernels' address layouts."""
    empty = folder / "empty.cpp"
    empty.write_text("int main() { return 0; }\n")
    program, said = compiled(empty, flags, folder)
    if not program.exists():
        pytest.skip(f"the compiler cannot build with {' '.join(flags)}: {said.strip()}")
    done = run(program)
    if done.returncode != 0:
        pytest.skip(f"nothing built with {' '.join(flags)} runs here: {done.stderr.strip()}")


@pytest.mark.parametrize("build", BUILDS)
def test_the_pool_keeps_its_promises(build, tmp_path) -> None:
    flags = BUILDS[build]
    need_working(flags, tmp_path)
    program, said = compiled(CHECK, flags, tmp_path)
    assert program.exists(), said
    done = run(program, ROUNDS)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
