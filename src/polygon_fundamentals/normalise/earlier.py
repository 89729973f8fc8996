"""Rows that an earlier version wrote, whose field map had fewer fields of v2 than today's."""

from __future__ import annotations

import pyarrow as pa

from polygon_fundamentals.normalise.columns import Misfits, column
from polygon_fundamentals.normalise.exact import JsonObject, parse_exact, to_json


def with_new_fields(rows: pa.Table, wanted: pa.Schema) -> pa.Table:
    """Return rows of v2 in the wanted schema, with values for the columns that they lack.

    A value that the vendor sent under such a name is moved from `unmapped` to its column; a name
    that it did not send is added to `absent_fields`. A row then has the same content hash as
    today's answer with the same values.

    Raises:
        ArrowException, ValueError: `unmapped` is not JSON, or a column is not in the wanted schema.
    """
    if strange := set(rows.schema.names) - set(wanted.names):
        raise ValueError(f"there is no column {min(strange)}")
    texts = rows["unmapped"].to_pylist()
    beside: list[JsonObject] = [parse_exact(text) if text else {} for text in texts]
    missing = [name for name in wanted.names if name not in rows.schema.names]
    misfits: Misfits = [{} for _ in beside]
    columns = dict(zip(rows.schema.names, rows.columns, strict=True))
    columns |= {name: column(beside, name, wanted.field(name).type, misfits) for name in missing}
    absent, unmapped = [], []
    for known, content, misfit in zip(
        rows["absent_fields"].to_pylist(), beside, misfits, strict=True
    ):
        absent.append(sorted({*(known or ()), *(name for name in missing if name not in content)}))
        left = {key: value for key, value in content.items() if key not in missing} | misfit
        unmapped.append(to_json(left) if left else None)
    columns["absent_fields"] = pa.array(absent, wanted.field("absent_fields").type)
    columns["unmapped"] = pa.array(unmapped, wanted.field("unmapped").type)
    return pa.table({name: columns[name] for name in wanted.names}).cast(wanted)
