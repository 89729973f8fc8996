"""What stands in the list of planted entries, and what a row says of a field."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .fields import V1_LINES, V2_LINES
from .rows import Row

SECTIONS = {
    "balance_sheets": "balance_sheet",
    "cash_flow": "cash_flow_statement",
    "income_statements": "income_statement",
}
#: The fact that one generation has in place of a fact of the other.
_SAME = {
    "rev_v1": "rev", "opex_v1": "opex", "oop_v1": "oop", "liab_v1": "tl", "ca_v2": "ca",
    "cash_v1": "cash", "rec_trade": "rec", "oca_v1": "oca", "onca_v1": "oa", "ocl_v1": "accrued",
    "ltd_v1": "ltd", "oncl_v1": "oncl", "ie_debt": "ie",
}  # fmt: skip


@dataclass(frozen=True)
class Planted:
    """One oddity or planted difference.

    `statement`, `period_end` and `field` are None where it concerns all of them. `field` is
    in the words of `generation`; the values are what v1 and v2 say, None where absent.
    `timeframe` is in v2's words.
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


def counterpart(statement: str, field: str, generation: str) -> str | None:
    """Return the other generation's name for the same fact of a statement, if it has one."""
    v1 = {line.name: _SAME.get(line.fact, line.fact) for line in V1_LINES[SECTIONS[statement]]}
    v2 = {line.name: _SAME.get(line.fact, line.fact) for line in V2_LINES[statement]}
    here, there = (v2, v1) if generation == "v2" else (v1, v2)
    return next((name for name, fact in there.items() if fact == here.get(field)), None)


def value_of(row: Row, generation: str, statement: str, field: str) -> float | None:
    """Return what a row says of a field, None where it says nothing."""
    record: dict[str, Any] = json.loads(row.data)
    if generation == "v1":
        point = record["financials"][SECTIONS[statement]].get(field)
        value: float | None = None if point is None else point["value"]
    else:
        value = record.get(field)
    whole = isinstance(value, float) and abs(value) >= 1_000_000 and value.is_integer()
    return int(value) if whole and value is not None else value
