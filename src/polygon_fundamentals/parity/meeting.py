"""Matching: pairs of records with the same company, timeframe and period end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.field_map import v1_fields, v2_fields
from polygon_fundamentals.parity.coverage import tickers_of
from polygon_fundamentals.parity.paired import DOLLARS, Flags, Floats, Paired, Positions
from polygon_fundamentals.periods.amounts import has_amounts
from polygon_fundamentals.periods.companies import ticker_ciks
from polygon_fundamentals.periods.current import current_rows, period_keys
from polygon_fundamentals.periods.match import match_periods, nearest_ends
from polygon_fundamentals.reference.tickers import ReferenceTicker
from polygon_fundamentals.statements import Generation, Statement

# A tuple of tickers for each company; the stubs know no Series of tuples.
TickersOf: TypeAlias = "pd.Series[Any]"


@dataclass(frozen=True)
class Meeting:
    """Positions in the tables of both generations, and the periods that both have.

    `v1_met` and `v2_met` are the records behind the rows of `paired`; `v1_current` are all of v1's
    that could meet one; `never_in_v2` those of a timeframe that v2 does not serve.
    """

    v1_keys: pd.DataFrame
    v2_keys: pd.DataFrame
    company_tickers: TickersOf
    v1_current: Positions
    v1_met: Positions
    v2_met: Positions
    v1_alone: Positions
    v2_alone: Positions
    never_in_v2: Positions
    paired: Paired


def without_empty_records(
    v1: pa.Table,
    v2: pa.Table,
    statement: Statement,
    reference: Mapping[str, ReferenceTicker],
) -> pa.Table:
    """Return v2 without its records that have no amount, where another of the period has one.

    That is one of v1 or v2 that ends within ten days. Silver ignores all records without amounts.
    """
    empty = ~has_amounts(v2, Generation.V2, statement)
    if not empty.any():
        return v2
    ciks = ciks_of_both(v1, v2, reference)
    v1_keys, v2_keys = (
        period_keys(table, generation, ciks)
        for table, generation in ((v1, Generation.V1), (v2, Generation.V2))
    )
    filled = [v1_keys[has_amounts(v1, Generation.V1, statement)], v2_keys[~empty]]
    is_near = nearest_ends(v2_keys, pd.concat(filled, ignore_index=True)).notna().to_numpy()
    return v2.filter(pa.array(~(empty & is_near)))


def meet(
    v1: pa.Table,
    v2: pa.Table,
    statement: Statement,
    reference: Mapping[str, ReferenceTicker],
) -> Meeting:
    """Return which records of a statement meet; `v2` is `without_empty_records`."""
    ciks = ciks_of_both(v1, v2, reference)
    v1_keys = period_keys(v1, Generation.V1, ciks)
    v2_keys = period_keys(v2, Generation.V2, ciks)

    # v2 has no balance sheet over twelve months, and a v1 record may lack a statement altogether.
    served = v1_keys["timeframe"].isin([t.v1 for t in statement.v2_timeframes]).to_numpy()
    filled = _has_values(v1, [f.column for f in v1_fields(statement)])
    comparable = np.flatnonzero(served & filled)
    left = comparable[current_rows(v1.take(pa.array(comparable)), Generation.V1, ciks)]
    right = current_rows(v2, Generation.V2, ciks)
    met = match_periods(v1_keys.iloc[left], v2_keys.iloc[right])

    company_tickers = tickers_of(v1, v1_keys["company"].to_numpy(dtype=object))
    v2_tickers = tickers_of(v2, v2_keys["company"].to_numpy(dtype=object))
    company_tickers = pd.concat(
        [company_tickers, v2_tickers[~v2_tickers.index.isin(company_tickers.index)]]
    )
    v1_met, v2_met = left[met.v1], right[met.v2]
    return Meeting(
        v1_keys,
        v2_keys,
        company_tickers,
        left,
        v1_met,
        v2_met,
        left[met.v1_alone],
        right[met.v2_alone],
        np.flatnonzero(~served & filled),
        _paired(v1, v2, statement, v1_met, v2_met, v1_keys, company_tickers),
    )


def ciks_of_both(
    v1: pa.Table, v2: pa.Table, reference: Mapping[str, ReferenceTicker]
) -> dict[str, str]:
    """Return `ticker_ciks` of the records of both generations and of the list of tickers."""
    return ticker_ciks([v1, v2], {t: entry.get("cik") for t, entry in reference.items()})


def _has_values(table: pa.Table, columns: list[str]) -> Flags:
    """Which rows have any value in the columns."""
    has_value = np.zeros(table.num_rows, dtype=bool)
    for name in columns:
        has_value |= table.column(name).is_valid().to_numpy()
    return has_value


def _floats(table: pa.Table, name: str, rows: pa.Array) -> Floats:
    column = table.column(name).take(rows)
    return column.to_numpy(zero_copy_only=False).astype(np.float64)


def days_of(table: pa.Table, name: str, rows: pa.Array) -> npt.NDArray[np.datetime64]:
    """Return a column's moments at some rows, to the second."""
    column = table.column(name).take(rows).cast(pa.timestamp("s"))
    return column.to_pandas().to_numpy(dtype="datetime64[s]")


def _paired(
    v1: pa.Table,
    v2: pa.Table,
    statement: Statement,
    left: Positions,
    right: Positions,
    v1_keys: pd.DataFrame,
    company_tickers: TickersOf,
) -> Paired:
    """The periods that met, with both sides' values."""
    l_rows, r_rows = pa.array(left), pa.array(right)
    keys = v1_keys.iloc[left].reset_index(drop=True)
    tickers = keys["company"].map(company_tickers).astype(object)
    periods = pd.DataFrame(
        {
            "company": keys["company"],
            "ticker": tickers.str[0],
            "tickers": tickers.str.join(","),
            "timeframe": keys["timeframe"],
            "period_end": keys["period_end"],
            "v1_filing_date": days_of(v1, "filing_date", l_rows),
            "v2_filing_date": days_of(v2, "filing_date", r_rows),
            "fourth_quarter": (v1.column("fiscal_period").take(l_rows).to_pandas() == "Q4"),
        }
    )
    return Paired(
        statement,
        periods,
        pd.factorize(keys["company"])[0].astype(np.int64),
        {f.column: _floats(v1, f.column, l_rows) for f in v1_fields(statement)},
        {name: _floats(v2, name, r_rows) for name in v2_fields(statement)},
        np.full(len(periods), DOLLARS),
    )
