"""Query parameters: their documented filters, limits, sort orders and cursors, checked."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import attrgetter, ge, gt, le, lt
from typing import Any
from urllib.parse import parse_qsl, urlencode

Params = Mapping[str, str]
Test = Callable[[Any], bool]
NEXT_HOST = "https://api.massive.com"
_RANGES: dict[str, Callable[[Any, Any], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


class BadQueryError(Exception):
    """A parameter that the API refuses with status 400; the text goes into the answer."""


@dataclass(frozen=True)
class Column:
    """A filterable column: the attribute behind it, its kind, and the operators it allows.

    Kinds: text, date, number, member (an array that must contain the value), timeframe.
    """

    name: str
    attribute: str
    kind: str = "text"
    operators: frozenset[str] = frozenset({"", "gt", "gte", "lt", "lte"})
    choices: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Endpoint:
    """What an endpoint documents: its columns, its limits and its default order.

    `ties` are the columns that decide between rows of one rank.
    """

    path: str
    columns: tuple[Column, ...]
    default_limit: int
    max_limit: int
    default_sort: str
    sortable: frozenset[str]
    ties: tuple[str, ...]
    single_sort: bool = False


def parse_date(name: str, value: str) -> str:
    """Return the day as YYYY-MM-DD; anything else is refused."""
    try:
        if len(value) != 10:
            raise ValueError
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise BadQueryError(f"{name}: '{value}' is not a date of the form YYYY-MM-DD") from None


def parse_limit(params: Params, endpoint: Endpoint) -> int:
    """Return the page size, or the default; outside the documented range is refused."""
    text = params.get("limit")
    if text is None:
        return endpoint.default_limit
    try:
        limit = int(text)
    except ValueError:
        raise BadQueryError(f"limit: '{text}' is not an integer") from None
    if not 1 <= limit <= endpoint.max_limit:
        raise BadQueryError(f"limit: must be between 1 and {endpoint.max_limit}, got {limit}")
    return limit


def _typed(column: Column, name: str, value: str, operator: str) -> Any:
    if column.kind == "date":
        return parse_date(name, value)
    if column.kind == "number":
        try:
            return float(value)
        except ValueError:
            raise BadQueryError(f"{name}: '{value}' is not a number") from None
    if column.choices and operator not in _RANGES and value not in column.choices:
        raise BadQueryError(f"{name}: '{value}' is not one of {', '.join(sorted(column.choices))}")
    return value


def _compare(attribute: str, operator: str, value: Any) -> Test:
    """Return a test of an item's attribute; an item without a value passes none."""
    get = attrgetter(attribute)
    if operator in _RANGES:
        holds = _RANGES[operator]
        return lambda item: get(item) is not None and holds(get(item), value)
    if operator == "any_of":
        wanted = frozenset(value)
        return lambda item: get(item) in wanted
    return lambda item: get(item) == value


def _contains(attribute: str, operator: str, values: Sequence[str]) -> Test:
    wanted = frozenset(values)
    if operator == "all_of":
        return lambda item: wanted <= frozenset(getattr(item, attribute))
    return lambda item: not wanted.isdisjoint(getattr(item, attribute))


def build_tests(params: Params, endpoint: Endpoint) -> list[Test]:
    """Return a test for each filter that the query names; unknown parameters are ignored."""
    tests: list[Test] = []
    for column in endpoint.columns:
        for operator in sorted(column.operators):
            name = f"{column.name}.{operator}" if operator else column.name
            text = params.get(name)
            if text is None:
                continue
            many = operator in ("any_of", "all_of")
            parts = [part for part in text.split(",") if part] if many else [text]
            typed = [_typed(column, name, part, operator) for part in parts]
            if column.kind == "member":
                tests.append(_contains(column.attribute, operator, typed))
            else:
                tests.append(_compare(column.attribute, operator, typed if many else typed[0]))
    return tests


def parse_sort(params: Params, endpoint: Endpoint) -> list[tuple[str, bool]]:
    """Return (attribute, descending) in order; an unknown column or direction is refused.

    v2 takes `col.asc,col2.desc` in `sort`; the older endpoints take one column in `sort` and
    the direction in `order`.
    """
    attributes = {column.name: column.attribute for column in endpoint.columns}
    terms = []
    for term in params.get("sort", endpoint.default_sort).split(","):
        name, _, direction = term.strip().partition(".")
        if endpoint.single_sort:
            direction = params.get("order", direction or "asc")
        direction = direction or "asc"
        if name not in endpoint.sortable:
            raise BadQueryError(f"sort: '{name}' is not a column that can be sorted by")
        if direction not in ("asc", "desc"):
            raise BadQueryError(f"sort: '{direction}' is neither asc nor desc")
        terms.append((attributes.get(name, name), direction == "desc"))
    return terms


def apply_sort(items: list[Any], order: Sequence[tuple[str, bool]]) -> list[Any]:
    """Return the items sorted; absent values come first ascending, last descending."""
    for attribute, descending in reversed(order):

        def key(item: Any, attribute: str = attribute) -> tuple[bool, Any]:
            value = getattr(item, attribute)
            return (value is not None, value if value is not None else "")

        items = sorted(items, key=key, reverse=descending)
    return items


def encode_cursor(params: Params, offset: int) -> str:
    """Return an opaque cursor that holds the query and where its next page begins."""
    terms = {k: v for k, v in params.items() if k.lower() not in ("apikey", "cursor")}
    terms["ap"] = str(offset)
    return base64.urlsafe_b64encode(urlencode(terms).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[dict[str, str], int]:
    """Return the query and the offset of a cursor; a damaged one is refused."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        terms = dict(
            parse_qsl(base64.urlsafe_b64decode(padded.encode()).decode(), strict_parsing=True)
        )
        offset = int(terms.pop("ap"))
    except (binascii.Error, ValueError, KeyError):
        raise BadQueryError("cursor: not a cursor of this API") from None
    return terms, offset


def next_url(path: str, params: Params, offset: int, host: str = NEXT_HOST) -> str:
    """Return the address of the next page; it never holds the key."""
    return f"{host}{path}?cursor={encode_cursor(params, offset)}"
