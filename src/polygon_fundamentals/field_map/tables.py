"""Reading the field map's CSV tables, which ship beside this module.

Belongs here: how a line of text becomes an entry. Never: what an entry means, or whether the
entries agree with each other (`entries.check_entries`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from importlib.resources import files

from polygon_fundamentals.field_map.entries import (
    Confidence,
    Direction,
    FieldEntry,
    FieldMapError,
    RatioField,
    RecordField,
    Relation,
    Unit,
)
from polygon_fundamentals.statements import Statement

_ENTRY_COLUMNS = (
    "v1_section",
    "v1",
    "v2",
    "relation",
    "v2_is",
    "label",
    "order",
    "unit",
    "confidence",
    "source_rank",
    "note",
)
_RATIO_COLUMNS = ("field", "unit", "meaning")
_RECORD_COLUMNS = ("v1", "v2", "relation", "note")


def read_entries(text: str, statement: Statement) -> tuple[FieldEntry, ...]:
    """Return the entries of one statement's table, in the order of its lines.

    An empty cell of `v1_section`, `v1`, `v2`, `v2_is` or `order` is None.

    Raises:
        FieldMapError: a column is missing or unknown, or a cell is not of its column's type;
            the text names the table, the line and the cell.
    """
    return tuple(
        _entry(row, statement, where)
        for where, row in _rows(text, f"{statement.value}.csv", _ENTRY_COLUMNS)
    )


def read_record_fields(text: str) -> tuple[RecordField, ...]:
    """Return the fields of a record outside its statement's lines.

    Raises:
        FieldMapError: as `read_entries`.
    """
    rows = _rows(text, "record_fields.csv", _RECORD_COLUMNS)
    return tuple(
        RecordField(row["v1"] or None, row["v2"] or None, _relation(row, where), row["note"])
        for where, row in rows
    )


def read_ratio_fields(text: str) -> tuple[RatioField, ...]:
    """Return the fields of a snapshot of ratios.

    Raises:
        FieldMapError: as `read_entries`.
    """
    rows = _rows(text, "ratios.csv", _RATIO_COLUMNS)
    return tuple(RatioField(row["field"], row["unit"], row["meaning"]) for _, row in rows)


def shipped(name: str) -> str:
    """Return the text of a table of this package."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _entry(row: dict[str, str], statement: Statement, where: str) -> FieldEntry:
    try:
        return FieldEntry(
            statement=statement,
            v1_section=row["v1_section"] or None,
            v1=row["v1"] or None,
            v2=row["v2"] or None,
            relation=Relation(row["relation"]),
            v2_is=Direction(row["v2_is"]) if row["v2_is"] else None,
            label=row["label"],
            order=int(row["order"]) if row["order"] else None,
            unit=Unit(row["unit"]),
            confidence=Confidence(row["confidence"]),
            note=row["note"],
            source_rank=int(row["source_rank"]),
        )
    except ValueError as error:
        raise FieldMapError(f"{where}: {error}") from None


def _relation(row: dict[str, str], where: str) -> Relation:
    try:
        return Relation(row["relation"])
    except ValueError as error:
        raise FieldMapError(f"{where}: {error}") from None


def _rows(text: str, table: str, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (`table, line N`, the line's cells by column)."""
    reader = csv.DictReader(text.splitlines(), strict=True)
    if tuple(reader.fieldnames or ()) != tuple(columns):
        raise FieldMapError(f"{table}: the columns must be {', '.join(columns)}")
    for row in reader:
        where = f"{table}, line {reader.line_num}"
        if None in row or None in row.values():
            raise FieldMapError(f"{where}: it must have {len(columns)} cells")
        yield where, row
