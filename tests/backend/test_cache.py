"""The cache of compiled cells: whose code is loaded from it, what damage does, and machines where it does not work."""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tidegate.cell import Cell, sigmoid
from tidegate.emit.compiled import Compiled
from tidegate.errors import BackendError, TidegateWarning
from tidegate.runtime import cache, fused, library

NOBODY = 65534


class Own(Cell):
    gates = "z"

    def step(self, x, h, U):
        z = sigmoid(x.z - U(h).z)
        return z * h + 0.25 * z


SOURCE = Compiled(Own.graph).source
as_root = pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can be two users")


@pytest.fixture(autouse=True)
def _forget():
    """No answer of another test, nor of this one for those to come."""
    for remembered in (cache._folder, fused.unavailable, fused._warn_once):
        remembered.cache_clear()
    yield
    for remembered in (cache._folder, fused.unavailable, fused._warn_once):
        remembered.cache_clear()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    place = tmp_path / "cache"
    monkeypatch.setenv("TIDEGATE_CACHE", str(place))
    return place


@pytest.fixture
def quick(monkeypatch) -> None:
    """Compiled without optimisation, by a library that has not loaded this cell yet."""
    monkeypatch.setenv("TIDEGATE_FLAGS", "-O0")
    monkeypatch.setattr(library.load(), "_cells", {})


def refused(reason: str) -> Path:
    """The private folder that is used instead, with one warning that names the reason."""
    with pytest.warns(TidegateWarning, match=reason) as caught:
        place = cache.folder()
    assert len(caught) == 1
    assert cache.folder() == place
    assert place.stat().st_mode & 0o777 == 0o700
    return place


# Whose code is loaded


def test_a_folder_of_ones_own_is_used(folder) -> None:
    assert cache.folder() == folder.resolve()
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("place", [".", ".."])
def test_a_folder_that_others_may_write_to_or_one_above_it_is_left_aside(folder, place) -> None:
    folder.mkdir()
    (folder / place).resolve().chmod(0o777)
    assert refused("others may write to") != folder
    assert not list(folder.iterdir())


@as_root
@pytest.mark.parametrize("place", [".", ".."])
def test_a_folder_of_another_user_or_one_below_it_is_left_aside(folder, place) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder / place, NOBODY, NOBODY)
    assert refused("belongs to another user") != folder


@as_root
@pytest.mark.usefixtures("quick")
def test_a_library_of_another_user_is_not_loaded(folder) -> None:
    path, _ = library.built(SOURCE)
    os.chown(path, NOBODY, NOBODY)
    assert cache.whole(path) is None


PLANTED = """
#include <cstdio>
__attribute__((constructor)) static void taken() { std::fclose(std::fopen("%s", "w")); }
"""
ATTACK = """
cd "$1"
while :; do
    sleep 0.2
    [ -d cache ] && mv cache aside-$(date +%N) && mkdir cache && cp "$2" "cache/$3" && touch won
done
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that another user can reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@contextmanager
def attacked(above: Path, planted: Path, name: str) -> Iterator[None]:
    """Another user owns the folder above the cache: while a cell is compiled he renames it and plants a library."""
    above.mkdir()
    os.chown(above, NOBODY, NOBODY)
    command = ["/bin/sh", "-c", ATTACK, "attack", str(above), str(planted), name]
    with subprocess.Popen(command, user=NOBODY, group=NOBODY, extra_groups=[], stderr=subprocess.DEVNULL) as attacker:
        try:
            yield
        finally:
            attacker.kill()


@as_root
@pytest.mark.parametrize("checked", [True, False], ids=["", "although the folders above passed"])
@pytest.mark.usefixtures("quick", "folder")
def test_a_user_who_renames_the_folder_while_a_cell_is_compiled_gets_nothing_loaded(
    checked, shared, monkeypatch
) -> None:
    name = library.built(SOURCE)[0].name  # which is public: it depends on the sources and the compiler alone
    planted, taken = shared / "planted.so", shared / "taken"
    (shared / "planted.cpp").write_text(PLANTED % taken)
    subprocess.run([*library.compiler(), "-shared", "-fPIC", shared / "planted.cpp", "-o", planted], check=True)
    cache.seal(planted)
    monkeypatch.setenv("TIDEGATE_CACHE", str(shared / "above" / "cache"))
    cache._folder.cache_clear()
    if not checked:
        monkeypatch.setattr(cache, "_problem", lambda _: "")
    with attacked(shared / "above", planted, name):
        if checked:
            refused("belongs to another user")
            path, _ = library.built(SOURCE)
            assert shared not in path.parents
        else:
            end = time.monotonic() + 30
            while not (shared / "above" / "won").exists() and time.monotonic() < end:
                with suppress(BackendError):  # its folder may be gone at any moment
                    library.built(SOURCE)
            assert (shared / "above" / "won").exists()
            with suppress(BackendError):
                library.built(SOURCE)
    assert not taken.exists()
    ctypes.CDLL(str(planted))
    assert taken.exists()  # so it would have told


@pytest.mark.usefixtures("quick")
def test_a_planted_lock_does_not_empty_what_it_points_to(folder, tmp_path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("all of it")
    path, _ = library.built(SOURCE)
    path.unlink()
    lock = path.with_suffix(".lock")
    lock.unlink()
    lock.symlink_to(precious)
    with pytest.raises(BackendError, match="symbolic"):
        library.built(SOURCE)
    assert precious.read_text() == "all of it"


# Damage


def rewrite(path: Path, content: bytes) -> None:
    """Another file of this name: a library that is loaded here reads its own until the process ends."""
    path.unlink()
    path.write_bytes(content)


def half(path: Path) -> None:
    rewrite(path, path.read_bytes()[: path.stat().st_size // 2])


def zeroed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    rewrite(path, content)


def twice_named(path: Path) -> None:
    path.with_name("second").hardlink_to(path)


def linked(path: Path) -> None:
    shutil.move(path, path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


DAMAGES = {
    "half": half,
    "zeroed": zeroed,
    "empty": lambda path: rewrite(path, b""),
    "a byte more": lambda path: rewrite(path, path.read_bytes() + b"\0"),
    "writable by others": lambda path: path.chmod(0o722),
    "a link": linked,
    "a second name": twice_named,
}


@pytest.mark.usefixtures("quick")
def test_a_damaged_library_is_compiled_anew(folder) -> None:
    path, _ = library.built(SOURCE)
    for damage in DAMAGES.values():
        damage(path)
        assert cache.whole(path) is None
        again, loaded = library.built(SOURCE)
        assert again == path
        assert hasattr(loaded, SOURCE.function("forward", 0, saving=False, dtype="f32"))
        assert cache.whole(path) is not None
        path.with_name("second").unlink(missing_ok=True)
    assert not list(folder.glob(f"{cache.UNFINISHED}*"))


def test_what_a_killed_compilation_left_is_removed_after_a_day(folder) -> None:
    folder.mkdir(mode=0o700)
    old, new = folder / "making-old", folder / "making-new"
    for one in (old, new):
        one.mkdir()
    os.utime(old, (0, 0))
    with cache.making(folder / "cell.so"):
        assert not old.exists()
        assert new.exists()


def test_a_compilation_that_another_process_ends_meanwhile_is_passed_over(folder, monkeypatch) -> None:
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(Path, "glob", lambda parent, _: iter([parent / "making-gone"]))
    with cache.making(folder / "cell.so") as made:
        assert made.is_dir()


# Machines where it does not work: one warning, and layers run eagerly


def program(tmp_path, text: str) -> str:
    path = tmp_path / "compiler"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"CXX": "true"}, "it said nothing and wrote nothing"),
        ({"CXX": "false"}, "could not build"),
        ({"CXX": "printf '\\377\\376 no such thing'; exit 3"}, "no such thing"),
        ({"CXX": "c++ 'unclosed"}, "CXX is"),
        ({"TIDEGATE_FLAGS": "-O1 'unclosed"}, "TIDEGATE_FLAGS is"),
        ({"CXX": "/nonexistent/c++"}, "no C++ compiler was found"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.usefixtures("folder", "quick")
def test_a_compiler_that_does_not_work(variables, reason, monkeypatch, tmp_path) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, program(tmp_path, value) if "printf" in value else value)
    assert_eager(reason)


@pytest.mark.usefixtures("folder", "quick")
def test_windows_has_no_engine_and_says_so_once(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert_eager("there is no engine for Windows yet")


def assert_eager(reason: str) -> None:
    with pytest.warns(TidegateWarning, match="layers run eagerly") as caught:
        obstacle = fused.unavailable(Own.graph)
    assert reason in obstacle.reason
    assert len(caught) == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError(30, "Read-only file system")])
@pytest.mark.usefixtures("folder", "quick")
def test_a_disk_that_does_not_work(error, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(library, "_compile", fail)
    assert_eager(error.strerror)


@pytest.mark.parametrize("kind", ["a file", "no home", "below a file", "a NUL"])
def test_a_cache_that_cannot_be_made(kind, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    chosen = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "cache", "no home": "", "a NUL": "a"}
    monkeypatch.setenv("TIDEGATE_CACHE", str(chosen[kind]))
    if kind == "a NUL":
        monkeypatch.setattr(Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(ValueError("embedded null byte")))
    if kind == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home directory")))
    refused("cannot be used")


def test_nothing_is_said_where_all_is_well(folder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.folder()
