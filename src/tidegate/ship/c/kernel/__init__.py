"""The products of a matrix and a vector, as C: one text for each kind of processor and of weights.

All float kernels add ``w[j][0] x[0]``, ``w[j][1] x[1]``, ... onto ``sum[j]`` in this order, whatever they do side by
side, so all give the same bits. Integer kernels add exactly, so any order gives the same integers.
"""

from tidegate.ship.c.kernel.cortex import CORTEX_M
from tidegate.ship.c.kernel.host import HOST
from tidegate.ship.c.kernel.int8 import FLOAT_STATES, INTEGER_STATES, MOST_COLUMNS
from tidegate.ship.c.kernel.kind import Kernel

__all__ = ["CORTEX_M", "FLOAT_STATES", "HOST", "INTEGER_STATES", "MOST_COLUMNS", "Kernel"]
