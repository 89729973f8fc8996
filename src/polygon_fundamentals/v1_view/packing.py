"""Records as compressed text, with the words that nearly all of them share."""

from __future__ import annotations

import zlib
from functools import cache

from polygon_fundamentals.field_map import v1_fields
from polygon_fundamentals.statements import Statement


def pack(text: bytes) -> bytes:
    """Return a record's text compressed."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15, zdict=_words())
    return packer.compress(text) + packer.flush()


def unpack(data: bytes) -> bytes:
    """Return a record's text."""
    return zlib.decompressobj(-15, zdict=_words()).decompress(data)


@cache
def _words() -> bytes:
    lines = [
        f'"{field.name}":{{"value":0,"unit":"{field.unit.value}","label":"{field.label}",'
        f'"order":{field.order}}},'
        for statement in Statement
        for field in v1_fields(statement)
    ]
    head = (
        '{"start_date":"2024-01-01","end_date":"2024-03-31","filing_date":"2024-05-02",'
        '"acceptance_datetime":"2024-05-02T20:00:00Z","timeframe":"quarterly",'
        '"fiscal_period":"Q1","fiscal_year":"2024","cik":"0000000000","sic":"","tickers":[""],'
        '"company_name":"","source_filing_url":"https://api.massive.com/v1/reference/sec/filings/",'
        '"source_filing_file_url":"https://api.polygon.io/v1/reference/sec/filings/","financials":'
        '{"balance_sheet":{},"cash_flow_statement":{},"income_statement":{},'
        '"comprehensive_income":{}},"generation":"v1"}'
    )
    return ("".join(lines) + head).encode()[-32_768:]
