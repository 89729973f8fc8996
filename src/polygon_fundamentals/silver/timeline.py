"""Rows that stand from a day to another: splitting them, and finding the one that stood on a day.

Days are whole days since 1970, spans are half-open, and `FOREVER` is the end of what still stands.
Rows are named by whole numbers (`pack`), so that every step is one of sorting and searching.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from polygon_fundamentals.statements import Timeframe

Ints = npt.NDArray[np.int64]

FOREVER = 1 << 22
NEVER = -FOREVER
_DAY_BITS = 24
_OFFSET = 1 << 22
# Bits of each part of a key. A period may end between the years -900 and 10400.
_BITS = {"ticker": 19, "company": 19, "timeframe": 2, "end": 22}
END_OFFSET = 1 << 20

# In the order of their names, as the table is sorted.
TIMEFRAMES = (Timeframe.ANNUAL.v1, Timeframe.QUARTERLY.v1, Timeframe.TTM.v1)

PERIOD = ("ticker", "company", "timeframe", "end")
COMPANY_PERIOD = ("company", "timeframe", "end")
COMPANY_END = ("company", "end")


def pack(keys: pd.DataFrame, columns: Sequence[str]) -> Ints:
    """Return one number for each row, the same for the same values of `columns`."""
    packed = np.zeros(len(keys), dtype=np.int64)
    for name in columns:
        packed = packed << _BITS[name] | keys[name].to_numpy()
    return packed


def timeframe_in(codes: Ints) -> Ints:
    """Return the number of the timeframe in periods that were packed."""
    return codes >> _BITS["end"] & 3


def company_in(codes: Ints) -> Ints:
    """Return the number of the company in rows packed by `COMPANY_PERIOD`."""
    return codes >> _BITS["end"] + _BITS["timeframe"]


def pairs(ids: Ints, wanted: Ints, within: int = 0) -> tuple[Ints, Ints]:
    """Return all (i, j) with `wanted[i] == ids[j]`, in the order of i, then of j.

    With `within` also those whose period ends up to so many days away: the period end is the
    lowest part of a packed period.
    """
    order = np.argsort(ids, kind="stable")
    placed = ids[order]
    low = np.searchsorted(placed, wanted - within)
    high = np.searchsorted(placed, wanted + within, "right")
    return expand(low, high, order)


def expand(low: Ints, high: Ints, order: npt.NDArray[np.integer[Any]]) -> tuple[Ints, Ints]:
    """Return (i, order[k]) for each k from `low[i]` up to `high[i]`."""
    count = high - low
    i = np.repeat(np.arange(len(low)), count)
    start = np.repeat(low - (np.cumsum(count) - count), count)
    return i, order[start + np.arange(len(i))].astype(np.int64)


def first_at(
    ids: Ints, since: Ints, until: Ints, wanted: Ints, days: Ints, within: int = 0
) -> Ints:
    """Return for each of `wanted` the first row of that number that stood on its day, else -1.

    With `within` (see `pairs`) the one whose period ends nearest, of equal ones the first.
    """
    i, j = pairs(ids, wanted, within)
    stood = (since[j] <= days[i]) & (days[i] < until[j])
    i, j = i[stood], j[stood]
    if within:
        order = np.lexsort((j, np.abs(ids[j] - wanted[i]), i))
        i, j = i[order], j[order]
    first = np.full(len(wanted), -1, dtype=np.int64)
    first[i[::-1]] = j[::-1]
    return first


def split(since: Ints, until: Ints, rows: Ints, days: Ints) -> tuple[Ints, Ints, Ints]:
    """Return source row, start and end of the pieces of spans that are cut at some days.

    `rows` and `days` say where; a day outside of its row's span cuts nothing. The pieces are in
    the order of the rows, then of the days.
    """
    inside = (since[rows] < days) & (days < until[rows])
    cuts = np.concatenate(
        [moments(np.arange(len(since)), since), moments(rows[inside], days[inside])]
    )
    cuts = np.unique(cuts)
    source, start = id_in(cuts), day_in(cuts)
    end = until[source]
    same = source[1:] == source[:-1]
    end[:-1][same] = start[1:][same]
    return source, start, end


def spans_between(ids: Ints, days: Ints) -> tuple[Ints, Ints, Ints]:
    """Return number, start and end of the spans between the days given for each number.

    Numbers are small: positions in a list.
    """
    cuts = np.unique(moments(ids, days))
    number, day = id_in(cuts), day_in(cuts)
    same = number[1:] == number[:-1]
    return number[:-1][same], day[:-1][same], day[1:][same]


def moments(ids: npt.NDArray[np.integer[Any]], days: Ints) -> Ints:
    """Return one number for each id and day, in the order of the ids, then of the days."""
    return ids.astype(np.int64) << _DAY_BITS | (days + _OFFSET)


def day_in(moment: Ints) -> Ints:
    """Return the day of `moments`."""
    return (moment & ((1 << _DAY_BITS) - 1)) - _OFFSET


def id_in(moment: Ints) -> Ints:
    """Return the id of `moments`."""
    return moment >> _DAY_BITS
