"""Reading the field map's CSV tables.

Belongs here: how a line of text becomes an entry. Never: what an entry means, or whether the
entries agree with each other (`entries.check_entries`).
"""

from __future__ import annotations

import csv
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import msgspec

from polygon_fundamentals.field_map.entries import (
    FieldEntry,
    FieldMapError,
    RatioField,
    RecordField,
)

Row = TypeVar("Row", FieldEntry, RecordField, RatioField)


def read_table(path: Path, kind: type[Row], **given: str) -> tuple[Row, ...]:
    """Return the rows of a table, in the order of its lines; its columns are `kind`'s fields.

    An empty cell has its field's default. `given` are fields that are no columns of this table.

    Raises:
        FieldMapError: a column is missing or unknown, or a cell is not of its column's type;
            the text names the table, the line and the cell.
    """
    columns = [field.name for field in fields(kind) if field.name not in given]
    reader = csv.DictReader(path.read_text(encoding="utf-8").splitlines(), strict=True)
    if reader.fieldnames != columns:
        raise FieldMapError(f"{path.name}: the columns must be {', '.join(columns)}")
    rows: list[Row] = []
    for line in reader:
        where = f"{path.name}, line {reader.line_num}"
        if None in line or None in line.values():
            raise FieldMapError(f"{where}: it must have {len(columns)} cells")
        filled = {column: cell for column, cell in line.items() if cell}
        try:
            rows.append(msgspec.convert(given | filled, kind, strict=False))
        except msgspec.ValidationError as error:
            raise FieldMapError(f"{where}: {error}") from error
    return tuple(rows)
