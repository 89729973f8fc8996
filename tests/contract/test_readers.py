"""The folder reads with pandas, pyarrow, polars and DuckDB, undated records included."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.companies import resolve_companies
from polygon_fundamentals.load.historical import load_v1, load_v2
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.statements import Statement
from sandbox import Sandbox
from tests.conftest import client_of

TICKERS = ["SBX.A", "NAN"]
STATEMENT = Statement.INCOME_STATEMENTS


@pytest.fixture(scope="module")
def lake(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake(tmp_path_factory.mktemp("readers"))
    made.prepare()
    client = client_of(sandbox)
    for ticker in TICKERS:
        load_v1(Loader(client, made), ticker, [STATEMENT], Filters())
    companies = resolve_companies(client, made, TICKERS)
    load_v2(Loader(client, made), companies, STATEMENT, Filters())
    return made


@pytest.mark.parametrize("folder", ["fundamentals", "fundamentals_v2"])
def test_every_reader_sees_every_row(lake: Lake, folder: str) -> None:
    root = lake.bronze / folder / STATEMENT
    files = sorted(root.rglob("*.parquet"))
    expected = sum(pq.read_metadata(path).num_rows for path in files)
    assert expected > 100
    frame = pd.read_parquet(root)
    assert len(frame) == expected
    assert set(frame["ticker"]) == set(TICKERS)
    assert ds.dataset(root, partitioning="hive").count_rows() == expected
    glob = f"{root}/year=*/month=*/*.parquet"
    assert pl.scan_parquet(glob, hive_partitioning=True).collect().height == expected
    found = duckdb.sql(
        f"select count(*), count(distinct ticker), min(year) from "
        f"read_parquet('{glob}', hive_partitioning=true)"
    ).fetchall()[0]
    assert found[:2] == (expected, 2)


def test_undated_records_are_where_readers_find_them(lake: Lake) -> None:
    root = lake.bronze / "fundamentals" / STATEMENT
    undated = list(root.glob("year=1900/month=01/*.parquet"))
    assert undated
    frame = pd.read_parquet(root)
    assert frame["filing_date"].isna().sum() == sum(
        pq.read_metadata(path).num_rows for path in undated
    )


def test_v1_keeps_the_nested_path_that_readers_know(lake: Lake) -> None:
    glob = f"{lake.bronze}/fundamentals/{STATEMENT}/year=*/month=*/ticker=NAN.parquet"
    row = duckdb.sql(
        "select financials.income_statement.net_income_loss.value, "
        "financials.income_statement.net_income_loss.unit "
        f"from read_parquet('{glob}') limit 1"
    ).fetchall()[0]
    assert isinstance(row[0], float)
    assert row[1] == "USD"


def test_one_schema_a_dataset_and_only_v1s_text_is_compressed(lake: Lake) -> None:
    for folder, of_text in (("fundamentals", "ZSTD"), ("fundamentals_v2", "UNCOMPRESSED")):
        files = sorted((lake.bronze / folder / STATEMENT).rglob("*.parquet"))
        schemas = {str(pq.read_schema(path)) for path in files}
        assert len(schemas) == 1
        columns = pq.read_metadata(files[0]).row_group(0).to_dict()["columns"]
        compression = {column["path_in_schema"]: column["compression"] for column in columns}
        assert {compression["ticker"], compression["unmapped"]} == {of_text}
        figures = {k: v for k, v in compression.items() if k.endswith((".value", "revenue"))}
        assert set(figures.values()) == {"UNCOMPRESSED"}


def test_the_path_that_readers_use(lake: Lake) -> None:
    paths = [
        p.relative_to(lake.root)
        for p in (lake.bronze / "fundamentals_v2").rglob("ticker=SBX.A.parquet")
    ]
    assert all(
        p.match("bronze/fundamentals_v2/income_statements/year=????/month=??/ticker=SBX.A.parquet")
        for p in paths
    )
    assert isinstance(paths[0], Path)
