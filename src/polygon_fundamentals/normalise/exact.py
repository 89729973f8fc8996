"""Numbers and JSON text without loss.

float64 keeps every number of up to 15 significant digits; a longer one is looked at, and
kept as text beside the nearest float where it would change.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import numpy as np
import orjson

from polygon_fundamentals.errors import ApiError

# An object of JSON, as it came.
JsonObject = dict[str, Any]

# Every byte that can stand inside a number becomes a 0, every other a space: a run of 16
# is then found at the speed of a byte search.
_NUMBER_BYTES = bytes(48 if chr(byte) in "0123456789." else 32 for byte in range(256))
_LONG = b"0" * 16
_MOST_DIGITS = 309  # of an integer within float64's range


class ExactNumber(str):
    """The text of a JSON number that float64 would change."""

    __slots__ = ()


def exact_decimal(text: str) -> float | ExactNumber:
    """Return a number as float, or its text where float64 would change it."""
    number = float(text)
    try:
        same = math.isfinite(number) and Decimal(text) == Decimal(repr(number))
    except InvalidOperation:  # an exponent of more digits than Decimal takes
        same = False
    return number if same else ExactNumber(text)


def _exact_integer(text: str) -> int | ExactNumber:
    if len(text) > _MOST_DIGITS + 1:  # Python refuses to convert some thousands of them
        return ExactNumber(text)
    number = int(text)
    try:
        same = int(float(number)) == number
    except OverflowError:
        same = False
    return number if same else ExactNumber(text)


def parse_exact(text: str | bytes) -> Any:
    """Return what a JSON text holds, numbers that float64 would change as ExactNumber.

    Raises:
        ValueError, RecursionError: it is not JSON, or is nested too deep.
    """
    return json.loads(text, parse_float=exact_decimal, parse_int=_exact_integer)


def _has_tiny(text: bytes) -> bool:
    """Whether an exponent of three digits may lead below float64's range.

    A quarter of the time of searching for the two bytes of `e-`.
    """
    octets = np.frombuffer(text, np.uint8)
    minus = np.flatnonzero(octets == ord("-"))
    exponents = minus[(octets[minus - 1] | 32) == ord("e")].tolist()
    return any(text[at + 1 : at + 4].isdigit() for at in exponents)


def parse_text(text: bytes) -> Any:
    """Return what `parse_exact` returns, several times as fast for nearly every text.

    Raises:
        ValueError, RecursionError: it is not JSON, or is nested too deep.
    """
    if _LONG not in text.translate(_NUMBER_BYTES) and not _has_tiny(text):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # it refuses a whole text for one number beyond float64's range
    return parse_exact(text)


class _Results(msgspec.Struct):
    results: list[msgspec.Raw] | None = None


# Made with the module and not at the first use, see http/answers.py.
_DECODER = msgspec.json.Decoder(_Results)


_ROWS_AT_ONCE = 2_000


def parse_rows(body: bytes) -> list[JsonObject]:
    """Return the `results` of an answer; numbers that float64 would change as ExactNumber."""
    return [row for rows in parse_pieces(body) for row in rows]


def parse_pieces(body: bytes) -> Iterator[list[JsonObject]]:
    """Yield what `parse_rows` returns, some rows at a time.

    As Python objects, a page's rows take several times its size in memory.

    Raises:
        ApiError: the rows are nested too deep to be read.
    """
    try:
        raw = _DECODER.decode(body).results or []
        for first in range(0, len(raw), _ROWS_AT_ONCE):
            yield parse_text(b"[" + b",".join(raw[first : first + _ROWS_AT_ONCE]) + b"]")
    except RecursionError as error:
        raise _too_deep() from error


def to_json(value: Any) -> str:
    """Return JSON text with sorted keys; an ExactNumber is written as it came.

    What JSON has no form for (of an older tool's file) is written as its text.

    Raises:
        ApiError: the value is nested too deep.
    """
    try:
        return _text(value)
    except RecursionError as error:
        raise _too_deep() from error


def _too_deep() -> ApiError:
    return ApiError(
        "an answer holds a value that is nested too deep to be kept, which no financial statement "
        "is; report it to the vendor, then run again"
    )


def _text(value: Any) -> str:
    if isinstance(value, ExactNumber):
        return str(value)
    if isinstance(value, dict):
        inner = (f"{json.dumps(str(k))}:{_text(value[k])}" for k in sorted(value, key=str))
        return "{" + ",".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_text(item) for item in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        value = str(value)
    return json.dumps(value, ensure_ascii=False, default=str)
