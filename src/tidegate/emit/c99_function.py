"""The functions that emitted C computes with: plain float arithmetic, no C library.

They are those of ``engine/activation.h``, one number at a time and without fused multiply-adds. How exact they are is
measured over every float by benchmarks/ship/c_functions.py. NaN comes through everywhere, infinities have their limits,
and results below the smallest normal number underflow gradually.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_BITS = """\
/* The bits of a number. */
@inline uint32_t @bits(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}
"""
_NUMBER = """\
/* The number that has these bits. */
@inline float @number(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
"""
_LIMITED = """\
/* The bits of a size that is at most this one, or not a number. Compilers do not compute several numbers at once where
   floats are compared; integers they do. */
@inline uint32_t @limited(uint32_t size, uint32_t most)
{
    const int32_t bound = (int32_t)size > 0x7f800000 ? (int32_t)size : (int32_t)most;
    return (uint32_t)((int32_t)size > bound ? bound : (int32_t)size);
}
"""
_EXP_LESS_ONE = """\
/* e^r - 1 for |r| <= ln(2) / 2, by a polynomial. */
@inline float @exp_less_one(float r)
{
    const float square = r * r;
    const float even = (0.0013957223f * square + 0.04166568f) * square + 0.50000006f;
    const float odd = 0.0083689f * square + 0.1666652f;
    return square * (odd * r + even) + r;
}
"""
_REDUCE = """\
/* v = n ln(2) + r. The lowest bits of the result are those of n plus the bias that stands in the rounder. */
@inline uint32_t @reduce(float v, float rounder, float *r)
{
    const float rounded = v * 1.442695f + rounder;
    const float n = rounded - rounder;
    *r = v - n * 0.69314575f - n * 1.4286068e-06f;
    return @bits(rounded);
}
"""
_EXP = """\
/* e^v by two powers of two, since no single one reaches from the subnormal numbers to infinity. */
@inline float @exp(float v)
{
    float r;
    const uint32_t sign = @bits(v) & 0x80000000u;
    const uint32_t size = @limited(@bits(v) & 0x7fffffffu, sign ? 0x42d00000u : 0x42b20000u); /* 104 or 89 */
    const uint32_t n = @reduce(@number(size | sign), 12583166.0f, &r); /* 1.5 * 2^23 + 254 */
    const uint32_t half = n >> 1;
    const float first = @number(half << 23);
    return (first * @exp_less_one(r) + first) * @number((n - half) << 23);
}
"""
_SIGMOID = """\
/* 1 / (1 + e^-v) as e^v / (e^v + 1), both 2^64 times too large, so that nothing but the quotient underflows. */
@inline float @sigmoid(float v)
{
    float r;
    const uint32_t sign = @bits(v) & 0x80000000u;
    const uint32_t size = @limited(@bits(v) & 0x7fffffffu, sign ? 0x42d00000u : 0x42200000u); /* 104 or 40 */
    const uint32_t n = @reduce(@number(size | sign), 12583103.0f, &r); /* 1.5 * 2^23 + 127 + 64 */
    const float power = @number(n << 23);
    const float e = power * @exp_less_one(r) + power;
    return e / (e + 18446744073709551616.0f);
}
"""
_TANH = """\
/* tanh |v| = h / (h + 1) with h = (e^2|v| - 1) / 2, where |v| = n ln(2) / 2 + r. */
@inline float @tanh(float v)
{
    const uint32_t sign = @bits(v) & 0x80000000u;
    const float a = @number(@limited(@bits(v) & 0x7fffffffu, 0x41200000u)); /* 10 */
    const float rounded = a * 2.88539f + 12583039.0f; /* 1.5 * 2^23 + 127 */
    const float r = a - (rounded - 12583039.0f) * 0.3465736f;
    const float square = r * r;
    const float even = (0.044663113f * square + 0.33332545f) * square + 1.0000001f;
    const float odd = 0.1339024f * square + 0.6666608f;
    const float power = @number(@bits(rounded) << 23);
    const float h = power * (square * (odd * r + even) + r) + (power * 0.5f - 0.5f);
    return @number(@bits(h / (h + 1.0f)) | sign);
}
"""
_LOG_OF_PARTS = """\
/* log(2^n (1 + f)); log(1 + f) = log((1 + s) / (1 - s)), whose first terms come from f, which is exact. */
@inline float @log_of_parts(float n, float f)
{
    const float s = f / (f + 2.0f);
    const float square = s * s;
    const float half = f * f * 0.5f;
    const float tail = square * (0.39977568f * square + (0.2987146f * (square * square) + 0.66666776f));
    return n * 0.69314575f - ((half - (s * (half + tail) + n * 1.4286068e-06f)) - f);
}
"""
_LOG = """\
/* The natural logarithm: v = 2^n (1 + f) with 1 + f between the roots of 1/2 and 2. */
@inline float @log(float v)
{
    const int tiny = v < 1.17549435e-38f; /* subnormal numbers are made normal */
    const uint32_t word = @bits(tiny ? v * 16777216.0f : v) + (0x3f800000u - 0x3f3504f3u);
    const float n = @number((word >> 23) | 0x4b000000u) - (tiny ? 8388759.0f : 8388735.0f);
    const float f = @number((word & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
    const float finite = @log_of_parts(n, f);
    const float outside = @number(v == 0.0f ? 0xff800000u : 0x7fc00000u); /* -infinity, or not a number */
    return v > 0.0f ? (v < @number(0x7f800000u) ? finite : v) : outside;
}
"""
_LOG_SIGMOID = """\
/* log(sigmoid(v)) = min(v, 0) - log(1 + e^-|v|). */
@inline float @log_sigmoid(float v)
{
    const float e = @exp(@number(@bits(v) | 0x80000000u));
    const int large = e > 0.41421357f;
    const float f = large ? (e - 1.0f) * 0.5f : e;
    return (v > 0.0f ? 0.0f : v) - @log_of_parts(large ? 1.0f : 0.0f, f);
}
"""
_SQRT = """\
/* The square root, digit by digit and rightly rounded: that of m 2^25 has one binary digit more than a float. */
@inline float @sqrt(float v)
{
    const int tiny = v < 1.17549435e-38f; /* subnormal numbers are made normal */
    const uint32_t word = @bits(tiny ? v * 16777216.0f : v);
    const uint32_t exponent = word >> 23;
    const uint32_t m = ((word & 0x007fffffu) | 0x00800000u) << (~exponent & 1u);
    uint32_t next = m << 7, rest = 0u, root = 0u;
    float result;
    int digit;
    for (digit = 0; digit < 25; ++digit) {
        uint32_t taken;
        rest = (rest << 2) | (next >> 30);
        taken = (uint32_t)(rest >= ((root << 2) | 1u));
        rest -= taken * ((root << 2) | 1u);
        root = (root << 1) | taken;
        next <<= 2;
    }
    result = @number((((exponent + 127u) >> 1) << 23) + ((root + 1u) >> 1) - 0x00800000u);
    result = tiny ? result * 0.000244140625f : result;
    return v > 0.0f && v < @number(0x7f800000u) ? result : v < 0.0f ? @number(0x7fc00000u) : v;
}
"""
_TOTAL = """\
/* The sum of n numbers: every fourth one, then these four in pairs. */
static float @total(const float *v, int n)
{
    float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    int k, j;
    for (k = 0; k < n / 4 * 4; k += 4)
        for (j = 0; j < 4; ++j) sum[j] += v[k + j];
    for (; k < n; ++k) sum[k & 3] += v[k];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}
"""
_SQUARES = """\
/* The sum of (v - middle)^2, in the same order. */
static float @squares(const float *v, int n, float middle)
{
    float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    int k, j;
    for (k = 0; k < n / 4 * 4; k += 4)
        for (j = 0; j < 4; ++j) sum[j] += (v[k + j] - middle) * (v[k + j] - middle);
    for (; k < n; ++k) sum[k & 3] += (v[k] - middle) * (v[k] - middle);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}
"""
_KEPT = """\
/* What a state keeps of a number: nothing below the smallest normal one, since many processors slow down there. */
@inline float @kept(float v) { return @number((@bits(v) & 0x7f800000u) != 0u ? @bits(v) : 0u); }
"""
_MAXIMUM = """\
@inline float @maximum(float v, float w) { return v > w || v != v ? v : w; }
"""
_MINIMUM = """\
@inline float @minimum(float v, float w) { return v < w || v != v ? v : w; }
"""
_CLAMP = """\
@inline float @clamp(float v, float bound) { return v > bound ? bound : v < -bound ? -bound : v; }
"""
_RELU = """\
/* The larger of v and 0. */
@inline float @relu(float v) { return @number(@bits(v) > 0x80000000u && @bits(v) <= 0xff800000u ? 0u : @bits(v)); }
"""
FUNCTIONS = {  # each after those that it calls
    "bits": _BITS,
    "number": _NUMBER,
    "limited": _LIMITED,
    "exp_less_one": _EXP_LESS_ONE,
    "reduce": _REDUCE,
    "exp": _EXP,
    "sigmoid": _SIGMOID,
    "tanh": _TANH,
    "log_of_parts": _LOG_OF_PARTS,
    "log": _LOG,
    "log_sigmoid": _LOG_SIGMOID,
    "sqrt": _SQRT,
    "total": _TOTAL,
    "squares": _SQUARES,
    "maximum": _MAXIMUM,
    "minimum": _MINIMUM,
    "clamp": _CLAMP,
    "relu": _RELU,
    "kept": _KEPT,
}
CALLED = re.compile(r"@(\w+)\(")


def functions(names: Iterable[str], prefix: str, table: Mapping[str, str] = FUNCTIONS) -> str:
    """The text of functions and of all that they call.

    Args:
        names: some of the table's.
        prefix: of all names, such as ``gru_``.
        table: texts by name, each after those that it calls.
    """
    wanted, left = set[str](), list(names)
    while left:
        name = left.pop()
        if name not in wanted:
            wanted.add(name)
            left += [other for other in CALLED.findall(table[name]) if other != name]
    texts = [text for name, text in table.items() if name in wanted]
    return "\n".join(texts).replace("@inline", "static inline").replace("@", prefix)
