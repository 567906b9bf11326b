"""Damaged and malicious files of other frameworks: each is one clear error, and nothing in it is run.

All that were made to do harm, and some of the damaged; ``benchmarks.check_files`` reads all of them, each in a process
of its own.
"""

import os
import signal
import warnings

import pytest
from benchmarks.check_files import SECRET, attempt, judged
from benchmarks.files.damage import Bad, damaged
from benchmarks.files.malice import malicious
from benchmarks.files.sound import SOUND

import tidegate as tg
from tidegate.errors import InputError

pytest.importorskip("h5py")
pytest.importorskip("onnx")
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.:DeprecationWarning")
HELD = []
EACH = 12  # of the damaged


def made(path):
    """Every layer of a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [found.layer() for found in tg.convert.read(path)]


def test_bad_files_are_refused(tmp_path):
    canary, folder = tmp_path / "canary", tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(SECRET)
    wrong = []
    files = [bad for bad in [*list(damaged())[::EACH], *malicious(canary)] if not bad.may_be_read]
    for bad in files:
        for name, content in {**bad.beside, f"model{bad.suffix}": bad.content}.items():
            (folder / name).write_bytes(content)
        try:
            made(folder / f"model{bad.suffix}")
            wrong.append(f"{bad.suffix} {bad.name}: read")
        except InputError as error:
            if "\n" in str(error) or not error.code:
                wrong.append(f"{bad.suffix} {bad.name}: {error}")
    assert not wrong
    assert not canary.exists()
    assert len(files) > 200


@pytest.mark.parametrize("suffix", SOUND)
def test_sound_files_are_read(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(SOUND[suffix]())
    assert made(path)


# --- the judge ---


def planted(path, tmp_path):
    """Faults of a reader, by the name of the file."""
    if "code" in path.read_text():
        (tmp_path / "canary").touch()
    if "crash" in path.read_text():
        os.kill(os.getpid(), signal.SIGKILL)
    if "memory" in path.read_text():
        HELD.append(bytearray(b"\1") * (300 << 20))
    if "other" in path.read_text():
        raise ValueError("something")
    if "silence" in path.read_text():
        return []
    raise InputError("A", "refused", fix="b")


@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        ("good", "refused"),
        ("crash", "died of signal 9"),
        ("other", "unclear: "),
        ("silence", "unclear: no layer"),
        ("memory", "took more memory"),
    ],
)
def test_the_judge_sees_planted_faults(what, outcome, tmp_path, monkeypatch):
    monkeypatch.setattr(tg.convert, "read", lambda path: planted(path, tmp_path))
    assert attempt(Bad("", ".x", what.encode()), tmp_path)[0].startswith(outcome)


def test_the_judge_sees_sound_files_and_canaries(tmp_path, monkeypatch):
    from benchmarks import check_files

    monkeypatch.setattr(check_files, "warm", lambda: None)
    monkeypatch.setattr(check_files, "damaged", lambda: [Bad("sound", ".bin", SOUND[".bin"]())])
    monkeypatch.setattr(check_files, "malicious", lambda canary: [])
    ((*_, fault),) = judged(tmp_path, "")
    assert fault == "read"
    monkeypatch.setattr(check_files, "damaged", lambda: [Bad("code", ".x", b"code")])
    monkeypatch.setattr(tg.convert, "read", lambda path: planted(path, tmp_path))
    ((*_, fault),) = judged(tmp_path, "")
    assert fault == "code was run"
