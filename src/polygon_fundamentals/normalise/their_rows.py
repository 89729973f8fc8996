"""v1's records as a file in another tool's form can hold them, and as they come back from it.

Such a file cannot tell a member that is null from one that is absent, and has no place beside a
number for what float64 changes of it. An answer is brought to the same form before it is compared
with a file, or every record with a null member would differ from what was written of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.normalise.exact import ExactNumber, JsonObject, parse_exact
from polygon_fundamentals.normalise.legacy import as_answer
from polygon_fundamentals.normalise.v1 import v1_positions, v1_tables
from polygon_fundamentals.statements import Generation, Statement

_LARGEST_WHOLE = 2**53  # Arrow mixes no larger integer with floats


def plain(value: Any) -> Any:
    """Return JSON as their structs can hold it: no member is null or empty, numbers are float64."""
    if isinstance(value, ExactNumber):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
        return float(value)
    if isinstance(value, Mapping):
        members = {name: plain(item) for name, item in value.items()}
        return {name: item for name, item in members.items() if item is not None and item != {}}
    return [plain(item) for item in value] if isinstance(value, list) else value


def stored_rows(
    rows: Sequence[JsonObject], statement: Statement, moments: pa.ChunkedArray
) -> tuple[pa.Table, list[int]]:
    """Return plain rows as a file gives them back, and the positions of those that it has.

    A record whose only trace of the statement is an empty section is not among them. `moments` are
    those of observation.
    """
    wanted = schema(Generation.V1, statement)
    kinds = {field.name: field.type for field in wanted}
    read = [as_answer(row, kinds) for row in rows]
    positions = v1_positions(read)[statement]
    if not positions:
        return wanted.empty_table(), []
    table = v1_tables(read, moments[0].as_py())[statement]
    place = wanted.get_field_index("observed_at")
    seen = moments.take(pa.array(positions, pa.int64()))
    return table.set_column(place, wanted.field(place), seen), positions


def as_sent(table: pa.Table) -> list[JsonObject]:
    """Return our rows as v1 would have sent them, with the sections that we know."""
    return [_sent(row) for row in table.to_pylist()]


def _sent(members: JsonObject) -> JsonObject:
    extra: JsonObject = parse_exact(members["unmapped"] or "{}")
    ours = ("ticker", "absent_fields", "unmapped", "observed_at")
    sent = {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in members.items()
        if name not in ours
    }
    for name, value in extra.items():
        *path, last = name.split(".", 3) if name.startswith("financials.") else [name]
        place = sent
        for part in path:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[last] = value
    return sent
