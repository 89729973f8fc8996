"""Zeros that stand for absent lines: null, where and when that is proven."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from polygon_fundamentals.field_map import v1_sources, v2_fields
from polygon_fundamentals.silver.statement_rows import Flags, Side
from polygon_fundamentals.silver.timeline import (
    COMPANY_PERIOD,
    Ints,
    day_in,
    expand,
    moments,
)


def without_absent_zeros(side: Side, v1: Side | None = None) -> Side:
    """Return the side with null for each zero that stands for an absent line.

    A zero is replaced only in two proven cases:

    - at that time, every record of the company in this generation had zero or nothing in the field:
      it has no such line;
    - v1's record of the same period carries the statement without any line that the field map
      pairs with the field (`v1`, for v2 records only; its periods are those of `side`).
    """
    if not (side.values == 0).any():
        return side
    paired = np.array([bool(v1_sources(side.statement, n)) for n in v2_fields(side.statement)])
    if v1 is not None and len(v1):
        side = side.cut_by(v1, COMPANY_PERIOD, ((side.values == 0) & paired).any(axis=1))
    evidence = _Evidence.of(side)
    side = side.cut(*evidence.changes(side))
    zero = side.values == 0
    absent = zero & ~evidence.holds(side, zero)
    if v1 is not None and len(v1):
        rows = v1.at(COMPANY_PERIOD, side.keys, side.since)
        absent |= zero & np.isnan(v1.values[rows]) & (rows >= 0)[:, np.newaxis] & paired
    return replace(side, values=np.where(absent, np.nan, side.values))


@dataclass(frozen=True)
class _Evidence:
    """When a company had something but zero in a field: for each field begin and end in turn."""

    bounds: list[Ints]

    @classmethod
    def of(cls, side: Side) -> _Evidence:
        companies = side.keys["company"].to_numpy()
        order = np.lexsort((side.since, companies))
        begins = moments(companies, side.since)[order]
        ends = moments(companies, side.until)[order]
        telling = (~np.isnan(side.values) & (side.values != 0))[order]
        bounds = []
        for column in telling.T:
            begin, end = begins[column], np.maximum.accumulate(ends[column])
            fresh = np.ones(len(begin), dtype=bool)
            fresh[1:] = begin[1:] > end[:-1]
            bounds.append(np.column_stack([begin[fresh], end[np.roll(fresh, -1)]]).ravel())
        return cls(bounds)

    def changes(self, side: Side) -> tuple[Ints, Ints]:
        """Return rows with a zero, and the days on which evidence about it begins or ends."""
        companies = side.keys["company"].to_numpy()
        begins, ends = moments(companies, side.since), moments(companies, side.until)
        rows, days = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for bounds, zero in zip(self.bounds, (side.values == 0).T, strict=True):
            places = np.flatnonzero(zero)
            low = np.searchsorted(bounds, begins[places], "right")
            row, change = expand(low, np.searchsorted(bounds, ends[places]), bounds)
            rows.append(places[row])
            days.append(day_in(change))
        return np.concatenate(rows), np.concatenate(days)

    def holds(self, side: Side, zero: Flags) -> Flags:
        """Return for each of some zeros whether there was evidence when its row began."""
        begins = moments(side.keys["company"].to_numpy(), side.since)
        flags = np.zeros(zero.shape, dtype=bool)
        for i, bounds in enumerate(self.bounds):
            places = np.flatnonzero(zero[:, i])
            flags[places, i] = np.searchsorted(bounds, begins[places], "right") % 2 == 1
        return flags
