"""Daily windows: what was filed in some days, for the whole market or for named tickers.

A window is asked for by filing date, without naming tickers, so that a day costs a handful
of requests. It may overlap the last one: the upsert makes that safe. What it cannot see is
asked for besides: v2's periods that got a new label; for v1 see `window_v1`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from polygon_fundamentals.errors import FundamentalsError
from polygon_fundamentals.http.client import Client, named
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.load.bisect import raise_left_out, sparing, taken_in
from polygon_fundamentals.load.historical import Loaded
from polygon_fundamentals.load.query import BATCH, VALUES, Filters, even_groups, v2_request
from polygon_fundamentals.load.store import store_v2
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


@dataclass
class _V2Run:
    """What the requests of one v2 update share."""

    client: Client
    lake: Lake
    writers: Writers
    statement: Statement
    timeframes: Sequence[Timeframe]
    companies: Companies
    loaded: Loaded
    again: int = 0

    def store(self, asked: str, observed_at: datetime, bodies: Sequence[bytes]) -> None:
        """Store pages of a window; ask for periods of theirs that got a new label."""
        for body in bodies:
            fresh = self._taken_in(asked, relabelled, body, dict(self.companies))
            # Before the page itself: were the run killed between the two, the next one would
            # take the label for known and never ask again.
            self._ask_again(fresh)
            self.again += sum(len(ends) for ends in fresh.values())
            self.loaded.rows_unfollowed += self._upsert(asked, [body], Scope.WINDOW, observed_at)

    def _ask_again(self, fresh: Mapping[str, Sequence[str]]) -> None:
        """Ask for periods by CIK, whole, so that labels which no longer stand are withdrawn."""
        path = self.statement.v2_path
        ciks = sorted(fresh)
        for i in range(0, len(ciks), BATCH):
            group = ciks[i : i + BATCH]
            ends = sorted(end for cik in group for end in fresh[cik])
            filters = Filters(timeframes=tuple(self.timeframes))
            params = v2_request(self.statement, filters, ciks=group)
            params |= {"period_end.gte": ends[0], "period_end.lte": ends[-1]}
            observed_at = datetime.now(UTC)
            bodies = [page.body for page in self.client.pages(path, params)]
            self._upsert(named(path, params), bodies, Scope.PERIODS, observed_at)

    def _upsert(self, asked: str, bodies: list[bytes], scope: Scope, observed_at: datetime) -> int:
        """Store an answer; return the rows that nobody follows."""
        wanted = frozenset(t.v2 for t in self.timeframes)
        counts, _, unfollowed = self._taken_in(
            asked, store_v2, bodies, dict(self.companies), scope, wanted, observed_at
        )
        self.loaded.counts.add(counts)
        return int(unfollowed)

    def _taken_in(self, asked: str, function: Callable[..., Any], *arguments: Any) -> Any:
        given = (str(self.lake.root), self.statement, *arguments)
        return taken_in(self.client, self.writers, asked, function, *given)


def update_v2(
    client: Client,
    lake: Lake,
    writers: Writers,
    statement: Statement,
    window: Window,
    timeframes: Sequence[Timeframe],
    companies: Companies,
    by_name: bool,
    loaded: Loaded | None = None,
) -> tuple[Loaded, int]:
    """Take in what v2 filed of a statement; return (what was done, periods asked again).

    `by_name` asks for `companies` alone, else the whole market is asked for and every row
    goes to the companies that it concerns. `loaded` is filled on the way, so that it tells
    what is stored where an error ends the update.

    Raises:
        ContentError: a row cannot be taken in; all others are stored.
        ApiError: a page failed for good; the pages before it are stored.
        LakeError, OSError: the lake cannot be used.
    """
    loaded = Loaded() if loaded is None else loaded
    known = [t for t in timeframes if t in statement.v2_timeframes]
    if not known:
        return loaded, 0
    filters = window.filters(known)
    requests = [v2_request(statement, filters)]
    if by_name:
        ciks = sorted({cik for found in companies.values() for cik in found})
        symbols = sorted(ticker for ticker, found in companies.items() if not found)
        requests = [
            v2_request(statement, filters, **{kind: some})
            for kind, values in (("ciks", ciks), ("tickers", symbols))
            for some in even_groups(values, VALUES)
        ]
    run = _V2Run(client, lake, writers, statement, known, companies, loaded)
    left_out: dict[bytes, FundamentalsError] = {}
    for params in requests:
        asked, observed_at = named(statement.v2_path, params), datetime.now(UTC)
        for page in client.pages(statement.v2_path, params):
            left_out |= sparing([page.body], partial(run.store, asked, observed_at))
            observed_at = datetime.now(UTC)
    raise_left_out(client, left_out)
    return merged(loaded, client), run.again
