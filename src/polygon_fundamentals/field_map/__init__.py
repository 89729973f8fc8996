"""The field map: every v1 line and every v2 field, and how they relate.

The rows are in three CSV tables beside this module, one per statement, and are checked when the
package is imported. The comparison, the silver table, the v1 view and docs/schema.md are all made
from them.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from polygon_fundamentals.field_map.entries import (
    Confidence,
    Direction,
    FieldEntry,
    FieldMapError,
    RatioField,
    RecordField,
    Relation,
    Unit,
    V1Field,
    check_entries,
)
from polygon_fundamentals.field_map.tables import read_table
from polygon_fundamentals.statements import Statement

_TABLES = Path(__file__).parent
_ENTRIES = {
    statement: read_table(_TABLES / f"{statement}.csv", FieldEntry, statement=statement.value)
    for statement in Statement
}
FIELD_MAP = tuple(entry for rows in _ENTRIES.values() for entry in rows)
check_entries(FIELD_MAP)
RECORD_FIELDS = read_table(_TABLES / "record_fields.csv", RecordField)
RATIO_FIELDS = read_table(_TABLES / "ratios.csv", RatioField)

_V1_FIELDS = {
    statement: tuple(
        V1Field(e.v1_section, e.v1, e.label, e.order, e.unit)
        for e in entries
        if e.v1_section is not None and e.v1 is not None and e.order is not None
    )
    for statement, entries in _ENTRIES.items()
}
_V2_FIELDS = {
    statement: tuple(sorted({e.v2 for e in entries if e.v2 is not None}))
    for statement, entries in _ENTRIES.items()
}


@cache
def tables_digest() -> str:
    """Return a digest of the map: what was made with another one must be made anew."""
    rows = "\n".join(map(repr, (*FIELD_MAP, *RECORD_FIELDS)))
    return hashlib.blake2b(rows.encode(), digest_size=16).hexdigest()


def entries(statement: Statement) -> tuple[FieldEntry, ...]:
    """Return all rows of the map for a statement: v1's lines in v1's order, then v2-only fields."""
    return _ENTRIES[statement]


def v1_fields(statement: Statement) -> tuple[V1Field, ...]:
    """Return the v1 lines of a statement, by section and in v1's order."""
    return _V1_FIELDS[statement]


def v2_fields(statement: Statement) -> tuple[str, ...]:
    """Return the names of a statement's numeric v2 fields, alphabetically, each once."""
    return _V2_FIELDS[statement]


def pairs(statement: Statement) -> tuple[FieldEntry, ...]:
    """Return the rows that have both sides, one for every (v1 line, v2 field).

    Where several share a v2 field, `source_rank` tells in which order to look for the v1 line:
    `primary_pairs` has the first of each.
    """
    return tuple(e for e in _ENTRIES[statement] if e.v1 is not None and e.v2 is not None)


def primary_pairs(statement: Statement) -> tuple[FieldEntry, ...]:
    """Return the rows that have both sides, one for every v2 field: its first v1 source."""
    return tuple(e for e in pairs(statement) if e.source_rank == 1)


def v1_sources(statement: Statement, v2_field: str) -> tuple[FieldEntry, ...]:
    """Return the v1 lines behind a v2 field, in the order in which they are tried.

    Empty for a v2-only field. Raises FieldMapError if v2 has no such field.
    """
    if v2_field not in _V2_FIELDS[statement]:
        raise FieldMapError(f"v2 has no field {v2_field!r} in {statement.value}")
    sources = [e for e in pairs(statement) if e.v2 == v2_field]
    return tuple(sorted(sources, key=lambda e: e.source_rank))


__all__ = [
    "FIELD_MAP",
    "RATIO_FIELDS",
    "RECORD_FIELDS",
    "Confidence",
    "Direction",
    "FieldEntry",
    "FieldMapError",
    "Relation",
    "Unit",
    "V1Field",
    "entries",
    "pairs",
    "primary_pairs",
    "tables_digest",
    "v1_fields",
    "v1_sources",
    "v2_fields",
]
