"""v1's records after its files went to the archive: one file a statement in `ops/kept/`.

Delisted companies stand in v1 alone, and silver carries them over whichever generation is
primary, so their records must outlive the files.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
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


def read_kept(dataset: Dataset) -> pa.Table | None:
    """Return the kept rows of a dataset whose own folder is gone, else None.

    Raises:
        DamagedFileError: they cannot be read.
    """
    path = kept_file(dataset)
    if dataset.folder.parent.is_dir() or not path.exists():
        return None
    try:
        return pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise DamagedFileError(
            f"{path} cannot be read ({str(error).splitlines()[0][:120]}); bring v1 back with "
            "`python -m flows restore --execute`"
        ) from error
