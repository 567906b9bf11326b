"""Weights to and from other frameworks: the other side runs them itself, and both must say the same."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from tests.peer import agreement
from tests.peer.agreement import FORMAT, PAIRS, drawn, error_of_dump, error_of_load, format_of, loaded, our_layer
from tests.peer.case import COMPILED, Case, chosen, inputs
from tests.reference import tolerance
from tidegate import convert
from tidegate.convert.layout import UNUSED, Block, Layout
from tidegate.convert.table import FORMATS, ROWS
from tidegate.errors import InputError

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),  # Keras
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning"),  # torch, once
    pytest.mark.filterwarnings("ignore:the arrays do not say it:tidegate.errors.TidegateWarning"),
]

LIMIT = {"float64": tolerance.FLOAT64, "float32": tolerance.CONVERT_FLOAT32}
CASES = [case for pair in PAIRS for case in chosen(*pair)]


def row_of(cell: str) -> str:
    return ROWS[cell][0] if cell in ROWS else cell


def side(case: Case):
    try:
        there = agreement.side(case.target)
    except ImportError as error:
        pytest.skip(f"the other side is not installed: {error.name}")
    if reason := there.why_not(case):
        pytest.skip(reason)
    return there


def test_every_entry_of_the_table_is_run():
    run = [FORMATS[FORMAT.get(target, target)][row_of(cell)] for target, cell in PAIRS]
    for target, rows in FORMATS.items():
        for cell, layout in rows.items():
            assert any(layout is one for one in run), (target, cell)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_other_side_computes_the_same_with_our_weights(case):
    side(case)
    assert error_of_dump(case) <= LIMIT[case.dtype]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_we_compute_the_same_with_the_weights_of_the_other_side(case):
    side(case)
    assert error_of_load(case) <= LIMIT[case.dtype]


@pytest.mark.parametrize(("target", "cell"), PAIRS)
def test_what_went_there_and_back_is_the_same_to_the_bit(target, cell):
    """Outputs, as some have two places for one number; of what takes long to run, the weights themselves."""
    case = Case(target, cell, 2, bidirectional=True, dtype="float64" if target in COMPILED else "float32")
    there = side(case)
    weights, output = drawn(case)
    again = convert.dump(loaded(case), format_of(case))
    if target in COMPILED:
        import jax

        numbers = [[np.asarray(leaf).tolist() for leaf in jax.tree.leaves(tree)] for tree in (weights, again)]
        assert numbers[0] == numbers[1]
    else:
        assert np.array_equal(there.run(case, again, inputs(case)), output)


@pytest.mark.parametrize("target", ["linen", "nnx", "nnx/optimized"])
def test_flax_always_has_biases_which_are_zero_where_ours_has_none(target):
    case = Case(target, "lstm", bias=False)
    side(replace(case, bias=True))
    assert error_of_dump(case) <= LIMIT["float64"]
    with pytest.raises(InputError, match=r"LSTM without bias has no place for b\.i, b\.f, b\.g, b\.o"):
        error_of_load(case)


@pytest.mark.parametrize("target", ["keras", "onnx", "linen"])
def test_a_single_bias_of_ours(target):
    """Two cells of ours have one bias for each gate, where a cell that computes the same elsewhere may have two."""
    case = Case(target, "np", bidirectional=True, dtype="float32")
    twin = replace(case, cell="lstm")
    there = side(twin)
    layer, x = our_layer(case), inputs(case)
    theirs = there.run(twin, convert.dump(layer, target), x)
    assert np.abs(theirs - agreement.our_output(layer, x)).max() <= LIMIT["float32"]
    weights, theirs = drawn(twin)
    convert.load(layer, target, weights)
    assert np.abs(theirs - agreement.our_output(layer, x)).max() <= LIMIT["float32"]


# What is wrong on purpose must be found, whichever entry of the table it stands in.


def changed(layout: Layout, change) -> Layout:
    arrays = [replace(stored, blocks=tuple(change(block) for block in stored.blocks)) for stored in layout.arrays]
    return replace(layout, arrays=tuple(arrays))


def swapped(first: str, second: str, sources: str):
    """The gates of two blocks exchanged, wherever they are stored from one of the sources."""
    other = {first: second, second: first}

    def change(block: Block) -> Block:
        return replace(block, gate=other.get(block.gate, block.gate)) if block.sources[0] in sources else block

    return change


def without_bias(source: str, gate: str):
    """A bias that is not read."""

    def change(block: Block) -> Block:
        return replace(block, gate=UNUSED) if (block.sources[0], block.gate) == (source, gate) else block

    return change


def with_opposite_sign(block: Block) -> Block:
    return replace(block, negated=block.gate == "z")


def planted():
    """Every wrong table: target, cell, what is wrong with it, the change that makes it so."""
    for target, cell in PAIRS:
        if target in FORMAT:
            continue
        blocks = [block for stored in FORMATS[target][row_of(cell)].arrays for block in stored.blocks]
        gates = dict.fromkeys(block.gate for block in blocks if block.sources[0] == "W" and block.gate != UNUSED)
        peeps = dict.fromkeys(block.gate for block in blocks if block.sources[0] == "p" and block.gate != UNUSED)
        for pair in combinations(gates, 2):
            yield target, cell, f"{pair[0]} for {pair[1]}", swapped(*pair, "WUbd")
        for pair in combinations(peeps if cell in ("peepholelstm", "cifg") else (), 2):
            yield target, cell, f"p_{pair[0]} for p_{pair[1]}", swapped(*pair, "p")
        for source, gate in {(b.sources[0], b.gate): None for b in blocks if b.sources[0] in "bd" and b.gate != UNUSED}:
            yield target, cell, f"no {source}_{gate}", without_bias(source, gate)
        if "z" in gates:
            yield target, cell, "write for keep", with_opposite_sign


BUGS = list(planted())


@pytest.mark.parametrize(("target", "cell", "bug", "change"), BUGS, ids=["-".join(bug[:3]) for bug in BUGS])
def test_a_wrong_table_is_found(target, cell, bug, change, monkeypatch):
    case = Case(target, cell, dtype="float64" if target in COMPILED else "float32")
    side(case)
    assert error_of_load(case) <= LIMIT[case.dtype]
    row = row_of(cell)
    monkeypatch.setitem(FORMATS[target], row, changed(FORMATS[target][row], change))
    assert error_of_load(case) > 1e-3
