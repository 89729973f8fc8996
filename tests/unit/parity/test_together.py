"""Several fields of one period wrong together: errors that move along what is reckoned of others.

v2 reckons other income by difference, so its arithmetic holds whatever is wrong above it, and a
count in thousands is wrong in every period. The arithmetic of the two records alone must not
explain such a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pandas as pd
import pytest

from polygon_fundamentals.parity.compare import compare_statement
from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.witness_run import kind_after
from polygon_fundamentals.parity.witnesses import Proof
from polygon_fundamentals.statements import Statement
from tests.unit.parity.comparing import TODAY, TOLERANCES, Case, Key, compare, compare_each
from tests.unit.parity.market import Market, build, copied
from tests.unit.parity.tables import v1_table, v2_table, who_is

IS, CF = Statement.INCOME_STATEMENTS, Statement.CASH_FLOW
M = 1e6
Lines = dict[str, float]


@pytest.fixture(scope="module")
def facts() -> Market:
    return build()


@pytest.fixture(scope="module")
def base(facts: Market) -> dict[Key, str]:
    return compare(facts, statements=(IS,)).findings


# What moves along: each field with the sign that the error has in it.
MOVES = {
    "expenses": {
        "total_operating_expenses": -1, "operating_income": 1, "total_other_income_expense": -1,
    },
    "revenue": {
        "revenue": 1, "gross_profit": 1, "operating_income": 1, "total_other_income_expense": -1,
    },
    "the line between them": {"operating_income": 1, "total_other_income_expense": -1},
}  # fmt: skip


def test_an_error_that_moves_into_other_income(facts: Market, base: dict[Key, str]) -> None:
    """One quarter of each of six companies, and of one the twelve months that contain it."""
    wanted: dict[str, dict[Key, str]] = {}

    def moving(name: str) -> Callable[[Market], None]:
        def change(market: Market) -> None:
            random, planted = Random(name), dict[Key, str]()
            for company in market.companies:
                ticker = company.tickers[0]
                end = f"{random.randint(2020, 2023)}-{random.choice(['03-31', '06-30', '09-30'])}"
                periods = [("quarterly", end)] + [("ttm", "2023-12-31")] * (ticker == "AAA")
                for timeframe, at in periods:
                    record = market.record("v2", IS, ticker, timeframe, at)
                    error = random.choice([-77, 91])
                    for field, sign in MOVES[name].items():
                        record[field] += sign * error * M
                        key = (IS.value, ticker, timeframe, at, field)
                        if base.get(key) != "null_in_v1":
                            planted[key] = "unexplained"
            assert len(planted) >= 2 * 7
            wanted[name] = base | planted

        return change

    cases = {name: Case(moving(name), (IS,)) for name in MOVES}
    for name, compared in compare_each(facts, cases).items():
        assert compared.findings == wanted[name], name


def test_share_counts_in_thousands_are_no_split(facts: Market, base: dict[Key, str]) -> None:
    """All of a company's counts, with one line of earnings per share or with none."""
    wanted: dict[str, dict[Key, str]] = {}

    def without(lines: tuple[str, ...]) -> Callable[[Market], None]:
        def change(market: Market) -> None:
            names = {f"{name}_earnings_per_share" for name in lines}
            for record in (*market.v1[IS], *market.v2[IS]):
                if "AAA" in record["tickers"]:
                    for name in names:
                        del record[name]
            mine = {k: v for k, v in base.items() if not (k[1] == "AAA" and k[4] in names)}
            for record in market.v2[IS]:
                if "AAA" in record["tickers"]:
                    timeframe = record["timeframe"].replace("trailing_twelve_months", "ttm")
                    for field in ("basic_shares_outstanding", "diluted_shares_outstanding"):
                        record[field] *= 1000
                        at = str(record["period_end"])
                        mine[IS.value, "AAA", timeframe, at, field] = "scale"
            wanted["/".join(lines)] = mine

        return change

    cases = {
        "/".join(lines): Case(without(lines), (IS,)) for lines in (("basic",), ("basic", "diluted"))
    }
    for name, compared in compare_each(facts, cases).items():
        assert compared.findings == wanted[name], name


def test_a_split_of_which_only_the_counts_are_known(facts: Market, base: dict[Key, str]) -> None:
    """Ten for one stays a split without earnings per share, and so does three for two."""
    market = copied(facts)
    for record in (*market.v1[IS], *market.v2[IS]):
        for name in ("basic_earnings_per_share", "diluted_earnings_per_share"):
            del record[name]
    wanted = {k: v for k, v in base.items() if not k[4].endswith("earnings_per_share")}
    assert compare(market, statements=(IS,)).findings == wanted
    assert "split_adjusted" in wanted.values()


GOOD1 = {
    "revenues": 1000 * M, "cost_of_revenue": 600 * M, "gross_profit": 400 * M,
    "operating_expenses": 300 * M, "operating_income_loss": 100 * M,
    "nonoperating_income_loss": -10 * M,
    "income_loss_from_continuing_operations_before_tax": 90 * M,
}  # fmt: skip
GOOD2 = {
    "revenue": 1000 * M, "cost_of_revenue": 600 * M, "gross_profit": 400 * M,
    "total_operating_expenses": 300 * M, "operating_income": 100 * M,
    "total_other_income_expense": -10 * M, "income_before_income_taxes": 90 * M,
}  # fmt: skip
BAD2 = GOOD2 | {
    "total_operating_expenses": 100 * M, "operating_income": 300 * M,
    "total_other_income_expense": -210 * M,
}  # fmt: skip
# A company without other income, of which v1 has neither that line nor expenses.
PLAIN1 = {
    "revenues": 1000 * M, "operating_income_loss": 100 * M,
    "income_loss_from_continuing_operations_before_tax": 100 * M,
}  # fmt: skip
PRETAX2 = GOOD2 | {
    "operating_income": 120 * M, "total_operating_expenses": 280 * M,
    "total_other_income_expense": -20 * M, "income_before_income_taxes": 100 * M,
}  # fmt: skip


def kinds_of_each(companies: Sequence[tuple[list[Lines], list[Lines]]]) -> list[dict[str, str]]:
    """The kinds of what differs in the last of each company's quarters, by v2 field."""
    one, two, last = [], [], {}
    for number, (v1, v2) in enumerate(companies):
        for n, (a, b) in enumerate(zip(v1, v2, strict=True)):
            end = f"{2020 + n // 4}-{['03-31', '06-30', '09-30', '12-31'][n % 4]}"
            one.append(who_is(number) | {"end_date": end, "filing_date": end} | a)
            two.append(who_is(number) | {"period_end": end, "filing_date": end} | b)
            last[number] = end
    values = compare_statement(
        v1_table(IS, one), v2_table(IS, two), IS, TOLERANCES, {}, today=TODAY
    ).values
    apart = values["kind"].isin(["null_in_v1", "null_in_v2", "lost_in_v2", "absent_zero"])
    values, results = values[~apart], []
    for number, end in last.items():
        mine = values["ticker"] == who_is(number)["ticker"]
        rows = values[mine & (values["period_end"] == pd.Timestamp(end))]
        results.append(dict(zip(rows["v2_field"], rows["kind"], strict=True)))
    return results


THREE = ("total_other_income_expense", "total_operating_expenses", "operating_income")


PERIODS = [
    # How many are the same, how many differ, and what is said of the last.
    (11, 1, "unexplained"),
    (3, 1, "unexplained"),
    # Of too few periods, or with a definition of its own in many, all is as the records prove.
    (2, 1, "line_definition"),
    (0, 1, "line_definition"),
    (0, 6, "line_definition"),
    (2, 3, "line_definition"),
    (3, 4, "line_definition"),
    # What begins on a day is an error that lasts until it is the rule.
    (5, 2, "unexplained"),
    (8, 4, "unexplained"),
    (3, 3, "unexplained"),
]


def test_a_definition_is_one_of_more_than_one_period() -> None:
    companies = [
        ([GOOD1] * (same + differ), [GOOD2] * same + [BAD2] * differ) for same, differ, _ in PERIODS
    ]
    assert kinds_of_each(companies) == [dict.fromkeys(THREE, kind) for *_, kind in PERIODS]


def test_pre_tax_income_as_operating_income_is_a_habit_too() -> None:
    """v1's operating income of 100 is pre-tax income in v2, whose own is 120."""
    usual = [PLAIN1 | {"operating_income_loss": 120 * M}]
    definition = {"operating_income": "line_definition"}
    assert kinds_of_each(
        [
            ([PLAIN1], [PRETAX2]),
            ([PLAIN1] * 9, [PRETAX2] * 9),
            (usual * 9 + [PLAIN1], [PRETAX2] * 10),
        ]
    ) == [definition, definition, {"operating_income": "unexplained"}]


def test_v1s_revenue_has_no_other_income_in_one_period_alone() -> None:
    v1, v2 = {"revenues": 1000 * M}, GOOD2 | {"total_other_income_expense": 30 * M}
    net = v2 | {"revenue": 970 * M, "cost_of_revenue": 570 * M}
    assert kinds_of_each([([v1] * 4, [net] * 4), ([v1] * 5, [v2] * 4 + [net])]) == [
        {"revenue": "line_definition"},
        {"revenue": "unexplained"},
    ]


IN_MILLIONS1 = {
    "revenues": 100.4 * M, "gross_profit": 40.3 * M, "operating_income_loss": 20.2 * M,
}  # fmt: skip
IN_MILLIONS2 = {"revenue": 100 * M, "gross_profit": 40 * M, "operating_income": 20 * M}
NET, RND = "consolidated_net_income_loss", "research_development"


ROUNDED = [
    ("net_income_loss", 0.9 * M, NET, -1 * M, "unexplained"),
    ("net_income_loss", 0.9 * M, NET, 0.0, "unexplained"),
    ("net_income_loss", 1.9 * M, NET, 0.0, "unexplained"),
    ("net_income_loss", -0.9 * M, NET, 1 * M, "unexplained"),
    ("net_income_loss", 0.9 * M, NET, 1 * M, "rounded_by_filer"),
    ("net_income_loss", 0.4 * M, NET, 0.0, "rounded_by_filer"),
    ("net_income_loss", 0.9 * M, NET, 2 * M, "rounded_by_filer"),
    ("net_income_loss", 8.3 * M, NET, 10 * M, "rounded_by_filer"),
    ("net_income_loss", 7.9 * M, NET, 10 * M, "unexplained"),
    ("research_and_development", 1.9 * M, RND, 0.0, "unexplained"),
    ("research_and_development", 0.5 * M, RND, 0.0, "rounded_by_filer"),
    ("research_and_development", 8.3 * M, RND, 10 * M, "unexplained"),
    ("research_and_development", 8.3 * M, RND, 9 * M, "rounded_by_filer"),
]


def test_what_rounding_cannot_do() -> None:
    companies = [
        ([IN_MILLIONS1 | {line: v1}], [IN_MILLIONS2 | {field: v2}])
        for line, v1, field, v2, _ in ROUNDED
    ]
    for case, got in zip(ROUNDED, kinds_of_each(companies), strict=True):
        assert got.pop(case[2]) == case[4], case
        assert set(got.values()) == {"rounded_by_filer"}


def test_a_quarter_of_cash_is_the_difference_of_two_rounded_figures() -> None:
    """10.4 and 11.3 to date are given as 10 and 11; 10.5 and 11.4 as 11 and 11."""
    names = ("operating", "investing", "financing")
    values = {"operating": 20.2, "investing": -5.4, "financing": -3.3}
    v1 = {f"net_cash_flow_from_{n}_activities": values[n] * M for n in names}
    v2 = {f"net_cash_from_{n}_activities": round(values[n]) * M for n in names}
    for timeframe, kind in (("quarterly", "rounded_by_filer"), ("annual", "unexplained")):
        one: dict[str, Any] = {"timeframe": timeframe, "end_date": "2024-06-30"}
        two: dict[str, Any] = {"timeframe": timeframe, "period_end": "2024-06-30"}
        result = compare_statement(
            v1_table(CF, [one | v1 | {"exchange_gains_losses": 0.9 * M}]),
            v2_table(CF, [two | v2 | {"effect_of_currency_exchange_rate": 0.0}]),
            CF,
            TOLERANCES,
            {},
            today=TODAY,
        )
        got = dict(zip(result.values["v2_field"], result.values["kind"], strict=True))
        assert got.pop("effect_of_currency_exchange_rate") == kind
        assert set(got.values()) == {"rounded_by_filer"}


@pytest.mark.parametrize(
    ("field", "proven", "after"),
    [
        ("operating_income", Kind.V2_WRONG, Kind.V2_WRONG),
        ("total_other_income_expense", Kind.RESTATED_PROVEN, Kind.RESTATED_PROVEN),
        ("operating_income", Kind.NOT_RESTATED, None),
        ("other_assets", Kind.V2_WRONG, None),
    ],
)
def test_filings_decide_on_operating_income_drawn_elsewhere(
    field: str, proven: Kind, after: Kind | None
) -> None:
    assert kind_after(Kind.LINE_DEFINITION, Proof(proven, "in the filings"), field) is after
