"""Companies and their tickers: which company a row belongs to, and which tickers belong together.

A cluster is a set of tickers that share companies: share classes, a company before and after a
renaming, two companies under one ticker. All evidence of a comparison lies within one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.datasets.schemas import TEXT
from polygon_fundamentals.lake import cache
from polygon_fundamentals.lake.archived_rows import read_archived
from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.listing import Shown
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.read import bring_up_cache, read_dataset

Cluster = tuple[str, ...]


def clusters_of(ciks: Mapping[str, Sequence[str]]) -> list[Cluster]:
    """Return the clusters of tickers that share CIKs, sorted within, and by lock bucket."""
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
    """Return ticker → the CIKs, in ten digits, in its records; tickers without any are left out.

    Other tickers of the same buckets may be included; one bucket is in memory at a time. Raises
    DamagedFileError as `read_dataset`.
    """
    archived = read_archived(dataset, tickers, ["ticker", "cik"])
    ciks_by_ticker = {} if archived is None else ciks_of(archived)
    buckets: dict[int, list[str]] = defaultdict(list)
    for ticker in tickers:
        if bucket_of(ticker) in shown:
            buckets[bucket_of(ticker)].append(ticker)
    unread: dict[int, list[str]] = {}
    for bucket, some in buckets.items():
        rows = cache.ciks(dataset, bucket, shown[bucket])
        if rows is None:
            unread[bucket] = some
        else:
            _join(ciks_by_ticker, ciks_of(rows))
    if unread:
        bring_up_cache(dataset, [t for some in unread.values() for t in some], shown)
    for bucket, some in unread.items():
        rows = cache.ciks(dataset, bucket, shown[bucket])
        _join(ciks_by_ticker, ciks_of(read_dataset(dataset, some, shown) if rows is None else rows))
    return ciks_by_ticker


def _join(ciks_by_ticker: dict[str, set[str]], more: Mapping[str, set[str]]) -> None:
    for ticker, ciks in more.items():
        ciks_by_ticker.setdefault(ticker, set()).update(ciks)


def ciks_of(rows: pa.Table) -> dict[str, set[str]]:
    """Return ticker → the CIKs, in ten digits, in rows with `ticker` and `cik`."""
    pairs = rows.select(["ticker", "cik"]).group_by(["ticker", "cik"]).aggregate([])
    ciks_by_ticker: dict[str, set[str]] = defaultdict(set)
    for ticker, cik in zip(pairs["ticker"].to_pylist(), pairs["cik"].to_pylist(), strict=True):
        if cik and cik.strip():
            ciks_by_ticker[ticker].add(cik.strip().zfill(10))
    return ciks_by_ticker


def ticker_ciks(tables: Iterable[pa.Table], reference: Mapping[str, str | None]) -> dict[str, str]:
    """Return the CIK of each ticker that has exactly one, for records that came without.

    `tables` have columns `ticker` and `cik`; `reference` (ticker to CIK) speaks for tickers that
    no table knows.
    """
    own_ciks = ciks_of(pa.concat_tables(table.select(["ticker", "cik"]) for table in tables))
    known = {t: cik.zfill(10) for t, cik in reference.items() if cik and t not in own_ciks}
    return known | {t: next(iter(ciks)) for t, ciks in own_ciks.items() if len(ciks) == 1}


def company_keys(table: pa.Table, ciks: Mapping[str, str]) -> npt.NDArray[np.object_]:
    """Return each row's company: its CIK in ten digits, else its ticker's, else `ticker:SYMBOL`."""
    # Of a table without rows, the column may have no type.
    tickers, text = table["ticker"], pc.utf8_trim_whitespace(table["cik"].cast(TEXT))
    keys = pc.if_else(pc.equal(text, ""), None, pc.utf8_lpad(text, 10, "0"))
    if keys.null_count:
        names = pc.unique(tickers)
        known = pa.array([ciks.get(name, f"ticker:{name}") for name in names.to_pylist()], TEXT)
        keys = pc.coalesce(keys, known.take(pc.index_in(tickers, names)))
    return keys.to_numpy()
