"""Parquet files, where pyarrow is installed."""

from __future__ import annotations

import io

import pandas as pd

from tidegate.data.source import Source
from tidegate.errors import InputError, explain_missing

MAGIC = b"PAR1"


def read_parquet(source: Source) -> pd.DataFrame:
    """The columns of a Parquet file.

    Raises:
        InputError: it is damaged or has no rows.
        MissingError: pyarrow is not installed.
    """
    with explain_missing():
        import pyarrow as pa  # noqa: F401  pandas reads Parquet through it, and would hide that it is missing
    try:
        frame = pd.read_parquet(io.BytesIO(source.raw), engine="pyarrow")
    except (OSError, ValueError) as error:  # pyarrow's own errors are among them
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            "PARQUET", f"{source.title} is not a readable Parquet file: {reason}", fix="write it again"
        ) from None
    if frame.empty:
        raise InputError("PARQUET", f"{source.title} has no rows", fix="pass a file that holds data")
    return frame.rename(columns=str)
