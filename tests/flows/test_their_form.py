"""A lake of quantmini keeps its form while ours loads it too, so that its readers go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.lake import Lake, revisions
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders import quantmini
from tests.builders.commands import call, where
from tests.conftest import KEY
from tests.lakes import fingerprint
from tests.recordings import pages

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]
DATED = "filing_date >= '2024-01-01' and filing_date < '2100'"


def _income_of_balance(file: Path) -> Any:
    rows = pq.read_table(file, partitioning=None).to_pylist()
    return sorted(
        str(row["financials"]["income_statement"]["revenues"]["value"])
        for row in rows
        if row["financials"].get("income_statement")
    )


# What readers do with one file of balance sheets, each as it worked before our first load.
HABITS: Mapping[str, Callable[[Path], Any]] = {
    "pandas compares a date with text": lambda f: sorted(
        pd.read_parquet(f, partitioning=None).query(DATED)["end_date"].unique()
    ),
    "pandas takes the year out of the text": lambda f: sorted(
        pd.read_parquet(f, partitioning=None)["filing_date"].str[:4].unique()
    ),
    "pandas parses the text": lambda f: sorted(
        pd.to_datetime(
            pd.read_parquet(f, partitioning=None)["end_date"], format="%Y-%m-%d"
        ).unique()
    ),
    "pandas reads a struct's member": lambda f: sorted(
        row["balance_sheet"]["assets"]["value"]
        for row in pd.read_parquet(f, partitioning=None).drop_duplicates("end_date")["financials"]
        if row.get("balance_sheet")
    ),
    "pandas sorts by the download": lambda f: bool(
        pd.read_parquet(f, partitioning=None).sort_values("downloaded_at")["cik"].iloc[0]
    ),
    "polars parses the text": lambda f: sorted(
        pl.read_parquet(f, hive_partitioning=False)
        .select(pl.col("filing_date").str.to_date("%Y-%m-%d"))["filing_date"]
        .unique()
    ),
    "polars unnests": lambda f: sorted(
        pl.read_parquet(f, hive_partitioning=False)
        .unique(["cik", "timeframe", "end_date", "fiscal_period"])
        .select(pl.col("financials").struct.field("balance_sheet").struct.field("assets"))["assets"]
        .struct.field("value")
    ),
    "DuckDB cuts the text": lambda f: duckdb.sql(
        f"select distinct substr(filing_date, 1, 7) m from '{f}' order by m"
    ).fetchall(),
    "DuckDB reads a struct's member": lambda f: duckdb.sql(
        f"select distinct end_date, financials.balance_sheet.assets.value from '{f}' order by 1, 2"
    ).fetchall(),
    "the income statement from the balance sheet's file": lambda f: sorted(
        set(_income_of_balance(f))
    ),
}


@pytest.fixture(scope="module")
def market() -> Iterator[Sandbox]:
    """Four companies, whose records of a year and a half an older tool has."""
    with Sandbox(
        companies=4, seed=5, start=date(2025, 1, 1), today=date(2026, 6, 1), api_key=KEY
    ) as server:
        yield server


@pytest.fixture
def lake(market: Sandbox, tmp_path: Path) -> Lake:
    """Its lake."""
    quantmini.write_lake(tmp_path / "lake", market, datetime(2026, 6, 1, 6))  # noqa: DTZ001
    return Lake(tmp_path / "lake")


def sheets(lake: Lake) -> list[Path]:
    return sorted((lake.pointer / "balance_sheets").rglob("*.parquet"))


def answers(files: list[Path]) -> dict[str, list[Any]]:
    return {name: [habit(file) for file in files] for name, habit in HABITS.items()}


def load(lake: Lake, market: Sandbox, *words: str) -> dict[str, Any]:
    names = ",".join(market.tickers)
    code, report = call(
        "historical-load", "--generation", "v1", "--tickers", names, *words,
        *where(market.url, lake),
    )  # fmt: skip
    assert code == 0, report
    return report["v1"]


def test_every_habit_works_after_the_load_and_the_bytes_come_back(
    lake: Lake, market: Sandbox
) -> None:
    folder = lake.pointer
    before, asked = fingerprint(folder), sheets(lake)
    expected = answers(asked)
    report = load(lake, market)
    assert report["rows_changed"] == 0
    after = fingerprint(folder)
    assert before.keys() < after.keys()  # the undated, which quantmini leaves out
    rewritten = [name for name in before if after[name] != before[name]]
    assert 0 < len(rewritten) < len(before)  # those with doubles, no others
    assert answers(asked) == expected
    added = [file for file in sheets(lake) if file not in asked]
    assert all(
        pq.read_schema(f).field("filing_date").type == "string"
        and {"downloaded_at", "financials"} <= set(pq.read_schema(f).names)
        for f in added
    )
    for statement in Statement:
        dataset = lake.dataset(Generation.V1, statement)
        for file in dataset.files():
            assert revisions.read(dataset, file[1]).num_rows == 0
    # A second load writes nothing.
    assert load(lake, market, "--fresh")["files_written"] == 0
    assert fingerprint(folder) == after

    here = ["restore", "--adopted", "--lake", str(lake.root)]
    code, plan = call(*here)
    assert (code, plan["executed"], fingerprint(folder)) == (0, False, after)
    assert f"{len(rewritten)} originals (" in plan["steps"][0]["detail"]
    assert " MB)" in plan["steps"][0]["detail"]
    assert call(*here, "--execute")[0] == 0
    assert fingerprint(folder) == before
    assert not (lake.ops / "adopted").exists()
    code, answer = call(*here)
    assert (code, "no original" in answer["error"]) == (1, True)


def test_with_adopt_v1_gets_our_form_and_the_originals_come_back(
    lake: Lake, market: Sandbox
) -> None:
    before = fingerprint(lake.pointer)
    load(lake, market, "--adopt")
    types = {str(pq.read_schema(file).field("filing_date").type) for file in sheets(lake)}
    assert "date32[day]" in types
    assert call("restore", "--adopted", "--execute", "--lake", str(lake.root))[0] == 0
    assert fingerprint(lake.pointer) == before


def test_rows_that_the_cron_appends_are_kept_by_a_return(lake: Lake, market: Sandbox) -> None:
    load(lake, market)
    written = quantmini.cron(lake.root, market, datetime(2026, 6, 1, 18), days=60)  # noqa: DTZ001
    appended = {file: file.read_bytes() for file in written}
    code, report = call("restore", "--adopted", "--execute", "--lake", str(lake.root))
    assert code == 0
    assert "another tool wrote again since stay" in report["steps"][0]["detail"]
    assert {file: file.read_bytes() for file in written} == appended


def test_an_original_is_never_replaced_by_a_later_version(lake: Lake, market: Sandbox) -> None:
    load(lake, market)
    first = fingerprint(lake.ops / "adopted")
    written = quantmini.cron(lake.root, market, datetime(2026, 6, 1, 18), days=60)  # noqa: DTZ001
    appended = {file: file.read_bytes() for file in written}
    load(lake, market, "--fresh")  # it takes in what the cron appended, doubles out
    rewritten = {file for file in written if file.read_bytes() != appended[file]}
    assert rewritten
    originals_before = fingerprint(lake.ops / "adopted", "**/*")
    assert first.items() < originals_before.items()
    code, report = call("restore", "--adopted", "--execute", "--lake", str(lake.root))
    assert code == 0
    # The folder is as its own tool left it last; what it was before that is not lost either.
    assert {file: file.read_bytes() for file in written} == appended
    assert "earlier versions of them go there too" in report["steps"][0]["detail"]
    [away] = (lake.ops / "adopted_away").iterdir()
    assert set(fingerprint(away / "earlier").values()) <= set(first.values())
    assert fingerprint(away / "earlier")


def test_a_file_that_cannot_keep_its_form_is_named_with_the_way_out(
    lake: Lake, market: Sandbox
) -> None:
    file = next(f for f in sheets(lake) if pq.read_metadata(f).num_rows > 1)
    table = pq.read_table(file, partitioning=None).slice(0, 1)
    place = table.schema.get_field_index("fiscal_period")
    # Its tool numbers the quarters of this file: "FY" or "Q1" cannot stand in such a column.
    numbers = pd.array([1], dtype="int64")
    pq.write_table(table.set_column(place, "fiscal_period", [numbers]), file)
    before = fingerprint(lake.pointer)
    names = ",".join(market.tickers)
    code, report = call(
        "historical-load", "--generation", "v1", "--tickers", names, *where(market.url, lake)
    )
    assert code == 3
    reasons = {unit["reason"] for unit in report["v1"]["failed"]}
    assert any(f"{file} cannot take new rows" in r and "--adopt" in r for r in reasons)
    assert (
        fingerprint(lake.pointer)[str(file.relative_to(lake.pointer))]
        == before[str(file.relative_to(lake.pointer))]
    )


def test_the_fourth_quarters_of_two_years_stand_in_one_file(tmp_path: Path) -> None:
    """v1 derives them without a filing date; of each company all of them share one file."""
    with Sandbox(
        companies=2, seed=5, start=date(2024, 1, 1), today=date(2025, 6, 1), api_key=KEY
    ) as server:
        quantmini.write_lake(tmp_path / "lake", server, datetime(2025, 6, 1, 6))  # noqa: DTZ001
        lake = Lake(tmp_path / "lake")
        load(lake, server)
        first = undated(lake)
        server.advance(366)
        report = load(lake, server, "--fresh")
        assert report["rows_new"] > 0
        second = undated(lake)
        assert first
        assert all(len(ends) > len(first[name]) for name, ends in second.items() if name in first)
        assert load(lake, server, "--fresh")["files_written"] == 0
        recordings = tmp_path / "2026-06-02"
        recordings.mkdir()
        for number, body in enumerate(pages(server, 100)):
            (recordings / f"{number}.json").write_bytes(body)
        code, imported = call("import-v1", str(recordings), "--lake", str(lake.root))
        assert (code, imported["failed"], imported["rows_changed"]) == (0, [], 0)
        assert all(set(ends) <= set(undated(lake)[name]) for name, ends in second.items())


def undated(lake: Lake) -> dict[str, list[str]]:
    """Return the period ends in each file of records without a filing date."""
    return {
        str(file.relative_to(lake.pointer)): sorted(
            pq.read_table(file, columns=["end_date"], partitioning=None)["end_date"].to_pylist()
        )
        for file in lake.pointer.rglob("year=1900/month=01/*.parquet")
    }
