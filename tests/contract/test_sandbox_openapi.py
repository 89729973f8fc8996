"""The sandbox's answers satisfy the vendor's OpenAPI description, where it is at hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import requests

from sandbox import Sandbox
from sandbox.fields import RATIO_FIELDS
from tests.vendor_description import DESCRIPTION, described_schema, needs_description

jsonschema = pytest.importorskip("jsonschema", reason="a test dependency")

pytestmark = needs_description

PATHS = [
    "/stocks/financials/v1/balance-sheets",
    "/stocks/financials/v1/cash-flow-statements",
    "/stocks/financials/v1/income-statements",
    "/stocks/filings/vX/index",
    "/vX/reference/financials",
    "/stocks/financials/v1/ratios",
]
HEADERS = {"Authorization": "Bearer sandbox-key"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(start=date(2023, 1, 1)) as running:
        yield running


@pytest.mark.parametrize("path", PATHS)
def test_answers_satisfy_the_description(sandbox: Sandbox, path: str) -> None:
    limit = {PATHS[3]: 10_000, PATHS[4]: 100}.get(path, 50_000)
    answer = requests.get(sandbox.url + path, {"limit": limit}, headers=HEADERS, timeout=30)
    validator = jsonschema.Draft202012Validator(described_schema(path, "200"))
    assert answer.status_code == 200
    assert len(answer.json()["results"]) > 50
    assert [error.message for error in validator.iter_errors(answer.json())] == []


@pytest.mark.parametrize("path", [*PATHS[:3], PATHS[5]])
def test_every_described_column_and_no_other_is_served(sandbox: Sandbox, path: str) -> None:
    described = set(described_schema(path, "200")["properties"]["results"]["items"]["properties"])
    answer = requests.get(sandbox.url + path, {"limit": 50_000}, headers=HEADERS, timeout=30)
    served = {key for row in answer.json()["results"] for key in row}
    assert served == described


@pytest.mark.parametrize("path", [*PATHS[:4], PATHS[5]])
def test_a_refused_query_satisfies_the_description(sandbox: Sandbox, path: str) -> None:
    answer = requests.get(sandbox.url + path, {"limit": 0}, headers=HEADERS, timeout=30)
    assert answer.status_code == 400
    jsonschema.validate(answer.json(), described_schema(path, "400"))


@pytest.mark.parametrize("path", PATHS)
def test_every_described_parameter_is_accepted(sandbox: Sandbox, path: str) -> None:
    described = json.loads(DESCRIPTION.read_text())["paths"][path]["get"]["parameters"]
    most = {"limit": {PATHS[3]: "10000", PATHS[4]: "100"}.get(path, "50000")}
    whole = requests.get(sandbox.url + path, most, headers=HEADERS, timeout=30).json()["results"]
    for parameter in described:
        name = parameter["name"]
        query = {**most, name: _sample(name, whole)}
        answer = requests.get(sandbox.url + path, query, headers=HEADERS, timeout=30)
        assert answer.status_code == 200, (name, answer.text)
        if name not in ("limit", "sort", "order", "include_sources"):
            assert answer.json()["results"] != whole, f"{name} filters nothing"


def _sample(name: str, rows: list[dict[str, Any]]) -> str:
    base = name.split(".")[0]
    if name in ("limit", "sort", "order", "include_sources"):
        samples = {"limit": "10", "order": "asc", "include_sources": "true"}
        return samples.get(name, "ticker" if "price" in rows[0] else "filing_date")
    late = name.endswith((".gt", ".gte"))
    if base in RATIO_FIELDS:
        values = sorted(row[base] for row in rows if base in row)
        # Many have no dividend, so the middle is also the least of them.
        return str(values[-1] if name.endswith(".gte") else values[len(values) // 2])
    return {
        "cik": "0009000050" if late else "0009000003",
        "ticker": "N" if late else "CON",
        "tickers": "NAN",
        "timeframe": "ttm" if late else "annual",
        "fiscal_year": "2025" if late else "2024",
        "fiscal_quarter": "2",
        "form_type": "10-Q" if late else "10-K",
        "company_name": "Sons" if name.endswith("search") else '<b>Sons</b> & "Co" Sandbox',
        "sic": "9999",
        "filing_date": "2025-06-01" if late else "2024-06-03",
        "period_end": "2025-06-01" if late else "2024-06-30",
        "period_of_report_date": "2026-05-01" if late else "2024-06-30",
    }[base]
