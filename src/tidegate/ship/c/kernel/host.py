"""Float32 on processors with vector registers, as many rows side by side as fit into one.

Compilers at -O2 hardly use them by themselves, so blocks of rows are written out with the vector types of gcc and
clang. Other compilers get a plain loop over the same order of storing. As many sums at a time as registers have room
for keep the adders busy: each has to wait for its own last addition.
"""

from tidegate.ship.c.kernel.kind import Kernel

_LANES = """\
#if defined(__GNUC__)
#if defined(__AVX512F__)
#define @LANES 16
#elif defined(__AVX__)
#define @LANES 8
#else
#define @LANES 4
#endif
typedef float @lanes __attribute__((vector_size(4 * @LANES)));
typedef float @four __attribute__((vector_size(16)));
static inline @lanes @load(const float *p) { @lanes v; memcpy(&v, p, sizeof v); return v; }
static inline void @store(float *p, @lanes v) { memcpy(p, &v, sizeof v); }
static inline @four @load_four(const float *p) { @four v; memcpy(&v, p, sizeof v); return v; }
static inline void @store_four(float *p, @four v) { memcpy(p, &v, sizeof v); }
#endif

"""

_HEAD = """\
/* sum[j] += w[j][0] x[0] + w[j][1] x[1] + ... for every row j, one column after another. Rows are computed side by
   side, and w lies column by column: how many of them at a time changes no bit of a sum. */
static void @add_product(float *restrict sum, const float *restrict w, const float *restrict x, int rows, int columns)
{
    int j = 0, k;
#if defined(__GNUC__)
"""

_TAIL = """\
#endif
    for (; j < rows; j++) {
        float s = sum[j];
        for (k = 0; k < columns; k++)
            s += w[k * rows + j] * x[k];
        sum[j] = s;
    }
}
"""


def _block(count: int, kind: str, function: str, width: str) -> str:
    """A loop over blocks of ``count`` registers of rows."""
    at = [""] + [f" + {i} * {width}" for i in range(1, count)]
    rows = width if count == 1 else f"{count} * {width}"
    lines = [f"for (; j < rows / ({rows}) * ({rows}); j += {rows}) {{", "    const float *column = w + j;"]
    lines += [f"    {kind} s{i} = @load{function}(sum + j{at[i]});" for i in range(count)]
    lines += ["    for (k = 0; k < columns; k++, column += rows) {"]
    lines += [f"        s{i} += @load{function}(column{at[i]}) * x[k];" for i in range(count)]
    lines += ["    }"]
    lines += [f"    @store{function}(sum + j{at[i]}, s{i});" for i in range(count)]
    return "".join(f"    {line}\n" for line in [*lines, "}"])


_WIDE = "".join(_block(count, "@lanes", "", "@LANES") for count in (12, 4, 1))
_NARROW = "".join(_block(count, "@lanes", "", "@LANES") for count in (8, 2))
_BLOCKS = f"#if @LANES > 4\n{_WIDE}#else\n{_NARROW}#endif\n" + _block(1, "@four", "_four", "4")

HOST = Kernel(
    text=_LANES + _HEAD + _BLOCKS + _TAIL,
    order="column by column",
    arrange=lambda matrix: matrix.T.ravel(),
)
