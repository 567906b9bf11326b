"""C of layers: compiled here, it computes what the layer computes, and refuses what it cannot."""

from __future__ import annotations

import ctypes
import re
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
from tidegate.emit.c99_function import functions
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


def library(source: Source, folder: Path, *flags: str) -> ctypes.CDLL:
    source.write(folder)
    target = folder / f"{source.name}{'_'.join(flags)}.so"
    command = [COMPILER, *FLAGS, *flags, "-fPIC", "-shared", str(folder / f"{source.name}.c"), "-o", str(target)]
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
    "slstm": lambda: Recurrent("slstm", 3, 12, heads=3),
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


@compiled
def test_the_bits_are_those_of_every_compilation(tmp_path):
    layer = drawn(LAYERS["awkward"]())
    x = np.random.default_rng(2).normal(size=(50, 3)).astype(np.float32)
    found = []
    for target, flags in (("host", ["-O0"]), ("host", ["-O3", "-march=native"]), ("cortex-m4", ["-O2"])):
        folder = tmp_path / target
        c = library(tg.ship.c(layer, "own", target=target), folder, *flags)
        state, y = np.zeros(64, np.float32), np.zeros((50, 5), np.float32)
        c.own_reset(floats(state))
        c.own_block(floats(state), floats(x), floats(y), ctypes.c_size_t(50))
        found.append(y.tobytes())
    assert len(set(found)) == 1


@compiled
@pytest.mark.parametrize("name", ["normed", "before"])
def test_the_header_says_how_much_stack_a_step_takes(name, tmp_path):
    source = tg.ship.c(LAYERS[name](), name)
    library(source, tmp_path, "-O2", "-fstack-usage")
    (usage,) = tmp_path.glob("*.su")
    frames = {line.split()[0].rpartition(":")[2]: int(line.split()[1]) for line in usage.read_text().splitlines()}
    outer = sum(size for function, size in frames.items() if re.search("_(l0|step|block)$", function))
    inner = max((size for function, size in frames.items() if not re.search("_(l0|step|block|selftest)$", function)))
    stated = int(re.search("at most ([0-9,]+) bytes of stack", source.header)[1].replace(",", ""))
    assert outer + inner <= stated <= outer + inner + 512


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_the_files_are_cpp_too(tmp_path):
    tg.ship.c(drawn(LAYERS["normed"]()), "normed").write(tmp_path)
    main = '#include "normed.h"\nint main() { return normed_selftest(); }\n'
    (tmp_path / "main.cpp").write_text(main)
    command = ["g++", "-x", "c++", "-O1", "-ffp-contract=off", *STRICT, "main.cpp", "normed.c", "-o", "main"]
    subprocess.run(command, check=True, cwd=tmp_path)
    subprocess.run([tmp_path / "main"], check=True)


LIMITS = {  # of each function: arguments and what comes out, exactly
    "exp": ([-np.inf, -200.0, 0.0, 89.0, np.inf], [0.0, 0.0, 1.0, np.inf, np.inf]),
    "sigmoid": ([-np.inf, -200.0, 0.0, 40.0, np.inf], [0.0, 0.0, 0.5, 1.0, 1.0]),
    "tanh": ([-np.inf, -20.0, 0.0, 1e-40, 20.0, np.inf], [-1.0, -1.0, 0.0, 1e-40, 1.0, 1.0]),
    "log": ([-1.0, -0.0, 0.0, 1.0, np.inf], [np.nan, -np.inf, -np.inf, 0.0, np.inf]),
    "log_sigmoid": ([-np.inf, -3e38, 200.0, np.inf], [-np.inf, -3e38, 0.0, 0.0]),
    "sqrt": ([-1.0, -0.0, 4.0, 2.0**-140, np.inf], [np.nan, -0.0, 2.0, 2.0**-70, np.inf]),
    "relu": ([-np.inf, -1.0, -0.0, 1e-40, np.inf], [0.0, 0.0, 0.0, 1e-40, np.inf]),
    "kept": ([1e-39, -1e-39, 1.2e-38, -np.inf, np.inf], [0.0, 0.0, 1.2e-38, -np.inf, np.inf]),
}


@compiled
def test_functions_at_their_limits(tmp_path):
    text = "#include <stdint.h>\n#include <string.h>\n" + functions(LIMITS, "f_")
    for name in LIMITS:
        text += f"float at_{name}(float v);\nfloat at_{name}(float v) {{ return f_{name}(v); }}\n"
    c = library(Source("f", "", text), tmp_path)
    for name, (given, wanted) in LIMITS.items():
        function = c[f"at_{name}"]
        function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
        got = np.array([function(v) for v in [*given, np.nan]], np.float32)
        np.testing.assert_allclose(got, np.array([*wanted, np.nan], np.float32), rtol=2e-7, atol=0, err_msg=name)


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
