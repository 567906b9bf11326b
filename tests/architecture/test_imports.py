"""The table of rooms in docs/design/architecture.md, held to every import."""

import pytest

from tests.architecture.house import House, read_table

HOUSE = House()
TABLE = HOUSE.table
NOTHING = frozenset()


def excess(room: str, what: str) -> set[str]:
    """Rooms or packages that a room imports and may not."""
    return set(getattr(HOUSE.rooms[room], what) - getattr(TABLE[room], what))


def test_the_table_has_every_room_and_no_other() -> None:
    assert set(TABLE) - {"engine"} == set(HOUSE.rooms)  # the engine is C++
    assert (HOUSE.source / "engine").is_dir()


@pytest.mark.parametrize("room", HOUSE.rooms)
def test_a_room_imports_what_the_table_allows(room: str) -> None:
    assert not excess(room, "rooms")
    assert not excess(room, "packages")


@pytest.mark.parametrize("room", HOUSE.rooms)
def test_the_table_allows_no_more_than_a_room_imports(room: str) -> None:
    row, used = TABLE[room], HOUSE.rooms[room]
    assert not row.rooms - used.rooms, "take them out of the table"
    assert not row.packages - used.packages, "take them out of the table"


def test_every_arrow_points_up_the_table() -> None:
    assert not HOUSE.backward
    assert not HOUSE.circles


def test_there_is_no_drawer_for_leftovers() -> None:
    names = {path.stem for path in HOUSE.trees} | {path.parent.name for path in HOUSE.trees}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}


# --- the measures themselves ---


def test_the_table_is_read_as_it_stands() -> None:
    rows = (
        "| room | purpose | may import | third-party |",
        "|-|",
        "| `a.py` | x | - | - |",
        "| `b/` | y | a | torch, x |",
    )
    text = "\n".join(["# Rooms", *rows, "", "| `c/` | of another table | - | - |"])
    assert read_table(text) == {"a": (NOTHING, NOTHING), "b": ({"a"}, {"torch", "x"})}


@pytest.fixture
def planted(tmp_path) -> House:
    """A package of two rooms that import each other, with a function of 41 lines below its docstring."""
    source = tmp_path / "src" / "planted"
    design = tmp_path / "docs" / "design" / "architecture.md"
    for folder in (source, design.parent):
        folder.mkdir(parents=True)
    design.write_text("| room | | | |\n|---|---|---|---|\n| `low.py` | | - | - |\n| `high.py` | | low | - |\n")
    (source / "low.py").write_text("def f():\n    import planted.high\n")
    body = "\n".join(["    x = 1"] * 40)
    (source / "high.py").write_text(f'from planted.low import f\n\ndef g():\n    """Two\n    lines."""\n{body}\n')
    return House(source)


def test_an_arrow_down_the_table_and_a_circle_are_seen(planted) -> None:
    assert planted.backward == [("low", "high")]
    assert planted.circles == [{"low", "high"}]


def test_a_long_function_is_seen_and_its_docstring_does_not_count(planted) -> None:
    assert planted.over_budget == ["high.py:3 g: 41 lines"]
