"""The daily ratios: one snapshot of the market, in as few requests as its pages need.

The endpoint takes no date: it answers with the last trading day, so a day that was not asked for
on that day is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from polygon_fundamentals.http.client import named
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import V2_PAGE, VALUES
from polygon_fundamentals.load.store import Stored, StoreJob
from polygon_fundamentals.normalise import v2_table
from polygon_fundamentals.normalise.exact import parse_rows
from polygon_fundamentals.reports import LoadReport
from polygon_fundamentals.statements import Snapshot


def load_ratios(loader: Loader, tickers: Sequence[str]) -> LoadReport:
    """Upsert the present ratios of some tickers into their files; return what that did.

    Up to `VALUES` tickers are asked for by name; of more the whole market is asked for, and the
    rows of other tickers are counted as unfollowed.

    Raises:
        ApiError: a page failed for good, and nothing was stored; or a row cannot be stored.
        LakeError, OSError: the lake cannot be used.
    """
    params = {"limit": str(V2_PAGE)}
    if len(tickers) <= VALUES:
        params["ticker.any_of"] = ",".join(sorted(tickers))
    path, observed_at = Snapshot.RATIOS.v2_path, datetime.now(UTC)
    job = StoreJob(
        root=str(loader.lake.root),
        statements=(),
        bodies=[page.body for page in loader.client.pages(path, params)],
        companies={ticker: () for ticker in tickers},
        scope=Scope.WINDOW,
        timeframes=frozenset(),
        observed_at=observed_at,
    )
    stored = loader.store_rows(named(path, params), store_ratios, job)
    without = tuple(sorted(t for t in tickers if not stored.rows_by_ticker[t]))
    report = LoadReport.of(stored.counts, units=len(tickers), rows_unfollowed=stored.unfollowed)
    return replace(report, tickers_without_rows=without)


def store_ratios(job: StoreJob) -> Stored:
    """Upsert the rows of a snapshot into the files of the followed tickers.

    Raises:
        LakeError, OSError: as `commit`.
    """
    rows = [row for body in job.bodies for row in parse_rows(body)]
    places: dict[str, list[int]] = {ticker: [] for ticker in job.companies}
    unfollowed = 0
    for position, row in enumerate(rows):
        if row.get("ticker") in places:
            places[row["ticker"]].append(position)
        else:
            unfollowed += 1
    # The file says whose row it is; the commit fills the column in.
    unnamed = [{key: row[key] for key in row if key != "ticker"} for row in rows]
    table = v2_table(unnamed, Snapshot.RATIOS, job.observed_at)
    named_rows = {ticker: positions for ticker, positions in places.items() if positions}
    incoming = Incoming(table, named_rows, job.scope, job.timeframes, job.observed_at)
    counts = commit(Lake(Path(job.root)).ratios, incoming)
    return Stored(counts, {t: len(positions) for t, positions in places.items()}, unfollowed)
