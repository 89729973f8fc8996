"""v1's filings as its API listed them: what is in the lake, and originals beside amendments.

The lake keeps one row per record key, the latest filing; v1 listed a 10-K and its amendment as two
records. The earlier filing is in the revisions, or in the file of an older tool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.datasets.flat import flat_schema, flattened
from polygon_fundamentals.datasets.keys import filing_order, record_keys
from polygon_fundamentals.datasets.schemas import MOMENT, TEXT, schema
from polygon_fundamentals.lake import cache, codec, revisions
from polygon_fundamentals.lake.archived_lines import read_archived_records
from polygon_fundamentals.lake.archived_rows import read_archived_versions
from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.listing import by_bucket, states
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.periods.companies import ticker_ciks
from polygon_fundamentals.silver import known_dates
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view.lake_files import ARCHIVED, REVISIONS, Place

# Files whose tables are held until they are made one, a quarter of a megabyte each.
TOGETHER = 25

Parts = Mapping[str, Mapping[Place, object]]  # ticker → its files


@dataclass(frozen=True)
class Versions:
    """All rows of v1 that the lake holds of some tickers in one statement.

    `table` has the bronze schema with `event` and `superseded_at`, null for rows in files; or the
    flat schema with `place` too: the partition of a row's file, `REVISIONS` or `ARCHIVED`.
    `is_ours` says of each row whether it is from one of our files.
    """

    table: pa.Table
    is_ours: list[bool]


def v1_filings(
    lake: Lake, parts: Parts, day: date | None, *, bare: bool = False
) -> dict[Statement, pa.Table]:
    """Return the filings of some tickers in v1's bronze schema, by statement.

    With `day` those that were known at its end, in the form that they had then. With `bare` no
    file is opened whose rows are in the lake's cache: what the tables have instead of the lines is
    the `place` of each row.

    Raises:
        DamagedFileError: a file cannot be read; the text names it.
        FileNotFoundError: one moved meanwhile.
    """
    versions_of = _listed_versions if bare else _versions
    versions = {s: versions_of(lake.dataset(Generation.V1, s), parts) for s in Statement}
    if day is None:
        return {s: _pick(v.table, _current_rows(v), _everything(v)) for s, v in versions.items()}
    moment = np.datetime64(day, "D").astype("int64")
    flat = {
        s: v.table if bare else _flat(v.table, lake.dataset(Generation.V1, s))
        for s, v in versions.items()
    }
    ciks = ticker_ciks(list(flat.values()), {})
    first = pd.concat([known_dates.first_filings(t, Generation.V1, ciks) for t in flat.values()])
    first = first.groupby(level=[0, 1]).min()
    picked = {}
    for statement, table in flat.items():
        if not table.num_rows:
            picked[statement] = _pick(versions[statement].table, [], [])
            continue
        spans = known_dates.lifetimes(table, Generation.V1, ciks, first)
        known = spans["since"] <= moment
        current = known & (moment < spans["until"])
        rows = (spans.loc[some, "row"].tolist() for some in (current, known))
        picked[statement] = _pick(versions[statement].table, *rows)
    return picked


def _versions(dataset: Dataset, parts: Parts) -> Versions:
    wanted = _standing_rows(schema(Generation.V1, dataset.statement).empty_table()).schema
    pieces, ours = [wanted.empty_table()], list[bool]()
    for ticker, places in parts.items():
        months = sorted(m for name, m in places if name == dataset.name)
        if REVISIONS in months:
            rows = revisions.read(dataset, ticker).drop_columns(["known_from"])
            pieces.append(rows.cast(wanted))
            ours += [True] * rows.num_rows
        for month in months:
            if month != REVISIONS:
                rows, is_ours = codec.read(dataset.file(month, ticker), dataset, ticker)
                pieces.append(_standing_rows(codec.with_ticker(rows, ticker)).cast(wanted))
                ours += [is_ours] * rows.num_rows
                if len(pieces) > TOGETHER:
                    pieces = [pa.concat_tables(pieces).combine_chunks()]
    archived = read_archived_records(dataset, parts, lambda rows: _not_in(pieces, rows))
    if archived is not None:
        pieces.append(_standing_rows(archived).cast(wanted))
        # Of a record that stood in two files both are there, and the later filing counts.
        ours += [False] * archived.num_rows
    return Versions(pa.concat_tables(pieces), ours)


def _listed_versions(dataset: Dataset, parts: Parts) -> Versions:
    """Return all rows in the flat schema, as the lake's cache has them, and where each is."""
    statement = dataset.statement
    flat = flat_schema(Generation.V1, statement).names[:-1]
    buckets = sorted({bucket_of(ticker) for ticker in parts})
    shown = by_bucket(states(dataset, buckets))
    read_dataset(dataset, parts, shown)  # brings the cache up to date
    pieces, ours = [], []

    def add(rows: pa.Table, places: pa.Array) -> None:
        if "event" not in rows.schema.names:
            rows = _standing_rows(rows)
        pieces.append(rows.select([*flat, "event", "superseded_at"]).append_column("place", places))

    for ticker, places in parts.items():
        if (dataset.name, REVISIONS) in places:
            rows = revisions.read(dataset, ticker)
            add(_flat(rows, dataset), pa.repeat(pa.scalar(REVISIONS, pa.int32()), rows.num_rows))
            ours += [True] * rows.num_rows
    # A bucket whose files are all gone, as a cleanup leaves it, keeps its rows in the cache.
    files = {f"{m}/{t}" for t, places in parts.items() for n, m in places if n == dataset.name}
    for bucket in buckets:
        rows = cache.of_files(cache.rows(dataset, bucket), files)
        rows = rows.sort_by([("ticker", "ascending"), ("partition", "ascending")])
        add(rows, rows["partition"].combine_chunks())
        ours += rows[cache.OURS.name].to_pylist()
    archived = read_archived_versions(dataset, parts)
    if archived is not None:
        rows = _not_in(pieces, archived)
        add(rows, pa.repeat(pa.scalar(ARCHIVED, pa.int32()), rows.num_rows))
        ours += [False] * rows.num_rows
    return Versions(pa.concat_tables(pieces).combine_chunks(), ours)


def _not_in(pieces: Sequence[pa.Table], archived: pa.Table) -> pa.Table:
    """Return the archived rows of records that no file holds; a revision is not the record."""
    standing = {
        key
        for piece in pieces
        for key, event in zip(_records(piece), piece["event"].to_pylist(), strict=True)
        if event is None
    }
    return archived.filter(
        pa.array([key not in standing for key in _records(archived)], pa.bool_())
    )


def _standing_rows(rows: pa.Table) -> pa.Table:
    rows = rows.append_column("event", pa.nulls(rows.num_rows, TEXT))
    return rows.append_column("superseded_at", pa.nulls(rows.num_rows, MOMENT))


def _flat(table: pa.Table, dataset: Dataset) -> pa.Table:
    rows = table.drop_columns(["event", "superseded_at"])
    flat = flattened(rows, dataset.generation, dataset.statement)
    for name in ("event", "superseded_at"):
        flat = flat.append_column(name, table[name])
    return flat.combine_chunks()


def _records(table: pa.Table) -> list[str]:
    keys = record_keys(table, Generation.V1)
    return [f"{t}\x1f{k}" for t, k in zip(table["ticker"].to_pylist(), keys, strict=True)]


def _everything(versions: Versions) -> list[int]:
    """Return the rows that may be other filings: all but withdrawn ones."""
    events = versions.table["event"].to_pylist()
    return [i for i, event in enumerate(events) if event != revisions.WITHDRAWN]


def _current_rows(versions: Versions) -> list[int]:
    """Return the row of each record that stands in the lake, as the lake's own readers take it."""
    table = versions.table
    filings = filing_order(table, Generation.V1).tolist()
    moments = table["observed_at"].cast(pa.int64()).to_pylist()
    rivals: dict[str, list[int]] = {}
    for i, (key, event) in enumerate(zip(_records(table), table["event"].to_pylist(), strict=True)):
        if event is None:
            rivals.setdefault(key, []).append(i)

    def lateness(i: int, by_filing: bool) -> tuple[list[int], int]:
        return (filings[i] if by_filing else [], moments[i])

    return [
        rows[0]
        if len(rows) == 1
        # Two of our files hold a record after a move that was cut off.
        else max(rows, key=lambda i: lateness(i, not all(versions.is_ours[r] for r in rows)))
        for rows in rivals.values()
    ]


def _pick(table: pa.Table, current: Sequence[int], known: Sequence[int]) -> pa.Table:
    """Return the current rows, and those of `known` that are other filings of their records."""
    keys = _records(table)
    chosen = {keys[i]: i for i in current}
    several: dict[str, list[int]] = {}
    for i in known:
        if keys[i] in chosen and chosen[keys[i]] != i:
            several.setdefault(keys[i], []).append(i)
    rows = list(current)
    if several:
        filings = [tuple(f) for f in filing_order(table, Generation.V1).tolist()]
        moments = table["observed_at"].cast(pa.int64()).to_pylist()
        dated = table["filing_date"].is_valid().to_pylist()
        for key, others in several.items():
            seen = [filings[chosen[key]]]
            for i in sorted(
                (i for i in others if dated[i]), key=lambda i: moments[i], reverse=True
            ):
                if not any(_is_same_filing(filings[i], other) for other in seen):
                    seen.append(filings[i])
                    rows.append(i)
    wanted = table.drop_columns(["event", "superseded_at"])
    return wanted.take(pa.array(sorted(rows), pa.int64())).combine_chunks()


def _is_same_filing(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Compare (acceptance or 0, filing date); a record may come without the first."""
    if one[0] and other[0]:
        return one[0] == other[0]
    return one[1] == other[1]
