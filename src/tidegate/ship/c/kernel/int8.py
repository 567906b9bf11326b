"""Weights of 8 bits times inputs and states of 16 bits, four rows side by side.

Sums of products are whole numbers of 32 bits, so every order of adding gives the same ones. They cannot overflow: the
largest is ``127 * 32767 * columns``, which is below 2^31 for up to 516 columns, and ``tidegate.ship.quantise`` gives
wider matrices smaller inputs. A Cortex-M4 multiplies two pairs of 16 bits in one instruction, so inputs of 8 bits would
be no quicker, only less exact.
"""

import numpy as np

from tidegate.ship.c.kernel.kind import Kernel, Matrix, Stored, rows_in_groups

ROWS = 4
COLUMNS = 4
PAIRED = [0, 2, 1, 3]  # bytes 0 and 2 of a word are widened by one instruction, bytes 1 and 3 by another
MOST_COLUMNS = (2**31 - 1) // (127 * 32767)


def _arrange(matrix: Matrix) -> Stored:
    groups = rows_in_groups(matrix, ROWS)
    return np.concatenate([_group(group) if len(group) == ROWS else group.ravel() for group in groups])


def _group(rows: Matrix) -> Stored:
    """Four columns of one row, then of the next; then the columns that are left."""
    whole = rows.shape[1] - rows.shape[1] % COLUMNS
    fours = rows[:, :whole].reshape(ROWS, -1, COLUMNS)[:, :, PAIRED]
    return np.concatenate([fours.transpose(1, 0, 2).ravel(), rows[:, whole:].T.ravel()])


_ADD_FOUR = """\
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_BIG_ENDIAN)
#include <arm_acle.h>
#endif

/* sum + the products of four numbers, whose weights lie in the order 0 2 1 3. */
static inline int32_t @add_four(int32_t sum, const int8_t *w, const int16_t *x)
{
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_BIG_ENDIAN)
    int32_t four, x01, x23;
    memcpy(&four, w, 4);
    memcpy(&x01, x, 4);
    memcpy(&x23, x + 2, 4);
    sum = __smlad(__sxtb16(four), x01, sum);
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(four) : "r"(four));
    return __smlad(four, x23, sum);
#else
    return sum + w[0] * x[0] + w[2] * x[1] + w[1] * x[2] + w[3] * x[3];
#endif
}

"""

_PRODUCT = """\
/* sum[j] += SAYS for every row j.
   w lies in groups of four rows, each in pieces of four columns, and then the rows that are left. */
static void @add_product(SUM *sum, const int8_t *w, const SCALE *scale, const int16_t *x, int rows, int columns)
{
    int j, k;
    for (j = rows / 4; j > 0; j--, sum += 4, scale += 4, x -= columns) {
        int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        k = columns / 4;
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_BIG_ENDIAN)
        for (; k > 1; k -= 2, w += 32, x += 8) {
            s0 = @add_four(s0, w, x);
            s1 = @add_four(s1, w + 4, x);
            s2 = @add_four(s2, w + 8, x);
            s3 = @add_four(s3, w + 12, x);
            __asm__ volatile("" ::: "memory"); /* so that no more weights are loaded than there are registers */
            s0 = @add_four(s0, w + 16, x + 4);
            s1 = @add_four(s1, w + 20, x + 4);
            s2 = @add_four(s2, w + 24, x + 4);
            s3 = @add_four(s3, w + 28, x + 4);
        }
#endif
        for (; k > 0; k--, w += 16, x += 4) {
            s0 = @add_four(s0, w, x);
            s1 = @add_four(s1, w + 4, x);
            s2 = @add_four(s2, w + 8, x);
            s3 = @add_four(s3, w + 12, x);
        }
        for (k = columns % 4; k > 0; k--, w += 4, x++) {
            s0 += w[0] * *x;
            s1 += w[1] * *x;
            s2 += w[2] * *x;
            s3 += w[3] * *x;
        }
        sum[0] = @add_scaled(sum[0], s0, scale[0]);
        sum[1] = @add_scaled(sum[1], s1, scale[1]);
        sum[2] = @add_scaled(sum[2], s2, scale[2]);
        sum[3] = @add_scaled(sum[3], s3, scale[3]);
    }
    for (j = rows % 4; j > 0; j--, sum++, scale++, x -= columns) {
        int32_t s = 0;
        for (k = columns; k > 0; k--)
            s += *w++ * *x++;
        *sum = @add_scaled(*sum, s, *scale);
    }
}
"""

_ADD_FLOAT = """\
static inline float @add_scaled(float sum, int32_t s, float scale) { return sum + (float)s * scale; }

"""

_ADD_INTEGER = """\
/* sum + s scale / 2^16, rounded down: without the 48 bits of the product where no instruction has them. */
static inline int32_t @add_scaled(int32_t sum, int32_t s, int16_t scale)
{
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_BIG_ENDIAN)
    return __smlawb(s, scale, sum);
#else
    return sum + (s >> 16) * scale + ((s & 0xffff) * scale >> 16);
#endif
}

"""

_ORDER = "in groups of four rows, four columns of each at a time in the order 0 2 1 3, then single columns and rows"


def _kernel(add: str, kind: str, scale: str, says: str) -> Kernel:
    product = _PRODUCT.replace("SUM", kind).replace("SCALE", scale).replace("SAYS", says)
    return Kernel(_ADD_FOUR + add + product, _ORDER, _arrange)


FLOAT_STATES = _kernel(_ADD_FLOAT, "float", "float", "scale[j] (w[j][0] x[0] + w[j][1] x[1] + ...)")
INTEGER_STATES = _kernel(_ADD_INTEGER, "int32_t", "int16_t", "scale[j] (w[j][0] x[0] + w[j][1] x[1] + ...) / 2^16")
