"""v1's own records as the lake holds them, and which rows of v2 continue them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake import files
from polygon_fundamentals.lake.listing import states
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.pointer import holds_data
from polygon_fundamentals.parity.current import period_keys, ticker_ciks
from polygon_fundamentals.parity.match import match_periods
from polygon_fundamentals.statements import Generation, Statement

_KEYS = ["ticker", "timeframe", "end_date"]


def is_there(lake: Lake) -> bool:
    """Say whether v1's files are there, rather than in the archive that `cleanup` made."""
    return holds_data(lake.generation_folder(Generation.V1))


def stored(
    lake: Lake, statement: Statement, tickers: Collection[str] | None = None
) -> Iterator[pa.Table]:
    """Yield v1's records of a statement (of some tickers, or all), a file at a time.

    Raises:
        DamagedFileError: a file cannot be read; the text names it.
    """
    dataset = lake.dataset(Generation.V1, statement)
    for state in states(dataset):
        if tickers is None or state.ticker in tickers:
            path = dataset.file(state.partition, state.ticker)
            yield files.with_ticker(files.read(path, dataset, state.ticker)[0], state.ticker)


def of_periods(lake: Lake, statement: Statement, wide: pa.Table) -> Iterator[pa.Table]:
    """Yield v1's records of the periods that rows of the wide table stand for."""
    periods = wide.select(["ticker", "timeframe", "period_end"]).rename_columns(_KEYS)
    wanted = periods.group_by(_KEYS).aggregate([])
    for table in stored(lake, statement, set(periods["ticker"].to_pylist())):
        small = table.select(_KEYS).append_column("place", pa.array(np.arange(table.num_rows)))
        kept = small.join(wanted, _KEYS, join_type="left semi")
        if kept.num_rows:
            yield table.take(kept["place"].combine_chunks().sort())


def refuse_archived(lake: Lake) -> None:
    """Refuse to continue a history whose files are not there.

    Raises:
        LakeError: v1's folder holds nothing.
    """
    if not is_there(lake):
        raise LakeError(
            f"{lake.generation_folder(Generation.V1)} holds nothing of v1 to be continued; bring "
            "it back with `python -m flows restore --execute`, or leave --continue-v1 out"
        )


def continuing(rendered: pa.Table, history: pa.Table) -> pa.Table:
    """Return the rows of v2 (in v1's form) whose ticker and period the history does not hold."""
    ciks = ticker_ciks([rendered, history], {})
    theirs, ours = (_periods(table, ciks) for table in (rendered, history))
    met = match_periods(ours.drop_duplicates(), theirs.drop_duplicates())
    known = theirs.drop_duplicates().iloc[met.v2]
    found = theirs.merge(known, how="left", indicator="known")["known"] == "left_only"
    return rendered.filter(pa.array(found.to_numpy()))


def _periods(table: pa.Table, ciks: dict[str, str]) -> pd.DataFrame:
    """Return `period_keys` in which one company's tickers stand apart, as files do."""
    keys = period_keys(table, Generation.V1, ciks)
    tickers = table["ticker"].to_pandas().to_numpy(dtype=object)
    keys["company"] = tickers + "\x1f" + keys["company"].to_numpy(dtype=object)
    return keys


def marked(table: pa.Table, generation: pa.Array | pa.ChunkedArray | str) -> pa.Table:
    """Return the table with a last column that says from which generation each row came."""
    if isinstance(generation, str):
        generation = pa.repeat(pa.scalar(generation, pa.string()), table.num_rows)
    return table.append_column("generation", pc.cast(generation, pa.string()))
