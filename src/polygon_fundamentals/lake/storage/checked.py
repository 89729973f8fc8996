"""JSON objects with a checksum of themselves as their last member, `own`."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson
import pyarrow as pa

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
