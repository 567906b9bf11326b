"""Float32 on processors that compute one number at a time, eight rows side by side.

Each number of the vector is loaded once for eight rows, whose sums stay in registers, and the weights are read from one
address that counts up. On a Cortex-M4 that makes 3.3 instructions a multiplication (benchmarks/ship/qemu.py). The
instruction that multiplies and adds in one is not used: it takes longer than the two.
"""

import numpy as np

from tidegate.ship.c.kernel.kind import Kernel, Matrix, Stored, rows_in_groups

ROWS = 8
UNROLLED = 4


def _arrange(matrix: Matrix) -> Stored:
    return np.concatenate([group.T.ravel() for group in rows_in_groups(matrix, ROWS)])


def _column(k: int) -> str:
    at = [f"{ROWS * k + i}" for i in range(ROWS)]
    pieces = [f"s{i} += w[{at[i]}] * x[{k}];" for i in range(ROWS)]
    half = ROWS // 2
    return "".join(f"            {' '.join(line)}\n" for line in (pieces[:half], pieces[half:]))


_S = range(ROWS)
_TEXT = f"""\
/* sum[j] += w[j][0] x[0] + w[j][1] x[1] + ... for every row j, one column after another. w lies in groups of
   {ROWS} rows, each column by column, and then the rows that are left. */
static void @add_product(float *sum, const float *w, const float *x, int rows, int columns)
{{
    int j, k;
    for (j = rows / {ROWS}; j > 0; j--, sum += {ROWS}, x -= columns) {{
        float {", ".join(f"s{i} = sum[{i}]" for i in _S)};
        for (k = columns / {UNROLLED}; k > 0; k--, w += {ROWS * UNROLLED}, x += {UNROLLED}) {{
{"".join(_column(k) for k in range(UNROLLED))}        }}
        for (k = columns % {UNROLLED}; k > 0; k--, w += {ROWS}, x++) {{
{_column(0)}        }}
        {" ".join(f"sum[{i}] = s{i};" for i in _S)}
    }}
    for (j = rows % {ROWS}; j > 0; j--, sum++, x -= columns) {{
        float s = *sum;
        for (k = columns; k > 0; k--)
            s += *w++ * *x++;
        *sum = s;
    }}
}}
"""

_ORDER = f"in groups of {ROWS} rows, each column by column, then single rows"
CORTEX_M = Kernel(_TEXT, _ORDER, _arrange)
