"""Labels and dates of both generations side by side: in how many periods of a set they differ.

Readers choose periods by fiscal year and quarter, or by their end. Single labels and dates are off
in both APIs, so that a difference counts only where most periods of a set have it.
"""

from __future__ import annotations

import pandas as pd

from polygon_fundamentals.parity.paired import HABIT
from polygon_fundamentals.parity.totals import PRESENT
from polygon_fundamentals.statements import Timeframe

_COMPANY = ["ticker", "cik", "timeframe"]
_SHOWN = ("period_end", "v2_period_end", "v1_label", "v2_label")
_NEWEST = 4
ALL, NEWEST, EVERYONE = "all", f"the newest {_NEWEST}", "the newest of each company"


def fiscal_labels(seen: pd.DataFrame) -> pd.DataFrame:
    """Return how many labels or period ends differ: one row for each set of at least three periods.

    `seen` as in `StatementParity`. The sets are those of `periods`: all of a company and timeframe,
    the newest four of these, and the newest of each company together. Only periods that both
    generations have count, and of them those that v1 labels with a year and a quarter (or FY), and
    twelve months to any day, of which only the ends are compared: v1 has no label for them.
    Columns: ticker and cik (null for the companies together), timeframe, periods, labelled,
    differing, share_differing, and of the newest period that differs period_end, v2_period_end,
    v1_label, v2_label.
    """
    judged = seen["v1_label"].notna() | (seen["timeframe"] == Timeframe.TTM.v1)
    judged &= seen["state"] == PRESENT
    rows = seen[judged].sort_values("period_end", ignore_index=True)
    rows["differs"] = rows["v1_label"].notna() & (rows["v1_label"] != rows["v2_label"])
    rows["differs"] |= rows["period_end"] != rows["v2_period_end"]
    age = rows.groupby(_COMPANY, dropna=False).cumcount(ascending=False)
    newest = rows[age == 0].assign(ticker=None, cik=None).astype({"ticker": object, "cik": object})
    sets = {ALL: rows, NEWEST: rows[age < _NEWEST], EVERYONE: newest}
    every = pd.concat([_counted(some, name) for name, some in sets.items()], ignore_index=True)
    return every[every["labelled"] >= HABIT].reset_index(drop=True)


def _counted(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    places = rows.assign(last=rows.index.to_series().where(rows["differs"]))
    counts = (
        places.groupby(_COMPANY, dropna=False)
        .agg(labelled=("differs", "size"), differing=("differs", "sum"), last=("last", "max"))
        .reset_index()
    )
    example = rows.reindex(counts.pop("last"))[list(_SHOWN)]
    counts = counts.join(example.reset_index(drop=True))
    annual = counts["timeframe"] == Timeframe.ANNUAL.v1
    for side in ("v1_label", "v2_label"):
        counts[side] = _texts(counts[side], annual)
    counts.insert(len(_COMPANY), "periods", name)
    return counts.assign(share_differing=counts["differing"] / counts["labelled"])


def _texts(months: pd.Series[float], annual: pd.Series[bool]) -> pd.Series[str]:
    """Labels in `label_months` as readers know them; null for none."""
    known = months.fillna(0).astype(int) - 1
    year = (known // 12).astype(str)
    text = (year + " Q" + (known % 12 // 3 + 1).astype(str)).where(~annual, "FY " + year)
    return text.astype(object).where(months.notna(), None)
