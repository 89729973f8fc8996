"""From when the values of v1's derived records could be known: fourth quarters and twelve months.

v1 computes them from the records that it has, and sends them without a filing date: a fourth
quarter is the year less three quarters, twelve months are four quarters. An amendment that changes
one of these parts changes what is derived from it. A lake that was loaded afterwards has the result
alone, which nobody could know when the original report was filed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.datasets.keys import PERIOD, SAME_PERIOD_DAYS
from polygon_fundamentals.periods.companies import company_keys
from polygon_fundamentals.silver.timeline import (
    COMPANY_END,
    COMPANY_PERIOD,
    END_OFFSET,
    TIMEFRAMES,
    expand,
    pack,
)
from polygon_fundamentals.silver.version_order import Flags, contents
from polygon_fundamentals.statements import Generation, Timeframe

# The first part ends three quarters before a record: 281 days, by weeks. Of twelve months it may be
# six quarters, 554 days: one of their quarters may be a fourth, which has parts of its own.
_REACH_DAYS, _REACH_DAYS_OF_TTM = 300, 570
_TTM = TIMEFRAMES.index(Timeframe.TTM.v1)


def parts_known(
    table: pa.Table,
    known: pd.Series[float],
    observed: pd.Series[float],
    ciks: Mapping[str, str],
) -> pd.Series[float]:
    """Return for some records the day from which all parts that they may come from were known.

    In days since 1970 by position in `table`, which has v1's versions of a statement; NaN without
    any part. `known` says from which day each dated version could be known, and `observed` on which
    day the values of the records were first seen: parts are the quarters and years up to the
    record's end, as they were known then. An amendment that repeats the values that were known last
    is passed over.
    """
    keys = _periods(table, ciks)
    parts = keys.loc[known.index].assign(day=known)
    parts = parts[parts["timeframe"] != _TTM]
    parts = parts.assign(period=pack(parts, COMPANY_PERIOD))
    parts = parts[~_repeats(table, parts)].drop_duplicates([*COMPANY_END, "day"])
    mine = keys.loc[observed.index]
    reach = np.where(mine["timeframe"] == _TTM, _REACH_DAYS_OF_TTM, _REACH_DAYS)
    ends, wanted = pack(parts, COMPANY_END), pack(mine, COMPANY_END)
    order = np.argsort(ends, kind="stable")
    low = np.searchsorted(ends[order], wanted - reach)
    high = np.searchsorted(ends[order], wanted + SAME_PERIOD_DAYS, "right")
    i, j = expand(low, high, order)
    day = parts["day"].to_numpy()[j]
    by_then = day <= observed.to_numpy()[i]
    latest = pd.Series(day[by_then]).groupby(i[by_then]).max()
    return latest.reindex(np.arange(len(mine))).set_axis(observed.index)


def _repeats(table: pa.Table, parts: pd.DataFrame) -> Flags:
    """Return which of `parts` say of their `period` what the one known just before them said."""
    repeats = np.zeros(len(parts), dtype=bool)
    days = parts.groupby("period")["day"]
    amended = np.flatnonzero(days.transform("min") < days.transform("max"))
    if len(amended):
        some = parts.iloc[amended]
        names = [field.name for field in table.schema if pa.types.is_floating(field.type)]
        values = contents(table.take(pa.array(some.index)), names)
        order = np.lexsort((some["day"], some["period"]))
        period, values = some["period"].to_numpy()[order], values[order]
        same = (period[1:] == period[:-1]) & (values[1:] == values[:-1])
        repeats[amended[order[1:]]] = same
    return repeats


def _periods(table: pa.Table, ciks: Mapping[str, str]) -> pd.DataFrame:
    """Return company, timeframe (3 for an unknown one) and period end as the numbers of `pack`."""
    timeframe = pd.Index(TIMEFRAMES).get_indexer(table["timeframe"].to_pandas())
    end = table[PERIOD[Generation.V1][0]].cast(pa.int32()).to_numpy().astype(np.int64)
    return pd.DataFrame(
        {
            "company": pd.factorize(company_keys(table, ciks))[0],
            "timeframe": np.where(timeframe < 0, 3, timeframe),
            "end": end + END_OFFSET,
        }
    )
