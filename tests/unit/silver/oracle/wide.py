"""From the records of both generations to the rows of the wide table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.datasets.keys import SAME_PERIOD_DAYS
from polygon_fundamentals.datasets.schemas import MOMENT
from polygon_fundamentals.field_map import v2_fields
from polygon_fundamentals.periods.match import match_periods
from polygon_fundamentals.silver.ratios import RATIOS, Ints, Rows
from polygon_fundamentals.silver.schema import PREFIXES, RECORD, SORTED_BY, wide_schema
from polygon_fundamentals.statements import Generation, Statement, Timeframe
from tests.unit.silver.oracle.ratios import same_quarter_before
from tests.unit.silver.oracle.statement_rows import (
    PERIOD,
    Floats,
    Side,
    row_of,
    without_absent_zeros,
)

# What a row's labels are taken from, first of all: the statement that moves least between dates.
_LABELS = (Statement.INCOME_STATEMENTS, Statement.CASH_FLOW, Statement.BALANCE_SHEETS)
BOTH = "v2+v1"
UNKNOWN = "unknown"

Sides = Mapping[Statement, Side]


@dataclass(frozen=True)
class FirstFilings:
    """When periods were first filed: days since 1970 by (company, period end), by source.

    The order of `sources` is their rank: the first that knows a period tells its date.
    """

    sources: Sequence[tuple[str, pd.Series[int]]]

    def of(self, keys: pd.DataFrame) -> tuple[Floats, npt.NDArray[np.object_]]:
        """Return date (NaN for none) and source for rows with `company` and `period_end`."""
        days = keys["period_end"].to_numpy().astype("datetime64[D]").astype("int64")
        index = pd.MultiIndex.from_arrays([keys["company"], days])
        date = np.full(len(keys), np.nan)
        source = np.full(len(keys), UNKNOWN, dtype=object)
        for name, known in self.sources:
            if known.empty:
                continue
            found = known.reindex(index).to_numpy(dtype=np.float64, na_value=np.nan)
            fresh = np.isnan(date) & ~np.isnan(found)
            date[fresh], source[fresh] = found[fresh], name
        return date, source


def combine(primary: Generation, v1: Sides, v2: Sides, moves: pd.DataFrame) -> list[Side]:
    """Return the sides that the table is made of: the primary's, and what only v1 has.

    `moves` are the periods that v1 dates a few days off (`dates_of_v2`): they take v2's date
    first, so that none of them stands beside its own twin.
    """
    if primary is Generation.V1:
        return [without_absent_zeros(side) for side in v1.values()]
    sides = []
    for statement in Statement:
        theirs = v2[statement]
        if statement not in v1:
            sides.append(without_absent_zeros(theirs))
            continue
        dated = _moved(v1[statement], moves)
        ours = without_absent_zeros(dated)
        sides.append(without_absent_zeros(theirs, dated))
        sides.append(ours.pick(row_of(theirs.keys, ours.keys, PERIOD) < 0))
    return sides


def on_one_date(sides: Sides) -> tuple[dict[Statement, Side], pd.DataFrame]:
    """Return v2's sides, each period of a statement on the date of its income statement.

    And the periods that got another date.
    """
    income = {Statement.INCOME_STATEMENTS: sides[Statement.INCOME_STATEMENTS]}
    moves = {statement: dates_of_v2({statement: side}, income) for statement, side in sides.items()}
    dated = {statement: _moved(side, moves[statement]) for statement, side in sides.items()}
    return dated, pd.concat(moves.values()).drop_duplicates()


def dates_of_v2(v1: Sides, v2: Sides) -> pd.DataFrame:
    """Return the periods that v1 dates otherwise than v2: company, timeframe, period_end, to."""
    group = ["company", "timeframe", "period_end"]
    mine, theirs = (
        pd.concat([side.keys[group] for side in sides.values()]).drop_duplicates()
        for sides in (v1, v2)
    )
    met = match_periods(mine, theirs)
    moved = mine.iloc[met.v1].assign(to=theirs["period_end"].to_numpy()[met.v2])
    return moved[moved["to"] != moved["period_end"]]


def _moved(side: Side, moves: pd.DataFrame) -> Side:
    group = ["company", "timeframe", "period_end"]
    to = side.keys[group].merge(moves, on=group, how="left")["to"]
    there = to.notna().to_numpy()
    if not there.any():
        return side
    ends = side.keys["period_end"].where(~there, to.to_numpy())
    return replace(side, keys=side.keys.assign(period_end=ends))


def moved_first(first: pd.Series[int], moves: pd.DataFrame) -> pd.Series[int]:
    """Return v1's first filings with those of moved periods under v2's date too."""
    if moves.empty:
        return first
    days = {
        name: moves[name].to_numpy().astype("datetime64[D]").astype("int64")
        for name in ("period_end", "to")
    }
    old = pd.MultiIndex.from_arrays([moves["company"], days["period_end"]])
    new = pd.MultiIndex.from_arrays([moves["company"], days["to"]])
    lent = pd.Series(first.reindex(old).to_numpy(), index=new).dropna().astype("int64")
    return pd.concat([first, lent]).groupby(level=[0, 1]).min()


def assemble(
    sides: Sequence[Side],
    primary: Generation,
    first: FirstFilings,
    day: np.datetime64 | None = None,
) -> pa.Table:
    """Return the table in `wide_schema`, sorted by ticker, period end, timeframe and CIK.

    A twelve-month row has the balance sheet of its last day, which is that of the quarterly (or
    annual) record of the same end, or of the nearest within ten days: v2 has none of its own, and a
    balance is a state. Its values are known from when those of the balance are.

    In the table of a past `day` no ratio of a row that was known by then uses another period whose
    values were not.
    """
    everything = pd.concat([side.keys[[*PERIOD, "cik"]] for side in sides], ignore_index=True)
    codes = everything.groupby(PERIOD, sort=False).ngroup().to_numpy()
    places = np.split(codes, np.cumsum([len(side) for side in sides])[:-1])
    firsts = ~pd.Series(codes).duplicated()
    rows = everything[firsts.to_numpy()].reset_index(drop=True)
    values = {s: np.full((len(rows), len(v2_fields(s))), np.nan) for s in Statement}
    debt = np.full(len(rows), np.nan)
    balance_dates = np.full((len(rows), 2), -np.inf)
    for side, place in zip(sides, places, strict=True):
        values[side.statement][place] = side.values
        if side.statement is Statement.BALANCE_SHEETS:
            debt[place] = side.debt
            balance_dates[place] = side.keys[["known_from", "loaded_at"]]
    _label(rows, sides, places, primary)
    income = _generation_of(rows, sides, places, Statement.INCOME_STATEMENTS)
    to, source = _balances_lent(rows, values[Statement.BALANCE_SHEETS])
    for lent in (values[Statement.BALANCE_SHEETS], debt):
        lent[to] = lent[source]
    for i, name in enumerate(("values_known_from", "loaded_at")):
        latest = np.maximum(rows[name].to_numpy()[to], balance_dates[source, i])
        rows.loc[to, name] = latest.astype(rows[name].dtype)
    rows["first_filing_date"], rows["first_filing_source"] = first.of(rows)
    columns = {
        PREFIXES[s] + name: values[s][:, i]
        for s in Statement
        for i, name in enumerate(v2_fields(s))
    }
    year, quarter = same_quarter_before(rows)
    if day is not None:
        unknown = (rows["values_known_from"] > day.astype("int64")).to_numpy()
        for before in (year, quarter):
            before[unknown[before] & ~unknown] = -1
    quarterly = (rows["timeframe"] == Timeframe.QUARTERLY.v1).to_numpy()
    told = Rows(columns, debt, quarterly, year, quarter, income)
    with np.errstate(invalid="ignore", over="ignore"):
        columns |= {name: function(told) for name, function in RATIOS.items()}
    arrays = [
        _record_column(rows, name) if name in RECORD else pa.array(columns[name], from_pandas=True)
        for name in wide_schema().names
    ]
    table = pa.table(arrays, schema=wide_schema())
    return table.sort_by([(name, "ascending") for name in SORTED_BY])


def _label(
    rows: pd.DataFrame,
    sides: Sequence[Side],
    places: Sequence[npt.NDArray[np.integer[Any]]],
    primary: Generation,
) -> None:
    """Add labels, dates and origin to `rows`, from the sides that make up each."""
    labels = ["fiscal_year", "fiscal_quarter", "fiscal_period"]
    by_rank = sorted(
        zip(sides, places, strict=True),
        key=lambda item: (item[0].generation is not primary, _LABELS.index(item[0].statement)),
    )
    parts = pd.concat([side.keys.assign(place=place) for side, place in by_rank])
    label = parts.drop_duplicates("place").set_index("place").sort_index()
    for name in labels:
        rows[name] = label[name].to_numpy()
    latest = parts.groupby("place")[["filing_date", "known_from", "loaded_at"]].max()
    rows["filing_date"] = latest["filing_date"].to_numpy()
    rows["values_known_from"] = latest["known_from"].to_numpy()
    rows["loaded_at"] = latest["loaded_at"].to_numpy()
    held = {generation: np.zeros(len(rows), dtype=bool) for generation in Generation}
    for side, place in by_rank:
        held[side.generation][place] = True
    both = held[Generation.V1] & held[Generation.V2]
    rows["generation"] = np.where(
        both, BOTH, np.where(held[Generation.V1], Generation.V1.value, Generation.V2.value)
    )


def _generation_of(
    rows: pd.DataFrame,
    sides: Sequence[Side],
    places: Sequence[npt.NDArray[np.integer[Any]]],
    statement: Statement,
) -> npt.NDArray[np.object_]:
    found = np.full(len(rows), "", dtype=object)
    for side, place in zip(sides, places, strict=True):
        if side.statement is statement:
            found[place] = side.generation.value
    return found


def _balances_lent(rows: pd.DataFrame, balances: Floats) -> tuple[Ints, Ints]:
    """Return the twelve-month rows that have a balance sheet of their last day, and the lenders."""
    year = np.flatnonzero((rows["timeframe"] == Timeframe.TTM.v1).to_numpy())
    has = ~np.isnan(balances).all(axis=1)
    lenders = rows[["ticker", "company", "timeframe", "period_end"]].assign(source=rows.index)
    lenders = lenders[has & (rows["timeframe"] != Timeframe.TTM.v1).to_numpy()]
    wanted = rows.loc[year, ["ticker", "company", "period_end"]].assign(to=year)
    met = wanted.merge(lenders, on=["ticker", "company"], suffixes=("", "_lent"))
    met["apart"] = (met["period_end"] - met["period_end_lent"]).abs().dt.days
    met["annual"] = met["timeframe"] == Timeframe.ANNUAL.v1
    met = met[met["apart"] <= SAME_PERIOD_DAYS]
    met = met.sort_values(["to", "apart", "annual", "period_end_lent"]).drop_duplicates("to")
    return met["to"].to_numpy(), met["source"].to_numpy()


def _record_column(rows: pd.DataFrame, name: str) -> pa.Array:
    kind = RECORD[name]
    if name == "period_end":
        return pa.array(rows[name].to_numpy().astype("datetime64[D]"), kind)
    if pa.types.is_string(kind):
        return pa.array(rows[name].to_numpy(dtype=object), kind, from_pandas=True)
    if kind == MOMENT:
        return pa.array(rows[name].to_numpy(dtype=np.int64)).cast(kind)
    numbers = pa.array(rows[name].to_numpy(dtype=np.float64), from_pandas=True)
    return pc.cast(numbers, pa.int32(), safe=False).cast(kind)
