"""Rows that an earlier version wrote, whose field map had fewer fields of v2 than today's."""

from __future__ import annotations

import pyarrow as pa

from polygon_fundamentals.normalise.columns import Misfits, column
from polygon_fundamentals.normalise.exact import JsonObject, parse_exact, to_json


def with_new_fields(rows: pa.Table, wanted: pa.Schema) -> pa.Table:
    """Return rows of v2 with the columns that they lack, as an answer of then would give them now.

    What the vendor had sent under such a name stands in `unmapped` and goes to its column; a name
    that it had not sent joins `absent_fields`. So a row whose content did not change has the hash
    of the answer that says it again.

    Raises:
        ArrowException, ValueError: `unmapped` is not JSON, or the rows are no rows of ours.
    """
    texts = rows["unmapped"].to_pylist()
    beside: list[JsonObject] = [parse_exact(text) if text else {} for text in texts]
    missing = [name for name in wanted.names if name not in rows.schema.names]
    misfits: Misfits = [{} for _ in beside]
    columns = {name: column(beside, name, wanted.field(name).type, misfits) for name in missing}
    absent, unmapped = [], []
    for known, content, misfit in zip(
        rows["absent_fields"].to_pylist(), beside, misfits, strict=True
    ):
        absent.append(sorted({*(known or ()), *(name for name in missing if name not in content)}))
        left = {key: value for key, value in content.items() if key not in missing} | misfit
        unmapped.append(to_json(left) if left else None)
    columns["absent_fields"] = pa.array(absent, wanted.field("absent_fields").type)
    columns["unmapped"] = pa.array(unmapped, wanted.field("unmapped").type)
    return pa.table(
        [
            columns.get(name, rows[name] if name in rows.schema.names else None)
            for name in wanted.names
        ],
        names=wanted.names,
    ).cast(wanted)
