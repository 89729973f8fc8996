"""v1's own records as the lake holds them, and which rows of v2 continue them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake import codec
from polygon_fundamentals.lake.archived_lines import read_archived_records
from polygon_fundamentals.lake.archived_rows import is_archived, with_archived
from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.listing import ATTEMPTS, FileState, moving, stamp_of, states
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.pointer import holds_data
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.periods.companies import ticker_ciks
from polygon_fundamentals.periods.current import period_keys
from polygon_fundamentals.periods.match import match_periods, nearest_ends
from polygon_fundamentals.silver.statement_rows import has_values
from polygon_fundamentals.silver.wide import BOTH
from polygon_fundamentals.statements import Generation, Statement, Timeframe

_KEYS = ["ticker", "timeframe", "end_date"]


def stored(
    lake: Lake,
    statement: Statement,
    tickers: Collection[str] | None = None,
    pick: Callable[[pa.Table], pa.Table] = lambda rows: rows,
) -> pa.Table:
    """Return v1's records of a statement (of some tickers, or all) in its bronze schema.

    From its files and, where `cleanup` archived them, from the kept records. `pick` says which
    rows of a file are wanted.

    Raises:
        DamagedFileError: a file cannot be read; the text names it.
        LakeError: files moved in each of ten attempts.
    """
    dataset = lake.dataset(Generation.V1, statement)
    buckets = None if tickers is None else set(map(bucket_of, tickers))
    for _ in range(ATTEMPTS):
        archived = read_archived_records(dataset, tickers, pick)
        now = [s for s in states(dataset, buckets) if tickers is None or s.ticker in tickers]
        listed = _read_listed(dataset, now, pick)
        if listed is not None and is_archived(dataset) == (archived is not None):
            return listed if archived is None else with_archived(listed, archived, dataset)
    raise moving(dataset)


def _read_listed(
    dataset: Dataset, files: Sequence[FileState], pick: Callable[[pa.Table], pa.Table]
) -> pa.Table | None:
    """Return what is wanted of some files, or None if one has changed since it was listed."""
    joined = [schema(Generation.V1, dataset.statement).empty_table()]
    for start in range(0, len(files), codec.TOGETHER):
        tables = []
        for state in files[start : start + codec.TOGETHER]:
            rows = _as_listed(dataset, state)
            if rows is None:
                return None
            tables.append(pick(rows))
        joined.append(pa.concat_tables(tables).combine_chunks())
    return pa.concat_tables(joined)


def _as_listed(dataset: Dataset, state: FileState) -> pa.Table | None:
    """Return the rows of a file, or None where it is no more the one that was listed."""
    path = dataset.file(state.partition, state.ticker)
    try:
        rows, _ = codec.read(path, dataset, state.ticker)
    except FileNotFoundError:
        return None
    if stamp_of(path) != state.stamp:
        return None
    return codec.with_ticker(rows, state.ticker)


def own_records(lake: Lake, statement: Statement, wide: pa.Table) -> tuple[pa.Table, pa.Array]:
    """Return v1's records of the statement of which the wide table has v1's values.

    And a mask of `wide`: the rows that none of these records stands for, nor v1 alone.

    Raises as `stored`.
    """
    ciks = ticker_ciks([wide], {})
    keys = _periods(wide, Generation.V2, ciks)
    both = pc.equal(wide["generation"], BOTH).to_numpy()
    theirs = _periods_of_v2(lake, statement, set(wide.filter(both)["ticker"].to_pylist()), ciks)
    # Of a period, v2 may date one statement some days otherwise than the wide table's row.
    theirs["period_end"] = nearest_ends(theirs, keys).fillna(theirs["period_end"])
    alone = pc.equal(wide["generation"], Generation.V1.value).to_numpy()
    lacking = both & ~_is_in(keys, theirs)
    records = _of_periods(lake, statement, wide.filter(alone | lacking), ciks)
    # v1 may date a period some days otherwise: its own record is not found for it.
    has_own = _is_in(keys, _periods(records, Generation.V1, ciks))
    return records, pa.array(~(alone | (lacking & has_own)))


def _periods_of_v2(
    lake: Lake, statement: Statement, tickers: Collection[str], ciks: dict[str, str]
) -> pd.DataFrame:
    """Return the periods of which v2 has the statement, over twelve months a lent balance too."""
    rows = read_dataset(lake.dataset(Generation.V2, statement), tickers)
    rows = rows.filter(has_values(rows, Generation.V2, statement))
    periods = _periods(rows, Generation.V2, ciks)
    if statement is Statement.BALANCE_SHEETS:
        lent = periods.assign(timeframe=Timeframe.TTM.v1)
        periods = pd.concat([periods, lent], ignore_index=True)
    return periods


def _is_in(periods: pd.DataFrame, others: pd.DataFrame) -> npt.NDArray[np.bool_]:
    met = periods.merge(others.drop_duplicates(), how="left", indicator="met")["met"]
    return (met == "both").to_numpy()


def _of_periods(lake: Lake, statement: Statement, wide: pa.Table, ciks: dict[str, str]) -> pa.Table:
    """Return v1's records of the periods that some rows of the wide table stand for."""
    periods = wide.select(["ticker", "timeframe", "period_end"]).rename_columns(_KEYS)
    wanted = periods.group_by(_KEYS).aggregate([])

    def pick(table: pa.Table) -> pa.Table:
        small = table.select(_KEYS).append_column("place", pa.array(np.arange(table.num_rows)))
        matching = small.join(wanted, _KEYS, join_type="left semi")
        return table.take(matching["place"].combine_chunks().sort())

    records = stored(lake, statement, set(periods["ticker"].to_pylist()), pick)
    # Of two companies under the ticker the other may have the period in v2.
    ours = _periods(records, Generation.V1, ciks)
    return records.filter(pa.array(_is_in(ours, _periods(wide, Generation.V2, ciks))))


def refuse_archived(lake: Lake) -> None:
    """Refuse to continue a history whose files are not there.

    Raises:
        LakeError: v1's folder holds nothing.
    """
    folder = lake.generation_folder(Generation.V1)
    if not holds_data(folder):
        raise LakeError(
            f"{folder} holds nothing of v1 to be continued; bring it back with "
            "`polygon-fundamentals restore --execute`, or leave --continue-v1 out"
        )


def continuing(rendered: pa.Table, history: pa.Table) -> pa.Table:
    """Return the rows of v2 (in v1's form) whose ticker and period the history does not hold."""
    ciks = ticker_ciks([rendered, history], {})
    theirs, ours = (_periods(table, Generation.V1, ciks) for table in (rendered, history))
    met = match_periods(ours.drop_duplicates(), theirs.drop_duplicates())
    known = theirs.drop_duplicates().iloc[met.v2]
    return rendered.filter(pa.array(~_is_in(theirs, known)))


def _periods(table: pa.Table, generation: Generation, ciks: dict[str, str]) -> pd.DataFrame:
    """Return `period_keys` in which one company's tickers stand apart, as files do."""
    keys = period_keys(table, generation, ciks)
    tickers = table["ticker"].to_pandas().to_numpy(dtype=object)
    keys["company"] = tickers + "\x1f" + keys["company"].to_numpy(dtype=object)
    return keys


def marked(table: pa.Table, generation: pa.Array | pa.ChunkedArray | str) -> pa.Table:
    """Return the table with a last column that says from which generation each row came."""
    if isinstance(generation, str):
        generation = pa.repeat(pa.scalar(generation, pa.string()), table.num_rows)
    return table.append_column("generation", pc.cast(generation, pa.string()))
