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
