"""The vendor's description holds for every answer of `serve-v1`, where it is at hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.v1_view.conftest import Pair
from tests.v1_server import BEARER, PATH
from tests.vendor_description import DESCRIPTION, described_schema, needs_description

jsonschema = pytest.importorskip("jsonschema", reason="a test dependency")
pytestmark = needs_description

TEXT = "aZ0 %&=+/\\.'\"\n\x00é漢😀"
Test = Callable[[dict[str, Any], str], bool]
DATES = {"filing_date": "filing_date", "period_of_report_date": "end_date"}
COMPARED: dict[str, Callable[[str, str], bool]] = {
    "": lambda have, want: have == want,
    ".gte": lambda have, want: have >= want,
    ".gt": lambda have, want: have > want,
    ".lte": lambda have, want: have <= want,
    ".lt": lambda have, want: have < want,
}
TESTS: dict[str, Test] = {
    "ticker": lambda record, want: want in record["tickers"],
    "cik": lambda record, want: record["cik"] == want,
    "company_name": lambda record, want: record["company_name"] == want,
    "company_name.search": lambda record, want: want.lower() in record["company_name"].lower(),
    "sic": lambda record, want: record.get("sic") == want,
    "timeframe": lambda record, want: record["timeframe"] == want,
    **{
        name + suffix: lambda record, want, key=key, compare=compare: (
            bool(record.get(key)) and compare(record[key], want)
        )
        for name, key in DATES.items()
        for suffix, compare in COMPARED.items()
    },
}


def parameters() -> list[dict[str, Any]]:
    described = json.loads(DESCRIPTION.read_text())["paths"][PATH]["get"]["parameters"]
    listed: list[dict[str, Any]] = described
    return listed


def values(parameter: dict[str, Any], records: list[dict[str, Any]]) -> st.SearchStrategy[Any]:
    """Return values of a parameter as its schema allows; of a text also those that records have."""
    schema, name = parameter["schema"], parameter["name"]
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "boolean":
        return st.sampled_from(["true", "false"])
    if schema["type"] == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    if schema.get("format") == "date":
        return st.dates(date(2024, 6, 1), date(2026, 9, 1)).map(date.isoformat)
    key = {"ticker": "tickers", "company_name.search": "company_name"}.get(name, name)
    have = sorted({str(v[0] if isinstance(v, list) else v) for r in records if (v := r.get(key))})
    return st.sampled_from(have) | st.text(st.sampled_from(TEXT), max_size=20)


def queries(records: list[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Queries of at most four of the described parameters."""
    terms = [
        values(p, records).map(lambda value, name=p["name"]: (name, value)) for p in parameters()
    ]
    return st.lists(st.one_of(terms), max_size=4, unique_by=lambda t: t[0]).map(dict)


@pytest.mark.slow
def test_the_description_holds_for_every_answer(pair: Pair) -> None:
    schema = described_schema(PATH, "200")
    validator = jsonschema.Draft202012Validator(schema)
    session = requests.Session()
    session.headers.update(BEARER)
    seen = {"records": 0, "following": 0}

    @given(queries(pair.sandbox.rows("v1")))
    @settings(
        max_examples=200,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    def holds(query: dict[str, Any]) -> None:
        answer = session.get(pair.server.url + PATH, params=query, timeout=60)
        assert answer.status_code == 200, answer.text
        pages = [answer.json()]
        if "next_url" in pages[0]:
            pages.append(session.get(pages[0]["next_url"], timeout=60).json())
            seen["following"] += 1
        for page in pages:
            assert [error.message for error in validator.iter_errors(page)] == []
            assert page["count"] == len(page["results"]) <= int(query.get("limit", 10))
            for record in page["results"]:
                seen["records"] += 1
                for name, want in query.items():
                    assert name not in TESTS or TESTS[name](record, want), (name, want)
        records = [record for page in pages for record in page["results"]]
        key = DATES[query.get("sort", "period_of_report_date")]
        ends = [record.get(key) or "" for record in records]
        # Without `order` the latest comes first, unless `sort` is given.
        order = query.get("order") or ("asc" if "sort" in query else "desc")
        assert ends == sorted(ends, reverse=order == "desc")

    holds()
    assert seen["records"] > 500
    assert seen["following"] > 10


def test_every_described_parameter_is_known(pair: Pair) -> None:
    described = requests.get(f"{pair.server.url}/openapi.json", timeout=60).json()
    ours = {p["name"] for p in described["paths"][PATH]["get"]["parameters"]}
    assert ours - {"cursor"} == {p["name"] for p in parameters()}
