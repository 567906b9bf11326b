"""Tables that cannot be forecast."""

from __future__ import annotations

import math
from datetime import date, timedelta

from tests.malformed.case import Case

ROWS = 60
Y = [f"{math.sin(row / 2) + 0.01 * row:.4f}" for row in range(ROWS)]
DAYS = [str(date(2020, 1, 1) + timedelta(row)) for row in range(ROWS)]


def table(header: str, *columns: list[str]) -> bytes:
    return "\n".join([header, *map(",".join, zip(*columns, strict=True))]).encode()


def put(column: list[str], row: int, cell: str) -> list[str]:
    """The column with another cell in a row, counted from 1 below the header."""
    return [cell if at == row - 1 else old for at, old in enumerate(column)]


def case(name: str, content: bytes, says: list[str], *options: str, file: str = "a.csv") -> Case:
    return Case(name, "forecast", {file: content}, file, [*says], ["--target", "y", *options])


DATED = ("--time", "day")
SHOPS = ("--series", "shop", "--time", "day")
NAMES = ["a"] * 60 + ["b"] * 60
TWICE = [*Y, *Y]

CASES = [
    Case("no target", "forecast", {"a.csv": table("y", Y)}, "a.csv", ["--target COLUMN", "'y'"]),
    case("another target", table("sales", Y), ["a.csv", "no column 'y'", "'sales'"]),
    case("empty", b"", ["a.csv", "empty"]),
    case("blank", b"\n \n\n", ["a.csv", "empty"]),
    case("header only", b"day,y\n", ["a.csv", "no rows"]),
    case("one row", b"day,y\n2020-01-01,1\n", ["a.csv", "1 rows", "40"], *DATED),
    case("UTF-16", "y\n1\n2\n".encode("utf-16"), ["a.csv", "UTF-16", "UTF-8"]),
    case("Latin-1", table("y,ort", Y, ["Köln"] * ROWS).decode().encode("latin1"), ["a.csv", "line 2", "iconv"]),
    case("a picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ["a.csv", "binary"]),
    case("a row too long", table("day,y", DAYS, put(Y, 5, "1,2")), ["a.csv", "line 6", "3 cells"]),
    case("an open quote", table("day,y", DAYS, put(Y, 5, '"1')), ["a.csv", "not a CSV"]),
    case("two columns of a name", table("y,y", Y, Y), ["a.csv", "'y' more than once"]),
    case("empty cells", table("y", [*Y[:6], *["", "NaN"] * 4, *Y[14:]]), ["a.csv", "row 7", "lacks 8 of 60", "--fill"]),
    case(
        "missing rows",
        table("day,y", [*DAYS[:20], *[str(date(2020, 2, 2) + timedelta(row)) for row in range(40)]], Y),
        ["a.csv", "12 of 72 rows are missing", "after 2020-01-20", "--fill"],
        *DATED,
    ),
    case(
        "a year that is none",
        table("day,y", [*DAYS[:59], "2220-01-01"], Y),
        ["a.csv", "most rows are missing", "2020-01-01 and 2220-01-01"],
        *DATED,
    ),
    case(
        "too many texts",
        table("y,tag", Y, [f"tag {row}" for row in range(ROWS)]),
        ["'tag'", "60 different texts", "at most 32"],
        "--known",
        "tag",
    ),
    case("infinite", table("y", put(Y, 8, "inf")), ["a.csv", "row 8", "infinite"]),
    case("too large", table("y", put(Y, 9, "1e308")), ["a.csv", "row 9", "too large"]),
    case("a unit", table("y", put(Y, 3, "7 kg")), ["a.csv", "row 3", "'7 kg'"]),
    case("constant", table("y", ["4"] * ROWS), ["'y'", "4 in all 60 rows"]),
    case("a straight line", table("y", [str(row) for row in range(ROWS)]), ["'y'", "same amount"]),
    case("no such time", table("day,y", DAYS, Y), ["a.csv", "'days'", "did you mean 'day'"], "--time", "days"),
    case("a day twice", table("day,y", put(DAYS, 9, DAYS[7]), Y), ["a.csv", "2020-01-08 twice", "row 9"], *DATED),
    case("unsorted", table("day,y", put(DAYS, 9, DAYS[2]), Y), ["a.csv", "oldest first", "row 9"], *DATED),
    case("newest first", table("day,y", DAYS[::-1], Y), ["a.csv", "oldest first", "row 2"], *DATED),
    case("no date", table("day,y", put(DAYS, 4, "soon"), Y), ["a.csv", "row 4", "'soon'"], *DATED),
    case("no date at all", table("day,y", ["early"] * ROWS, Y), ["a.csv", "row 1", "'early'"], *DATED),
    case("another way of writing dates", table("day,y", put(DAYS, 4, "4.1.2020"), Y), ["row 4", "'4.1.2020'"], *DATED),
    case(
        "days, then weeks",
        table("day,y", DAYS[:30] + [str(date(2020, 2, 6) + timedelta(7 * row)) for row in range(30)], Y),
        ["a.csv", "equally far apart", "'day'"],
        *DATED,
    ),
    case(
        "one series of days, one of weeks",
        table("shop,day,y", NAMES, DAYS + [str(date(2020, 1, 1) + timedelta(7 * row)) for row in range(ROWS)], TWICE),
        ["a.csv", "equally far apart", "'b'", "'D'"],
        *SHOPS,
    ),
    case("a row of no series", table("shop,day,y", put(NAMES, 70, ""), DAYS * 2, TWICE), ["row 70", "'shop'"], *SHOPS),
    case(
        "a short series",
        table("shop,day,y", NAMES[:70], (DAYS * 2)[:70], TWICE[:70]),
        ["'b'", "10 rows", "at least 40"],
        *SHOPS,
    ),
    case("series that are not named", table("day,y", DAYS * 2, TWICE), ["oldest first", "--series"], *DATED),
    case("no known column", table("y", Y), ["a.csv", "'price'", "--known"], "--known", "price"),
    case(
        "gaps in what is known",
        table("y,price", Y, [*Y[:5], *[""] * 9, *Y[14:]]),
        ["'price'", "row 6", "lacks 9 of 60"],
        "--known",
        "price",
    ),
    case(
        "what is known ends before the target",
        table("y,price", Y, [*Y[:58], "", ""]),
        ["'price'", "row 59", "missing"],
        "--known",
        "price",
    ),
    case("too far ahead", table("y", Y), ["60 rows", "118 are needed"], "--horizon", "30"),
    case(
        "no season",
        table("y", [str((7 * row * row) % 11) for row in range(ROWS)]),
        ["--season"],
        "--difference",
        "season",
        "--season",
        "50",
    ),
    case("damaged Parquet", b"PAR1 and nothing more PAR1", ["a.parquet", "Parquet"], file="a.parquet"),
]
