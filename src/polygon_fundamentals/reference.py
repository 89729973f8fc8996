"""The vendor's list of tickers (`/v3/reference/tickers`): universes, and who a CIK is."""

from __future__ import annotations

from polygon_fundamentals.http.client import Client

TICKERS_PATH = "/v3/reference/tickers"
# Common stock and depositary receipts file statements; funds, warrants, rights and units do not.
FILING_TYPES = frozenset(("CS", "ADRC", "OS", "NYRS", "GDR", ""))


def universe(client: Client, *, active_only: bool) -> list[str]:
    """Return all stock tickers that may have statements, sorted; delisted ones too if asked.

    Raises:
        ApiError: a page failed for good.
    """
    found: set[str] = set()
    for active in ("true",) if active_only else ("true", "false"):
        params = {"market": "stocks", "active": active, "limit": "1000", "sort": "ticker"}
        for page in client.pages(TICKERS_PATH, params):
            found.update(
                row["ticker"]
                for row in page.results
                if row.get("ticker") and (row.get("type") or "") in FILING_TYPES
            )
    return sorted(found)


def tickers_of_cik(client: Client, cik: str) -> list[str]:
    """Return the listed tickers of a CIK, or `CIK##########` where none is known.

    Raises:
        ApiError: a page failed for good.
    """
    found = [
        row["ticker"]
        for page in client.pages(TICKERS_PATH, {"cik": cik, "limit": "1000"})
        for row in page.results
        if row.get("ticker")
    ]
    return sorted(set(found)) or [f"CIK{cik.zfill(10)}"]
