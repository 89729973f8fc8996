"""History: fetch one answer whole, then store it.

Nothing of an answer is stored before its last page has come, so a page that fails for
good fails its units and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from polygon_fundamentals.http.client import Client, named
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.load.bisect import bisect_failures
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import (
    VALUES,
    Filters,
    even_groups,
    v1_requests,
    v2_request,
    v2_timeframes,
)
from polygon_fundamentals.load.store import Companies, Stored, StoreJob, store_v1, store_v2
from polygon_fundamentals.reports import LoadReport
from polygon_fundamentals.statements import V1_PATH, Statement


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

    Raises:
        ApiError: a page failed for good, and nothing was stored; or a row cannot be stored.
        LakeError, OSError: the lake cannot be used.
    """
    observed_at = datetime.now(UTC)
    requests = v1_requests({"cik": cik} if cik else {"ticker": ticker}, filters)
    job = StoreJob(
        root=str(loader.lake.root),
        statements=list(statements),
        bodies=_fetch(loader.client, V1_PATH, requests),
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
    timeframes = v2_timeframes(statement, filters)
    if not timeframes:  # only trailing twelve months wanted, which balance sheets have not
        return LoadReport(units=len(companies), tickers_without_rows=tuple(sorted(companies)))
    ciks = sorted({cik for known in companies.values() for cik in known})
    symbols = [ticker for ticker, known in companies.items() if not known]
    requests = [v2_request(statement, filters, ciks=some) for some in even_groups(ciks, VALUES)]
    requests += [
        v2_request(statement, filters, tickers=some) for some in even_groups(symbols, VALUES)
    ]
    if scope is None:
        scope = Scope.PERIODS if filters.whole_periods else Scope.WINDOW
    with loader.writers.room():
        job = StoreJob(
            root=str(loader.lake.root),
            statements=[statement],
            bodies=_fetch(loader.client, statement.v2_path, requests),
            companies=dict(companies),
            scope=scope,
            timeframes=frozenset(timeframes),
            observed_at=observed_at,
            owner=symbols[0] if len(symbols) == 1 and not ciks else None,
        )
        stored = loader.store_rows(named(statement.v2_path, requests[0]), store_v2, job)
    return _report(stored, companies, len(companies))


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
