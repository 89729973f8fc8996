"""The fixed Arrow schemas of the bronze lake, one per generation and statement.

Beside the typed columns each has `absent_fields` (the known keys that the answer did
not carry), `unmapped` (JSON text: keys that the map does not know and numbers that
float64 would change) and `observed_at` (when this content was first seen, UTC).
"""

from __future__ import annotations

from functools import cache

import pyarrow as pa

from polygon_fundamentals.field_map import RATIO_FIELDS, v1_fields, v2_fields
from polygon_fundamentals.statements import Generation, Snapshot, Statement

DAY = pa.date32()
TEXT = pa.string()
MOMENT = pa.timestamp("us", tz="UTC")
LEAF = pa.struct([("value", pa.float64()), ("unit", TEXT), ("label", TEXT), ("order", pa.int32())])

V2_RECORD = {
    "cik": TEXT,
    "tickers": pa.list_(TEXT),
    "period_end": DAY,
    "filing_date": DAY,
    "fiscal_year": pa.int32(),
    "fiscal_quarter": pa.int32(),
    "timeframe": TEXT,
}
V1_RECORD = {
    "cik": TEXT,
    "tickers": pa.list_(TEXT),
    "company_name": TEXT,
    "sic": TEXT,
    "start_date": DAY,
    "end_date": DAY,
    "filing_date": DAY,
    "acceptance_datetime": TEXT,
    "fiscal_year": TEXT,
    "fiscal_period": TEXT,
    "timeframe": TEXT,
    "source_filing_url": TEXT,
    "source_filing_file_url": TEXT,
    "id": TEXT,
}
_TAIL = [
    pa.field("absent_fields", pa.list_(TEXT)),
    pa.field("unmapped", TEXT),
    pa.field("observed_at", MOMENT),
]


@cache
def section_type(statement: Statement, section: str) -> pa.StructType:
    """Return the struct of one section of v1's `financials`: a leaf for every known field."""
    return pa.struct([(f.name, LEAF) for f in v1_fields(statement) if f.section == section])


@cache
def schema(generation: Generation, statement: Statement | Snapshot) -> pa.Schema:
    """Return the schema of the files of a dataset; the first column is the file's ticker."""
    ticker = [pa.field("ticker", TEXT)]
    if isinstance(statement, Snapshot):
        numbers = [pa.field(field.name, pa.float64()) for field in RATIO_FIELDS]
        return pa.schema([*ticker, pa.field("cik", TEXT), pa.field("date", DAY), *numbers, *_TAIL])
    if generation is Generation.V2:
        record = [pa.field(name, kind) for name, kind in V2_RECORD.items()]
        numbers = [pa.field(name, pa.float64()) for name in v2_fields(statement)]
        return pa.schema([*ticker, *record, *numbers, *_TAIL])
    record = [pa.field(name, kind) for name, kind in V1_RECORD.items()]
    sections = [(name, section_type(statement, name)) for name in statement.v1_sections]
    return pa.schema([*ticker, *record, pa.field("financials", pa.struct(sections)), *_TAIL])


def mark(generation: Generation, statement: Statement | Snapshot) -> str:
    """Return the mark that our files carry in the Parquet footer."""
    return f"{generation}.{statement}.1"


MARK_KEY = "polygon_fundamentals"
