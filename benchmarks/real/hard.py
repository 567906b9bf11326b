"""Cells of Keras before 2.3, whose gates were piecewise linear by default: today cells of one's own."""

from __future__ import annotations

from typing import Any

import tidegate as tg


def hard_sigmoid(v: Any) -> Any:
    return tg.minimum(tg.relu(0.2 * v + 0.5), 1.0)


class HardLSTM(tg.Cell):
    gates = "i f g o"
    state = "h c"
    biases = "W"

    def step(self, x: Any, h: Any, c: Any, U: Any) -> Any:
        i = hard_sigmoid(x.i + U(h).i)
        f = hard_sigmoid(x.f + U(h).f)
        g = tg.tanh(x.g + U(h).g)
        o = hard_sigmoid(x.o + U(h).o)
        c = f * c + i * g
        return o * tg.tanh(c), c


class HardGRU(tg.Cell):
    gates = "z r n"
    biases = "W"

    def step(self, x: Any, h: Any, U: Any) -> Any:
        z = hard_sigmoid(x.z + U(h).z)
        r = hard_sigmoid(x.r + U(h).r)
        n = tg.tanh(x.n + U(r * h).n)
        return z * h + (1 - z) * n
