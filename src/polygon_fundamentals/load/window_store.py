"""Storing pages of a window: work for a writer process.

A window says nothing of what it does not hold. Two cares come with that: a v2 row
may bring a new label to a period that the lake knows (then the period is asked for again),
and a v1 filing may be older than the one that stands (then the older one is a revision).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from polygon_fundamentals.lake import Lake, files, index, revisions
from polygon_fundamentals.lake.commit import Counts, Incoming, Scope, commit
from polygon_fundamentals.lake.paths import Dataset, bucket_of
from polygon_fundamentals.load.store import follow
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.normalise import v1_tables, v2_table
from polygon_fundamentals.normalise.content import content_hashes, period_of, record_keys
from polygon_fundamentals.normalise.exact import parse_rows
from polygon_fundamentals.normalise.v1 import v1_positions
from polygon_fundamentals.statements import Generation, Statement

Annual = tuple[str, str]  # CIK and last day of a fiscal year


def relabelled(
    root: str, statement: Statement, body: bytes, companies: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return CIK → period ends for which a v2 page brings a label that the lake lacks.

    Only periods that the lake holds under another label, of companies that it follows.
    """
    rows = parse_rows(body)
    places = {ticker: found for ticker, found in follow(rows, companies).items() if found}
    dataset = Lake(Path(root)).dataset(Generation.V2, statement)
    wanted = sorted({i for positions in places.values() for i in positions})
    if not wanted:
        return {}
    keys = dict(
        zip(
            wanted,
            record_keys(v2_table([rows[i] for i in wanted], statement, _NEVER), Generation.V2),
            strict=True,
        )
    )
    found: dict[str, set[str]] = {}
    for ticker, positions in places.items():
        known = index.written(dataset, ticker).rows
        periods = {period_of(key) for key in known}
        for i in positions:
            cik = rows[i].get("cik")
            if cik and keys[i] not in known and period_of(keys[i]) in periods:
                found.setdefault(cik, set()).add(rows[i]["period_end"])
    return {cik: sorted(ends) for cik, ends in found.items()}


_NEVER = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def store_v1_pages(
    root: str,
    statements: Sequence[Statement],
    bodies: Sequence[bytes],
    companies: Mapping[str, Sequence[str]],
    timeframes: frozenset[str],
    observed_at: datetime,
    undated_only: bool = False,
    owner: str | None = None,
) -> tuple[Counts, int, list[Annual]]:
    """Upsert pages of v1's records into the files of the followed tickers.

    `undated_only` leaves dated records out; `owner` is the ticker that was asked for, to
    which all records then belong. Returns (counts, records that nobody follows,
    fiscal years of which a followed company filed the annual report).

    Raises:
        LakeError, OSError: as `commit`.
    """
    rows = [
        row
        for body in bodies
        for row in parse_rows(body)
        if _timeframe(row) in timeframes and not (undated_only and row.get("filing_date"))
    ]
    lake, counts = Lake(Path(root)), Counts()
    everyone = {owner: list(range(len(rows)))} if owner else follow(rows, companies)
    places = {ticker: found for ticker, found in everyone.items() if found}
    tables, kept = v1_tables(rows, observed_at), v1_positions(rows)
    for statement in statements:
        position = {row: i for i, row in enumerate(kept[statement])}
        own = {t: [position[i] for i in found if i in position] for t, found in places.items()}
        dataset = lake.dataset(Generation.V1, statement)
        own = _without_older(dataset, tables[statement], own, observed_at, counts)
        incoming = Incoming(tables[statement], own, Scope.WINDOW, timeframes, observed_at)
        counts.add(commit(dataset, incoming))
    followed = {i for found in places.values() for i in found}
    annuals = {
        (str(rows[i]["cik"]), str(rows[i]["end_date"]))
        for i in followed
        if _timeframe(rows[i]) == "annual" and rows[i].get("cik") and rows[i].get("end_date")
    }
    return counts, len(rows) - len(followed), sorted(annuals)


def _timeframe(row: Mapping[str, Any]) -> str:
    said = row.get("timeframe")
    if said:
        return str(said)
    return {"FY": "annual", "TTM": "ttm"}.get(str(row.get("fiscal_period")), "quarterly")


def _rank(table: pa.Table, position: int) -> tuple[str, str]:
    """Return what tells which of two filings of a period is the later (DESIGN.md, section 1)."""
    accepted, filed = (
        table[name][position].as_py() for name in ("acceptance_datetime", "filing_date")
    )
    return str(accepted or ""), str(filed or "")


def _without_older(
    dataset: Dataset,
    table: pa.Table,
    places: Mapping[str, Sequence[int]],
    observed_at: datetime,
    counts: Counts,
) -> dict[str, list[int]]:
    """Return the places without records that a later filing in the lake has superseded.

    A window may hold an original filing and not its amendment; taken as it comes it would
    put the original back. What is left out is kept as a revision.
    """
    keys = record_keys(table, dataset.generation)
    hashes = content_hashes(table) if keys else []
    kept: dict[str, list[int]] = {}
    for ticker, positions in places.items():
        known = index.written(dataset, ticker).rows
        older = [
            i
            for i in positions
            if keys[i] in known
            and known[keys[i]][1] != hashes[i]
            and _stands(dataset, ticker, known[keys[i]][0], keys[i]) > _rank(table, i)
        ]
        kept[ticker] = [i for i in positions if i not in set(older)]
        if older:
            counts.rows_received += len(older)
            counts.rows_unchanged += len(older)
            _keep_older(dataset, ticker, table, older, keys, hashes, observed_at, counts)
    return kept


def _stands(dataset: Dataset, ticker: str, partition: int, key: str) -> tuple[str, str]:
    """Return the rank of the record that stands under a key; the lowest where none is found."""
    stored = index.read_file(dataset, partition, ticker)
    if stored is None or key not in stored.keys:
        return ("", "")
    last = len(stored.keys) - 1 - stored.keys[::-1].index(key)
    return _rank(stored.table, last)


def _keep_older(
    dataset: Dataset,
    ticker: str,
    table: pa.Table,
    older: Sequence[int],
    keys: Sequence[str],
    hashes: Sequence[str],
    observed_at: datetime,
    counts: Counts,
) -> None:
    with exclusive(dataset.lake.lock(f"{dataset.name}.{bucket_of(ticker):02d}")):
        told = revisions.contents(dataset, ticker)
        fresh = [i for i in older if (keys[i], hashes[i]) not in told]
        if fresh:
            rows = files.with_ticker(files.pick(table, fresh), ticker)
            events = [revisions.SUPERSEDED] * len(fresh)
            found = revisions.as_revisions(rows, events, observed_at)
            counts.bytes_written += revisions.append(dataset, ticker, found)


def undated_missing(
    root: str,
    annuals: Sequence[Annual],
    statements: Sequence[Statement],
    companies: Mapping[str, Sequence[str]],
) -> list[Annual]:
    """Return the fiscal years whose derived fourth quarter the v1 lake does not hold yet."""
    lake = Lake(Path(root))
    by_cik: dict[str, str] = {}
    for ticker, ciks in companies.items():
        for cik in ciks:
            by_cik.setdefault(cik, ticker)
    missing = []
    for cik, end in annuals:
        start = f"{cik}|quarterly|{end}|"
        datasets = (lake.dataset(Generation.V1, statement) for statement in statements)
        owner = by_cik.get(cik)
        if owner is not None and not any(
            key.startswith(start) for d in datasets for key in index.written(d, owner).rows
        ):
            missing.append((cik, end))
    return missing
