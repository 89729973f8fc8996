"""History: fetch one answer whole, then store it.

Nothing of an answer is stored before its last page has come, so a page that fails for
good fails its units and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict

import msgspec

from polygon_fundamentals.errors import ContentError, FundamentalsError
from polygon_fundamentals.http.client import Client, named
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.load.bisect import bisect_failures, page_of, raw_rows
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import (
    VALUES,
    Filters,
    even_groups,
    v1_requests,
    v2_request,
    v2_timeframes,
)
from polygon_fundamentals.load.store import Companies, Stored, StoreJob, follow, store_v1, store_v2
from polygon_fundamentals.load.undated import undated_of_reports
from polygon_fundamentals.normalise.exact import JsonObject
from polygon_fundamentals.reports import LoadReport
from polygon_fundamentals.statements import V1_PATH, Statement


class _Owner(TypedDict, total=False):
    """What of a row says to which tickers it belongs."""

    cik: Any
    tickers: Any


_OWNER_DECODER = msgspec.json.Decoder(_Owner)


def _fetch(client: Client, path: str, requests: Sequence[Mapping[str, str]]) -> list[bytes]:
    return [page.body for params in requests for page in client.pages(path, params)]


def _report(stored: Stored, tickers: Companies, units: int) -> LoadReport:
    with_rows = frozenset(ticker for ticker, count in stored.rows_by_ticker.items() if count)
    return LoadReport.of(
        stored.counts,
        units=units,
        rows_unfollowed=stored.unfollowed,
        tickers_without_rows=tuple(sorted(tickers.keys() - with_rows)),
        tickers_with_rows=with_rows,
    )


def load_v1(
    loader: Loader,
    ticker: str,
    statements: Sequence[Statement],
    filters: Filters,
    cik: str | None = None,
) -> LoadReport:
    """Load v1's records of one ticker (or of `cik`) into the ticker's files.

    Of days of filing, also the records without a filing date that appeared in them.

    Raises:
        ApiError: a page failed for good, and nothing was stored; or a row cannot be stored.
        LakeError, OSError: the lake cannot be used.
    """
    observed_at = datetime.now(UTC)
    who = {"cik": cik} if cik else {"ticker": ticker}
    requests = v1_requests(who, filters)
    pages = [page for params in requests for page in loader.client.pages(V1_PATH, params)]
    undated: list[JsonObject] = []
    if filters.filing_date_gte or filters.filing_date_lt:
        undated = undated_of_reports(loader.client, who, filters, pages)
    job = StoreJob(
        root=str(loader.lake.root),
        statements=list(statements),
        bodies=[page.body for page in pages],
        rows=undated,
        companies={},
        scope=Scope.PERIODS if filters.whole_periods else Scope.WINDOW,
        timeframes=frozenset(t.v1 for t in filters.timeframes),
        observed_at=observed_at,
        owner=ticker,
        fiscal=(filters.fiscal_year, filters.fiscal_quarter),
    )
    stored = loader.store_rows(named(V1_PATH, requests[0]), store_v1, job)
    return _report(stored, {ticker: ()}, len(statements))


def load_v2(
    loader: Loader,
    companies: Companies,
    statement: Statement,
    filters: Filters,
    scope: Scope | None = None,
) -> LoadReport:
    """Load one statement of some tickers from v2, in as few requests as their pages need.

    `companies`: ticker → CIKs; a ticker without a known CIK is asked for by its symbol.

    Raises:
        ApiError: a page failed for good, and nothing was stored; or a row cannot be stored.
        LakeError, OSError: the lake cannot be used.
    """
    observed_at = datetime.now(UTC)
    with loader.writers.room():
        bodies = _fetch(loader.client, statement.v2_path, _requests(companies, statement, filters))
        return _store(loader, companies, statement, filters, scope, bodies, observed_at)


def _requests(companies: Companies, statement: Statement, filters: Filters) -> list[dict[str, str]]:
    """Return the requests for a statement; a balance sheet has no twelve months to ask for."""
    if not v2_timeframes(statement, filters):
        return []
    ciks = sorted({cik for known in companies.values() for cik in known})
    symbols = [ticker for ticker, known in companies.items() if not known]
    by_cik = [v2_request(statement, filters, ciks=some) for some in even_groups(ciks, VALUES)]
    return by_cik + [
        v2_request(statement, filters, tickers=some) for some in even_groups(symbols, VALUES)
    ]


def _store(
    loader: Loader,
    companies: Companies,
    statement: Statement,
    filters: Filters,
    scope: Scope | None,
    bodies: Sequence[bytes],
    observed_at: datetime,
) -> LoadReport:
    timeframes = v2_timeframes(statement, filters)
    if not timeframes:
        return LoadReport(units=len(companies), tickers_without_rows=tuple(sorted(companies)))
    symbols = [ticker for ticker, known in companies.items() if not known]
    job = StoreJob(
        root=str(loader.lake.root),
        statements=[statement],
        bodies=bodies,
        companies=dict(companies),
        scope=scope or _scope(filters),
        timeframes=frozenset(timeframes),
        observed_at=observed_at,
        owner=symbols[0] if symbols and len(companies) == 1 else None,
    )
    request = named(statement.v2_path, _requests(companies, statement, filters)[0])
    return _report(loader.store_rows(request, store_v2, job), companies, len(companies))


def _scope(filters: Filters) -> Scope:
    """Return what an answer to these filters says of what it lacks."""
    if filters.is_whole_history:
        return Scope.HISTORY
    return Scope.PERIODS if filters.whole_periods else Scope.WINDOW


@dataclass(frozen=True)
class FetchedRows:
    """The rows of one statement, fetched for some tickers together and not stored yet.

    `pages` holds each ticker's rows as bodies of answers, `failures` the error of each ticker
    whose rows could not be fetched. `unfollowed` rows belong to none of the tickers.
    """

    observed_at: datetime
    pages: Mapping[str, Sequence[bytes]]
    failures: Mapping[str, FundamentalsError]
    unfollowed: int = 0


def fetch_v2(
    loader: Loader, companies: Companies, statement: Statement, filters: Filters
) -> FetchedRows:
    """Return one statement of some tickers from v2, asked for together and split by ticker.

    What fails for good is asked for in halves, until the failing ticker is alone.
    """
    observed_at = datetime.now(UTC)
    pages: dict[str, Sequence[bytes]] = {}
    unfollowed = 0

    def fetch(some: Sequence[str]) -> None:
        nonlocal unfollowed
        batch = {ticker: companies[ticker] for ticker in some}
        requests = _requests(batch, statement, filters)
        bodies = _fetch(loader.client, statement.v2_path, requests)
        if len(some) == 1:
            pages[some[0]] = bodies
        elif requests:
            try:
                own, others = _split_by_ticker(bodies, batch)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise ContentError(
                    f"{named(statement.v2_path, requests[0])} answered 200, but its rows cannot be "
                    f"assigned to companies ({type(error).__name__}); run again"
                ) from error
            pages.update(own)
            unfollowed += others

    by_cik = [ticker for ticker, ciks in companies.items() if ciks]
    failures = bisect_failures(by_cik, fetch) if by_cik else {}
    # A renamed company's rows name its new ticker alone, so a symbol is asked for by itself.
    for ticker in companies:
        if ticker not in by_cik:
            failures |= bisect_failures([ticker], fetch)
    return FetchedRows(observed_at, pages, failures, unfollowed)


def _split_by_ticker(
    bodies: Sequence[bytes], companies: Companies
) -> tuple[dict[str, list[bytes]], int]:
    """Return ticker → one page of its rows, and how many rows belong to none of the tickers."""
    rows = [row for body in bodies for row in raw_rows(body)]
    places = follow([_OWNER_DECODER.decode(row) for row in rows], companies)
    followed = {position for positions in places.values() for position in positions}
    pages = {t: [page_of([rows[i] for i in positions])] for t, positions in places.items()}
    return pages, len(rows) - len(followed)


def store_fetched(
    loader: Loader,
    fetched: FetchedRows,
    ticker: str,
    ciks: Sequence[str],
    statement: Statement,
    filters: Filters,
    scope: Scope | None = None,
) -> LoadReport:
    """Store the rows of one ticker that `fetch_v2` has fetched.

    Raises:
        FundamentalsError: they could not be fetched, or a row cannot be stored.
        LakeError, OSError: the lake cannot be used.
    """
    if ticker in fetched.failures:
        raise fetched.failures[ticker]
    with loader.writers.room():
        pages = fetched.pages.get(ticker, ())
        company = {ticker: ciks}
        return _store(loader, company, statement, filters, scope, pages, fetched.observed_at)


def load_v2_bisecting(
    loader: Loader,
    companies: Companies,
    statement: Statement,
    filters: Filters,
    scope: Scope | None = None,
) -> LoadReport:
    """Load a batch; where it fails for good, halve it until the failing ticker is alone.

    What would fail for every ticker (key, plan, endpoint gone, the API down) is not tried again
    in halves.

    Raises:
        LakeError, OSError: the lake cannot be used.
    """
    report = LoadReport()

    def load(some: Sequence[str]) -> None:
        nonlocal report
        batch = {ticker: companies[ticker] for ticker in some}
        report += load_v2(loader, batch, statement, filters, scope)

    for ticker, error in bisect_failures(list(companies), load).items():
        report += LoadReport.of_failure([(ticker, statement.value)], error)
    return report
