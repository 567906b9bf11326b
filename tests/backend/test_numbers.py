"""Numbers of 16 bits in the engine, in each instruction set: every one that there is, and all ties between them."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tidegate.runtime import library

CHECK = Path(__file__).with_name("number_check.cpp")
TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
LANES = 16


@pytest.fixture(scope="module", params=library._available_isas())
def engine(request, tmp_path_factory):
    """What the engine's headers make of numbers in an instruction set."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler here")
    built = tmp_path_factory.mktemp("numbers") / "check.so"
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Wno-psabi", *library.ISAS[request.param]]
    done = subprocess.run([compiler, *flags, str(CHECK), "-o", str(built)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(built))


def stored(engine, dtype: torch.dtype, numbers: Tensor) -> Tensor:
    whole = torch.zeros(-(-len(numbers) // LANES) * LANES)
    whole[: len(numbers)] = numbers
    made = torch.zeros(len(whole), dtype=torch.int16)
    engine.store_numbers(dtype == torch.float16, *_place(whole), ctypes.c_void_p(made.data_ptr()))
    return made[: len(numbers)].view(dtype)


def read(engine, numbers: Tensor) -> Tensor:
    made = torch.zeros(len(numbers))
    engine.read_numbers(numbers.dtype == torch.float16, *_place(numbers), ctypes.c_void_p(made.data_ptr()))
    return made


def _place(tensor: Tensor) -> tuple[ctypes.c_void_p, ctypes.c_int64]:
    return ctypes.c_void_p(tensor.data_ptr()), ctypes.c_int64(len(tensor))


def every(dtype: torch.dtype) -> Tensor:
    return torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16).view(dtype)


def same(ours: Tensor, right: Tensor) -> None:
    torch.testing.assert_close(ours.double(), right.double(), rtol=0, atol=0, equal_nan=True)
    numbers = ~right.isnan()
    assert torch.equal(ours.signbit()[numbers], right.signbit()[numbers])


@pytest.mark.parametrize("name", TYPES)
def test_every_number_is_read_and_stored_as_it_is(engine, name):
    numbers = every(TYPES[name])
    same(read(engine, numbers), numbers.float())
    kept = numbers.float().abs() >= torch.finfo(torch.float32).tiny  # denormal float32 may be flushed
    same(stored(engine, TYPES[name], numbers.float())[kept | numbers.isnan()], numbers[kept | numbers.isnan()])


@pytest.mark.parametrize("name", TYPES)
def test_what_lies_between_goes_to_the_nearest_and_ties_to_even(engine, name):
    dtype = TYPES[name]
    numbers = every(dtype)
    finite = numbers[numbers.isfinite()].double().unique()
    ties = ((finite[1:] + finite[:-1]) / 2).float()
    end = (finite[-1] + (finite[-1] - finite[-2]) * torch.tensor([0.49, 0.5, 1])).float()  # half a step on is infinity
    beside = [torch.nextafter(ties, torch.tensor(float(to))) for to in ("inf", "-inf")]
    points = torch.cat([ties, *beside, end, -end, torch.tensor([3e38, torch.inf, -torch.inf, torch.nan])])
    points = points[~(points.abs() < torch.finfo(torch.float32).tiny)]
    same(stored(engine, dtype, points), points.to(dtype))
