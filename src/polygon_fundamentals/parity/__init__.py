"""Comparing the two generations: current records, matched periods, explained differences."""

from __future__ import annotations

from polygon_fundamentals.parity.compare import compare_statement
from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.tolerances import (
    Accepted,
    Tolerances,
    load_accepted,
    load_tolerances,
)
from polygon_fundamentals.parity.totals import (
    Parity,
    StatementParity,
    merge,
)
from polygon_fundamentals.periods.companies import company_keys, ticker_ciks
from polygon_fundamentals.periods.current import current_rows, period_keys
from polygon_fundamentals.reference.tickers import ReferenceTicker

__all__ = [
    "Accepted",
    "Kind",
    "Parity",
    "ReferenceTicker",
    "StatementParity",
    "Tolerances",
    "company_keys",
    "compare_statement",
    "current_rows",
    "load_accepted",
    "load_tolerances",
    "merge",
    "period_keys",
    "ticker_ciks",
]
