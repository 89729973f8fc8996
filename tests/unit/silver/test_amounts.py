"""Parity and silver mean the same by a record of v2 that says nothing of its period."""

from __future__ import annotations

import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.parity.meeting import without_empty_records
from polygon_fundamentals.silver.table import history_table
from polygon_fundamentals.statements import Generation, Statement
from tests.unit.silver.feeding import put, v2_balance

V1, V2, IS = Generation.V1, Generation.V2, Statement.INCOME_STATEMENTS
REVENUE = {"value": 5e6, "unit": "USD", "label": "Revenues", "order": 100}


@pytest.mark.parametrize(
    ("amounts", "generation"),
    [
        ({"ebitda": 7e6}, "v1"),  # v1 has no such line
        ({"revenue": 0.0, "basic_shares_outstanding": 1e6}, "v1"),
        ({"ebitda": 7e6, "revenue": 6e6}, "v2"),
    ],
)
def test_a_record_without_a_compared_amount_takes_no_place(
    lake: Lake, amounts: dict[str, float], generation: str
) -> None:
    row = {
        "cik": "0000000001", "tickers": ["ABC"], "company_name": "ABC", "end_date": "2024-03-31",
        "filing_date": "2024-05-10", "fiscal_year": "2024", "fiscal_period": "Q1",
        "timeframe": "quarterly", "financials": {"income_statement": {"revenues": REVENUE}},
    }  # fmt: skip
    put(lake, V1, row, "2026-10-01T12:00", statement=IS)
    two = v2_balance("2024-05-10", 0.0) | amounts
    del two["total_assets"]
    put(lake, V2, two, "2026-10-01T12:00", statement=IS)

    shown = history_table(lake, V2).to_pylist()
    assert {record["generation"] for record in shown} == {generation}
    v1, v2 = (read_dataset(lake.dataset(g, IS)) for g in Generation)
    assert without_empty_records(v1, v2, IS, {}).num_rows == (generation == "v2")
