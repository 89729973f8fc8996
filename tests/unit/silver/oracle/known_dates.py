"""Which versions were the present ones on a day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.datasets.keys import SAME_PERIOD_DAYS
from polygon_fundamentals.periods.companies import company_keys
from polygon_fundamentals.silver.known_dates import first_filings, lifetimes
from polygon_fundamentals.silver.version_order import local_days, version_order
from polygon_fundamentals.statements import Generation

__all__ = ["earliest", "filed_no_sooner", "first_filings", "known_days", "known_on"]

EPOCH = date(1970, 1, 1).toordinal()

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


def filed_no_sooner(table: pa.Table, first: pd.Series[int], ciks: Mapping[str, str]) -> pa.Table:
    """Return v2's versions, none of them filed before the first filing of v1 or SEC.

    Row by row, as the docstring of `silver.known_dates.filed_no_sooner` has it.
    """
    dates = []
    observed_days = local_days(table["observed_at"]).to_pylist()
    companies = company_keys(table, ciks)
    for row, company, observed in zip(table.to_pylist(), companies, observed_days, strict=True):
        filed, end = row["filing_date"], row["period_end"]
        near = {
            abs((date.fromordinal(EPOCH + other) - end).days): date.fromordinal(EPOCH + day)
            for (of, other), day in first.items()
            if of == company and abs(EPOCH + other - end.toordinal()) <= SAME_PERIOD_DAYS
        }
        known = near[min(near)] if near else None
        if known is not None and filed is not None and end <= filed < known <= observed:
            filed = known
        dates.append(filed)
    place = table.schema.get_field_index("filing_date")
    return table.set_column(place, "filing_date", pa.array(dates, pa.date32()))
