"""Periods of which only the filing was known on a day, and not what it said."""

from __future__ import annotations

import numpy as np
import pandas as pd

from polygon_fundamentals.datasets.keys import SAME_PERIOD_DAYS
from polygon_fundamentals.silver.statement_rows import Side
from polygon_fundamentals.silver.timeline import (
    COMPANY_END,
    PERIOD,
    first_at,
    pack,
    pairs,
    split,
)


def with_unproven(
    life: pd.DataFrame, keys: pd.DataFrame, dated: pd.DataFrame, proven: Side
) -> pd.DataFrame:
    """Return `life` and the earliest version of each period while only its filing was known.

    `dated` are the periods that the filings index dates: from then on the earliest version stands
    for one until a version could be known; one that was known and withdrawn does not return. Where
    v1's record (`proven`) says what a period said then, it stands for the period instead, also
    where v1 dates the period some days otherwise.
    """
    first = life[life["first"]].reset_index(drop=True)
    mine = keys.iloc[first["row"]]
    known = dated.groupby(pack(dated, COMPANY_END))["date"].min()
    filed = known.reindex(pack(mine, COMPANY_END)).to_numpy()
    some = filed < first["since"].to_numpy()
    first, mine = first[some].reset_index(drop=True), mine[some]
    since, until = filed[some].astype(np.int64), first["since"].to_numpy()
    mine = mine.reset_index(drop=True)
    rivals = [
        (keys.iloc[life["row"]], life["since"].to_numpy(), life["until"].to_numpy(), 0),
        (proven.keys, proven.since, proven.until, SAME_PERIOD_DAYS),
    ]
    for periods, begin, end, within in rivals:
        ids = pack(periods, PERIOD)
        i, j = pairs(ids, pack(mine, PERIOD), within)
        source, since, until = split(
            since, until, np.tile(i, 2), np.concatenate([begin[j], end[j]])
        )
        first, mine = (frame.iloc[source].reset_index(drop=True) for frame in (first, mine))
        open_ = first_at(ids, begin, end, pack(mine, PERIOD), since, within) < 0
        first, mine = (frame[open_].reset_index(drop=True) for frame in (first, mine))
        since, until = since[open_], until[open_]
    spans = pd.concat([life, first.assign(since=since, until=until)])
    return spans.sort_values(["row", "since"], kind="stable", ignore_index=True)
