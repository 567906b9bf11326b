"""The engine's functions, compiled alone for every instruction set that this CPU can run.

benchmarks/activation_sweep.py measures the same over every float32; here is a sample.
"""

import math
import shutil

import numpy as np
import pytest

INF, NAN = math.inf, math.nan
DTYPES = (np.float32, np.float64)

ULPS = {"exp": 1.1, "log": 1.0, "sigmoid": 2.5, "tanh": 2.75, "relu": 0.0, "log_sigmoid": 2.0}
"""The roundings of the last steps. exp has the final one, half an ulp, and those of a rest and a polynomial of at most
0.41. log is f, exact, minus terms that are smaller. A quotient h / (h + 1) adds three of its own, the numerator's
counted twice where the result lies just below a power of two and the numerator above. The sweep found these:
1.07, 0.84, 2.45 and 2.72. log_sigmoid has the errors of an exp and of a log."""

LARGE = {np.float32: 1e38, np.float64: 1e308}
SUBNORMAL = {np.float32: 1e-44, np.float64: 1e-322}
SPECIAL = {  # results with their sign, which counts for zeros
    "exp": [(0, 1), (-0.0, 1), (INF, INF), (-INF, 0.0), (NAN, NAN)],
    "log": [(1, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (-INF, NAN), (-1, NAN), (NAN, NAN)],
    "sigmoid": [(0, 0.5), (-0.0, 0.5), (INF, 1), (-INF, 0.0), (50, 1), (NAN, NAN)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1), (-INF, -1), (25, 1), (-25, -1), (NAN, NAN)],
    "log_sigmoid": [(0, math.log(0.5)), (INF, 0.0), (-INF, -INF), (-1000, -1000), (NAN, NAN)],
    "relu": [(0.0, 0.0), (2, 2), (-2, 0.0), (INF, INF), (-INF, 0.0), (NAN, NAN)],
}

every_function = pytest.mark.parametrize("function", ULPS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


@pytest.fixture(scope="module")
def script(benchmark_script):
    return benchmark_script("activation_sweep")


@pytest.fixture(scope="module")
def libraries(script, tmp_path_factory):
    if not shutil.which(script.compiler()):
        pytest.skip(f"no C++ compiler: {script.compiler()}")
    return script.build(tmp_path_factory.mktemp("activation"))


@pytest.fixture(params=["x86_64_v4", "x86_64_v3", "baseline"])
def library(request, script, libraries):
    """A function of a function's name and points."""
    if request.param not in libraries:
        pytest.skip(f"this CPU cannot run {request.param}")
    return lambda function, x: libraries[request.param](script.FUNCTIONS.index(function), x)


def same(got, wanted):
    return np.array_equal(got, wanted, equal_nan=True) and np.array_equal(np.signbit(got), np.signbit(wanted))


@every_dtype
@every_function
def test_special_values(library, function, dtype):
    x, wanted = np.ascontiguousarray(np.array(SPECIAL[function], dtype).T)
    got = library(function, x)
    numbers = ~np.isnan(wanted)
    assert same(got[numbers], wanted[numbers])
    assert np.isnan(got[~numbers]).all()


@every_dtype
def test_far_out(library, dtype):
    far = np.array([-LARGE[dtype], LARGE[dtype]], dtype)
    assert same(library("exp", far), np.array([0, INF], dtype))
    assert same(library("sigmoid", far), np.array([0, 1], dtype))
    assert same(library("tanh", far), np.array([-1, 1], dtype))
    assert same(library("log_sigmoid", far), np.array([far[0], 0], dtype))


@every_dtype
def test_subnormal_numbers(library, dtype):
    tiny = np.array([SUBNORMAL[dtype], -SUBNORMAL[dtype]], dtype)
    assert same(library("tanh", tiny), tiny)
    assert same(library("relu", tiny[:1]), tiny[:1])
    assert same(library("exp", tiny), np.ones(2, dtype))
    assert same(library("sigmoid", tiny), np.full(2, 0.5, dtype))


@every_dtype
@every_function
def test_every_kind_of_nan_comes_through(library, function, dtype):
    """The lowest bits of a number become an exponent on the way; those of a NaN must not."""
    integer = np.dtype(f"u{np.dtype(dtype).itemsize}")
    payload = np.random.default_rng(0).integers(1, 1 << np.finfo(dtype).nmant, 4096, dtype=integer)
    bits = np.array(INF, dtype).view(integer) | payload
    assert np.isnan(library(function, np.concatenate([bits.view(dtype), -bits.view(dtype)]))).all()


@every_function
def test_ulps_of_a_sample_of_float32(library, script, function):
    patterns = range(0, 1 << 32, 8191)
    worst = script.sweep(script.FUNCTIONS.index(function), {"it": lambda _, x: library(function, x)}, patterns)["it"]
    assert worst.ulp <= ULPS[function], worst


@every_function
def test_ulps_of_float64(library, script, function):
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("no longdouble to compare with")
    x = script.points_float64(150_000)
    with np.errstate(all="ignore"):
        wanted = script.exact(script.FUNCTIONS.index(function), x.astype(np.longdouble))
        error = script.ulps(library(function, x), wanted, np.float64)
    assert error.max() <= ULPS[function], x[error.argmax()]


@every_dtype
def test_results_stay_in_their_range(library, dtype):
    x = np.linspace(-45, 45, 100_001, dtype=dtype)
    assert np.abs(library("tanh", x)).max() <= 1
    assert library("sigmoid", x).max() <= 1
    assert library("sigmoid", x).min() > 0


@every_dtype
def test_tanh_is_odd(library, dtype):
    x = np.geomspace(1e-30, 30, 10_001, dtype=dtype)
    assert same(library("tanh", -x), -library("tanh", x))


@every_dtype
def test_any_count_at_any_address(library, dtype):
    x = np.linspace(-3, 3, 80, dtype=dtype)
    whole = library("sigmoid", x)
    for count in range(40):
        assert same(library("sigmoid", x[1 : 1 + count]), whole[1 : 1 + count])


@every_dtype
def test_nothing_is_written_behind_the_end(script, libraries, dtype):
    for apply in libraries.values():
        for count in range(20):
            out = np.full(40, 7, dtype)
            apply(script.FUNCTIONS.index("exp"), np.zeros(count, dtype), out)
            assert same(out, np.where(np.arange(40) < count, 1, 7).astype(dtype))


def test_ulps_counts_as_a_wrong_function_deserves(script):
    largest = float(np.finfo(np.float32).max)
    wanted = np.array([1, -3, 2.0**-149, largest, 1, NAN, NAN])
    got = np.array([1 + 2.0**-23, -3, 2.0**-148, INF, NAN, NAN, 1], np.float32)
    assert script.ulps(got, wanted, np.float32).tolist() == [1, 0, 1, 1, INF, 0, INF]
