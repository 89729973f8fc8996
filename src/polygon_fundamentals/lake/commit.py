"""The upsert: rows of an answer into the files of their tickers, by record key.

Tickers are taken bucket by bucket, each bucket under its lock: a note of what will be
touched, revisions, new files staged and flushed together, renamed into place, rows that
moved removed from their old files, the index, and the note taken away. Killed at any
point, files are whole, and the next commit finds the note and puts the index right first.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import orjson
import pyarrow as pa

from polygon_fundamentals.lake import files, index, revisions
from polygon_fundamentals.lake.paths import BUCKETS, Dataset, Lake, bucket_of, partition_folder
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.normalise.content import (
    cik_of,
    content_hashes,
    period_of,
    record_keys,
)
from polygon_fundamentals.normalise.schemas import schema
from polygon_fundamentals.statements import Generation, Statement


class Scope(StrEnum):
    """What an answer says about the records that it does not hold."""

    WINDOW = "window"  # nothing: a date window, a filter, a partial answer
    PERIODS = "periods"  # of the periods in it, these labels are all there are
    COMPANIES = "companies"  # of the companies in it, these records are all there are


@dataclass
class Counts:
    """What a commit did; rows are counted once per ticker file they stand in."""

    rows_received: int = 0
    rows_new: int = 0
    rows_changed: int = 0
    rows_unchanged: int = 0
    rows_withdrawn: int = 0
    bytes_written: int = 0
    files_written: int = 0

    def add(self, other: Counts) -> None:
        """Add the counts of another commit."""
        for name in vars(other):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True)
class Incoming:
    """The rows of an answer for one dataset.

    `rows`: ticker → positions in `table`. `timeframes`: those asked for, in the
    generation's own spelling; with `Scope.COMPANIES` only they are complete.
    """

    table: pa.Table
    rows: Mapping[str, Sequence[int]]
    scope: Scope
    timeframes: frozenset[str]
    observed_at: datetime


@dataclass
class _Plan:
    """What one ticker's files will become."""

    ticker: str
    index: index.TickerIndex
    contents: dict[int, pa.Table] = field(default_factory=dict)  # empty table: remove the file
    hashes: dict[int, dict[str, str]] = field(default_factory=dict)
    revisions: list[pa.Table] = field(default_factory=list)
    arrivals: set[int] = field(default_factory=set)
    moved_out: dict[int, pa.Table] = field(default_factory=dict)
    adopted: set[int] = field(default_factory=set)


def commit(dataset: Dataset, incoming: Incoming) -> Counts:
    """Upsert an answer into a dataset; return what that did.

    Raises:
        DamagedFileError: a file that must be read for it cannot be; nothing of its
            bucket is written then.
        LakeError, OSError: the lake cannot be written (a full disk).
    """
    counts = Counts()
    keys = record_keys(incoming.table, dataset.generation)
    hashes = content_hashes(incoming.table) if keys else []
    buckets: dict[int, list[str]] = {}
    for ticker in sorted(incoming.rows):
        buckets.setdefault(bucket_of(ticker), []).append(ticker)
    for bucket, tickers in sorted(buckets.items()):
        with _bucket(dataset, bucket) as unfinished:
            plans = []
            for ticker in tickers:
                seen = unfinished.get(ticker, set()) | _left_by_others(dataset, ticker)
                known = index.load(dataset, ticker, seen)
                plan = _plan(dataset, ticker, known, incoming, keys, hashes, counts)
                if plan is not None:
                    plans.append(plan)
            _carry_out(dataset, bucket, plans, counts, unfinished)
    return counts


@contextlib.contextmanager
def _bucket(dataset: Dataset, bucket: int) -> Iterator[dict[str, set[int]]]:
    """Hold a bucket's lock; yield the partitions a killed commit may have touched, by ticker."""
    name = f"{dataset.name}.{bucket:02d}"
    with exclusive(dataset.lake.lock(name)):
        shutil.rmtree(_staging(dataset, bucket), ignore_errors=True)
        yield _read_note(_note(dataset, bucket))


def _note(dataset: Dataset, bucket: int) -> Path:
    return dataset.lake.ops / "unfinished" / f"{dataset.name}.{bucket:02d}.json"


def _read_note(path: Path) -> dict[str, set[int]]:
    try:
        return {ticker: set(months) for ticker, months in orjson.loads(path.read_bytes()).items()}
    except FileNotFoundError:
        return {}


def _staging(dataset: Dataset, bucket: int) -> Path:
    # Within bronze, so that a rename into place never crosses file systems.
    return dataset.lake.bronze / ".staging" / f"{dataset.name}.{bucket:02d}"


def _left_by_others(dataset: Dataset, ticker: str) -> set[int]:
    """Return the partitions in which older tools left this ticker, until it has an index."""
    if dataset.index_file(ticker).exists():
        return set()
    return _listing(dataset).get(ticker, set())


def _listing(dataset: Dataset) -> dict[str, set[int]]:
    """Return ticker → partitions of the files that were there before our first write.

    Taken once and kept in `ops/index/…/found.json`: from then on every file of ours has
    its index entry.
    """
    path = dataset.lake.ops / "index" / dataset.name / "found.json"
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        collected: dict[str, list[int]] = {}
        for partition, ticker, _ in dataset.files():
            collected.setdefault(ticker, []).append(partition)
        found = collected
        with exclusive(dataset.lake.lock(f"{dataset.name}.found")):
            if not path.exists():
                files.replace_file(path, orjson.dumps(found))
    return {ticker: set(months) for ticker, months in found.items()}


def _order(generation: Generation) -> tuple[str, ...]:
    """The columns that say which of two records under one key stands: the later."""
    if generation is Generation.V1:
        return ("acceptance_datetime", "filing_date")
    return ("filing_date",)


def _plan(
    dataset: Dataset,
    ticker: str,
    known: index.TickerIndex,
    incoming: Incoming,
    keys: Sequence[str],
    hashes: Sequence[str],
    counts: Counts,
) -> _Plan | None:
    """Return what must be written for a ticker, or None where nothing changes."""
    positions = incoming.rows[ticker]
    counts.rows_received += len(positions)
    winners = _winners(dataset, incoming.table, positions, keys, ticker)
    losers = [i for i in positions if hashes[winners[_own(keys[i], ticker)]] != hashes[i]]
    changed = {
        key: i
        for key, i in winners.items()
        if key in known.rows and known.rows[key][1] != hashes[i]
    }
    new = {key: i for key, i in winners.items() if key not in known.rows}
    withdrawn = _withdrawn(incoming, winners, known)
    plan = _Plan(ticker, known)
    if losers:
        told = revisions.contents(dataset, ticker)
        fresh = [i for i in losers if (_own(keys[i], ticker), hashes[i]) not in told]
        if fresh:
            plan.revisions.append(_revised(files.pick(incoming.table, fresh), ticker, incoming))
    counts.rows_new += len(new)
    counts.rows_withdrawn += len(withdrawn)
    counts.rows_unchanged += len(winners) - len(new) - len(changed)
    if not (new or changed or withdrawn or known.untidy or plan.revisions):
        return plan if known.stale else None
    arriving: dict[int, list[int]] = {}
    months = files.filing_partitions(incoming.table)
    leaving = set(known.untidy)
    leaving.update(known.rows[key][0] for key in (*changed, *withdrawn))
    for i in (*new.values(), *changed.values()):
        arriving.setdefault(months[i], []).append(i)
    outdated = _rewrite(
        dataset, plan, incoming, arriving, leaving, changed, withdrawn, keys, hashes
    )
    counts.rows_changed += len(changed) - outdated
    counts.rows_unchanged += outdated
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
    for key, rivals in doubles.items():
        columns = [table[name].take(rivals).to_pylist() for name in _order(dataset.generation)]
        ranks = [
            tuple(str(value or "") for value in values) for values in zip(*columns, strict=True)
        ]
        winners[key] = max(zip(ranks, rivals, strict=True))[1]
    return winners


def _withdrawn(
    incoming: Incoming, winners: Mapping[str, int], known: index.TickerIndex
) -> list[str]:
    """Return the stored keys that the answer, within its scope, no longer holds."""
    if incoming.scope is Scope.WINDOW:
        return []
    if incoming.scope is Scope.PERIODS:
        periods = {period_of(key) for key in winners}
        return [k for k in known.rows if k not in winners and period_of(k) in periods]
    companies = {cik_of(key) for key in winners}
    return [
        k
        for k in known.rows
        if k not in winners and cik_of(k) in companies and k.split("|")[1] in incoming.timeframes
    ]


def _revised(
    table: pa.Table, ticker: str, incoming: Incoming, events: list[str] | None = None
) -> pa.Table:
    return revisions.as_revisions(
        files.with_ticker(table, ticker),
        events or [revisions.SUPERSEDED] * table.num_rows,
        incoming.observed_at,
    )


def _rewrite(
    dataset: Dataset,
    plan: _Plan,
    incoming: Incoming,
    arriving: Mapping[int, Sequence[int]],
    leaving: set[int],
    changed: dict[str, int],
    withdrawn: Sequence[str],
    keys: Sequence[str],
    hashes: Sequence[str],
) -> int:
    """Work out the new content of every file touched and the revisions.

    Returns how many changed rows were left as they are because the lake's row was
    observed after this answer was (two runs at once).
    """
    ticker, known = plan.ticker, plan.index
    gone = set(withdrawn) | set(changed)
    outdated = 0
    stored = {
        partition: index.read_file(dataset, partition, ticker)
        for partition in sorted(leaving | arriving.keys())
    }
    late: set[str] = set()
    for partition, file in stored.items():
        if file is None:
            continue
        moments = file.table["observed_at"].to_pylist()
        for position, key in enumerate(file.keys):
            if (
                key in changed
                and known.rows[key][0] == partition
                and moments[position] > incoming.observed_at
            ):
                late.add(key)
    outdated = len(late)
    gone -= late
    for partition, file in stored.items():
        rows = [i for i in arriving.get(partition, ()) if _own(keys[i], ticker) not in late]
        fresh = files.with_ticker(files.pick(incoming.table, rows), ticker)
        digests = {_own(keys[i], ticker): hashes[i] for i in rows}
        pieces = [fresh]
        if file is not None:
            last = {key: position for position, key in enumerate(file.keys)}
            stay, old, events, moved = [], [], [], []
            for position, key in enumerate(file.keys):
                mine = known.rows.get(key, (None, ""))[0] == partition
                if mine and key not in gone and last[key] == position:
                    stay.append(position)
                    digests[key] = file.hashes[position]
                elif not mine or last[key] != position:
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
                    _revised(files.pick(file.table, old), ticker, incoming, events)
                )
            if moved:
                plan.moved_out[partition] = files.pick(file.table, moved)
            pieces.insert(0, files.pick(file.table, stay))
            if not file.ours:
                plan.adopted.add(partition)
        pieces = [piece for piece in pieces if piece.num_rows] or pieces[:1]
        plan.contents[partition] = pieces[0] if len(pieces) == 1 else pa.concat_tables(pieces)
        plan.hashes[partition] = digests
        if rows:
            plan.arrivals.add(partition)
    lost = [i for key, i in changed.items() if key in late]
    if lost:
        plan.revisions.append(_revised(files.pick(incoming.table, lost), ticker, incoming))
    return outdated


def _carry_out(
    dataset: Dataset,
    bucket: int,
    plans: Sequence[_Plan],
    counts: Counts,
    unfinished: Mapping[str, set[int]],
) -> None:
    """Write the plans of a bucket, in the order that loses nothing at any moment."""
    note = _note(dataset, bucket)
    touched = {plan.ticker: sorted(plan.contents) for plan in plans if plan.contents}
    for ticker, partitions in unfinished.items():
        touched[ticker] = sorted(set(touched.get(ticker, ())) | partitions)
    if not plans:
        # What a killed commit noted of other tickers stays noted until one of theirs comes.
        return
    if touched:
        files.replace_file(note, orjson.dumps(touched))
    for plan in plans:
        if plan.revisions:
            counts.bytes_written += revisions.append(
                dataset, plan.ticker, pa.concat_tables(plan.revisions)
            )
    staging = _staging(dataset, bucket)
    staging.mkdir(parents=True, exist_ok=True)
    try:
        moves: list[tuple[Path, Path]] = []
        departures: list[tuple[Path | None, Path]] = []
        for plan in plans:
            for partition, table in sorted(plan.contents.items()):
                path = dataset.file(partition, plan.ticker)
                if partition in plan.adopted:
                    _keep_original(dataset, partition, path)
                moved = plan.moved_out.get(partition)
                if partition in plan.arrivals and moved is not None:
                    # Rows that leave this file stay in it until they stand in their new one.
                    both = pa.concat_tables([table, moved])
                    moves.append((_stage(staging, both, dataset, counts), path))
                    departures.append((_stage(staging, table, dataset, counts), path))
                elif partition in plan.arrivals:
                    moves.append((_stage(staging, table, dataset, counts), path))
                elif table.num_rows:
                    departures.append((_stage(staging, table, dataset, counts), path))
                else:
                    departures.append((None, path))
        if counts.files_written:
            files.flush_to_disk(staging)
        for staged, path in moves:
            _into_place(staged, path)
        for source, path in departures:
            if source is None:
                path.unlink(missing_ok=True)
            else:
                _into_place(source, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    for plan in plans:
        _index(dataset, plan)
    remaining = {
        t: sorted(p) for t, p in unfinished.items() if t not in {plan.ticker for plan in plans}
    }
    if remaining:
        files.replace_file(note, orjson.dumps(remaining))
    else:
        note.unlink(missing_ok=True)


def _stage(staging: Path, table: pa.Table, dataset: Dataset, counts: Counts) -> Path:
    data = files.encode(table, dataset)
    staged = staging / str(counts.files_written)
    files.write_bytes(staged, data)
    counts.bytes_written += data.size
    counts.files_written += 1
    return staged


def _into_place(staged: Path, path: Path) -> None:
    try:
        os.replace(staged, path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staged, path)


def _keep_original(dataset: Dataset, partition: int, path: Path) -> None:
    """Keep a file that another tool wrote, as it was, before it is written anew."""
    kept = dataset.lake.ops / "adopted" / dataset.name / partition_folder(partition) / path.name
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, kept)
        except OSError:
            shutil.copy2(path, kept)


def _index(dataset: Dataset, plan: _Plan) -> None:
    known = plan.index
    kept = {key: row for key, row in known.rows.items() if row[0] not in plan.hashes}
    known.rows = kept
    for partition, digests in plan.hashes.items():
        known.untidy.discard(partition)
        known.files.pop(partition, None)
        found = index.signature(dataset.file(partition, plan.ticker))
        if found is not None:
            known.files[partition] = (*found, len(digests))
        for key, digest in digests.items():
            known.rows[key] = (partition, digest)
    path = dataset.index_file(plan.ticker)
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.write_bytes(known.dumps())
    os.replace(staged, path)


def recover(lake: Lake) -> list[str]:
    """Finish what killed runs left; return the names of the buckets that were mended.

    Safe beside running commits: a bucket whose lock is held is left to its holder.
    """
    mended = []
    for generation in Generation:
        for statement in Statement:
            dataset = lake.dataset(generation, statement)
            for bucket in range(BUCKETS):
                note = _note(dataset, bucket)
                if not note.exists() and not _staging(dataset, bucket).exists():
                    continue
                with _bucket(dataset, bucket) as unfinished:
                    empty = schema(generation, statement).empty_table()
                    nothing = Incoming(
                        empty,
                        dict.fromkeys(unfinished, ()),
                        Scope.WINDOW,
                        frozenset(),
                        datetime.now(UTC),
                    )
                    plans = []
                    for ticker in unfinished:
                        known = index.load(dataset, ticker, unfinished[ticker])
                        plan = _plan(dataset, ticker, known, nothing, [], [], Counts())
                        plans.append(plan or _Plan(ticker, known))
                    _carry_out(dataset, bucket, plans, Counts(), unfinished)
                mended.append(f"{dataset.name}.{bucket:02d}")
    return mended
