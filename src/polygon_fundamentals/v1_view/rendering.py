"""Rows in v1's bronze schema as the JSON text of v1's records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import repeat
from typing import Any

import orjson
import pyarrow as pa

from polygon_fundamentals.datasets.schemas import V1_RECORD
from polygon_fundamentals.normalise.exact import JsonObject, parse_exact, to_json
from polygon_fundamentals.normalise.v1 import with_unmapped
from polygon_fundamentals.statements import Statement
from polygon_fundamentals.v1_view.packing import pack
from polygon_fundamentals.v1_view.shelf_file import Record

# What `include_sources` adds to a line.
SOURCES = frozenset(("xpath", "formula", "derived_from"))
# Greater whole numbers are no longer told apart by float64, and are written as it has them.
_EXACT_BELOW = 2.0**53
_FIRST = (
    "id",
    "start_date",
    "end_date",
    "filing_date",
    "acceptance_datetime",
    "timeframe",
    "fiscal_period",
    "fiscal_year",
    "cik",
    "sic",
    "tickers",
    "company_name",
    "source_filing_url",
    "source_filing_file_url",
)


@dataclass
class Draft:
    """A record being put together from the rows of its statements and tickers."""

    generation: str
    fields: JsonObject
    owners: set[str] = field(default_factory=set)
    # Statement → (when observed, sections as text, what the columns could not hold).
    parts: dict[Statement, tuple[int, dict[str, str], str | None]] = field(default_factory=dict)
    # The rows of the lake that it is made from, where their text is left for later.
    places: list[Any] = field(default_factory=list)

    def record(self) -> Record:
        """Return the record as it is served."""
        if self.places:
            return self._record(None, None, orjson.dumps(self.places))
        fields = self.fields
        head = [f"{orjson.dumps(n).decode()}:{_json(fields[n])}" for n in _FIRST if n in fields]
        sections = {name: text for _, mine, _ in self.parts.values() for name, text in mine.items()}
        inner = ",".join(f'"{name}":{text}' for name, text in sorted(sections.items()))
        tail = f'"financials":{{{inner}}},"generation":"{self.generation}"'
        text, sourced = ",".join([*head, tail]), None
        text = f"{{{text}}}"
        beside: JsonObject = {}
        for _, _, unmapped in self.parts.values():
            if unmapped:
                beside |= parse_exact(unmapped)
        if beside:
            plain = {k: v for k, v in beside.items() if k.rsplit(".", 1)[-1] not in SOURCES}
            if len(plain) < len(beside):
                sourced = _with(text, beside)
            text = _with(text, plain) if plain else text
        return self._record(
            pack(text.encode()), None if sourced is None else pack(sourced.encode())
        )

    def _record(self, body: bytes | None, sourced: bytes | None, rows: bytes = b"") -> Record:
        fields = self.fields
        return Record(
            cik=fields.get("cik") or "",
            company_name=fields.get("company_name") or "",
            sic=fields.get("sic") or "",
            tickers=tuple(fields.get("tickers") or ()),
            owners=tuple(sorted(self.owners)),
            end_date=fields.get("end_date") or "",
            filing_date=fields.get("filing_date") or "",
            timeframe=fields.get("timeframe") or "",
            label=f"{fields.get('fiscal_year') or ''} {fields.get('fiscal_period') or ''}",
            accepted=fields.get("acceptance_datetime") or "",
            generation=self.generation,
            body=body,
            sourced=sourced,
            rows=rows,
        )


def add_rows(
    drafts: dict[Any, Draft],
    table: pa.Table,
    statement: Statement,
    generation: str,
    names_of_drafts: Sequence[Any] | None = None,
) -> None:
    """Add the rows of a statement to the drafts of their records.

    One record may stand under several tickers: the row that was observed last is taken. Of rows
    without `financials`, but with `place`, the drafts note where they are. `names_of_drafts`
    names each row's draft where that is known.
    """
    names = list(V1_RECORD)
    plain = [
        table[name].cast(pa.string())
        if pa.types.is_date(table.schema.field(name).type)
        else table[name]
        for name in names
    ]
    rows = pa.table(plain, names=names).to_pylist()
    # The last two may be without end.
    beside = zip(
        rows,
        table["ticker"].to_pylist(),
        table["absent_fields"].to_pylist(),
        table["unmapped"].to_pylist(),
        table["observed_at"].cast(pa.int64()).to_pylist(),
        _sections(table, statement) if "financials" in table.schema.names else repeat({}),
        table["place"].to_pylist() if "place" in table.schema.names else repeat(None),
        strict=False,
    )
    for i, (row, ticker, absent, unmapped, moment, sections, place) in enumerate(beside):
        key = (
            names_of_drafts[i]
            if names_of_drafts is not None
            else (
                row["cik"] or f"ticker:{ticker}",
                *(row[n] for n in ("timeframe", "end_date", "fiscal_year", "fiscal_period")),
                *(row[n] for n in ("filing_date", "acceptance_datetime")),
            )
        )
        missing = frozenset(names if absent is None else absent)
        fields = {n: v for n, v in row.items() if v is not None or n not in missing}
        draft = drafts.get(key)
        if draft is None:
            draft = drafts[key] = Draft(generation, fields)
        draft.owners.add(ticker)
        if generation == "v2":
            draft.fields["tickers"] = sorted(draft.owners)
        if place is not None:
            draft.places.append([statement.value, ticker, place, moment])
        elif statement not in draft.parts or draft.parts[statement][0] < moment:
            draft.parts[statement] = (moment, sections, unmapped)


def _sections(table: pa.Table, statement: Statement) -> Iterator[dict[str, str]]:
    """Yield for every row its sections as JSON text; absent ones have no key."""
    sections: list[dict[str, str]] = [{} for _ in range(table.num_rows)]
    financials = table["financials"].combine_chunks()
    for section in statement.v1_sections:
        column = financials.field(section)
        there = column.is_valid().to_pylist()
        lines: list[list[str]] = [[] for _ in there]
        for place in range(column.type.num_fields):
            name = column.type.field(place).name
            leaf = column.field(place)
            if leaf.null_count == len(leaf):
                continue
            parts = (leaf.field(n).to_pylist() for n in ("value", "unit", "label", "order"))
            for i, (is_line, *values) in enumerate(
                zip(leaf.is_valid().to_pylist(), *parts, strict=True)
            ):
                if is_line:
                    lines[i].append(_line(name, *values))
        for i, is_section in enumerate(there):
            if is_section:
                sections[i][section] = "{" + ",".join(lines[i]) + "}"
    return iter(sections)


def _line(
    name: str, value: float | None, unit: str | None, label: str | None, order: int | None
) -> str:
    rest = _rest(unit, label, order)
    if value is None or value - value != 0:  # not a number, or infinite
        return f'"{name}":{{{rest}}}'
    whole = value.is_integer() and abs(value) < _EXACT_BELOW
    number = str(int(value)) if whole else repr(value)
    return f'"{name}":{{"value":{number}{"," if rest else ""}{rest}}}'


@lru_cache(4_096)
def _rest(unit: str | None, label: str | None, order: int | None) -> str:
    parts = {"unit": unit, "label": label, "order": order}
    return ",".join(f'"{n}":{_json(v)}' for n, v in parts.items() if v is not None)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _with(text: str, beside: JsonObject) -> str:
    """Return a record with what its columns could not hold."""
    return to_json(with_unmapped(parse_exact(text), beside))
