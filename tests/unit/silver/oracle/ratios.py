"""Which rows of a day's table a ratio compares with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from polygon_fundamentals.statements import Timeframe

Positions = npt.NDArray[np.int64]

_YEAR_DAYS = 365
_QUARTER_DAYS = 98
# A 53-week year, or a year end that moves by a week, stays within; another quarter never is.
_YEAR_SLACK, _QUARTER_SLACK = 14, 21


def same_quarter_before(keys: pd.DataFrame) -> tuple[Positions, Positions]:
    """Return for each row the positions of the same quarter a year before and the one before it.

    `keys`: ticker, company, timeframe, period_end, fiscal_quarter. A period counts as a year
    before if it ends 351 to 379 days earlier and has the same fiscal quarter; as the quarter
    before, for quarterly rows, if it ends 77 to 119 days earlier and has the fiscal quarter
    before. A missing period, or a change of the fiscal year, leaves none.
    """
    quarter = keys["fiscal_quarter"]
    year = _before(keys, quarter, _YEAR_DAYS, _YEAR_SLACK)
    last = (quarter + 2) % 4 + 1
    months = _before(keys, last, _QUARTER_DAYS, _QUARTER_SLACK)
    months[(keys["timeframe"] != Timeframe.QUARTERLY.v1).to_numpy()] = -1
    return year, months


def _before(keys: pd.DataFrame, quarter: pd.Series[float], days: int, slack: int) -> Positions:
    group = ["ticker", "company", "timeframe", "quarter"]
    rows = keys[["ticker", "company", "timeframe", "period_end"]].assign(
        quarter=keys["fiscal_quarter"], row=np.arange(len(keys))
    )
    rows = rows.dropna(subset=["quarter"])
    wanted = rows.assign(
        quarter=quarter.loc[rows.index],
        target=(rows["period_end"] - pd.Timedelta(days=days)).astype("datetime64[s]"),
    )
    rows["period_end"] = rows["period_end"].astype("datetime64[s]")
    right = rows.rename(columns={"row": "found"}).sort_values("period_end")
    met = pd.merge_asof(
        wanted.drop(columns="period_end").sort_values("target"),
        right,
        left_on="target",
        right_on="period_end",
        by=group,
        direction="nearest",
        tolerance=pd.Timedelta(days=slack),
    )
    result = np.full(len(keys), -1, dtype=np.int64)
    result[met["row"].to_numpy()] = met["found"].fillna(-1).to_numpy(dtype=np.int64)
    return result
