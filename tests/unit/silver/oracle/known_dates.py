"""Which versions were the present ones on a day."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.silver.known_dates import first_filings, lifetimes
from polygon_fundamentals.silver.version_order import version_order
from polygon_fundamentals.statements import Generation

__all__ = ["earliest", "first_filings", "known_days", "known_on"]

Positions = npt.NDArray[np.int64]
Days = npt.NDArray[np.datetime64]


def known_days(
    table: pa.Table, generation: Generation, ciks: Mapping[str, str], first: pd.Series[int]
) -> Days:
    """Return for each version of `table` the day from which it could be known."""
    since = lifetimes(table, generation, ciks, first)["since"]
    return since.to_numpy(dtype="int64").astype("datetime64[D]")


def known_on(table: pa.Table, generation: Generation, known: Days, day: np.datetime64) -> Positions:
    """Return the positions of the versions that were the present ones on a day.

    A record that had been withdrawn by then, or that nobody could know yet, is not among them.
    """
    frame = version_order(table, generation)
    by_then = known[frame.index.to_numpy()] <= day
    frame = frame[by_then].drop_duplicates("record", keep="last")
    ended = frame["withdrawn"] <= day.astype("int64")
    return np.sort(frame.index[~ended].to_numpy(dtype=np.int64))


def earliest(table: pa.Table, generation: Generation) -> Positions:
    """Return the positions of the first known version of each record."""
    frame = version_order(table, generation).drop_duplicates("record")
    return np.sort(frame.index.to_numpy(dtype=np.int64))
