"""Dates as people write them: which spellings fit every cell, and the time that each cell says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
KNOWN = "2024-01-31, 31/01/2024, 31 Jan 2024, Jan 2024, 202401, 2024Q1 or 2024-W05, each with a time or without"
YEARS = range(1500, 2201)  # in dates of digits alone, which may be plain numbers
CENTURY = 50  # 50 to 99 are 1950 to 1999, 00 to 49 are 2000 to 2049
ISO = "%Y-%m-%d"
DAY = 86_400  # seconds
NO_CLOCK: tuple[int, int | None, str] = (0, None, "")  # a date alone

# %q is a quarter; the other letters are those of strptime. Separators are the same throughout a date.
SEPARATED = (
    *("%Y{0}%m{0}%d", "%d{0}%m{0}%Y", "%m{0}%d{0}%Y", "%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d"),
    *("%Y{0}%m", "%m{0}%Y", "%d{0}%b{0}%Y", "%d{0}%b{0}%y", "%b{0}%Y", "%b{0}%y", "%Y{0}%b", "%Y{0}%b{0}%d"),
    *("%YQ%q", "%Y{0}Q%q", "Q%q{0}%Y", "%Y{0}W%V", "%Y{0}W%V{0}%u"),
)
PACKED = ("%Y", "%Y%m", "%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S", "%d%m%Y", "%m%d%Y", "%y%m%d", "%d%m%y")
OTHERS = (*("%b %d, %Y", "%b %d %Y", "%d. %b %Y", "%b, %Y", "%d%b%Y", "%b%Y", "%b%y", "%YM%m", "%YW%V"), *PACKED)
SPELLINGS = tuple(dict.fromkeys([form.format(mark) for mark in "-/. " for form in SEPARATED] + [*OTHERS, "%m%d%y"]))

PARTS = {
    **{letter: rf"(?P<{letter}>\d{{2}})" for letter in "yVHMS"},
    "Y": r"(?P<Y>\d{4})",
    "b": r"(?P<b>[a-z]{3,9})\.?",
    "q": "(?P<q>[1-4])",
    "u": "(?P<u>[1-7])",
}
WEEKDAY = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[.,]?\s+", re.IGNORECASE)
TIME = re.compile(r"(?<=\d)T(?=\d)|,?\s+(?=\d{1,2}(?::|\s*[ap]\.?m))", re.IGNORECASE)  # where the time of day begins
CLOCK = re.compile(
    r"(?P<H>\d{1,2})(?::?(?P<M>\d\d)(?::?(?P<S>\d\d)(?:[.,](?P<f>\d{1,6})0*)?)?)?\s*(?:(?P<p>[ap])\.?m\.?)?"
    r"\s*(?P<z>Z|UTC|GMT|[+\-\u2212]\d\d(?::?\d\d)?)?\s*(?:\[(?P<zone>[\w/+\-]+)\])?",
    re.IGNORECASE,
)

Instants = NDArray[np.datetime64]


@dataclass(frozen=True)
class Stamps:
    """Cells taken apart.

    Attributes:
        dates: the date of each cell, as written.
        clocks: the time of day of each cell, in microseconds.
        offsets: its offset from UTC in seconds; None where it has none.
        zones: the names of time zones in the cells, such as those of ``2024-01-31T00:00+01:00[Europe/Berlin]``.
    """

    dates: list[str]
    clocks: NDArray[np.int64]
    offsets: list[int | None]
    zones: tuple[str, ...] = ()


def split(cells: Sequence[str]) -> Stamps:
    """Take cells apart into date, time of day and offset; a cell without a time of day is a date alone.

    Examples:
        >>> stamps = split(["2024-01-31T12:00+01:00", "31 Jan 2024 1:30 pm"])
        >>> stamps.dates, (stamps.clocks // 60_000_000).tolist(), stamps.offsets
        (['2024-01-31', '31 Jan 2024'], [720, 810], [3600, None])
    """
    known = {cell: _parted(cell) for cell in dict.fromkeys(cells)}
    clocks = {tail: _clock(tail) for tail in dict.fromkeys(tail for _, tail in known.values())}
    parts = [known[cell] for cell in cells]
    return Stamps(
        [day if clocks[tail] else cell for (day, tail), cell in zip(parts, cells, strict=True)],
        np.array([(clocks[tail] or NO_CLOCK)[0] for _, tail in parts], dtype=np.int64),
        [(clocks[tail] or NO_CLOCK)[1] for _, tail in parts],
        tuple(dict.fromkeys(clock[2] for clock in clocks.values() if clock and clock[2])),
    )


def _parted(cell: str) -> tuple[str, str]:
    """The date without a name of its weekday, and the time of day, which may be empty."""
    weekday = WEEKDAY.match(cell)
    rest = cell[weekday.end() :] if weekday else cell
    found = TIME.search(rest)
    return (rest[: found.start()], rest[found.end() :]) if found else (rest, "")


def _clock(text: str) -> tuple[int, int | None, str] | None:
    """Microseconds after midnight, offset and zone of a time of day; 24:00 is the end of the day."""
    found = CLOCK.fullmatch(text)
    if found is None:
        return None if text else NO_CLOCK
    hour, minute, second = (int(found[name] or 0) for name in "HMS")
    half = (found["p"] or "").casefold()
    if half and 1 <= hour <= 12:
        hour = hour % 12 + 12 * (half == "p")
    elif half or hour * 3600 + minute * 60 + second > DAY:
        return None
    if minute > 59 or second > 59:
        return None
    fraction = int((found["f"] or "").ljust(6, "0"))
    seconds = (hour * 60 + minute) * 60 + second
    return seconds * 1_000_000 + fraction, _offset(found["z"]), found["zone"] or ""


def _offset(text: str | None) -> int | None:
    if text is None:
        return None
    if text.upper() in ("Z", "UTC", "GMT"):
        return 0
    digits = text[1:].replace(":", "").ljust(4, "0")
    return (1 if text[0] == "+" else -1) * (int(digits[:2]) * 3600 + int(digits[2:]) * 60)


def order(form: str) -> bool | None:
    """Whether the day comes before the month, where both are numbers and the year comes last.

    Examples:
        >>> order("%d/%m/%Y"), order("%m/%d/%Y"), order("%Y-%m-%d")
        (True, False, None)
    """
    if "%d" not in form or "%m" not in form or form.lower().startswith("%y"):
        return None
    return form.index("%d") < form.index("%m")


def allowed(*, day_first: bool | None) -> list[str]:
    """The spellings to try. Dots mean that the day comes first, unless ``day_first`` says otherwise."""
    if day_first is None:
        return [form for form in SPELLINGS if "." not in form or (order(form) is not False and form[:3] != "%y.")]
    return [form for form in SPELLINGS if order(form) in (None, day_first) and form[:3] not in ("%y-", "%y/", "%y.")]


def fitting(dates: Sequence[str], forms: Iterable[str]) -> tuple[dict[str, Instants], tuple[int, str]]:
    """The days that each spelling gives, where it fits all dates.

    Returns:
        The days by spelling, and the first row that no spelling fits, with the spelling that fits all rows before it.
    """
    texts = list(dict.fromkeys(dates))
    fits, furthest = {}, (0, "")
    for form in forms:
        days = {}
        for text in texts:
            moment = moment_of(text, form)
            if moment is None:
                furthest = max(furthest, (dates.index(text), form))
                break
            days[text] = moment
        else:
            fits[form] = np.array([days[text] for text in dates], dtype="datetime64[us]")
    return fits, furthest


def moment_of(text: str, form: str) -> datetime | None:
    """The beginning of a date, or None if it is not written in this way."""
    found = _pattern(form).fullmatch(text)
    if found is None:
        return None
    part = found.groupdict()
    year = int(part["Y"]) if part.get("Y") else _century(int(part["y"]))
    if form in PACKED and year not in YEARS:
        return None
    try:
        day = _day(year, part)
        hour, minute, second = (int(part.get(name) or 0) for name in "HMS")
        return datetime(day.year, day.month, day.day, hour, minute, second)  # noqa: DTZ001
    except ValueError:
        return None


def _century(year: int) -> int:
    return year + (1900 if year >= CENTURY else 2000)


def _day(year: int, part: dict[str, str]) -> date:
    if "V" in part:
        return date.fromisocalendar(year, int(part["V"]), int(part.get("u") or 1))
    if "q" in part:
        return date(year, 3 * int(part["q"]) - 2, 1)
    month = _month(part["b"]) if "b" in part else int(part.get("m") or 1)
    return date(year, month, int(part.get("d") or 1))


def _month(name: str) -> int:
    name = "sep" if name.casefold() == "sept" else name.casefold()
    (month,) = [at for at, full in enumerate(MONTHS, 1) if name in (full, full[:3])]
    return month


@cache
def _pattern(form: str) -> re.Pattern[str]:
    digits = r"\d{2}" if form in PACKED or form in ("%m%d%y", "%Y.%m") else r"\d{1,2}"
    parts = {**PARTS, "m": f"(?P<m>{digits})", "d": f"(?P<d>{digits})"}
    pieces = re.split(r"%(\w)", form)
    return re.compile(
        "".join(parts[piece] if at % 2 else re.escape(piece) for at, piece in enumerate(pieces)), re.IGNORECASE
    )


def by_format(cells: Sequence[str], form: str) -> tuple[Stamps, int | None]:
    """Cells read with a format of strptime, and the first row that does not fit it.

    Raises:
        InputError: it is no format, or says no year.
    """
    _check_format(form)
    known: dict[str, datetime] = {}
    for cell in dict.fromkeys(cells):
        try:
            known[cell] = datetime.strptime(cell, form)  # noqa: DTZ007  the zone is told elsewhere
        except ValueError:
            return Stamps([], np.empty(0, np.int64), []), cells.index(cell)
    moments = [known[cell] for cell in cells]
    days = [moment.date().isoformat() for moment in moments]
    clocks = [(moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)) for moment in moments]
    offsets = [moment.utcoffset() for moment in moments]
    return Stamps(
        days,
        np.array([clock // timedelta(microseconds=1) for clock in clocks], dtype=np.int64),
        [None if offset is None else round(offset.total_seconds()) for offset in offsets],
    ), None


def _check_format(form: str) -> None:
    example = datetime(2024, 1, 31, tzinfo=UTC)
    try:
        datetime.strptime(example.strftime(form), form)  # noqa: DTZ007
        sound = any(part in form for part in ("%Y", "%y", "%G", "%c", "%x"))
    except ValueError:
        sound = False
    if not sound:
        raise InputError(
            "DATE_FORMAT",
            f"date_format={form!r} is not a format of dates with a year",
            fix="use the letters of Python's strptime, such as date_format='%d/%m/%Y %H:%M'",
        )


def is_dates(cells: Sequence[str]) -> list[Instants]:
    """Every way to read all cells as dates; none if they are not dates."""
    stamps = split(cells)
    forms = [form for form in allowed(day_first=None) if form not in PACKED and form != "%m%d%y"]
    return [days + stamps.clocks.astype("timedelta64[us]") for days in fitting(stamps.dates, forms)[0].values()]
