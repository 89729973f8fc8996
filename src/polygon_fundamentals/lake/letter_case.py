"""Tickers that differ in letter case alone, on file systems that do not tell them apart.

The vendor has such tickers: `BRpA` is a preferred share, `BRPA` may be a company. Where both have
the same file name, the rows of one would go into the files of the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake.changes import Incoming
from polygon_fundamentals.lake.index import indexed_tickers
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.locks import exclusive


def is_ignored(lake: Lake) -> bool:
    """Return whether `bronze` and `BRONZE` are the same folder here; nothing is written."""
    other = lake.bronze.with_name(lake.bronze.name.upper())
    with suppress(OSError):
        # Not every file system numbers a file the same under both names.
        return os.path.samefile(lake.bronze, other) or other.name not in os.listdir(lake.root)
    return False


@contextmanager
def without_twins(dataset: Dataset, incoming: Incoming) -> Iterator[Incoming]:
    """Yield what can be stored: the rows of tickers whose file names do not collide.

    No other commit of the dataset takes a name meanwhile. Where letter case counts, that is all.

    Raises:
        LakeError: there were such tickers; all others have been stored.
    """
    if not is_ignored(dataset.lake):
        yield incoming
        return
    with exclusive(dataset.lake.lock(f"{dataset.name}.letter-case")):
        owners: dict[str, str] = {}
        present = (*sorted(indexed_tickers(dataset)), *dataset.partitions_by_ticker())
        for ticker in (*present, *sorted(incoming.rows)):
            owners.setdefault(ticker.casefold(), ticker)
        own = {t: at for t, at in incoming.rows.items() if owners[t.casefold()] == t}
        yield replace(incoming, rows=own)
    refused = sorted(incoming.rows.keys() - own.keys())
    if refused:
        ticker, owner = refused[0], owners[refused[0].casefold()]
        more = f" (this affects {len(refused)} tickers)" if len(refused) > 1 else ""
        raise LakeError(
            f"{ticker} cannot be stored beside {owner}{more}: the file system of "
            f"{dataset.lake.root} does not distinguish upper and lower case. Nothing of {ticker} "
            "was written; move the lake to a file system that does, then load it again"
        )
