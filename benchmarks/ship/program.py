"""C programs that run layers on numbers that are the same everywhere, and what they must print."""

from __future__ import annotations

import numpy as np

HEAD = '#include "device.h"\n#include <string.h>\n'
RUN = """
static void run_@(void)
{
    static @_state state;
    static float x[IN], y[OUT];
    uint32_t seed = 1, total = 2166136261u, bits;
    int t, k;
    @_reset(&state);
    for (t = 0; t < STEPS; ++t) {
        for (k = 0; k < IN; ++k) x[k] = noise(&seed) * FACTOR;
        @_step(&state, x, y);
        for (k = 0; k < OUT; ++k) { memcpy(&bits, &y[k], 4); total = mix(total, bits); }
    }
    print("@", total);
    print("@_wrong", (uint32_t)@_selftest());
}
"""


def run_of(name: str, inputs: int, outputs: int, steps: int, factor: float = 1.0) -> str:
    """``run_NAME``: runs a layer, and prints the sum of the bits of all outputs and what the self-test found wrong.

    Args:
        name: of the layer in C.
        inputs: how many features it reads.
        outputs: how many numbers it writes.
        steps: to run.
        factor: of its inputs, which lie from -1 to 1.
    """
    sizes = RUN.replace("IN", str(inputs)).replace("OUT", str(outputs)).replace("STEPS", str(steps))
    return sizes.replace("FACTOR", f"{factor:.1f}f").replace("@", name)


def noise(*shape: int, seed: int = 1) -> np.ndarray:
    """What ``noise`` of device.h draws."""
    values = np.zeros(int(np.prod(shape)), np.float32)
    for k in range(len(values)):
        seed = (seed * 1664525 + 1013904223) % 2**32
        values[k] = ((seed >> 16) - 32768) / 32768
    return values.reshape(shape)


def sum_of_bits(values: np.ndarray) -> int:
    """``mix`` of device.h over all numbers, in order."""
    total = 2166136261
    for word in np.ascontiguousarray(values).reshape(-1).view(np.uint32).tolist():
        total = (total ^ word) * 16777619 % 2**32
    return total
