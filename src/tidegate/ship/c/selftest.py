"""A vector that the C tests itself with: an input, and the output that the layer gives in float64."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.stride_tricks import sliding_window_view

from tidegate.emit.c99 import number
from tidegate.nn import Recurrent
from tidegate.runtime import eager_only
from tidegate.ship.c.array import listed, narrowed
from tidegate.ship.c.stack import row_widths
from tidegate.ship.int8.stack import Quantised

STEPS, COMPARED = 4, 1  # in two directions an output in the middle is compared, which both have worked for
TOLERANCE = 1e-5  # of an output; of larger ones than 1 the same share
ROUNDINGS = 16.0  # how much more than by the definition in float32 an ill-conditioned cell may be off


@dataclass(frozen=True)
class Vector:
    """What goes in, one number further at each step, and what comes out at the step that is compared."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]
    tolerance: float


def vector_of(layer: Recurrent) -> Vector:
    """Draw an input, and run a copy of the layer in float64 on it."""
    x, drawn = _drawn(layer)
    rows = torch.from_numpy(drawn.astype(np.float64))
    exact, rounded = (_answer(layer, rows, dtype) for dtype in (torch.float64, torch.float32))
    largest = float(np.abs(exact).max(initial=1.0))
    tolerance = max(TOLERANCE * largest, ROUNDINGS * float(np.abs(exact - rounded).max(initial=0.0)))
    return Vector(x, narrowed(exact, "the output"), tolerance)


def _answer(layer: Recurrent, rows: torch.Tensor, dtype: torch.dtype) -> npt.NDArray[np.float64]:
    """The output that is compared, by the definition of the cell in one type of numbers."""
    copied = deepcopy(layer).cpu().to(dtype).eval()
    copied.batch_first = False
    x, *beside = rows.to(dtype).split([*row_widths(layer).values()], -1)
    given = dict(zip([value.name for value in layer.graph.given], beside, strict=True)) or None
    with eager_only(), torch.no_grad():
        y = copied(x, given=given)[0][COMPARED if layer.bidirectional else STEPS - 1, 0]
    values: npt.NDArray[np.float64] = y.double().numpy()
    return values


def whole_vector_of(layer: Recurrent, quantised: Quantised) -> Vector:
    """The same of a layer in whole numbers, whose output has to be exact."""
    x, rows = _drawn(layer)
    y = quantised.run(rows.swapaxes(0, 1) if layer.batch_first else rows)[0]
    y = y[0] if layer.batch_first else y[:, 0]
    return Vector(x, y[COMPARED if layer.bidirectional else STEPS - 1], 0.0)


def _drawn(layer: Recurrent) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Numbers, and the inputs that they make up, [steps, 1, features]."""
    width = sum(row_widths(layer).values())
    x = np.random.default_rng(0).normal(size=width + STEPS - 1).round(2).astype(np.float32)
    x = np.abs(x) if layer.graph.given else x  # time does not run backward
    return x, sliding_window_view(x, width)[:, None]


_STEPS = """\
{name}_seldom int {name}_selftest(void)
{{
    static const float x[{drawn}] = {x}; /* each step begins one number further */
    static const float expected[{units}] = {y};
    {name}_state state;
    float y[{units}];
    int wrong = 0;
    {name}_reset(&state);
    for (int t = 0; t < {steps}; ++t) {name}_step(&state, x + t, y);
    for (int k = 0; k < {units}; ++k) {{
        const float error = y[k] - expected[k];
        if (!(error >= -{tolerance} && error <= {tolerance})) ++wrong; /* also what is not a number */
    }}
    return wrong;
}}
"""
_SEQUENCE = """\
{name}_seldom int {name}_selftest(void)
{{
    static const float x[{drawn}] = {x}; /* each step begins one number further */
    static const float expected[{units}] = {y};
    float rows[{steps} * {features}], y[{steps} * {units}], work[{steps} * {units}];
    int wrong = 0;
    for (int t = 0; t < {steps}; ++t)
        for (int k = 0; k < {features}; ++k) rows[{features} * t + k] = x[t + k];
    {name}_sequence(rows, y, {steps}, work);
    for (int k = 0; k < {units}; ++k) {{
        const float error = y[{compared} * {units} + k] - expected[k];
        if (!(error >= -{tolerance} && error <= {tolerance})) ++wrong; /* also what is not a number */
    }}
    return wrong;
}}
"""


def selftest_text(name: str, vector: Vector, *, bidirectional: bool) -> str:
    """The function that runs the vector."""
    return (_SEQUENCE if bidirectional else _STEPS).format(
        name=name,
        features=len(vector.x) - STEPS + 1,
        drawn=len(vector.x),
        units=len(vector.y),
        x=listed(vector.x),
        y=listed(vector.y),
        steps=STEPS,
        compared=COMPARED,
        tolerance=number(vector.tolerance),
    )
