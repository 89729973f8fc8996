"""Every version of every record: the lake's rows and, from the revisions, those before them.

Of v1 also those rows in the files of an older tool that share their record key with a later row.
For when each could be known, see `known_dates`.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.flat import flat_schema, flattened
from polygon_fundamentals.datasets.keys import PERIOD, content_hashes, filing_order, record_keys
from polygon_fundamentals.datasets.schemas import MOMENT, TEXT, schema
from polygon_fundamentals.lake import codec, revisions
from polygon_fundamentals.lake.file_names import ticker_of_file
from polygon_fundamentals.lake.listing import Shown
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.read import read_dataset, repeated_rows
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.lake.storage.checked import encoded
from polygon_fundamentals.statements import Generation

VERSION = 2
# Texts that no column of the table is made from; the widest of them by far.
_UNUSED = (
    "tickers",
    "company_name",
    "sic",
    "start_date",
    "source_filing_file_url",
    "id",
    "absent_fields",
    "unmapped",
    "partition",
)


def versions_schema(dataset: Dataset) -> pa.Schema:
    """Return the columns of `versions`: the flat ones in use, event and its moment.

    `event` is null for a row that stands in the lake.
    """
    flat = flat_schema(dataset.generation, dataset.statement)
    fields = [field for field in flat if field.name not in _UNUSED]
    return pa.schema([*fields, ("event", TEXT), ("superseded_at", MOMENT)])


def superseded(dataset: Dataset) -> pa.Table:
    """Return every revision of a dataset, in `versions_schema`; keeps a cache in `ops/cache`.

    Raises:
        DamagedFileError: a file of revisions cannot be read; the text names it.
    """
    now = _states(dataset)
    cached, known = _load_cache(dataset)
    fresh = [ticker for ticker, state in now.items() if known.get(ticker) != state]
    gone = (known.keys() - now.keys()) | set(fresh)
    if not gone:
        return cached
    pieces = [cached.filter(pc.invert(pc.is_in(cached["ticker"], pa.array(sorted(gone), TEXT))))]
    pieces += [_flat(dataset, revisions.read(dataset, ticker), ticker) for ticker in sorted(fresh)]
    table = pa.concat_tables(pieces).combine_chunks()
    with contextlib.suppress(OSError):  # a lake that may only be read: the next reader reads anew
        _save_cache(dataset, table, now)
    return table


def versions(
    dataset: Dataset, tickers: frozenset[str] | None = None, shown: Shown | None = None
) -> pa.Table:
    """Return current and superseded rows together, in `versions_schema`.

    `shown` as in `read_dataset`.

    Raises:
        DamagedFileError: a file cannot be read; the text names it.
    """
    # In this order a row that a load changes meanwhile is there twice, never not at all: without
    # its version before, a correction would seem to be known since the first filing.
    names = versions_schema(dataset).names[:-2]
    standing = read_dataset(dataset, tickers, shown).select(names)
    for field in ("event", TEXT), ("superseded_at", MOMENT):
        standing = standing.append_column(field[0], pa.nulls(standing.num_rows, field[1]))
    before = superseded(dataset)
    if tickers is not None:
        before = before.filter(pc.is_in(before["ticker"], pa.array(sorted(tickers), TEXT)))
    beside = _beside(dataset, standing, before)
    return pa.concat_tables([before, beside, standing]).combine_chunks()


def with_period_end(table: pa.Table, generation: Generation, left_out: Counter[str]) -> pa.Table:
    """Return the versions that have a period end; of the others those that stand are counted.

    `left_out` counts them by ticker.
    """
    has_end = pc.is_valid(table[PERIOD[generation][0]])
    if not table.num_rows or pc.all(has_end).as_py():
        return table
    stands = pc.and_(pc.invert(has_end), pc.is_null(table["event"]))
    left_out.update(table["ticker"].filter(stands).to_pylist())
    return table.filter(has_end)


def _beside(dataset: Dataset, standing: pa.Table, before: pa.Table) -> pa.Table:
    """Return the rows in v1's files that are neither in `standing` nor in the revisions `before`.

    Another tool kept an original beside its amendment, and appended rows twice: the same row
    again is no version. v2's files are of no other tool. In the order of their filings, then of
    the file; marked as superseded at once: they were never current.
    """
    nothing = versions_schema(dataset).empty_table()
    if dataset.generation is Generation.V2:
        return nothing
    rows = repeated_rows(dataset, pc.unique(standing["ticker"]).to_pylist())
    if not rows.num_rows:
        return nothing
    names = nothing.schema.names[:-2]
    rows = rows.select(names)
    frame = _identities(rows)
    frame[["accepted", "filed"]] = filing_order(rows, dataset.generation)
    frame = frame.sort_values(["record", "accepted", "filed"], kind="stable")
    identity = ["record", "content"]
    frame = frame[(frame[identity] != frame[identity].shift(-1)).any(axis=1)]
    tickers = pc.unique(rows["ticker"])
    stands, revised = (
        pd.MultiIndex.from_frame(frame[identity]).isin(
            pd.MultiIndex.from_frame(
                _identities(table.filter(pc.is_in(table["ticker"], tickers)).select(names))
            )
        )
        for table in (standing, before)
    )
    standing_rows = frame[stands].drop_duplicates("record", keep="last").index
    frame = frame[~revised & ~frame.index.isin(standing_rows)]
    superseded_rows = rows.take(pa.array(frame.index))
    event = pa.repeat(pa.scalar(revisions.SUPERSEDED, TEXT), superseded_rows.num_rows)
    return superseded_rows.append_column("event", event).append_column(
        "superseded_at", superseded_rows["observed_at"]
    )


def _identities(rows: pa.Table) -> pd.DataFrame:
    """Return the record (file and key) of each row of v1, and a hash of its content."""
    keys = zip(rows["ticker"].to_pylist(), record_keys(rows, Generation.V1), strict=True)
    return pd.DataFrame(
        {"record": ["|".join(key) for key in keys], "content": content_hashes(rows)}
    )


def _flat(dataset: Dataset, table: pa.Table, ticker: str) -> pa.Table:
    rows = codec.with_ticker(
        table.select(schema(dataset.generation, dataset.statement).names).combine_chunks(), ticker
    )
    flat = flattened(rows, dataset.generation, dataset.statement)
    wanted = versions_schema(dataset)
    columns = [
        table[name] if name in ("event", "superseded_at") else flat[name] for name in wanted.names
    ]
    return pa.table(columns, names=wanted.names).cast(wanted)


def _states(dataset: Dataset) -> dict[str, list[int]]:
    """Return ticker → time of change and size of its file of revisions."""
    folder = dataset.revisions_file("X").parent
    states: dict[str, list[int]] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                ticker = ticker_of_file(entry.name)
                if ticker is not None:
                    state = entry.stat()
                    states[ticker] = [state.st_mtime_ns, state.st_size]
    except FileNotFoundError:
        return {}
    return states


def _cache_file(dataset: Dataset) -> Path:
    return dataset.lake.ops / "cache" / f"{dataset.name}.revisions.parquet"


def _load_cache(dataset: Dataset) -> tuple[pa.Table, dict[str, list[int]]]:
    wanted = versions_schema(dataset)
    try:
        table = pq.read_table(
            _cache_file(dataset), partitioning=None, page_checksum_verification=True
        )
        known = orjson.loads((table.schema.metadata or {})[b"files"])
        if known.pop("version", None) == [VERSION] and table.schema.remove_metadata().equals(
            wanted
        ):
            return table.replace_schema_metadata(None).cast(wanted), known
    except (KeyError, OSError, ValueError, pa.ArrowException):
        pass  # the cache is derived: without it every file is read again
    return wanted.empty_table(), {}


def _save_cache(dataset: Dataset, table: pa.Table, now: Mapping[str, list[int]]) -> None:
    notes = orjson.dumps({**now, "version": [VERSION]})
    data = encoded(table.replace_schema_metadata({"files": notes}))
    local.replace_file(_cache_file(dataset), data)
