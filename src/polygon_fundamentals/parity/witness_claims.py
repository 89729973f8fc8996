"""What both generations say of a company's fields, as claims that a witness can be asked about."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.field_map import Unit
from polygon_fundamentals.parity.meeting import days_of, meet, without_empty_records
from polygon_fundamentals.parity.paired import Pair, pairs_of
from polygon_fundamentals.parity.records import ACCESSION
from polygon_fundamentals.parity.witness_facts import (
    INSTANT,
    QUARTER,
    SHARES,
    USD,
    USD_PER_SHARE,
    YEAR,
    Period,
)
from polygon_fundamentals.parity.witnesses import Claim, simple_factor
from polygon_fundamentals.reference.tickers import ReferenceTicker
from polygon_fundamentals.statements import Statement

# v1's timeframes that a filing has; twelve months to any other day are in none.
_DURATIONS = {"quarterly": QUARTER, "annual": YEAR}
_UNITS = {Unit.USD: USD, Unit.SHARES: SHARES, Unit.USD_PER_SHARE: USD_PER_SHARE}
_SHARE_COUNTS = ("basic_shares_outstanding", "diluted_shares_outstanding")

# The company's CIK, the field, v1's timeframe.
LineKey = tuple[str, str, str]
# By v1's period end, as the findings have it.
Line = dict[pd.Timestamp, Claim]


def claims_of(
    v1: pa.Table,
    v2: pa.Table,
    statement: Statement,
    reference: Mapping[str, ReferenceTicker],
) -> dict[LineKey, Line]:
    """Return the claims of all companies in the tables, matched values too.

    Of the records that `compare_statement` compares; `reference` is the same as there.
    """
    v2 = without_empty_records(v1, v2, statement, reference)
    meeting = meet(v1, v2, statement, reference)
    periods = meeting.paired.periods
    rows = np.flatnonzero(periods["timeframe"].isin(_DURATIONS).to_numpy())
    urls = v1["source_filing_url"].take(pa.array(meeting.v1_met)).to_pylist()
    accessions = [re.search(ACCESSION, url or "") for url in urls]
    ends = pd.Series(days_of(v2, "period_end", pa.array(meeting.v2_met))).dt.date.tolist()
    filed = [None if pd.isna(d) else d.date() for d in periods["v2_filing_date"]]
    unfiled = (periods["fourth_quarter"] & periods["v1_filing_date"].isna()).tolist()
    companies, timeframes = periods["company"].tolist(), periods["timeframe"].tolist()
    v1_ends = periods["period_end"].tolist()
    pairs = pairs_of(meeting.paired)
    splits = _splits(pairs, companies, timeframes, ends, unfiled)
    claims: dict[LineKey, Line] = defaultdict(dict)
    for pair in pairs:
        unit = _UNITS[pair.entry.unit]
        for row in rows[~np.isnan(pair.expected[rows]) & ~np.isnan(pair.actual[rows])].tolist():
            timeframe = timeframes[row]
            duration = INSTANT if statement is Statement.BALANCE_SHEETS else _DURATIONS[timeframe]
            accession = accessions[row]
            claims[companies[row], pair.v2_field, timeframe][v1_ends[row]] = Claim(
                Period(unit, duration, ends[row]),
                float(pair.expected[row]),
                float(pair.actual[row]),
                None if accession is None else accession[1],
                filed[row],
                unfiled[row],
                splits.get((companies[row], timeframe, ends[row])),
            )
    return claims


def _splits(
    pairs: list[Pair],
    companies: list[str],
    timeframes: list[str],
    ends: list[date],
    unfiled: list[bool],
) -> dict[tuple[str, str, date], float]:
    """Return how many of v2's shares one of v1's has become, where share counts show it."""
    factors = {}
    for pair, row in _share_counts(pairs, len(companies)):
        if not unfiled[row]:
            factor = simple_factor(float(pair.expected[row]), float(pair.actual[row]))
            if factor is not None:
                factors[companies[row], timeframes[row], ends[row]] = factor
    return factors


def _share_counts(pairs: list[Pair], rows: int) -> Iterator[tuple[Pair, int]]:
    for pair in pairs:
        if pair.v2_field in _SHARE_COUNTS:
            for row in range(rows):
                yield pair, row
