"""From when the versions of `history` could be known, and which were the present ones on a day.

A version counts from the day on which its content could be known:

- one whose filing is later than those of all versions before it, the first among them: its own
  filing date, whenever it was loaded;
- a change without a later filing (a split, a vendor's correction): the day, in New York, on which
  it was observed. It is one too where it stands under another label, another ticker or a CIK that
  came later: where anybody had seen other content of the same company, timeframe and period end
  under that filing (v2: or a later one) before;
- a record without a filing date (v1 derives fourth quarters): the first filing that any record of
  the same company and period end has, or the day on which it was observed, if that is sooner.

Versions follow one another as they were observed. A record of v1 is one filing, and a load may
bring an original after its amendment: it never was the lake's row, and comes before the first
that was and has a later filing. A withdrawn record ends on the day on which its absence was
observed.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from polygon_fundamentals.periods.companies import company_keys
from polygon_fundamentals.periods.current import period_keys
from polygon_fundamentals.silver.timeline import FOREVER
from polygon_fundamentals.statements import Generation

_STANDING = np.iinfo(np.int64).max


def _known(
    table: pa.Table,
    frame: pd.DataFrame,
    generation: Generation,
    ciks: Mapping[str, str],
    first: pd.Series[int],
) -> pd.Series[float]:
    """Return the day from which each version could be known, in the order of `frame`.

    `frame` is of `_chains`. `table` holds all versions of its records, under all tickers of their
    companies. `first` gives the first filing by company and period end, as days since 1970, for
    records without a filing date.
    """
    undated = frame["filed"].isna()
    # Seen beside a row of the lake that had been there before: it tells nothing of that row.
    late = frame["aside"] & (frame["moment"] > frame.groupby("record")["moment"].transform("min"))
    own = frame["filed"].copy()
    borrows = frame.index[undated & ~late & ~frame["record"].duplicated()]
    if len(borrows):
        keys = _company_ends(table.take(pa.array(borrows)), generation, ciks)
        filed = first.reindex(keys).to_numpy(dtype=np.float64, na_value=np.nan)
        own.loc[borrows] = np.minimum(filed, frame.loc[borrows, "observed"])
    frame["bound"] = frame["filed"].fillna(frame["observed"].mask(late))
    latest = frame.groupby("record")["bound"].cummax().groupby(frame["record"]).shift()
    later = own.notna() & ~(latest >= own)
    seen = _seen_together(table, frame, generation, ciks)
    is_filing = later & ~(seen["bound_before"] >= own)
    observed = seen["observed"].where(later, frame["observed"])
    return own.where(is_filing, np.fmax(frame["filed"], observed))


def _seen_together(
    table: pa.Table, frame: pd.DataFrame, generation: Generation, ciks: Mapping[str, str]
) -> pd.DataFrame:
    """Return on which day a version's content was first observed, under any label or ticker.

    `frame` is of `_chains`, with `bound`: the filing date, or for want of one the day of
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
    part["content"] = _contents(table.take(pa.array(part.index)), generation)
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


def _contents(table: pa.Table, generation: Generation) -> npt.NDArray[np.integer[Any]]:
    """Return a number a version, the same for the same values, label and filing date."""
    texts = [*PERIOD[generation], "filing_date"]
    numbers = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    columns = {name: pc.fill_null(table[name].cast(TEXT), "").to_pandas() for name in texts}
    for name in numbers:
        values = table[name].to_numpy()
        # One zero of -0.0 and 0.0, one NaN of all.
        columns[name] = np.where(np.isnan(values), np.nan, values + 0.0)
    frame = pd.DataFrame(columns)
    return pd.util.hash_pandas_object(frame, index=False).to_numpy()


def lifetimes(
    table: pa.Table, generation: Generation, ciks: Mapping[str, str], first: pd.Series[int]
) -> pd.DataFrame:
    """Return row, since and until of each version of `table`, and whether its record's first.

    In days since 1970, in the order of `table`; the span of a version that never was the present
    one is empty. A version ends when one after it could be known, or when its record was seen to
    be withdrawn.
    """
    frame = _chains(table, generation)
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
    return spans.sort_values("row", ignore_index=True)


def _chains(table: pa.Table, generation: Generation) -> pd.DataFrame:
    """Return record, filed, observed and withdrawn (days since 1970) in the order of versions.

    The index is the position in `table`; the row that stands in the lake comes last of its
    record. `moment` is that of observation, in microseconds; `aside` says of a version of v1 that
    it never was the lake's row.
    """
    keys = pc.binary_join_element_wise(
        table["ticker"], pa.array(record_keys(table, generation), TEXT), "\x1f"
    )
    withdrawn = pc.fill_null(pc.equal(table["event"], revisions.WITHDRAWN), False)
    ends = pc.if_else(withdrawn, table["superseded_at"], None)
    moment = table["observed_at"].cast(pa.int64())
    until = pc.coalesce(table["superseded_at"].cast(pa.int64()), moment)
    frame = pd.DataFrame(
        {
            "record": keys.combine_chunks().dictionary_encode().indices.to_numpy(),
            "moment": moment.to_numpy(),
            "until": pc.if_else(table["event"].is_null(), _STANDING, until).to_numpy(),
            "filed": _floats(table["filing_date"]),
            "observed": _floats(local_days(table["observed_at"])),
            "withdrawn": _floats(local_days(ends)),
        }
    )
    if generation is Generation.V2:
        frame["aside"] = False
        order = ["record", "until", "moment", "filed"]
    else:
        frame["filing"] = frame.groupby(list(filing_order(table, generation).T)).ngroup()
        frame["aside"] = ~withdrawn.to_numpy() & (frame["until"] <= frame["moment"])
        _put_aside(frame)
        order = ["record", "until", "filing", "moment"]
    return frame.sort_values(order, na_position="first", kind="stable")


def _put_aside(frame: pd.DataFrame) -> None:
    """Date the end of versions that never stood to that of the first of a later filing that did.

    By their filing they then come before it.
    """
    aside = frame.loc[frame["aside"], ["record", "filing"]].rename_axis("place").reset_index()
    if aside.empty:
        return
    stood = frame.loc[~frame["aside"], ["record", "filing", "until"]]
    met = aside.merge(stood, on="record", suffixes=("", "_stood"))
    ends = met[met["filing_stood"] > met["filing"]].groupby("place")["until"].min()
    frame.loc[ends.index, "until"] = ends


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
    local = pc.local_timestamp(moments.cast(pa.timestamp("us", tz=NEW_YORK.key)))
    return pc.floor_temporal(local, unit="day").cast(DAY)


def _floats(days: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    numbers: npt.NDArray[np.float64] = (
        days.cast(pa.int32()).cast(pa.float64()).to_numpy().astype(np.float64)
    )
    return numbers
