"""v1's records after its files went to the archive: one file a statement in `ops/kept/`.

Delisted companies stand in v1 alone, and silver carries them over whichever generation is
primary, so their records must outlive the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake.files import replace_file
from polygon_fundamentals.lake.paths import Dataset


def kept_file(dataset: Dataset) -> Path:
    """Return where a dataset's records are kept."""
    return dataset.lake.ops / "kept" / f"{dataset.name}.parquet"


def write_kept(dataset: Dataset, table: pa.Table) -> int:
    """Keep the rows of `lake.read.read_dataset`; return how many."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    replace_file(kept_file(dataset), bytes(sink.getvalue()))
    return int(table.num_rows)


def is_kept(dataset: Dataset) -> bool:
    """Whether the dataset's own folder is gone and its records are kept."""
    return not dataset.folder.parent.is_dir() and kept_file(dataset).exists()


def read_kept(
    dataset: Dataset,
    tickers: Iterable[str] | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table | None:
    """Return the kept rows, all or of some tickers, of a dataset whose own folder is gone.

    None where the dataset has its files. Rows that are not asked for are never in memory together.

    Raises:
        DamagedFileError: they cannot be read.
    """
    if not is_kept(dataset):
        return None
    path = kept_file(dataset)
    wanted = None if tickers is None else pads.field("ticker").isin(sorted(set(tickers)))
    try:
        rows = pads.dataset(path, format="parquet")
        return rows.to_table(columns=None if columns is None else list(columns), filter=wanted)
    except (OSError, pa.ArrowException) as error:
        raise DamagedFileError(
            f"{path} cannot be read ({str(error).splitlines()[0][:120]}); bring v1 back with "
            "`python -m flows restore --execute`"
        ) from error
