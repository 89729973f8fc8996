"""Which line of v1 stands for a field of v2, and its value in v2's sign."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from polygon_fundamentals.field_map import FieldEntry, Relation

Floats = npt.NDArray[np.float64]


def column_of(entry: FieldEntry) -> str:
    """Return the v1 column of an entry that has a v1 line."""
    assert entry.v1_column is not None  # v1_sources and pairs have none without
    return entry.v1_column


def standing_values(
    sources: Sequence[FieldEntry], lines: Sequence[Floats]
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return v1's value of a v2 field in each record, and the position of the source it is of.

    `lines` are the values of each of the field's `v1_sources`, NaN for none. The first that is
    there and not zero stands for the field, else the first that is there.
    """
    columns = np.vstack(lines)
    there = ~np.isnan(columns)
    telling = there & (columns != 0)
    source = np.where(telling.any(axis=0), telling.argmax(axis=0), there.argmax(axis=0))
    value = np.take_along_axis(columns, source[np.newaxis], axis=0)[0]
    sign = -1.0 if sources[0].relation is Relation.SIGN_FLIPPED else 1.0
    # Adding zero turns the -0.0 of a flipped zero into 0.0.
    return sign * value + 0.0, source
