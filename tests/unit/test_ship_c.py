"""C of layers: compiled here, it computes what the layer computes, and refuses what it cannot."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

import tidegate as tg
from tidegate import Cell, sigmoid, sqrt, tanh, variance
from tidegate.emit.c99 import identifier, number
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.runtime import eager_only
from tidegate.ship import Source

COMPILER = shutil.which("gcc")
STRICT = ("-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Wdouble-promotion", "-Wshadow", "-Werror")
FLAGS = ("-std=c99", "-O1", "-ffp-contract=off", *STRICT)
compiled = pytest.mark.skipif(COMPILER is None, reason="gcc is not installed")


class Awkward(Cell):
    """States that are swapped, read by a later phase and averaged, and names that C does not take."""

    gates = "double x_ m"
    state = "float sum k"
    matrices = {"U": "double m", "int": "x_"}

    def step(self, x, float, sum, k, U, int):
        double = sigmoid(x.double + U(float).double)
        x_ = tanh(x.x_ + int(double * sum).x_)
        m = tanh(x.m + U(float + x_).m) / sqrt(variance(x_, double) + 1.0)
        return m + 0.5 * float, k, sum


def library(source: Source, folder: Path) -> ctypes.CDLL:
    source.write(folder)
    target = folder / f"{source.name}.so"
    command = [COMPILER, *FLAGS, "-fPIC", "-shared", str(folder / f"{source.name}.c"), "-o", str(target)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert not done.stderr
    assert done.returncode == 0
    return ctypes.CDLL(str(target))


def floats(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def exact(layer: Recurrent, x: np.ndarray) -> np.ndarray:
    copied = deepcopy(layer).double().eval()
    with eager_only(), torch.no_grad():
        return copied(torch.from_numpy(x).double().unsqueeze(1))[0].squeeze(1).numpy()


def drawn(layer: Recurrent, scale: float = 1.5) -> Recurrent:
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g) * scale / parameter.shape[-1] ** 0.5)
    return layer.eval()


LAYERS = {
    "lstm": lambda: tg.nn.LSTM(5, 7, 2, proj_size=3, learn_initial_state=True),
    "before": lambda: tg.nn.GRU(3, 8, reset="before", state_clip=0.5),
    "normed": lambda: tg.nn.LSTM(4, 6, layer_norm=True, zoneout=0.2),
    "scrn": lambda: Recurrent("adaptivescrn", 4, 5, widths={"S": 3}),
    "slstm": lambda: Recurrent("slstm", 3, 5),
    "mut": lambda: Recurrent("mut1", 6, 6, bias=False),
    "awkward": lambda: Recurrent(Awkward, 3, 5),
}


@compiled
@pytest.mark.parametrize("name", LAYERS)
def test_steps_are_those_of_the_layer(name, tmp_path):
    layer = drawn(LAYERS[name]())
    c = library(tg.ship.c(layer, name), tmp_path)
    x = np.random.default_rng(2).normal(size=(60, layer.input_size)).astype(np.float32)
    y, once = np.zeros((60, layer.output_size), np.float32), np.zeros(layer.output_size, np.float32)
    state = np.full(4096, np.nan, np.float32)
    c[f"{name}_reset"](floats(state))
    c[f"{name}_step"](floats(state), floats(x), floats(once))
    c[f"{name}_block"](floats(state), floats(x[1:]), floats(y[1:]), ctypes.c_size_t(59))
    assert np.abs(np.vstack([once, y[1:]]) - exact(layer, x)).max() < 1e-5
    assert c[f"{name}_selftest"]() == 0


@compiled
@pytest.mark.parametrize("layers", [1, 2])
def test_a_stack_in_two_directions_runs_sequences(layers, tmp_path):
    layer = drawn(tg.nn.GRU(3, 4, layers, bidirectional=True, learn_initial_state=True))
    source = tg.ship.c(layer, "both")
    assert "both_step" not in source.header
    c = library(source, tmp_path)
    x = np.random.default_rng(2).normal(size=(20, 3)).astype(np.float32)
    y, work = np.zeros((20, 8), np.float32), np.zeros((20, 8), np.float32)
    c["both_sequence"](floats(x), floats(y), ctypes.c_size_t(20), floats(work))
    assert np.abs(y - exact(layer, x)).max() < 1e-5
    assert c["both_selftest"]() == 0


@compiled
def test_the_selftest_sees_a_wrong_weight(tmp_path):
    source = tg.ship.c(drawn(tg.nn.GRU(3, 4)), "gru")
    first = source.body.index("gru_W_l0[36] = {") + len("gru_W_l0[36] = {\n    ")
    end = source.body.index(",", first)
    wrong = Source("gru", source.header, source.body[:first] + "9.0f" + source.body[end:])
    assert library(wrong, tmp_path)["gru_selftest"]() > 0


def test_equal_arrays_are_stored_once():
    layer = drawn(tg.nn.GRU(4, 4, 2))
    with torch.no_grad():
        layer.weight_hh_l1.copy_(layer.weight_hh_l0)
    body = tg.ship.c(layer, "gru").body
    assert "gru_add_product(sum + 4, gru_U_l0, h, 12, 4);" in body
    assert "gru_W_l1" in body
    assert "gru_U_l1" not in body


def test_numbers_are_read_back_as_they_were():
    for value in (0.0, 1.0, -2.5, 1e30, 1e-45, 16777217.0, 0.1, 3.4028234e38):
        text = number(value)
        assert text.endswith("f")
        assert set(text) & set(".e")
        assert np.float32(float(text[:-1])) == np.float32(value)
    taken = set()
    assert [identifier(name, taken, "p_") for name in ("float", "float_", "p_tanh", "h")] == [
        "float_",
        "float__",
        "vp_tanh",
        "h",
    ]


@pytest.mark.parametrize("name", ["", "1st", "a b", "x-y", "_x", "a" * 60, "naïve", None])
def test_names_that_c_does_not_take_are_refused(name):
    with pytest.raises(InputError, match="cannot begin the names of C"):
        tg.ship.c(tg.nn.GRU(2, 3), name)


def test_what_is_no_layer_and_what_is_no_number_is_refused():
    with pytest.raises(InputError, match="accelerate"):
        tg.ship.c(torch.nn.GRU(2, 3), "gru")
    with pytest.raises(InputError, match="no target 'dsp'"):
        tg.ship.c(tg.nn.GRU(2, 3), "gru", target="dsp")
    layer = tg.nn.GRU(2, 3)
    with torch.no_grad():
        layer.weight_hh_l0[0, 0] = float("nan")
    with pytest.raises(InputError, match="U_l0 has 1 number"):
        tg.ship.c(layer, "gru")
