"""All companies as they stand on the sandbox's day, built when first asked for."""

from __future__ import annotations

import gc
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from datetime import date
from functools import partial
from typing import Any

from .companies import build_roster
from .company import Company
from .endpoints import ENDPOINTS, FILINGS, RATIOS, TICKERS, V1
from .fields import V2_PATHS
from .plant import Plantings
from .query import BadQueryError, Endpoint, Params, apply_sort, build_tests, parse_sort
from .ratios import ratio_rows
from .reference import filing_entries, ticker_entries
from .rows import Entry, Row
from .v1_rows import V1Company
from .v2_rows import V2Company

#: Years beyond the clock that the calendars are built for; a longer run rebuilds them.
_AHEAD = 800


class World:
    """The state behind the endpoints: a roster, a clock and what was planted.

    Not thread-safe: the sandbox calls it under one lock.
    """

    def __init__(self, companies: int, seed: int, start: date, today: date, quirks: bool) -> None:
        self.seed = seed
        self.start = start
        self.born = today.toordinal()
        self.today = self.born
        self.version = 0
        self.profiles = build_roster(companies, seed, quirks, today)
        self.plantings = Plantings(self)
        self._horizon = self.born + _AHEAD
        self._companies: dict[int, Company] = {}
        self._v1: dict[int, list[Row]] = {}
        self._v2: dict[int, dict[str, list[Row]]] = {}
        self._v2_sources: dict[int, V2Company] = {}
        self._market: dict[str, tuple[list[str], list[Row]]] = {}
        self.by_cik = {profile.cik: profile.index for profile in self.profiles}
        self.by_v1_symbol: dict[str, list[int]] = {}
        self.by_v2_symbol: dict[str, list[int]] = {}
        for profile in self.profiles:
            for symbol in profile.v1_symbols:
                self.by_v1_symbol.setdefault(symbol, []).append(profile.index)
            for symbol in dict.fromkeys((*profile.symbols, *profile.old_symbols)):
                self.by_v2_symbol.setdefault(symbol, []).append(profile.index)

    def company(self, index: int) -> Company:
        """Return the company with its calendar built up to the horizon."""
        if index not in self._companies:
            self._companies[index] = Company(
                self.profiles[index], self.seed, self.start, self._horizon, self.born
            )
        return self._companies[index]

    def v1_rows(self, index: int) -> list[Row]:
        """Return a company's v1 records as of today."""
        if index not in self._v1:
            company = self.company(index)
            rows = V1Company(company, self.today, self.plantings.revise_v1).rows()
            self._v1[index] = self.plantings.select(rows, "v1")
        return self._v1[index]

    def v2_rows(self, index: int, statement: str) -> list[Row]:
        """Return a company's v2 rows of a statement as of today."""
        built = self._v2.setdefault(index, {})
        if statement not in built:
            source = self._v2_sources.get(index)
            if source is None:
                company = self.company(index)
                source = V2Company(company, self.today, self.plantings.revise_v2)
                self._v2_sources[index] = source
            built[statement] = self.plantings.select(source.rows(statement), "v2")
        return built[statement]

    def advance(self, days: int) -> None:
        """Move the clock; only companies on which something happens are built anew."""
        before, self.today = self.today, self.today + days
        if self.today + 400 > self._horizon:
            self._horizon = self.today + _AHEAD
            self._companies.clear()
            self.forget(range(len(self.profiles)))
            return
        self.forget(
            index
            for index in range(len(self.profiles))
            if self.company(index).events(before, self.today)
        )

    def forget(self, indexes: Iterable[int]) -> None:
        """Drop what was built of some companies, and every list of the whole market."""
        for index in list(indexes):
            self._v1.pop(index, None)
            self._v2.pop(index, None)
            self._v2_sources.pop(index, None)
        self._market.clear()
        self.version += 1

    def _candidates(self, endpoint: Endpoint, params: Params) -> Iterable[int] | None:
        """Return the companies that a query can concern, or None for all of them."""
        symbols = self.by_v1_symbol if endpoint is V1 else self.by_v2_symbol
        chosen: set[int] | None = None
        for column in endpoint.columns:
            for operator in column.operators & {"", "any_of", "all_of"}:
                asked = params.get(f"{column.name}.{operator}".rstrip("."))
                if asked is None or column.name not in ("cik", "ticker", "tickers"):
                    continue
                if column.name == "cik":
                    named = {self.by_cik[cik] for cik in asked.split(",") if cik in self.by_cik}
                else:
                    named = {i for symbol in asked.split(",") for i in symbols.get(symbol, ())}
                chosen = named if chosen is None else chosen & named
        return None if chosen is None else sorted(chosen)

    def everything(self, path: str) -> tuple[list[str], list[Row]]:
        """Return all rows of an endpoint in order of filing date, with the dates beside."""
        if path not in self._market:
            # Hundreds of thousands of rows that all stay: collecting meanwhile doubles the time.
            collecting = gc.isenabled()
            gc.disable()
            try:
                rows = self._rows(path, range(len(self.profiles)))
            finally:
                if collecting:
                    gc.enable()
            rows.sort(key=lambda row: row.filing_date or "")
            self._market[path] = ([row.filing_date or "" for row in rows], rows)
        return self._market[path]

    def _rows(self, path: str, indexes: Iterable[int]) -> list[Row]:
        statement = V2_PATHS.get(path)
        rows: list[Row] = []
        for index in indexes:
            rows += self.v2_rows(index, statement) if statement else self.v1_rows(index)
        return rows

    def _pool(self, endpoint: Endpoint, params: Params) -> Iterable[Any]:
        """Return rows that a query may select, not yet tested."""
        if endpoint is TICKERS:
            return self._tickers(params)
        chosen = self._candidates(endpoint, params)
        every = range(len(self.profiles)) if chosen is None else chosen
        if endpoint is FILINGS:
            return (e for i in every for e in filing_entries(self.company(i), self.today))
        if endpoint is RATIOS:
            return (e for i in every for e in ratio_rows(partial(self.v2_rows, i), self.today))
        if chosen is not None:
            return self._rows(endpoint.path, chosen)
        dates, rows = self.everything(endpoint.path)
        low = params.get("filing_date.gte") or params.get("filing_date.gt")
        high = params.get("filing_date.lte") or params.get("filing_date.lt")
        if "filing_date" in params:
            low = high = params["filing_date"]
        first = bisect_left(dates, low) if low else 0
        last = bisect_right(dates, high) if high else len(rows)
        return rows[first:last]

    def select(self, path: str, params: Params) -> list[Any]:
        """Return all rows that answer a query, in its order; BadQueryError if it is refused."""
        endpoint = ENDPOINTS[path]
        order, tests = parse_sort(params, endpoint), build_tests(params, endpoint)
        search = params.get("company_name.search", "").lower()
        if endpoint is V1 and search:
            tests.append(lambda row: search in row.owner.name.lower())
        rows = [row for row in self._pool(endpoint, params) if all(test(row) for test in tests)]
        return apply_sort(rows, [*order, *((name, False) for name in endpoint.ties)])

    def _tickers(self, params: Params) -> Iterator[Entry]:
        active = params.get("active", "true")
        if active not in ("true", "false"):
            raise BadQueryError(f"active: '{active}' is neither true nor false")
        search = params.get("search", "").lower()
        for profile in self.profiles:
            for entry in ticker_entries(profile, self.today):
                matches = search in entry.name.lower() or search in entry.ticker.lower()
                if matches and entry.active == (active == "true"):
                    yield entry

    def warm(self, render: bool) -> None:
        """Build the lists of all rows now, and with `render` their content too."""
        for path in (*V2_PATHS, V1.path):
            for row in self.everything(path)[1]:
                if not render:
                    break
                row.data  # noqa: B018

    def trim(self, limit: int) -> None:
        """Drop all rendered content once it exceeds `limit` bytes; it is rendered anew."""
        if self.plantings.rendered <= limit:
            return
        for rows in self._v1.values():
            for row in rows:
                row.forget()
        for by_statement in self._v2.values():
            for rows in by_statement.values():
                for row in rows:
                    row.forget()
        self.plantings.rendered = 0
