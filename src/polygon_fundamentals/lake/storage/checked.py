"""JSON with a checksum of itself before it, for derived files that nothing else proves wrong."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import orjson


def dumps(content: Any) -> bytes:
    """Return the content as JSON, its checksum on the line before."""
    data = orjson.dumps(content)
    return _digest(data) + b"\n" + data


def json_of(data: bytes) -> bytes:
    """Return the JSON in what `dumps` made.

    Raises:
        ValueError: it is not what was written.
    """
    digest, _, content = data.partition(b"\n")
    if digest != _digest(content):
        raise ValueError("it is not what its checksum says")
    return content


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).hexdigest().encode()
