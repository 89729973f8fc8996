"""Which records of v2 say something of their period."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polygon_fundamentals.field_map import Unit, pairs
from polygon_fundamentals.statements import Generation, Statement


def has_amounts(
    table: pa.Table, generation: Generation, statement: Statement
) -> npt.NDArray[np.bool_]:
    """Return which records have an amount other than zero in a field that both generations have.

    v2 sends records with share counts and zeros alone, or with what v1 does not have, such as
    EBITDA. Parity, silver and exports take v1's record of the period instead.
    """
    result = np.zeros(table.num_rows, dtype=bool)
    for entry in pairs(statement):
        name = entry.v1_column if generation is Generation.V1 else entry.v2
        if name is not None and entry.unit is Unit.USD:
            values = table.column(name).to_numpy()
            result |= ~np.isnan(values) & (values != 0)
    return result
