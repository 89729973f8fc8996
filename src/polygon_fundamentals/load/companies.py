"""Which companies the tickers of a load belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from polygon_fundamentals.datasets.keys import cik_of
from polygon_fundamentals.errors import FundamentalsError
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake, index
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.load.bisect import bisect_failures
from polygon_fundamentals.load.query import VALUES, Filters, even_groups, v2_request
from polygon_fundamentals.load.store import follow, refuse_other_companies
from polygon_fundamentals.normalise.columns import ten_digits
from polygon_fundamentals.statements import Generation, Statement


def known_ciks(lake: Lake, ticker: str) -> set[str]:
    """Return the CIKs under which the lake holds records of a ticker, in either generation.

    Only the indexes are read, so a file that an older tool left counts once it was loaded.
    """
    ciks: set[str] = set()
    for generation in Generation:
        for statement in Statement:
            known = index.written(lake.dataset(generation, statement), ticker)
            ciks.update(cik_of(key) for key in known.rows)
    return {cik for cik in ciks if not cik.startswith("ticker:")}


def resolve_companies(
    client: Client, lake: Lake, tickers: Sequence[str], since: str | None = None
) -> dict[str, list[str]]:
    """Return ticker → CIKs, from v2's balance sheets and from what the lake holds.

    A ticker may span several companies, and a renamed one returns a short history that
    its CIK has in full: so companies are found by ticker once and then loaded by CIK. `since` asks
    for filings of that day and later alone.

    Raises:
        ApiError: a page failed for good, or its filter was ignored.
    """
    companies: dict[str, set[str]] = {ticker: known_ciks(lake, ticker) for ticker in tickers}
    for some in even_groups(tickers, VALUES):
        _ask_whose(client, some, companies, since)
    return {ticker: sorted(ciks) for ticker, ciks in companies.items()}


def _ask_whose(
    client: Client, tickers: Sequence[str], companies: dict[str, set[str]], since: str | None
) -> None:
    """Add the CIKs behind some tickers to `companies`.

    A row may lack its `tickers`. What a single ticker gives is its own in any case, so tickers
    that seem to have none are asked again in halves where an unknown company came.

    Raises:
        FormatError: a single ticker gives the market, so the server ignores the filter.
        ApiError: a page failed for good.
    """
    statement = Statement.BALANCE_SHEETS
    params = v2_request(statement, Filters(filing_date_gte=since), tickers=tickers)
    params.pop("timeframe.any_of", None)
    silent, strangers = dict.fromkeys(tickers), False
    for page in client.pages(statement.v2_path, params):
        rows = page.row_ids
        if len(tickers) == 1:
            refuse_other_companies(rows, tickers[0])
            places = {tickers[0]: list(range(len(rows)))}
        else:
            places = follow(rows, {ticker: sorted(companies[ticker]) for ticker in tickers})
        said = ((i, ten_digits(row["cik"])) for i, row in enumerate(rows))
        ciks = {i: cik for i, cik in said if cik and isinstance(cik, str)}
        for ticker, positions in places.items():
            companies[ticker].update(ciks[i] for i in positions if i in ciks)
            if positions:
                silent.pop(ticker, None)
        known = set().union(*companies.values())
        strangers |= not known.issuperset(ciks.values())
    if strangers:
        for some in even_groups(list(silent), -(-len(silent) // 2) or 1):
            _ask_whose(client, some, companies, since)


def resolve_bisecting(
    client: Client, lake: Lake, tickers: Sequence[str], since: str | None = None
) -> tuple[dict[str, list[str]], dict[str, FundamentalsError]]:
    """Find the companies of some tickers; where that fails for good, ask for fewer at once.

    Returns (ticker → CIKs, ticker → error of those that failed). `since` is as above.
    """
    companies: dict[str, list[str]] = {}

    def resolve(some: Sequence[str]) -> None:
        companies.update(resolve_companies(client, lake, some, since))

    failed = bisect_failures(tickers, resolve)
    return companies, failed


def write_companies(path: Path, companies: Mapping[str, Sequence[str]]) -> None:
    """Write ticker → CIKs for the tasks of a run."""
    replace_file(path, orjson.dumps(dict(companies)))


def read_companies(path: Path) -> dict[str, list[str]]:
    """Return what `write_companies` wrote."""
    return orjson.loads(path.read_bytes())
