"""A dataset's rows without nesting: what parity, silver and the cache work on."""

from __future__ import annotations

import pyarrow as pa

from polygon_fundamentals.datasets.schemas import V1_RECORD, schema
from polygon_fundamentals.field_map import v1_fields
from polygon_fundamentals.statements import Generation, Statement

_TAIL = ("absent_fields", "unmapped", "observed_at")


def flat_schema(generation: Generation, statement: Statement) -> pa.Schema:
    """Return the schema of `read_dataset`.

    v2 as in the files; v1 with one float64 column per field, named `section.field` (null: absent),
    instead of the nested form. Both have `partition` (YYYYMM) as their last column.
    """
    stored = schema(generation, statement)
    if generation is Generation.V2:
        return stored.append(pa.field("partition", pa.int32()))
    record = [stored.field(name) for name in ("ticker", *V1_RECORD)]
    numbers = [
        pa.field(f"{field.section}.{field.name}", pa.float64()) for field in v1_fields(statement)
    ]
    tail = [stored.field(name) for name in _TAIL]
    return pa.schema([*record, *numbers, *tail, pa.field("partition", pa.int32())])


def value_columns(generation: Generation, statement: Statement) -> list[str] | None:
    """Return the Parquet columns to read of our files: of v1's leaves only the values."""
    if generation is Generation.V2:
        return None
    values = [f"financials.{field.section}.{field.name}.value" for field in v1_fields(statement)]
    return ["ticker", *V1_RECORD, *_TAIL, *values]


def flattened(table: pa.Table, generation: Generation, statement: Statement) -> pa.Table:
    """Return stored rows, whole or values only, without nesting; names as in `flat_schema`."""
    if generation is Generation.V2:
        return table
    flat = table
    while any(pa.types.is_struct(field.type) for field in flat.schema):
        flat = flat.flatten()
    names = flat_schema(generation, statement).names[:-1]
    return pa.table(
        [flat[f"financials.{name}.value" if "." in name else name] for name in names], names=names
    )
