"""The daily ratios: one snapshot of the market, in as few requests as its pages need.

The endpoint takes no date: it answers with the last trading day, so a day that was not asked for
on that day is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from polygon_fundamentals.errors import ContentError
from polygon_fundamentals.http.client import named
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.load.bisect import raise_skipped, skip_bad_rows
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import V2_PAGE, VALUES
from polygon_fundamentals.load.store import Stored, StoreJob
from polygon_fundamentals.load.window_v2 import WHOLE_MARKET
from polygon_fundamentals.normalise import v2_table
from polygon_fundamentals.normalise.exact import parse_rows
from polygon_fundamentals.reports import LoadReport, UpsertCounts
from polygon_fundamentals.statements import Snapshot


def load_ratios(loader: Loader, tickers: Sequence[str]) -> LoadReport:
    """Upsert the present ratios of some tickers into their files; return what that did.

    Up to `VALUES` tickers are asked for by name; of more the whole market is asked for, and the
    rows of other tickers are counted as unfollowed. Where a row cannot be stored, all others are.

    Raises:
        ApiError: a page failed for good, and nothing was stored.
        LakeError, OSError: the lake cannot be used.
    """
    params = {"limit": str(V2_PAGE)}
    if len(tickers) <= VALUES:
        params["ticker.any_of"] = ",".join(sorted(tickers))
    path, observed_at = Snapshot.RATIOS.v2_path, datetime.now(UTC)
    parts: list[Stored] = []

    def store(bodies: Sequence[bytes]) -> None:
        job = StoreJob(
            root=str(loader.lake.root),
            statements=(),
            bodies=bodies,
            companies={ticker: () for ticker in tickers},
            scope=Scope.WINDOW,
            timeframes=frozenset(),
            observed_at=observed_at,
        )
        parts.append(loader.store_rows(named(path, params), store_ratios, job))

    skipped = skip_bad_rows([page.body for page in loader.client.pages(path, params)], store)
    counts = sum((part.counts for part in parts), UpsertCounts())
    unfollowed = sum(part.unfollowed for part in parts)
    stored = {t for part in parts for t, count in part.rows_by_ticker.items() if count}
    report = LoadReport.of(counts, units=len(tickers), rows_unfollowed=unfollowed)
    try:
        raise_skipped(loader.client, skipped)
    except ContentError as error:
        # Of whom a bad row is can be what is wrong with it.
        failure = LoadReport.of_failure([(WHOLE_MARKET, Snapshot.RATIOS.value)], error)
        report = replace(report, failed=failure.failed)
    return replace(report, tickers_without_rows=tuple(sorted(set(tickers) - stored)))


def store_ratios(job: StoreJob) -> Stored:
    """Upsert the rows of a snapshot into the files of the followed tickers.

    Raises:
        ValueError: a row of a followed ticker has no date.
        LakeError, OSError: as `commit`.
    """
    rows = [row for body in job.bodies for row in parse_rows(body)]
    followed = [row for row in rows if row.get("ticker") in job.companies]
    places: dict[str, list[int]] = {ticker: [] for ticker in job.companies}
    for position, row in enumerate(followed):
        places[row["ticker"]].append(position)
    # The file says whose row it is; the commit fills the column in.
    unnamed = [{key: row[key] for key in row if key != "ticker"} for row in followed]
    table = v2_table(unnamed, Snapshot.RATIOS, job.observed_at)
    if table["date"].null_count:  # the day is the row's key
        undated = table["date"].is_null().index(True).as_py()
        raise ValueError(f"a row of {followed[undated]['ticker']} has no date")
    named_rows = {ticker: positions for ticker, positions in places.items() if positions}
    incoming = Incoming(table, named_rows, job.scope, job.timeframes, job.observed_at)
    counts = commit(Lake(Path(job.root)).ratios, incoming)
    received = {ticker: len(positions) for ticker, positions in places.items()}
    return Stored(counts, received, len(rows) - len(followed))
