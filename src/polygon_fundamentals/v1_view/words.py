"""The words that nearly every record of v1 shares, for the compression of shelves."""

from __future__ import annotations

from functools import cache

from polygon_fundamentals.field_map import v1_fields
from polygon_fundamentals.statements import Statement
from polygon_fundamentals.v1_view.shelf_file import Codec


@cache
def codec() -> Codec:
    """Return the one compression of shelves."""
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
    return Codec(("".join(lines) + head).encode())
