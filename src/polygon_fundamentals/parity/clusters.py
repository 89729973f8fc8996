"""Which tickers belong together, and whether anything about them changed.

A cluster is a set of tickers that share companies: share classes, a company before and after a
renaming, two companies under one ticker. All evidence of a comparison lies within one, so a
cluster whose files did not change is not compared again.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache as remembered
from pathlib import Path

import orjson
import pyarrow as pa

from polygon_fundamentals.lake import cache
from polygon_fundamentals.lake.kept import read_kept
from polygon_fundamentals.lake.listing import FileState, states
from polygon_fundamentals.lake.paths import Dataset, bucket_of
from polygon_fundamentals.lake.read import Shown, bring_up_cache, read_dataset
from polygon_fundamentals.parity.tolerances import Accepted, Tolerances
from polygon_fundamentals.reference import ReferenceTicker
from polygon_fundamentals.statements import Generation

Cluster = tuple[str, ...]


def listing(datasets: Iterable[Dataset]) -> dict[str, dict[Generation, list[FileState]]]:
    """Each ticker's files in the generations, from folder listings alone."""
    found: dict[str, dict[Generation, list[FileState]]] = {}
    for dataset in datasets:
        for state in states(dataset):
            mine = found.setdefault(state.ticker, {g: [] for g in Generation})
            mine[dataset.generation].append(state)
    return found


def state_of(files: Mapping[Generation, Sequence[FileState]]) -> str:
    """A digest of the state of a ticker's files."""
    lines = [
        f"{generation} {state.key} {state.changed_ns} {state.size}"
        for generation in Generation
        for state in sorted(files[generation], key=lambda s: s.key)
    ]
    return _digest("\n".join(lines).encode())


def clusters_of(ciks: Mapping[str, Sequence[str]]) -> list[Cluster]:
    """The clusters of tickers, given each one's CIKs; sorted within, and by lock bucket."""
    root = {ticker: ticker for ticker in ciks}

    def find(ticker: str) -> str:
        while root[ticker] != ticker:
            root[ticker] = root[root[ticker]]
            ticker = root[ticker]
        return ticker

    holder: dict[str, str] = {}
    for ticker in sorted(ciks):
        for cik in ciks[ticker]:
            root[find(ticker)] = find(holder.setdefault(cik, ticker))
    members: dict[str, list[str]] = defaultdict(list)
    for ticker in sorted(ciks):
        members[find(ticker)].append(ticker)
    # Neighbours in a bucket share a file of the reading cache.
    return sorted((tuple(m) for m in members.values()), key=lambda m: (bucket_of(m[0]), m))


def batches(clusters: Sequence[Cluster], size: int) -> Iterator[list[str]]:
    """Yield the tickers of some clusters at a time, each cluster whole, about `size` of them."""
    batch: list[str] = []
    for cluster in clusters:
        if batch and len(batch) + len(cluster) > size:
            yield batch
            batch = []
        batch += cluster
    if batch:
        yield batch


def ciks_in(dataset: Dataset, tickers: Collection[str], shown: Shown) -> dict[str, set[str]]:
    """The CIKs, in ten digits, in the records of those of some tickers that have any.

    Of others too that share a bucket with them; one bucket is in memory at a time. Raises
    DamagedFileError as `read_dataset`.
    """
    archived = read_kept(dataset, tickers, ["ticker", "cik"])
    found = {} if archived is None else ciks_of(archived)
    buckets: dict[int, list[str]] = defaultdict(list)
    for ticker in tickers:
        if bucket_of(ticker) in shown:
            buckets[bucket_of(ticker)].append(ticker)
    bring_up_cache(dataset, tickers, shown)
    for bucket, some in buckets.items():
        rows = cache.ciks(dataset, bucket, shown[bucket])
        told = ciks_of(read_dataset(dataset, some, shown) if rows is None else rows)
        for ticker, ciks in told.items():
            found.setdefault(ticker, set()).update(ciks)
    return found


def ciks_of(rows: pa.Table) -> dict[str, set[str]]:
    """The CIKs, in ten digits, by ticker, in rows with `ticker` and `cik`."""
    pairs = rows.select(["ticker", "cik"]).group_by(["ticker", "cik"]).aggregate([])
    found: dict[str, set[str]] = defaultdict(set)
    for ticker, cik in zip(pairs["ticker"].to_pylist(), pairs["cik"].to_pylist(), strict=True):
        if cik and cik.strip():
            found[ticker].add(cik.strip().zfill(10))
    return found


def key_of(
    cluster: Cluster,
    states: Mapping[str, str],
    ciks: Mapping[str, Sequence[str]],
    reference: Mapping[str, ReferenceTicker],
    accepted: Sequence[Accepted],
    tolerances: Tolerances,
    today: date,
) -> str:
    """A digest of all that the comparison of a cluster depends on."""
    companies = {cik for ticker in cluster for cik in ciks[ticker]}
    holding = [
        a.model_dump(mode="json") for a in accepted if a.cik in companies and a.until >= today
    ]
    limits = tolerances.model_dump(mode="json", exclude={"budgets", "rules"})
    facts = {
        "code": code_digest(),
        "states": [(ticker, states[ticker]) for ticker in cluster],
        "reference": [(t, reference[t]) for t in cluster if t in reference],
        "accepted": holding,
        "limits": limits,
    }
    return _digest(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS))


@remembered
def code_digest() -> str:
    """A digest of the code that reads and compares: what other code found is worth nothing."""
    library = Path(__file__).parents[1]
    rooms = ("parity", "field_map", "normalise", "lake")
    files = sorted(path for room in rooms for path in library.glob(f"{room}/*.py"))
    return _digest(b"\x00".join(path.read_bytes() for path in files))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
