"""What pandas makes of v1's records on the way to a CSV or Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.recorded import import_v1
from polygon_fundamentals.statements import Statement
from polygon_fundamentals.v1_view.v1_records import stored
from tests.unit.silver.feeding import v1_balance


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.prepare()
    return lake


def rows_of(lake: Lake) -> dict[str, dict[str, Any]]:
    """Return the rows in the lake, by ticker."""
    return {row["ticker"]: row for row in stored(lake, Statement.BALANCE_SHEETS).to_pylist()}


def other(ticker: str, cik: str, sic: str | None) -> dict[str, Any]:
    return v1_balance(tickers=[ticker], cik=cik, sic=sic)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_column_with_gaps_is_a_float_and_its_codes_are_the_same(
    lake: Lake, tmp_path: Path, suffix: str
) -> None:
    frame = pd.json_normalize(
        [v1_balance(sic="3571"), other("FARM", "0000000002", "0100"), other("FUND", "03", None)]
    )
    frame["sic"] = frame["sic"].astype(float)
    path = tmp_path / f"a_2025-03-01.{suffix}"
    frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)
    assert import_v1(lake, [path]).problems == []
    rows = rows_of(lake)
    codes = {ticker: row["sic"] for ticker, row in rows.items()}
    assert codes == {"ABC": "3571", "FARM": "0100", "FUND": None}
    assert {row["unmapped"] for row in rows.values()} == {None}


def test_the_index_of_a_csv_is_no_content(lake: Lake, tmp_path: Path) -> None:
    """Saved with it and read again it is `Unnamed: 0`; the same record has another number."""
    one, two = tmp_path / "a_2025-03-01.csv", tmp_path / "b_2025-04-01.csv"
    farm = other("FARM", "0000000002", "0100")
    for path, records in ((one, [v1_balance()]), (two, [farm, v1_balance()])):
        again = tmp_path / "saved"
        pd.json_normalize(records).to_csv(again)
        pd.read_csv(again).to_csv(path)
    assert "Unnamed: 0" in one.read_text()
    import_v1(lake, [one])
    counts = import_v1(lake, [two]).counts
    assert (counts.rows_new, counts.rows_changed, counts.rows_unchanged) == (1, 0, 1)
    assert {row["unmapped"] for row in rows_of(lake).values()} == {None}
