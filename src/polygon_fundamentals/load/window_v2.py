"""Daily windows: what was filed in some days, for the whole market or for named tickers.

A window is asked for by filing date, without naming tickers, so that a day costs a handful
of requests. It may overlap the last one: the upsert makes that safe. What it cannot see is
asked for besides: v2's periods that got a new label or end; for v1 see `window_v1`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

from polygon_fundamentals.errors import ApiError, FundamentalsError, as_fundamentals_error
from polygon_fundamentals.http.client import named
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.load.bisect import raise_skipped, skip_bad_rows
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import BATCH, VALUES, Filters, even_groups, v2_request
from polygon_fundamentals.load.store import Companies, Span, StoreJob, relabelled, store_v2
from polygon_fundamentals.reports import UpsertCounts, WindowReport
from polygon_fundamentals.statements import Statement, Timeframe

WHOLE_MARKET = "*"
# In a market something is filed within two weeks. A lake of few companies may look upon a small
# market, as the sandbox's is: so many companies times days are asked for, of 100 companies 70 days.
_DAYS = 14
_COMPANY_DAYS = 7_000


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

    def as_json(self) -> dict[str, str]:
        """Return the window as reports hold it."""
        return {"from": self.first.isoformat(), "to": self.last.isoformat()}


def window_until(last: date, days_back: int, success: date | None) -> Window:
    """Return the window D−N to D, widened as if a run had been made on every day since `success`.

    `success`: the last day of the newest window that was stored whole, or None. The first run that
    was missed would have looked back N days, too, for what appeared late.
    """
    missed = last if success is None else min(last, success + timedelta(days=1))
    return Window(missed - timedelta(days=days_back), last)


@dataclass
class _V2Run:
    """One v2 update on its way: what its requests share, and what they did so far."""

    loader: Loader
    statement: Statement
    timeframes: Sequence[Timeframe]
    companies: Companies
    counts: UpsertCounts = field(default_factory=UpsertCounts)
    unfollowed: int = 0
    asked_again: int = 0
    skipped: dict[bytes, FundamentalsError] = field(default_factory=dict)

    def fetch(self, requests: Sequence[dict[str, str]]) -> None:
        """Ask for a window and store its pages."""
        path = self.statement.v2_path
        for params in requests:
            request, observed_at = named(path, params), datetime.now(UTC)
            for page in self.loader.client.pages(path, params):
                work = partial(self._store, request, observed_at)
                self.skipped |= skip_bad_rows([page.body], work)
                observed_at = datetime.now(UTC)
        raise_skipped(self.loader.client, self.skipped)

    def _store(self, request: str, observed_at: datetime, bodies: Sequence[bytes]) -> None:
        """Store pages of a window; ask again for their periods that got a new label or end."""
        for body in bodies:
            job = self._job([body], Scope.WINDOW, observed_at)
            periods = self.loader.store_rows(request, relabelled, job)
            # Before the page itself: were the run killed between the two, the next one would
            # take the label for known and never ask again.
            self._ask_again(periods)
            self.asked_again += sum(len(spans) for spans in periods.values())
            stored = self.loader.store_rows(request, store_v2, job)
            self.counts += stored.counts
            self.unfollowed += stored.unfollowed

    def _ask_again(self, periods: Mapping[str, Sequence[Span]]) -> None:
        """Ask for periods by CIK, so that labels and ends which no longer stand are withdrawn."""
        path = self.statement.v2_path
        ciks = sorted(periods)
        for i in range(0, len(ciks), BATCH):
            group = ciks[i : i + BATCH]
            spans = [span for cik in group for span in periods[cik]]
            ends = min(first for first, _ in spans), max(last for _, last in spans)
            filters = Filters(timeframes=tuple(self.timeframes))
            params = v2_request(self.statement, filters, ciks=group)
            params |= {"period_end.gte": ends[0], "period_end.lte": ends[1]}
            observed_at = datetime.now(UTC)
            bodies = [page.body for page in self.loader.client.pages(path, params)]
            job = replace(self._job(bodies, Scope.PERIODS, observed_at), ends=ends)
            self.counts += self.loader.store_rows(named(path, params), store_v2, job).counts

    def _job(self, bodies: Sequence[bytes], scope: Scope, observed_at: datetime) -> StoreJob:
        return StoreJob(
            root=str(self.loader.lake.root),
            statements=[self.statement],
            bodies=bodies,
            companies=dict(self.companies),
            scope=scope,
            timeframes=frozenset(t.v2 for t in self.timeframes),
            observed_at=observed_at,
        )


def update_v2(
    loader: Loader,
    statement: Statement,
    window: Window,
    timeframes: Sequence[Timeframe],
    companies: Companies,
    by_name: bool,
) -> WindowReport:
    """Store what v2 filed of a statement; return what was done, and what failed.

    `by_name` asks for `companies` alone, else the whole market is asked for and every row
    goes to the companies that it concerns. Where a page fails for good, the pages before it
    are stored; where a row cannot be stored, all others are.
    """
    known = [t for t in timeframes if t in statement.v2_timeframes]
    units = [(ticker, statement.value) for ticker in (companies if by_name else [WHOLE_MARKET])]
    if not known:
        return WindowReport(units=len(units))
    filters = window.filters(known)
    requests = [v2_request(statement, filters)]
    if by_name:
        ciks = sorted({cik for own in companies.values() for cik in own})
        requests = [v2_request(statement, filters, ciks=some) for some in even_groups(ciks, VALUES)]
        # By symbol too: a company that was reorganised files under a CIK that the lake lacks.
        requests += [
            v2_request(statement, filters, tickers=some)
            for some in even_groups(sorted(companies), VALUES)
        ]
    run = _V2Run(loader, statement, known, companies)
    report = WindowReport(units=len(units))
    try:
        run.fetch(requests)
        if not run.counts.rows_received and not run.unfollowed:
            report = replace(report, statements_without_rows=(statement.value,))
            if not by_name:
                refuse_nothing(f"v2's {statement}", window, companies)
    except (FundamentalsError, OSError) as error:
        report = WindowReport.of_failure(units, as_fundamentals_error(error))
    return report + WindowReport.of(
        run.counts, rows_unfollowed=run.unfollowed, periods_asked_again=run.asked_again
    )


def refuse_nothing(endpoint: str, window: Window, companies: Companies) -> None:
    """Refuse an answer without a row to a window over the whole market, where there must be some.

    The next run asks again for a window without rows, so the window of an endpoint that goes on
    giving nothing grows to that many days.

    Raises:
        ApiError: the window has many days, for as many companies as the lake follows.
    """
    days = (window.before - window.first).days
    if days >= _DAYS and days * len(companies) >= _COMPANY_DAYS:
        raise ApiError(
            f"{endpoint} gave no row of the whole market for the {days} days since {window.first}: "
            "look at the vendor's status page and your plan, then run again, for these days too"
        )
