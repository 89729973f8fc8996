"""JSON and Parquet with checksums of their own, for files whose content is not recorded elsewhere.

A JSON object has a checksum of itself as its last member, `own`; in Parquet each page has one,
which Arrow compares if `page_checksum_verification` is set. What earlier versions wrote has none
and is read as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

_OWN = b',"own":"'


def bytes_checksum(data: bytes | pa.Buffer) -> str:
    """Return the BLAKE2b of some bytes, 128 bits in hexadecimal."""
    return blake2b(data, digest_size=16).hexdigest()


def dumps(content: Mapping[str, Any]) -> bytes:
    """Return a mapping with at least one member as JSON that `is_intact` can check."""
    data = orjson.dumps(content)
    return data[:-1] + _OWN + bytes_checksum(data).encode() + b'"}'


def is_intact(data: bytes) -> bool | None:
    """Return whether JSON is what `dumps` made, or None if it has no checksum."""
    body, own, checksum = data.rpartition(_OWN)
    if not own:
        return None
    return checksum == bytes_checksum(body + b"}").encode() + b'"}'


def encoded(table: pa.Table, **options: Any) -> bytes:
    """Return the table as Parquet whose pages have checksums; `options` are `write_table`'s."""
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
