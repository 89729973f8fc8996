"""v1's daily window, and its records without a filing date.

Derived fourth quarters and twelve months have no filing date, so a window cannot see them. They
are the first rows of an answer in the order of filing: a sweep over the whole market asks for
some pages of them in each run, the years just filed first, and continues in the next. What the next
runs would not reach is asked for at once: the year of a report that comes late, and all of a window
that was widened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson

from polygon_fundamentals.errors import (
    ApiError,
    BadRequestError,
    FundamentalsError,
    NotFoundError,
    PaginationError,
    RetiredError,
    as_fundamentals_error,
)
from polygon_fundamentals.http.answers import Page
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.load.bisect import raise_skipped, skip_bad_rows
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import V1_PAGE
from polygon_fundamentals.load.store import Companies, Report, StoreJob, store_v1, undated_missing
from polygon_fundamentals.load.undated import (
    DERIVED_FROM,
    has_dated,
    to_first_dated,
    undated_request,
)
from polygon_fundamentals.load.window_v2 import WHOLE_MARKET, Window, refuse_nothing
from polygon_fundamentals.reports import UpsertCounts, WindowReport
from polygon_fundamentals.statements import V1_PATH, Statement, Timeframe

# v1's records without a filing date: how long before the window their periods may end.
UNDATED_DAYS = 200
# Pages of undated records that a run may ask for on the whole market; the next run goes on
# where this one stopped. 2,000 companies have some 14 pages of them in spring.
UNDATED_PAGES = 8
# What a run leaves, the next ones come to within a month. A fourth quarter that is out of the
# sweep's reach by then is asked for at once, and so is all of a window of more days than these.
_SWEEP = timedelta(days=30)
LONGEST_LIMITED = timedelta(days=14)
_KEPT_FOR_MISSING = 3
# A commit of many pages costs little more than one of a single page; as Python objects a page
# takes some 5 MB.
PAGES_AT_ONCE = 10
# So many companies of one fiscal year's end are asked for one by one, more by the day. Of a day so
# long ago the lake has most quarters, so that its pages bring few new ones.
_ONE_BY_ONE = 3
_LATE_ONE_BY_ONE = 8


@dataclass
class _V1Run:
    """One v1 update on its way: what its requests share, and what they did so far."""

    loader: Loader
    statements: Sequence[Statement]
    timeframes: frozenset[str]
    companies: Companies
    ticker: str | None
    counts: UpsertCounts = field(default_factory=UpsertCounts)
    unfollowed: int = 0
    fourths_left: int = 0
    reports: list[Report] = field(default_factory=list)
    skipped: dict[bytes, FundamentalsError] = field(default_factory=dict)

    def store(self, pages: Sequence[Page], at: datetime, undated_only: bool = False) -> None:
        """Store pages; remember what dated ones report."""

        def upsert(bodies: Sequence[bytes]) -> None:
            job = StoreJob(
                root=str(self.loader.lake.root),
                statements=list(self.statements),
                bodies=list(bodies),
                companies=dict(self.companies),
                scope=Scope.WINDOW,
                timeframes=self.timeframes,
                observed_at=at,
                owner=self.ticker,
                window=True,
                undated_only=undated_only,
            )
            stored = self.loader.store_rows(pages[0].what, store_v1, job)
            self.counts += stored.counts
            self.unfollowed += stored.unfollowed
            if not undated_only:
                self.reports.extend(stored.reports)

        self.skipped |= skip_bad_rows([page.body for page in pages], upsert)


def update_v1(
    loader: Loader,
    statements: Sequence[Statement],
    window: Window,
    timeframes: Sequence[Timeframe],
    companies: Companies,
    ticker: str | None = None,
) -> WindowReport:
    """Store what v1 filed, and the undated records that came with it; return what was done.

    `ticker` asks for one ticker alone, else for the whole market. Where a page fails for good,
    the pages before it are stored; where a record cannot be stored, all others are. A retired
    v1 is a failure like any other here; `frozen_since` is then the day it named.
    """
    wanted = frozenset(t.v1 for t in timeframes)
    run = _V1Run(loader, statements, wanted, companies, ticker)
    units = [(ticker or WHOLE_MARKET, statement.value) for statement in statements]
    try:
        _fetch(run, window, timeframes)
        if ticker is None and not run.counts.rows_received and not run.unfollowed:
            refuse_nothing("v1", window, companies)
        report = WindowReport(units=len(units))
    except (FundamentalsError, OSError) as error:
        report = WindowReport.of_failure(units, as_fundamentals_error(error))
        if isinstance(error, RetiredError):
            report = replace(report, frozen_since=error.since)
    return report + WindowReport.of(
        run.counts, rows_unfollowed=run.unfollowed, fourths_left=run.fourths_left
    )


def _fetch(run: _V1Run, window: Window, timeframes: Sequence[Timeframe]) -> None:
    who = {"ticker": run.ticker} if run.ticker is not None else {}
    one = {"timeframe": timeframes[0].v1} if len(timeframes) == 1 else {}
    # In the order of filing, so that an amendment comes after what it amends.
    params = {
        **who,
        **one,
        "filing_date.gte": window.first.isoformat(),
        "filing_date.lt": window.before.isoformat(),
        "sort": "filing_date",
        "order": "asc",
        "limit": str(V1_PAGE),
    }
    for pages, observed_at in _some_at_once(run.loader.client.pages(V1_PATH, params)):
        run.store(pages, observed_at)
    since = window.first - timedelta(days=UNDATED_DAYS)
    limited = run.ticker is None and window.last - window.first <= LONGEST_LIMITED
    for timeframe in (Timeframe.QUARTERLY, Timeframe.TTM):
        if timeframe.v1 not in run.timeframes:
            continue
        recent = {"timeframe": timeframe.v1, "period_of_report_date.gte": since.isoformat()}
        request = undated_request(who | recent)
        if limited:
            most = UNDATED_PAGES - _KEPT_FOR_MISSING
            used, whole = _page_undated_on(run, timeframe, request, most)
        else:
            _page_undated(run, request, None)
            used, whole = 0, True
        run.fourths_left += _missing(run, timeframe, since, whole, UNDATED_PAGES - used)
    raise_skipped(run.loader.client, run.skipped)


def _some_at_once(pages: Iterator[Page]) -> Iterator[tuple[list[Page], datetime]]:
    """Yield (pages, when the first of them was asked for); before a failure, those that came."""
    batch: list[Page] = []
    asked = datetime.now(UTC)
    try:
        for page in pages:
            batch.append(page)
            if len(batch) == PAGES_AT_ONCE:
                yield batch, asked
                batch, asked = [], datetime.now(UTC)
    except ApiError:
        if batch:
            yield batch, asked
        raise
    if batch:
        yield batch, asked


def _page_undated(
    run: _V1Run, params: dict[str, str], max_pages: int | None
) -> tuple[int, dict[str, str] | None]:
    """Store undated records up to the first dated one, or for `max_pages` pages.

    Returns (pages asked for, the request that goes on, or None at the end).
    """
    used = 0
    for pages, observed_at in _some_at_once(to_first_dated(run.loader.client, params, max_pages)):
        run.store(pages, observed_at, undated_only=True)
        used += len(pages)
        last = pages[-1]
    return used, None if has_dated(last) else run.loader.client.following(V1_PATH, last)


def _page_undated_on(
    run: _V1Run, timeframe: Timeframe, params: dict[str, str], max_pages: int
) -> tuple[int, bool]:
    """Go on with the sweep over the market's undated records; return (pages, whether whole).

    A cursor is kept in `ops/cache/` where the pages of a run did not reach the end.
    """
    path = run.loader.lake.ops / "cache" / f"undated.v1.{timeframe.v1}.json"
    used, resumed = 0, _cursor(path)
    rest: dict[str, str] | None = None
    if resumed is not None:
        try:
            used, rest = _page_undated(run, resumed, max_pages)
        except (BadRequestError, NotFoundError, PaginationError):  # the cursor is too old
            used, rest = 1, None
    if rest is None and used < max_pages:
        pages, rest = _page_undated(run, params, max_pages - used)
        used += pages
        whole = rest is None
    else:
        whole = False
    if rest is None:
        path.unlink(missing_ok=True)
    else:
        replace_file(path, orjson.dumps(rest))
    return used, whole


def _cursor(path: Path) -> dict[str, str] | None:
    try:
        cursor = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return {str(k): str(v) for k, v in cursor.items()} if isinstance(cursor, dict) else None


def _missing(run: _V1Run, timeframe: Timeframe, since: date, swept: bool, max_pages: int) -> int:
    """Ask for undated records of the periods just reported; return how many fourths are left.

    They appear with a report, without a filing date of their own. The sweep brings those of periods
    that ended on the day `since` or later; with `swept` it has. `max_pages` are for fourth quarters
    that the sweep will come to in time. Of the others all are asked for, however many they are, and
    of twelve months those alone: each quarterly report has some.
    """
    until, in_time = since.isoformat(), (since + _SWEEP).isoformat()
    last = until if swept else in_time if timeframe is Timeframe.TTM else "9999"
    sources = {source.v1 for source in DERIVED_FROM[timeframe]}
    periods = {(cik, end) for source, cik, end in run.reports if source in sources and end < last}
    lake, statements = run.loader.lake, run.statements
    missing = undated_missing(lake, timeframe.v1, sorted(periods), statements, run.companies)
    by_end: dict[str, list[str]] = {}
    for cik, end in missing:
        by_end.setdefault(end, []).append(cik)
    left = 0
    for end, ciks in sorted(by_end.items(), key=lambda item: -len(item[1])):
        is_late = end < in_time
        few = len(ciks) <= (_LATE_ONE_BY_ONE if is_late else _ONE_BY_ONE)
        for who in [{"cik": cik} for cik in ciks] if few else [{}]:
            if not is_late and max_pages < 1:
                left += 1 if few else len(ciks)
                continue
            request = undated_request(
                {**who, "timeframe": timeframe.v1, "period_of_report_date": end}
            )
            used, rest = _page_undated(run, request, None if is_late else max_pages)
            if not is_late:
                max_pages -= used
                left += len(ciks) if rest is not None else 0
    return left
