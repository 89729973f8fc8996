"""How many periods a company has: the rule on the frame that shows it."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from expectations.answer import TOLERANCES_FILE
from expectations.plugin.rules import ExpectCountPerTickerToBePlausible
from polygon_fundamentals.parity.compare import compare_statement
from polygon_fundamentals.parity.frames import counts
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Statement
from tests.unit.parity.tables import v1_table, v2_table

TOLERANCES = load_tolerances(TOLERANCES_FILE)
IS = Statement.INCOME_STATEMENTS
MICRON, OTHER = "0000723125", "0000999999"


def ends(first: date, days: int) -> list[str]:
    return [str(first + timedelta(days=days * n)) for n in range(24)]


def broken(v2_ends: list[tuple[str, str]]) -> pd.DataFrame:
    """The rows that break the rule, of a ticker whose v2 has these companies' quarters."""
    who = {"ticker": "MU", "tickers": ["MU"], "filing_date": "2022-01-05"}
    one = [
        who | {"cik": MICRON, "end_date": end, "revenues": 5e9}
        for end in ends(date(2015, 2, 26), 91)
    ]
    two = [who | {"cik": cik, "period_end": end, "revenue": 5e9} for cik, end in v2_ends]
    frame = counts(compare_statement(v1_table(IS, one), v2_table(IS, two), IS, TOLERANCES, {}).seen)
    slack = TOLERANCES.rules.plausible_counts.limit
    rule = ExpectCountPerTickerToBePlausible(statement=IS.value, at_most=0, slack=slack)
    return frame[rule._broken(frame)]


def test_two_companies_under_one_ticker_are_counted_apart() -> None:
    """Their quarters end on other days, and each has as many as the calendar holds."""
    micron = [(MICRON, end) for end in ends(date(2015, 2, 26), 91)]
    other = [(OTHER, end) for end in ends(date(2015, 3, 31), 92)]
    assert broken(micron + other).empty


def test_quarters_of_one_company_told_twice_are_too_many() -> None:
    micron = [(MICRON, end) for end in ends(date(2015, 2, 26), 91)]
    again = [(MICRON, end) for end in ends(date(2015, 3, 31), 92)]
    rows = broken(micron + again)
    assert rows[["ticker", "cik", "periods", "calendar_holds"]].to_numpy().tolist() == [
        ["MU", MICRON, 48, 25]
    ]
