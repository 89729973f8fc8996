"""The field map against the vendor's client package and the recorded field lists."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from massive.rest.models import financials as vendor

from polygon_fundamentals.field_map import (
    FIELD_MAP,
    RECORD_FIELDS,
    Confidence,
    Direction,
    FieldEntry,
    FieldMapError,
    Relation,
    Unit,
    pairs,
    primary_pairs,
    v1_fields,
    v1_sources,
    v2_fields,
)
from polygon_fundamentals.field_map.entries import (
    REFUSED_V1_NAMES,
    REFUSED_V2_NAMES,
    RecordField,
    check_entries,
)
from polygon_fundamentals.field_map.schema_page import render_schema_reference
from polygon_fundamentals.field_map.tables import read_table
from polygon_fundamentals.statements import Generation, Statement, Timeframe

ROOT = Path(__file__).parents[2]
API = ROOT.parent / "shared" / "api"
BS, CF, IS = Statement.BALANCE_SHEETS, Statement.CASH_FLOW, Statement.INCOME_STATEMENTS

V1_CLASSES = {
    "balance_sheet": vendor.BalanceSheet,
    "cash_flow_statement": vendor.CashFlowStatement,
    "income_statement": vendor.IncomeStatement,
    "comprehensive_income": vendor.ComprehensiveIncome,
}
V2_CLASSES = {
    BS: vendor.FinancialBalanceSheet,
    CF: vendor.FinancialCashFlowStatement,
    IS: vendor.FinancialIncomeStatement,
}
# Keys that recorded answers carry and the vendor's v1 classes do not know (api/v1_fields.csv).
V1_BEYOND_THE_CLIENT = {
    ("balance_sheet", "noncurrent_prepaid_expenses"),
    ("balance_sheet", "other_than_fixed_noncurrent_assets"),
}


def names(cls: type) -> set[str]:
    assert dataclasses.is_dataclass(cls)
    return {field.name for field in dataclasses.fields(cls)}


def recorded(file: str) -> list[dict[str, str]]:
    path = API / file
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def every_v1_field() -> Iterator[tuple[str, str]]:
    for statement in Statement:
        for field in v1_fields(statement):
            yield field.section, field.name


def test_v1_lines_are_those_of_the_vendors_client() -> None:
    theirs = {(section, name) for section, cls in V1_CLASSES.items() for name in names(cls)}
    assert set(every_v1_field()) - theirs == V1_BEYOND_THE_CLIENT
    assert theirs - set(every_v1_field()) == set()


@pytest.mark.parametrize("statement", Statement)
def test_v2_fields_are_those_of_the_vendors_client(statement: Statement) -> None:
    record = {field.v2 for field in RECORD_FIELDS if field.v2 is not None}
    assert set(v2_fields(statement)) == names(V2_CLASSES[statement]) - record
    assert record <= names(V2_CLASSES[statement])


def test_v1_record_fields_are_those_of_the_vendors_client() -> None:
    ours = {field.v1 for field in RECORD_FIELDS if field.v1 is not None}
    # `id`, `sic`, `tickers` and `timeframe` come in answers; the client's class drops them.
    assert ours - names(vendor.StockFinancial) == {
        "acceptance_datetime",
        "id",
        "sic",
        "tickers",
        "timeframe",
    }
    assert names(vendor.StockFinancial) - ours == {"financials"}


def test_map_agrees_with_the_recorded_field_lists() -> None:
    labels = {
        (r["statement"], r["field"]): (r["label"], int(r["order"]), r["unit"])
        for r in recorded("v1_fields.csv")
    }
    ours = {
        (f.section, f.name): (f.label, f.order, f.unit.value)
        for statement in Statement
        for f in v1_fields(statement)
    }
    assert ours == labels


def test_relations_agree_with_the_recorded_mapping() -> None:
    sections = {"balance_sheet": BS, "cash_flow_statement": CF}
    theirs = {
        (
            sections.get(r["statement"], IS),
            r["v1_field"] or None,
            r["v2_field"] or None,
            r["relation"],
        )
        for r in recorded("mapping.csv")
        if r["statement"] != "record"
    }
    assert {(e.statement, e.v1, e.v2, e.relation.value) for e in FIELD_MAP} == theirs
    record = {
        (r["v1_field"] or None, r["v2_field"] or None, r["relation"])
        for r in recorded("mapping.csv")
        if r["statement"] == "record"
    }
    assert {(f.v1, f.v2, f.relation.value) for f in RECORD_FIELDS} == record


@pytest.mark.parametrize(
    ("statement", "v1", "v2", "both", "compared"),
    [(BS, 35, 31, 22, 20), (CF, 13, 25, 11, 11), (IS, 56, 27, 25, 24)],
)
def test_sizes(statement: Statement, v1: int, v2: int, both: int, compared: int) -> None:
    assert len(v1_fields(statement)) == v1
    assert len(v2_fields(statement)) == v2
    assert len(pairs(statement)) == both
    assert len(primary_pairs(statement)) == compared


@pytest.mark.parametrize(
    ("statement", "section", "v1", "v2", "relation", "unit"),
    [
        (BS, "balance_sheet", "assets", "total_assets", "exact", "USD"),
        (
            BS,
            "balance_sheet",
            "long_term_debt",
            "long_term_debt_and_capital_lease_obligations",
            "definition_differs",
            "USD",
        ),
        (
            CF,
            "cash_flow_statement",
            "net_cash_flow_from_operating_activities",
            "net_cash_from_operating_activities",
            "exact",
            "USD",
        ),
        (IS, "income_statement", "revenues", "revenue", "definition_differs", "USD"),
        (
            IS,
            "income_statement",
            "net_income_loss",
            "consolidated_net_income_loss",
            "exact",
            "USD",
        ),
        (
            IS,
            "income_statement",
            "interest_expense_operating",
            "interest_expense",
            "sign_flipped",
            "USD",
        ),
        (
            IS,
            "income_statement",
            "diluted_average_shares",
            "diluted_shares_outstanding",
            "definition_differs",
            "shares",
        ),
        (IS, "income_statement", "common_stock_dividends", None, "v1_only", "USD / shares"),
    ],
)
def test_literal_rows(
    statement: Statement, section: str, v1: str, v2: str | None, relation: str, unit: str
) -> None:
    place = (statement, section, v1)
    [entry] = [e for e in FIELD_MAP if (e.statement, e.v1_section, e.v1) == place]
    assert (entry.v2, entry.relation.value, entry.unit.value) == (v2, relation, unit)


@pytest.mark.parametrize(
    ("statement", "v2", "sources"),
    [
        (IS, "interest_expense", ["interest_expense_operating", "interest_and_debt_expense"]),
        (
            BS,
            "commitments_and_contingencies",
            [
                "redeemable_noncontrolling_interest",
                "temporary_equity",
                "commitments_and_contingencies",
            ],
        ),
        (BS, "total_assets", ["assets"]),
        (BS, "goodwill", []),
    ],
)
def test_v1_sources_in_order(statement: Statement, v2: str, sources: list[str]) -> None:
    assert [e.v1 for e in v1_sources(statement, v2)] == sources


def test_only_two_v2_fields_have_several_v1_sources() -> None:
    several = {e.v2 for e in FIELD_MAP if e.source_rank > 1}
    assert several == {"interest_expense", "commitments_and_contingencies"}


def test_unknown_names_are_refused() -> None:
    with pytest.raises(FieldMapError, match="revenues"):
        v1_sources(IS, "revenues")


def test_refused_names_stand_in_no_class_of_the_vendor() -> None:
    v1 = {name for cls in V1_CLASSES.values() for name in names(cls)}
    v2 = {name for cls in V2_CLASSES.values() for name in names(cls)}
    assert set() == REFUSED_V1_NAMES & v1
    assert set() == REFUSED_V2_NAMES & v2


def entry(
    v1: str | None = "assets",
    v2: str | None = "total_assets",
    relation: Relation = Relation.EXACT,
    section: str | None = "balance_sheet",
    order: int | None = 100,
    rank: int = 1,
) -> FieldEntry:
    return FieldEntry(
        statement=BS,
        v1_section=section,
        v1=v1,
        v2=v2,
        relation=relation,
        label="Assets",
        order=order,
        unit=Unit.USD,
        confidence=Confidence.HIGH,
        source_rank=rank,
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([entry(), entry(v2="goodwill")], r"v1 balance_sheet\.assets is listed 2 times"),
        ([entry(), entry(v1="cash")], r"total_assets: the ranks of its v1 sources are \[1, 1\]"),
        ([entry(rank=2)], r"ranks of its v1 sources are \[2\]"),
        ([entry(v1="retained_earnings")], "retained_earnings is not a field of that API"),
        ([entry(v2="revenues")], "revenues is not a field of that API"),
        ([entry(v2="Total Assets")], "Total Assets is not a field of that API"),
        ([entry(v2=None)], "relation exact does not fit"),
        ([entry(relation=Relation.V1_ONLY)], "relation v1_only does not fit"),
        ([entry(section="income_statement")], "income_statement is not a section"),
        ([entry(order=None)], "section and order belong to v1 lines"),
        ([replace(entry(), v2_is=Direction.LESS)], "v2_is belongs to lines whose definition"),
    ],
)
def test_a_faulty_map_is_refused(rows: list[FieldEntry], message: str) -> None:
    with pytest.raises(FieldMapError, match=message):
        check_entries(rows)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(FieldMapError) as caught:
        check_entries([entry(v1="retained_earnings", order=None), entry(v2="revenues")])
    for fault in ("retained_earnings", "section and order", "revenues"):
        assert fault in str(caught.value)


HEADER = "v1_section,v1,v2,relation,v2_is,label,order,unit,confidence,source_rank,note\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v1,v2\n", r"balance_sheets\.csv: the columns must be v1_section, v1, v2"),
        (HEADER + "balance_sheet,assets\n", "balance_sheets.csv, line 2: it must have 11 cells"),
        (HEADER + "a,b,c,same,,L,1,USD,high,1,\n", "line 2: Invalid enum value 'same' .*relation"),
        (HEADER + "a,b,c,exact,up,L,1,USD,high,1,\n", "line 2: Invalid enum value 'up' .*v2_is"),
        (HEADER + "a,b,c,exact,,L,first,USD,high,1,\n", "line 2: Expected `int.*order"),
        (HEADER + "a,b,c,exact,,L,1,EUR,high,1,\n", "line 2: Invalid enum value 'EUR' .*unit"),
        (HEADER + "a,b,c,exact,,,1,USD,high,1,\n", "line 2: .*missing required field `label`"),
        (HEADER + "a,b,c,exact,,L,1,USD,high,1,,extra\n", "line 2: it must have 11 cells"),
    ],
)
def test_a_faulty_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "balance_sheets.csv"
    table.write_text(text)
    with pytest.raises(FieldMapError, match=message):
        read_table(table, FieldEntry, statement="balance_sheets")


def test_a_faulty_table_of_record_fields_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "record_fields.csv"
    table.write_text("v1,v2,relation,note\ncik,cik,same,\n")
    with pytest.raises(FieldMapError, match=r"record_fields\.csv, line 2: .* 'same' .*relation"):
        read_table(table, RecordField)


def test_the_schema_reference_is_current() -> None:
    assert (ROOT / "docs" / "schema.md").read_text(encoding="utf-8") == render_schema_reference(), (
        "renew it: python -m polygon_fundamentals.field_map.schema_page > docs/schema.md"
    )


def test_the_schema_reference_names_every_field() -> None:
    text = render_schema_reference()
    for e in FIELD_MAP:
        row = f"| {f'`{e.v1}`' if e.v1 else ''} | {f'`{e.v2}`' if e.v2 else ''} | {e.relation} |"
        assert row in text


@pytest.mark.parametrize(
    ("timeframe", "v2"),
    [
        (Timeframe.QUARTERLY, "quarterly"),
        (Timeframe.ANNUAL, "annual"),
        (Timeframe.TTM, "trailing_twelve_months"),
    ],
)
def test_timeframes(timeframe: Timeframe, v2: str) -> None:
    assert timeframe.v2 == v2


def test_statements() -> None:
    assert [s.v2_path for s in Statement] == [
        "/stocks/financials/v1/balance-sheets",
        "/stocks/financials/v1/cash-flow-statements",
        "/stocks/financials/v1/income-statements",
    ]
    assert [s.v1_sections for s in Statement] == [
        ("balance_sheet",),
        ("cash_flow_statement",),
        ("income_statement", "comprehensive_income"),
    ]
    assert Timeframe.TTM not in BS.v2_timeframes
    assert Timeframe.TTM in CF.v2_timeframes
    assert [g.value for g in Generation] == ["v1", "v2"]
