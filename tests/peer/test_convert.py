"""Weights to and from other frameworks: the other side runs them itself, and both must say the same."""

from dataclasses import replace

import numpy as np
import pytest

from tests.peer import agreement
from tests.peer.agreement import CELLS, PAIRS, error_of_dump, error_of_load, format_of, leaves, our_layer
from tests.peer.case import Case, inputs, stacks
from tests.reference import tolerance
from tidegate import convert
from tidegate.convert import table
from tidegate.convert.layout import UNUSED, Block, Layout

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),  # Keras
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning"),  # torch, once
]

LIMIT = {"float64": tolerance.FLOAT64, "float32": tolerance.CONVERT_FLOAT32}
CASES = [case for pair in PAIRS for case in stacks(*pair)]


def side(case: Case):
    try:
        there = agreement.side(case.target)
    except ImportError as error:
        pytest.skip(f"the other side is not installed: {error.name}")
    if reason := there.why_not(case):
        pytest.skip(reason)
    return there


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_other_side_computes_the_same_with_our_weights(case):
    side(case)
    assert error_of_dump(case) <= LIMIT[case.dtype]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_we_compute_the_same_with_the_weights_of_the_other_side(case):
    side(case)
    assert error_of_load(case) <= LIMIT[case.dtype]
