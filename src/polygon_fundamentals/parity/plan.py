"""What a comparison of a lake has to do: which companies changed, and in which batches.

The plan reads listings and CIKs, no records. It leaves its listings in files, so that a batch can
be compared in any process that sees the lake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow.compute as pc

from polygon_fundamentals.lake.archived_rows import archived_file, read_archived
from polygon_fundamentals.lake.listing import FileState, Shown, by_bucket, stamp_of, write_shown
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.parity.cache import key_of, listing, state_of
from polygon_fundamentals.parity.cached_findings import CachedFindings
from polygon_fundamentals.parity.tolerances import Accepted, Tolerances
from polygon_fundamentals.periods.companies import Cluster, batches, ciks_in, clusters_of
from polygon_fundamentals.reference.tickers import ReferenceTicker
from polygon_fundamentals.statements import Generation, Statement

# Tickers that are compared at a time: with all history some 8,000 periods a statement. Measured:
# 62 tickers since 2010 keep the whole process within 600 MB.
BATCH_TICKERS = 60
# In place of a partition, of the one file that holds an archived v1.
KEPT = 0


@dataclass(frozen=True)
class Question:
    """The limits, the accepted differences, the reference tickers and the day of a comparison."""

    tolerances: Tolerances
    accepted: tuple[Accepted, ...]
    reference: Mapping[str, ReferenceTicker]
    today: date


@dataclass(frozen=True)
class Plan:
    """Which clusters of tickers a statement has, and which of them to compare again.

    `folder` is where its batches leave their tables. `states` and `ciks` are by ticker, `keys` by
    a cluster's first ticker. `current` are the clusters for which the cache is up to date,
    `chosen` those that were asked for, and `stale` those of them to compare.
    """

    statement: Statement
    folder: Path
    cache: CachedFindings
    states: Mapping[str, str]
    ciks: Mapping[str, Sequence[str]]
    keys: Mapping[str, str]
    current: Sequence[Cluster]
    chosen: Sequence[Cluster]
    stale: Sequence[Cluster]

    @property
    def batches(self) -> list[list[str]]:
        """The tickers to compare, some whole clusters at a time.

        Where there is no ticker at all, one batch without any: its tables have no rows.
        """
        if not self.stale and not self.current:
            return [[]]
        return list(batches(self.stale, BATCH_TICKERS))


def plan_comparison(
    lake: Lake,
    statement: Statement,
    question: Question,
    folder: Path,
    tickers: Iterable[str] | None = None,
) -> Plan:
    """Return what to compare in a statement; with `tickers`, only their companies, each whole.

    Writes what the batches need to `folder`, which is the caller's alone. Raises DamagedFileError
    for a file that cannot be read.
    """
    files = lake_files(lake, statement)
    v1 = lake.dataset(Generation.V1, statement)
    states = {
        ticker: state_of(mine, stamp_of(v1.revisions_file(ticker)))
        for ticker, mine in files.items()
    }
    shown = {
        g: by_bucket(s for mine in files.values() for s in mine[g] if s.partition != KEPT)
        for g in Generation
    }
    folder.mkdir(parents=True, exist_ok=True)
    for g in Generation:
        write_shown(folder, lake.dataset(g, statement), shown[g])
    cache = CachedFindings.read(lake, statement, folder / "before")
    ciks = _ciks(lake, statement, states, cache, shown)
    known = dict(ciks)
    for ticker, entry in question.reference.items():
        cik = entry.get("cik")
        # Where the records of a ticker have a CIK, they know better than today's reference.
        if cik and ticker in known and not known[ticker]:
            known[ticker] = [cik.zfill(10)]
    clusters = clusters_of(known)
    keys = {
        c[0]: key_of(
            c, states, known, question.reference, question.accepted, question.tolerances,
            question.today,
        )
        for c in clusters
    }  # fmt: skip
    chosen = clusters
    if tickers is not None:
        wanted = set(tickers)
        chosen = [c for c in clusters if wanted & set(c)]
    stale = [c for c in chosen if cache.keys.get(c[0]) != keys[c[0]]]
    current = [c for c in clusters if cache.keys.get(c[0]) == keys[c[0]]]
    return Plan(statement, folder, cache, states, ciks, keys, current, chosen, stale)


def lake_files(lake: Lake, statement: Statement) -> dict[str, dict[Generation, list[FileState]]]:
    """Return each ticker's files; where v1 is archived, also the one that holds its records."""
    v1, v2 = (lake.dataset(g, statement) for g in Generation)
    # Before the folders: `restore` fills them before it removes the archived records.
    archived = _archived_files(v1)
    files = listing([v1, v2])
    for state in archived:
        files.setdefault(state.ticker, {g: [] for g in Generation})[Generation.V1].append(state)
    return files


def _archived_files(v1: Dataset) -> list[FileState]:
    tickers = archived_tickers(v1)
    try:
        stat = archived_file(v1).stat()
    except FileNotFoundError:
        return []
    return [FileState(KEPT, ticker, stat.st_mtime_ns, stat.st_size) for ticker in tickers]


def archived_tickers(dataset: Dataset) -> set[str]:
    """Return the tickers whose records went to the archive."""
    archived = read_archived(dataset, columns=["ticker"])
    return set() if archived is None else set(pc.unique(archived["ticker"]).to_pylist())


def _ciks(
    lake: Lake,
    statement: Statement,
    states: Mapping[str, str],
    cache: CachedFindings,
    shown: Mapping[Generation, Shown],
) -> dict[str, list[str]]:
    """The CIKs in each ticker's records, in ten digits; read only where its files changed."""
    cached = {
        t: cache.tickers[t][1] for t, s in states.items() if cache.tickers.get(t, ("",))[0] == s
    }
    changed = [ticker for ticker in states if ticker not in cached]
    by_generation = [ciks_in(lake.dataset(g, statement), changed, shown[g]) for g in Generation]
    return cached | {
        t: sorted(set().union(*(mine.get(t, ()) for mine in by_generation))) for t in changed
    }
