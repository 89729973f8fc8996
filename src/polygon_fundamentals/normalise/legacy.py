"""Rows that another tool wrote, in our schema: read through the normaliser, as an answer is."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.business_days import as_moment
from polygon_fundamentals.datasets.keys import (
    MOMENTS_OF_TOOLS,
    content_hashes,
    is_addition,
    record_keys,
)
from polygon_fundamentals.datasets.schemas import MOMENT, schema
from polygon_fundamentals.normalise import v1_tables, v2_table
from polygon_fundamentals.normalise.exact import JsonObject, exact_decimal, parse_exact, to_json
from polygon_fundamentals.normalise.v1 import v1_positions
from polygon_fundamentals.statements import Generation, Snapshot, Statement

# Whole numbers in text; a column that had gaps was a float on its way there.
_WHOLE = re.compile(r"([0-9]{1,10})(?:\.0+)?")
# Labels of digits → how many they have at least; a number has lost its leading zeros.
_DIGITS = {"cik": 10, "sic": 4, "fiscal_year": 0, "fiscal_quarter": 0}
# What we note of a row → the types in which our files have it, or another tool writes it again.
_NOTES = {
    "absent_fields": (pa.types.is_list, pa.types.is_large_list, pa.types.is_null),
    "unmapped": (pa.types.is_string, pa.types.is_large_string, pa.types.is_null),
    "observed_at": (pa.types.is_timestamp, pa.types.is_null),
}


def converted(
    table: pa.Table, generation: Generation, statement: Statement | Snapshot, touched: datetime
) -> pa.Table:
    """Return the rows of a file that another tool wrote, in our schema, without a ticker.

    Struct members that are null count as absent, since such files cannot tell the two apart. The
    time of observation is the one that the tool noted beside the row (`downloaded_at` and its
    like), of identical rows the earliest; else the file's own time, `touched`. Our rows in a file
    that another tool rewrote keep our notes.

    Raises:
        ApiError, ArrowException, ArithmeticError, RecursionError, TypeError, ValueError: a value
            cannot be read.
    """
    wanted = schema(generation, statement)
    notes = _notes(table, wanted)
    kinds = {field.name: field.type for field in wanted}
    as_written = table.drop_columns(notes.column_names).to_pylist()
    rows = [as_answer(row, kinds) for row in as_written]
    moments = pa.array([_moment(row, touched) for row in as_written], MOMENT)
    if generation is Generation.V2:
        answer = v2_table(rows, statement, touched)
    else:
        assert isinstance(statement, Statement)
        positions = pa.array(v1_positions(rows)[statement], pa.int64())
        answer = v1_tables(rows, touched)[statement]
        notes, moments = notes.take(positions), moments.take(positions)
    return _with_notes(_observed(answer, moments, generation), notes)


def carried(table: pa.Table, statement: Statement, touched: datetime) -> list[tuple[int, datetime]]:
    """Return position and time of observation of the v1 rows that `converted` makes rows of."""
    kinds = {field.name: field.type for field in schema(Generation.V1, statement)}
    rows = table.to_pylist()
    places = v1_positions([as_answer(row, kinds) for row in rows])[statement]
    return [(place, _moment(rows[place], touched)) for place in places]


def without_additions(table: pa.Table) -> tuple[pa.Table, list[bool]]:
    """Return our rows without what tools had added to them, and which rows had such additions.

    An earlier version kept them as unmapped content. Such a row was observed when its tool says.
    """
    texts, moments = table["unmapped"].to_pylist(), table["observed_at"].to_pylist()
    had = [False] * len(texts)
    for i, text in enumerate(texts):
        content: JsonObject = parse_exact(text) if text else {}
        clean = {name: value for name, value in content.items() if not is_addition(name)}
        if len(clean) < len(content):
            had[i], texts[i] = True, to_json(clean) if clean else None
            moments[i] = _moment(content, moments[i])
    if any(had):
        for name, values in (("unmapped", texts), ("observed_at", moments)):
            place = table.schema.get_field_index(name)
            field = table.schema.field(place)
            table = table.set_column(place, field, pa.array(values, field.type))
    return table, had


def _moment(row: JsonObject, touched: datetime) -> datetime:
    """Return when a tool says that it had the row, if it can be so, else the file's own time."""
    for name in MOMENTS_OF_TOOLS:
        said = row.get(name)
        # pandas' NaT equals nothing.
        if said is not None and said == said:
            try:
                said = as_moment(said if isinstance(said, datetime) else str(said))
            except ValueError:
                continue
            # A file cannot hold what was downloaded after it was written.
            if said <= touched:
                return said
    return touched


def _observed(answer: pa.Table, moments: pa.Array, generation: Generation) -> pa.Table:
    """Return the rows with their moments of observation, alike rows with their earliest."""
    if not answer.num_rows:
        return answer
    names = [
        f"{k}\x1f{h}"
        for k, h in zip(record_keys(answer, generation), content_hashes(answer), strict=True)
    ]
    alike = pa.table({"name": names, "moment": moments})
    earliest = alike.group_by("name").aggregate([("moment", "min")])
    positions = pc.index_in(alike["name"], earliest["name"])
    column = earliest["moment_min"].take(positions)
    return answer.set_column(
        answer.schema.get_field_index("observed_at"), answer.field("observed_at"), column
    )


def _notes(table: pa.Table, wanted: pa.Schema) -> pa.Table:
    """Return the columns that hold our notes, in our types."""
    columns = {
        name: table[name].cast(wanted.field(name).type, safe=False)
        for name, kinds in _NOTES.items()
        if name in table.schema.names and any(is_kind(table[name].type) for is_kind in kinds)
    }
    return pa.table(columns) if columns else table.select([])


def _with_notes(rows: pa.Table, notes: pa.Table) -> pa.Table:
    """Return the rows with our notes where there are any; what else is unmapped stays beside."""
    for name in notes.column_names:
        mine = notes[name]
        if name == "unmapped":
            both = zip(mine.to_pylist(), rows[name].to_pylist(), strict=True)
            mine = pa.array(
                [
                    to_json({**parse_exact(other), **parse_exact(own)}) if own and other else own
                    for own, other in both
                ],
                pa.string(),
            )
        column = pc.if_else(mine.is_valid(), mine, rows[name])
        rows = rows.set_column(rows.schema.get_field_index(name), rows.field(name), column)
    return rows


def as_answer(row: JsonObject, kinds: dict[str, pa.DataType]) -> JsonObject:
    """Return a row of an older file as the API would have sent it."""
    clean: JsonObject = {}
    for key, cell in row.items():
        value = _value(key, _plain(cell), kinds.get(key))
        if value is not None and not is_addition(key):
            clean[key] = value
    return clean


def _value(key: str, value: Any, kind: pa.DataType | None) -> Any:
    if isinstance(value, float) and value != value and kind != pa.float64():
        return None  # pandas' way to say that there is none
    if isinstance(value, datetime) and kind == pa.date32() and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, datetime) and value.tzinfo and kind == pa.string():
        # As v1 writes a time. A day with another zone stays as it is, since it is not a valid day.
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date) and kind is not None:
        return value.isoformat()
    if isinstance(value, str) and key in _DIGITS:
        text = value.strip()
        whole = _WHOLE.fullmatch(text)
        return whole[1].zfill(_DIGITS[key]) if whole else text or None
    if isinstance(value, str) and key == "financials":
        return _financials(value)
    return value


def _financials(text: str) -> Any:
    if not text.strip():
        return None
    try:
        return _plain(parse_exact(text))
    except ValueError as error:
        raise ValueError(f"a text in financials is not JSON: {error}") from error


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
