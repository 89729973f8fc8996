"""The one schema of `silver/fundamentals_wide`, whichever generation it was built from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pyarrow as pa

from polygon_fundamentals.datasets.schemas import DAY, MOMENT, TEXT
from polygon_fundamentals.field_map import v2_fields
from polygon_fundamentals.silver.ratios import RATIOS
from polygon_fundamentals.statements import Statement

PREFIXES = {
    Statement.BALANCE_SHEETS: "bs_",
    Statement.CASH_FLOW: "cf_",
    Statement.INCOME_STATEMENTS: "is_",
}
# Columns that name a row and say where it comes from, in the table's order.
RECORD = {
    "ticker": TEXT,
    "cik": TEXT,
    "timeframe": TEXT,
    "period_end": DAY,
    "fiscal_year": pa.int32(),
    "fiscal_quarter": pa.int32(),
    "fiscal_period": TEXT,
    "filing_date": DAY,
    "first_filing_date": DAY,
    "first_filing_source": TEXT,
    "values_known_from": DAY,
    "generation": TEXT,
    "loaded_at": MOMENT,
}
SORTED_BY = ("ticker", "period_end", "timeframe", "cik")


def value_columns() -> Iterator[tuple[Statement, str, str]]:
    """Yield (statement, v2 field, column of the table) in the table's order."""
    for statement in Statement:
        for name in v2_fields(statement):
            yield statement, name, PREFIXES[statement] + name


@cache
def wide_schema() -> pa.Schema:
    """Return the Arrow schema of every file of the table: record, values, ratios."""
    values = [pa.field(column, pa.float64()) for _, _, column in value_columns()]
    ratios = [pa.field(name, pa.float64()) for name in RATIOS]
    return pa.schema([*(pa.field(n, t) for n, t in RECORD.items()), *values, *ratios])


# What the history adds: from when to when a row stood, how that is known, and of which filing.
HISTORY = {
    "known_from": DAY,
    "known_to": DAY,
    "knowledge": TEXT,
    "accession_number": TEXT,
}


@cache
def history_schema() -> pa.Schema:
    """Return the Arrow schema of the history: that of the wide table, and `HISTORY`."""
    return pa.schema([*wide_schema(), *HISTORY.items()])
