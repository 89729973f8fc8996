"""From the bodies of an answer to rows in the lake: work for a writer process.

Functions here take and return plain values, so that they can run in another process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from polygon_fundamentals.errors import FormatError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Counts, Incoming, Scope, commit
from polygon_fundamentals.normalise import v1_tables, v2_table
from polygon_fundamentals.normalise.columns import ten_digits
from polygon_fundamentals.normalise.exact import parse_pieces, parse_rows
from polygon_fundamentals.normalise.v1 import v1_positions
from polygon_fundamentals.statements import Generation, Statement

Stored = dict[str, Counts]


def store_v2(
    root: str,
    statement: Statement,
    bodies: Sequence[bytes],
    companies: Mapping[str, Sequence[str]],
    scope: Scope,
    timeframes: frozenset[str],
    observed_at: datetime,
    everything: str | None = None,
) -> tuple[Counts, dict[str, int], int]:
    """Upsert an answer of v2 into the files of the followed tickers.

    `companies`: followed ticker → its CIKs. `everything` names the ticker that alone was asked
    for: all rows are its own, whatever they say of themselves. Returns (counts, rows by ticker,
    rows that nobody follows).

    Raises:
        LakeError, OSError: as `commit`.
    """
    places: dict[str, list[int]] = {ticker: [] for ticker in companies}
    tables = [v2_table([], statement, observed_at)]
    count = 0
    for rows in chain.from_iterable(map(parse_pieces, bodies)):
        if everything:
            refuse_strangers(rows, everything)
        own = {everything: range(len(rows))} if everything else follow(rows, companies)
        for ticker, found in own.items():
            places[ticker] += [count + i for i in found]
        tables.append(v2_table(rows, statement, observed_at))
        count += len(rows)
    table = pa.concat_tables(tables).combine_chunks()
    dataset = Lake(Path(root)).dataset(Generation.V2, statement)
    # Of the whole market few tickers have rows in a window, and only they need be looked at.
    named = {ticker: found for ticker, found in places.items() if found}
    counts = commit(dataset, Incoming(table, named, scope, timeframes, observed_at))
    followed = {position for positions in places.values() for position in positions}
    by_ticker = {ticker: len(positions) for ticker, positions in places.items()}
    return counts, by_ticker, count - len(followed)


def store_v1(
    root: str,
    statements: Sequence[Statement],
    bodies: Sequence[bytes],
    companies: Mapping[str, Sequence[str]],
    scope: Scope,
    timeframes: frozenset[str],
    observed_at: datetime,
    fiscal: tuple[int | None, int | None] = (None, None),
    everything: str | None = None,
) -> tuple[Stored, dict[str, int], int]:
    """Upsert an answer of v1 into the datasets of `statements`.

    `everything` names the ticker that was asked for: all records are its own, whatever
    they say of themselves. `fiscal` is the fiscal year and quarter to keep. Returns
    (counts by statement, records by ticker, records that nobody follows).

    Raises:
        LakeError, OSError: as `commit`.
    """
    rows = [row for body in bodies for row in parse_rows(body) if _in_fiscal(row, fiscal)]
    lake = Lake(Path(root))
    if everything:
        refuse_strangers(rows, everything)
    places = {everything: range(len(rows))} if everything else follow(rows, companies)
    tables = v1_tables(rows, observed_at)
    kept = v1_positions(rows)
    stored: Stored = {}
    for statement in statements:
        position = {row: i for i, row in enumerate(kept[statement])}
        own = {t: [position[i] for i in found if i in position] for t, found in places.items()}
        incoming = Incoming(tables[statement], own, scope, timeframes, observed_at)
        stored[statement] = commit(lake.dataset(Generation.V1, statement), incoming)
    followed = {i for found in places.values() for i in found}
    return stored, {t: len(found) for t, found in places.items()}, len(rows) - len(followed)


def follow(
    rows: Sequence[Mapping[str, Any]], companies: Mapping[str, Sequence[str]]
) -> dict[str, list[int]]:
    """Return followed ticker → positions of its rows: by CIK first, then by `tickers`."""
    by_cik: dict[str, list[str]] = {}
    for ticker, ciks in companies.items():
        for cik in ciks:
            by_cik.setdefault(ten_digits(cik), []).append(ticker)
    places: dict[str, list[int]] = {ticker: [] for ticker in companies}
    for position, row in enumerate(rows):
        company, symbols = ten_digits(row.get("cik")), row.get("tickers")
        owners = by_cik.get(company, []) if isinstance(company, str) else []
        texts = [s for s in symbols if isinstance(s, str)] if isinstance(symbols, list) else []
        named = [symbol for symbol in texts if symbol in places]
        for ticker in dict.fromkeys((*owners, *named)):
            places[ticker].append(position)
    return places


def refuse_strangers(rows: Sequence[Mapping[str, Any]], ticker: str) -> None:
    """Return nothing where the rows can be what a request for one ticker gives.

    A ticker may have had two companies, and a renamed company's rows name its new ticker alone.
    Several companies whose rows all name other tickers mean that the server ignored the filter.

    Raises:
        FormatError: more than one company names tickers, and never this one.
    """
    named: dict[Any, bool] = {}
    for row in rows:
        symbols = row.get("tickers")
        if isinstance(symbols, list) and symbols:
            cik = ten_digits(row.get("cik"))
            named[cik] = named.get(cik, False) or ticker in symbols
    strangers = sorted(str(cik) for cik, is_named in named.items() if not is_named)
    if len(strangers) > 1:
        raise FormatError(
            f"the answer for {ticker} holds rows of {len(strangers)} other companies (such as CIK "
            f"{strangers[0]}), so the server ignored the filter; nothing was stored. Check "
            "--base-url, then run again"
        )


def _in_fiscal(row: Mapping[str, Any], fiscal: tuple[int | None, int | None]) -> bool:
    year, quarter = fiscal
    if year is not None and str(row.get("fiscal_year")) != str(year):
        return False
    wanted = ("FY", "Q4") if quarter == 4 else (f"Q{quarter}",)
    return quarter is None or row.get("fiscal_period") in wanted
