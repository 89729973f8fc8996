"""The wide table: one schema and one answer from either generation, and no gap at a cutover."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals import silver
from polygon_fundamentals.field_map import Relation, v1_sources, v2_fields
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.unit.silver.feeding import company, feed, put, v1_balance

NOW = datetime(2025, 7, 2, 12, tzinfo=UTC)
KEY = ["ticker", "cik", "timeframe", "period_end"]
# Delisted; v2 lacks two periods; v2 lacks one cash flow; zero-filled; keys omitted; two share
# classes in one row; days off in 2010; v1 lacks fourth quarters.
ODD = {
    "GONE": 15,
    "LACK": 27,
    "LACC": 28,
    "ZERO": 36,
    "OMIT": 37,
    "EARL": 34,
    "FRTH": 29,
    "BANK": 5,
}


def read(lake: Lake, generation: Generation) -> pd.DataFrame:
    if (lake.root, generation) not in _read:
        table = silver.wide_table(lake, generation)
        _read[lake.root, generation] = table.to_pandas().set_index(KEY).sort_index()
    return _read[lake.root, generation]


# No mezzanine equity, no missing component, no split, no interest in revenue, no other expenses.
ALIKE_IF_PLAIN = {
    "bs_commitments_and_contingencies",
    "bs_total_current_assets",
    "is_basic_earnings_per_share",
    "is_basic_shares_outstanding",
    "is_diluted_earnings_per_share",
    "is_diluted_shares_outstanding",
    "is_operating_income",
    "is_revenue",
    "is_total_operating_expenses",
}
BALANCE = v2_fields(Statement.BALANCE_SHEETS)
_read: dict[tuple[Path, Generation], pd.DataFrame] = {}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Companies of which both generations tell the same facts."""
    lake = Lake(tmp_path_factory.mktemp("plain"))
    lake.prepare()
    sandbox = Sandbox(companies=6, start=date(2023, 10, 1), today=date(2025, 7, 1), quirks=False)
    feed(sandbox, lake, {f"T{n}": [company(n)] for n in range(6)}, NOW)
    return lake


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Companies with something odd each."""
    lake = Lake(tmp_path_factory.mktemp("odd"))
    lake.prepare()
    sandbox = Sandbox(companies=46, start=date(2017, 1, 1), today=date(2020, 7, 1))
    followed = {ticker: [company(n)] for ticker, n in ODD.items()}
    feed(sandbox, lake, followed, NOW)
    return lake


def test_equal_values_in_every_exact_field(plain: Lake) -> None:
    v1 = read(plain, Generation.V1)
    v2 = read(plain, Generation.V2)
    assert len(v1) == len(v2) == 83
    assert v1.index.equals(v2.index)
    differ: set[str] = set()
    may_differ: set[str] = set()
    for statement, field, column in silver.value_columns():
        same = (v1[column] == v2[column]) | (v1[column].isna() & v2[column].isna())
        sources = v1_sources(statement, field)
        relation = sources[0].relation if sources else Relation.V2_ONLY
        if relation in (Relation.EXACT, Relation.SIGN_FLIPPED):
            # v1 leaves a line out now and then; where both have it they agree.
            assert (same | v1[column].isna()).all(), column
        else:
            may_differ |= {column} if v2[column].notna().any() else set()
            differ |= set() if same.all() else {column}
    # The map's list, but for the definitions that come to the same for plain companies.
    assert differ == may_differ - ALIKE_IF_PLAIN
    assert may_differ > ALIKE_IF_PLAIN
    assert "cf_purchase_of_property_plant_and_equipment" in differ
    for column in ("fiscal_year", "fiscal_quarter", "fiscal_period", "first_filing_date"):
        assert v1[column].equals(v2[column]), column
    assert set(v1["first_filing_source"]) == set(v2["first_filing_source"]) == {"v1"}


def test_the_schema_and_the_order_are_the_same_from_either_and_after_a_rollback(
    plain: Lake,
) -> None:
    schemas = []
    for generation in (Generation.V1, Generation.V2, Generation.V1):
        build = silver.build(plain, generation)
        for path in build.path.rglob("*.parquet"):
            table = pq.ParquetFile(path).read()
            schemas.append(table.schema.serialize().to_pybytes())
            year = path.parent.name.removeprefix("year=")
            assert set(table["fiscal_year"].to_pylist()) == {int(year)}
            keys = list(zip(*(table[n].to_pylist() for n in ("ticker", "period_end")), strict=True))
            assert keys == sorted(keys)
    assert len(schemas) == 9
    assert set(schemas) == {silver.wide_schema().serialize().to_pybytes()}
    whole = pd.read_parquet(silver.table_path(plain))
    assert not whole.duplicated(KEY).any()
    assert len(whole) == build.rows
    empty = silver.wide_table(Lake(plain.root / "none"), Generation.V2)
    assert empty.schema == silver.wide_schema()
    assert empty.num_rows == 0


def test_what_only_v1_has_is_carried_over(odd: Lake) -> None:
    v1 = read(odd, Generation.V1)
    v2 = read(odd, Generation.V2)
    gone = v2.loc["GONE"]
    assert set(gone["generation"]) == {"v1"}
    assert gone["is_revenue"].equals(v1.loc["GONE"]["is_revenue"])
    lacking = v2.loc["LACK"]
    assert lacking["generation"].value_counts().to_dict() == {"v1": 1, "v2": 28}
    assert len(lacking) == len(v1.loc["LACK"])
    lent = v2.loc["LACC"]
    lent = lent[lent["generation"] == "v2+v1"]
    assert len(lent) == 1
    assert lent["cf_net_cash_from_operating_activities"].notna().all()
    assert lent["cf_depreciation_depletion_and_amortization"].isna().all()
    assert lent["bs_goodwill"].notna().all() or lent["bs_retained_earnings_deficit"].notna().all()
    assert v1.index.isin(v2.index).all()


def test_v1s_early_dates_make_no_twins(lake: Lake) -> None:
    """v1 dates some periods of 2010 two days early: they are v2's periods, not others."""
    sandbox = Sandbox(companies=35, start=date(2010, 1, 1), today=date(2011, 2, 1))
    feed(sandbox, lake, {"EARL": [company(34)]}, NOW)
    v1 = read(lake, Generation.V1).reset_index()
    v2 = read(lake, Generation.V2).reset_index()
    assert not v1["period_end"].isin(v2["period_end"]).all()
    assert set(v2["generation"]) == {"v2"}
    assert set(v2["first_filing_source"]) == {"v1"}
    assert len(v2) == len(v1)


def test_zeros_for_absent_lines_are_null(odd: Lake) -> None:
    v1 = read(odd, Generation.V1).loc["ZERO"]
    v2 = read(odd, Generation.V2).loc["ZERO"]
    for column in ("bs_inventories", "bs_noncontrolling_interest", "is_research_development"):
        assert v1[column].isna().equals(v2[column].isna()), column
        assert not (v2[column] == 0).any(), column
    balance = odd.dataset(Generation.V2, Statement.BALANCE_SHEETS)
    sent = read_dataset(balance, ["ZERO"]).to_pandas()
    zeros = [name for name in sent if name in BALANCE and (sent[name] == 0).all()]
    assert len(zeros) > 2
    assert v2[["bs_" + name for name in zeros]].isna().all(axis=None)


def test_first_filings_are_v1s_and_filing_dates_v2s(odd: Lake) -> None:
    v1 = read(odd, Generation.V1).loc["FRTH"]
    v2 = read(odd, Generation.V2).loc["FRTH"]
    both = v2[v2.index.isin(v1.index)]
    assert (both["first_filing_date"] <= both["filing_date"]).all()
    assert (both["first_filing_date"] < both["filing_date"]).sum() == 18
    # v1 has no fourth quarters here, yet its 10-K dates them.
    extra = v2[~v2.index.isin(v1.index)]
    assert len(extra) == 3
    assert set(extra["first_filing_source"]) == {"v1"}


def test_the_balance_of_twelve_months_is_that_of_their_last_day(plain: Lake) -> None:
    for generation in Generation:
        table = read(plain, generation).reset_index()
        ttm = table[table["timeframe"] == "ttm"].set_index(["ticker", "period_end"])
        quarter = table[table["timeframe"] == "quarterly"].set_index(["ticker", "period_end"])
        assert len(ttm) > 30
        assert ttm["bs_total_assets"].equals(quarter["bs_total_assets"].reindex(ttm.index))
        assert ttm["bs_total_assets"].notna().all()


@pytest.mark.parametrize("text", ["", "N/A", "FY2024", "1e99"])
def test_a_record_whose_fiscal_year_is_not_a_year_has_none(lake: Lake, text: str) -> None:
    for ticker, year in (("ABC", "2024"), ("ODD", text)):
        put(
            lake,
            Generation.V1,
            v1_balance(cik=f"{len(ticker + year):010}", tickers=[ticker], fiscal_year=year),
            "2024-05-11T12:00",
        )
    rows = silver.wide_table(lake, Generation.V1).to_pandas().set_index("ticker")
    assert rows["bs_total_assets"].to_dict() == {"ABC": 100.0, "ODD": 100.0}
    assert rows["fiscal_year"].fillna(0).to_dict() == {"ABC": 2024, "ODD": 0}
