"""The one rule that picks the current record of a period, for parity, silver and export.

Both APIs hold some periods several times: a year end repeated as the next year's first quarter, a
10-K and its amendment, the same record in the files of two share classes. Of all records of one
company, timeframe and period end the current one is, each test only deciding where those before
it leave several:

1. the record whose fiscal label fits the company's neighbouring periods: of the periods that end
   within 400 days and have one label only, most are the same number of months between label and
   calendar away. The quarter within the year counts before the year, because v2's earliest
   records carry the year of a later filing;
2. v1: the latest `acceptance_datetime`, then the latest filing date. v2: the latest filing date.
   A record without the date comes after every record with one;
3. the one observed last;
4. the greater fiscal label, so that the choice never depends on the order of the rows.

Two companies under one ticker are two CIKs, hence two companies here: they never compete. A record
without a CIK belongs to the one CIK that its ticker has elsewhere, and where there is none or more
than one, to a company of its own, named for the ticker.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.datasets.keys import filing_order
from polygon_fundamentals.periods.companies import company_keys, ticker_ciks
from polygon_fundamentals.statements import Generation, Timeframe

_PERIOD_END = {Generation.V1: "end_date", Generation.V2: "period_end"}
_NEIGHBOUR_DAYS = 400
# A 52- or 53-week year may end in the first days of the next month; ten days earlier it never is.
_WEEK_YEAR_DAYS = 10
_ORDINALS = {"Q1": 3, "Q2": 6, "Q3": 9, "Q4": 12, "FY": 12}


def period_keys(table: pa.Table, generation: Generation, ciks: Mapping[str, str]) -> pd.DataFrame:
    """Return per row of `table` its `company`, `timeframe` in v1's spelling and `period_end`."""
    timeframe = table.column("timeframe").to_pandas().astype(str)
    return pd.DataFrame(
        {
            "company": company_keys(table, ciks),
            "timeframe": timeframe.replace(Timeframe.TTM.v2, Timeframe.TTM.v1),
            "period_end": _days(table, _PERIOD_END[generation]),
        }
    )


def current_rows(
    table: pa.Table,
    generation: Generation,
    ciks: Mapping[str, str] | None = None,
    *,
    by_ticker: bool = False,
) -> npt.NDArray[np.int64]:
    """Return the positions, ascending, of the current records of `table`, one per period.

    `table` is one statement of one generation as the lake delivers it. With `by_ticker` a company
    keeps one record per period in each of its ticker files; without, one in all. `ciks` is
    `ticker_ciks` of all that is read together; by default of the table alone.
    """
    if table.num_rows == 0:
        return np.empty(0, dtype=np.int64)
    known = ticker_ciks([table], {}) if ciks is None else ciks
    keys = period_keys(table, generation, known)
    period = ["company", "timeframe", "period_end"]
    if by_ticker:
        keys["ticker"] = table.column("ticker").to_pandas().astype(str)
        period = ["ticker", *period]
    # A label without a quarter (v1's TTM) still tells its year.
    keys["label"] = label_months(table, generation, without_quarter=12)
    filings = filing_order(table, generation)
    later = [f"filing_{i}" for i in range(filings.shape[1])]
    keys[later] = filings
    keys["observed"] = table.column("observed_at").to_pandas()
    keys["row"] = np.arange(table.num_rows)
    several = keys.duplicated(period, keep=False)
    alone = keys.loc[~several, "row"]
    rivals = keys[several].copy()
    if rivals.empty:
        return alone.to_numpy(dtype=np.int64)
    _vote(rivals, keys, period)
    order = ["quarter_votes", "votes", *later, "observed", "label", "row"]
    best = rivals.sort_values(order, na_position="first", kind="stable").drop_duplicates(
        period, keep="last"
    )
    return np.sort(np.concatenate([alone, best["row"]])).astype(np.int64)


def _vote(rivals: pd.DataFrame, keys: pd.DataFrame, period: list[str]) -> None:
    """Add to `rivals` how many neighbouring periods their label fits: exactly, and by quarter."""
    group = period[:-1]
    columns = [*group, "period_end", "offset", "sure"]
    all_rows = keys.merge(rivals[group].drop_duplicates(), on=group)
    labels = all_rows.drop_duplicates([*period, "label"])
    labels = labels.assign(
        offset=_offset(labels), sure=~labels.duplicated(period, keep=False)
    ).dropna(subset=["offset"])
    mine = rivals[[*group, "period_end", "row"]].assign(offset=_offset(rivals))
    near = mine.merge(labels[columns], on=group, suffixes=("", "_near"))
    apart = (near["period_end_near"] - near["period_end"]).abs().dt.days
    near = near[(apart > 0) & (apart <= _NEIGHBOUR_DAYS)]
    # Only periods with one label vote, or all of them where none has just one.
    near = near[near["sure"] | ~near.groupby("row")["sure"].transform("any")]
    difference = near["offset_near"] - near["offset"]
    for name, fits in (("votes", difference == 0), ("quarter_votes", difference % 12 == 0)):
        rivals[name] = rivals["row"].map(fits.groupby(near["row"]).sum()).fillna(0)


def _offset(rows: pd.DataFrame) -> pd.Series[float]:
    """The months between a record's fiscal label and the calendar month of its period's end."""
    end = rows["period_end"] - pd.Timedelta(days=_WEEK_YEAR_DAYS)
    return rows["label"] - (end.dt.year * 12 + end.dt.month)


def label_months(
    table: pa.Table, generation: Generation, *, without_quarter: int | None = None
) -> npt.NDArray[np.float64]:
    """Return each record's fiscal label as months: twelve a year and three a quarter.

    NaN if it has no year; if it has no quarter, those of `without_quarter` in its place.
    """
    year = fiscal_years(table)
    if generation is Generation.V1:
        # Without rows the column would keep the type of its texts.
        months = table.column("fiscal_period").to_pandas().map(_ORDINALS).astype("float64")
    else:
        months = pd.to_numeric(table.column("fiscal_quarter").to_pandas(), errors="coerce") * 3
    if without_quarter is not None:
        months = months.fillna(without_quarter)
    label = year * 12 + months
    return label.to_numpy(dtype=np.float64, na_value=np.nan)


def fiscal_years(table: pa.Table) -> npt.NDArray[np.float64]:
    """Return each record's fiscal year, NaN where it has none.

    v1's is a text, which may be empty or say something else.
    """
    year = pd.to_numeric(table.column("fiscal_year").to_pandas(), errors="coerce")
    return year.where(year.between(1, 9999) & (year % 1 == 0)).to_numpy(np.float64, na_value=np.nan)


def _days(table: pa.Table, name: str) -> npt.NDArray[np.datetime64]:
    days = pc.cast(table.column(name), pa.timestamp("s"))
    return days.to_pandas().to_numpy(dtype="datetime64[s]")
