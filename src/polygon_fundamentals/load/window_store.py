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

from polygon_fundamentals.datasets.keys import period_of, record_keys
from polygon_fundamentals.lake import Lake, index
from polygon_fundamentals.lake.commit import Counts, Incoming, Scope, commit
from polygon_fundamentals.load.store import follow
from polygon_fundamentals.normalise import v1_tables, v2_table
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
            cik, _, end = period_of(keys[i]).rsplit("|", 2)
            named = not cik.startswith("ticker:") and end
            if named and keys[i] not in known and period_of(keys[i]) in periods:
                found.setdefault(cik, set()).add(end)
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
