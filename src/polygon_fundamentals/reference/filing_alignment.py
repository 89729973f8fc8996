"""Which filing of a company first showed a period, from the order of both.

The periods of a company, by their ends, and its 10-Q and 10-K filings, by their days, are laid side
by side in order: a period takes a filing of its form after its end, no two the same one, none out
of turn. Of all such alignments the cheapest are kept, where it costs something to file late, to
file under the other form, to leave a period without a filing and a filing without a period. Where
the cheapest agree on a period's filing the date is sure; where nearly as cheap ones give another it
is the latest of them, as an estimate; where the cheapest leaves the period out nothing is said of
it.

A quarter that the lake lacks before a period (v2 has not all) counts as a period too, which costs
nothing without a filing: where a report may be a late one of such a quarter's, the next is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

# Days from a period's end within which the SEC wants the report, with the extension that Rule
# 12b-25 grants and some days for weekends: 45 + 5 for a quarter, 90 + 15 for a year.
_ON_TIME = {False: 60, True: 120}
_SOONEST = 5
_LATEST = 730
# Costs, in units of one late report. A period without a filing and a filing without a period
# together cost more than a report some months late, and less than a whole history shifted by one.
_LATE = 1.0
_LATE_A_YEAR = 4.0
_OTHER_FORM = 2.0
_ALONE = 3.0
# A report is sooner one of a period in the lake than of a quarter that the lake lacks.
_OF_MISSING = 0.5
# Alignments that cost this much more than the cheapest are still thought possible. A report that
# came on time is not: to take the next one instead costs at least 1.6, one quarter of lateness.
_DOUBT = 1.5
_QUARTER_DAYS = 91
_YEAR_DAYS = 365.25
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Dated:
    """What an alignment says of one period: a position in the filings, and whether it is sure."""

    filing: int | None
    sure: bool = True


def align(
    ends: Sequence[date],
    annual: Sequence[bool],
    bounds: Sequence[date],
    filed: Sequence[date],
    filed_annual: Sequence[bool],
) -> list[Dated]:
    """Return for each period its first filing, as the module says.

    `ends` ascend; `annual` says whether a period ends a fiscal year; `bounds` are the earliest
    filings that are known to have shown the period: the first cannot be later. `filed` ascend.
    """
    if not ends or not filed:
        return [Dated(None) for _ in ends]
    missing = _missing(ends)
    known = _costs(ends, annual, bounds, filed, filed_annual)
    others = _costs_of_missing(missing, ends, annual, filed, filed_annual)
    order = sorted(range(len(ends) + len(missing)), key=[*ends, *missing].__getitem__)
    cost = np.vstack([known, others])[order]
    alone = np.where(np.array(order) < len(ends), _ALONE, 0.0)
    before = _prefix(cost, alone)
    after = _prefix(cost[::-1, ::-1], alone[::-1])[::-1, ::-1]
    # Through period i and filing j: all before both, the pair, all after both.
    through = before[:-1, :-1] + cost + after[1:, 1:]
    without = (before[:-1] + after[1:]).min(axis=1) + _ALONE
    best = before[-1, -1]
    chosen = []
    for i, period in enumerate(order):
        if period >= len(ends):
            continue
        possible = np.flatnonzero(through[i] <= best + _DOUBT)
        if not len(possible) or without[i] < through[i].min():
            chosen.append(Dated(None))
        else:
            doubted = len(possible) > 1 or without[i] <= best + _DOUBT
            doubted = doubted or annual[period] != filed_annual[possible[-1]]
            chosen.append(Dated(int(possible[-1]), not doubted))
    return chosen


def _missing(ends: Sequence[date]) -> list[date]:
    """Return the ends of the quarters before each period back to the one before it.

    No further than a report may take: before the first period too.
    """
    missing = []
    most = _LATEST // _QUARTER_DAYS
    for i, end in enumerate(ends):
        gap = round((end - ends[i - 1]).days / _QUARTER_DAYS) - 1 if i else most
        missing += [end - timedelta(_QUARTER_DAYS * k) for k in range(1, min(gap, most) + 1)]
    return missing


def _costs_of_missing(
    missing: Sequence[date],
    ends: Sequence[date],
    annual: Sequence[bool],
    filed: Sequence[date],
    filed_annual: Sequence[bool],
) -> Floats:
    """Return `_costs` of missing quarters; whether a year ends with one known years' ends tell."""
    never = [date.max] * len(missing)
    quarter, year = (
        _costs(missing, [kind] * len(missing), never, filed, filed_annual) + _OF_MISSING
        for kind in (False, True)
    )
    known = np.array([end for end, ends_year in zip(ends, annual, strict=True) if ends_year])
    if not len(known):
        return np.minimum(quarter, year)
    apart = np.subtract.outer(np.array(missing), known).astype("timedelta64[D]").astype(int)
    off = np.abs((apart + _YEAR_DAYS / 2) % _YEAR_DAYS - _YEAR_DAYS / 2).min(axis=1)
    return np.where((off < _QUARTER_DAYS / 2)[:, np.newaxis], year, quarter)


def _costs(
    ends: Sequence[date],
    annual: Sequence[bool],
    bounds: Sequence[date],
    filed: Sequence[date],
    filed_annual: Sequence[bool],
) -> Floats:
    """Return what it costs that a period (row) was first filed with a filing (column)."""
    end = np.array(ends, dtype="datetime64[D]")[:, np.newaxis]
    day = np.array(filed, dtype="datetime64[D]")[np.newaxis, :]
    limit = np.array(bounds, dtype="datetime64[D]")[:, np.newaxis]
    lag = (day - end).astype(np.int64)
    on_time = np.where(np.array(annual), _ON_TIME[True], _ON_TIME[False])[:, np.newaxis]
    late = np.where(lag > on_time, _LATE + _LATE_A_YEAR * (lag - on_time) / 365, 0.0)
    other = np.array(annual)[:, np.newaxis] != np.array(filed_annual)[np.newaxis, :]
    cost = late + _OTHER_FORM * other
    impossible = (lag < _SOONEST) | (lag > _LATEST) | (day > limit)
    return np.where(impossible, np.inf, cost)


def _prefix(cost: Floats, without: Floats) -> Floats:
    """Return the least cost of the first i periods and the first j filings, for all i and j.

    `without` says of each period what it costs to leave it without a filing.
    """
    periods, filings = cost.shape
    alone = _ALONE * np.arange(filings + 1)
    least = np.empty((periods + 1, filings + 1))
    least[0] = alone
    for i in range(periods):
        row = least[i] + without[i]
        row[1:] = np.minimum(row[1:], least[i, :-1] + cost[i])
        # A filing that is left out costs the same wherever: a running minimum spares the walk.
        least[i + 1] = np.minimum.accumulate(row - alone) + alone
    return least
