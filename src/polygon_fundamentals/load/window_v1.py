"""v1's daily window, and its records without a filing date.

Derived fourth quarters and twelve months have no filing date, so a window cannot see them. They
are the first rows of an answer in the order of filing: a sweep over the whole market asks for
some pages of them a run and goes on the next time, the years just filed first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from polygon_fundamentals.errors import (
    ApiError,
    BadRequestError,
    FundamentalsError,
    NotFoundError,
    PaginationError,
)
from polygon_fundamentals.http.answers import Page
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.load.bisect import raise_left_out, sparing, taken_in
from polygon_fundamentals.load.historical import Loaded
from polygon_fundamentals.load.query import V1_PAGE
from polygon_fundamentals.load.window_store import Annual, store_v1_pages, undated_missing
from polygon_fundamentals.load.window_v2 import Companies, Window, merged
from polygon_fundamentals.load.writers import Writers
from polygon_fundamentals.statements import V1_PATH, Statement, Timeframe

# v1's records without a filing date: how far back their periods may end.
UNDATED_DAYS = 200
# Pages of undated records that a run may ask for on the whole market; the next run goes on
# where this one stopped. 2,000 companies have some 14 pages of them in spring.
UNDATED_PAGES = 8
_KEPT_FOR_MISSING = 3
# A commit of many pages costs little more than one of a single page; as Python objects a page
# takes some 5 MB.
PAGES_AT_ONCE = 10
# So many companies of one fiscal year's end are asked for one by one, more by the day.
_ONE_BY_ONE = 3


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
    left_out: dict[bytes, FundamentalsError] = field(default_factory=dict)

    def store(
        self, pages: Sequence[Page], at: datetime, undated_only: bool = False
    ) -> list[Annual]:
        """Store pages; return the fiscal years whose annual report is among them."""
        found: list[Annual] = []

        def upsert(bodies: Sequence[bytes]) -> None:
            counts, unfollowed, annuals = taken_in(
                self.client,
                self.writers,
                pages[0].what,
                store_v1_pages,
                str(self.lake.root),
                list(self.statements),
                list(bodies),
                dict(self.companies),
                self.timeframes,
                at,
                undated_only,
                self.owner,
            )
            self.loaded.counts.add(counts)
            self.loaded.rows_unfollowed += unfollowed
            found.extend(annuals)

        self.left_out |= sparing([page.body for page in pages], upsert)
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
    loaded: Loaded | None = None,
) -> tuple[Loaded, int]:
    """Take in what v1 filed, and its undated records of the last 200 days.

    `ticker` asks for one ticker alone, else for the whole market. `loaded` is filled on the
    way, see `update_v2`. Returns (what was done, fiscal years whose derived fourth quarter was
    left to the next run).

    Raises:
        ContentError: a record cannot be taken in; all others are stored.
        ApiError: a page failed for good; the pages before it are stored.
        LakeError, OSError: the lake cannot be used.
    """
    who = {"ticker": ticker} if ticker is not None else {}
    wanted = frozenset(t.v1 for t in timeframes)
    loaded = Loaded() if loaded is None else loaded
    run = _V1Run(client, lake, writers, statements, wanted, companies, loaded, ticker)
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
    for pages, observed_at in _some_at_once(client.pages(V1_PATH, params)):
        annuals += run.store(pages, observed_at)
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
    raise_left_out(client, run.left_out)
    return merged(loaded, client), left


def _some_at_once(pages: Iterator[Page]) -> Iterator[tuple[list[Page], datetime]]:
    """Yield (pages, when the first of them was asked for); before a failure, those that came."""
    held: list[Page] = []
    asked = datetime.now(UTC)
    try:
        for page in pages:
            held.append(page)
            if len(held) == PAGES_AT_ONCE:
                yield held, asked
                held, asked = [], datetime.now(UTC)
    except ApiError:
        if held:
            yield held, asked
        raise
    if held:
        yield held, asked


def _undated(params: dict[str, str]) -> dict[str, str]:
    """Return a request whose first rows are those without a filing date."""
    return {**params, "sort": "filing_date", "order": "asc", "limit": str(V1_PAGE)}


def _sweep(
    run: _V1Run, params: dict[str, str], most: int | None
) -> tuple[int, dict[str, str] | None]:
    """Store undated records up to the first dated one, or for `most` pages.

    Returns (pages asked for, the request that goes on, or None at the end).
    """
    asked: list[Page] = []
    for pages, observed_at in _some_at_once(_to_first_dated(run.client, params, most)):
        run.store(pages, observed_at, undated_only=True)
        asked += pages
    if _has_dated(asked[-1]):
        return len(asked), None
    return len(asked), run.client.following(V1_PATH, asked[-1])


def _to_first_dated(client: Client, params: dict[str, str], most: int | None) -> Iterator[Page]:
    for number, page in enumerate(client.pages(V1_PATH, params), 1):
        yield page
        if number == most or _has_dated(page):
            return


def _has_dated(page: Page) -> bool:
    return any(row["filing_date"] for row in page.heads)


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
        except (BadRequestError, NotFoundError, PaginationError):  # the cursor is too old
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
