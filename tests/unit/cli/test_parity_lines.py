"""What `parity` prints of values that v2 lacks."""

from __future__ import annotations

from typing import Any

from flows.commands.report_lines import parity_lines

VALUE = {
    "ticker": "A", "statement": "cash_flow", "timeframe": "annual", "period_end": "2024-12-31",
    "v2_field": "dividends", "v1_value": 2.0,
}  # fmt: skip


def report(**differences: int) -> dict[str, Any]:
    return {
        "passed": True, "compared": 9, "matched": 9, "tickers_compared": 1, "tickers_total": 1,
        "tickers_not_compared": {},
        "reach": "", "notes": [], "counted_apart": differences, "differences": differences,
        "rules_broken": [], "rules": 1, "missing_periods": [], "missing_tickers": [],
        "missing_values": [VALUE] * sum(differences.values()), "data_docs": "d/index.html",
        "report_csv": "v.csv",
    }  # fmt: skip


def test_only_values_that_are_lost_are_listed() -> None:
    lines = list(parity_lines(report(null_in_v2=46, absent_zero=2, not_comparable=9)))
    assert "nothing to compare: 46 null_in_v2, 2 absent_zero" in lines
    assert [line for line in lines if line.startswith("  ")] == []
    lines = list(parity_lines(report(lost_in_v2=1, null_in_v2=46)))
    assert "lost in v2: 1" in lines
    [value] = [line for line in lines if line.startswith("  ")]
    assert value == "  lost in v2: A cash_flow annual 2024-12-31 dividends (v1 has 2)"
