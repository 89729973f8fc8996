"""Counts that add up: what was asked of the API, and what an upsert did with the answers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self


class Summable:
    """A frozen dataclass that is added to another of its kind field by field.

    Numbers add up, tuples and sets join; of all else the last value that says anything stands.
    """

    def __add__(self, other: Self) -> Self:
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return type(self)(**{n: _joined(getattr(self, n), getattr(other, n)) for n in names})


def _joined(first: Any, second: Any) -> Any:
    if isinstance(first, frozenset):
        return first | second
    if isinstance(first, int | float | tuple):
        return first + second
    return second or first


@dataclass(frozen=True)
class RequestCounts(Summable):
    """What a client asked of the API; `sunset` is the day that an answer announced."""

    requests: int = 0
    retries: int = 0
    brownouts: int = 0
    sunset: str | None = None
    body_bytes: int = 0


@dataclass(frozen=True)
class UpsertCounts(Summable):
    """What a commit did; rows are counted once per ticker file they stand in.

    `rows_withheld` would have been withdrawn, had the answer not lacked too much of a ticker.
    """

    rows_received: int = 0
    rows_new: int = 0
    rows_changed: int = 0
    rows_unchanged: int = 0
    rows_withdrawn: int = 0
    rows_withheld: int = 0
    bytes_written: int = 0
    files_written: int = 0
