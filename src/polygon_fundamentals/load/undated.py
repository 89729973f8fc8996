"""v1's records without a filing date: derived fourth quarters and trailing twelve months.

A filter on filing dates leaves them out. In the order of filing they are the first rows of an
answer, so that a request for them is read up to its first dated row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from polygon_fundamentals.http.answers import Page
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.load.query import V1_PAGE, Filters, v1_requests
from polygon_fundamentals.load.store import claimed_timeframe
from polygon_fundamentals.normalise.exact import JsonObject, parse_rows
from polygon_fundamentals.statements import V1_PATH, Timeframe

# Timeframe whose records may be undated → timeframes of the reports with which they appear.
DERIVED_FROM = {
    Timeframe.QUARTERLY: frozenset({Timeframe.ANNUAL}),
    Timeframe.TTM: frozenset({Timeframe.ANNUAL, Timeframe.QUARTERLY}),
}


def undated_request(params: Mapping[str, str]) -> dict[str, str]:
    """Return a request whose first rows are those without a filing date."""
    return {**params, "sort": "filing_date", "order": "asc", "limit": str(V1_PAGE)}


def to_first_dated(
    client: Client, params: Mapping[str, str], max_pages: int | None = None
) -> Iterator[Page]:
    """Yield the pages of such a request up to its first dated row, at most `max_pages`."""
    for number, page in enumerate(client.pages(V1_PATH, params), 1):
        yield page
        if number == max_pages or has_dated(page):
            return


def has_dated(page: Page) -> bool:
    """Return whether a page holds a row with a filing date."""
    return any(row["filing_date"] for row in page.row_ids)


def undated_of_reports(
    client: Client, who: dict[str, str], filters: Filters, dated: Sequence[Page]
) -> list[JsonObject]:
    """Return v1's undated records of the periods that were reported within a load's days.

    They are derived from reports, and appear with them. `dated` are the pages with the reports of
    the timeframes asked for; those of others that are needed are asked for here.

    Raises:
        ApiError: a page failed for good, or holds a number that cannot be kept.
    """
    wanted = [timeframe for timeframe in DERIVED_FROM if timeframe in filters.timeframes]
    sources = frozenset[Timeframe]().union(*(DERIVED_FROM[timeframe] for timeframe in wanted))
    others = replace(filters, timeframes=tuple(sources.difference(filters.timeframes)))
    pages = [*dated]
    for params in v1_requests(who, others):
        pages += client.pages(V1_PATH, params)
    reported: dict[str, set[tuple[object, str]]] = {}
    for row in (row for page in pages for row in page.results if row):
        if row.get("filing_date") and row.get("end_date"):
            period = row.get("cik"), str(row["end_date"])
            reported.setdefault(claimed_timeframe(row), set()).add(period)
    rows: list[JsonObject] = []
    for timeframe in wanted:
        periods = {p for t in DERIVED_FROM[timeframe] for p in reported.get(t.v1, ())}
        if not periods:
            continue
        ends = sorted(end for _, end in periods)
        span = {"period_of_report_date.gte": ends[0], "period_of_report_date.lte": ends[-1]}
        request = undated_request({**who, "timeframe": timeframe.v1, **span})
        for page in to_first_dated(client, request):
            rows += [
                row
                for row in parse_rows(page.body)
                if not row.get("filing_date") and (row.get("cik"), row.get("end_date")) in periods
            ]
    return rows
