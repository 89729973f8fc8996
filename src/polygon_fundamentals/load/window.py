"""Daily windows: what was filed in some days, for the whole market or for named tickers.

A window is asked for by filing date, without naming tickers, so that a day costs a handful
of requests. It may overlap the last one: the upsert makes that safe. What it cannot see is
asked for besides: v2's periods that got a new label, v1's records without a filing date.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import orjson

from polygon_fundamentals.errors import BadRequestError
from polygon_fundamentals.http.answers import Page
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.lake.files import replace_file
from polygon_fundamentals.load.ask import (
    BATCH,
    V1_PAGE,
    V2_PAGE,
    VALUES,
    Filters,
    even_groups,
    v2_request,
)
from polygon_fundamentals.load.store import store_v2
from polygon_fundamentals.load.units import Loaded
from polygon_fundamentals.load.window_store import (
    Annual,
    relabelled,
    store_v1_page,
    undated_missing,
)
from polygon_fundamentals.load.writers import Writers
from polygon_fundamentals.statements import V1_PATH, Statement, Timeframe

# v1's records without a filing date: how far back their periods may end.
UNDATED_DAYS = 200
# Pages of undated records that a run may ask for on the whole market; the next run goes on
# where this one stopped. 2,000 companies have some 14 pages of them in spring.
UNDATED_PAGES = 8
_KEPT_FOR_MISSING = 3
# So many companies of one fiscal year's end are asked for one by one, more by the day.
_ONE_BY_ONE = 3
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


def _merged(loaded: Loaded, client: Client) -> Loaded:
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
    return _merged(loaded, client), again


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


@dataclass
class _V1Run:
    """What the requests of one v1 update share."""

    client: Client
    lake: Lake
    writers: Writers
    statements: Sequence[Statement]
    timeframes: frozenset[str]
    companies: Companies
    loaded: Loaded
    owner: str | None

    def store(self, page: Page, at: datetime, undated_only: bool = False) -> list[Annual]:
        counts, unfollowed, annuals = self.writers.run(
            store_v1_page,
            str(self.lake.root),
            list(self.statements),
            page.body,
            dict(self.companies),
            self.timeframes,
            at,
            undated_only,
            self.owner,
        )
        self.loaded.counts.add(counts)
        self.loaded.rows_unfollowed += unfollowed
        found: list[Annual] = annuals
        return found


def update_v1(
    client: Client,
    lake: Lake,
    writers: Writers,
    statements: Sequence[Statement],
    window: Window,
    timeframes: Sequence[Timeframe],
    companies: Companies,
    ticker: str | None = None,
) -> tuple[Loaded, int]:
    """Take in what v1 filed, and its undated records of the last 200 days.

    `ticker` asks for one ticker alone, else for the whole market. Returns (what was done,
    fiscal years whose derived fourth quarter was left to the next run).

    Raises:
        ApiError: a page failed for good; the pages before it are stored.
        LakeError, OSError: the lake cannot be used.
    """
    who = {"ticker": ticker} if ticker is not None else {}
    wanted = frozenset(t.v1 for t in timeframes)
    run = _V1Run(client, lake, writers, statements, wanted, companies, Loaded(), ticker)
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
    annuals: list[Annual] = []
    observed_at = datetime.now(UTC)
    for page in client.pages(V1_PATH, params):
        annuals += run.store(page, observed_at)
        observed_at = datetime.now(UTC)
    left = 0
    since = (window.last - timedelta(days=UNDATED_DAYS)).isoformat()
    for timeframe in (Timeframe.QUARTERLY, Timeframe.TTM):
        if timeframe.v1 not in wanted:
            continue
        asked = _undated(who | {"timeframe": timeframe.v1, "period_of_report_date.gte": since})
        if ticker is not None:
            _sweep(run, asked, None)
            continue
        used, whole = _sweep_on(run, timeframe, asked, UNDATED_PAGES - _KEPT_FOR_MISSING)
        if timeframe is Timeframe.QUARTERLY and not whole:
            left = _missing_fourths(run, annuals, UNDATED_PAGES - used)
    return _merged(run.loaded, client), left


def _undated(params: dict[str, str]) -> dict[str, str]:
    """Return a request whose first rows are those without a filing date."""
    return {**params, "sort": "filing_date", "order": "asc", "limit": str(V1_PAGE)}


def _sweep(
    run: _V1Run, params: dict[str, str], most: int | None
) -> tuple[int, dict[str, str] | None]:
    """Store undated records up to the first dated one, or for `most` pages.

    Returns (pages asked for, the request that goes on, or None at the end).
    """
    pages: Iterator[Page] = run.client.pages(V1_PATH, params)
    used, observed_at = 0, datetime.now(UTC)
    for page in pages:
        used += 1
        run.store(page, observed_at, undated_only=True)
        if any(row.get("filing_date") for row in page.results) or page.next_url is None:
            return used, None
        if used == most:
            query = parse_qsl(urlsplit(page.next_url).query, keep_blank_values=True)
            return used, {k: v for k, v in query if k.lower() != "apikey"}
        observed_at = datetime.now(UTC)
    return used, None


def _sweep_on(
    run: _V1Run, timeframe: Timeframe, params: dict[str, str], most: int
) -> tuple[int, bool]:
    """Go on with the sweep over the market's undated records; return (pages, whether whole).

    A cursor is kept in `ops/cache/` where the pages of a run did not reach the end.
    """
    path = run.lake.ops / "cache" / f"undated.v1.{timeframe.v1}.json"
    used, resumed = 0, _cursor(path)
    rest: dict[str, str] | None = None
    if resumed is not None:
        try:
            used, rest = _sweep(run, resumed, most)
        except BadRequestError:  # the API no longer knows the cursor
            used, rest = 1, None
    if rest is None and used < most:
        pages, rest = _sweep(run, params, most - used)
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
        found = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else None


def _missing_fourths(run: _V1Run, annuals: Sequence[Annual], most: int) -> int:
    """Ask for derived fourth quarters of the years just filed; return how many are left.

    They appear with the annual report, without a filing date of their own.
    """
    missing = undated_missing(
        str(run.lake.root), sorted(set(annuals)), run.statements, run.companies
    )
    by_end: dict[str, list[str]] = {}
    for cik, end in missing:
        by_end.setdefault(end, []).append(cik)
    left = 0
    for end, ciks in sorted(by_end.items(), key=lambda item: -len(item[1])):
        few = len(ciks) <= _ONE_BY_ONE
        for who in [{"cik": cik} for cik in ciks] if few else [{}]:
            if most < 1:
                left += 1 if few else len(ciks)
                continue
            asked = {**who, "timeframe": "quarterly", "period_of_report_date": end}
            used, rest = _sweep(run, _undated(asked), most)
            most -= used
            left += len(ciks) if rest is not None else 0
    return left
