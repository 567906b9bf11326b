"""Frames of pandas and Parquet files as CSV files of our own making."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import available_timezones

import pandas as pd

from tidegate.data.parquet import MAGIC, read_parquet
from tidegate.data.source import Source


def as_csv(source: Source) -> Source:
    """A Parquet file as the CSV file with the same cells; other files unchanged.

    Raises:
        InputError: the Parquet file is damaged.
        MissingError: pyarrow is not installed.
    """
    if not source.raw.startswith(MAGIC):
        return source
    return replace(source, raw=csv_of(read_parquet(source)))


def csv_of(frame: pd.DataFrame) -> bytes:
    """A frame as a CSV file; an index that has a name or holds dates becomes a column."""
    if isinstance(frame.index, pd.PeriodIndex):
        frame = frame.set_axis(frame.index.to_timestamp())
    dated = isinstance(frame.index, pd.DatetimeIndex)
    named = frame.index.names != [None]
    if dated and not named:
        frame = frame.rename_axis(index="time")
    if dated and isinstance(frame.index.dtype, pd.DatetimeTZDtype):
        written = _with_zone(pd.DatetimeIndex(frame.index))
        frame = frame.set_axis(pd.Index(written, dtype=object, name=frame.index.name))
    zoned = frame.dtypes[[isinstance(kind, pd.DatetimeTZDtype) for kind in frame.dtypes]].index
    frame = frame.assign(**{name: _with_zone(pd.DatetimeIndex(frame[name])) for name in zoned})
    return frame.to_csv(index=bool(dated or named)).encode()


def _with_zone(dates: pd.DatetimeIndex) -> list[str]:
    """Dates in ISO 8601 with the name of their zone in brackets, as in RFC 9557."""
    name = str(dates.tz)
    zone = f"[{name}]" if name in available_timezones() else ""
    return ["" if pd.isna(date) else f"{date.isoformat()}{zone}" for date in dates]
