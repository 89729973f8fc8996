"""v2 rows to a table: flat records, with nulls distinct from absent keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from polygon_fundamentals.datasets.schemas import MOMENT, TEXT, schema
from polygon_fundamentals.normalise.columns import Misfits, column, refuse_another_format
from polygon_fundamentals.normalise.exact import JsonObject, to_json
from polygon_fundamentals.statements import Generation, Snapshot, Statement


def v2_table(
    rows: Sequence[JsonObject], statement: Statement | Snapshot, observed_at: datetime
) -> pa.Table:
    """Return the rows in the schema of v2's `statement` dataset, in their order.

    The `ticker` column is null: a row belongs to as many ticker files as follow it, and
    the lake fills it in.
    """
    wanted = schema(Generation.V2, statement)
    names = [
        n for n in wanted.names if n not in ("ticker", "absent_fields", "unmapped", "observed_at")
    ]
    misfits: Misfits = [{} for _ in rows]
    columns = {name: column(rows, name, wanted.field(name).type, misfits) for name in names}
    refuse_another_format(misfits)
    absent, unknown = _differences(rows, frozenset(names))
    columns["ticker"] = pa.nulls(len(rows), TEXT)
    columns["absent_fields"] = pa.array(absent, pa.list_(TEXT))
    columns["unmapped"] = pa.array(
        [
            to_json({**{key: row[key] for key in keys}, **misfit}) if keys or misfit else None
            for row, keys, misfit in zip(rows, unknown, misfits, strict=True)
        ],
        TEXT,
    )
    columns["observed_at"] = pa.array([observed_at] * len(rows), MOMENT)
    return pa.table([columns[name] for name in wanted.names], schema=wanted)


def _differences(
    rows: Sequence[JsonObject], known: frozenset[str]
) -> tuple[list[list[str]], list[list[str]]]:
    """Return for every row the known keys that it lacks and the keys that nobody knows.

    Rows of one template share their keys, so each set of keys is worked out once.
    """
    seen: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}
    absent, unknown = [], []
    for row in rows:
        keys = tuple(row)
        if keys not in seen:
            seen[keys] = (sorted(known.difference(keys)), sorted(set(keys) - known))
        absent.append(seen[keys][0])
        unknown.append(seen[keys][1])
    return absent, unknown
