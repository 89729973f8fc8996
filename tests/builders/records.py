"""Records as the API answers with them, where their values do not matter."""

from __future__ import annotations

from typing import Any


def v2_row(ticker: str, cik: str = "1") -> dict[str, Any]:
    """Return one quarter of a company, filed on a day of its own."""
    return {
        "cik": cik,
        "tickers": [ticker],
        "period_end": "2024-03-31",
        "timeframe": "quarterly",
        "filing_date": "2024-05-02",
        "fiscal_year": 2024,
        "fiscal_quarter": 1,
    }
