"""Rows that another tool wrote, in our schema: read through the normaliser, as an answer is."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.normalise import v1_tables, v2_table
from polygon_fundamentals.normalise.exact import exact_decimal, parse_exact, to_json
from polygon_fundamentals.normalise.v1 import v1_positions
from polygon_fundamentals.statements import Generation, Statement

_HIVE = ("ticker", "year", "month")
# Whole numbers in text; a column that had gaps was a float on its way there.
_WHOLE = re.compile(r"([0-9]{1,10})(?:\.0+)?")
_LABELS = ("cik", "fiscal_year", "fiscal_quarter")
# What we note of a row → the types in which our files have it, or another tool writes it again.
_NOTES = {
    "absent_fields": (pa.types.is_list, pa.types.is_large_list, pa.types.is_null),
    "unmapped": (pa.types.is_string, pa.types.is_large_string, pa.types.is_null),
    "observed_at": (pa.types.is_timestamp, pa.types.is_null),
}


def adopted(
    table: pa.Table, generation: Generation, statement: Statement, touched: datetime
) -> pa.Table:
    """Return the rows of a file that another tool wrote, in our schema, without a ticker.

    Struct members that are null count as absent, since such files cannot tell the two apart. The
    moment of observation is the file's own time, `touched`. Rows of ours in a file that another
    tool wrote again keep what we noted of them.

    Raises:
        ApiError, ArrowException, ArithmeticError, RecursionError, TypeError, ValueError: a value
            can be read in no way.
    """
    wanted = schema(generation, statement)
    notes = _notes(table, wanted)
    kinds = {field.name: field.type for field in wanted}
    rows = [_as_answer(row, kinds) for row in table.drop_columns(notes.column_names).to_pylist()]
    if generation is Generation.V2:
        return _with_notes(v2_table(rows, statement, touched), notes)
    held = v1_positions(rows)[statement]
    found = v1_tables(rows, touched)[statement]
    return _with_notes(found, notes.take(pa.array(held, pa.int64())))


def _notes(table: pa.Table, wanted: pa.Schema) -> pa.Table:
    """Return those columns of ours that hold our notes, in our types."""
    columns = {
        name: table[name].cast(wanted.field(name).type, safe=False)
        for name, kinds in _NOTES.items()
        if name in table.schema.names and any(is_kind(table[name].type) for is_kind in kinds)
    }
    return pa.table(columns) if columns else table.select([])


def _with_notes(found: pa.Table, notes: pa.Table) -> pa.Table:
    """Return the rows with our notes where there are any; what else is unmapped stays beside."""
    for name in notes.column_names:
        mine = notes[name]
        if name == "unmapped":
            both = zip(mine.to_pylist(), found[name].to_pylist(), strict=True)
            mine = pa.array(
                [
                    to_json({**parse_exact(other), **parse_exact(own)}) if own and other else own
                    for own, other in both
                ],
                pa.string(),
            )
        column = pc.if_else(mine.is_valid(), mine, found[name])
        found = found.set_column(found.schema.get_field_index(name), found.field(name), column)
    return found


def _as_answer(row: dict[str, Any], kinds: dict[str, pa.DataType]) -> dict[str, Any]:
    """Return a row of an older file as the API would have sent it."""
    clean: dict[str, Any] = {}
    for key, cell in row.items():
        value = _value(key, _plain(cell), kinds.get(key))
        if value is not None and key not in _HIVE:
            clean[key] = value
    return clean


def _value(key: str, value: Any, kind: pa.DataType | None) -> Any:
    if isinstance(value, float) and value != value and kind != pa.float64():
        return None  # pandas' way to say that there is none
    if isinstance(value, datetime) and kind == pa.date32():
        return value.date().isoformat()
    if isinstance(value, date) and kind is not None:
        return value.isoformat()
    if isinstance(value, str) and key in _LABELS:
        text = value.strip()
        whole = _WHOLE.fullmatch(text)
        if key == "cik":
            return (whole[1].zfill(10) if whole else text) or None
        return whole[1] if whole else value
    if isinstance(value, str) and key == "financials":
        return _financials(value)
    return value


def _financials(text: str) -> Any:
    if not text.strip():
        return None
    try:
        return _plain(parse_exact(text))
    except ValueError as error:
        raise ValueError(f"a text in financials is no JSON: {error}") from error


def _plain(value: Any) -> Any:
    """Return a value as JSON could hold it; nested structs without the members that are null."""
    if isinstance(value, dict):
        plain = {key: _plain(item) for key, item in value.items() if item is not None}
        return {key: item for key, item in plain.items() if item != {}}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return exact_decimal(format(value, "f"))
    if isinstance(value, bytes):
        with suppress(UnicodeDecodeError):
            return value.decode()
    return value
