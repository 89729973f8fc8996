"""Numbers and JSON text without loss.

float64 keeps every number of up to 15 significant digits; a longer one is looked at, and
kept as text beside the nearest float where it would change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import orjson

# Every byte that can stand inside a number becomes a 0, every other a space: a run of 16
# is then found at the speed of a byte search.
_NUMBER_BYTES = bytes(48 if chr(byte) in "0123456789." else 32 for byte in range(256))
_LONG = b"0" * 16


class ExactNumber(str):
    """The text of a JSON number that float64 would change."""

    __slots__ = ()


def _decimal(text: str) -> float | ExactNumber:
    number = float(text)
    return number if Decimal(text) == Decimal(repr(number)) else ExactNumber(text)


def _integer(text: str) -> int | ExactNumber:
    number = int(text)
    try:
        same = int(float(number)) == number
    except OverflowError:
        same = False
    return number if same else ExactNumber(text)


class _Results(msgspec.Struct):
    results: list[msgspec.Raw] | None = None


# Made with the module and not at the first use, see http/answers.py.
_DECODER = msgspec.json.Decoder(_Results)


def parse_rows(body: bytes) -> list[dict[str, Any]]:
    """Return the `results` of an answer; numbers that float64 would change as ExactNumber."""
    return [row for rows in parse_pieces(body) for row in rows]


def parse_pieces(body: bytes, most: int = 2_000) -> Iterator[list[dict[str, Any]]]:
    """Yield what `parse_rows` returns, so many rows at a time.

    As Python objects a page's rows take several times its size in memory.
    """
    raw = _DECODER.decode(body).results or []
    for first in range(0, len(raw), most):
        text = b"[" + b",".join(raw[first : first + most]) + b"]"
        if _LONG in text.translate(_NUMBER_BYTES):
            yield json.loads(text, parse_float=_decimal, parse_int=_integer)
        else:
            yield orjson.loads(text)


def to_json(value: Any) -> str:
    """Return JSON text with sorted keys; an ExactNumber is written as it came."""
    if isinstance(value, ExactNumber):
        return str(value)
    if isinstance(value, dict):
        inner = (f"{json.dumps(str(k))}:{to_json(value[k])}" for k in sorted(value, key=str))
        return "{" + ",".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ",".join(to_json(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
