"""The clock: new filings, moved filing dates, splits, restatements, and what is planted."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from sandbox import Sandbox

Key = tuple[Any, ...]


def _v2(sandbox: Sandbox, statement: str = "income_statements") -> dict[Key, dict[str, Any]]:
    return {
        (r["cik"], r["period_end"], r["timeframe"], r["fiscal_year"], r["fiscal_quarter"]): r
        for r in sandbox.rows("v2", statement)
    }


def _sandbox(**options: Any) -> Sandbox:
    return Sandbox(**{"start": date(2023, 1, 1), **options})


def test_nothing_is_filed_after_today() -> None:
    sandbox = _sandbox()
    assert max(r["filing_date"] for r in sandbox.rows("v2", "cash_flow")) <= "2026-07-01"
    assert max(r.get("filing_date") or "" for r in sandbox.rows("v1")) <= "2026-07-01"


def test_a_quarter_of_days_brings_filings_and_moves_dates() -> None:
    sandbox = _sandbox()
    before, v1_before = _v2(sandbox), sandbox.rows("v1")
    assert sandbox.advance(92) == date(2026, 10, 1)
    after, v1_after = _v2(sandbox), sandbox.rows("v1")
    new = after.keys() - before.keys()
    assert len({key[0] for key in new}) > 40
    assert before.keys() <= after.keys()
    moved = [key for key in before if before[key]["filing_date"] != after[key]["filing_date"]]
    assert len(moved) > 60
    for key in moved:
        assert after[key]["filing_date"] > "2026-07-01"
        assert key[1] < "2025-10-01"
    assert len(v1_after) > len(v1_before)
    assert [r for r in v1_after if r in v1_before] == v1_before


def test_one_day_at_a_time_or_all_at_once_is_the_same() -> None:
    slow, fast = _sandbox(companies=30), _sandbox(companies=30)
    for _ in range(45):
        slow.advance(1)
    fast.advance(45)
    late = _sandbox(companies=30, today=date(2026, 8, 15), quirks=False)
    assert slow.rows("v1") == fast.rows("v1")
    assert slow.rows("v2", "balance_sheets") == fast.rows("v2", "balance_sheets")
    plain = _sandbox(companies=30, quirks=False)
    plain.advance(45)
    assert plain.rows("v2", "cash_flow") == late.rows("v2", "cash_flow")


def test_a_run_of_years_goes_on() -> None:
    sandbox = _sandbox(companies=8)
    before = sandbox.rows("v1")
    for _ in range(6):
        sandbox.advance(200)
    after = sandbox.rows("v1")
    assert max(r["end_date"] for r in after) > "2029-03-01"
    assert {str(r) for r in before} <= {str(r) for r in after}


@pytest.mark.slow
def test_a_split_to_come_changes_old_rows_without_a_filing() -> None:
    sandbox = _sandbox()
    before = _v2(sandbox)
    sandbox.advance(9)
    after = _v2(sandbox)
    changed = [
        key
        for key in before
        if before[key]["filing_date"] == after[key]["filing_date"] and before[key] != after[key]
    ]
    assert {key[0] for key in changed} == {"0009000020"}
    for key in changed:
        old, new = before[key], after[key]
        assert new["basic_shares_outstanding"] == pytest.approx(3 * old["basic_shares_outstanding"])
        assert new["revenue"] == old["revenue"]
    assert any("3 new shares" in p.note for p in sandbox.planted if p.kind == "split_adjusted")


def test_restatements_come_with_the_next_years_report() -> None:
    sandbox = _sandbox()
    assert not [p for p in sandbox.planted if p.kind == "restated"]
    before = _v2(sandbox)
    sandbox.advance(60)
    restated = [p for p in sandbox.planted if p.kind == "restated"]
    assert {p.cik for p in restated} == {"0009000044", "0009000045"}
    after = _v2(sandbox)
    for planted in restated:
        key = next(k for k in before if k[:3] == (planted.cik, planted.period_end, "quarterly"))
        assert after[key]["revenue"] == planted.v2_value != planted.v1_value
        assert before[key]["revenue"] == planted.v1_value
        assert after[key]["gross_profit"] == before[key]["gross_profit"]
        assert after[key]["filing_date"] > before[key]["filing_date"]


PLANTED = [
    ("wrong_value", "v2"),
    ("wrong_value", "v1"),
    ("within_tolerance", "v2"),
    ("missing_field", "v2"),
    ("missing_field", "v1"),
    ("flipped_sign", "v2"),
    ("scale", "v2"),
    ("restated", "v2"),
]


@pytest.mark.parametrize(("kind", "generation"), PLANTED)
def test_planted_values(kind: str, generation: str) -> None:
    plain = _sandbox(companies=3, quirks=False)
    sandbox = _sandbox(companies=3, quirks=False)
    field = "total_assets" if generation == "v2" else "assets"
    planted = sandbox.plant(kind, generation=generation, statement="balance_sheets", field=field)
    assert sandbox.planted == [planted]
    statement = "balance_sheets"
    if generation == "v1":
        ours, theirs = sandbox.rows("v1"), plain.rows("v1")
        assert sandbox.rows("v2", statement) == plain.rows("v2", statement)
    else:
        ours, theirs = sandbox.rows("v2", statement), plain.rows("v2", statement)
        assert sandbox.rows("v1") == plain.rows("v1")
    differing = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    assert len(differing) == 1
    mine, true = differing[0]
    if generation == "v1":
        lines = mine["financials"]["balance_sheet"]
        value = lines[field]["value"] if field in lines else None
        old = true["financials"]["balance_sheet"][field]["value"]
        assert (value, old) == (planted.v1_value, planted.v2_value)
    else:
        assert mine["period_end"] == planted.period_end
        assert (mine.get(field), true[field]) == (planted.v2_value, planted.v1_value)
        value, old = mine.get(field), true[field]
    expected = {
        "within_tolerance": old + 0.4,
        "missing_field": None,
        "flipped_sign": -old,
        "scale": old / 1000,
    }
    assert value == expected.get(kind, old + old // 10)
    assert (mine.get("filing_date") == "2026-07-01") == (kind == "restated")


def test_planted_rows() -> None:
    sandbox = _sandbox(companies=5, quirks=False)
    count = len(sandbox.rows("v2", "cash_flow"))
    tickers = sandbox.tickers
    sandbox.plant("missing_ticker", ticker=tickers[0])
    assert not [r for r in sandbox.rows("v2", "cash_flow") if tickers[0] in r["tickers"]]
    left = len(sandbox.rows("v2", "cash_flow"))
    assert left < count
    lost = sandbox.plant("missing_period", ticker=tickers[1], statement="cash_flow")
    assert len(sandbox.rows("v2", "cash_flow")) == left - 1
    ends = {r["period_end"] for r in sandbox.rows("v2", "income_statements")}
    assert lost.period_end in ends
    records = len(sandbox.rows("v1"))
    sandbox.plant("withdraw", generation="v1", ticker=tickers[2], timeframe="annual")
    assert len(sandbox.rows("v1")) == records - 1
    moved = sandbox.plant("relabel", ticker=tickers[3], fiscal_year=2031, fiscal_quarter=3)
    labelled = [r for r in sandbox.rows("v2", "income_statements") if r["fiscal_year"] == 2031]
    assert [(r["period_end"], r["fiscal_quarter"]) for r in labelled] == [(moved.period_end, 3)]
    sandbox.advance(1)
    assert len(sandbox.planted) == 4
    assert [r for r in sandbox.rows("v2", "income_statements") if r["fiscal_year"] == 2031]


@pytest.mark.parametrize(
    ("kind", "where", "message"),
    [
        ("nonsense", {}, "unknown kind"),
        ("wrong_value", {"ticker": "NOPE"}, "no company with the ticker"),
        ("wrong_value", {"cik": "1"}, "no company with CIK"),
        ("wrong_value", {"period_end": "1999-12-31"}, "no quarterly period 1999-12-31"),
        ("wrong_value", {"field": "nope"}, "has no nope"),
    ],
)
def test_planting_what_is_not_there(kind: str, where: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _sandbox(companies=3, quirks=False).plant(kind, **where)
