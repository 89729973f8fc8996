"""The v1-shaped view: v2's records read by what reads v1's."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from massive.rest.models.financials import StockFinancial

from polygon_fundamentals import export
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.field_map import entries
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.normalise.schemas import schema
from polygon_fundamentals.sandbox import Sandbox
from polygon_fundamentals.statements import Generation, Statement
from tests.unit.silver.feeding import company, feed

ALL = list(Statement)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Sandbox]:
    """A company that both generations tell alike, a zero-filled one, and a delisted one."""
    lake = Lake(tmp_path_factory.mktemp("export"))
    lake.prepare()
    sandbox = Sandbox(companies=37, start=date(2022, 1, 1), today=date(2023, 5, 20))
    followed = {"ONE": [company(2)], "ZERO": [company(36)], "GONE": [company(16)]}
    feed(sandbox, lake, followed, datetime(2023, 5, 20, 12, tzinfo=UTC))
    return lake, sandbox


def test_v1s_values_through_the_vendors_client(world: tuple[Lake, Sandbox]) -> None:
    lake, sandbox = world
    ours = {
        (r["end_date"], r["timeframe"]): r
        for r in export.records(lake, ["ONE", "ZERO"], ALL)
        if r["cik"] == company(2)
    }
    theirs = {
        (r["end_date"], r["timeframe"]): r for r in sandbox.rows("v1") if r["cik"] == company(2)
    }
    assert ours.keys() == theirs.keys()
    compared = 0
    for key, record in ours.items():
        found = StockFinancial.from_dict(record)
        true = StockFinancial.from_dict(theirs[key])
        assert found.cik == true.cik
        assert (found.fiscal_period, found.fiscal_year) == (true.fiscal_period, true.fiscal_year)
        assert found.filing_date == true.filing_date or true.filing_date is None
        for statement in ALL:
            for entry in entries(statement):
                if not export.is_given(entry, differing=False):
                    continue
                mine = getattr(getattr(found.financials, entry.v1_section), entry.v1)
                other = getattr(getattr(true.financials, entry.v1_section), entry.v1)
                if mine.value is None or other.value is None:
                    assert (mine.value or 0) == 0 or other.value is None
                    continue
                assert mine == other
                compared += 1
    assert compared == 264


def test_what_is_left_out_is_listed(world: tuple[Lake, Sandbox]) -> None:
    lake, _ = world
    lost = {item.field: item.reason for item in export.loss(ALL)}
    assert lost["balance_sheet.wages"] == "v2 has no such field"
    assert lost["balance_sheet.long_term_debt"].startswith("v2 defines it differently: v1 includes")
    assert "balance_sheet.assets" not in lost
    one = export.records(lake, ["ONE"], [Statement.BALANCE_SHEETS])[0]["financials"]
    assert one.keys() == {"balance_sheet"}
    assert not {f"balance_sheet.{name}" for name in one["balance_sheet"]} & lost.keys()
    more = export.records(lake, ["ONE"], [Statement.BALANCE_SHEETS], differing=True)[0]
    assert "current_assets" in more["financials"]["balance_sheet"]
    assert "current_assets" not in one["balance_sheet"]
    assert len(export.loss(ALL, differing=True)) < len(lost)


def test_periods_that_only_v1_has_are_given_whole(world: tuple[Lake, Sandbox]) -> None:
    lake, _ = world
    found = export.records(lake, ["GONE"], [Statement.BALANCE_SHEETS])
    assert found
    assert {"wages", "noncurrent_assets"} & found[0]["financials"]["balance_sheet"].keys()
    assert found[0]["company_name"].startswith("Sandbox")


def test_the_whole_lake_in_v1s_layout(world: tuple[Lake, Sandbox], tmp_path: Path) -> None:
    lake, _ = world
    target = tmp_path / "copy" / "bronze" / "fundamentals"
    target.parent.mkdir(parents=True)
    counts = export.export_folder(lake, target, ALL)
    path = next((target / "balance_sheets").rglob("ticker=ONE.parquet"))
    assert path.parent.parent.name.startswith("year=20")
    wanted = schema(Generation.V1, Statement.BALANCE_SHEETS)
    assert pq.ParquetFile(path).schema_arrow.names == wanted.names
    # What reads v1's lake reads it.
    table = read_dataset(Lake(tmp_path / "copy").dataset(Generation.V1, Statement.BALANCE_SHEETS))
    assert table.num_rows == counts["balance_sheets"] > 0
    assert set(table["ticker"].to_pylist()) == {"ONE", "ZERO", "GONE"}
    with pytest.raises(UsageError, match="give --output a new or empty folder"):
        export.export_folder(lake, target, ALL)
