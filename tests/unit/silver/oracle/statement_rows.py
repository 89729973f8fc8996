"""One statement of one generation as the table needs it: keys, labels and v2-named values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.field_map import Relation, Unit, entries, v1_sources, v2_fields
from polygon_fundamentals.periods.current import current_rows, period_keys
from polygon_fundamentals.silver.version_order import filed_days
from polygon_fundamentals.statements import Generation, Statement, Timeframe

Days = npt.NDArray[np.datetime64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

PERIOD = ["ticker", "company", "timeframe", "period_end"]
_QUARTERS = {"Q1": 1, "Q2": 2, "Q3": 3, "Q4": 4, "FY": 4}
_DEBT = ("debt_current", "long_term_debt_and_capital_lease_obligations")


@dataclass(frozen=True)
class Side:
    """Current records of one statement, one a ticker file and period.

    `keys` has the columns of `PERIOD` and cik, fiscal_year, fiscal_quarter, fiscal_period,
    filing_date, known_from (days since 1970), loaded_at (microseconds since 1970). `values` has a
    column for each of `v2_fields`, NaN for none. `debt` is what is owed, zeros still in place.
    """

    generation: Generation
    statement: Statement
    keys: pd.DataFrame
    values: Floats
    debt: Floats

    def __len__(self) -> int:
        return len(self.keys)

    def pick(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Side:
        """Return the side with some of its rows."""
        return replace(
            self,
            keys=self.keys[rows].reset_index(drop=True)
            if rows.dtype == np.bool_
            else self.keys.iloc[rows].reset_index(drop=True),
            values=self.values[rows],
            debt=self.debt[rows],
        )


def side_of(
    table: pa.Table,
    known: Days,
    generation: Generation,
    statement: Statement,
    ciks: Mapping[str, str],
) -> Side:
    """Return the current records of `table`, whose rows could be known from the days `known`.

    Left out are records that hold no value of the statement, and balance sheets over twelve
    months, which only v1 has: see `wide.assemble`.
    """
    timeframes = table["timeframe"].to_pandas().astype(str)
    served = timeframes.isin([t for s in statement.v2_timeframes for t in (s.v1, s.v2)]).to_numpy()
    rows = np.flatnonzero(served & _has_values(table, generation, statement))
    rows = rows[current_rows(table.take(pa.array(rows)), generation, ciks, by_ticker=True)]
    table = table.take(pa.array(rows))
    matrix = _v1_values(table, statement) if generation is Generation.V1 else _v2(table, statement)
    keys = period_keys(table, generation, ciks)
    keys.insert(0, "ticker", table["ticker"].to_numpy(zero_copy_only=False))
    keys["cik"] = keys["company"].where(~keys["company"].str.startswith("ticker:"), None)
    year = pc.cast(table["fiscal_year"], pa.float64(), safe=False)
    keys["fiscal_year"] = year.to_numpy()
    if generation is Generation.V1:
        keys["fiscal_quarter"] = table["fiscal_period"].to_pandas().map(_QUARTERS).to_numpy()
        _lend_quarters(keys)
    else:
        keys["fiscal_quarter"] = table["fiscal_quarter"].cast(pa.float64()).to_numpy()
    keys["fiscal_period"] = _fiscal_periods(keys)
    # A filing date before the period's end says nothing: readers would take it for a day known.
    keys["filing_date"] = filed_days(table, generation)
    keys["known_from"] = known[rows].astype("int64").astype(np.float64)
    keys["loaded_at"] = table["observed_at"].cast(pa.int64()).to_numpy()
    return Side(generation, statement, keys, matrix, _owed(matrix, statement))


def _lend_quarters(keys: pd.DataFrame) -> None:
    """Give v1's twelve-month records, labelled TTM alone, the quarter that ends with them."""
    open_ = keys["fiscal_quarter"].isna()
    if open_.any():
        known = keys[~open_].drop_duplicates(["company", "period_end"])
        quarter = known.set_index(["company", "period_end"])["fiscal_quarter"]
        wanted = pd.MultiIndex.from_frame(keys.loc[open_, ["company", "period_end"]])
        keys.loc[open_, "fiscal_quarter"] = quarter.reindex(wanted).to_numpy()


def _fiscal_periods(keys: pd.DataFrame) -> pd.Series[str]:
    """Return the period in v1's words: Q1 to Q4, FY, TTM."""
    quarter = "Q" + keys["fiscal_quarter"].fillna(0).astype(int).astype(str)
    named = quarter.where(keys["fiscal_quarter"].notna(), None).astype(object)
    named[keys["timeframe"] == Timeframe.ANNUAL.v1] = "FY"
    named[keys["timeframe"] == Timeframe.TTM.v1] = "TTM"
    return named


def _v2(table: pa.Table, statement: Statement) -> Floats:
    return _matrix([_column(table, name) for name in v2_fields(statement)], table.num_rows)


def _v1_values(table: pa.Table, statement: Statement) -> Floats:
    """Return v1's lines under v2's names and in v2's sign.

    Where several lines lead to a field, the first that is there and not zero stands for it, else
    the first that is there; as in the comparison.
    """
    columns = []
    for name in v2_fields(statement):
        result = np.full(table.num_rows, np.nan)
        for entry in reversed(v1_sources(statement, name)):
            if entry.v1_column is None:
                continue
            sign = -1.0 if entry.relation is Relation.SIGN_FLIPPED else 1.0
            # Adding zero turns the -0.0 of a flipped zero into 0.0.
            line = sign * _column(table, entry.v1_column) + 0.0
            stands = ~np.isnan(line) & ((line != 0) | np.isnan(result) | (result == 0))
            result = np.where(stands, line, result)
        columns.append(result)
    return _matrix(columns, table.num_rows)


def _matrix(columns: list[Floats], rows: int) -> Floats:
    return np.column_stack(columns) if rows else np.empty((0, len(columns)))


def _column(table: pa.Table, name: str) -> Floats:
    found: Floats = table[name].to_numpy()
    return found


def _owed(values: Floats, statement: Statement) -> Floats:
    """Return debt before zeros are taken for absent lines: a company without debt owes 0."""
    if statement is not Statement.BALANCE_SHEETS:
        return np.full(len(values), np.nan)
    names = v2_fields(statement)
    parts = values[:, [names.index(name) for name in _DEBT]]
    debt: Floats = np.where(np.isnan(parts).all(axis=1), np.nan, np.nansum(parts, axis=1))
    return debt


def _has_values(table: pa.Table, generation: Generation, statement: Statement) -> Flags:
    """Which records hold an amount of money; v2 sends some with share counts and zeros alone.

    What v1 never has is no reason to take v2's record in place of v1's.
    """
    found = np.zeros(table.num_rows, dtype=bool)
    for entry in entries(statement):
        name = entry.v1_column if generation is Generation.V1 else entry.v2
        if name is None or entry.unit is not Unit.USD:
            continue
        if generation is Generation.V2 and entry.v1 is None:
            continue
        column = _column(table, name)
        found |= ~np.isnan(column) & ((generation is Generation.V1) | (column != 0))
    return found


def without_absent_zeros(side: Side, v1: Side | None = None) -> Side:
    """Return the side with null for each zero that stands for an absent line.

    Proven are two cases, and in no other a zero is touched:

    - the company has never had anything but zero or nothing in the field, in any record of this
      generation: it has no such line;
    - v1's record of the same period carries the statement without any line that the field map
      pairs with the field (`v1`, for v2 records only; its periods are those of `side`).
    """
    if not len(side):
        return side
    zero = side.values == 0
    codes, _ = pd.factorize(side.keys["company"])
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    telling = ~np.isnan(side.values) & ~zero
    ever = np.maximum.reduceat(telling[order], starts, axis=0)
    absent = zero & ~ever[codes]
    if v1 is not None and len(v1):
        rows = row_of(v1.keys, side.keys, ["company", "timeframe", "period_end"])
        names = v2_fields(side.statement)
        paired = np.array([bool(v1_sources(side.statement, name)) for name in names])
        lacking = np.isnan(v1.values[rows]) & (rows >= 0)[:, np.newaxis] & paired
        absent |= zero & lacking
    return replace(side, values=np.where(absent, np.nan, side.values))


def row_of(frame: pd.DataFrame, wanted: pd.DataFrame, columns: list[str]) -> npt.NDArray[np.int64]:
    """Return for each row of `wanted` the first row of `frame` with equal columns, else -1."""
    known = frame[columns].assign(row=np.arange(len(frame))).drop_duplicates(columns)
    found = wanted[columns].merge(known, on=columns, how="left")["row"]
    rows: npt.NDArray[np.int64] = found.fillna(-1).to_numpy(dtype=np.int64)
    return rows
