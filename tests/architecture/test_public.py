"""Public names stay what they are unless somebody means it, and their docstrings have what a reader needs."""

import pytest

pytest.importorskip("keras", reason="the names of tidegate.keras are read, too")

from tests.architecture.public import GOLDEN, INNER, documented, faults, listed

DOCUMENTED = documented()


def test_public_names_are_those_of_the_golden_list() -> None:
    names = listed()
    assert len(set(names)) == len(names)
    assert names == GOLDEN.read_text(encoding="utf-8").splitlines(), "renew it: python -m tests.architecture.public"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstrings_of_public_names_are_complete(name: str) -> None:
    room = name.split(".")[1]
    assert not list(faults(DOCUMENTED[name], arguments=room not in INNER))


# --- the measure itself ---


def good(amount: int) -> int:
    """Twice the amount.

    Raises:
        ValueError: the amount is negative.
    """
    if amount < 0:
        raise ValueError(amount)
    return 2 * amount


def without_raises(amount: int) -> None:
    """Refuse every amount."""
    raise ValueError(amount)


def without_returns(amount: int) -> "tuple[int, int]":
    """Twice and three times the amount."""
    return 2 * amount, 3 * amount


def without_argument(amount: int) -> int:
    """Twice as much."""
    return 2 * amount


def without_summary(amount: int) -> int:
    """Twice
    the amount.
    """
    return 2 * amount


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        (without_raises, "there is no section Raises"),
        (without_returns, "there is no section Returns"),
        (without_argument, "it does not name amount"),
        (without_summary, "the first paragraph is not one sentence on one line"),
    ],
)
def test_what_a_docstring_lacks_is_seen(function, fault) -> None:
    assert not list(faults(good, arguments=True))
    assert list(faults(function, arguments=True)) == [fault]
