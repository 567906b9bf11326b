"""Products for processors with caches and wide registers: one column after another, for all rows at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def layout(matrix: Floats) -> Floats:
    """The numbers of a matrix [rows, columns] in the order in which ``product`` reads them."""
    return np.ascontiguousarray(matrix.T).reshape(-1)


def product(prefix: str, rows: int, columns: int) -> str:
    """A function that adds a matrix times a vector onto sums: for each row one column after another.

    Args:
        prefix: of its name.
        rows: of the matrix.
        columns: of the matrix.
    """
    return f"""\
/* sum += w x, one column after another; w holds the columns one after another. */
static void {prefix}product_{rows}x{columns}(const float *w, const float *x, float *sum)
{{
    for (int j = 0; j < {columns}; ++j, w += {rows})
        for (int k = 0; k < {rows}; ++k) sum[k] += w[k] * x[j];
}}
"""
