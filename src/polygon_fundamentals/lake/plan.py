"""What an answer changes of a ticker: which records are new, changed, withdrawn, and where to.

Nothing is written here: the plan says what each file of the ticker will hold and what goes
to the revisions; `commit` carries it out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from polygon_fundamentals.datasets.keys import cik_of, end_of, filing_order, period_of, timeframe_of
from polygon_fundamentals.lake import codec, index, revisions
from polygon_fundamentals.lake.changes import Incoming, Plan, RowIds, Scope, own_key, revised_rows
from polygon_fundamentals.lake.listing import stamp_of
from polygon_fundamentals.lake.partial import is_partial, lost_periods, moved, observed_later
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.rewrite import Changes, rewrite
from polygon_fundamentals.statements import Generation


def plan_ticker(
    dataset: Dataset,
    ticker: str,
    known: index.TickerIndex,
    incoming: Incoming,
    ids: RowIds,
    counts: Counter[str],
) -> Plan | None:
    """Return what must be written for a ticker, or None where nothing changes."""
    keys, hashes = ids.keys, ids.hashes
    positions = incoming.rows[ticker]
    counts["rows_received"] += len(positions)
    winners = _winners(dataset, incoming.table, positions, keys, ticker)
    losers = [i for i in positions if hashes[winners[own_key(keys[i], ticker)]] != hashes[i]]
    changed = {
        key: i
        for key, i in winners.items()
        if key in known.rows and known.rows[key][1] != hashes[i]
    }
    if dataset.generation is Generation.V1 and incoming.scope is Scope.WINDOW:
        # It may hold an original filing without its amendment. v2 has one row per period, the last.
        for key in _filed_later(dataset, ticker, known, incoming, winners, {k: k for k in changed}):
            losers.append(changed.pop(key))
    new = {key: i for key, i in winners.items() if key not in known.rows}
    past = [new.pop(key) for key in _gone_since(dataset, ticker, incoming, new)]
    withdrawn = _withdrawn(ticker, incoming, incoming.scope, winners, known)
    if incoming.scope in (Scope.COMPANIES, Scope.HISTORY):
        difference = _Difference(winners, new, changed, withdrawn)
        difference, withheld = _without_losses(dataset, ticker, known, incoming, difference)
        new, changed, withdrawn = difference.new, difference.changed, difference.withdrawn
        counts["rows_withheld"] += withheld
    past += _seen_sooner(dataset, ticker, known, incoming, winners, hashes)
    plan = Plan(ticker, known)
    plan.revisions += _not_standing(dataset, ticker, incoming, keys, losers, past)
    counts["rows_new"] += len(new)
    counts["rows_unchanged"] += len(winners) - len(new) - len(changed)
    if not (new or changed or withdrawn or known.untidy or plan.revisions):
        return plan if known.stale else None
    arriving: dict[int, list[int]] = {}
    leaving = set(known.untidy)
    leaving.update(known.rows[key][0] for key in (*changed, *withdrawn))
    for i in (*new.values(), *changed.values()):
        arriving.setdefault(ids.months[i], []).append(i)
    changes = Changes(incoming, ids, changed, withdrawn)
    late = rewrite(dataset, plan, changes, arriving, leaving)
    outdated = len(late & changed.keys())
    counts["rows_changed"] += len(changed) - outdated
    counts["rows_unchanged"] += outdated
    counts["rows_withdrawn"] += len(withdrawn) - len(late.intersection(withdrawn))
    return plan


def _not_standing(
    dataset: Dataset,
    ticker: str,
    incoming: Incoming,
    keys: Sequence[str],
    losers: Sequence[int],
    past: Sequence[int],
) -> list[pa.Table]:
    """Return as revisions the rows of an answer that do not become current.

    Another row supersedes the `losers`; of the `past` ones the lake has something later.
    """
    fresh: list[int] = []
    if losers:
        known = revisions.contents(dataset, ticker, incoming.observed_at)
        fresh += [
            i
            for i, digest in _digests(dataset, incoming, losers)
            if (own_key(keys[i], ticker), digest) not in known
        ]
    if past:
        before = revisions.seen_last(dataset, ticker, incoming.observed_at)
        fresh += [
            i
            for i, digest in _digests(dataset, incoming, past)
            if before.get(own_key(keys[i], ticker)) != digest
        ]
    rows = codec.pick(incoming.table, fresh)
    return [revised_rows(rows, ticker, incoming)] if fresh else []


@dataclass(frozen=True)
class _Difference:
    """How an answer differs from the lake.

    `winners` (all rows of the answer), `new` and `changed` map keys to positions in the answer;
    `withdrawn` are the stored keys that it lacks.
    """

    winners: dict[str, int]
    new: dict[str, int]
    changed: dict[str, int]
    withdrawn: list[str]


def _without_losses(
    dataset: Dataset,
    ticker: str,
    known: index.TickerIndex,
    incoming: Incoming,
    difference: _Difference,
) -> tuple[_Difference, int]:
    """Return what the lake takes of a difference, and how many of its own rows it keeps instead.

    A partial answer withdraws no period, and puts no earlier filing in the place of a later one: an
    index of some weeks ago lacks the newest reports, and has what they restated as it was before.
    The same period under another label or end is no exception. A load of the history withdraws no
    period in any case, but one that the answer has under another end.
    """
    winners, withdrawn = difference.winners, difference.withdrawn
    lacking = _withdrawn(ticker, incoming, Scope.COMPANIES, winners, known)
    later = set(observed_later(dataset, ticker, known, incoming, lacking))
    sure = [key for key in lacking if key not in later]
    lacks_some = is_partial(sure, winners, known.rows, incoming.observed_at.date())
    if not (lacks_some or incoming.is_partial):
        return difference, 0
    lacks_some |= bool(lost_periods(sure, winners))
    lacks_some &= incoming.scope is Scope.COMPANIES
    # Of two runs at once, the later one's rows are no loss of this one.
    changed_since = set(observed_later(dataset, ticker, known, incoming, difference.changed))
    stored = {key: key for key in difference.changed if key not in changed_since}
    # The same period under another label, or under another end.
    latest = {period_of(k): k for k in sorted(sure, key=lambda k: known.rows[k][0])}
    stored |= {k: latest[period_of(k)] for k in difference.new if period_of(k) in latest}
    under_other_end = moved(difference.new, latest.values())
    stored |= under_other_end
    outdated = set(_filed_later(dataset, ticker, known, incoming, winners, stored))
    replaced = {period_of(s) for k, s in under_other_end.items() if k not in outdated}
    withheld = {stored[key] for key in outdated} | set(sure if lacks_some else ())
    withheld = {key for key in withheld if period_of(key) not in replaced}
    new, changed = (
        {key: i for key, i in rows.items() if key not in outdated}
        for rows in (difference.new, difference.changed)
    )
    staying = withheld | moved(withdrawn, winners).keys()
    left = [
        key for key in withdrawn if period_of(key) in replaced or not (lacks_some or key in staying)
    ]
    return _Difference(winners, new, changed, left), len(withheld)


def _digests(
    dataset: Dataset, incoming: Incoming, positions: Sequence[int]
) -> Iterable[tuple[int, str]]:
    """Return position and digest, by which revisions are told apart, of some rows."""
    rows = codec.pick(incoming.table, positions)
    return zip(positions, revisions.digests(dataset, rows), strict=True)


def _winners(
    dataset: Dataset, table: pa.Table, positions: Sequence[int], keys: Sequence[str], ticker: str
) -> dict[str, int]:
    """Return key → position, the later record where an answer holds a key twice."""
    winners: dict[str, int] = {}
    doubles: dict[str, list[int]] = {}
    for i in positions:
        key = own_key(keys[i], ticker)
        if key in winners:
            doubles.setdefault(key, [winners[key]]).append(i)
        else:
            winners[key] = i
    if doubles:
        filings = filing_order(table, dataset.generation).tolist()
        for key, rivals in doubles.items():
            winners[key] = max(rivals, key=lambda i: (filings[i], i))
    return winners


def _filed_later(
    dataset: Dataset,
    ticker: str,
    known: index.TickerIndex,
    incoming: Incoming,
    winners: Mapping[str, int],
    stored: Mapping[str, str],
) -> list[str]:
    """Return the keys of `stored` whose row in the lake has a later filing than the answer's.

    `stored` maps keys of the answer to the lake's keys of the same periods. Of one filing under two
    ends nothing says which is right; it counts as the lake's.
    """
    places: dict[int, list[str]] = {}
    for key, stored_key in stored.items():
        places.setdefault(known.rows[stored_key][0], []).append(key)
    outdated: list[str] = []
    if not places:
        return outdated
    arriving = filing_order(incoming.table, dataset.generation).tolist()
    for partition, keys in places.items():
        file = index.read_file(dataset, partition, ticker)
        if file is None:
            continue
        filings = filing_order(file.table, dataset.generation).tolist()
        for key in keys:
            row = file.current_rows.get(stored[key])
            answered = arriving[winners[key]]
            same_end = period_of(key) == period_of(stored[key])
            if row is not None and (filings[row], not same_end) > (answered, False):
                outdated.append(key)
    return outdated


def _gone_since(
    dataset: Dataset, ticker: str, incoming: Incoming, new: Mapping[str, int]
) -> set[str]:
    """Return the keys among `new` that were seen to be withdrawn after this answer was asked for.

    An import may bring them, or the earlier of two runs at once: they must not stand again. A
    withdrawal says nothing before its file of revisions was written, nor one in the future, which
    a fast clock stamped.
    """
    written = stamp_of(dataset.revisions_file(ticker)) if new else None
    if written is None or written[0] <= incoming.observed_at.timestamp() * 1e9:
        return set()
    since, yet_to_come = (
        revisions.withdrawn_since(dataset, ticker, moment)
        for moment in (incoming.observed_at, datetime.now(UTC))
    )
    return (since - yet_to_come) & new.keys()


def _seen_sooner(
    dataset: Dataset,
    ticker: str,
    known: index.TickerIndex,
    incoming: Incoming,
    winners: Mapping[str, int],
    hashes: Sequence[str],
) -> list[int]:
    """Return the positions of rows that stand in the lake, but were observed later there.

    An import may bring them: that they were seen sooner is known from then on.
    """
    standing = (key for key, i in winners.items() if known.rows.get(key, (-1, ""))[1] == hashes[i])
    later = observed_later(dataset, ticker, known, incoming, standing)
    return [winners[key] for key in later]


def _withdrawn(
    ticker: str,
    incoming: Incoming,
    scope: Scope,
    winners: Mapping[str, int],
    known: index.TickerIndex,
) -> list[str]:
    """Return the stored keys that the answer, within a scope, no longer holds.

    A stored record without a CIK is of the company that the answer names, where that is the only
    one that the ticker has: its CIK came later, and with it the record a second time.
    """
    if scope is Scope.WINDOW:
        return []
    answered = {cik_of(key) for key in winners}
    of_file = f"ticker:{ticker}"
    ciks = (answered | {cik_of(key) for key in known.rows}) - {of_file}
    periods = {period_of(key) for key in winners}
    if len(ciks) == 1 and ciks <= answered:
        [cik] = ciks
        answered.add(of_file)
        periods |= {f"{of_file}{period.removeprefix(cik)}" for period in periods}
    if scope in (Scope.PERIODS, Scope.HISTORY):
        left = [k for k in known.rows if k not in winners]
        # The vendor may still have an old end that the request did not name.
        whole = scope is Scope.HISTORY
        asked = [k for k in left if whole or incoming.has_asked_for(end_of(k))]
        others = moved(asked, winners)
        return [k for k in left if period_of(k) in periods or k in others]
    return [
        k
        for k in known.rows
        if k not in winners and cik_of(k) in answered and timeframe_of(k) in incoming.timeframes
    ]
