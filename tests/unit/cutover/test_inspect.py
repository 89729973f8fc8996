"""`inspect` on a lake that quantmini wrote: what it holds, what will happen, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.lake import Lake
from sandbox import Sandbox
from tests.builders import quantmini
from tests.builders.commands import call, call_with_errors
from tests.builders.templates import copied
from tests.conftest import KEY
from tests.lakes import fingerprint


@pytest.fixture(scope="module")
def market() -> Iterator[Sandbox]:
    """A year of six companies, two of them in one row."""
    with Sandbox(companies=6, seed=5, start=date(2025, 7, 1), api_key=KEY) as server:
        yield server


@pytest.fixture
def lake(market: Sandbox, tmp_path: Path) -> Lake:
    """A lake of quantmini, without our folders."""
    return copied(Lake(tmp_path / "lake"), write, market)


def write(lake: Lake, market: Sandbox) -> None:
    quantmini.write_lake(lake.root, market)


def test_it_says_what_is_there_and_writes_nothing(
    lake: Lake, market: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POLYGON_API_KEY")
    before = fingerprint(lake.root, "**/*")
    code, answer = call("inspect", "--lake", str(lake.root))
    assert fingerprint(lake.root, "**/*") == before
    inspected, rows = answer["found"], quantmini.served(market)
    symbols = {row["tickers"][0] for row in rows}
    again = sorted(symbols)[: quantmini.LOADED_TWICE]
    assert inspected["tools"] == {"quantmini": len(before) - 3 - inspected["silver"]["files"]}
    assert inspected["tickers"] == len(symbols)
    assert inspected["named_only"] == sorted({n for row in rows for n in row["tickers"]} - symbols)
    assert inspected["companions"] == sorted(quantmini.COMPANIONS)
    keys = {(r["tickers"][0], r["cik"], r["timeframe"], r["end_date"]) for r in rows}
    for statement in inspected["statements"]:
        assert statement["records"] == len(keys)
        differing = sum(statement["doubles_differing"].values())
        assert statement["doubles_alike"] == sum(r["tickers"][0] in again for r in rows)
        assert differing == len(rows) - len(keys)
        assert statement["unreadable"] == []
    assert inspected["silver"]["state"] == "another's"
    assert "year=…/quarter=…/data.parquet" in inspected["silver"]["pattern"]
    assert code == 1
    assert answer["obstacles"] == [
        f"{lake.silver / 'fundamentals_wide'} is another tool's folder: `silver --adopt-path` "
        "moves it aside, and `silver --give-path-back` puts it back"
    ]
    assert any("--adopt-path" in step for step in answer["steps"])


def test_what_stands_in_the_way_is_named(lake: Lake) -> None:
    broken = next((lake.pointer / "cash_flow").rglob("*.parquet"))
    broken.write_bytes(b"half a file")
    (lake.bronze / "fundamentals_v2" / "short_volume").mkdir(parents=True)
    code, answer = call("inspect", "--lake", str(lake.root))
    assert code == 1
    words = " ".join(answer["obstacles"])
    assert f"1 files of cash_flow cannot be read, such as {broken}" in words
    assert "short_volume: in v1's folder and in bronze/fundamentals_v2" in words
    # The file was written just now.
    young = [w for w in answer["found"]["writers"] if "cash_flow" in w["pattern"]]
    assert [w["files"] for w in young] == [1]


def test_a_lake_without_v1_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "empty" / "bronze").mkdir(parents=True)
    code, answer = call("inspect", "--lake", str(tmp_path / "empty"))
    assert (code, len(answer["obstacles"])) == (1, 1)
    assert "is this the lake?" in answer["obstacles"][0]
    code, answer, _ = call_with_errors("inspect", "--lake", str(tmp_path / "none"))
    assert (code, "there is no lake" in answer["error"]) == (2, True)


def test_other_tools_are_told_apart_and_a_lake_in_order_passes(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    row = {"cik": "0009000001", "end_date": "2025-03-31", "timeframe": "annual", "tickers": ["A"]}
    tables = {
        "A": pa.Table.from_pylist([row]),
        "B": pa.table(pa.Table.from_pylist([row]).to_pandas()),
        "C": pa.Table.from_pylist([{**row, "_sdc_sequence": 1}]),
    }
    for name, table in tables.items():
        path = lake.pointer / f"cash_flow/year=2025/month=05/ticker={name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    code, answer = call("inspect", "--lake", str(lake.root))
    assert answer["found"]["tools"] == {"another tool": 1, "pandas": 1, "a Singer tap": 1}
    assert (code, answer["obstacles"]) == (0, [])


@pytest.mark.parametrize("order", [("inner", "outer"), ("outer", "inner"), ("end", "end")])
def test_columns_are_found_wherever_nested_ones_stand(
    order: tuple[str, str], tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    nested = {"financials": {"balance_sheet": {"assets": {"value": 1.0}}}, "more": {"a": 1, "b": 2}}
    label = {"cik": "0009000001", "end_date": "2025-03-31", "tickers": ["A", "B"]}
    last = {"timeframe": "annual", "fiscal_year": "2025", "fiscal_period": "FY"}
    row = {
        "inner": {**label, **nested, **last},
        "outer": {"financials": nested["financials"], **label, **last, "more": nested["more"]},
        "end": {**label, **last, **nested, "list": [{"x": 1}]},
    }[order[0]]
    twice = {**row, "timeframe": "quarterly"} if order[1] == "outer" else row
    path = lake.pointer / "balance_sheets/year=2025/month=05/ticker=A.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([row, twice, twice]), path)
    _, answer = call("inspect", "--lake", str(lake.root))
    [sheets] = [s for s in answer["found"]["statements"] if s["files"]]
    assert answer["found"]["named_only"] == ["B"]
    assert sheets["unreadable"] == []
    assert (sheets["records"], sheets["doubles_alike"]) == ((2, 1) if twice != row else (1, 2))
