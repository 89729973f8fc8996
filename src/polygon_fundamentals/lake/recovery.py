"""Putting right what a killed commit or another tool left: index and files agree again."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.lake import index, their_form
from polygon_fundamentals.lake.changes import Incoming, Plan, RowIds, Scope
from polygon_fundamentals.lake.commit import carry_out, hold_bucket, note_file
from polygon_fundamentals.lake.dataset_summary import unindexed
from polygon_fundamentals.lake.file_names import BUCKETS, bucket_of
from polygon_fundamentals.lake.listing import FileState
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.plan import plan_ticker
from polygon_fundamentals.lake.staging import staging_folder
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.statements import Generation, Statement


def clear_leftovers(lake: Lake) -> None:
    """Remove the temporary files that dead processes left in `ops` and beside the archives.

    Also the archives of SEC EDGAR (3 GB) that a killed run left for more than a day.
    """
    for folder in (lake.ops, lake.root / "archive"):
        local.remove_leftovers(folder)
    for zips in (lake.ops / "reference" / "edgar").glob("zips-*"):
        if local.is_abandoned(zips):
            shutil.rmtree(zips, ignore_errors=True)


def recover(lake: Lake) -> list[str]:
    """Finish what killed runs left; return the names of the buckets that were mended.

    Safe beside running commits: a bucket whose lock is held is left to its holder.
    """
    mended = []
    clear_leftovers(lake)
    for dataset in (*(lake.dataset(g, s) for g in Generation for s in Statement), lake.ratios):
        for bucket in range(BUCKETS):
            note = note_file(dataset, bucket)
            if not note.exists() and not staging_folder(dataset, bucket).exists():
                continue
            with hold_bucket(dataset, bucket) as unfinished:
                _put_right(dataset, bucket, unfinished)
            mended.append(f"{dataset.name}.{bucket:02d}")
    return mended


def rewritten_since(dataset: Dataset, changed: Iterable[FileState]) -> list[FileState]:
    """Return the changed files of tickers that we loaded: another tool wrote them since."""
    return [state for state in changed if dataset.index_file(state.ticker).exists()]


def take_in(dataset: Dataset) -> list[Path]:
    """Take in what another tool wrote since our last load, without duplicates; return the files.

    Raises:
        DamagedFileError: one cannot be read; nothing of its bucket is written.
    """
    buckets: dict[int, dict[str, set[int]]] = {}
    files = rewritten_since(dataset, unindexed(dataset))
    for state in files:
        tickers = buckets.setdefault(bucket_of(state.ticker), {})
        tickers.setdefault(state.ticker, set()).add(state.partition)
    for bucket, tickers in buckets.items():
        with hold_bucket(dataset, bucket) as unfinished:
            for ticker, partitions in tickers.items():
                unfinished.setdefault(ticker, set()).update(partitions)
            _put_right(dataset, bucket, unfinished)
    return [dataset.file(state.partition, state.ticker) for state in files]


def _put_right(dataset: Dataset, bucket: int, unfinished: Mapping[str, set[int]]) -> None:
    """Make index and files of some tickers agree; the bucket's lock is held."""
    empty = schema(dataset.generation, dataset.statement).empty_table()
    names = dict.fromkeys(unfinished, ())
    nothing = Incoming(empty, names, Scope.WINDOW, frozenset(), datetime.now(UTC))
    keeps_form = their_form.keeps_form(dataset)
    plans = []
    unread = index.without_index(dataset, unfinished)
    for ticker, touched in unfinished.items():
        seen = touched | unread.get(ticker, set())
        known = index.load(dataset, ticker, seen, keeps_form=keeps_form)
        plan = plan_ticker(dataset, ticker, known, nothing, RowIds(), Counter())
        plan = plan or Plan(ticker, known)
        if keeps_form:
            their_form.encode_plan(dataset, plan, nothing, RowIds())
        plans.append(plan)
    carry_out(dataset, bucket, plans, Counter(), unfinished)
