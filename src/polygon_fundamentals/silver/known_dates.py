"""From when the versions of `history` could be known, and which were the present ones on a day.

A version counts from the day on which its content could be known:

- one whose filing is later than those of all versions before it, the first among them: its own
  filing date, whenever it was loaded;
- a change without a later filing (a split, a vendor's correction): the day, in New York, on which
  it was observed. It counts as a change even under another label, another ticker or a CIK that
  came later, if other content of the same company, timeframe and period end had been seen under
  that filing (v2: or a later one) before;
- a record without a filing date, or with one before its period's end, which cannot be true: the day
  on which it was observed. A record of v1 counts from the first filing that any record of the same
  company and period end has, if that is sooner: v1 derives fourth quarters and twelve months from
  it. But not before a later filing that it may be derived from as well: see `derived_records`. One
  of v2 holds the values of its latest filing, whose date nobody knows: it counts from the first
  filing date with which v2 sent the same values of the period, if that is sooner.

No version could be known before its period had ended, whenever it was observed, and none of v2 by a
filing before the period's first one: see `filed_no_sooner`.
In which order they follow one another: see `version_order`. A withdrawn record ends on the day on
which its absence was observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.datasets.keys import PERIOD
from polygon_fundamentals.datasets.schemas import DAY
from polygon_fundamentals.periods.companies import company_keys
from polygon_fundamentals.periods.current import period_keys
from polygon_fundamentals.periods.match import nearest_ends
from polygon_fundamentals.silver.derived_records import parts_known
from polygon_fundamentals.silver.timeline import FOREVER
from polygon_fundamentals.silver.version_order import (
    contents,
    filed_days,
    floats,
    local_days,
    version_order,
)
from polygon_fundamentals.statements import Generation

_NO_SPANS = pd.DataFrame(
    {name: np.empty(0, np.int64) for name in ("row", "since", "until")}
    | {"first": np.empty(0, np.bool_)}
)
# First filings of no period.
NO_DAYS: pd.Series[int] = pd.Series(
    np.empty(0), pd.MultiIndex.from_arrays([np.empty(0, object), np.empty(0, np.int32)])
).astype("int64")


def _known(
    table: pa.Table,
    frame: pd.DataFrame,
    generation: Generation,
    ciks: Mapping[str, str],
    first: pd.Series[int],
) -> pd.Series[float]:
    """Return the day from which each version could be known, in the order of `frame`.

    `frame` is of `version_order`. `table` holds all versions of its records, under all tickers of
    their companies. `first` gives the first filing by company and period end, as days since 1970,
    for v1's records without a filing date.
    """
    undated = frame["filed"].isna()
    # Seen after a later filing: it tells nothing of when that could be known.
    late = frame["late"]
    own = frame["filed"].copy()
    frame["bound"] = frame["filed"].fillna(frame["observed"].mask(late))
    seen = _seen_together(table, frame, generation, ciks)
    borrows = frame.index[undated & ~late & ~frame["record"].duplicated()]
    if len(borrows) and generation is Generation.V2:
        with_values = _filed_with_values(table, frame, ciks, borrows)
        own.loc[borrows] = np.fmin(with_values, seen.loc[borrows, "observed"])
    elif len(borrows):
        keys = _company_ends(table.take(pa.array(borrows)), generation, ciks)
        filed = first.reindex(keys).to_numpy(dtype=np.float64, na_value=np.nan)
        own.loc[borrows] = np.minimum(filed, frame.loc[borrows, "observed"])
    latest = frame.groupby("record")["bound"].cummax().groupby(frame["record"]).shift()
    later = own.notna() & ~(latest >= own)
    is_filing = later & ~(seen["bound_before"] >= own)
    observed = seen["observed"].where(later, frame["observed"])
    known = own.where(is_filing, np.fmax(frame["filed"], observed))
    end = floats(table[PERIOD[generation][0]])[frame.index]
    known = known.mask(known < end, end)
    if generation is Generation.V1 and len(borrows):
        derived = borrows[is_filing[borrows]]
        parts = parts_known(table, known[~undated], seen.loc[derived, "observed"], ciks)
        known.loc[derived] = np.fmax(known[derived], parts)
    return known


def _filed_with_values(
    table: pa.Table, frame: pd.DataFrame, ciks: Mapping[str, str], rows: pd.Index[int]
) -> pd.Series[float]:
    """Return for some rows of v2 the first filing date that the same values of the period have."""
    keys = period_keys(table, Generation.V2, ciks).loc[frame.index]
    period = keys.groupby(list(keys.columns), sort=False, dropna=False).ngroup()
    part = frame.loc[period.isin(period[rows]), ["filed"]].assign(period=period)
    names = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    part["values"] = contents(table.take(pa.array(part.index)), names)
    return part.groupby(["period", "values"])["filed"].transform("min")[rows]


def _seen_together(
    table: pa.Table, frame: pd.DataFrame, generation: Generation, ciks: Mapping[str, str]
) -> pd.DataFrame:
    """Return on which day a version's content was first observed, under any label or ticker.

    `frame` is of `version_order`, with `bound`: the filing date, or for want of one the day of
    observation. `bound_before` is the greatest of other contents of the period that were observed
    before; NaN where none was, or where the period has one record only. In v1 only contents of the
    same filing count: what another filing said tells nothing of this one.
    """
    seen = pd.DataFrame({"observed": frame["observed"], "bound_before": np.nan})
    keys = period_keys(table, generation, ciks).loc[frame.index]
    together = ["company", "timeframe", "period_end"]
    if generation is Generation.V1:
        keys["filed"] = frame["filed"]
        together.append("filed")
    part = frame[["record", "moment", "observed", "bound"]].assign(
        period=keys.groupby(together, sort=False, dropna=False).ngroup()
    )
    several = np.ones(len(part), dtype=bool)
    for name in ("record", "moment"):
        values = part.groupby("period")[name]
        several &= (values.transform("min") != values.transform("max")).to_numpy()
    if not several.any():
        return seen
    part = part[several]
    names = [*PERIOD[generation], "filing_date"]
    names += [field.name for field in table.schema if pa.types.is_floating(field.type)]
    part["content"] = contents(table.take(pa.array(part.index)), names)
    content = ["period", "content"]
    first = part.groupby(content)[["moment", "observed", "bound"]].min()
    steps = first.groupby(["period", "moment"])["bound"].max()
    steps = steps.groupby(level="period").cummax().groupby(level="period").shift()
    mine = part[content].join(first[["moment", "observed"]], on=content)
    seen.loc[mine.index, "observed"] = mine["observed"]
    seen.loc[mine.index, "bound_before"] = mine.join(
        steps.rename("before"), on=["period", "moment"]
    )["before"]
    return seen


def lifetimes(
    table: pa.Table, generation: Generation, ciks: Mapping[str, str], first: pd.Series[int]
) -> pd.DataFrame:
    """Return row, since and until of each version of `table`, and whether its record's first.

    In days since 1970, in the order of `table`; the span of a version that never was the present
    one is empty. A version ends when one after it could be known, or when its record was seen to
    be withdrawn.
    """
    if not table.num_rows:
        # A fresh lake has such tables, and every step below takes its time.
        return _NO_SPANS.copy()
    frame = version_order(table, generation)
    known = _known(table, frame, generation, ciks, first)
    backwards = known[::-1]
    record = frame["record"][::-1]
    later = backwards.groupby(record).cummin().groupby(record).shift()
    ends = pd.concat([later, frame["withdrawn"]], axis=1).min(axis=1).reindex(frame.index)
    spans = pd.DataFrame(
        {
            "row": frame.index,
            "since": known.astype("int64"),
            "until": ends.fillna(FOREVER).astype("int64"),
            "first": ~frame["record"].duplicated(),
        }
    )
    if len(frame) < table.num_rows:
        rest = np.setdiff1d(np.arange(table.num_rows), frame.index)
        left = table.take(pa.array(rest))
        days = np.fmax(floats(left["filing_date"]), floats(local_days(left["observed_at"])))
        never = days.astype(np.int64)
        unused = pd.DataFrame({"row": rest, "since": never, "until": never, "first": False})
        spans = pd.concat([spans, unused], ignore_index=True)
    return spans.sort_values("row", ignore_index=True)


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

    A date before the period's end is passed over: see `filed_days`.
    """
    if not table.num_rows:
        return NO_DAYS
    days = filed_days(table, generation)
    dated = table.filter(pa.array(~np.isnan(days)))
    whole = days[~np.isnan(days)].astype("int64")
    series = pd.Series(whole, index=_company_ends(dated, generation, ciks))
    return series.groupby(level=[0, 1]).min()


def earliest(filings: Iterable[pd.Series[int]]) -> pd.Series[int]:
    """Return the earliest date that any of several `first_filings` has for each of its keys."""
    return pd.concat(list(filings)).groupby(level=[0, 1]).min()


def _as_dates(company_ends: pd.Index[Any]) -> pd.DataFrame:
    company, end = (company_ends.get_level_values(level) for level in (0, 1))
    days = end.to_numpy().astype("datetime64[D]").astype("datetime64[s]")
    return pd.DataFrame({"company": company.to_numpy(dtype=object), "period_end": days})


def filed_no_sooner(table: pa.Table, first: pd.Series[int], ciks: Mapping[str, str]) -> pa.Table:
    """Return v2's versions, each filed no sooner than the first filing that others know of.

    `first` is that of v1 or of SEC, by company and period end as in `first_filings`. v2's date is
    of the latest filing with the period, so that one before the first is a fault of the data. It
    stays where v2's record was observed before that first filing: then the first is at fault. The
    others may date the period some days otherwise.
    """
    filed = floats(table["filing_date"])
    sooner = np.zeros(len(filed), dtype=bool)
    if len(first) and table.num_rows:
        keys = _as_dates(_company_ends(table, Generation.V2, ciks))
        ends = nearest_ends(keys, _as_dates(first.index)).to_numpy().astype("datetime64[D]")
        theirs = pd.MultiIndex.from_arrays([keys["company"], ends.astype(np.int64)])
        known = first.reindex(theirs).to_numpy(dtype=np.float64, na_value=np.nan)
        observed = floats(local_days(table["observed_at"]))
        end = floats(table[PERIOD[Generation.V2][0]])
        sooner = (end <= filed) & (filed < known) & (known <= observed)
    if not sooner.any():
        return table
    days = pa.array(np.where(sooner, known, filed), from_pandas=True)
    place = table.schema.get_field_index("filing_date")
    return table.set_column(place, "filing_date", days.cast(pa.int32()).cast(DAY))
