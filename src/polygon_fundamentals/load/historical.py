"""Units of work: fetch one answer whole, then store it.

Nothing of an answer is stored before its last page has come, so a page that fails for
good fails its units and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from polygon_fundamentals.datasets.keys import cik_of
from polygon_fundamentals.errors import FundamentalsError
from polygon_fundamentals.http.client import Client, named
from polygon_fundamentals.lake import Lake, index
from polygon_fundamentals.lake.commit import Counts, Scope
from polygon_fundamentals.load.bisect import splitting, taken_in
from polygon_fundamentals.load.query import (
    VALUES,
    Filters,
    even_groups,
    v1_requests,
    v2_request,
    v2_timeframes,
)
from polygon_fundamentals.load.store import follow, store_v1, store_v2
from polygon_fundamentals.load.writers import Writers
from polygon_fundamentals.normalise.columns import ten_digits
from polygon_fundamentals.statements import V1_PATH, Generation, Statement

Unit = tuple[str, str]  # ticker, statement


@dataclass
class Loaded:
    """What a task did: its units, those of them that gave no row, and the counts."""

    units: list[Unit] = field(default_factory=list)
    empty: list[Unit] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    requests: int = 0
    retries: int = 0
    rows_unfollowed: int = 0
    brownouts: int = 0
    sunset: str | None = None

    def add(self, other: Loaded) -> None:
        """Add what another task did."""
        self.units += other.units
        self.empty += other.empty
        self.counts.add(other.counts)
        self.requests += other.requests
        self.retries += other.retries
        self.rows_unfollowed += other.rows_unfollowed
        self.brownouts += other.brownouts
        self.sunset = other.sunset or self.sunset

    def as_json(self) -> dict[str, Any]:
        """Return the result as small JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Loaded:
        """Return the result that `as_json` wrote."""
        pairs = {name: [tuple(unit) for unit in found[name]] for name in ("units", "empty")}
        return cls(**{**found, **pairs, "counts": Counts(**found["counts"])})


def _fetch(client: Client, path: str, requests: Sequence[Mapping[str, str]]) -> list[bytes]:
    return [page.body for params in requests for page in client.pages(path, params)]


def load_v1(
    client: Client,
    lake: Lake,
    writers: Writers,
    ticker: str,
    statements: Sequence[Statement],
    filters: Filters,
    cik: str | None = None,
) -> Loaded:
    """Load v1's records of one ticker (or of `cik`) into the ticker's files.

    Raises:
        ApiError: a page failed for good, and nothing was stored; or a row cannot be taken in.
        LakeError, OSError: the lake cannot be used.
    """
    observed_at = datetime.now(UTC)
    who = {"cik": cik} if cik else {"ticker": ticker}
    requests = v1_requests(who, filters)
    bodies = _fetch(client, V1_PATH, requests)
    scope = Scope.PERIODS if filters.whole_periods else Scope.WINDOW
    timeframes = frozenset(t.v1 for t in filters.timeframes)
    stored, rows, _ = taken_in(
        client,
        writers,
        named(V1_PATH, requests[0]),
        store_v1,
        str(lake.root),
        list(statements),
        bodies,
        {},
        scope,
        timeframes,
        observed_at,
        (filters.fiscal_year, filters.fiscal_quarter),
        ticker,
    )
    loaded = Loaded([(ticker, s.value) for s in statements])
    for counts in stored.values():
        loaded.counts.add(counts)
    loaded.empty = [] if rows[ticker] else list(loaded.units)
    return _tallied(loaded, client)


def load_v2(
    client: Client,
    lake: Lake,
    writers: Writers,
    companies: Mapping[str, Sequence[str]],
    statement: Statement,
    filters: Filters,
    scope: Scope | None = None,
) -> Loaded:
    """Load one statement of some tickers from v2, in as few requests as their pages need.

    `companies`: ticker → CIKs; a ticker without a known CIK is asked for by its symbol.

    Raises:
        ApiError: a page failed for good, and nothing was stored; or a row cannot be taken in.
        LakeError, OSError: the lake cannot be used.
    """
    observed_at = datetime.now(UTC)
    timeframes = v2_timeframes(statement, filters)
    loaded = Loaded([(ticker, statement.value) for ticker in companies])
    if not timeframes:  # only trailing twelve months wanted, which balance sheets have not
        loaded.empty = list(loaded.units)
        return loaded
    ciks = sorted({cik for known in companies.values() for cik in known})
    symbols = [ticker for ticker, known in companies.items() if not known]
    requests = [v2_request(statement, filters, ciks=some) for some in even_groups(ciks, VALUES)]
    requests += [
        v2_request(statement, filters, tickers=some) for some in even_groups(symbols, VALUES)
    ]
    if scope is None:
        scope = Scope.PERIODS if filters.whole_periods else Scope.WINDOW
    with writers.room():
        loaded.counts, rows, loaded.rows_unfollowed = taken_in(
            client,
            writers,
            named(statement.v2_path, requests[0]),
            store_v2,
            str(lake.root),
            statement,
            _fetch(client, statement.v2_path, requests),
            dict(companies),
            scope,
            frozenset(timeframes),
            observed_at,
            symbols[0] if len(symbols) == 1 and not ciks else None,
        )
    loaded.empty = [(ticker, statement.value) for ticker, count in rows.items() if not count]
    return _tallied(loaded, client)


def load_v2_splitting(
    client: Client,
    lake: Lake,
    writers: Writers,
    companies: Mapping[str, Sequence[str]],
    statement: Statement,
    filters: Filters,
    scope: Scope | None = None,
) -> tuple[Loaded, dict[str, FundamentalsError]]:
    """Load a batch; where it fails for good, split it until the guilty ticker is alone.

    Returns (what was loaded, ticker → error of those that failed). What would fail for
    every ticker (key, plan, endpoint gone, the API down) is not tried again in halves.

    Raises:
        LakeError, OSError: the lake cannot be used.
    """
    loaded = Loaded()

    def load(some: Sequence[str]) -> None:
        batch = {ticker: companies[ticker] for ticker in some}
        loaded.add(load_v2(client, lake, writers, batch, statement, filters, scope))

    failed = splitting(list(companies), load)
    return _tallied(loaded, client), failed


def _tallied(loaded: Loaded, client: Client) -> Loaded:
    loaded.requests = client.tally.requests
    loaded.retries = client.tally.retries
    loaded.brownouts, loaded.sunset = client.tally.brownouts, client.tally.sunset
    return loaded


def known_ciks(lake: Lake, ticker: str) -> set[str]:
    """Return the CIKs under which the lake holds records of a ticker, in either generation.

    Only the indexes are read, so a file that an older tool left counts once it was loaded.
    """
    found: set[str] = set()
    for generation in Generation:
        for statement in Statement:
            known = index.written(lake.dataset(generation, statement), ticker)
            found.update(cik_of(key) for key in known.rows)
    return {cik for cik in found if not cik.startswith("ticker:")}


def resolve_companies(client: Client, lake: Lake, tickers: Sequence[str]) -> dict[str, list[str]]:
    """Return ticker → CIKs, from v2's balance sheets and from what the lake holds.

    A ticker may span several companies, and a renamed one returns a short history that
    its CIK has in full: so companies are found by ticker once and then loaded by CIK.

    Raises:
        ApiError: a page failed for good.
    """
    found: dict[str, set[str]] = {ticker: known_ciks(lake, ticker) for ticker in tickers}
    for some in even_groups(tickers, VALUES):
        _ask_whose(client, some, found)
    return {ticker: sorted(ciks) for ticker, ciks in found.items()}


def _ask_whose(client: Client, tickers: Sequence[str], found: dict[str, set[str]]) -> None:
    """Add the CIKs behind some tickers to `found`.

    A row may lack its `tickers`. What a single ticker gives is its own all the same, so those
    that seem to have none are asked again in halves where a company came that is nobody's.
    """
    statement = Statement.BALANCE_SHEETS
    params = v2_request(statement, Filters(), tickers=tickers)
    params.pop("timeframe.any_of", None)
    silent, strangers = dict.fromkeys(tickers), False
    for page in client.pages(statement.v2_path, params):
        rows = page.heads
        alone = {tickers[0]: list(range(len(rows)))} if len(tickers) == 1 else None
        places = alone or follow(rows, {ticker: sorted(found[ticker]) for ticker in tickers})
        said = ((i, ten_digits(row["cik"])) for i, row in enumerate(rows))
        ciks = {i: cik for i, cik in said if cik and isinstance(cik, str)}
        for ticker, positions in places.items():
            found[ticker].update(ciks[i] for i in positions if i in ciks)
            if positions:
                silent.pop(ticker, None)
        known = set().union(*found.values())
        strangers |= not known.issuperset(ciks.values())
    if strangers:
        for some in even_groups(list(silent), -(-len(silent) // 2) or 1):
            _ask_whose(client, some, found)


def resolve_splitting(
    client: Client, lake: Lake, tickers: Sequence[str]
) -> tuple[dict[str, list[str]], dict[str, FundamentalsError]]:
    """Find the companies of some tickers; where that fails for good, ask for fewer at once.

    Returns (ticker → CIKs, ticker → error of those that failed).
    """
    companies: dict[str, list[str]] = {}

    def resolve(some: Sequence[str]) -> None:
        companies.update(resolve_companies(client, lake, some))

    failed = splitting(tickers, resolve)
    return companies, failed
