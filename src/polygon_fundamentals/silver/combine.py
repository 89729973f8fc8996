"""The records of both generations together: which counts when, and when each was first filed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.datasets.keys import SAME_PERIOD_DAYS
from polygon_fundamentals.periods.match import match_periods
from polygon_fundamentals.silver.names import Names
from polygon_fundamentals.silver.statement_rows import Floats, Side
from polygon_fundamentals.silver.timeline import (
    COMPANY_END,
    COMPANY_PERIOD,
    END_OFFSET,
    FOREVER,
    PERIOD,
    Ints,
    company_in,
    first_at,
    pack,
    pairs,
    spans_between,
)
from polygon_fundamentals.silver.version_order import filed_days
from polygon_fundamentals.silver.zeros import without_absent_zeros
from polygon_fundamentals.statements import Generation, Statement

UNKNOWN = "unknown"

Sides = Mapping[Statement, Side]


@dataclass(frozen=True)
class FirstFilings:
    """When periods were first filed, as it was known from when to when, by source.

    Each frame has company, end, since, until and date (days since 1970), the earliest date first.
    The order of `sources` is their rank: the first that knows a period tells its date.
    """

    sources: Sequence[tuple[str, pd.DataFrame]]

    def changes(self, periods: pd.DataFrame) -> tuple[Ints, Ints]:
        """Return rows of `periods`, and the days on which another date may become known."""
        wanted = pack(periods, COMPANY_END)
        rows, days = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for _, known in self.sources:
            i, j = pairs(pack(known, COMPANY_END), wanted)
            for name in ("since", "until"):
                rows.append(i)
                days.append(known[name].to_numpy()[j])
        return np.concatenate(rows), np.concatenate(days)

    def of(self, rows: pd.DataFrame) -> tuple[Floats, npt.NDArray[np.object_]]:
        """Return date (NaN for none) and source on the first day of rows with company and end."""
        wanted, day = pack(rows, COMPANY_END), rows["since"].to_numpy()
        date = np.full(len(rows), np.nan)
        source = np.full(len(rows), UNKNOWN, dtype=object)
        for name, known in self.sources:
            since, until = known["since"].to_numpy(), known["until"].to_numpy()
            place = first_at(pack(known, COMPANY_END), since, until, wanted, day)
            fresh = np.isnan(date) & (place >= 0)
            date[fresh], source[fresh] = known["date"].to_numpy()[place[fresh]], name
        return date, source


def filings_of(
    table: pa.Table, keys: pd.DataFrame, since: pd.Series[int], generation: Generation
) -> pd.DataFrame:
    """Return the filing of each version and since when it was known: company, end, since, date.

    A date before the period's end is passed over: see `filed_days`.
    """
    date = filed_days(table, generation)
    filings = keys[list(COMPANY_END)].assign(since=since, date=date)[~np.isnan(date)]
    whole: pd.DataFrame = filings.astype("int64")
    return whole.drop_duplicates()


def earliest_filings(filings: pd.DataFrame) -> pd.DataFrame:
    """Return when which filing was the earliest known one of a period, the earliest date first."""
    filings = filings.sort_values([*COMPANY_END, "since", "date"], ignore_index=True)
    ids = pack(filings, COMPANY_END)
    earliest = filings["date"].groupby(ids).cummin()
    fresh = earliest < earliest.groupby(ids).shift(fill_value=FOREVER)
    firsts = filings[fresh]
    ids = pack(firsts, COMPANY_END)
    until = firsts["since"].groupby(ids).shift(-1, fill_value=FOREVER)
    firsts = firsts.assign(until=until)
    return firsts.sort_values("date", kind="stable", ignore_index=True)


def estimates_of(
    dates: Sequence[tuple[str, pd.Series[int]]], names: Names
) -> list[tuple[str, pd.DataFrame]]:
    """Return the dates of each source of `by_source`, each known from itself on."""
    estimates = []
    for source, days in dates:
        frame = pd.DataFrame(
            {
                "company": names.companies.get_indexer(days.index.get_level_values(0)),
                "end": days.index.get_level_values(1).to_numpy(dtype=np.int64) + END_OFFSET,
                "since": days.to_numpy(),
                "until": FOREVER,
                "date": days.to_numpy(),
            }
        )
        frame = frame[frame["company"] >= 0]
        estimates.append((source, frame.sort_values("date", kind="stable", ignore_index=True)))
    return estimates


def combine(
    primary: Generation, v1: Sides, v2: Sides
) -> tuple[list[Side], Mapping[Generation, pd.DataFrame]]:
    """Return the sides that the table is made of: the primary's, and what only v1 has.

    Also returns the periods that got another date (`_other_dates`). Those of v1 take v2's date
    first, so that none of them is in the table twice; those of v2 that of their income statement.
    """
    if primary is Generation.V1:
        return [without_absent_zeros(side) for side in v1.values()], {}
    v2, of_v2 = _on_one_date(v2)
    moves = _other_dates(v1, v2)
    sides = []
    for statement in Statement:
        theirs, dated = v2[statement], _moved(v1[statement], moves)
        ours = without_absent_zeros(dated).cut_by(theirs, PERIOD)
        sides.append(without_absent_zeros(theirs, dated))
        sides.append(ours.pick(theirs.at(PERIOD, ours.keys, ours.since) < 0))
    return sides, {Generation.V1: moves, Generation.V2: of_v2}


def _on_one_date(sides: Sides) -> tuple[dict[Statement, Side], pd.DataFrame]:
    """v2's sides, each period of a statement on the date of its income statement; and the moves.

    v2 dates single statements some days otherwise than the others of the period.
    """
    income = {Statement.INCOME_STATEMENTS: sides[Statement.INCOME_STATEMENTS]}
    others = {statement: side for statement, side in sides.items() if statement not in income}
    moves = {s: _other_dates({s: side}, income) for s, side in others.items()}
    dated = {statement: _moved(side, moves[statement]) for statement, side in others.items()}
    return dated | income, pd.concat(moves.values(), ignore_index=True)


def _other_dates(ours: Sides, theirs: Sides) -> pd.DataFrame:
    """The periods that `ours` date otherwise than `theirs`, and when that was so.

    Columns: company, timeframe, end, to, since, until.
    """
    columns = [*COMPANY_PERIOD, "since", "until"]
    sets = [
        pd.concat([side.keys[columns] for side in sides.values()], ignore_index=True)
        for sides in (ours, theirs)
    ]
    # The period end is the lowest part of a code: ends within ten days of one another are a group,
    # whose dates meet anew at each change of one of them.
    codes = np.unique(np.concatenate([pack(frame, COMPANY_PERIOD) for frame in sets]))
    is_new = np.diff(codes, prepend=codes[:1]) > SAME_PERIOD_DAYS
    group = np.cumsum(is_new, dtype=np.int64)
    has_several = np.bincount(group) > 1
    if not has_several.any():
        return pd.DataFrame()
    numbers = [group[np.searchsorted(codes, pack(frame, COMPANY_PERIOD))] for frame in sets]
    sets = [frame[has_several[number]] for frame, number in zip(sets, numbers, strict=True)]
    numbers = [number[has_several[number]] for number in numbers]
    ids = np.concatenate([np.tile(number, 2) for number in numbers])
    days = np.concatenate([frame[name].to_numpy() for frame in sets for name in ("since", "until")])
    number, start, end = spans_between(ids, days)
    worlds = []
    for frame, mine_number in zip(sets, numbers, strict=True):
        world, row = pairs(mine_number, number)
        stood = (frame["since"].to_numpy()[row] <= start[world]) & (
            start[world] < frame["until"].to_numpy()[row]
        )
        here = frame.iloc[row[stood]].assign(company=world[stood])[list(COMPANY_PERIOD)]
        here = here.drop_duplicates(ignore_index=True)
        day = (here["end"] - END_OFFSET).to_numpy().astype("datetime64[D]")
        worlds.append(here.assign(period_end=day.astype("datetime64[s]")))
    met = match_periods(*worlds)
    moved = worlds[0].iloc[met.v1].assign(to=worlds[1]["end"].to_numpy()[met.v2])
    moved = moved[moved["to"] != moved["end"]].drop(columns="period_end")
    world = moved["company"].to_numpy()
    company = company_in(codes[np.searchsorted(group, number[world])])
    return moved.assign(company=company, since=start[world], until=end[world])


def _moved(side: Side, moves: pd.DataFrame) -> Side:
    if moves.empty:
        return side
    ids = pack(moves, COMPANY_PERIOD)
    since, until = moves["since"].to_numpy(), moves["until"].to_numpy()
    i, j = pairs(ids, pack(side.keys, COMPANY_PERIOD))
    side = side.cut(np.tile(i, 2), np.concatenate([since[j], until[j]]))
    place = first_at(ids, since, until, pack(side.keys, COMPANY_PERIOD), side.since)
    has = place >= 0
    if not has.any():
        return side
    end = side.keys["end"].to_numpy().copy()
    end[has] = moves["to"].to_numpy()[place[has]]
    return replace(side, keys=side.keys.assign(end=end))


def moved_first(first: pd.DataFrame, moves: pd.DataFrame) -> pd.DataFrame:
    """Return first filings with those of moved periods under their new date too."""
    if moves.empty:
        return first
    i, j = pairs(pack(first, COMPANY_END), pack(moves, COMPANY_END))
    lent, moved = first.iloc[j].reset_index(drop=True), moves.iloc[i].reset_index(drop=True)
    lent["end"] = moved["to"]
    lent["since"] = np.maximum(lent["since"], moved["since"])
    lent["until"] = np.minimum(lent["until"], moved["until"])
    return pd.concat([first, lent]).sort_values("date", kind="stable", ignore_index=True)
