"""Which version of a period was the current one, from when to when."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.periods.current import current_rows
from polygon_fundamentals.silver.names import Names
from polygon_fundamentals.silver.timeline import (
    PERIOD,
    Ints,
    pack,
    pairs,
    spans_between,
    split,
)
from polygon_fundamentals.statements import Generation

# Periods that end further away have no vote in which record of a period is the current one.
_NEIGHBOUR_DAYS = 400


def current_spans(
    table: pa.Table,
    life: pd.DataFrame,
    keys: pd.DataFrame,
    generation: Generation,
    names: Names,
) -> pd.DataFrame:
    """Return `life` with one version per ticker file and period at any moment: the current one.

    Where there were several, `current_rows` decides, again at each change of a record of the period
    or of the periods around it.
    """
    mine = keys.iloc[life["row"]]
    ids, since, until = pack(mine, PERIOD), life["since"].to_numpy(), life["until"].to_numpy()
    order = np.lexsort((since, ids))
    after, before = order[1:], order[:-1]
    together = (ids[after] == ids[before]) & (since[after] < until[before])
    if not together.any():
        return life
    rivals = np.unique(ids[after[together]])
    own_of, own = pairs(ids, rivals)
    number, start, end = spans_between(np.tile(own_of, 2), np.concatenate([since[own], until[own]]))
    span, row = pairs(own_of, number)
    row = own[row]
    stood = (since[row] <= start[span]) & (start[span] < until[row])
    span, row = span[stood], row[stood]
    several = np.bincount(span, minlength=len(number)) > 1
    alone = ~several[span]
    chosen = life.iloc[row[alone]].assign(since=start[span[alone]], until=end[span[alone]])
    number, start, end = number[several], start[several], end[several]
    # Each span is a world of its own, with the records of the periods around.
    group = pack(mine, PERIOD[:3])
    sample = own[np.searchsorted(own_of, number)]
    world, near = pairs(group, group[sample])
    ends = mine["end"].to_numpy()
    close = np.abs(ends[near] - ends[sample[world]]) <= _NEIGHBOUR_DAYS
    world, near = world[close], near[close]
    piece, start, end = split(
        start, end, np.tile(world, 2), np.concatenate([since[near], until[near]])
    )
    place, member = pairs(world, piece)
    member = near[member]
    stood = (since[member] <= start[place]) & (start[place] < until[member])
    place, member = place[stood], member[stood]
    order = np.lexsort((life["row"].to_numpy()[member], place))
    place, member = place[order], member[order]
    best = current_rows(
        _worlds(table, life, place, member, keys, names), generation, {}, by_ticker=True
    )
    best = best[ids[member[best]] == rivals[number[piece[place[best]]]]]
    place, member = place[best], member[best]
    voted = life.iloc[member].assign(since=start[place], until=end[place])
    rest = life[~np.isin(ids, rivals)]
    life = pd.concat([rest, chosen, voted]).sort_values(["row", "since"], ignore_index=True)
    return life


def _worlds(
    table: pa.Table,
    life: pd.DataFrame,
    place: Ints,
    member: Ints,
    keys: pd.DataFrame,
    names: Names,
) -> pa.Table:
    """Return the records of each world as those of a ticker named for the world."""
    rows = life["row"].to_numpy()[member]
    wanted = ["timeframe", "fiscal_year", "filing_date", "observed_at"]
    wanted += [name for name in table.schema.names if name in _LABELS]
    records = table.select(wanted).take(pa.array(rows))
    companies = names.companies.take(keys["company"].to_numpy()[rows])
    records = records.append_column("ticker", pa.array(place).cast(pa.string()))
    return records.append_column("cik", pa.array(companies, pa.string()))


_LABELS = ("end_date", "period_end", "fiscal_period", "fiscal_quarter", "acceptance_datetime")
