"""Parquet with a checksum for every page, for files whose content is not recorded elsewhere.

Arrow compares the checksums if `page_checksum_verification` is set. Pages of files that earlier
versions wrote have none and are read as they are.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def encoded(table: pa.Table, **options: Any) -> bytes:
    """Return the table as the bytes of a Parquet file; the options are those of `write_table`."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True, **options)
    return bytes(sink.getvalue())


def refuse_other_units(read: pa.Schema, wanted: pa.Schema) -> None:
    """Refuse dates and timestamps in another unit than they were written in.

    The unit is in the footer, which has no checksum; a cast would change the values.

    Raises:
        ValueError: a column of dates or timestamps has another type, or is missing.
    """
    kinds = dict(zip(read.names, read.types, strict=True))
    for field in wanted:
        if pa.types.is_temporal(field.type) and kinds.get(field.name) != field.type:
            raise ValueError(f"{field.name} is {kinds.get(field.name)}, not {field.type}")
