"""From the bodies of an answer to rows in the lake: work for a writer process.

Functions here take a `StoreJob` of plain values, so that they can run in another process.

A window says nothing of what it does not hold. Two cares come with that: a v2 row may bring a
new label or end to a period that the lake knows (then the period is asked for again), and a v1
filing may be older than the one that stands (then the older one is a revision).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from polygon_fundamentals.datasets.keys import (
    cik_of,
    cik_of_key,
    end_of,
    period_of,
    record_keys,
)
from polygon_fundamentals.errors import DamagedFileError, FormatError
from polygon_fundamentals.lake import Lake, index
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.partial import moved
from polygon_fundamentals.normalise import v1_tables, v2_table
from polygon_fundamentals.normalise.columns import ten_digits
from polygon_fundamentals.normalise.exact import JsonObject, parse_pieces, parse_rows
from polygon_fundamentals.normalise.v1 import TIMEFRAME_OF_PERIOD, v1_positions
from polygon_fundamentals.reports import UpsertCounts
from polygon_fundamentals.statements import Generation, Statement

Companies = Mapping[str, Sequence[str]]  # followed ticker → its CIKs
Period = tuple[str, str]  # CIK and last day
Span = tuple[str, str]  # first and last day on which a period may end
Report = tuple[str, str, str]  # timeframe, CIK and last day of a record with a filing date
_NEVER = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class StoreJob:
    """Pages of one answer and what was asked for with them.

    `owner` is the ticker that alone was asked for: all rows are its own, whatever they say of
    themselves. `fiscal` is the fiscal year and quarter of v1 records to store, `window` says
    that records of other timeframes than those asked for are passed over, and `undated_only`
    that dated ones are. `rows` of v1 may be given beside `bodies`, as `parse_rows` returns them.
    `ends` is as in `Incoming`.
    """

    root: str
    statements: Sequence[Statement]
    bodies: Sequence[bytes]
    companies: Companies
    scope: Scope
    timeframes: frozenset[str]
    observed_at: datetime
    owner: str | None = None
    fiscal: tuple[int | None, int | None] = (None, None)
    window: bool = False
    undated_only: bool = False
    rows: Sequence[JsonObject] = ()
    ends: Span | None = None


@dataclass(frozen=True)
class Stored:
    """What became of an answer: `reports` are the dated records that a window brought."""

    counts: UpsertCounts
    rows_by_ticker: Mapping[str, int]
    unfollowed: int
    reports: tuple[Report, ...] = ()


def store_v2(job: StoreJob) -> Stored:
    """Upsert an answer of v2, about one statement, into the files of the followed tickers.

    Raises:
        LakeError, OSError: as `commit`.
    """
    (statement,) = job.statements
    places: dict[str, list[int]] = {ticker: [] for ticker in job.companies}
    tables = [v2_table([], statement, job.observed_at)]
    count = 0
    for rows in chain.from_iterable(map(parse_pieces, job.bodies)):
        if job.owner:
            refuse_other_companies(rows, job.owner)
        own = {job.owner: range(len(rows))} if job.owner else follow(rows, job.companies)
        for ticker, positions in own.items():
            places[ticker] += [count + i for i in positions]
        tables.append(v2_table(rows, statement, job.observed_at))
        count += len(rows)
    table = pa.concat_tables(tables).combine_chunks()
    dataset = Lake(Path(job.root)).dataset(Generation.V2, statement)
    # Of the whole market few tickers have rows in a window, and only they need be looked at.
    named = {ticker: positions for ticker, positions in places.items() if positions}
    incoming = Incoming(table, named, job.scope, job.timeframes, job.observed_at, ends=job.ends)
    return _stored(commit(dataset, incoming), places, count)


def store_v1(job: StoreJob, damaged: dict[str, DamagedFileError] | None = None) -> Stored:
    """Upsert an answer of v1 into the datasets of the statements of the followed tickers.

    `damaged` is as in `commit`.

    Raises:
        LakeError, OSError: as `commit`.
    """
    wanted = _in_window if job.window else _in_fiscal
    given = [*job.rows, *(row for body in job.bodies for row in parse_rows(body))]
    rows = [row for row in given if wanted(row, job)]
    if job.owner and not job.window:
        refuse_other_companies(rows, job.owner)
    if job.owner:
        places: dict[str, list[int]] = {job.owner: list(range(len(rows)))}
    else:
        places = {t: positions for t, positions in follow(rows, job.companies).items() if positions}
    lake, counts = Lake(Path(job.root)), UpsertCounts()
    tables, by_statement = v1_tables(rows, job.observed_at), v1_positions(rows)
    for statement in job.statements:
        position = {row: i for i, row in enumerate(by_statement[statement])}
        own = {t: [position[i] for i in mine if i in position] for t, mine in places.items()}
        raw = [rows[i] for i in by_statement[statement]]
        incoming = Incoming(tables[statement], own, job.scope, job.timeframes, job.observed_at, raw)
        counts += commit(lake.dataset(Generation.V1, statement), incoming, damaged)
    reports = _reports(rows, places) if job.window else ()
    return _stored(counts, places, len(rows), reports)


def _stored(
    counts: UpsertCounts, places: Mapping[str, list[int]], rows: int, reports: Sequence[Report] = ()
) -> Stored:
    followed = {position for positions in places.values() for position in positions}
    by_ticker = {ticker: len(positions) for ticker, positions in places.items()}
    return Stored(counts, by_ticker, rows - len(followed), tuple(reports))


def follow(rows: Sequence[Mapping[str, Any]], companies: Companies) -> dict[str, list[int]]:
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


def refuse_other_companies(rows: Sequence[Mapping[str, Any]], ticker: str) -> None:
    """Refuse rows that cannot be the answer to a request for one ticker.

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
    others = sorted(str(cik) for cik, is_named in named.items() if not is_named)
    if len(others) > 1:
        raise FormatError(
            f"the answer for {ticker} holds rows of {len(others)} other companies (such as CIK "
            f"{others[0]}), so the server ignored the filter; nothing was stored. Check "
            "--base-url, then run again"
        )


def _in_fiscal(row: Mapping[str, Any], job: StoreJob) -> bool:
    year, quarter = job.fiscal
    if year is not None and str(row.get("fiscal_year")) != str(year):
        return False
    wanted = ("FY", "Q4") if quarter == 4 else (f"Q{quarter}",)
    return quarter is None or row.get("fiscal_period") in wanted


def _in_window(row: Mapping[str, Any], job: StoreJob) -> bool:
    dated = job.undated_only and row.get("filing_date")
    return not dated and claimed_timeframe(row) in job.timeframes


def claimed_timeframe(row: Mapping[str, Any]) -> str:
    """Return the timeframe of a v1 record, of its fiscal period where it does not say it."""
    of_period = TIMEFRAME_OF_PERIOD.get(str(row.get("fiscal_period")), "quarterly")
    return str(row.get("timeframe") or of_period)


def _reports(
    rows: Sequence[Mapping[str, Any]], places: Mapping[str, Sequence[int]]
) -> list[Report]:
    """Return what followed companies reported: the records with a filing date."""
    reports = {
        (claimed_timeframe(rows[i]), str(rows[i]["cik"]), str(rows[i]["end_date"]))
        for positions in places.values()
        for i in positions
        if all(rows[i].get(name) for name in ("filing_date", "cik", "end_date"))
    }
    return sorted(reports)


def relabelled(job: StoreJob) -> dict[str, list[Span]]:
    """Return CIK → the periods that a v2 page brings under a label or an end that the lake lacks.

    Only periods that the lake holds under another one, of companies that it follows. A span goes
    from the earlier to the later of a period's two ends.
    """
    (statement,), (body,) = job.statements, job.bodies
    rows = parse_rows(body)
    places = {t: positions for t, positions in follow(rows, job.companies).items() if positions}
    dataset = Lake(Path(job.root)).dataset(Generation.V2, statement)
    wanted = sorted({i for positions in places.values() for i in positions})
    if not wanted:
        return {}
    table = v2_table([rows[i] for i in wanted], statement, _NEVER)
    keys = dict(zip(wanted, record_keys(table, Generation.V2), strict=True))
    spans: dict[str, set[Span]] = {}
    for ticker, positions in places.items():
        known = index.written(dataset, ticker).rows
        periods = {period_of(key) for key in known}
        new = [k for i in positions if (k := keys[i]) not in known and cik_of_key(k) and end_of(k)]
        others = moved(new, known)
        for key in new:
            if key in others or period_of(key) in periods:
                first, last = sorted((end_of(key), end_of(others.get(key, key))))
                spans.setdefault(cik_of(key), set()).add((first, last))
    return {cik: sorted(own) for cik, own in spans.items()}


def undated_missing(
    lake: Lake,
    timeframe: str,
    periods: Sequence[Period],
    statements: Sequence[Statement],
    companies: Companies,
) -> list[Period]:
    """Return the periods whose record of a timeframe the v1 lake does not hold yet."""
    by_cik: dict[str, str] = {}
    for ticker, ciks in companies.items():
        for cik in ciks:
            by_cik.setdefault(cik, ticker)
    missing = []
    for cik, end in periods:
        start = f"{cik}|{timeframe}|{end}|"
        datasets = (lake.dataset(Generation.V1, statement) for statement in statements)
        owner = by_cik.get(cik)
        if owner is not None and not any(
            key.startswith(start) for d in datasets for key in index.written(d, owner).rows
        ):
            missing.append((cik, end))
    return missing
