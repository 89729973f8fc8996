"""v1 records to three tables: one answer fills the three datasets.

Each dataset keeps the nested form (`financials.balance_sheet.assets.value` ...) of its
own statement only; comprehensive income stands beside the income statement.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from polygon_fundamentals.datasets.schemas import MOMENT, TEXT, V1_RECORD, schema, section_type
from polygon_fundamentals.field_map import v1_fields
from polygon_fundamentals.normalise.columns import (
    REFUSED,
    Misfits,
    column,
    fit_number,
    refuse_another_format,
)
from polygon_fundamentals.normalise.exact import JsonObject, to_json
from polygon_fundamentals.statements import Generation, Statement

_SECTIONS = frozenset(section for statement in Statement for section in statement.v1_sections)
_LEAF_KEYS = frozenset(("value", "unit", "label", "order"))
_LEAF_PARTS = 4  # financials, section, field, key
TIMEFRAME_OF_PERIOD = {
    "Q1": "quarterly",
    "Q2": "quarterly",
    "Q3": "quarterly",
    "Q4": "quarterly",
    "FY": "annual",
    "TTM": "ttm",
}


def v1_tables(rows: Sequence[JsonObject], observed_at: datetime) -> dict[Statement, pa.Table]:
    """Return one table per statement, each with the records that carry that statement.

    A record without any of the known sections is in all three, so that it is
    not lost. The `ticker` column is null: the lake fills it in.
    """
    return {statement: _table(rows, statement, observed_at) for statement in Statement}


def v1_positions(rows: Sequence[JsonObject]) -> dict[Statement, list[int]]:
    """Return for each statement the positions of the records that its table holds."""
    return {
        statement: [i for i, row in enumerate(rows) if _carries(row, statement)]
        for statement in Statement
    }


def with_unmapped(record: JsonObject, unmapped: JsonObject) -> JsonObject:
    """Return a record with what its columns could not hold, where it stood in the answer."""
    for path, value in unmapped.items():
        names = path.split(".", _LEAF_PARTS - 1) if path.startswith("financials.") else [path]
        place = record
        for name in names[:-1]:
            inner = place.get(name)
            if not isinstance(inner, dict):
                inner = place[name] = {}
            place = inner
        place[names[-1]] = value
    return record


def _financials(row: JsonObject) -> JsonObject:
    financials = row.get("financials")
    return financials if isinstance(financials, dict) else {}


def _carries(row: JsonObject, statement: Statement) -> bool:
    present = _SECTIONS.intersection(_financials(row))
    return not present or any(section in present for section in statement.v1_sections)


def _table(all_rows: Sequence[JsonObject], statement: Statement, observed_at: datetime) -> pa.Table:
    rows = [row for row in all_rows if _carries(row, statement)]
    wanted = schema(Generation.V1, statement)
    misfits: Misfits = [{} for _ in rows]
    columns = {name: column(rows, name, kind, misfits) for name, kind in V1_RECORD.items()}
    columns["timeframe"] = _timeframes(columns)
    absent, unknown, is_odd = _differences(rows, statement)
    sections = [
        _section(rows, statement, section, misfits, is_odd) for section in statement.v1_sections
    ]
    refuse_another_format(misfits)
    columns["financials"] = pa.StructArray.from_arrays(sections, names=list(statement.v1_sections))
    columns["ticker"] = pa.nulls(len(rows), TEXT)
    columns["absent_fields"] = pa.array(absent, pa.list_(TEXT))
    columns["unmapped"] = pa.array(
        [
            to_json({**extra, **misfit}) if extra or misfit else None
            for extra, misfit in zip(unknown, misfits, strict=True)
        ],
        TEXT,
    )
    columns["observed_at"] = pa.array([observed_at] * len(rows), MOMENT)
    return pa.table([columns[name] for name in wanted.names], schema=wanted)


def _timeframes(columns: dict[str, pa.Array]) -> pa.Array:
    """Return the timeframe, from the fiscal period where the record does not say it."""
    if columns["timeframe"].null_count == 0:
        return columns["timeframe"]
    pairs = zip(columns["timeframe"].to_pylist(), columns["fiscal_period"].to_pylist(), strict=True)
    return pa.array([said or TIMEFRAME_OF_PERIOD.get(period or "") for said, period in pairs], TEXT)


def _section(
    rows: Sequence[JsonObject],
    statement: Statement,
    section: str,
    misfits: Misfits,
    is_odd: bool,
) -> pa.Array:
    kind = section_type(statement, section)
    values = [_financials(row).get(section) for row in rows]
    if not is_odd:
        with contextlib.suppress(*REFUSED):
            return pa.array(values, kind)
    fitted = [
        _fitted(value, section, misfit) for value, misfit in zip(values, misfits, strict=True)
    ]
    return pa.array(fitted, kind)


def _fitted(section: Any, name: str, misfit: JsonObject) -> JsonObject | None:
    """Return the section with every value in its type; what does not fit goes to `misfit`."""
    if section is None:
        return None
    if not isinstance(section, dict):
        misfit[f"financials.{name}"] = section
        return None
    fitted: JsonObject = {}
    for field, leaf in section.items():
        where = f"financials.{name}.{field}"
        if leaf is None:
            continue
        if not isinstance(leaf, dict):
            misfit[where] = leaf
            continue
        clean: JsonObject = {}
        for key, value in leaf.items():
            if value is None or key not in _LEAF_KEYS:
                continue
            if key in ("unit", "label"):
                clean[key], lost = (value, False) if type(value) is str else (None, True)
            else:
                number, lost = fit_number(value)
                if key == "order" and number is not None:
                    lost = lost or not number.is_integer() or abs(number) > 2**31 - 1
                    clean[key] = None if lost else int(number)
                else:
                    clean[key] = number
            if lost:
                misfit[f"{where}.{key}"] = value
        fitted[field] = clean
    return fitted


def _differences(
    rows: Sequence[JsonObject], statement: Statement
) -> tuple[list[list[str]], list[JsonObject], bool]:
    """Return for every record the known fields it lacks and what nobody knows of it.

    And whether any holds what Arrow would take for something else without a word: an empty list
    for a null, true for 1.0, an order of 1.5 for 1.
    """
    known = {
        section: frozenset(f.name for f in v1_fields(statement) if f.section == section)
        for section in statement.v1_sections
    }
    record_keys = frozenset(V1_RECORD) | {"financials"}
    absent, unknown = [], []
    is_odd = False
    for row in rows:
        lacks = set(record_keys.difference(row))
        extra = {key: row[key] for key in row.keys() - record_keys}
        financials = row.get("financials")
        if financials is not None and not isinstance(financials, dict):
            extra["financials"] = financials
        sections = _financials(row)
        for name in sections.keys() - _SECTIONS:
            extra[f"financials.{name}"] = sections[name]
        for name, fields in known.items():
            section = sections.get(name)
            if not isinstance(section, dict):
                lacks.update(fields)
                is_odd = is_odd or section is not None
                continue
            lacks.update(fields.difference(section))
            for field in section.keys() - fields:
                extra[f"financials.{name}.{field}"] = section[field]
            for field, leaf in section.items():
                if not isinstance(leaf, dict):
                    is_odd = is_odd or leaf is not None
                    continue
                if type(leaf.get("value")) is bool or type(leaf.get("order")) is float:
                    is_odd = True
                if not leaf.keys() <= _LEAF_KEYS and field in fields:
                    for key in leaf.keys() - _LEAF_KEYS:
                        extra[f"financials.{name}.{field}.{key}"] = leaf[key]
        absent.append(sorted(lacks))
        unknown.append(extra)
    return absent, unknown, is_odd
