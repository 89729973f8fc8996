"""What an answer changes of a ticker: which records are new, changed, withdrawn, and where to.

Nothing is written here: the plan says what each file of the ticker will hold and what goes
to the revisions; `commit` carries it out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa

from polygon_fundamentals.datasets.keys import cik_of, filing_order, period_of, timeframe_of
from polygon_fundamentals.lake import codec, index, revisions
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.statements import Generation

# A partial answer looks like a whole one. Where a ticker would lose at least so many periods, and
# more than this share of those that it holds, they are kept and counted instead.
FEWEST_WITHHELD = 4
LARGEST_WITHDRAWN_SHARE = 0.2


class Scope(StrEnum):
    """What an answer says about the records that it does not hold."""

    WINDOW = "window"  # nothing: a date window, a filter, a partial answer
    PERIODS = "periods"  # of the periods in it, these labels are all there are
    COMPANIES = "companies"  # of the companies in it, these records are all there are
    ACCEPTED = "accepted"  # the same, however many records that withdraws


@dataclass(frozen=True)
class Incoming:
    """The rows of an answer for one dataset.

    `rows`: ticker → positions in `table`. `timeframes`: those asked for, in the
    generation's own spelling; with `Scope.COMPANIES` only they are complete. `raw`: v1's records as
    they were sent, one for each row of `table`, for files in another tool's form.
    """

    table: pa.Table
    rows: Mapping[str, Sequence[int]]
    scope: Scope
    timeframes: frozenset[str]
    observed_at: datetime
    raw: Sequence[Mapping[str, Any]] | None = None


@dataclass
class Plan:
    """What one ticker's files will become."""

    ticker: str
    index: index.TickerIndex
    contents: dict[int, pa.Table] = field(default_factory=dict)  # empty table: remove the file
    hashes: dict[int, dict[str, str]] = field(default_factory=dict)
    revisions: list[pa.Table] = field(default_factory=list)
    arrivals: set[int] = field(default_factory=set)
    moved_out: dict[int, pa.Table] = field(default_factory=dict)
    adopted: set[int] = field(default_factory=set)
    # (Partition, with `moved_out`) → bytes of a file that stays in another tool's form.
    theirs: dict[tuple[int, bool], bytes] = field(default_factory=dict)
    # Partition → positions in the answer, of files that will hold nothing else.
    fresh: dict[int, list[int]] = field(default_factory=dict)

    def keeps_loose(self, partition: int) -> bool:
        """Say whether a file without rows of ours stays, for records of other statements in it."""
        return bool(self.theirs.get((partition, False)))


def plan_ticker(
    dataset: Dataset,
    ticker: str,
    known: index.TickerIndex,
    incoming: Incoming,
    keys: Sequence[str],
    hashes: Sequence[str],
    months: Sequence[int],
    counts: Counter[str],
) -> Plan | None:
    """Return what must be written for a ticker, or None where nothing changes.

    `keys`, `hashes` and `months` (partitions) are of the rows of the answer.
    """
    positions = incoming.rows[ticker]
    counts["rows_received"] += len(positions)
    winners = _winners(dataset, incoming.table, positions, keys, ticker)
    losers = [i for i in positions if hashes[winners[_own(keys[i], ticker)]] != hashes[i]]
    changed = {
        key: i
        for key, i in winners.items()
        if key in known.rows and known.rows[key][1] != hashes[i]
    }
    for key in _older(dataset, ticker, known, incoming, changed):
        losers.append(changed.pop(key))
    new = {key: i for key, i in winners.items() if key not in known.rows}
    withdrawn = _withdrawn(ticker, incoming, winners, known)
    if incoming.scope is Scope.COMPANIES and _empties(withdrawn, winners, known):
        counts["rows_withheld"] += len(withdrawn)
        withdrawn = []
    plan = Plan(ticker, known)
    if losers:
        revised = revisions.contents(dataset, ticker)
        fresh = [i for i in losers if (_own(keys[i], ticker), hashes[i]) not in revised]
        if fresh:
            plan.revisions.append(_revised(codec.pick(incoming.table, fresh), ticker, incoming))
    counts["rows_new"] += len(new)
    counts["rows_unchanged"] += len(winners) - len(new) - len(changed)
    if not (new or changed or withdrawn or known.untidy or plan.revisions):
        return plan if known.stale else None
    arriving: dict[int, list[int]] = {}
    leaving = set(known.untidy)
    leaving.update(known.rows[key][0] for key in (*changed, *withdrawn))
    for i in (*new.values(), *changed.values()):
        arriving.setdefault(months[i], []).append(i)
    late = _rewrite(dataset, plan, incoming, arriving, leaving, changed, withdrawn, keys, hashes)
    outdated = len(late & changed.keys())
    counts["rows_changed"] += len(changed) - outdated
    counts["rows_unchanged"] += outdated
    counts["rows_withdrawn"] += len(withdrawn) - len(late.intersection(withdrawn))
    return plan


def _own(key: str, ticker: str) -> str:
    """Return the key within a ticker's file: a record without a CIK is named by the ticker."""
    return f"ticker:{ticker}{key[7:]}" if key.startswith("ticker:|") else key


def _winners(
    dataset: Dataset, table: pa.Table, positions: Sequence[int], keys: Sequence[str], ticker: str
) -> dict[str, int]:
    """Return key → position, the later record where an answer holds a key twice."""
    winners: dict[str, int] = {}
    doubles: dict[str, list[int]] = {}
    for i in positions:
        key = _own(keys[i], ticker)
        if key in winners:
            doubles.setdefault(key, [winners[key]]).append(i)
        else:
            winners[key] = i
    if doubles:
        filings = filing_order(table, dataset.generation).tolist()
        for key, rivals in doubles.items():
            winners[key] = max(rivals, key=lambda i: (filings[i], i))
    return winners


def _older(
    dataset: Dataset,
    ticker: str,
    known: index.TickerIndex,
    incoming: Incoming,
    changed: Mapping[str, int],
) -> list[str]:
    """Return the changed keys of v1 under which a later filing stands in the lake.

    A window, or an answer cut by a filter, may hold an original filing and not its amendment;
    taken as it comes it would put the original back. v2 has one row a period, the latest.
    """
    if dataset.generation is Generation.V2 or incoming.scope is not Scope.WINDOW:
        return []
    places: dict[int, list[str]] = {}
    for key in changed:
        places.setdefault(known.rows[key][0], []).append(key)
    outdated: list[str] = []
    if not places:
        return outdated
    arriving = filing_order(incoming.table, dataset.generation).tolist()
    for partition, keys in places.items():
        stored = index.read_file(dataset, partition, ticker)
        if stored is None:
            continue
        filings = filing_order(stored.table, dataset.generation).tolist()
        current = stored.current_rows
        outdated += [k for k in keys if k in current and filings[current[k]] > arriving[changed[k]]]
    return outdated


def _withdrawn(
    ticker: str, incoming: Incoming, winners: Mapping[str, int], known: index.TickerIndex
) -> list[str]:
    """Return the stored keys that the answer, within its scope, no longer holds.

    A stored record without a CIK is of the company that the answer names, where that is the only
    one that the ticker has: its CIK came later, and with it the record a second time.
    """
    if incoming.scope is Scope.WINDOW:
        return []
    answered = {cik_of(key) for key in winners}
    of_file = f"ticker:{ticker}"
    ciks = (answered | {cik_of(key) for key in known.rows}) - {of_file}
    periods = {period_of(key) for key in winners}
    if len(ciks) == 1 and ciks <= answered:
        [cik] = ciks
        answered.add(of_file)
        periods |= {f"{of_file}{period.removeprefix(cik)}" for period in periods}
    if incoming.scope is Scope.PERIODS:
        return [k for k in known.rows if k not in winners and period_of(k) in periods]
    return [
        k
        for k in known.rows
        if k not in winners and cik_of(k) in answered and timeframe_of(k) in incoming.timeframes
    ]


def _empties(
    withdrawn: Sequence[str], winners: Mapping[str, int], known: index.TickerIndex
) -> bool:
    """Return whether an answer would withdraw more of a ticker's periods than is believed.

    A period that the answer has under another label is not lost.
    """
    lost = {_day_of(key) for key in withdrawn} - {_day_of(key) for key in winners}
    stored = {_day_of(key) for key in known.rows}
    return len(lost) >= FEWEST_WITHHELD and len(lost) > LARGEST_WITHDRAWN_SHARE * len(stored)


def _day_of(key: str) -> str:
    """Return timeframe and period end: a CIK that comes later moves no period."""
    return period_of(key).split("|", 1)[1]


def _revised(
    table: pa.Table, ticker: str, incoming: Incoming, events: list[str] | None = None
) -> pa.Table:
    return revisions.as_revisions(
        codec.with_ticker(table, ticker),
        events or [revisions.SUPERSEDED] * table.num_rows,
        incoming.observed_at,
    )


def _rewrite(
    dataset: Dataset,
    plan: Plan,
    incoming: Incoming,
    arriving: Mapping[int, Sequence[int]],
    leaving: set[int],
    changed: dict[str, int],
    withdrawn: Sequence[str],
    keys: Sequence[str],
    hashes: Sequence[str],
) -> set[str]:
    """Work out the new content of every file touched and the revisions.

    Returns the changed and withdrawn keys that were left as they are because the lake's row was
    observed after this answer was asked for (two runs at once).
    """
    ticker, known = plan.ticker, plan.index
    gone = set(withdrawn) | set(changed)
    stored = {
        partition: index.read_file(dataset, partition, ticker)
        for partition in sorted(leaving | arriving.keys())
    }
    late: set[str] = set()
    # A row observed in the future was stamped by a clock that was fast; it must not stand until
    # the real time has passed it.
    now = datetime.now(UTC)
    for partition, file in stored.items():
        if file is None:
            continue
        moments = file.table["observed_at"].to_pylist()
        for position, key in enumerate(file.keys):
            # The time of another tool's file proves no content later than the answer's, but that
            # the file may hold what the answer could not.
            if (
                key in gone
                and (file.ours or key not in changed)
                and known.rows[key][0] == partition
                and incoming.observed_at < moments[position] <= now
            ):
                late.add(key)
    gone -= late
    for partition, file in stored.items():
        rows = [i for i in arriving.get(partition, ()) if _own(keys[i], ticker) not in late]
        fresh = codec.with_ticker(codec.pick(incoming.table, rows), ticker)
        digests = {_own(keys[i], ticker): hashes[i] for i in rows}
        pieces = [fresh]
        if file is None:
            plan.fresh[partition] = rows
        else:
            stay, old, events, moved = [], [], [], []
            for position, key in enumerate(file.keys):
                mine = known.rows.get(key, (None, ""))[0] == partition
                if mine and key not in gone and file.current_rows[key] == position:
                    stay.append(position)
                    digests[key] = file.hashes[position]
                elif not mine or file.current_rows[key] != position:
                    if file.hashes[position] != known.rows.get(key, (0, ""))[1]:
                        old.append(position)
                        events.append(revisions.SUPERSEDED)
                else:
                    old.append(position)
                    events.append(revisions.SUPERSEDED if key in changed else revisions.WITHDRAWN)
                    if key in changed and changed[key] not in rows:
                        moved.append(position)
            if old:
                plan.revisions.append(
                    _revised(codec.pick(file.table, old), ticker, incoming, events)
                )
            if moved:
                plan.moved_out[partition] = codec.pick(file.table, moved)
            pieces.insert(0, codec.pick(file.table, stay))
            if not file.ours:
                plan.adopted.add(partition)
        pieces = [piece for piece in pieces if piece.num_rows] or pieces[:1]
        plan.contents[partition] = pieces[0] if len(pieces) == 1 else pa.concat_tables(pieces)
        plan.hashes[partition] = digests
        if rows:
            plan.arrivals.add(partition)
    lost = [i for key, i in changed.items() if key in late]
    if lost:
        plan.revisions.append(_revised(codec.pick(incoming.table, lost), ticker, incoming))
    return late
