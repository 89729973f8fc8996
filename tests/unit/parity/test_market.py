"""A whole market: identical facts agree, and of planted faults each is found, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from random import Random
from typing import Any

import pyarrow.compute as pc
import pytest

from polygon_fundamentals.field_map import primary_pairs
from polygon_fundamentals.parity.compare import compare_statement, equal_values
from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.tolerances import Accepted
from polygon_fundamentals.parity.totals import merge
from polygon_fundamentals.reference.tickers import ReferenceTicker
from polygon_fundamentals.statements import Statement, Timeframe
from tests.unit.parity.comparing import (
    TODAY,
    TOLERANCES,
    Case,
    Compared,
    Key,
    Reference,
    compare,
    compare_each,
)
from tests.unit.parity.market import Market, build, copied
from tests.unit.parity.tables import over_budget

BS, CF, IS = Statement.BALANCE_SHEETS, Statement.CASH_FLOW, Statement.INCOME_STATEMENTS
HARMLESS = {
    "absent_zero",
    "null_in_v1",
    "line_definition",
    "bank_net_of_interest",
    "split_adjusted",
}


def of(base: dict[Key, str], statement: Statement) -> dict[Key, str]:
    return {key: kind for key, kind in base.items() if key[0] == statement.value}


@pytest.fixture(scope="module")
def facts() -> Market:
    return build()


@pytest.fixture(scope="module")
def agreed(facts: Market) -> Compared:
    return compare(facts)


@pytest.fixture(scope="module")
def base(agreed: Compared) -> dict[Key, str]:
    return agreed.findings


@pytest.fixture(scope="module")
def by_case(facts: Market) -> dict[str, Compared]:
    return compare_each(facts, CASES)


CASES: dict[str, Case] = {}


def test_identical_facts_agree(agreed: Compared) -> None:
    parity = agreed.parity
    assert not over_budget(parity, TOLERANCES)
    assert set(agreed.values["kind"]) == HARMLESS
    # 20 of 22 balance-sheet lines in 180 periods without twelve months, and so on; of banks fewer.
    assert [r.compared for r in parity.results] == [3060, 1728, 3960]
    assert [r.periods for r in parity.results] == [180, 216, 216]
    assert [r.matched for r in parity.results] == [2160, 1728, 3642]
    assert parity.compared == parity.matched + sum(
        n for kind, n in parity.counts.items() if kind in set(Kind) and kind.value in HARMLESS
        and kind not in (Kind.ABSENT_ZERO, Kind.NULL_IN_V1)
    )  # fmt: skip
    assert parity.missing_tickers == []


def test_twelve_months_of_balance_sheets_are_seen_apart(facts: Market) -> None:
    """v2 never has them: six companies, six years, and one company has two tickers."""
    states = compare_statement(*facts.tables(BS), BS, TOLERANCES, {}, today=TODAY).seen["state"]
    assert states.value_counts().to_dict() == {"present": 180, "never_in_v2": 36 + 6}


def test_the_parts_add_up(agreed: Compared) -> None:
    parity = agreed.parity
    assert parity.by_field["compared"].sum() == parity.compared
    assert len(merge([*parity.results, *parity.results]).by_field) == len(parity.by_field)
    for result in parity.results:
        sums = result.by_field.drop(columns=["statement", "v1_field", "v2_field", "relation"]).sum()
        assert sums["compared"] == result.compared
        mine = agreed.values[agreed.values["statement"] == result.statement]
        listed = mine.groupby("kind").size()
        assert all(sums[str(kind)] == count for kind, count in listed.items())


def test_share_classes_are_compared_once(agreed: Compared) -> None:
    values = agreed.values
    assert set(values.loc[values["cik"] == "0000000002", "ticker"]) == {"BBB"}
    assert set(values.loc[values["cik"] == "0000000002", "tickers"]) == {"BBB,BBB.A"}
    assert not values.duplicated(["statement", "cik", "timeframe", "period_end", "v2_field"]).any()


def move_filing_dates(market: Market) -> None:
    for records in market.v2.values():
        for record in records:
            record["filing_date"] += timedelta(days=365)
    record = market.record("v2", CF, "AAA", "quarterly", "2022-06-30")
    record["net_cash_from_operating_activities"] += 77e6


CASES["filing dates moved"] = Case(move_filing_dates)


def test_all_filing_dates_moved_by_a_year(
    by_case: dict[str, Compared], base: dict[Key, str]
) -> None:
    key = ("cash_flow", "AAA", "quarterly", "2022-06-30", "net_cash_from_operating_activities")
    assert by_case["filing dates moved"].findings == base | {key: "restated"}


Change = Callable[[float, Random], float | None]
PLANTS: dict[str, tuple[Change, str]] = {
    "wrong": (lambda v, r: v * r.choice([1.1, 0.5, 2, 10, 1.0333]), "unexplained"),
    "off by thousands": (lambda v, r: v + r.choice([7_000, -12_345]), "unexplained"),
    "off by a million": (lambda v, r: v + r.choice([1e6, -1e6]), "unexplained"),
    "sign": (lambda v, r: -v, "sign"),
    "thousands": (lambda v, r: v * 1000, "scale"),
    "in millions": (lambda v, r: v / 1e6, "scale"),
    "missing field": (lambda v, r: None, "lost_in_v2"),
    "zero": (lambda v, r: 0.0, "unexplained"),
}
PER_SHARE = ("basic_", "diluted_")


def plant(
    market: Market, base: dict[Key, str], change: Change, kind: str, random: Random
) -> dict[Key, str]:
    """Changes ten v2 values, in different records; returns what is to be found."""
    planted: dict[Key, str] = {}
    touched: set[int] = set()
    while len(planted) < 10:
        statement = random.choice(list(Statement))
        record = random.choice(market.v2[statement])
        field = random.choice([f for f, v in record.items() if isinstance(v, float)])
        timeframe = record["timeframe"].replace("trailing_twelve_months", "ttm")
        key = (statement.value, record["tickers"][0], timeframe, str(record["period_end"]), field)
        compared = key in base or _is_compared(base, statement, field)
        if not compared or base.get(key) in ("absent_zero", "null_in_v1"):
            continue
        # Nothing tells a wrong count in a quarter that both derive from a derived one, and within
        # the definition of long-term debt there is room for more than one value.
        derived = timeframe == "quarterly" and record["fiscal_quarter"] == 4
        vague = field.startswith("long_term_debt") or (
            field.startswith(PER_SHARE) and (derived or timeframe == "ttm")
        )
        per_share = field.endswith("per_share")
        if record[field] == 0 or vague or per_share or id(record) in touched:
            continue
        record[field] = change(record[field], random)
        touched.add(id(record))
        planted[key] = kind
    return planted


def _is_compared(base: dict[Key, str], statement: Statement, field: str) -> bool:
    return field in {e.v2 for e in primary_pairs(statement)}


# Nine times ten of each of the eight kinds: 720 differences.
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in range(1, 9))]
)
def test_planted_in_v2(facts: Market, base: dict[Key, str], seed: int) -> None:
    planted: dict[str, dict[Key, str]] = {}

    def planting(name: str) -> Callable[[Market], None]:
        def change(market: Market) -> None:
            planted[name] = plant(market, base, *PLANTS[name], Random(f"{name} {seed}"))

        return change

    cases = {name: Case(planting(name)) for name in PLANTS}
    for name, compared in compare_each(facts, cases).items():
        assert compared.findings == base | planted[name], name


LITTLE_OFF = {
    "consolidated_net_income_loss": 0.5,
    "income_taxes": -0.99,
    "basic_earnings_per_share": 0.004,
    "basic_shares_outstanding": 0.4,
}


def put_a_little_off(market: Market) -> None:
    record = market.record("v2", IS, "AAA", "quarterly", "2022-06-30")
    for line, off in LITTLE_OFF.items():
        record[line] += off


CASES["a little off"] = Case(put_a_little_off, (IS,))


def test_values_off_by_less_than_the_tolerance(
    by_case: dict[str, Compared], base: dict[Key, str]
) -> None:
    compared = by_case["a little off"]
    planted = {
        ("income_statements", "AAA", "quarterly", "2022-06-30", line): "rounding"
        for line in LITTLE_OFF
    }
    assert compared.findings == of(base, IS) | planted
    assert not over_budget(compared.parity, TOLERANCES)


WRONG_IN_V1 = [
    (BS, "liabilities", "total_liabilities", "v1_breaks_identity"),
    (BS, "equity_attributable_to_parent", "total_equity_attributable_to_parent",
     "v1_breaks_identity"),
    (CF, "net_cash_flow", "change_in_cash_and_equivalents", "v1_breaks_identity"),
    (IS, "income_loss_from_continuing_operations_before_tax", "income_before_income_taxes",
     "v1_breaks_identity"),
    (IS, "cost_of_revenue", "cost_of_revenue", "v1_breaks_identity"),
    (IS, "selling_general_and_administrative_expenses", "selling_general_administrative",
     "unexplained"),
    (BS, "inventory", "inventories", "unexplained"),
]  # fmt: skip


def add_in_v1(market: Market, statement: Statement, line: str) -> None:
    market.record("v1", statement, "AAA", "quarterly", "2022-06-30")[line] += 5_432_100.0


CASES |= {
    f"wrong {line}": Case(partial(add_in_v1, statement=statement, line=line), (statement,))
    for statement, line, _, _ in WRONG_IN_V1
}


@pytest.mark.parametrize(("statement", "line", "field", "kind"), WRONG_IN_V1)
def test_wrong_in_v1(
    by_case: dict[str, Compared],
    base: dict[Key, str],
    statement: Statement,
    line: str,
    field: str,
    kind: str,
) -> None:
    key = (statement.value, "AAA", "quarterly", "2022-06-30", field)
    assert by_case[f"wrong {line}"].findings == of(base, statement) | {key: kind}


def round_comparatives(market: Market, unit: float) -> None:
    for statement in Statement:
        for year in (2020, 2021):
            record = market.record("v2", statement, "AAA", "quarterly", f"{year}-06-30")
            for name, value in record.items():
                if isinstance(value, float) and not name.startswith(PER_SHARE):
                    record[name] = float(round(value / unit) * unit)


CASES |= {f"rounded to {unit}": Case(partial(round_comparatives, unit=unit)) for unit in (1e3, 1e6)}


@pytest.mark.parametrize("unit", [1e3, 1e6])
def test_rounded_comparatives(by_case: dict[str, Compared], unit: float) -> None:
    parity = by_case[f"rounded to {unit}"].parity
    assert parity.counts[Kind.ROUNDED_BY_FILER] > 20
    assert not over_budget(parity, TOLERANCES)


def wrong_share_count(market: Market) -> None:
    record = market.record("v2", IS, "AAA", "quarterly", "2021-06-30")
    record["basic_shares_outstanding"] *= 10
    record["diluted_shares_outstanding"] *= 10


def split_that_comes_and_goes(market: Market) -> None:
    record = market.record("v2", IS, "AAA", "quarterly", "2021-06-30")
    for name in ("basic", "diluted"):
        record[f"{name}_shares_outstanding"] *= 10
        record[f"{name}_earnings_per_share"] = round(record[f"{name}_earnings_per_share"] / 10, 2)


def wrong_within_a_split(market: Market) -> None:
    record = market.record("v2", IS, "SPL", "quarterly", "2020-06-30")
    record["basic_shares_outstanding"] *= 1.01


def unadjusted_within_a_split(market: Market) -> None:
    record = market.record("v2", IS, "SPL", "quarterly", "2020-06-30")
    record["basic_earnings_per_share"] *= 3


NO_SPLITS = [
    (wrong_share_count, "AAA", "2021-06-30",
     ["basic_shares_outstanding", "diluted_shares_outstanding"]),
    (split_that_comes_and_goes, "AAA", "2021-06-30",
     ["basic_earnings_per_share", "basic_shares_outstanding", "diluted_earnings_per_share",
      "diluted_shares_outstanding"]),
    (wrong_within_a_split, "SPL", "2020-06-30", ["basic_shares_outstanding"]),
    (unadjusted_within_a_split, "SPL", "2020-06-30", ["basic_earnings_per_share"]),
]  # fmt: skip
CASES |= {change.__name__: Case(change, (IS,)) for change, *_ in NO_SPLITS}


@pytest.mark.parametrize(("change", "ticker", "end", "fields"), NO_SPLITS)
def test_what_is_no_split(
    by_case: dict[str, Compared],
    base: dict[Key, str],
    change: Callable[[Market], None],
    ticker: str,
    end: str,
    fields: list[str],
) -> None:
    planted = {
        ("income_statements", ticker, "quarterly", end, field): "unexplained" for field in fields
    }
    assert by_case[change.__name__].findings == of(base, IS) | planted


def add_stray_labels(market: Market) -> None:
    for statement in Statement:
        real = market.record("v2", statement, "AAA", "quarterly", "2021-12-31")
        stray = real | {"fiscal_year": 2022, "fiscal_quarter": 1}
        stray |= {"filing_date": date(2022, 5, 1)}
        stray |= {k: v * 1.5 for k, v in real.items() if isinstance(v, float)}
        market.v2[statement].append(stray)


def forget_the_cik(market: Market) -> None:
    for records in market.v2.values():
        for record in records:
            if record["cik"] == "0000000004":
                record["cik"] = None


def rename_a_company(market: Market) -> None:
    for records in market.v2.values():
        for record in records:
            if record["cik"] == "0000000001":
                record["tickers"] = ["NEW"]


def take_the_statement_from_a_v1_record(market: Market) -> None:
    record = market.record("v1", CF, "AAA", "quarterly", "2020-06-30")
    for name in [n for n in record if "cash" in n or "exchange" in n]:
        del record[name]
    market.v2[CF].remove(market.record("v2", CF, "AAA", "quarterly", "2020-06-30"))


NO_DIFFERENCES = [
    add_stray_labels, forget_the_cik, rename_a_company, take_the_statement_from_a_v1_record
]  # fmt: skip
CASES |= {
    change.__name__: Case(change, reference={"AAA": {"active": False, "cik": None}})
    for change in NO_DIFFERENCES
}


@pytest.mark.parametrize("change", NO_DIFFERENCES)
def test_what_makes_no_difference(
    by_case: dict[str, Compared], base: dict[Key, str], change: Callable[[Market], None]
) -> None:
    compared = by_case[change.__name__]
    assert compared.findings == base
    assert compared.parity.missing_periods.empty
    assert not over_budget(compared.parity, TOLERANCES)
    absent = compared.parity.absent_tickers
    named = {("renamed", "in v2 as NEW")} if change is rename_a_company else set()
    assert set(zip(absent["kind"], absent["detail"], strict=True)) == named


def test_zero_filled_lines(facts: Market, base: dict[Key, str]) -> None:
    market = copied(facts)
    planted = {}
    for record in market.v1[BS]:
        if record["timeframe"] != "ttm":
            del record["inventory"]
    for record in market.v2[BS]:
        record["inventories"] = 0.0
        key = (record["tickers"][0], record["timeframe"], str(record["period_end"]), "inventories")
        planted["balance_sheets", *key] = "absent_zero"
    compared = compare(market, statements=(BS,))
    assert not over_budget(compared.parity, TOLERANCES)
    assert {k: v for k, v in compared.findings.items() if k[4] == "inventories"} == planted


def lose_a_period_on_each_side(market: Market) -> None:
    market.v2[IS].remove(market.record("v2", IS, "BBB", "quarterly", "2020-06-30"))
    market.v1[CF].remove(market.record("v1", CF, "AAA", "annual", "2020-12-31"))


CASES["a period on each side"] = Case(lose_a_period_on_each_side, (IS, CF))


def test_missing_and_extra_periods(by_case: dict[str, Compared], base: dict[Key, str]) -> None:
    compared = by_case["a period on each side"]
    parity = compared.parity
    missing = parity.missing_periods
    assert missing[["statement", "ticker", "timeframe"]].to_numpy().tolist() == [
        ["income_statements", "BBB", "quarterly"]
    ]
    assert str(missing["period_end"][0].date()) == "2020-06-30"
    assert parity.extra_periods[["statement", "ticker", "timeframe"]].to_numpy().tolist() == [
        ["cash_flow", "AAA", "annual"]
    ]
    assert parity.counts[Kind.MISSING] == 1
    assert over_budget(parity, TOLERANCES)
    assert set(compared.findings.items()) <= set(base.items())


LABELS = {"cik", "tickers", "period_end", "filing_date", "fiscal_year", "fiscal_quarter"}


def empty(record: dict[str, Any], amount: float | None) -> None:
    """Leave a v2 record its labels, and `amount` in each of its amounts."""
    record |= {name: amount for name in record if name not in LABELS | {"timeframe"}}


def empty_records(market: Market, amount: float | None) -> None:
    """One period of a company, and all of another's."""
    empty(market.record("v2", IS, "BBB", "quarterly", "2020-06-30"), amount)
    for record in market.v2[CF]:
        if record["cik"] == "0000000001":
            empty(record, amount)


CASES |= {
    f"records of {amount}": Case(partial(empty_records, amount=amount), (IS, CF))
    for amount in (None, 0.0)
}


@pytest.mark.parametrize("amount", [None, 0.0])
def test_a_v2_record_without_an_amount_is_none(
    facts: Market, by_case: dict[str, Compared], amount: float | None
) -> None:
    """What v1 has of these periods is missing in v2."""
    parity = by_case[f"records of {amount}"].parity
    missing = parity.missing_periods
    assert missing[["statement", "ticker", "timeframe"]].to_numpy().tolist() == [
        ["income_statements", "BBB", "quarterly"]
    ]
    assert parity.missing_tickers == ["AAA"]
    assert over_budget(parity, TOLERANCES)
    market = copied(facts)
    empty_records(market, amount)
    shown = equal_values(*market.tables(IS), IS, {})
    gone = (shown["ticker"] == "BBB") & (shown["period_end"] == "2020-06-30")
    assert set(shown[gone]["timeframe"]) == set()


def move_no_cash(market: Market) -> None:
    record = market.record("v1", CF, "AAA", "annual", "2020-12-31")
    record |= {name: 0.0 for name in record if "cash_flow" in name or "exchange" in name}
    empty(market.record("v2", CF, "AAA", "annual", "2020-12-31"), 0.0)


CASES["no cash is moved"] = Case(move_no_cash, (CF,))


def test_zeros_beside_zeros_are_a_period_that_both_have(by_case: dict[str, Compared]) -> None:
    """A company without any business moves no cash."""
    assert by_case["no cash is moved"].parity.missing_periods.empty


def drop(market: Market, cik: str) -> None:
    for statement in Statement:
        market.v2[statement] = [r for r in market.v2[statement] if r["cik"] != cik]


REFERENCE: dict[str, Reference] = {
    "missing": {"AAA": {"active": True, "cik": "0000000001"}},
    "unknown": {},
    "delisted": {
        "AAA": {"active": False, "cik": "0000000001"},
        "CIK0000000001": {"active": None, "cik": None},
    },
    "passed on": {
        "AAA": {"active": True, "cik": "0000000099"},
        "CIK0000000001": {"active": None, "cik": None},
    },
    # The list of tickers did not answer, and its symbol alone is known from before.
    "symbol inactive, company unknown": {"AAA": {"active": False, "cik": "0000000001"}},
    "symbol passed on, company unknown": {"AAA": {"active": True, "cik": "0000000099"}},
    # What became of the company, whatever became of its symbol.
    "renamed, listed": {
        "AAA": {"active": False, "cik": "0000000001"},
        "CIK0000000001": {"active": True, "cik": "0000000001"},
    },
    "passed on, listed": {
        "AAA": {"active": True, "cik": "0000000099"},
        "CIK0000000001": {"active": True, "cik": "0000000001"},
    },
    "symbol unknown, delisted": {"CIK0000000001": {"active": False, "cik": "0000000001"}},
}
CASES |= {
    f"lacking: {name}": Case(partial(drop, cik="0000000001"), (BS, CF), known)
    for name, known in REFERENCE.items()
}


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("missing", "missing"),
        ("unknown", "missing"),
        ("delisted", "delisted"),
        ("passed on", "delisted"),
        ("symbol inactive, company unknown", "missing"),
        ("symbol passed on, company unknown", "missing"),
        ("renamed, listed", "missing"),
        ("passed on, listed", "missing"),
        ("symbol unknown, delisted", "delisted"),
    ],
)
def test_a_company_that_v2_lacks(by_case: dict[str, Compared], reference: str, kind: str) -> None:
    parity = by_case[f"lacking: {reference}"].parity
    absent = parity.absent_tickers
    assert absent[["ticker", "kind", "statement"]].to_numpy().tolist() == [
        ["AAA", kind, "balance_sheets"],
        ["AAA", kind, "cash_flow"],
    ]
    looked_up = "company unknown" not in reference
    assert looked_up != absent["detail"].str.endswith("could not be looked up").all()
    assert parity.missing_periods.empty
    assert parity.missing_tickers == (["AAA"] if kind == "missing" else [])
    assert (not over_budget(parity, TOLERANCES)) == (kind != "missing")


FORMER_SYMBOLS: list[tuple[ReferenceTicker, str]] = [
    ({"active": False, "cik": "0000000002"}, "delisted"),
    ({"active": True, "cik": "0000000002"}, "missing"),
    # The symbol was given to another company since.
    ({"active": True, "cik": "0000000099"}, "delisted"),
]
CASES |= {
    f"former symbol {other}": Case(
        partial(drop, cik="0000000002"),
        (CF,),
        {
            "BBB": other,
            "BBB.A": {"active": False, "cik": "0000000002"},
            "CIK0000000002": {"active": None, "cik": None},
        },
    )
    for other, _ in FORMER_SYMBOLS
}


@pytest.mark.parametrize(("other", "kind"), FORMER_SYMBOLS)
def test_a_company_whose_former_symbol_is_inactive(
    by_case: dict[str, Compared], other: ReferenceTicker, kind: str
) -> None:
    absent = by_case[f"former symbol {other}"].parity.absent_tickers
    assert absent[["ticker", "kind"]].to_numpy().tolist() == [["BBB", kind], ["BBB.A", kind]]


def test_a_share_class_that_only_the_record_names(facts: Market, base: dict[Key, str]) -> None:
    v1, v2 = facts.tables(CF)
    v2 = v2.filter(pc.not_equal(v2["ticker"], "BBB.A"))
    compared = Compared(((CF, v1, compare_statement(v1, v2, CF, TOLERANCES, {}, today=TODAY)),))
    assert compared.parity.absent_tickers.empty
    assert compared.findings == of(base, CF)


def acceptance(**changes: Any) -> Accepted:
    return Accepted.model_validate(
        {
            "statement": CF,
            "cik": "0000000001",
            "timeframe": Timeframe.QUARTERLY,
            "period_end": date(2022, 6, 30),
            "v2_field": "net_cash_from_operating_activities",
            "v1_value": 1e8,
            "v2_value": 2e8,
            "reason": "The 10-Q/A corrects it.",
            "by": "A. Reviewer",
            "until": date(2026, 12, 31),
        }
        | changes
    )


ACCEPTANCES: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"until": TODAY}, True),
    ({"until": date(2026, 9, 30)}, False),
    ({"v1_value": 1e8 + 1}, False),
    ({"v2_value": 3e8}, False),
    ({"v2_value": None}, False),
    ({"cik": "0000000002"}, False),
    ({"period_end": date(2022, 9, 30)}, False),
    ({"timeframe": Timeframe.ANNUAL}, False),
    ({"v2_field": "net_cash_from_investing_activities"}, False),
]


def correct_in_v2(market: Market) -> None:
    v1 = market.record("v1", CF, "AAA", "quarterly", "2022-06-30")
    v1["net_cash_flow_from_operating_activities"] = 1e8
    v2 = market.record("v2", CF, "AAA", "quarterly", "2022-06-30")
    v2["net_cash_from_operating_activities"] = 2e8


CASES |= {
    f"accepted {changes}": Case(correct_in_v2, (CF,), accepted=(acceptance(**changes),))
    for changes, _ in ACCEPTANCES
}


@pytest.mark.parametrize(("changes", "holds"), ACCEPTANCES)
def test_an_accepted_difference(
    by_case: dict[str, Compared], changes: dict[str, Any], holds: bool
) -> None:
    compared = by_case[f"accepted {changes}"]
    parity = compared.parity
    assert parity.counts[Kind.ACCEPTED] == int(holds)
    assert (not over_budget(parity, TOLERANCES)) == holds
    assert len(parity.results[0].unused_acceptances) == int(not holds)
    if holds:
        values = compared.values
        [detail] = values.loc[values["kind"] == "accepted", "detail"]
        assert "The 10-Q/A corrects it. (A. Reviewer, until" in detail


def test_nothing_to_compare() -> None:
    parity = compare(Market([])).parity
    assert (parity.compared, parity.matched) == (0, 0)
    assert parity.v1_last_filing is None
    assert not over_budget(parity, TOLERANCES)


def test_no_results() -> None:
    with pytest.raises(ValueError, match="no results"):
        merge([])


def double_an_amount(market: Market) -> None:
    market.record("v2", BS, "AAA", "annual", "2022-12-31")["total_assets"] *= 2


CASES["doubled"] = Case(double_an_amount, (BS,))


def test_what_was_exceeded(by_case: dict[str, Compared]) -> None:
    parity = by_case["doubled"].parity
    assert over_budget(parity, TOLERANCES) == [Kind.UNEXPLAINED]
    assert parity.counts[Kind.UNEXPLAINED] == 1


def test_counts_are_plain_numbers(agreed: Compared) -> None:
    parity = agreed.parity
    assert json.loads(json.dumps(parity.counts))["line_definition"] > 0
    assert json.dumps(parity.missing_tickers) == "[]"
