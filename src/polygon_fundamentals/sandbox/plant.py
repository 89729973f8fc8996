"""What is planted: errors and restatements on request, and the list of what is odd."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .fields import V1_LINES, V2_LINES, V2_STATEMENTS
from .rows import Row

if TYPE_CHECKING:
    from .world import World

_SECTIONS = {
    "balance_sheets": "balance_sheet",
    "cash_flow": "cash_flow_statement",
    "income_statements": "income_statement",
}
_VALUE_KINDS = frozenset(
    {"wrong_value", "within_tolerance", "missing_field", "flipped_sign", "scale", "restated"}
)
_ROW_KINDS = frozenset({"missing_ticker", "missing_period", "relabel", "withdraw"})
KINDS = _VALUE_KINDS | _ROW_KINDS


@dataclass(frozen=True)
class Planted:
    """One oddity or planted difference.

    `statement`, `period_end` and `field` are None where it concerns all of them. `field` is
    in the words of `generation`; the values are what v1 and v2 say, None where absent.
    """

    kind: str
    generation: str
    cik: str
    tickers: tuple[str, ...]
    statement: str | None = None
    period_end: str | None = None
    field: str | None = None
    v1_value: float | None = None
    v2_value: float | None = None
    note: str = ""
    timeframe: str | None = None


class Plantings:
    """What is planted in a world, and how it changes the rows."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._by_company: dict[int, list[Planted]] = {}
        self._values: dict[Planted, Any] = {}

    def all(self) -> list[Planted]:
        """Return the standing oddities, then what was planted on request."""
        found: list[Planted] = []
        for group in self._by_company.values():
            found += group
        return found

    def add(
        self,
        kind: str,
        *,
        generation: str = "v2",
        ticker: str | None = None,
        cik: str | None = None,
        statement: str | None = None,
        period_end: str | None = None,
        timeframe: str = "quarterly",
        field: str | None = None,
        value: float | None = None,
        note: str = "",
    ) -> Planted:
        """Plant something from now on and return what it is."""
        raise NotImplementedError

    def select(self, rows: list[Row], generation: str) -> list[Row]:
        """Return the rows that are still served, with planted labels."""
        return rows

    def revise_v1(self, row: Row, data: bytes) -> bytes:
        """Return a v1 record with what was planted in it."""
        return data

    def revise_v2(self, row: Row, data: bytes) -> bytes:
        """Return a v2 row with what was planted in it."""
        return data
