"""One statement of one generation over time: keys, labels and v2-named values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.field_map import Unit, entries, v1_sources, v2_fields
from polygon_fundamentals.periods.amounts import has_amounts
from polygon_fundamentals.periods.current import fiscal_years
from polygon_fundamentals.periods.standing import column_of, standing_values
from polygon_fundamentals.silver import accessions
from polygon_fundamentals.silver.current_spans import current_spans
from polygon_fundamentals.silver.names import Names
from polygon_fundamentals.silver.timeline import (
    COMPANY_END,
    TIMEFRAMES,
    Ints,
    first_at,
    pack,
    pairs,
    split,
)
from polygon_fundamentals.silver.version_order import filed_days
from polygon_fundamentals.statements import Generation, Statement

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ANNUAL, QUARTERLY, TTM = range(3)
_QUARTERS = {"Q1": 1, "Q2": 2, "Q3": 3, "Q4": 4, "FY": 4}
_DEBT = ("debt_current", "long_term_debt_and_capital_lease_obligations")


@dataclass(frozen=True)
class Side:
    """The current records of one statement: at any moment one per ticker file and period.

    `keys` has the numbers of `Names.keys`, since and until (days since 1970), fiscal_year,
    fiscal_quarter, filing_date, known_from (days since 1970), loaded_at (microseconds since 1970),
    accession (see `accessions`). `values` has a column for each of `v2_fields`, NaN for none.
    `debt` is the total debt, with zeros not yet removed. The rows are in the order of the table
    that they were read from, then of time.
    """

    generation: Generation
    statement: Statement
    keys: pd.DataFrame
    values: Floats
    debt: Floats

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def since(self) -> Ints:
        """From which day each row stands."""
        return self.keys["since"].to_numpy()

    @cached_property
    def until(self) -> Ints:
        """Until which day, that one excluded."""
        return self.keys["until"].to_numpy()

    def pick(self, rows: Flags | Ints) -> Side:
        """Return the side with some of its rows."""
        places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        keys = self.keys.iloc[places].reset_index(drop=True)
        return replace(self, keys=keys, values=self.values[places], debt=self.debt[places])

    def cut(self, rows: Ints, days: Ints) -> Side:
        """Return the side with some of its rows split at some days."""
        source, since, until = split(self.since, self.until, rows, days)
        if len(source) == len(self):
            return self
        pieces = self.pick(source)
        return replace(pieces, keys=pieces.keys.assign(since=since, until=until))

    def cut_by(self, other: Side, columns: Sequence[str], rows: Flags | None = None) -> Side:
        """Return the side split where the rows of another with equal `columns` begin or end."""
        ids = pack(self.keys, columns)
        chosen = np.arange(len(self)) if rows is None else np.flatnonzero(rows)
        i, j = pairs(pack(other.keys, columns), ids[chosen])
        return self.cut(np.tile(chosen[i], 2), np.concatenate([other.since[j], other.until[j]]))

    def at(self, columns: Sequence[str], wanted: pd.DataFrame, days: Ints) -> Ints:
        """Return the first row that stood on each day and has the wanted `columns`, else -1."""
        ids = pack(self.keys, columns)
        return first_at(ids, self.since, self.until, pack(wanted, columns), days)


def side_of(
    table: pa.Table,
    life: pd.DataFrame,
    keys: pd.DataFrame,
    generation: Generation,
    statement: Statement,
    names: Names,
) -> Side:
    """Return the current records of `table`, which stood in the spans of `life`.

    `life` has row, since, until and known_from, `keys` is `names.keys` of the table. Left out are
    records that hold no value of the statement, and balance sheets over twelve months, which only
    v1 has: see `wide.assemble`.
    """
    served = np.isin(keys["timeframe"], [TIMEFRAMES.index(t.v1) for t in statement.v2_timeframes])
    good = served & has_values(table, generation, statement)
    life = life[good[life["row"]] & (life["since"] < life["until"])].reset_index(drop=True)
    life = current_spans(table, life, keys, generation, names)
    rows = life["row"].to_numpy()
    table = table.take(pa.array(rows))
    matrix = _v1_values(table, statement) if generation is Generation.V1 else _v2(table, statement)
    keys = keys.iloc[rows].reset_index(drop=True)
    keys[["since", "until"]] = life[["since", "until"]]
    keys["fiscal_year"] = fiscal_years(table)
    if generation is Generation.V1:
        labels = table["fiscal_period"].to_pandas()
        keys["fiscal_quarter"] = labels.map(_QUARTERS).to_numpy(dtype=np.float64)
    else:
        keys["fiscal_quarter"] = table["fiscal_quarter"].cast(pa.float64()).to_numpy()
    keys["filing_date"] = filed_days(table, generation)
    keys["known_from"] = life["known_from"]
    keys["loaded_at"] = table["observed_at"].cast(pa.int64()).to_numpy()
    v1 = generation is Generation.V1
    keys["accession"] = accessions.in_urls(table["source_filing_url"]) if v1 else 0
    side = Side(generation, statement, keys, matrix, _owed(matrix, statement))
    return _with_quarters(side) if generation is Generation.V1 else side


def _with_quarters(side: Side) -> Side:
    """Give v1's twelve-month records, labelled TTM alone, the quarter that ends with them."""
    quarter = side.keys["fiscal_quarter"].to_numpy()
    open_ = np.isnan(quarter)
    lenders = side.pick(~open_)
    if not open_.any() or not len(lenders):
        return side
    side = side.cut_by(lenders, COMPANY_END, open_)
    quarter = side.keys["fiscal_quarter"].to_numpy().copy()
    open_ = np.flatnonzero(np.isnan(quarter))
    lender = lenders.at(COMPANY_END, side.keys.iloc[open_], side.since[open_])
    has = lender >= 0
    quarter[open_[has]] = lenders.keys["fiscal_quarter"].to_numpy()[lender[has]]
    return replace(side, keys=side.keys.assign(fiscal_quarter=quarter))


def _v2(table: pa.Table, statement: Statement) -> Floats:
    return _matrix([_column(table, name) for name in v2_fields(statement)], table.num_rows)


def _v1_values(table: pa.Table, statement: Statement) -> Floats:
    """Return v1's lines under v2's names and in v2's sign."""
    columns = []
    for name in v2_fields(statement):
        if sources := v1_sources(statement, name):
            lines = [_column(table, column_of(source)) for source in sources]
            columns.append(standing_values(sources, lines)[0])
        else:
            columns.append(np.full(table.num_rows, np.nan))
    return _matrix(columns, table.num_rows)


def _matrix(columns: list[Floats], rows: int) -> Floats:
    return np.column_stack(columns) if rows else np.empty((0, len(columns)))


def _column(table: pa.Table, name: str) -> Floats:
    return table[name].to_numpy()


def _owed(values: Floats, statement: Statement) -> Floats:
    """Return total debt, counting an absent debt line as 0."""
    if statement is not Statement.BALANCE_SHEETS:
        return np.full(len(values), np.nan)
    names = v2_fields(statement)
    parts = values[:, [names.index(name) for name in _DEBT]]
    return np.where(np.isnan(parts).all(axis=1), np.nan, np.nansum(parts, axis=1))


def has_values(table: pa.Table, generation: Generation, statement: Statement) -> Flags:
    """Return which records have an amount of money; for v2, only fields that v1 has too count."""
    if generation is Generation.V2:
        return has_amounts(table, generation, statement)
    has_value = np.zeros(table.num_rows, dtype=bool)
    for entry in entries(statement):
        if entry.v1_column is not None and entry.unit is Unit.USD:
            has_value |= ~np.isnan(_column(table, entry.v1_column))
    return has_value
