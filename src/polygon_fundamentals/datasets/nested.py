"""v1's nested form of a statement: each line `{value, unit, label, order}`, in its section."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polygon_fundamentals.datasets.schemas import LEAF, TEXT, schema, section_type
from polygon_fundamentals.field_map import V1Field, v1_fields
from polygon_fundamentals.statements import Generation, Statement


def financials(values: Mapping[str, pa.Array], statement: Statement, rows: int) -> pa.StructArray:
    """Return `financials` of some rows from their values by `section.field`.

    A line without a value is null, and so is a section without a line.
    """
    sections = []
    for section in statement.v1_sections:
        lines = [field for field in v1_fields(statement) if field.section == section]
        leaves = [
            _leaf(values[line.column], line) if line.column in values else pa.nulls(rows, LEAF)
            for line in lines
        ]
        kind = list(section_type(statement, section))
        missing = pa.array(~any_valid(leaves, rows))
        sections.append(pa.StructArray.from_arrays(leaves, fields=kind, mask=missing))
    wanted = schema(Generation.V1, statement).field("financials").type
    return pa.StructArray.from_arrays(sections, fields=list(wanted))


def any_valid(arrays: Iterable[pa.Array], rows: int) -> npt.NDArray[np.bool_]:
    """Return for each row whether any of the arrays has a value in it."""
    valid = np.zeros(rows, dtype=bool)
    for array in arrays:
        valid |= array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _leaf(value: pa.Array, field: V1Field) -> pa.StructArray:
    rows = len(value)
    members = [
        value,
        pa.repeat(pa.scalar(field.unit.value, TEXT), rows),
        pa.repeat(pa.scalar(field.label, TEXT), rows),
        pa.repeat(pa.scalar(field.order, pa.int32()), rows),
    ]
    return pa.StructArray.from_arrays(members, fields=list(LEAF), mask=value.is_null())


def nested(flat: pa.Table, statement: Statement) -> pa.Table:
    """Return flat rows of v1 in its bronze schema: the values as they are, the rest by the map."""
    names = (field.column for field in v1_fields(statement))
    values = {name: flat[name].combine_chunks() for name in names}
    whole = flat.append_column("financials", financials(values, statement, flat.num_rows))
    wanted = schema(Generation.V1, statement)
    return whole.select(wanted.names).cast(wanted)
