"""Public names stay what they are unless somebody means it, and their docstrings have what a reader needs."""

import inspect

import pytest

pytest.importorskip("keras", reason="the names of tidegate.keras are read, too")

from tests.architecture.public import GOLDEN, INNER, documented, faults, has_example, listed

DOCUMENTED = documented()
# What works on a trained model, its data or the record of a long run: the guides show it, and tests run their code.
SHOWN_BY_GUIDES = {
    *("tidegate.attack.certify", "tidegate.attack.run", "tidegate.audit.run", "tidegate.compare.run"),
    *("tidegate.explain.check_leak", "tidegate.explain.try_remedy"),
    *(f"tidegate.report.write_{what}" for what in ("attack", "audit", "explanation", "html", "json", "runs_csv")),
    *("tidegate.ship.check", "tidegate.ship.flows", "tidegate.ship.inspect", "tidegate.ship.inspected"),
    *("tidegate.tasks.from_pretrained", "tidegate.tasks.read_ahead"),
    "tidegate.errors.note",  # it warns in the name of its caller, and has one only outside of the library
}


def test_public_names_are_those_of_the_golden_list() -> None:
    names = listed()
    assert len(set(names)) == len(names)
    assert names == GOLDEN.read_text(encoding="utf-8").splitlines(), "renew it: python -m tests.architecture.public"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstrings_of_public_names_are_complete(name: str) -> None:
    room = name.split(".")[1]
    assert not list(faults(DOCUMENTED[name], arguments=room not in INNER))


def test_public_functions_have_examples() -> None:
    outer = {name: value for name, value in DOCUMENTED.items() if name.split(".")[1] not in INNER}
    without = {name for name, value in outer.items() if inspect.isroutine(value) and not has_example(value)}
    assert without == SHOWN_BY_GUIDES


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
