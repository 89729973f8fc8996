"""When v1 says that a period was first filed: no filing with it can be older."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.datasets.keys import PERIOD
from polygon_fundamentals.lake import revisions
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.read import repeated_rows
from polygon_fundamentals.periods.companies import company_keys
from polygon_fundamentals.periods.current import period_keys
from polygon_fundamentals.periods.match import nearest_ends
from polygon_fundamentals.statements import Generation

_KEY = ["company", "timeframe", "period_end"]
_COLUMNS = ["ticker", "cik", "timeframe", PERIOD[Generation.V1][0], "filing_date"]
# In v2's records, v1's first filing of the company, timeframe and period.
COLUMN = "v1_first_filing"


def with_v1_first_filings(
    v2_records: pd.DataFrame, v1: pa.Table, dataset: Dataset, ciks: Mapping[str, str]
) -> pd.DataFrame:
    """Return v2's records with the day of v1's first filing of the period, NaT without one.

    `v2_records` is `record_rows` of v2, `v1` the rows of `dataset` for the same companies, `ciks`
    `ticker_ciks` of both. An amendment takes the place of its original in v1. So where v2's date is
    older than that of v1's record, earlier versions of the company's records count as well.
    """
    labels = v2_records[["ticker", "cik", "timeframe", "period_end"]]
    wanted = period_keys(pa.Table.from_pandas(labels), Generation.V2, ciks)
    first = _first(v1, ciks)
    days = _at(first, wanted)
    early = (v2_records["filing_date"] < days).to_numpy(dtype=bool)
    if early.any():
        suspects = pd.Series(company_keys(v1, ciks)).isin(set(wanted["company"][early]))
        before = _earlier(dataset, v1["ticker"].to_pandas()[suspects].unique())
        days = _at(pd.concat([first, _first(before, ciks)]).groupby(level=_KEY).min(), wanted)
    return v2_records.assign(**{COLUMN: days.to_numpy(dtype="datetime64[s]")})


def _earlier(dataset: Dataset, tickers: Iterable[str]) -> pa.Table:
    """What other tools' files and the revisions hold of some tickers besides the lake's rows."""
    names = sorted(tickers)
    tables = [repeated_rows(dataset, names), *(revisions.read(dataset, name) for name in names)]
    return pa.concat_tables([table.select(_COLUMNS) for table in tables])


def _first(v1: pa.Table, ciks: Mapping[str, str]) -> pd.Series[pd.Timestamp]:
    """The first filing by company, timeframe and period end, of rows with a filing date."""
    rows = v1.filter(pc.is_valid(v1["filing_date"]))
    keys = period_keys(rows, Generation.V1, ciks)
    keys["filed"] = pc.cast(rows["filing_date"], pa.timestamp("s")).to_pandas().to_numpy()
    return keys.groupby(_KEY)["filed"].min()


def _at(first: pd.Series[pd.Timestamp], wanted: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """The first filing of each wanted period, which v1 may date some days otherwise."""
    ends = nearest_ends(wanted, first.index.to_frame(index=False))
    return wanted.assign(period_end=ends).join(first, on=_KEY)["filed"]
