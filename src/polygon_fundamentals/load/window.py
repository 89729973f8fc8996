"""Daily windows: what was filed in some days, for the whole market or for named tickers.

A window is asked for by filing date, without naming tickers, so that a day costs a handful
of requests. It may overlap the last one: the upsert makes that safe. What it cannot see is
asked for besides: v2's periods that got a new label; for v1 see `window_v1`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.load.ask import (
    BATCH,
    V2_PAGE,
    VALUES,
    Filters,
    even_groups,
    v2_request,
)
from polygon_fundamentals.load.store import store_v2
from polygon_fundamentals.load.units import Loaded
from polygon_fundamentals.load.window_store import relabelled
from polygon_fundamentals.load.writers import Writers
from polygon_fundamentals.statements import Statement, Timeframe

WHOLE_MARKET = "*"

Companies = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Window:
    """The days of filing from `first` to `last`, both included, in New York."""

    first: date
    last: date

    @property
    def before(self) -> date:
        """The day after the last."""
        return self.last + timedelta(days=1)

    def filters(self, timeframes: Sequence[Timeframe]) -> Filters:
        """Return the filters that ask for these days."""
        return Filters(
            timeframes=tuple(timeframes),
            filing_date_gte=self.first.isoformat(),
            filing_date_lt=self.before.isoformat(),
        )


def window_until(last: date, days_back: int, success: date | None) -> Window:
    """Return the window D−N to D, widened back to the last day that a run had covered.

    `success`: the last day of the newest window that was taken in whole, or None.
    """
    first = last - timedelta(days=days_back)
    return Window(min(first, success) if success is not None else first, last)


def merged(loaded: Loaded, client: Client) -> Loaded:
    """Return what was done with the client's counts in it."""
    loaded.requests, loaded.retries = client.tally.requests, client.tally.retries
    loaded.brownouts, loaded.sunset = client.tally.brownouts, client.tally.sunset
    return loaded


def update_v2(
    client: Client,
    lake: Lake,
    writers: Writers,
    statement: Statement,
    window: Window,
    timeframes: Sequence[Timeframe],
    companies: Companies,
    named: bool,
) -> tuple[Loaded, int]:
    """Take in what v2 filed of a statement; return (what was done, periods asked again).

    `named` asks for `companies` alone, else the whole market is asked for and every row
    goes to the companies that it concerns.

    Raises:
        ApiError: a page failed for good; the pages before it are stored.
        LakeError, OSError: the lake cannot be used.
    """
    loaded, again = Loaded(), 0
    known = [t for t in timeframes if t in statement.v2_timeframes]
    if not known:
        return loaded, 0
    filters = window.filters(known)
    requests = [v2_request(statement, filters)]
    if named:
        ciks = sorted({cik for found in companies.values() for cik in found})
        symbols = sorted(ticker for ticker, found in companies.items() if not found)
        requests = [
            v2_request(statement, filters, **{kind: some})
            for kind, values in (("ciks", ciks), ("tickers", symbols))
            for some in even_groups(values, VALUES)
        ]
    for params in requests:
        observed_at = datetime.now(UTC)
        for page in client.pages(statement.v2_path, params):
            root, wanted = str(lake.root), frozenset(t.v2 for t in known)
            fresh = writers.run(relabelled, root, statement, page.body, dict(companies))
            # Before the page itself: were the run killed between the two, the next one would
            # take the label for known and never ask again.
            _ask_again(client, lake, writers, statement, known, companies, fresh, loaded)
            again += sum(len(ends) for ends in fresh.values())
            counts, _, unfollowed = writers.run(
                store_v2,
                root,
                statement,
                [page.body],
                dict(companies),
                Scope.WINDOW,
                wanted,
                observed_at,
            )
            loaded.counts.add(counts)
            loaded.rows_unfollowed += unfollowed
            observed_at = datetime.now(UTC)
    return merged(loaded, client), again


def _ask_again(
    client: Client,
    lake: Lake,
    writers: Writers,
    statement: Statement,
    timeframes: Sequence[Timeframe],
    companies: Companies,
    fresh: Mapping[str, Sequence[str]],
    loaded: Loaded,
) -> None:
    """Ask for periods by CIK, whole, so that labels which no longer stand are withdrawn."""
    ciks = sorted(fresh)
    for i in range(0, len(ciks), BATCH):
        group = ciks[i : i + BATCH]
        ends = sorted(end for cik in group for end in fresh[cik])
        params = v2_request(statement, Filters(timeframes=tuple(timeframes)), ciks=group)
        params |= {"period_end.gte": ends[0], "period_end.lte": ends[-1], "limit": str(V2_PAGE)}
        observed_at = datetime.now(UTC)
        bodies = [page.body for page in client.pages(statement.v2_path, params)]
        counts, _, _ = writers.run(
            store_v2,
            str(lake.root),
            statement,
            bodies,
            dict(companies),
            Scope.PERIODS,
            frozenset(t.v2 for t in timeframes),
            observed_at,
        )
        loaded.counts.add(counts)
