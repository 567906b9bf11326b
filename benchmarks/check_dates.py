"""Is any spelling of dates read as other dates? Every drawn series must be read right, asked about or refused.

    python benchmarks/check_dates.py [--rounds 400] [--seed 0]

Draws a step, a first date, a spelling, a zone and missing rows, writes the dates, and reads them again as a file of
a user's.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import numpy as np
import pandas as pd

from tidegate.data import Dating, Layout, Source, csv_of, read_panel
from tidegate.errors import InputError

STEPS = ("15min", "h", "6h", "D", "B", "7D", "SMS", "MS", "ME", "QS", "YS", "YS-JUN", "3D", "month", "year", "30s")
SPELLINGS = (
    *("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y%m%d", "%d%m%Y", "%m%d%Y"),
    *("%y%m%d", "%d%m%y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%d %b %Y", "%b %d, %Y", "%d-%b-%y", "%A, %d %B %Y"),
    *("%d%b%Y", "%G-W%V-%u"),
)
MONTHS = ("%Y-%m", "%m/%Y", "%b %Y", "%B %Y", "%Y%m", "%YM%m", "%b-%y", "%Y.%m", "quarter")
CLOCKS = (" %H:%M", "T%H:%M:%S", " %I:%M:%S %p", " %H:%M:%S")  # the first without seconds
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Tokyo", "America/Sao_Paulo", "UTC")


def drawn(rng: np.random.Generator) -> tuple[pd.DatetimeIndex, str, list[str], dict[str, str]]:
    """Dates, what they are, their cells, and how the reader is told to read them."""
    step, zone = str(rng.choice(STEPS)), str(rng.choice(ZONES)) if rng.random() < 0.4 else None
    yearly, hourly = step in {"YS", "YS-JUN", "year"}, step in {"15min", "h", "6h", "30s"}
    day = pd.Timestamp("1971-01-01") + pd.Timedelta(int(rng.integers(0, 8_000 if yearly else 16_000)), "D")
    first = day.replace(day=min(day.day, 28))
    freq = {"month": pd.DateOffset(months=1), "year": pd.DateOffset(years=1)}.get(step, step)
    dates = pd.date_range(first, periods=int(rng.integers(45, 55 if yearly else 400)), freq=freq)
    if zone is not None:
        changes = {"nonexistent": "shift_forward", "ambiguous": np.ones(len(dates), dtype=bool)}
        start = first.tz_localize(zone, nonexistent="shift_forward", ambiguous=True)
        dates = pd.date_range(start, periods=len(dates), freq=freq) if hourly else dates.tz_localize(zone, **changes)
    elif rng.random() < 0.4:
        dates = dates[np.sort(rng.permutation(len(dates))[: int(0.97 * len(dates))])]
    monthly = step in ("MS", "QS") and rng.random() < 0.6
    spelling = str(rng.choice(MONTHS if monthly else SPELLINGS))
    if spelling == "quarter":
        spelling = "%YQ{0}" if step == "QS" else "%Y-%m"
    spelling += str(rng.choice(CLOCKS[step == "30s" :])) if hourly else ""
    written = dates.tz_localize(None) if zone else dates
    cells = [date.strftime(spelling).format((date.month + 2) // 3) for date in written]
    told = {} if zone is None else {"zone": zone}
    return dates, f"{step} from {first:%Y-%m-%d} as {spelling}, zone {zone}", cells, told


def outcome(dates: pd.DatetimeIndex, cells: list[str], told: dict[str, str]) -> str:
    """What became of a series: read, asked, refused with a code, or WRONG."""
    frame = pd.DataFrame({"date": cells, "y": np.arange(len(cells)) % 7 * 1.5})
    try:
        layout = Layout("y", time="date", dating=Dating(**told))
        clock = read_panel(Source("memory", "a.csv", csv_of(frame)), layout, 8, "of the check").clock
    except InputError as error:
        return f"refused: {error.code}"
    right = clock is not None and len(clock.times) == len(dates) and (clock.times == dates).all()
    return "read" if right else "WRONG"


def main() -> None:
    """Draw, read, count; exit 1 if anything was read as other dates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, counts = np.random.default_rng(options.seed), Counter[str]()
    for _ in range(options.rounds):
        dates, what, cells, told = drawn(rng)
        found = outcome(dates, cells, told)
        counts[found] += 1
        if found != "read":
            print(f"{found}: {what}, {len(cells)} rows: {cells[0]} ... {cells[-1]}")
    print(dict(counts.most_common()))
    sys.exit(counts["WRONG"] > 0)


if __name__ == "__main__":
    main()
