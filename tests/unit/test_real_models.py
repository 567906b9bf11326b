"""The bench of public models: what it reads, counts and compares; the models themselves are run by hand."""

import io
import pickle
import time
from importlib import import_module

import numpy as np
import pytest
import torch
from benchmarks.real.files import Record, unpickled
from benchmarks.real.page import HEAD, page
from benchmarks.real.subject import Package, Subject, difference, largest, lines
from benchmarks.real.turns import FEWEST_ROUNDS, TURN_SECONDS, _rounds, measured
from benchmarks.real_models import MODULES

ON_KERAS = ("textgenrnn", "chars2vec", "crema")  # they load Keras on another backend than the tests of this process


class Dangerous:
    def __reduce__(self):
        return print, ("run",)


def written(tmp_path, value):
    path = tmp_path / "it.pkl"
    path.write_bytes(pickle.dumps(value, protocol=2))
    return path


def test_pickled_arrays_are_read_and_nothing_is_run(tmp_path, capsys) -> None:
    found = unpickled(written(tmp_path, {"W": np.arange(6.0).reshape(2, 3), "name": "x"}))
    assert found["name"] == "x"
    np.testing.assert_array_equal(found["W"], [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(pickle.UnpicklingError, match="print"):
        unpickled(written(tmp_path, Dangerous()), records="madmom")
    assert not capsys.readouterr().out


def test_pickled_objects_of_a_package_become_records(tmp_path) -> None:
    text = io.BytesIO()
    text.write(b"(imadmom.ml.nn.layers\nGate\np0\n(dp1\nS'bias'\np2\nI3\nsb.")  # as Python 2 wrote an instance
    (tmp_path / "gate.pkl").write_bytes(text.getvalue())
    found = unpickled(tmp_path / "gate.pkl", records="madmom")
    assert isinstance(found, Record)
    assert (found.kind, found.bias) == ("Gate", 3)
    with pytest.raises(pickle.UnpicklingError, match=r"madmom\.ml\.nn\.layers\.Gate"):
        unpickled(tmp_path / "gate.pkl")


def test_lines_of_glue_are_those_of_code() -> None:
    def glue(layer):
        """Says what it does."""
        # and why

        weights = {"a": 1}
        return layer, weights

    class Cell:
        """Equations."""

        gates = "z"

        def step(self, x):
            return x

    assert lines(glue) == 2
    assert lines(Cell) == 3


def test_the_largest_difference_counts() -> None:
    a = [np.zeros((2, 3)), torch.tensor([1.0, -4.0])]
    b = [np.full((2, 3), 0.25), torch.tensor([1.0, -4.5])]
    assert difference(a, b) == 0.5
    assert largest(a) == 4.0
    assert difference(a[0], np.zeros(3)) == difference(np.zeros(3), np.full(3, np.nan)) == float("inf")
    assert difference(np.full(3, np.nan), np.zeros(3)) != 0


def subject(off, **options):
    return Subject("net", "GRU 4", "npz", "numpy", "a call", (measured,), lambda: np.zeros(3), lambda: off, **options)


def test_nothing_is_timed_before_it_is_right() -> None:
    right, wrong = (measured(subject(np.full(3, off)), "p 1", 0.0) for off in (1e-6, 1e-3))
    assert right.reason == ""
    assert right.ratio is not None
    assert "differs by 1.0e-03" in wrong.reason
    assert wrong.ratio is wrong.ours is None
    assert measured(subject(np.full(3, 1e-3), allowed=0.01), "p 1", 0.0).ratio


def test_both_sides_take_turns_and_who_begins_alternates() -> None:
    order = []

    def side(name):
        return lambda: (order.append(name), time.sleep(1.5 * TURN_SECONDS))

    times = _rounds((side("theirs"), side("ours")), 0.0)
    assert [len(seconds) for seconds in times] == [FEWEST_ROUNDS] * 2
    turns = order[2:]  # a call of each tells how many make a turn: here one
    assert turns == ["ours", "theirs", *["theirs", "ours", "ours", "theirs"] * 3]


def test_the_page_shows_what_was_not_run_and_why() -> None:
    about = {"module": "medaka", "threads": 1, "date": "now", "load": 0.5}
    text = page([{**about, "name": "medaka 2", "reason": "pip download fails"}])
    assert "| medaka 2 | not run: pip download fails |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {len(HEAD) + 1}


@pytest.mark.parametrize("module", [module for module in MODULES if module not in ON_KERAS])
def test_every_module_names_its_package_and_version(module) -> None:
    for needed in ("onnx", "onnxruntime"):
        pytest.importorskip(needed)
    found = import_module(f"benchmarks.real.{module}")
    assert isinstance(found.PACKAGE, Package)
    assert callable(found.subjects)
