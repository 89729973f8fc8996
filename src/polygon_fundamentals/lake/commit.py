"""The upsert: rows of an answer into the files of their tickers, by record key.

Tickers are taken bucket by bucket, each bucket under its lock: a note of what will be
touched, revisions, new files staged and flushed together, renamed into place, rows that
moved removed from their old files, the index, and the note taken away. Killed at any
point, files are whole, and the next commit finds the note and puts the index right first.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import orjson
import pyarrow as pa

from polygon_fundamentals.datasets.flat import flattened
from polygon_fundamentals.datasets.keys import content_hashes, record_keys
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import cache, codec, index, revisions, their_form
from polygon_fundamentals.lake.changes import Incoming, Plan, RowIds, Scope, own_key
from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.letter_case import without_twins
from polygon_fundamentals.lake.listing import stamp_of
from polygon_fundamentals.lake.missing_files import forget_missing_files
from polygon_fundamentals.lake.one_row_files import OneRowFiles
from polygon_fundamentals.lake.partial import lacks_periods_of_many
from polygon_fundamentals.lake.paths import Dataset, RatiosDataset
from polygon_fundamentals.lake.plan import plan_ticker
from polygon_fundamentals.lake.staging import stage_plan, staging_folder
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.reports import UpsertCounts
from polygon_fundamentals.statements import Generation

log = logging.getLogger(__name__)

__all__ = ["Incoming", "Scope", "commit"]


def commit(
    dataset: Dataset, incoming: Incoming, damaged: dict[str, DamagedFileError] | None = None
) -> UpsertCounts:
    """Upsert an answer into a dataset; return the counts of what changed.

    Where `damaged` is given, the tickers with a damaged file are added to it and nothing is raised.

    Raises:
        DamagedFileError: a file that must be read for it cannot be; nothing of its ticker is
            written then, and all of the others before it is raised.
        LakeError, OSError: the lake cannot be written (a full disk), or a ticker has the file name
            of another there; all other tickers are written before that is raised.
    """
    with without_twins(dataset, incoming) as storable:
        if dataset.generation is Generation.V2:
            storable = replace(storable, files=OneRowFiles(storable.table, dataset))
        refused: dict[str, DamagedFileError] = {} if damaged is None else damaged
        counts = _commit(dataset, storable, refused)
    if damaged is None and refused:
        raise next(iter(refused.values()))
    return counts


def _commit(
    dataset: Dataset, incoming: Incoming, damaged: dict[str, DamagedFileError]
) -> UpsertCounts:
    counts: Counter[str] = Counter()
    withheld: set[str] = set()
    keeps_form = their_form.keeps_form(dataset)
    if keeps_form:
        incoming = their_form.as_stored(dataset, incoming)
    keys = record_keys(incoming.table, dataset.generation)
    hashes = content_hashes(incoming.table) if keys else []
    ids = RowIds(keys, hashes, codec.filing_partitions(incoming.table))
    if incoming.scope is Scope.COMPANIES and lacks_periods_of_many(dataset, incoming, keys):
        incoming = replace(incoming, is_partial=True)
    flat: pa.Table | None = None
    buckets: dict[int, list[str]] = {}
    for ticker in sorted(incoming.rows):
        buckets.setdefault(bucket_of(ticker), []).append(ticker)
    for bucket, tickers in sorted(buckets.items()):
        with hold_bucket(dataset, bucket) as unfinished:
            plans = []
            unread = index.without_index(dataset, tickers)
            for ticker in tickers:
                seen = unfinished.get(ticker, set()) | unread.get(ticker, set())
                arriving = {ids.months[i] for i in incoming.rows[ticker]}
                planned = Counter[str]()  # counted where it is carried out
                try:
                    known = index.load(dataset, ticker, seen, arriving, keeps_form=keeps_form)
                    if known.gone:
                        answered = {own_key(keys[i], ticker) for i in incoming.rows[ticker]}
                        forget_missing_files(dataset, ticker, known, answered)
                    plan = plan_ticker(dataset, ticker, known, incoming, ids, planned)
                    if plan is not None and keeps_form:
                        their_form.encode_plan(dataset, plan, incoming, ids)
                    if plan is not None and plan.revisions:
                        revisions.read(dataset, ticker)  # nothing is superseded without a trace
                except DamagedFileError as error:
                    damaged.setdefault(ticker, error)
                    continue
                counts.update(planned)
                if planned["rows_withheld"]:
                    withheld.add(ticker)
                if plan is not None:
                    plans.append(plan)
            carry_out(dataset, bucket, plans, counts, unfinished)
            # The cache is for parity and silver, which read no snapshots.
            if not isinstance(dataset, RatiosDataset) and any(plan.fresh for plan in plans):
                flat = (
                    flattened(incoming.table, dataset.generation, dataset.statement)
                    if flat is None
                    else flat
                )
                cache.add_written(dataset, bucket, flat, plans)
    return UpsertCounts(**counts, tickers_withheld=frozenset(withheld))


@contextlib.contextmanager
def hold_bucket(dataset: Dataset, bucket: int) -> Iterator[dict[str, set[int]]]:
    """Hold a bucket's lock; yield the partitions a killed commit may have touched, by ticker."""
    name = f"{dataset.name}.{bucket:02d}"
    with exclusive(dataset.lake.lock(name)):
        shutil.rmtree(staging_folder(dataset, bucket), ignore_errors=True)
        yield _read_note(dataset, bucket)


def note_file(dataset: Dataset, bucket: int) -> Path:
    """Return the file that notes what a commit of a bucket is about to touch."""
    return dataset.lake.ops / "unfinished" / f"{dataset.name}.{bucket:02d}.json"


def _read_note(dataset: Dataset, bucket: int) -> dict[str, set[int]]:
    """Return the note of a killed commit; where it is damaged, all that may have stood in it."""
    path = note_file(dataset, bucket)
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, set[int]])
    except FileNotFoundError:
        return {}
    except (ValueError, msgspec.MsgspecError):  # a text that is no UTF-8 is no error of msgspec's
        log.warning("%s cannot be read; every file of its tickers is looked at again", path)
        listed = dataset.partitions_by_ticker()
        return {ticker: months for ticker, months in listed.items() if bucket_of(ticker) == bucket}


def carry_out(
    dataset: Dataset,
    bucket: int,
    plans: Sequence[Plan],
    counts: Counter[str],
    unfinished: Mapping[str, set[int]],
) -> None:
    """Write the plans of a bucket, in the order that loses nothing at any moment."""
    note = note_file(dataset, bucket)
    touched = {plan.ticker: sorted(plan.contents) for plan in plans if plan.contents}
    for ticker, partitions in unfinished.items():
        touched[ticker] = sorted(set(touched.get(ticker, ())) | partitions)
    if not plans:
        # The note of a killed commit stays until a commit of its tickers.
        return
    if touched:
        local.replace_file(note, orjson.dumps(touched))
    for plan in plans:
        if plan.revisions:
            counts["bytes_written"] += revisions.append(
                dataset, plan.ticker, pa.concat_tables(plan.revisions)
            )
    staging = staging_folder(dataset, bucket)
    staging.mkdir(parents=True, exist_ok=True)
    checksums: dict[str, str] = {}
    try:
        moves: list[tuple[str, str]] = []
        departures: list[tuple[str | None, str]] = []
        for plan in plans:
            arriving, leaving = stage_plan(staging, dataset, plan, counts, checksums)
            moves += arriving
            departures += leaving
        if counts["files_written"]:
            local.flush_to_disk(staging)
        for source, path in (*moves, *departures):
            if source is None:
                Path(path).unlink(missing_ok=True)
            else:
                local.move_into_place(source, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    for plan in plans:
        _index(dataset, plan, checksums)
    remaining = {
        t: sorted(p) for t, p in unfinished.items() if t not in {plan.ticker for plan in plans}
    }
    if remaining:
        local.replace_file(note, orjson.dumps(remaining))
    else:
        note.unlink(missing_ok=True)


def _index(dataset: Dataset, plan: Plan, checksums: Mapping[str, str]) -> None:
    known = plan.index
    untouched = {key: row for key, row in known.rows.items() if row[0] not in plan.hashes}
    known.rows = untouched
    for partition, digests in plan.hashes.items():
        known.untidy.discard(partition)
        known.files.pop(partition, None)
        known.checksums.pop(partition, None)
        name = dataset.file_name(partition, plan.ticker)
        stamp = stamp_of(name)
        if stamp is not None:
            known.files[partition] = (*stamp, len(digests))
            if name in checksums:
                known.checksums[partition] = checksums[name]
        for key, digest in digests.items():
            known.rows[key] = (partition, digest)
    local.replace_file(dataset.index_file(plan.ticker), known.dumps(dataset), flush=False)
