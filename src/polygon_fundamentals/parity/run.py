"""Comparing a lake: in batches of whole companies, and on the next run only what changed.

What was found is kept in `ops/cache/parity/` by cluster of tickers, with a digest of all that it
depends on. The cache is derived: delete it and it is built anew.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake.archived_rows import archived_file, read_archived
from polygon_fundamentals.lake.listing import FileState
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.read import Shown, by_bucket, read_dataset
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.parity.cache import code_digest, key_of, listing, state_of
from polygon_fundamentals.parity.compare import compare_statement
from polygon_fundamentals.parity.findings import StatementFindings, tables_of, writing
from polygon_fundamentals.parity.records import file_faults, record_rows
from polygon_fundamentals.parity.tolerances import Accepted, Tolerances
from polygon_fundamentals.periods.companies import batches, ciks_in, clusters_of
from polygon_fundamentals.reference.tickers import ReferenceTicker
from polygon_fundamentals.statements import Generation, Statement

# Tickers that are compared at a time: with all history some 8,000 periods a statement. Measured:
# 62 tickers since 2010 keep the whole process within 600 MB.
BATCH_TICKERS = 60
LOCK_SECONDS = 60.0
# In place of a partition, of the one file that holds an archived v1.
KEPT = 0


@dataclass(frozen=True)
class Question:
    """What a comparison is asked: by which limits, with what known of tickers, on which day."""

    tolerances: Tolerances
    accepted: tuple[Accepted, ...]
    reference: Mapping[str, ReferenceTicker]
    today: date


@dataclass(frozen=True)
class Answer:
    """The findings of one statement, and how many of its tickers were compared anew."""

    findings: StatementFindings
    tickers_compared_anew: int
    tickers_from_cache: int


def v1_tickers(lake: Lake) -> list[str]:
    """The tickers that v1 has in any statement, sorted."""
    return sorted({t for s in Statement for t in _tickers(lake.dataset(Generation.V1, s))})


def v2_tickers(lake: Lake) -> set[str]:
    """The tickers that have a file in v2, in any statement."""
    return {t for s in Statement for t in _tickers(lake.dataset(Generation.V2, s))}


def sampled(tickers: Sequence[str], size: int, seed: int) -> list[str]:
    """`size` of the tickers, the same ones for the same seed; all if there are no more."""
    if size >= len(tickers):
        return sorted(tickers)
    return sorted(random.Random(seed).sample(sorted(tickers), size))


def compare_lake(
    lake: Lake,
    statement: Statement,
    question: Question,
    folder: Path,
    tickers: Iterable[str] | None = None,
) -> Answer:
    """What both generations of a statement say; of some tickers: of their whole companies.

    Writes the answer's tables to `folder`, which is the caller's alone, and the cache. Raises
    DamagedFileError for a file that cannot be read.
    """
    files = lake_files(lake, statement)
    states = {ticker: state_of(mine) for ticker, mine in files.items()}
    shown = {
        g: by_bucket(s for mine in files.values() for s in mine[g] if s.partition != KEPT)
        for g in Generation
    }
    cache = _Cache.read(lake, statement, folder / "before")
    ciks = _ciks(lake, statement, states, cache, shown)
    known = dict(ciks)
    for ticker, entry in question.reference.items():
        cik = entry.get("cik")
        # Where the records of a ticker have a CIK, they know better than today's reference.
        if cik and ticker in known and not known[ticker]:
            known[ticker] = [cik.zfill(10)]
    clusters = clusters_of(known)
    keys = {
        c: key_of(
            c, states, known, question.reference, question.accepted, question.tolerances,
            question.today,
        )
        for c in clusters
    }  # fmt: skip
    if tickers is not None:
        wanted = set(tickers)
        chosen = [c for c in clusters if wanted & set(c)]
    else:
        chosen = clusters
    stale = [c for c in chosen if cache.keys.get(c[0]) != keys[c]]
    current = [c for c in clusters if cache.keys.get(c[0]) == keys[c]]

    if cache.findings is not None and not stale and len(current) == len(cache.keys):
        whole = cache.findings
    else:
        whole = StatementFindings(statement, folder / "whole")
        with writing(whole.folder) as writer:
            if cache.findings is not None and current:
                writer.add_tickers(cache.findings, (t for c in current for t in c))
            # Without any ticker there are tables all the same, without rows.
            for batch in batches(stale, BATCH_TICKERS) if stale or current else [[]]:
                for name, table in _compared(
                    lake, statement, question, batch, files, shown
                ).items():
                    writer.add(name, table)
        _Cache(
            whole,
            {c[0]: keys[c] for c in (*current, *stale)},
            {t: (states[t], list(ciks[t])) for t in states},
        ).write(lake)
    members = [t for c in chosen for t in c]
    if len(current) + len(stale) == len(chosen):
        findings = whole.linked(folder)
    else:
        findings = StatementFindings(statement, folder)
        with writing(folder) as writer:
            writer.add_tickers(whole, members)
    anew = sum(map(len, stale))
    return Answer(findings, anew, len(members) - anew)


def _tickers(dataset: Dataset) -> set[str]:
    return _archived_tickers(dataset) | {ticker for _, ticker, _ in dataset.files()}


def _archived_tickers(dataset: Dataset) -> set[str]:
    archived = read_archived(dataset, columns=["ticker"])
    return set() if archived is None else set(pc.unique(archived["ticker"]).to_pylist())


def lake_files(lake: Lake, statement: Statement) -> dict[str, dict[Generation, list[FileState]]]:
    """Each ticker's files; where v1 went to the archive, also the one that holds its records."""
    v1, v2 = (lake.dataset(g, statement) for g in Generation)
    # Before the folders: `restore` fills them before it removes the archived records.
    archived = _archived_files(v1)
    files = listing([v1, v2])
    for state in archived:
        files.setdefault(state.ticker, {g: [] for g in Generation})[Generation.V1].append(state)
    return files


def _archived_files(v1: Dataset) -> list[FileState]:
    tickers = _archived_tickers(v1)
    try:
        stat = archived_file(v1).stat()
    except FileNotFoundError:
        return []
    return [FileState(KEPT, ticker, stat.st_mtime_ns, stat.st_size) for ticker in tickers]


def _compared(
    lake: Lake,
    statement: Statement,
    question: Question,
    tickers: Sequence[str],
    files: Mapping[str, Mapping[Generation, Sequence[FileState]]],
    shown: Mapping[Generation, Shown],
) -> dict[str, pa.Table]:
    """Compare some tickers: the tables of `findings.NAMES`."""
    v1, v2 = (lake.dataset(g, statement) for g in Generation)
    v1_table, v2_table = (read_dataset(d, tickers, shown[d.generation]) for d in (v1, v2))
    reference = {t: question.reference[t] for t in tickers if t in question.reference}
    result = compare_statement(
        v1_table,
        v2_table,
        statement,
        question.tolerances,
        reference,
        question.accepted,
        question.today,
    )
    listed = [state for ticker in tickers for state in files[ticker][Generation.V2]]
    frames = {
        "values": result.values,
        "tallies": result.tallies,
        "tickers": result.tickers,
        "seen": result.seen,
        "missing_periods": result.missing_periods,
        "extra_periods": result.extra_periods,
        "v1_records": record_rows(v1_table, v1, tickers),
        "v2_records": record_rows(v2_table, v2, tickers),
        "v2_files": file_faults(v2, listed),
    }
    return tables_of(frames)


def _ciks(
    lake: Lake,
    statement: Statement,
    states: Mapping[str, str],
    cache: _Cache,
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


@dataclass(frozen=True)
class _Cache:
    """What the last runs found: `keys` by a cluster's first ticker; states and CIKs by ticker."""

    findings: StatementFindings | None
    keys: Mapping[str, str]
    tickers: Mapping[str, tuple[str, list[str]]]

    @classmethod
    def read(cls, lake: Lake, statement: Statement, folder: Path) -> _Cache:
        """The cache as it is now, its tables in a folder where no other run replaces them."""
        home = _folder(lake, statement)
        try:
            with _held(lake, statement):
                known = orjson.loads((home / "known.json").read_bytes())
                if known["code"] != code_digest():
                    return cls(None, {}, {})
                findings = StatementFindings(statement, home).linked(folder)
            findings.prove()
            tickers = {t: (state, ciks) for t, (state, ciks) in known["tickers"].items()}
            return cls(findings, known["keys"], tickers)
        except (DamagedFileError, OSError, orjson.JSONDecodeError, KeyError, ValueError):
            return cls(None, {}, {})

    def write(self, lake: Lake) -> None:
        """Put the tables in place, then what is known of them; killed in between: no cache."""
        assert self.findings is not None  # written only after a comparison
        folder = _folder(lake, self.findings.statement)
        known = {
            "code": code_digest(),
            "keys": dict(self.keys),
            "tickers": dict(self.tickers),
        }
        with _held(lake, self.findings.statement):
            (folder / "known.json").unlink(missing_ok=True)
            self.findings.linked(folder)
            for older in ("a", "b"):  # where the tables stood until November 2026
                shutil.rmtree(folder / older, ignore_errors=True)
            replace_file(folder / "known.json", orjson.dumps(known))


def _held(lake: Lake, statement: Statement) -> AbstractContextManager[None]:
    """Hold the cache of a statement: two runs may compare at the same time."""
    return exclusive(lake.lock(f"parity.{statement.value}"), LOCK_SECONDS, "parity's cache")


def _folder(lake: Lake, statement: Statement) -> Path:
    return lake.ops / "cache" / "parity" / statement.value
