"""Typed tables that lose nothing of an answer."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from polygon_fundamentals.datasets.keys import content_hashes, record_keys
from polygon_fundamentals.errors import ApiError
from polygon_fundamentals.normalise import v1_tables, v2_table
from polygon_fundamentals.normalise.exact import parse_rows, to_json
from polygon_fundamentals.statements import Generation, Statement

MOMENT = datetime(2026, 7, 1, tzinfo=UTC)


def one(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = v2_table([row], Statement.BALANCE_SHEETS, MOMENT).to_pylist()[0]
    return found


def test_null_absent_and_zero_are_told_apart() -> None:
    found = one({"cik": "1", "goodwill": None, "inventories": 0.0})
    assert found["goodwill"] is None
    assert "goodwill" not in found["absent_fields"]
    assert found["inventories"] == 0.0
    assert found["receivables"] is None
    assert "receivables" in found["absent_fields"]
    assert found["unmapped"] is None


def test_types() -> None:
    found = one(
        {
            "period_end": "2024-03-31",
            "filing_date": None,
            "fiscal_year": 2024.0,
            "fiscal_quarter": 1,
            "tickers": ["NAN"],
            "total_assets": 1350000000000,
        }
    )
    assert found["period_end"] == date(2024, 3, 31)
    assert (found["fiscal_year"], found["fiscal_quarter"]) == (2024, 1)
    assert found["tickers"] == ["NAN"]
    assert found["total_assets"] == 1.35e12


@pytest.mark.parametrize(
    ("text", "stored", "kept"),
    [
        ("9007199254740993", 9007199254740992.0, "9007199254740993"),
        ("9007199254740992", 9007199254740992.0, None),
        ("0.1", 0.1, None),
        ("1.35405e+11", 135405000000.0, None),
        ("0.12345678901234567890", 0.12345678901234568, "0.12345678901234567890"),
        ("123456789012345678901234567890", 1.2345678901234568e29, "123456789012345678901234567890"),
        ('"n/a"', None, '"n/a"'),
        # Beyond float64's range: too large (orjson refuses the whole text), too small.
        ("1e400", None, "1e400"),
        ("-1E400", None, "-1E400"),
        ("1e99999999999999999999", None, "1e99999999999999999999"),
        ("7" * 5000, None, "7" * 5000),
        ("1e-400", 0.0, "1e-400"),
        ("1.6E-323", 1.5e-323, "1.6E-323"),
        ("1e-99999999999999999999", 0.0, "1e-99999999999999999999"),
        ("1e-300", 1e-300, None),
        # Python takes them for 1 and 0, and so does Arrow.
        ("true", None, "true"),
        ("false", None, "false"),
    ],
)
def test_numbers_that_float64_would_change_are_kept_as_text(
    text: str, stored: float | None, kept: str | None
) -> None:
    body = b'{"results":[{"cik":"1","total_assets":%s}]}' % text.encode()
    found = one(parse_rows(body)[0])
    assert found["total_assets"] == stored
    assert found["unmapped"] == (kept and f'{{"total_assets":{kept}}}')
    # Beside numbers that fit, whichever comes first, and in v1's nested form.
    beside = v2_table([*parse_rows(body), {"total_assets": 2.5}], Statement.BALANCE_SHEETS, MOMENT)
    assert beside["total_assets"].to_pylist() == [stored, 2.5]
    line = b'{"results":[{"financials":{"balance_sheet":{"assets":{"value":%s}}}}]}'
    sheet = v1_tables(parse_rows(line % text.encode()), MOMENT)[Statement.BALANCE_SHEETS]
    [record] = sheet.to_pylist()
    assert record["financials"]["balance_sheet"]["assets"]["value"] == stored
    assert record["unmapped"] == (kept and f'{{"financials.balance_sheet.assets.value":{kept}}}')


def test_what_nobody_knows_is_kept() -> None:
    found = one(
        {
            "cik": "1",
            "new_field": {"b": 1, "a": [None, "x"]},
            "tickers": "AAA",
            "period_end": "soon",
            "fiscal_year": 2024.5,
        }
    )
    assert json.loads(found["unmapped"]) == {
        "new_field": {"a": [None, "x"], "b": 1},
        "tickers": "AAA",
        "period_end": "soon",
        "fiscal_year": 2024.5,
    }
    assert (found["tickers"], found["period_end"], found["fiscal_year"]) == (None, None, None)


def test_v1_keeps_its_nested_form_and_its_own_statement() -> None:
    leaf = {"value": 5, "unit": "USD", "label": "Assets", "order": 100, "formula": "a+b"}
    record = {
        "cik": "1",
        "end_date": "2024-03-31",
        "fiscal_year": "2024",
        "fiscal_period": "TTM",
        "extra": 1,
        "financials": {
            "balance_sheet": {"assets": leaf, "strange_line": {"value": 1}},
            "comprehensive_income": {"comprehensive_income_loss": {**leaf, "value": None}},
            "fifth_statement": {"x": {"value": 2}},
        },
    }
    tables = v1_tables([record], MOMENT)
    assert {s.value: t.num_rows for s, t in tables.items()} == {
        "balance_sheets": 1,
        "cash_flow": 0,
        "income_statements": 1,
    }
    sheet = tables[Statement.BALANCE_SHEETS].to_pylist()[0]
    assert sheet["financials"]["balance_sheet"]["assets"] == {
        "value": 5.0,
        "unit": "USD",
        "label": "Assets",
        "order": 100,
    }
    assert sheet["financials"]["balance_sheet"]["equity"] is None
    assert "equity" in sheet["absent_fields"]
    assert sheet["timeframe"] == "ttm"
    assert json.loads(sheet["unmapped"]) == {
        "extra": 1,
        "financials.balance_sheet.assets.formula": "a+b",
        "financials.balance_sheet.strange_line": {"value": 1},
        "financials.fifth_statement": {"x": {"value": 2}},
    }
    income = tables[Statement.INCOME_STATEMENTS].to_pylist()[0]["financials"]
    assert income["income_statement"] is None
    assert income["comprehensive_income"]["comprehensive_income_loss"]["value"] is None


def test_v1_values_that_do_not_fit_are_kept() -> None:
    record = {
        "cik": "1",
        "financials": {
            "balance_sheet": {
                "assets": {"value": "n/a", "order": 1.5, "label": 7, "unit": "USD"},
                "equity": 12,
                "liabilities": None,
                "inventory": {"value": 2**60 + 1},
            },
            "cash_flow_statement": "none",
        },
    }
    tables = v1_tables([record], MOMENT)
    sheet = tables[Statement.BALANCE_SHEETS].to_pylist()[0]
    assert sheet["financials"]["balance_sheet"]["assets"]["value"] is None
    assert sheet["financials"]["balance_sheet"]["inventory"]["value"] == float(2**60)
    assert json.loads(sheet["unmapped"]) == {
        "financials.balance_sheet.assets.label": 7,
        "financials.balance_sheet.assets.order": 1.5,
        "financials.balance_sheet.assets.value": "n/a",
        "financials.balance_sheet.equity": 12,
        "financials.balance_sheet.inventory.value": 2**60 + 1,
    }
    flow = tables[Statement.CASH_FLOW].to_pylist()[0]
    assert json.loads(flow["unmapped"]) == {"financials.cash_flow_statement": "none"}


@pytest.mark.parametrize(
    ("section", "kept"),
    [
        ([], {"financials.balance_sheet": []}),
        ([["assets", 1]], {"financials.balance_sheet": [["assets", 1]]}),
        ({"assets": []}, {"financials.balance_sheet.assets": []}),
        ({"assets": {"order": 1.5}}, {"financials.balance_sheet.assets.order": 1.5}),
        ({"assets": {"order": True}}, {"financials.balance_sheet.assets.order": True}),
        ({"assets": {"order": 100.0}}, None),
        ({"assets": None}, None),
        (None, None),
    ],
)
def test_what_is_no_line_of_v1_is_not_taken_for_a_null(section: Any, kept: Any) -> None:
    record = {"cik": "1", "financials": {"balance_sheet": section}}
    [sheet] = v1_tables([record], MOMENT)[Statement.BALANCE_SHEETS].to_pylist()
    assert (sheet["unmapped"] and json.loads(sheet["unmapped"])) == kept


@pytest.mark.parametrize(
    ("came", "v1", "v2"),
    [
        ({"cik": 320193}, ("0000320193", None), ("0000320193", None)),
        ({"cik": 320193.0}, ("0000320193", None), ("0000320193", None)),
        ({"cik": 0.5}, (None, '{"cik":0.5}'), (None, '{"cik":0.5}')),
        ({"cik": True}, (None, '{"cik":true}'), (None, '{"cik":true}')),
        ({"cik": -1}, (None, '{"cik":-1}'), (None, '{"cik":-1}')),
        ({"fiscal_year": 2024}, ("2024", None), (2024, None)),
        ({"fiscal_year": "2024"}, ("2024", None), (2024, None)),
        ({"fiscal_year": 2024.0}, ("2024", None), (2024, None)),
        ({"fiscal_year": "FY24"}, ("FY24", None), (None, '{"fiscal_year":"FY24"}')),
        ({"fiscal_year": "02024"}, ("02024", None), (None, '{"fiscal_year":"02024"}')),
        (
            {"fiscal_year": 2024.7},
            (None, '{"fiscal_year":2024.7}'),
            (None, '{"fiscal_year":2024.7}'),
        ),
    ],
)
def test_a_label_in_the_other_type_is_the_same_label(
    came: dict[str, Any], v1: tuple[Any, str | None], v2: tuple[Any, str | None]
) -> None:
    [name] = came
    found = v1_tables([came], MOMENT)[Statement.BALANCE_SHEETS].to_pylist()[0]
    assert (found[name], found["unmapped"]) == v1
    assert (one(came)[name], one(came)["unmapped"]) == v2


@pytest.mark.parametrize("depth", [600, 1_500, 100_000])
def test_an_answer_that_is_nested_too_deep_is_an_error_of_the_api(depth: int) -> None:
    body = b'{"results":[{"x":%s%s}]}' % (b"[" * depth, b"]" * depth)
    with pytest.raises(ApiError, match="nested too deep"):
        one(parse_rows(body)[0])


def test_a_record_without_any_known_section_is_not_lost() -> None:
    tables = v1_tables([{"cik": "1", "financials": {}}, {"cik": "2"}], MOMENT)
    assert {t.num_rows for t in tables.values()} == {2}


def test_keys_and_hashes() -> None:
    row = {
        "cik": "1",
        "timeframe": "quarterly",
        "period_end": "2024-03-31",
        "fiscal_year": 2024,
        "fiscal_quarter": 1,
        "total_assets": 5.0,
    }
    rows = [
        row,
        {**row, "total_assets": 5},
        {**row, "total_assets": -0.0},
        {**row, "total_assets": 0.0},
        {**row, "total_assets": None},
        {**row, "goodwill": None},
    ]
    table = v2_table(rows, Statement.BALANCE_SHEETS, MOMENT)
    assert set(record_keys(table, Generation.V2)) == {"0000000001|quarterly|2024-03-31|2024|1"}
    hashes = content_hashes(table)
    assert hashes[0] == hashes[1]
    assert hashes[2] == hashes[3]
    assert len({hashes[0], hashes[2], hashes[4], hashes[5]}) == 4


def test_json_text_is_canonical() -> None:
    assert to_json({"b": 1, "a": ["ü", True, None]}) == '{"a":["ü",true,null],"b":1}'
