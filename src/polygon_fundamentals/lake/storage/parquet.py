"""Parquet whose every page has a checksum, for files of which nothing else records the content.

Arrow compares the checksums where it is asked to (`page_checksum_verification`). Pages of files
that earlier versions wrote have none and are read as they are.
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


def refuse_other_times(read: pa.Schema, wanted: pa.Schema) -> None:
    """Refuse moments in another unit than was written: a footer, which says it, has no checksum.

    Raises:
        ValueError: there is one, of which a cast would make another moment, or none of the name.
    """
    kinds = dict(zip(read.names, read.types, strict=True))
    for field in wanted:
        if pa.types.is_temporal(field.type) and kinds.get(field.name) != field.type:
            raise ValueError(f"{field.name} is {kinds.get(field.name)}, not {field.type}")
