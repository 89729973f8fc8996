"""What of the findings a person is to look at, and that it comes first."""

from __future__ import annotations

import pandas as pd

from expectations.attention import (
    ALLOWED,
    TO_DECIDE,
    TO_READ,
    attention_of,
    findings_of,
    worst_first,
)
from expectations.outcome import EVERYWHERE, Outcome, RuleResult
from expectations.plugin.values import ExpectFindingToStayWithinItsBudget
from expectations.value_rules import allowed

RULE = ExpectFindingToStayWithinItsBudget.__name__
CASES = pd.DataFrame(
    [
        ("derived_quarter", "income_statements", "revenue", "", 1e12),
        ("null_in_v1", "cash_flow", "dividends", "", None),
        ("derived_quarter", "income_statements", "revenue", "neither filed; not proven", 5.0),
        ("restated", "cash_flow", "dividends", "", 3.0),
        ("restated_proven", "balance_sheets", "total_assets", "", 2.0),
        ("restated", "cash_flow", "net_income", "", 1.0),
    ],
    columns=["finding", "statement", "v2_field", "detail", "difference"],
).assign(v1_value=1.0)


def budget(
    finding: str, at_most: int | None, broken: int, where: str = EVERYWHERE, field: str = ""
) -> RuleResult:
    detail = " · ".join(filter(None, (finding, field)))
    reason = allowed(finding, "unlimited" if at_most is None else at_most, "Because.")
    passed = at_most is None or broken <= at_most
    return RuleResult(
        RULE, "", detail, where, "values", passed, broken, 9, [], "", reason, at_most
    )  # fmt: skip


OUTCOME = Outcome(
    True,
    (
        # A budget of one field counts after that of all, in whatever order they stand.
        budget("restated", None, 1, "cash_flow", "dividends"),
        budget("restated", 4, 1),
        budget("derived_quarter", None, 2),
        budget("restated_proven", None, 1),
        budget("null_in_v1", None, 1),
        budget("sign", 0, 0),
    ),
    {},
)


def test_what_has_a_budget_or_was_decided_on_is_for_a_person() -> None:
    expected = [ALLOWED, ALLOWED, ALLOWED, ALLOWED, TO_READ, TO_DECIDE]
    assert attention_of(CASES, OUTCOME).tolist() == expected


def test_it_comes_before_larger_differences_that_are_allowed() -> None:
    ordered = worst_first(CASES, OUTCOME)
    assert ordered.index.tolist() == [5, 4, 2, 0, 3, 1]
    listed = findings_of(OUTCOME, CASES)
    assert [(one["kind"], one["where"]) for one in listed] == [
        ("restated", ""),
        ("restated_proven", ""),
        ("derived_quarter", ""),
        ("null_in_v1", ""),
        ("restated", "cash_flow dividends"),
    ]
    reasons = [str(one["reason"]) for one in listed]
    assert reasons[2] == "Because. 1 of them is not proven."
    assert reasons.count("Because.") == 4


def test_of_no_case_there_is_an_order_too() -> None:
    assert worst_first(CASES.iloc[:0], OUTCOME).empty
