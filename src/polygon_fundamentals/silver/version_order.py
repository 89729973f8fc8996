"""The order in which the versions of each record followed one another, however they came.

Loads bring versions as they are observed. An import brings older observations later, and of two
runs at once the earlier may commit last: such a version never was the lake's row, so that it is
superseded at the moment at which it was observed. Its own moment says where it belongs:

- v2's versions follow one another as they were observed;
- so do v1's of one filing. A record of v1 is one filing, so those of an earlier filing come before
  those of a later one, whichever a load brought first;
- a takeback begins a new stretch of v1's versions: the lake's row of a later filing was replaced by
  one of an earlier filing. A withdrawal ends a stretch in both generations. Versions stay in the
  stretch in which they were observed;
- the lake's row is the last of its record.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.business_days import NEW_YORK
from polygon_fundamentals.datasets.keys import PERIOD, filing_order, record_keys
from polygon_fundamentals.datasets.schemas import DAY, TEXT
from polygon_fundamentals.lake import revisions
from polygon_fundamentals.statements import Generation

_STANDING = np.iinfo(np.int64).max
# Of a version, not of what the vendor said; `place` is where `serve-v1` has a row from.
_ABOUT = ("ticker", "observed_at", "event", "superseded_at", "place")
Flags = npt.NDArray[np.bool_]


def version_order(table: pa.Table, generation: Generation) -> pd.DataFrame:
    """Return the versions of each record in their order; left out are those that tell nothing new.

    The index is the position in `table`. Columns: `record` and within it `stretch` (numbers),
    `moment` of observation (microseconds), `filed` (see `filed_days`), `observed` and `withdrawn`
    (days since 1970, the last that of the stretch), and `late`: it was observed when one of a later
    filing stood.
    """
    keys = pc.binary_join_element_wise(
        table["ticker"], pa.array(record_keys(table, generation), TEXT), "\x1f"
    )
    standing = table["event"].is_null()
    withdrawn = pc.fill_null(pc.equal(table["event"], revisions.WITHDRAWN), False)
    moment = table["observed_at"].cast(pa.int64())
    until = pc.coalesce(table["superseded_at"].cast(pa.int64()), moment)
    frame = pd.DataFrame(
        {
            "record": keys.combine_chunks().dictionary_encode().indices.to_numpy(),
            "moment": moment.to_numpy(),
            "until": pc.if_else(standing, _STANDING, until).to_numpy(),
            "filed": filed_days(table, generation),
            "observed": floats(local_days(table["observed_at"])),
            "withdrawn": floats(local_days(pc.if_else(withdrawn, table["superseded_at"], None))),
            "standing": standing.to_numpy(),
            "stretch": 0,
            "filing": 0,
        }
    )
    if generation is Generation.V1:
        frame["filing"] = frame.groupby(list(filing_order(table, generation).T)).ngroup()
    is_withdrawn = withdrawn.to_numpy()
    # A clock that was fast may have observed a row after it was superseded.
    frame["place"] = np.minimum(frame["moment"], frame["until"] - is_withdrawn)
    aside = ~is_withdrawn & (frame["until"] <= frame["moment"]).to_numpy()
    _divide(frame, aside, is_withdrawn)
    frame = frame[~_losers(frame, aside)]
    stretch = ["record", "stretch"]
    frame = frame.sort_values([*stretch, "place", "until"], kind="stable")
    frame["late"] = frame["filing"] < frame.groupby(stretch, sort=False)["filing"].cummax()
    order = [*stretch, "standing", "filing", "place", "until", "filed"]
    frame = frame.sort_index().sort_values(order, na_position="first", kind="stable")
    return frame[~_repeats(table, frame, aside)]


def _losers(frame: pd.DataFrame, aside: Flags) -> Flags:
    """Return which versions lost to a row of the same answer that stood before and after it.

    An answer may hold a record twice. What tells a loser from a version that came late is the
    order of the revisions: it was written before the row that it lost to.
    """
    loser = np.zeros(len(frame), dtype=bool)
    columns = ["record", "filing", "moment", "until"]
    mine = frame.loc[aside & (frame["until"] == frame["moment"]).to_numpy(), columns]
    if len(mine):
        others = frame.loc[~aside & frame["record"].isin(mine["record"]).to_numpy(), columns]
        mine, others = (part.rename_axis("row").reset_index() for part in (mine, others))
        met = mine.merge(others, on=["record", "filing"], suffixes=("", "_stood"))
        stood = (met["moment_stood"] < met["moment"]) & (met["moment"] < met["until_stood"])
        loser[met.loc[stood & (met["row"] < met["row_stood"]), "row"]] = True
    return loser


def _divide(frame: pd.DataFrame, aside: Flags, withdrawn: Flags) -> None:
    """Number the stretches of each record, and give each the day on which it was withdrawn."""
    stood = frame[~aside].sort_values(["record", "until"], kind="stable")
    back = stood["filing"] < stood.groupby("record", sort=False)["filing"].shift()
    takebacks = stood.loc[back, ["record", "place"]]
    ends = frame.loc[withdrawn, ["record", "until"]].rename(columns={"until": "place"})
    bounds = pd.concat([takebacks, ends], ignore_index=True)
    if bounds.empty:
        return
    several = frame["record"].isin(bounds["record"])
    place = frame["place"].where(frame["until"] < _STANDING, _STANDING)
    versions = pd.DataFrame({"record": frame["record"], "place": place, "bound": 0})[several]
    both = pd.concat([bounds.assign(bound=1).set_index(pd.Index([-1] * len(bounds))), versions])
    both = both.sort_values(["record", "place", "bound"], ascending=[True, True, False])
    stretches = both.groupby("record", sort=False)["bound"].cumsum()[both.index >= 0]
    frame.loc[stretches.index, "stretch"] = stretches
    ended = frame[several].groupby(["record", "stretch"])["withdrawn"].transform("max")
    frame.loc[ended.index, "withdrawn"] = ended


def _repeats(table: pa.Table, frame: pd.DataFrame, aside: Flags) -> Flags:
    """Return which versions say the same as the one before, as one that came late may."""
    repeats = np.zeros(len(frame), dtype=bool)
    some = frame["record"].isin(frame.loc[aside[frame.index], "record"]).to_numpy()
    if not some.any():
        return repeats
    part = frame.loc[some, ["record", "stretch", "filing"]]
    part["content"] = contents(
        table.take(pa.array(part.index)), [n for n in table.schema.names if n not in _ABOUT]
    )
    columns = (part[name].to_numpy() for name in part)
    same = np.logical_and.reduce([column[1:] == column[:-1] for column in columns])
    repeats[some] = np.append(False, same)
    return repeats


def contents(table: pa.Table, names: list[str]) -> npt.NDArray[np.integer[Any]]:
    """Return a number for each row, the same for the same values in the columns `names`."""
    columns = {}
    for name in names:
        column = table[name]
        if pa.types.is_floating(column.type):
            values = column.to_numpy()
            # One zero of -0.0 and 0.0, one NaN of all.
            columns[name] = np.where(np.isnan(values), np.nan, values + 0.0)
            continue
        if pa.types.is_list(column.type):
            column = pc.binary_join(column, "\x1e")
        columns[name] = pc.fill_null(column.cast(TEXT), "").to_pandas()
    return pd.util.hash_pandas_object(pd.DataFrame(columns), index=False).to_numpy()


def local_days(moments: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the day in New York of each moment."""
    local = pc.local_timestamp(moments.cast(pa.timestamp("us", tz=NEW_YORK.key)))
    return pc.floor_temporal(local, unit="day").cast(DAY)


def filed_days(table: pa.Table, generation: Generation) -> npt.NDArray[np.float64]:
    """Return the filing dates as days since 1970, NaN for none.

    And for one before the period's end: nobody can have filed the period then, so the date is a
    fault of the data and says nothing.
    """
    filed, end = floats(table["filing_date"]), floats(table[PERIOD[generation][0]])
    return np.where(filed >= end, filed, np.nan)


def floats(days: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return days since 1970, NaN for none."""
    return days.cast(pa.int32()).cast(pa.float64()).to_numpy().astype(np.float64)
