"""Files are replaced as a whole or not at all, alone and as a set."""

import contextlib
import errno
from pathlib import Path

import pytest

from tidegate import storage
from tidegate.errors import InputError
from tidegate.storage import alone, current, replace_file, replace_files

NAMES = ("a.toml", "b.json", "c.bin")
OLD = {name: f"old {name}".encode() for name in NAMES}
NEW = {name: f"new {name}, longer".encode() for name in NAMES}


def found(folder: Path) -> dict[str, bytes]:
    """The set of files, as a reader finds it."""
    return {name: current(folder, name).read_bytes() for name in NAMES}


@pytest.mark.parametrize("content", ["ä\r\n", b"\x00\xff"])
def test_content_stands_as_it_was_given(tmp_path, content) -> None:
    path = tmp_path / "new" / "file"
    replace_file(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_full_disk_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch) -> None:
    path = tmp_path / "file"
    replace_file(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"the disk is full: .*file needs 1,003 bytes, and [\d,]+ are free"):
        replace_file(path, "new" + "." * 1000)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file/x cannot be written"):
        replace_file(tmp_path / "file" / "x", "new")
    with pytest.raises(InputError, match=r"file/x cannot be written"):
        replace_files(tmp_path / "file" / "x", NEW)
    with pytest.raises(InputError, match=r"lock cannot be written"), alone(tmp_path / "file" / "lock", ValueError()):
        pass


def test_a_set_lies_in_its_place(tmp_path) -> None:
    replace_files(tmp_path, OLD)
    replace_files(tmp_path, NEW)
    assert found(tmp_path) == NEW
    assert sorted(path.name for path in tmp_path.iterdir()) == list(NAMES)


class Stopped(BaseException):
    """A process ends here: nothing that follows is run."""


OPERATIONS = [
    (storage.os, "fsync"),
    (Path, "mkdir"),
    (Path, "open"),
    (Path, "rename"),
    (Path, "replace"),
    (Path, "rmdir"),
]


def stopped(folder: Path, monkeypatch, at: int, error: BaseException) -> bool:
    """Save NEW, but fail before the operation with this number; whether there was such an operation."""
    count = 0

    def guarded(operation):
        def run(*arguments, **options):
            nonlocal count
            count += 1
            if count == at or (count > at and isinstance(error, Stopped)):
                raise error
            return operation(*arguments, **options)

        return run

    with monkeypatch.context() as patch:
        for owner, name in OPERATIONS:
            patch.setattr(owner, name, guarded(getattr(owner, name)))
        if isinstance(error, Stopped):
            patch.setattr(storage.shutil, "rmtree", guarded(storage.shutil.rmtree))
        with contextlib.suppress(Stopped, InputError):
            replace_files(folder, NEW)
    return count >= at


@pytest.mark.parametrize("error", [Stopped(), OSError(errno.ENOSPC, "No space left on device")], ids=["killed", "full"])
def test_a_set_is_old_or_new_wherever_its_writing_ends(tmp_path, monkeypatch, error) -> None:
    seen, at = [], 1
    while True:
        folder = tmp_path / str(at)
        replace_files(folder, OLD)
        if not stopped(folder, monkeypatch, at, error):
            break
        assert found(folder) in (OLD, NEW), at
        seen.append(found(folder) == NEW)
        replace_files(folder, NEW)  # the next one ends what was begun, and leaves nothing behind
        assert found(folder) == NEW
        assert sorted(path.name for path in folder.iterdir()) == list(NAMES)
        at += 1
    assert len(seen) > 12
    assert seen == sorted(seen)  # once it is new, it stays new
    assert {True, False} == set(seen)
