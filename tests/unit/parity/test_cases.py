"""One value at a time: what is found on it, from literal records."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from expectations.plugin.rules import ExpectPeriodNotToBeDoubled
from polygon_fundamentals.parity.compare import StatementParity, compare_statement
from polygon_fundamentals.parity.kinds import COMPARED_KINDS
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Statement
from tests.unit.parity.tables import v1_table, v2_table, who_is

TOLERANCES = load_tolerances(Path(__file__).parents[3] / "expectations" / "tolerances.yaml")
BS, CF, IS = Statement.BALANCE_SHEETS, Statement.CASH_FLOW, Statement.INCOME_STATEMENTS
V1 = {
    "end_date": "2024-03-31",
    "filing_date": "2024-05-01",
    "acceptance_datetime": "2024-05-01T16:00:00Z",
    "fiscal_year": "2024",
    "fiscal_period": "Q1",
}
V2 = {
    "period_end": "2024-03-31",
    "filing_date": "2024-05-01",
    "fiscal_year": 2024,
    "fiscal_quarter": 1,
}
LATER = {"filing_date": "2025-05-01"}
DERIVED = {"filing_date": None, "acceptance_datetime": None, "fiscal_period": "Q4"}


def compared(
    statement: Statement, v1: list[dict[str, Any]], v2: list[dict[str, Any]]
) -> StatementParity:
    return compare_statement(
        v1_table(statement, [V1 | row for row in v1]),
        v2_table(statement, [V2 | row for row in v2]),
        statement,
        TOLERANCES,
        {},
        today=date(2026, 10, 1),
    )


def found(result: StatementParity) -> dict[str, str]:
    """The kind of each value that is not matched, by v2 field: of one period."""
    return dict(zip(result.values["v2_field"], result.values["kind"], strict=True))


CASH_IN, CASH_OUT = (
    "net_cash_flow_from_operating_activities",
    "net_cash_from_operating_activities",
)
ONE_VALUE = [
    # statement, v1 line, v1 value, v2 field, v2 value, finding (None: matched)
    (CF, CASH_IN, 1e9, CASH_OUT, 1e9, None),
    (CF, CASH_IN, 1.35405e11, CASH_OUT, 135405000000, None),
    (CF, CASH_IN, 1e9, CASH_OUT, 1e9 + 0.5, "rounding"),
    (CF, CASH_IN, 1e9, CASH_OUT, 1e9 + 0.99, "rounding"),
    (CF, CASH_IN, 1e9, CASH_OUT, 1e9 + 1, "unexplained"),
    (CF, CASH_IN, 1e9, CASH_OUT, -1e9, "sign"),
    (CF, CASH_IN, 0.4, CASH_OUT, -0.4, "rounding"),
    (CF, CASH_IN, 123_456_789.0, CASH_OUT, 123_456.789, "scale"),
    (CF, CASH_IN, 123_456_789.0, CASH_OUT, 123_456_789_000.0, "scale"),
    (CF, CASH_IN, 792_943_000.0, CASH_OUT, 793.0, "scale"),
    (CF, CASH_IN, 123_456_789.0, CASH_OUT, 1_234_567.89, "unexplained"),
    (CF, CASH_IN, 792_943_000.0, CASH_OUT, 793e6, "rounded_by_filer"),
    (CF, CASH_IN, -792_943_123.0, CASH_OUT, -792_943_000.0, "rounded_by_filer"),
    (CF, CASH_IN, 792_943_000.0, CASH_OUT, 792e6, "unexplained"),
    (CF, CASH_IN, 792_943_000.0, CASH_OUT, 792_944_000.0, "unexplained"),
    (CF, CASH_IN, 792e6, CASH_OUT, 793e6, "unexplained"),
    (CF, CASH_IN, 2_400_000.0, CASH_OUT, 2e6, "unexplained"),
    (CF, CASH_IN, 400_000.0, CASH_OUT, 0.0, "unexplained"),
    (CF, CASH_IN, 0.0, CASH_OUT, 5e6, "unexplained"),
    (CF, CASH_IN, None, CASH_OUT, 0.0, "absent_zero"),
    (CF, CASH_IN, 0.0, CASH_OUT, None, "absent_zero"),
    (CF, CASH_IN, None, CASH_OUT, 5e6, "null_in_v1"),
    (CF, CASH_IN, 5e6, CASH_OUT, None, "lost_in_v2"),
    (CF, "exchange_gains_losses", 5e6, "effect_of_currency_exchange_rate", None, "null_in_v2"),
    (CF, CASH_IN, 5e6, CASH_OUT, float("inf"), "not_comparable"),
    (IS, "interest_expense_operating", 106e6, "interest_expense", -106e6, None),
    (IS, "interest_expense_operating", 106e6, "interest_expense", 106e6, "sign"),
    (IS, "interest_expense_operating", 0.0, "interest_expense", 0.0, None),
    (IS, "interest_and_debt_expense", 106e6, "interest_expense", -106e6, None),
    (IS, "basic_earnings_per_share", 2.1, "basic_earnings_per_share", 2.1, None),
    (IS, "basic_earnings_per_share", 2.1, "basic_earnings_per_share", 2.105, "rounding"),
    (IS, "basic_earnings_per_share", 2.1, "basic_earnings_per_share", 2.11, "unexplained"),
    (IS, "basic_earnings_per_share", 2.1, "basic_earnings_per_share", -2.1, "sign"),
    (IS, "basic_average_shares", 5e6, "basic_shares_outstanding", 5e6 + 0.5, "rounding"),
    (IS, "basic_average_shares", 5e6, "basic_shares_outstanding", 5e9, "scale"),
    # One figure is no witness for a split.
    (IS, "basic_average_shares", 5e6, "basic_shares_outstanding", 5e7, "unexplained"),
    (IS, "diluted_earnings_per_share", 5.98, "diluted_earnings_per_share", 0.60, "unexplained"),
    (IS, "revenues", 5e6, "revenue", 6e6, "unexplained"),
    (IS, "operating_income_loss", 5e6, "operating_income", 6e6, "unexplained"),
    (BS, "long_term_debt", 5e6, "long_term_debt_and_capital_lease_obligations", 4e6,
     "line_definition"),
    (BS, "temporary_equity", 5e6, "commitments_and_contingencies", 5e6, None),
    (BS, "redeemable_noncontrolling_interest", 277e6, "commitments_and_contingencies", 277e6, None),
]  # fmt: skip


# Another value keeps a record with nothing else in it in the comparison.
OTHER = {
    BS: ("assets", "total_assets"),
    CF: ("net_cash_flow", "change_in_cash_and_equivalents"),
    IS: ("gross_profit", "gross_profit"),
}


@pytest.fixture(scope="module")
def by_company() -> dict[Statement, StatementParity]:
    """All cases compared at once, each the one period of a company of its own."""
    rows: dict[Statement, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
        statement: ([], []) for statement in Statement
    }
    for number, (statement, line, v1, field, v2, _) in enumerate(ONE_VALUE):
        who = who_is(number)
        rows[statement][0].append({OTHER[statement][0]: 7.0} | who | {line: v1})
        rows[statement][1].append({OTHER[statement][1]: 7.0} | who | {field: v2})
    return {statement: compared(statement, *amounts) for statement, amounts in rows.items()}


@pytest.mark.parametrize("number", range(len(ONE_VALUE)))
def test_one_value(by_company: dict[Statement, StatementParity], number: int) -> None:
    statement, _, v1, field, v2, kind = ONE_VALUE[number]
    result, ticker = by_company[statement], f"T{number:03}"
    values = result.values[result.values["ticker"] == ticker]
    assert dict(zip(values["v2_field"], values["kind"], strict=True)) == (
        {} if kind is None else {field: kind}
    )
    counts = result.tallies[result.tallies["ticker"] == ticker]
    both = counts.loc[counts["kind"].isin([k.value for k in COMPARED_KINDS]), "count"].sum()
    has_both = v1 is not None and v2 is not None and kind != "not_comparable"
    assert both == 1 + has_both


FILED = [
    ("2024-05-01", "2024-05-01", "unexplained"),
    ("2024-05-01", "2025-05-01", "restated"),
    ("2024-05-01", "2024-04-30", "unexplained"),
    (None, "2025-05-01", "unexplained"),
    ("2024-05-01", None, "unexplained"),
]


def test_a_later_filing_is_a_hint() -> None:
    v1 = [who_is(n) | {CASH_IN: 1e9, "filing_date": day} for n, (day, _, _) in enumerate(FILED)]
    v2 = [who_is(n) | {CASH_OUT: 2e9, "filing_date": day} for n, (_, day, _) in enumerate(FILED)]
    values = compared(CF, v1, v2).values.sort_values("ticker")
    assert values["v2_field"].tolist() == [CASH_OUT] * len(FILED)
    assert values["kind"].tolist() == [kind for *_, kind in FILED]


@pytest.mark.parametrize("statement", Statement)
def test_a_record_without_a_period_end_is_missing_or_extra_and_meets_none(
    statement: Statement,
) -> None:
    line, field = OTHER[statement]
    ends: list[Any] = ["2024-03-31", None]
    v1 = [{line: 7.0, "end_date": end} for end in ends]
    v2 = [{field: 7.0, "period_end": end} for end in ends]
    result = compared(statement, v1, v2)
    assert result.seen["state"].tolist().count("present") == 1
    assert result.tallies.query("kind == 'matched'")["count"].sum() == 1
    for alone in (result.missing_periods, result.extra_periods):
        assert alone["period_end"].isna().tolist() == [True]


@pytest.mark.parametrize("end", ["2024-04-04", "2024-03-29"])
def test_a_record_that_v2_dates_some_days_otherwise_is_compared(end: str) -> None:
    line, field = OTHER[BS]
    result = compared(BS, [{line: 7.0}], [{field: 8.0, "period_end": end}])
    assert found(result)[field] == "unexplained"
    assert result.seen["state"].tolist() == ["present"]
    assert str(result.values["period_end"].iloc[0].date()) == "2024-03-31"


@pytest.mark.parametrize(
    ("end", "doubled"), [("2024-04-03", 1), ("2024-03-28", 1), ("2024-04-30", 0)]
)
def test_a_second_record_of_v2_some_days_off_is_a_double(end: str, doubled: int) -> None:
    line, field = OTHER[IS]
    v2 = [{field: 7.0}, {field: 9.0, "period_end": end}]
    seen = compared(IS, [{line: 7.0}], v2).seen.assign(statement=IS.value)
    rule = ExpectPeriodNotToBeDoubled(limit=TOLERANCES.rules.doubled_periods.limit, at_most=0)
    extra = rule._judged(seen)
    assert (len(extra), int(rule._broken(extra).sum())) == (1, doubled)


@pytest.mark.parametrize("end", ["2024-04-03", "2024-03-31"])
def test_an_empty_record_some_days_off_is_no_period(end: str) -> None:
    line, field = OTHER[IS]
    empty = {"basic_shares_outstanding": 5.0, "period_end": end, "fiscal_quarter": 2}
    result = compared(IS, [{line: 7.0}], [{field: 7.0}, empty])
    assert result.seen["state"].tolist() == ["present"]
    assert result.values.empty
    assert compared(IS, [], [{field: 7.0}, empty]).seen["state"].tolist() == ["extra"]
    # v2 says nothing of the period but when it ends.
    assert compared(IS, [{line: 7.0}], [empty]).seen["state"].tolist() == ["company_absent"]


INCOME = "income_statement."
RECORDS: dict[str, tuple[Statement, dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "a bank": (
        IS,
        {"revenues": 24766e6},
        {"revenue": 44799e6, "cost_of_revenue": 20537e6, "other_income_expense": 504e6},
        {"revenue": "bank_net_of_interest", "cost_of_revenue": "null_in_v1"},
    ),
    "a bank without other income": (
        IS,
        {"revenues": 57347e6},
        {"revenue": 82460e6, "cost_of_revenue": 25113e6},
        {"revenue": "bank_net_of_interest", "cost_of_revenue": "null_in_v1"},
    ),
    "a wrong value at a bank": (
        IS,
        {"revenues": 57347e6},
        {"revenue": 82461e6, "cost_of_revenue": 25113e6},
        {"revenue": "unexplained", "cost_of_revenue": "null_in_v1"},
    ),
    "a flipped sign at a bank": (
        IS,
        {"revenues": 57347e6},
        {"revenue": -82460e6, "cost_of_revenue": 25113e6},
        {"revenue": "sign", "cost_of_revenue": "null_in_v1"},
    ),
    "gross profit given as revenue of a company with research": (
        IS,
        {"revenues": 600e6, "research_and_development": 5e6},
        {"revenue": 900e6, "cost_of_revenue": 300e6, "research_development": 5e6},
        {"revenue": "unexplained", "cost_of_revenue": "null_in_v1"},
    ),
    "revenue with interest income": (
        IS,
        {"revenues": 106096e6},
        {"revenue": 105455e6, "interest_income": 641e6},
        {"revenue": "line_definition", "interest_income": "null_in_v1"},
    ),
    "expenses with the cost of revenue": (
        IS,
        {"operating_expenses": 71463e6},
        {"total_operating_expenses": 30206e6, "cost_of_revenue": 41257e6},
        {"total_operating_expenses": "line_definition", "cost_of_revenue": "null_in_v1"},
    ),
    "operating income drawn elsewhere": (
        IS,
        {
            "operating_income_loss": 60e6,
            "nonoperating_income_loss": -10e6,
            "income_loss_from_continuing_operations_before_tax": 50e6,
        },
        {
            "operating_income": 55e6,
            "total_other_income_expense": -5e6,
            "income_before_income_taxes": 50e6,
        },
        {"operating_income": "line_definition", "total_other_income_expense": "line_definition"},
    ),
    "wrong operating income": (
        IS,
        {
            "operating_income_loss": 60e6,
            "nonoperating_income_loss": -10e6,
            "income_loss_from_continuing_operations_before_tax": 50e6,
        },
        {
            "operating_income": 55e6,
            "total_other_income_expense": -10e6,
            "income_before_income_taxes": 50e6,
        },
        {"operating_income": "unexplained"},
    ),
    "v1 imputes liabilities": (
        BS,
        {"assets": 221238e6, "liabilities": -65272e6, "equity": 65272e6},
        {"total_assets": 221238e6, "total_liabilities": 155966e6, "total_equity": 65272e6},
        {"total_liabilities": "v1_breaks_identity"},
    ),
    "v2's liabilities are wrong": (
        BS,
        {"assets": 221238e6, "liabilities": 155966e6, "equity": 65272e6},
        {"total_assets": 221238e6, "total_liabilities": 150000e6, "total_equity": 65272e6},
        {"total_liabilities": "unexplained"},
    ),
    "mezzanine equity in an identity": (
        BS,
        {"assets": 162090e6, "liabilities": 97899e6, "equity": 63914e6,
         "redeemable_noncontrolling_interest": 277e6},
        {"total_assets": 162090e6, "total_liabilities": 97899e6, "total_equity": 63914e6,
         "commitments_and_contingencies": 277e6},
        {},
    ),
    "pre-tax income imputed as revenue": (
        IS,
        {
            "revenues": 3105e6,
            "income_loss_from_continuing_operations_before_tax": 3105e6,
            "income_tax_expense_benefit": 66e6,
            "net_income_loss": 950e6,
        },
        {
            "revenue": 3105e6,
            "income_before_income_taxes": 1016e6,
            "income_taxes": 66e6,
            "consolidated_net_income_loss": 950e6,
        },
        {"income_before_income_taxes": "v1_breaks_identity"},
    ),
    "debt with its current part": (
        BS,
        {"long_term_debt": 94800e6},
        {"long_term_debt_and_capital_lease_obligations": 83956e6, "debt_current": 20879e6},
        {"long_term_debt_and_capital_lease_obligations": "line_definition"},
    ),
    "two mezzanine lines": (
        BS,
        {"redeemable_noncontrolling_interest": 5e6, "temporary_equity": 7e6},
        {"commitments_and_contingencies": 12e6},
        {"commitments_and_contingencies": "line_definition"},
    ),
    "the first of two interest lines": (
        IS,
        {"interest_expense_operating": 5e6, "interest_and_debt_expense": 9e6},
        {"interest_expense": -5e6},
        {},
    ),
    "twelve months of shares": (
        IS,
        {"timeframe": "ttm", "fiscal_period": "TTM", "filing_date": None,
         "basic_average_shares": 400e6, "diluted_average_shares": 410e6},
        {"timeframe": "trailing_twelve_months", "basic_shares_outstanding": 100e6,
         "diluted_shares_outstanding": 102.6e6},
        {"basic_shares_outstanding": "line_definition",
         "diluted_shares_outstanding": "unexplained"},
    ),
    "a derived quarter's shares": (
        IS,
        {**DERIVED, "basic_average_shares": 56.832e6, "diluted_earnings_per_share": 0.43},
        {"fiscal_quarter": 4, "basic_shares_outstanding": 15500e6,
         "diluted_earnings_per_share": 0.11},
        {"basic_shares_outstanding": "derived_quarter",
         "diluted_earnings_per_share": "derived_quarter"},
    ),
    "a fourth quarter that was filed": (
        IS,
        {"fiscal_period": "Q4", "diluted_earnings_per_share": 0.43},
        {"fiscal_quarter": 4, "diluted_earnings_per_share": 0.11},
        {"diluted_earnings_per_share": "unexplained"},
    ),
    "a balance is never derived": (
        BS,
        {**DERIVED, "assets": 5e6},
        {"fiscal_quarter": 4, "total_assets": 6e6},
        {"total_assets": "unexplained"},
    ),
    "a sign in a derived quarter": (
        CF,
        {**DERIVED, CASH_IN: 5e6},
        {"fiscal_quarter": 4, CASH_OUT: -5e6},
        {CASH_OUT: "sign"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("statement", Statement)
def test_one_record(statement: Statement) -> None:
    cases = {name: case[1:] for name, case in RECORDS.items() if case[0] is statement}
    v1, v2 = (
        [who_is(number) | case[side] for number, case in enumerate(cases.values())]
        for side in (0, 1)
    )
    values = compared(statement, v1, v2).values
    for number, (name, (_, _, kinds)) in enumerate(cases.items()):
        mine = values[values["ticker"] == who_is(number)["ticker"]]
        assert dict(zip(mine["v2_field"], mine["kind"], strict=True)) == kinds, name


def quarters(values: list[float], line: str, derived_last: bool = True) -> list[dict[str, Any]]:
    ends = ["2023-03-31", "2023-06-30", "2023-09-30", "2023-12-31"]
    rows: list[dict[str, Any]] = [
        {"end_date": end, "fiscal_year": "2023", "fiscal_period": f"Q{n}", line: value}
        for n, (end, value) in enumerate(zip(ends, values[:4], strict=True), start=1)
    ]
    if derived_last:
        rows[3] |= {"filing_date": None, "acceptance_datetime": None}
    year = {"end_date": ends[3], "timeframe": "annual", "fiscal_year": "2023"}
    return [*rows, year | {"fiscal_period": "FY", line: values[4]}]


def as_v2(rows: list[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    return [
        {
            "period_end": r["end_date"],
            "timeframe": r.get("timeframe", "quarterly"),
            "fiscal_year": 2023,
            "fiscal_quarter": 4 if r["fiscal_period"] == "FY" else int(r["fiscal_period"][1]),
            field: next(v for k, v in r.items() if k == CASH_IN),
        }
        for r in rows
    ]


PARTS: list[tuple[list[float], list[float], str]] = [
    # The year was restated: each fourth quarter is what its own year leaves over.
    ([10e6, 20e6, 30e6, 40e6, 100e6], [10e6, 20e6, 30e6, 45e6, 105e6], "derived_quarter"),
    # v2's fourth quarter is not what its year leaves over, v1's is.
    ([10e6, 20e6, 30e6, 40e6, 100e6], [10e6, 20e6, 30e6, 45e6, 100e6], "unexplained"),
    ([10e6, 20e6, 30e6, 45e6, 100e6], [10e6, 20e6, 30e6, 40e6, 100e6], "unexplained"),
    # Neither fits: the nine months were filed apart from the quarters.
    ([10e6, 20e6, 30e6, 45e6, 100e6], [10e6, 20e6, 30e6, 47e6, 100e6], "derived_quarter"),
    # Derived before three quarters were rounded.
    (
        [10_111e3, 20_222e3, 30_333e3, 40_444e3, 101_110e3],
        [10e6, 20e6, 30e6, 40_445e3, 101_110e3],
        "derived_quarter",
    ),
]


def test_a_derived_quarter_and_its_parts() -> None:
    one: list[dict[str, Any]] = []
    two: list[dict[str, Any]] = []
    for number, (v1, v2, _) in enumerate(PARTS):
        one += [who_is(number) | row for row in quarters(v1, CASH_IN)]
        two += [who_is(number) | row for row in as_v2(quarters(v2, CASH_IN), CASH_OUT)]
    values = compared(CF, one, two).values.sort_values("ticker")
    end = values["period_end"].dt.strftime("%Y-%m-%d")
    at_end = values[(end == "2023-12-31") & (values["timeframe"] == "quarterly")]
    assert at_end["kind"].tolist() == [fourth for *_, fourth in PARTS]


def test_off_by_one_unit_is_a_habit_only_if_repeated() -> None:
    usual = (2169e6, 2170e6)
    companies = [[usual], [(1933e6, 1932e6), usual], [(1933e6, 1935e6), usual]]
    ends = ["2025-06-30", "2026-06-30"]
    amounts = [
        (who_is(number), end, a, b)
        for number, pairs in enumerate(companies)
        for end, (a, b) in zip(ends, pairs, strict=False)
    ]
    v1 = [who | {"end_date": end, "revenues": a} for who, end, a, _ in amounts]
    v2 = [who | {"period_end": end, "revenue": b} for who, end, _, b in amounts]
    values = compared(IS, v1, v2).values
    assert values.groupby("ticker")["kind"].agg(list).tolist() == [
        ["unexplained"],
        ["rounded_by_filer"] * 2,
        ["unexplained"] * 2,
    ]


def test_a_rounded_record_rounds_its_totals_too() -> None:
    v1 = {
        "revenues": 792_943_000.0,
        "cost_of_revenue": 300_456_000.0,
        "gross_profit": 492_487_000.0,
        "selling_general_and_administrative_expenses": 90_511_000.0,
        "income_tax_expense_benefit": 400_000.0,
    }
    v2 = {
        "revenue": 793e6,
        "cost_of_revenue": 300e6,
        "gross_profit": 493e6,
        "selling_general_administrative": 91e6,
        "income_taxes": 0.0,
    }
    assert set(found(compared(IS, [v1], [v2])).values()) == {"rounded_by_filer"}
