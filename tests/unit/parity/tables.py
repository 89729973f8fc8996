"""Literal records as the lake delivers them: a v1 and a v2 table of one statement."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from polygon_fundamentals.field_map import v1_fields, v2_fields
from polygon_fundamentals.parity.compare import StatementParity
from polygon_fundamentals.parity.findings import NAMES, StatementFindings, tables_of, writing
from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.tolerances import Accepted, Tolerances
from polygon_fundamentals.parity.totals import Parity, Totals
from polygon_fundamentals.statements import Statement

Row = Mapping[str, Any]
OBSERVED = datetime(2026, 10, 1, tzinfo=UTC)

_COMMON = [
    ("ticker", pa.string()),
    ("cik", pa.string()),
    ("tickers", pa.list_(pa.string())),
    ("filing_date", pa.date32()),
    ("timeframe", pa.string()),
    ("observed_at", pa.timestamp("us", tz="UTC")),
    ("absent_fields", pa.list_(pa.string())),
    ("unmapped", pa.string()),
]
_V1 = [
    ("company_name", pa.string()),
    ("start_date", pa.date32()),
    ("end_date", pa.date32()),
    ("acceptance_datetime", pa.string()),
    ("fiscal_year", pa.string()),
    ("fiscal_period", pa.string()),
]
_V2 = [("period_end", pa.date32()), ("fiscal_year", pa.int32()), ("fiscal_quarter", pa.int32())]
DAYS = ("filing_date", "end_date", "period_end", "start_date")
DEFAULTS: Row = {
    "ticker": "AAA",
    "cik": "0000000001",
    "tickers": ["AAA"],
    "timeframe": "quarterly",
    "observed_at": OBSERVED,
    "absent_fields": [],
}


def who_is(number: int) -> dict[str, Any]:
    """What a record of one of many companies says of whose it is."""
    return {"ticker": f"T{number:03}", "tickers": [f"T{number:03}"], "cik": f"{number:010}"}


def v1_table(statement: Statement, rows: Iterable[Row]) -> pa.Table:
    """Rows by v1's column names; a line may be named without its section if that is the first."""
    columns = {f.column: pa.float64() for f in v1_fields(statement)}
    short = {f.name: f.column for f in reversed(v1_fields(statement))}
    named = [{short.get(name, name): value for name, value in row.items()} for row in rows]
    return _table({**dict(_COMMON), **dict(_V1), **columns}, named)


def v2_table(statement: Statement, rows: Iterable[Row]) -> pa.Table:
    """Rows by v2's column names."""
    columns = dict.fromkeys(v2_fields(statement), pa.float64())
    return _table({**dict(_COMMON), **dict(_V2), **columns}, list(rows))


def _table(types: Mapping[str, pa.DataType], rows: list[Row]) -> pa.Table:
    for row in rows:
        unknown = set(row) - set(types)
        assert not unknown, f"no such columns: {sorted(unknown)}"
    full = [DEFAULTS | dict(row) for row in rows]
    return pa.table(
        {
            name: pa.array([_value(name, row.get(name)) for row in full], type=kind)
            for name, kind in types.items()
        }
    )


def _value(name: str, value: Any) -> Any:
    return date.fromisoformat(value) if name in DAYS and isinstance(value, str) else value


def totals_of(
    result: StatementParity, statement: Statement, v1: pa.Table, accepted: Sequence[Accepted] = ()
) -> Totals:
    """The totals of a comparison, counted as a run counts them: from the tables that it leaves."""
    tables = tables_of(dict.fromkeys(NAMES, pd.DataFrame()) | vars(result))
    tables["v1_records"] = pa.table({"filing_date": v1["filing_date"].cast(pa.timestamp("ms"))})
    with tempfile.TemporaryDirectory() as name:
        findings = StatementFindings(statement, Path(name))
        with writing(findings.folder) as writer:
            for table in (*vars(result), "v1_records"):
                writer.add(table, tables[table])
        return findings.totals(accepted)


def over_budget(parity: Parity, tolerances: Tolerances) -> list[Kind]:
    """The kinds of which more was found than may stand."""
    budgets = tolerances.budgets
    return [
        kind
        for kind, count in parity.counts.items()
        if budgets[kind].at_most != "unlimited" and count > int(budgets[kind].at_most)
    ]
