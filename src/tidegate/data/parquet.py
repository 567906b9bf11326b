"""Parquet files, where pyarrow is installed."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd

from tidegate.data.foreign import foreign
from tidegate.data.packed import limit_of
from tidegate.data.source import Source
from tidegate.errors import InputError, explain_missing

MAGIC = b"PAR1"
CELL = 8  # bytes of a value or a reference in memory


def read_parquet(source: Source) -> pd.DataFrame:
    """The columns of a Parquet file.

    Raises:
        InputError: it is damaged or has no rows.
        MissingError: pyarrow is not installed.
    """
    with explain_missing():
        import pyarrow.parquet as pq  # pandas reads Parquet through it, and would hide that it is missing
    with foreign("PARQUET", f"{source.title} is not a readable Parquet file", "write it again"):
        file = pq.ParquetFile(io.BytesIO(source.raw))
        _check_size(file.metadata, source.raw)
        _check_texts(file.read())
        frame = pd.read_parquet(io.BytesIO(source.raw), engine="pyarrow")
    if frame.empty:
        raise InputError("PARQUET", f"{source.title} has no rows", fix="pass a file that holds data")
    return frame.rename(columns=str)


def _check_size(metadata: Any, raw: bytes) -> None:
    """Refuse a file of many equal values, which could fill any memory."""
    size, limit = metadata.num_rows * metadata.num_columns * CELL, limit_of(raw)
    size = max(size, sum(metadata.row_group(k).total_byte_size for k in range(metadata.num_row_groups)))
    if size > limit:
        raise ValueError(f"its {len(raw):,} bytes unpack to {size:,}, more than {limit:,}")


def _check_texts(table: Any) -> None:
    """Refuse text that is not UTF-8: pandas reads it, but nobody can read its cells."""
    for name in table.column_names:
        try:
            table[name].validate(full=True)
        except ValueError as error:
            raise ValueError(f"column {name!r} is damaged or not UTF-8: {error}") from None
