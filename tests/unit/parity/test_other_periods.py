"""Errors that one period's figures would explain, and that something else in the records refutes.

That is the company's other periods, or the direction in which the definitions differ. What v2 is
known to do in fact keeps its explanation.
"""

from __future__ import annotations

from polygon_fundamentals.statements import Statement
from tests.unit.parity.quarters import DEFINED, WRONG, Lines, M, Told, kinds, kinds_of_each

BS, IS = Statement.BALANCE_SHEETS, Statement.INCOME_STATEMENTS
DEBT = "long_term_debt_and_capital_lease_obligations"


def balances(quarters: int = 12) -> tuple[list[Lines], list[Lines]]:
    """The balance sheets of a company that grows, the same in both generations."""
    v1, v2 = [], []
    for quarter in range(quarters):
        m = M * (100 + quarter)
        v1.append(
            {
                "assets": 10 * m, "current_assets": 4 * m, "cash": 1.5 * m,
                "accounts_receivable": 0.9 * m, "inventory": 0.6 * m, "other_current_assets": m,
                "liabilities": 5 * m, "long_term_debt": 2.5 * m, "equity": 5 * m,
            }
        )  # fmt: skip
        v2.append(
            {
                "total_assets": 10 * m, "total_current_assets": 4 * m,
                "cash_and_equivalents": 1.5 * m, "short_term_investments": 0.0,
                "receivables": 0.9 * m, "inventories": 0.6 * m, "other_current_assets": m,
                "total_liabilities": 5 * m, "debt_current": 0.0, DEBT: 2.5 * m,
                "total_equity": 5 * m,
            }
        )  # fmt: skip
    return v1, v2


DIRECTIONS: list[tuple[Lines, str]] = [
    # A zero is how v2 says that it has no line.
    ({"cash_and_equivalents": 0.0, "receivables": 0.0, DEBT: 0.0}, WRONG),
    ({"cash_and_equivalents": -7 * M, DEBT: -7 * M}, WRONG),
    # v2's cash is part of v1's, and v1's receivables part of v2's.
    ({"cash_and_equivalents": 170 * M, "receivables": 40 * M}, WRONG),
    ({"cash_and_equivalents": 70 * M, "receivables": 140 * M}, DEFINED),
    # A line is never more than the total that it is a part of.
    ({"receivables": 3e12, DEBT: 3e12}, WRONG),
    ({"total_current_assets": 450 * M}, WRONG),
    ({"total_current_assets": 350 * M}, DEFINED),
    # v1's debt has the current maturities, v2's has finance leases.
    ({DEBT: 270 * M}, DEFINED),
    ({DEBT: 230 * M}, DEFINED),
    ({DEBT: 0.0, "debt_current": 250 * M}, DEFINED),
]


def test_a_definition_has_a_direction() -> None:
    """The line is wrong in every period, so no other period speaks against it."""
    v1, v2 = balances(1)
    results = kinds_of_each(BS, [Told(v1 * 4, [v2[0] | v2_says] * 4) for v2_says, _ in DIRECTIONS])
    for (v2_says, kind), got in zip(DIRECTIONS, results, strict=True):
        fields = [field for field in v2_says if field != "debt_current"]
        assert {f: got[f] for f in fields} == dict.fromkeys(fields, [kind] * 4), v2_says


def test_debt_beside_v1s_imputed_liabilities() -> None:
    """v1 gives equity, negated, as the liabilities of AMZN, META, GOOGL and others."""
    v1, v2 = balances(4)
    v1 = [row | {"liabilities": -row["equity"]} for row in v1]
    got = kinds(BS, v1, [row | {DEBT: row[DEBT] + 20 * M} for row in v2])
    assert got[DEBT] == [DEFINED] * 4


def test_cash_that_v2_lacks_from_some_day_on() -> None:
    v1, v2 = balances()
    newest = [row | {"cash_and_equivalents": 10 * M} for row in v2[8:]]
    assert kinds(BS, v1, v2[:8] + newest) == {"cash_and_equivalents": [WRONG] * 4}
    # A line that differed from the beginning, as often as not, is another definition.
    assert kinds(BS, v1[5:], v2[5:8] + newest) == {"cash_and_equivalents": [DEFINED] * 4}


def test_debt_that_is_short_by_some_of_the_current_debt() -> None:
    v1, v2 = balances()
    v2 = [row | {"debt_current": 60 * M} for row in v2]
    short = v2[11] | {DEBT: v2[11][DEBT] - 50 * M}
    assert kinds(BS, v1, [*v2[:11], short]) == {DEBT: [WRONG]}
    with_maturities = [row | {DEBT: row[DEBT] - 50 * M} for row in v2]
    assert kinds(BS, v1, with_maturities) == {DEBT: [DEFINED] * 12}
    # Equal debt says nothing of current maturities where there is no current debt.
    without = [row | {"debt_current": 0.0} for row in v2[:11]]
    assert kinds(BS, v1, [*without, short]) == {DEBT: [DEFINED]}


def test_current_assets_that_lost_one_of_their_lines() -> None:
    """v1 seldom sends receivables, so nothing but the total shows that v2 has lost them."""
    v1, v2 = balances()
    v1 = [{k: v for k, v in row.items() if k != "accounts_receivable"} for row in v1]
    lost = v2[11] | {
        "receivables": 0.0,
        "total_current_assets": v2[11]["total_current_assets"] - v2[11]["receivables"],
    }
    assert kinds(BS, v1, [*v2[:11], lost]) == {"total_current_assets": [WRONG]}


def test_current_assets_without_the_securities_that_v2_never_has() -> None:
    """AAPL's total of June 2025 is that of its lines; 19 billion of securities are not there."""
    v1, v2 = balances()
    v1[11] = v1[11] | {"current_assets": v1[11]["current_assets"] + 19 * M}
    assert kinds(BS, v1, v2) == {"total_current_assets": [DEFINED]}


GOOD1 = {
    "revenues": 1000 * M, "cost_of_revenue": 600 * M, "gross_profit": 400 * M,
    "operating_expenses": 300 * M, "operating_income_loss": 100 * M,
}  # fmt: skip
GOOD2 = {
    "revenue": 1000 * M, "cost_of_revenue": 600 * M, "gross_profit": 400 * M,
    "total_operating_expenses": 300 * M, "operating_income": 100 * M,
}  # fmt: skip


def test_expenses_without_a_cost_that_is_wrong_too() -> None:
    wrong = GOOD2 | {"cost_of_revenue": 200 * M, "total_operating_expenses": 100 * M}
    got = kinds(IS, [GOOD1] * 12, [GOOD2] * 11 + [wrong])
    assert got == {"cost_of_revenue": [WRONG], "total_operating_expenses": [WRONG]}
    with_cost = GOOD1 | {"operating_expenses": 900 * M}
    got = kinds(IS, [with_cost] * 12, [GOOD2] * 12)
    assert got == {"total_operating_expenses": [DEFINED] * 12}


def test_a_revenue_that_has_its_cost_twice_is_no_banks() -> None:
    """v1's own cost of revenue says that the company is no bank; so do its other periods."""
    twice = GOOD2 | {"revenue": 1600 * M}
    without = {k: v for k, v in GOOD1.items() if k != "cost_of_revenue"}
    cases = [(GOOD1, 1), (GOOD1, 3), (GOOD1, 6), (without, 1), (without, 3)]
    companies = [Told([v1] * 6, [GOOD2] * (6 - n) + [twice] * n) for v1, n in cases]
    assert kinds_of_each(IS, companies) == [{"revenue": [WRONG] * n} for _, n in cases]


def test_a_bank_is_one_in_all_its_periods() -> None:
    """JPM's revenue of June 2026, and that of a company without costs before it was a bank."""
    v1: Lines = {"revenues": 57_347 * M}
    v2: Lines = {"revenue": 82_460 * M, "cost_of_revenue": 25_113 * M}
    assert kinds(IS, [v1] * 4, [v2] * 4) == {"revenue": ["bank_net_of_interest"] * 4}
    before: Lines = {"revenue": 57_347 * M, "cost_of_revenue": 0.0}
    assert kinds(IS, [v1] * 6, [before] * 5 + [v2]) == {"revenue": ["bank_net_of_interest"]}


PER_SHARE = ("basic_earnings_per_share", "diluted_earnings_per_share")
COUNTS = ("basic_shares_outstanding", "diluted_shares_outstanding")


def per_share(ratios: list[float]) -> tuple[list[Lines], list[Lines]]:
    """Quarters of which v2's count that many shares for one of v1's."""
    v1, v2 = [], []
    for quarter, ratio in enumerate(ratios):
        earnings, shares = 1.5 + quarter / 10, 1e8 + 1_234_567 * quarter
        v1.append({**dict.fromkeys(PER_SHARE, earnings),
                   "basic_average_shares": shares, "diluted_average_shares": shares})  # fmt: skip
        v2.append({**dict.fromkeys(PER_SHARE, earnings / ratio),
                   **dict.fromkeys(COUNTS, shares * ratio)})  # fmt: skip
    return v1, v2


SPLITS: list[tuple[list[float], str]] = [
    # A split since the newest filing would have changed the periods before it too.
    ([1] * 11 + [2], WRONG),
    ([1] * 10 + [2] * 2, WRONG),
    ([2] * 12, "split_adjusted"),
    ([2] * 6 + [1] * 6, "split_adjusted"),
    ([8] * 4 + [2] * 8, "split_adjusted"),
]


def test_a_split_changes_all_that_was_before_it() -> None:
    results = kinds_of_each(IS, [Told(*per_share(ratios)) for ratios, _ in SPLITS])
    for (ratios, kind), got in zip(SPLITS, results, strict=True):
        periods = [kind] * sum(ratio != 1 for ratio in ratios)
        assert got == dict.fromkeys((*PER_SHARE, *COUNTS), periods)
