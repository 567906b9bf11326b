"""The products of shipped C on every target that this machine has, against the same sums in NumPy, to the bit."""

from collections.abc import Iterable

import numpy as np
import pytest
from benchmarks.ship import qemu
from benchmarks.ship.program import HEAD, sum_of_bits

from tidegate.ship.c import kernel
from tidegate.ship.c.kernel import CORTEX_M, FLOAT_STATES, HOST, INTEGER_STATES, MOST_COLUMNS

SHAPES = [(192, 20), (60, 7), (7, 5), (1, 1), (33, 9), (4, 4), (9, 2)]  # with and without rows and columns left over
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wdouble-promotion")
DRAWN = np.random.default_rng(0)
PRINT = "for (j = 0; j < {rows}; j++) {{ uint32_t bits; memcpy(&bits, s + j, 4); total = mix(total, bits); }}"


def c_array(kind: str, name: str, values: Iterable[float]) -> str:
    texts = [f"{float(v).hex()}f" if kind == "float" else str(int(v)) for v in values]
    return f"static const {kind} {name}[] = {{{', '.join(texts)}}};\n"


def run(target: str, tmp_path, text: str, arrays: str, calls: list[str], flags=()) -> int:
    if missing := qemu.TARGETS[target].missing:
        pytest.skip(f"this machine has no {missing}")
    source = tmp_path / "kernel.c"
    body = "\n".join(calls)
    main = f'int main(void)\n{{\nuint32_t total = 2166136261u; int j;\n{body}\nprint("sum", total);\nreturn 0;\n}}\n'
    source.write_text(HEAD + text.replace("@", "k_") + arrays + main)
    return qemu.run(target, qemu.build(target, [source], tmp_path, flags=[*STRICT, *flags]))["sum"]


def float_case(one: kernel.Kernel):
    """Arrays, calls, and the sums that have to come out."""
    arrays, calls, wanted = "", [], []
    for n, (rows, columns) in enumerate(SHAPES):
        w, x, s = (DRAWN.normal(size=shape).astype(np.float32) for shape in ((rows, columns), columns, rows))
        stored = c_array("float", f"w{n}", one.arrange(w))
        arrays += stored + c_array("float", f"x{n}", x) + c_array("float", f"s{n}", s)
        calls.append(f"{{ float s[{rows}]; memcpy(s, s{n}, sizeof s); k_add_product(s, w{n}, x{n}, {rows}, {columns});")
        calls.append(PRINT.format(rows=rows) + "}")
        for k in range(columns):
            s = s + w[:, k] * x[k]
        wanted.append(s)
    return arrays, calls, np.concatenate(wanted)


@pytest.mark.parametrize("target", qemu.TARGETS)
@pytest.mark.parametrize("name", ["HOST", "CORTEX_M"])
def test_a_float_kernel_adds_one_column_after_another(target, name, tmp_path) -> None:
    one = getattr(kernel, name)
    arrays, calls, wanted = float_case(one)
    assert run(target, tmp_path, one.text, arrays, calls) == sum_of_bits(wanted)


def test_the_widest_registers_give_the_same_bits(tmp_path) -> None:
    arrays, calls, wanted = float_case(HOST)
    flags = ["-march=native", "-O3"]
    assert run("gcc", tmp_path, HOST.text, arrays, calls, flags) == sum_of_bits(wanted)


def test_compilers_without_vector_types_give_the_same_bits(tmp_path) -> None:
    arrays, calls, wanted = float_case(HOST)
    assert run("gcc", tmp_path, HOST.text.replace("__GNUC__", "NONE"), arrays, calls) == sum_of_bits(wanted)


def test_another_order_of_adding_would_be_seen(tmp_path) -> None:
    arrays, calls, wanted = float_case(CORTEX_M)
    turned = CORTEX_M.text.replace("s3 += w[3] * x[0];", "s3 = w[3] * x[0] + s3 * 1.0000001f;")
    assert turned != CORTEX_M.text
    assert run("gcc", tmp_path, turned, arrays, calls) != sum_of_bits(wanted)


def int8_case(one: kernel.Kernel, *, extreme: bool):
    arrays, calls, wanted = "", [], []
    whole = one is INTEGER_STATES
    kind = "int32_t" if whole else "float"
    for n, (rows, columns) in enumerate([(5, MOST_COLUMNS)] if extreme else SHAPES):
        w = DRAWN.integers(-127, 128, (rows, columns))
        x = DRAWN.integers(-32767, 32768, columns)
        if extreme:
            w, x = np.full_like(w, 127) * (-1) ** np.arange(rows)[:, None], np.full_like(x, 32767)
        scale = DRAWN.integers(0, 32768, rows) if whole else DRAWN.normal(size=rows).astype(np.float32)
        dot = w @ x
        assert abs(dot).max() < 2**31
        wanted.append((dot * scale >> 16).astype(np.int32) if whole else dot.astype(np.float32) * scale)
        arrays += c_array("int8_t", f"w{n}", one.arrange(w)) + c_array("int16_t", f"x{n}", x)
        arrays += c_array("int16_t" if whole else "float", f"m{n}", scale)
        calls.append(f"{{ {kind} s[{rows}] = {{0}}; k_add_product(s, w{n}, m{n}, x{n}, {rows}, {columns});")
        calls.append(PRINT.format(rows=rows) + "}")
    return arrays, calls, np.concatenate(wanted)


@pytest.mark.parametrize("target", qemu.TARGETS)
@pytest.mark.parametrize("one", [FLOAT_STATES, INTEGER_STATES], ids=["float", "integer"])
@pytest.mark.parametrize("extreme", [False, True], ids=["drawn", "extreme"])
def test_integer_products_are_exact(target, one, extreme, tmp_path) -> None:
    arrays, calls, wanted = int8_case(one, extreme=extreme)
    assert run(target, tmp_path, one.text, arrays, calls) == sum_of_bits(wanted)


def test_one_column_more_could_overflow() -> None:
    assert 127 * 32767 * MOST_COLUMNS < 2**31 <= 127 * 32767 * (MOST_COLUMNS + 1)


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m0"])
def test_instructions_and_stack_are_counted(target, tmp_path) -> None:
    """A loop of 3,000,000 instructions, and a frame of 2,000 bytes."""
    text = """
static void __attribute__((noinline)) work(void)
{
    volatile char frame[2000];
    uint32_t n = 1500000;
    frame[0] = frame[1999] = 1;
    __asm__ volatile(".syntax unified\\n1: subs %0, #1\\n bne 1b" : "+l"(n) : : "cc");
}
"""
    if missing := qemu.TARGETS[target].missing:
        pytest.skip(f"this machine has no {missing}")
    source = tmp_path / "work.c"
    calls = 'uint32_t t; paint_stack(); t = ticks(); work(); print("ticks", (ticks() - t) & 0xffffffu);'
    end = 'print("stack", stack_used()); print("loop", loop()); return 0;'
    source.write_text(f"{HEAD}{text}\nint main(void)\n{{\n{calls}\n{end}\n}}\n")
    numbers = qemu.run(target, qemu.build(target, [source], tmp_path))
    assert qemu.instructions(numbers) == pytest.approx(3_000_000, rel=1e-3)
    assert 1980 <= numbers["stack"] < 2100
