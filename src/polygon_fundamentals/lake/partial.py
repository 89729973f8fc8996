"""Answers that lack what they would withdraw because they are not whole.

A partial answer looks like a whole one. What a ticker would lose by it, its later filings too where
the answer has earlier ones, is kept and counted instead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta

from polygon_fundamentals.datasets.keys import (
    SAME_PERIOD_DAYS,
    cik_of,
    period_of,
    timeframe_of,
)
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import index
from polygon_fundamentals.lake.changes import Incoming, own_key
from polygon_fundamentals.lake.paths import Dataset

# Where a ticker would lose at least so many periods, and more than this share of those it holds.
FEWEST_WITHHELD = 4
LARGEST_WITHDRAWN_SHARE = 0.2
# Where what it would lose ends this long after all that the answer has: quarters are some 90 days
# apart, and an end that the vendor set right moves by days.
CUT_OFF_DAYS = timedelta(days=45)
# Where more tickers of an answer would lose periods than this number and share of them: the vendor
# withdraws periods of few companies.
MOST_TICKERS = 3
LARGEST_TICKER_SHARE = 0.05


def is_partial(
    withdrawn: Sequence[str],
    answered: Collection[str],
    stored: Collection[str],
    observed: date,
) -> bool:
    """Return whether an answer lacks too many of a ticker's periods, or its newest ones.

    All are record keys. A period that the answer has under another label is not lost.
    """
    lost = lost_periods(withdrawn, answered)
    if not lost:
        return False
    periods = set(map(_timeframe_and_end, stored))
    if len(lost) >= FEWEST_WITHHELD and len(lost) > LARGEST_WITHDRAWN_SHARE * len(periods):
        return True
    newest: dict[str, date] = {}
    for timeframe, end in map(_timeframe_and_end, answered):
        if end:
            newest[timeframe] = max(newest.get(timeframe, date.min), date.fromisoformat(end))
    # What had not ended yet was a mistake, and no report is lost with it.
    ends = ((t, date.fromisoformat(e)) for t, e in lost if e)
    return any(e <= observed and e - newest.get(t, date.min) > CUT_OFF_DAYS for t, e in ends)


def lost_periods(withdrawn: Collection[str], answered: Collection[str]) -> set[tuple[str, str]]:
    """Return timeframe and end of the periods that an answer has under no label and no end."""
    left = set(withdrawn) - moved(withdrawn, answered).keys()
    return set(map(_timeframe_and_end, left)) - set(map(_timeframe_and_end, answered))


def moved(keys: Collection[str], answered: Collection[str]) -> dict[str, str]:
    """Return the keys whose period an answer has under another end only, some days away.

    Each leads to the answer's key of that period. The vendor sets the ends of 52-week years right.
    """
    if not keys:
        return {}
    ends: dict[str, dict[str, str]] = {}
    for other in answered:
        of, _, end = period_of(other).rpartition("|")
        ends.setdefault(of, {})[end] = other
    moved_keys: dict[str, str] = {}
    for key in keys:
        of, _, end = period_of(key).rpartition("|")
        others = ends.get(of, {})
        # Snapshots of a day are a period each.
        if end and end not in others and not of.endswith("|day"):
            day = date.fromisoformat(end)
            apart = {o: abs((date.fromisoformat(o) - day).days) for o in others if o}
            nearest = min(apart, key=apart.__getitem__, default="")
            if nearest and apart[nearest] <= SAME_PERIOD_DAYS:
                moved_keys[key] = others[nearest]
    return moved_keys


def lacks_periods_of_many(dataset: Dataset, incoming: Incoming, keys: Sequence[str]) -> bool:
    """Return whether many tickers of an answer would lose periods; `keys` are of its rows."""
    losing = 0
    for ticker, positions in incoming.rows.items():
        known = index.written(dataset, ticker)
        answered = {own_key(keys[i], ticker) for i in positions}
        ciks = set(map(cik_of, answered))
        gone = [
            key
            for key in known.rows.keys() - answered
            if cik_of(key) in ciks and timeframe_of(key) in incoming.timeframes
        ]
        try:
            later = observed_later(dataset, ticker, known, incoming, gone)
        except DamagedFileError:  # the commit names it, and writes nothing of the ticker
            continue
        losing += bool(lost_periods(set(gone).difference(later), answered))
    return losing > max(MOST_TICKERS, LARGEST_TICKER_SHARE * len(incoming.rows))


def observed_later(
    dataset: Dataset,
    ticker: str,
    known: index.TickerIndex,
    incoming: Incoming,
    keys: Iterable[str],
) -> list[str]:
    """Return the keys among some of the lake whose rows were observed after this answer.

    No row can have been observed after its file was written, so that few files need be read.
    """
    moment = incoming.observed_at.timestamp() * 1e9
    recent = {partition for partition, stamp in known.files.items() if stamp[0] > moment}
    places: dict[int, list[str]] = {}
    for key in keys if recent else ():
        if known.rows[key][0] in recent:
            places.setdefault(known.rows[key][0], []).append(key)
    later: list[str] = []
    for partition, own in places.items():
        stored = index.read_file(dataset, partition, ticker)
        if stored is None:
            continue
        moments, current = stored.table["observed_at"].to_pylist(), stored.current_rows
        later += [k for k in own if k in current and moments[current[k]] > incoming.observed_at]
    return later


def _timeframe_and_end(key: str) -> tuple[str, str]:
    """Return timeframe and period end, without the CIK: one that comes later moves no period."""
    _, timeframe, end = period_of(key).rsplit("|", 2)
    return timeframe, end
