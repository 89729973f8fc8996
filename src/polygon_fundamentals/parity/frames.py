"""The frames that the rules look at, made from what the comparison found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd

from polygon_fundamentals.field_map import entries
from polygon_fundamentals.parity.findings import Found
from polygon_fundamentals.parity.kinds import APART_KINDS, COMPARED_KINDS, Kind
from polygon_fundamentals.parity.tally import fields_of
from polygon_fundamentals.parity.tolerances import Tolerances
from polygon_fundamentals.parity.totals import COMPANY_ABSENT, NEVER_IN_V2, PRESENT

# Periods a year; a week-based year is up to a week shorter or longer than the calendar's.
_DAYS = {"quarterly": 91.3125, "annual": 365.25, "ttm": 91.3125}


def names_of(found: Found) -> pd.Series[str]:
    """Each ticker's company name: the one in v1's latest record."""
    columns = ["ticker", "company_name", "filing_date", "period_end"]
    records = found.frame("v1_records", columns).dropna(subset=["company_name"])
    latest = records.sort_values(["filing_date", "period_end"], na_position="first")
    return latest.drop_duplicates("ticker", keep="last").set_index("ticker")["company_name"]


def frames_of(found: Found, tolerances: Tolerances) -> Callable[[str], pd.DataFrame]:
    """What makes the frame of a suite: tickers, periods, values, fields, records, files, counts.

    One is made when its rules are asked, so that they are not in memory together. Each row tells
    its ticker and company name, so that a page can say whom it concerns.
    """
    names = names_of(found)
    makers: dict[str, Callable[[], pd.DataFrame]] = {
        "tickers": lambda: found.frame("tickers").rename(columns={"kind": "state"}),
        "periods": lambda: _periods(found),
        "values": lambda: _values(found, tolerances),
        "fields": lambda: fields(found),
        "v1_records": lambda: found.frame("v1_records").drop(columns="company_name"),
        "v2_records": lambda: found.frame("v2_records"),
        "v2_files": lambda: found.frame("v2_files"),
        "counts": lambda: counts(found.frame("seen"), tolerances.rules.plausible_counts.limit),
    }

    def made(name: str) -> pd.DataFrame:
        frame = makers[name]()
        if "ticker" in frame:
            frame.insert(1, "company_name", frame["ticker"].map(names).astype(object))
        return frame

    return made


def _periods(found: Found) -> pd.DataFrame:
    """Every period that v2 should have, and those that v2 has alone."""
    seen = found.frame("seen")
    return seen[~seen["state"].isin([COMPANY_ABSENT, NEVER_IN_V2])].reset_index(drop=True)


def _values(found: Found, tolerances: Tolerances) -> pd.DataFrame:
    """The values that are not matched, of the kinds that could decide."""
    values = found.coded_frame("values").rename(columns={"kind": "finding"})
    free = [k.value for k in APART_KINDS if tolerances.budgets[k].at_most == "unlimited"]
    return values[~values["finding"].isin(free)].reset_index(drop=True)


def fields(found: Found) -> pd.DataFrame:
    """How many of v1's values of each field have none in v2, for fields that v1 fills widely.

    Columns: v1_field, v2_field, v1_values, without_v2, companies (that have it in v1), share_lost.
    """
    tallies = found.frame("tallies")
    by_field = fields_of(tallies, found.statement)
    by_field = by_field[by_field["v1_field"].notna() & by_field["v2_field"].notna()]
    in_v1 = [k.value for k in (*COMPARED_KINDS, Kind.NULL_IN_V2)]
    having = tallies[tallies["kind"].isin(in_v1)].groupby("line")["ticker"].nunique()
    companies = (
        found.frame("seen", ["ticker", "state"]).query("state == @PRESENT")["ticker"].nunique()
    )
    frame = pd.DataFrame(
        {
            "v1_field": by_field["v1_field"],
            "v2_field": by_field["v2_field"],
            "without_v2": by_field[Kind.NULL_IN_V2.value],
            "v1_values": by_field["compared"] + by_field[Kind.NULL_IN_V2.value],
        }
    )
    lines = _lines(found)
    frame["companies"] = frame["v2_field"].map(lines).map(having).fillna(0).astype(int)
    widely = frame[(frame["companies"] * 2 >= companies) & (frame["v1_values"] > 0)].copy()
    widely["share_lost"] = widely["without_v2"] / widely["v1_values"]
    return widely.reset_index(drop=True)


def _lines(found: Found) -> dict[str, int]:
    return {
        e.v2: n for n, e in enumerate(entries(found.statement)) if e.v1 and e.v2
        if e.source_rank == 1
    }  # fmt: skip


def v1_last_filing(found: Found) -> date | None:
    """The newest filing of v1 among the tickers that v2 has too: of the others a rule tells."""
    tickers = found.frame("tickers", ["ticker", "kind"])
    records = found.frame("v1_records", ["ticker", "filing_date"])
    there = tickers.loc[tickers["kind"] == PRESENT, "ticker"]
    filed = records.loc[records["ticker"].isin(there), "filing_date"].dropna()
    if filed.empty:
        return None
    newest: pd.Timestamp = filed.max()
    return newest.date()


def compared(found: Found) -> dict[str, int]:
    """The number of values compared by v2 field."""
    by_field = fields_of(found.frame("tallies"), found.statement).dropna(subset=["v2_field"])
    return dict(zip(by_field["v2_field"], by_field["compared"].astype(int), strict=True))


def counts(seen: pd.DataFrame, slack: float) -> pd.DataFrame:
    """The number of v2 periods of each ticker and timeframe, and the most that can be.

    Of periods with an end, in the timeframes whose length is known: of others none can be told.
    """
    mine = seen[seen["state"].isin([PRESENT, Kind.EXTRA.value]) & seen["timeframe"].isin(_DAYS)]
    frame = (
        mine.groupby(["ticker", "timeframe"])["period_end"]
        .agg(periods="nunique", first_end="min", last_end="max")
        .dropna()
        .reset_index()
    )
    days = (frame["last_end"] - frame["first_end"]).dt.days
    each = frame["timeframe"].astype(object).map(_DAYS).astype(float)
    frame["most_possible"] = (np.floor(days / each + 0.5) + 1 + slack).astype(int)
    frame["periods"] = frame["periods"].astype(int)
    return frame
