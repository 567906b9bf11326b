"""The functions on whole numbers that the C computes with: those of ``ship/int8/whole.py``, to the last bit."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.emit.equation import ATOM, SUM, TERM, Rule, infix
from tidegate.ship.c.array import listed
from tidegate.ship.int8.whole import TANH_TABLE

_ROUNDED = """\
/* v / 2^bits, to the nearest, halves up. */
@inline int32_t @rounded(int32_t v, int bits) { return (v + (1 << (bits - 1))) >> bits; }
"""
_NARROWED = """\
/* The nearest number to v that is no further from zero than this. */
@inline int32_t @narrowed(int32_t v, int32_t most) { return v > most ? most : v < -most ? -most : v; }
"""
_LARGER = """\
@inline int32_t @larger(int32_t v, int32_t w) { return v > w ? v : w; }
"""
_SMALLER = """\
@inline int32_t @smaller(int32_t v, int32_t w) { return v < w ? v : w; }
"""
_TANH = f"""\
/* tanh(v / 2^15) 2^15, by straight lines between the entries of a table: close ones for |v| < 2^17, then wider. */
static const uint16_t @tanh_table[{len(TANH_TABLE)}] = {listed(TANH_TABLE)};
static int32_t @tanh(int32_t v)
{{
    int32_t size = v < 0 ? -v : v;
    const uint16_t *at;
    if (size < 131072) {{
        at = @tanh_table + (size >> 9);
        size = at[0] + (((at[1] - at[0]) * (size & 511) + 256) >> 9);
    }} else {{
        size = size < 262143 ? size : 262143;
        at = @tanh_table + 256 + ((size - 131072) >> 13);
        size = at[0] + (((at[1] - at[0]) * (size & 8191) + 4096) >> 13);
    }}
    return v < 0 ? -size : size;
}}
"""
_SIGMOID = """\
/* sigmoid(v / 2^14) 2^15, as sigmoid(v) is (1 + tanh(v / 2)) / 2. */
@inline int32_t @sigmoid(int32_t v) { return (@tanh(v) + 32769) >> 1; }
"""
_ENTER = """\
/* The nearest whole numbers to v scale, halves to even, no further from zero than this. Adding 1.5 * 2^23 rounds. */
static void @enter(int16_t *whole, const float *v, float scale, int32_t most, int n)
{
    const int32_t zero = 0x4b400000;
    for (int k = 0; k < n; ++k) {
        const float sum = v[k] * scale + 12582912.0f;
        int32_t bits;
        memcpy(&bits, &sum, sizeof bits);
        bits = bits > zero + most ? zero + most : bits;
        bits = bits < zero - most ? zero - most : bits;
        whole[k] = (int16_t)(bits - zero);
    }
}
"""
_LEAVE = """\
static void @leave(float *v, const int16_t *whole, float scale, int n)
{
    for (int k = 0; k < n; ++k) v[k] = (float)whole[k] * scale;
}
"""
FUNCTIONS = {  # each after those that it calls
    "rounded": _ROUNDED,
    "narrowed": _NARROWED,
    "larger": _LARGER,
    "smaller": _SMALLER,
    "tanh": _TANH,
    "sigmoid": _SIGMOID,
    "enter": _ENTER,
    "leave": _LEAVE,
}
RULES: Mapping[str, Rule] = {  # {n} is the number of the expression
    "add": infix(" + ", SUM, right=TERM),
    "subtract": infix(" - ", SUM, right=TERM),
    "multiply": infix(" * ", TERM, right=ATOM),
    "negate": Rule("-{0}", SUM, (ATOM,)),
    "raised": Rule("{0} * (1 << {n})", TERM, (TERM,)),
    "rounded": Rule("@rounded({0}, {n})", ATOM, (0,)),
    "narrowed": Rule("@narrowed({0}, {n})", ATOM, (0,)),
    "larger": Rule("@larger({0}, {1})", ATOM, (0, 0)),
    "smaller": Rule("@smaller({0}, {1})", ATOM, (0, 0)),
    "tanh": Rule("@tanh({0})", ATOM, (0,)),
    "sigmoid": Rule("@sigmoid({0})", ATOM, (0,)),
}
