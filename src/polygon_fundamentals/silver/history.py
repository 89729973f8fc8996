"""Every version of every record: the lake's rows and, from the revisions, those before them.

A version counts from the day on which its content could be known:

- a filing later than the version before it brought: its own filing date;
- the first version that is known of a record: its filing date too, whenever it was loaded;
- a change without a later filing (a split, a vendor's correction): the day, in New York, on which
  it was observed;
- a record without a filing date (v1 derives fourth quarters): the first filing that any record of
  the same company and period end has, else the day on which it was observed.

A withdrawn record ends on the day on which its absence was observed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.lake import files, revisions
from polygon_fundamentals.lake.flat import flat_schema, flattened
from polygon_fundamentals.lake.paths import Dataset, ticker_of_file
from polygon_fundamentals.lake.read import Shown, read_dataset
from polygon_fundamentals.normalise.content import PERIOD, record_keys
from polygon_fundamentals.normalise.schemas import DAY, MOMENT, TEXT, schema
from polygon_fundamentals.parity.current import company_keys
from polygon_fundamentals.statements import Generation

VERSION = 1
NEW_YORK = "America/New_York"
# Texts that no column of the table is made from; the widest of them by far.
_UNUSED = (
    "tickers",
    "company_name",
    "sic",
    "start_date",
    "source_filing_url",
    "source_filing_file_url",
    "id",
    "absent_fields",
    "unmapped",
    "partition",
)
Days = npt.NDArray[np.datetime64]
Positions = npt.NDArray[np.int64]


def versions_schema(dataset: Dataset) -> pa.Schema:
    """Return the columns of `versions` and `current`: the flat ones in use, event and its moment.

    `event` is null for a row that stands in the lake.
    """
    flat = flat_schema(dataset.generation, dataset.statement)
    kept = [field for field in flat if field.name not in _UNUSED]
    return pa.schema([*kept, ("event", TEXT), ("superseded_at", MOMENT)])


def current(
    dataset: Dataset, tickers: frozenset[str] | None = None, shown: Shown | None = None
) -> pa.Table:
    """Return the rows that stand in the lake, in `versions_schema`; `shown` as in `read_dataset`.

    Raises:
        DamagedFileError: a file cannot be read; the text names it.
    """
    table = read_dataset(dataset, tickers, shown)
    names = [n for n in versions_schema(dataset).names if n not in ("event", "superseded_at")]
    table = table.select(names)
    table = table.append_column("event", pa.nulls(table.num_rows, TEXT))
    return table.append_column("superseded_at", pa.nulls(table.num_rows, MOMENT))


def superseded(dataset: Dataset) -> pa.Table:
    """Return every revision of a dataset, in `versions_schema`; keeps a cache in `ops/cache`.

    Raises:
        DamagedFileError: a file of revisions cannot be read; the text names it.
    """
    now = _states(dataset)
    kept, known = _load_cache(dataset)
    fresh = [ticker for ticker, state in now.items() if known.get(ticker) != state]
    gone = (known.keys() - now.keys()) | set(fresh)
    if not gone:
        return kept
    pieces = [kept.filter(pc.invert(pc.is_in(kept["ticker"], pa.array(sorted(gone), TEXT))))]
    pieces += [_flat(dataset, revisions.read(dataset, ticker), ticker) for ticker in sorted(fresh)]
    table = pa.concat_tables(pieces).combine_chunks()
    with contextlib.suppress(OSError):  # a lake that may only be read: the next reader reads anew
        _save_cache(dataset, table, now)
    return table


def versions(
    dataset: Dataset, tickers: frozenset[str] | None = None, shown: Shown | None = None
) -> pa.Table:
    """Return current and superseded rows together, in `versions_schema`; `shown` as in `current`.

    Raises:
        DamagedFileError: a file cannot be read; the text names it.
    """
    # In this order a row that a load changes meanwhile is there twice, never not at all: without
    # its version before, a correction would seem to be known since the first filing.
    standing = current(dataset, tickers, shown)
    before = superseded(dataset)
    if tickers is not None:
        before = before.filter(pc.is_in(before["ticker"], pa.array(sorted(tickers), TEXT)))
    return pa.concat_tables([before, standing]).combine_chunks()


def _flat(dataset: Dataset, table: pa.Table, ticker: str) -> pa.Table:
    rows = files.with_ticker(
        table.select(schema(dataset.generation, dataset.statement).names).combine_chunks(), ticker
    )
    flat = flattened(rows, dataset)
    wanted = versions_schema(dataset)
    columns = [
        table[name] if name in ("event", "superseded_at") else flat[name] for name in wanted.names
    ]
    return pa.table(columns, names=wanted.names).cast(wanted)


def _states(dataset: Dataset) -> dict[str, list[int]]:
    """Return ticker → time of change and size of its file of revisions."""
    folder = dataset.revisions_file("X").parent
    found: dict[str, list[int]] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                ticker = ticker_of_file(entry.name)
                if ticker is not None:
                    state = entry.stat()
                    found[ticker] = [state.st_mtime_ns, state.st_size]
    except FileNotFoundError:
        return {}
    return found


def _cache_file(dataset: Dataset) -> Path:
    return dataset.lake.ops / "cache" / f"{dataset.name}.revisions.parquet"


def _load_cache(dataset: Dataset) -> tuple[pa.Table, dict[str, list[int]]]:
    wanted = versions_schema(dataset)
    try:
        table = pq.read_table(_cache_file(dataset), partitioning=None)
        known = orjson.loads((table.schema.metadata or {})[b"files"])
        if known.pop("version", None) == [VERSION] and table.schema.names == wanted.names:
            return table.replace_schema_metadata(None).cast(wanted), known
    except (FileNotFoundError, KeyError, OSError, pa.ArrowException, orjson.JSONDecodeError):
        pass  # the cache is derived: without it every file is read again
    return wanted.empty_table(), {}


def _save_cache(dataset: Dataset, table: pa.Table, now: Mapping[str, list[int]]) -> None:
    notes = orjson.dumps({**now, "version": [VERSION]})
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({"files": notes}), sink, compression="zstd")
    files.replace_file(_cache_file(dataset), bytes(sink.getvalue()))


def known_days(
    table: pa.Table, generation: Generation, ciks: Mapping[str, str], first: pd.Series[int]
) -> Days:
    """Return for each version of `table` the day from which it could be known.

    `table` holds all versions of its records. `first` gives the first filing by company and
    period end, as days since 1970, for records without a filing date.
    """
    frame = _chains(table, generation)
    filed, before = frame["filed"], frame.groupby("record")["filed"].shift()
    is_first = ~frame["record"].duplicated()
    dated = filed.notna() & (is_first | (before.notna() & (filed > before)))
    known = frame["observed"].where(filed.isna(), np.maximum(filed, frame["observed"]))
    known = known.where(~dated, filed)
    undated = (is_first & filed.isna()).to_numpy()
    if undated.any():
        rows = frame.index[undated]
        keys = _company_ends(table.take(pa.array(rows)), generation, ciks)
        lent = pd.Series(first.reindex(keys).to_numpy(), index=rows, dtype="float64")
        known.loc[lent.dropna().index] = lent.dropna()
    days = known.sort_index().to_numpy(dtype="int64")
    return days.astype("datetime64[D]")


def known_on(table: pa.Table, generation: Generation, known: Days, day: np.datetime64) -> Positions:
    """Return the positions of the versions that were the present ones on a day.

    A record that had been withdrawn by then, or that nobody could know yet, is not among them.
    """
    frame = _chains(table, generation)
    by_then = known[frame.index.to_numpy()] <= day
    frame = frame[by_then].drop_duplicates("record", keep="last")
    ended = frame["withdrawn"] <= day.astype("int64")
    return np.sort(frame.index[~ended].to_numpy(dtype=np.int64))


def earliest(table: pa.Table, generation: Generation) -> Positions:
    """Return the positions of the first known version of each record."""
    frame = _chains(table, generation).drop_duplicates("record")
    return np.sort(frame.index.to_numpy(dtype=np.int64))


def _chains(table: pa.Table, generation: Generation) -> pd.DataFrame:
    """Return record, filed, observed and withdrawn (days since 1970) in the order of versions.

    The index is the position in `table`; the row that stands in the lake comes last of its
    record, those observed together by filing date.
    """
    keys = pc.binary_join_element_wise(
        table["ticker"], pa.array(record_keys(table, generation), TEXT), "\x1f"
    )
    withdrawn = pc.and_kleene(
        pc.equal(table["event"], revisions.WITHDRAWN), pc.is_valid(table["superseded_at"])
    )
    ends = pc.if_else(pc.fill_null(withdrawn, False), table["superseded_at"], None)
    frame = pd.DataFrame(
        {
            "record": keys.combine_chunks().dictionary_encode().indices.to_numpy(),
            "standing": table["event"].is_null().to_numpy(),
            "moment": table["observed_at"].cast(pa.int64()).to_numpy(),
            "accepted": table["acceptance_datetime"].to_pandas().fillna("").astype(str)
            if generation is Generation.V1
            else "",
            "filed": _floats(table["filing_date"]),
            "observed": _floats(local_days(table["observed_at"])),
            "withdrawn": _floats(local_days(ends)),
        }
    )
    order = ["record", "standing", "moment", "accepted", "filed"]
    return frame.sort_values(order, na_position="first", kind="stable")


def _company_ends(
    table: pa.Table, generation: Generation, ciks: Mapping[str, str]
) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays(
        [
            company_keys(table, ciks),
            table[PERIOD[generation][0]].cast(pa.int32()).to_numpy(zero_copy_only=False),
        ]
    )


def first_filings(
    table: pa.Table, generation: Generation, ciks: Mapping[str, str]
) -> pd.Series[int]:
    """Return the earliest filing date (days since 1970) by company and period end (the same).

    A date before the period's end is a fault of the data and is passed over.
    """
    end = table[PERIOD[generation][0]]
    dated = table.filter(pc.fill_null(pc.greater_equal(table["filing_date"], end), False))
    days = dated["filing_date"].cast(pa.int32()).to_numpy().astype("int64")
    series = pd.Series(days, index=_company_ends(dated, generation, ciks))
    return series.groupby(level=[0, 1]).min()


def local_days(moments: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the day in New York of each moment."""
    local = pc.local_timestamp(moments.cast(pa.timestamp("us", tz=NEW_YORK)))
    return pc.floor_temporal(local, unit="day").cast(DAY)


def _floats(days: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = (
        days.cast(pa.int32()).cast(pa.float64()).to_numpy().astype(np.float64)
    )
    return found
