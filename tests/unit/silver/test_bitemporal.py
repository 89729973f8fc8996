"""The history's versions, `join_as_of`, and the reading of both as docs/silver.md shows it."""

from __future__ import annotations

import os
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals import silver
from polygon_fundamentals.errors import LakeError, UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.templates import copied
from tests.unit.silver.feeding import keep_dates, put, v2_balance

V2 = Generation.V2
INCOME = Statement.INCOME_STATEMENTS
DOCS = Path(__file__).parents[3] / "docs" / "silver.md"
FIRST = {"period_end": "2024-03-31", "fiscal_quarter": 1}
SECOND = {"period_end": "2024-06-30", "fiscal_quarter": 2}


@pytest.fixture
def built(lake: Lake) -> Lake:
    return copied(lake, build_restated)


def build_restated(lake: Lake) -> None:
    """Two quarters of ABC; the first is restated after the second was filed, with fewer lines."""
    lake.prepare()
    lake.pointer.symlink_to("fundamentals_v2")
    whole = {"total_liabilities": 40.0}
    for row, at in (
        (v2_balance("2024-05-01", 100.0, **FIRST, **whole), "2024-05-02T12:00"),
        (v2_balance("2024-08-01", 200.0, **SECOND, **whole), "2024-08-02T12:00"),
        (v2_balance("2025-05-01", 101.0, **FIRST), "2025-05-02T12:00"),
    ):
        put(lake, V2, row, at)
    income = {"total_assets": None, "revenue": 7.0}
    put(
        lake,
        V2,
        v2_balance("2025-06-01", 0, **SECOND, **income),
        "2025-06-02T12:00",
        statement=INCOME,
    )
    silver.build(lake)


@pytest.fixture
def late_values(lake: Lake) -> Lake:
    return copied(lake, build_late_values)


def build_late_values(lake: Lake) -> None:
    """A quarter of ABC as it was filed, and the next as another filing repeated it a year later."""
    lake.prepare()
    lake.pointer.symlink_to("fundamentals_v2")
    put(lake, V2, v2_balance("2024-05-01", 100.0, **FIRST), "2026-01-05T12:00")
    put(lake, V2, v2_balance("2025-08-01", 200.0, **SECOND), "2026-01-05T12:00")
    keep_dates(lake, {"2024-06-30": "2024-08-01"})
    silver.build(lake)


def joined(lake: Lake, *days: str, **options: Any) -> list[dict[str, Any]]:
    frame = pa.table({"ticker": ["ABC"] * len(days), "date": [date.fromisoformat(d) for d in days]})
    columns = options.pop("columns", ["bs_total_assets"])
    return silver.join_as_of(frame, lake, columns=columns, **options).to_pylist()


def test_each_version_from_when_to_when(built: Lake) -> None:
    rows = silver.read_history(built, ["ABC"]).to_pylist()
    found = [
        (
            str(row["period_end"]),
            str(row["known_from"]),
            str(row["known_to"]),
            row["bs_total_assets"],
            row["bs_total_liabilities"],
            row["is_revenue"],
            row["knowledge"],
        )
        for row in rows
    ]
    assert found == [
        ("2024-03-31", "2024-05-01", "2025-05-01", 100.0, 40.0, None, "filed"),
        ("2024-03-31", "2025-05-01", "None", 101.0, None, None, "filed"),
        ("2024-06-30", "2024-08-01", "2025-06-01", 200.0, 40.0, None, "filed"),
        ("2024-06-30", "2025-06-01", "None", 200.0, 40.0, 7.0, "filed"),
    ]


def test_a_restated_old_period_is_not_the_latest_again(built: Lake) -> None:
    days = ["2024-04-30", "2024-05-01", "2024-07-31", "2024-08-01", "2025-05-01", "2025-06-01"]
    found = [
        (row["period_end"] and str(row["period_end"]), row["bs_total_assets"], row["known_from"])
        for row in joined(built, *days)
    ]
    assert found == [
        (None, None, None),
        ("2024-03-31", 100.0, date(2024, 5, 1)),
        ("2024-03-31", 100.0, date(2024, 5, 1)),
        ("2024-06-30", 200.0, date(2024, 8, 1)),
        ("2024-06-30", 200.0, date(2024, 8, 1)),
        ("2024-06-30", 200.0, date(2025, 6, 1)),
    ]


def test_a_filing_date_before_the_periods_end_blocks_no_quarter_that_is_over(lake: Lake) -> None:
    lake.pointer.symlink_to("fundamentals_v2")
    third = {"period_end": "2024-09-30", "fiscal_quarter": 3}
    put(lake, V2, v2_balance("2024-05-01", 90.0, **FIRST), "2026-02-01T12:00")
    put(lake, V2, v2_balance("2024-05-01", 100.0, **third), "2026-02-01T12:00")
    silver.build(lake)
    rows = joined(lake, "2024-05-02", "2024-10-01", "2026-02-01")
    assert [row["bs_total_assets"] for row in rows] == [90.0, 90.0, 100.0]
    [wrong] = [
        row for row in silver.read_history(lake).to_pylist() if row["bs_total_assets"] == 100.0
    ]
    assert (wrong["filing_date"], wrong["knowledge"]) == (None, "observed")


def test_a_later_filing_with_fewer_lines_takes_nothing_from_the_latest_period(built: Lake) -> None:
    """Neither the restated old period nor a filing of another statement alone."""
    columns = ["bs_total_liabilities", "is_revenue"]
    before, restated, income = joined(
        built, "2025-04-30", "2025-05-31", "2025-06-01", columns=columns
    )
    assert [row["bs_total_liabilities"] for row in (before, restated, income)] == [40.0] * 3
    assert [row["is_revenue"] for row in (before, restated, income)] == [None, None, 7.0]


def test_a_period_is_the_latest_only_once_its_values_could_be_known(late_values: Lake) -> None:
    """The history has it from its first filing on, and says so."""
    (row,) = silver.read_history(late_values, ["ABC"]).to_pylist()[1:]
    days = [str(row[name]) for name in ("known_from", "values_known_from", "known_to")]
    assert days == ["2024-08-01", "2025-08-01", "None"]
    days = ["2024-04-30", "2024-08-01", "2025-07-31", "2025-08-01"]
    found = [
        (row["period_end"] and str(row["period_end"]), row["bs_total_assets"], row["known_from"])
        for row in joined(late_values, *days)
    ]
    assert found == [
        (None, None, None),
        ("2024-03-31", 100.0, date(2024, 5, 1)),
        ("2024-03-31", 100.0, date(2024, 5, 1)),
        ("2024-06-30", 200.0, date(2025, 8, 1)),
    ]


def test_frames_of_every_kind_keep_their_rows(built: Lake) -> None:
    days = pd.to_datetime(["2025-01-01", "2024-01-01", None, "2024-05-01"])
    frame = pd.DataFrame(
        {"ticker": ["ABC", "ABC", "ABC", "NONE"], "date": days}, index=[9, 7, 5, 3]
    )
    found = silver.join_as_of(frame, built, columns=["bs_total_assets"])
    assert isinstance(found, pd.DataFrame)
    assert found.index.tolist() == [9, 7, 5, 3]
    assert found["bs_total_assets"].fillna(-1).tolist() == [200.0, -1, -1, -1]
    assert list(found) == ["ticker", "date", "period_end", "known_from", "bs_total_assets"]
    # 02:00 in London is still the day before in New York.
    moment = pd.Timestamp("2024-08-01 02:00", tz="Europe/London")
    zoned = pd.DataFrame({"ticker": ["ABC"], "date": [moment]})
    assert silver.join_as_of(zoned, built, columns=[])["period_end"][0] == date(2024, 3, 31)
    arrow = silver.join_as_of(pl.from_pandas(frame), built, columns=["bs_total_assets"])
    assert arrow["bs_total_assets"].to_pylist() == [200.0, None, None, None]
    none = frame.iloc[:0]
    assert silver.join_as_of(none, built, columns=["is_revenue"]).empty


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            {},
            {"columns": ["revenue"]},
            "'revenue' is not a column of silver; choose from ticker, cik",
        ),
        (
            {},
            {"timeframe": "weekly"},
            "'weekly' is not a timeframe; choose from quarterly",
        ),
        ({}, {"on": "day"}, "'day' is not a column of the frame; choose from ticker, date"),
        ({"period_end": 1}, {}, "the frame already has a column 'period_end'; rename it"),
        (
            {"date": "2024-05-01"},
            {},
            "the column date has values of type .*string; convert them to dates",
        ),
    ],
)
def test_wrong_use_is_named(
    built: Lake, change: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    frame = pd.DataFrame({"ticker": ["ABC"], "date": [pd.Timestamp("2024-05-01")]}).assign(**change)
    with pytest.raises(UsageError, match=message):
        silver.join_as_of(frame, built, **({"columns": ["is_revenue"]} | options))


def test_a_lake_is_named_by_its_folder(built: Lake) -> None:
    prices = pd.DataFrame({"ticker": ["AAA"], "date": [date(2024, 6, 1)]})
    joined = silver.join_as_of(prices, built, columns=["bs_total_assets"])
    as_of = silver.as_of(built, date(2024, 6, 1))
    folder = str(built.root)
    for lake in (folder, built.root):
        assert silver.join_as_of(prices, lake, columns=["bs_total_assets"]).equals(joined)
        assert silver.table_path(lake) == silver.table_path(built)
        assert silver.as_of(lake, date(2024, 6, 1)).equals(as_of)
    with pytest.raises(LakeError, match="elsewhere is not a lake: it has no folder bronze"):
        silver.as_of(f"{folder}/elsewhere", date(2024, 6, 1))


def test_without_a_build_it_says_how_to_get_one(lake: Lake) -> None:
    with pytest.raises(LakeError, match="build it with `polygon-fundamentals silver`"):
        joined(lake, "2024-05-01")


def code_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)


def test_the_documented_code_can_be_pasted(built: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's own prices and lake, in DuckDB; no ticker of them is in this lake."""
    monkeypatch.chdir(built.root)
    Path("data").mkdir()
    Path("data/lake").symlink_to(built.root)
    prices, sql, *_ = code_blocks()
    names: dict[str, Any] = {}
    exec(prices + sql, names)
    assert list(names["joined"]["close"].sort_values()) == [192.25, 200.85, 460.36]
    assert {"period_end", "known_from", "is_revenue"} <= set(names["joined"].columns)


@pytest.mark.parametrize(("fixture", "revenue"), [("built", 7.0), ("late_values", None)])
def test_the_documented_code_says_what_join_as_of_says(
    fixture: str,
    revenue: float | None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lake: Lake = request.getfixturevalue(fixture)
    monkeypatch.chdir(lake.root)
    # A ticker may have several rows of one day, as bars within the day are: each is kept.
    days = [date(2024, 4, 1) + timedelta(days=64 * (n // 2)) for n in range(18)]
    table = pa.table({"ticker": ["ABC"] * 18 + ["NONE"] * 18, "date": days * 2})
    order = [("date", "ascending"), ("ticker", "ascending")]
    _, in_duckdb, ours, in_polars = code_blocks()
    names: dict[str, Any] = {"lake": str(lake.root), "prices": table}
    exec(ours, names)
    expected = names["joined"].sort_by(order).to_pylist()
    of_abc = [row for row in expected if row["ticker"] == "ABC"]
    assert (of_abc[-1]["period_end"], of_abc[-1]["is_revenue"]) == (date(2024, 6, 30), revenue)
    with duckdb.connect() as database:
        database.register("prices", table)
        sql = in_duckdb.split('"""')[1].format(lake=lake.root)
        found = database.sql(sql).to_arrow_table().select(names["joined"].schema.names)
    assert found.sort_by(order).to_pylist() == expected
    names = {"lake": lake.root, "prices": pl.from_arrow(table)}
    exec(in_polars, names)
    assert names["joined"].sort("date", "ticker").to_dicts() == expected


def test_every_reader_reads_both_tables(built: Lake) -> None:
    wide, history = (built.silver / name for name in (silver.TABLE, silver.HISTORY_TABLE))
    for folder, rows in ((wide, 2), (history, 4)):
        glob = f"{folder}/*/*.parquet"
        assert len(pd.read_parquet(folder)) == pq.read_table(folder).num_rows == rows
        assert pl.scan_parquet(glob).collect().height == rows
        assert duckdb.sql(f"select count(*) from '{glob}'").fetchall() == [(rows,)]
    assert set(pq.read_table(wide).schema.names) == {*silver.wide_schema().names, "year"}
    sql = f"select {', '.join(silver.wide_schema().names)} from '{history}/*/*.parquet'"
    known_today = duckdb.sql(f"{sql} where known_to is null order by period_end").to_arrow_table()
    ours = pq.read_table(wide).select(silver.wide_schema().names).sort_by("period_end")
    assert known_today.cast(ours.schema).to_pylist() == ours.to_pylist()


def test_one_rename_switches_both_tables(built: Lake) -> None:
    first = silver.current_build(built)
    assert first is not None
    assert os.readlink(built.silver / silver.HISTORY_TABLE) == f"{silver.TABLE}/_history"
    put(built, V2, v2_balance("2024-11-01", 300.0, period_end="2024-09-30"), "2025-07-01T12:00")
    second = silver.build(built, link=False)
    paths = {silver.table_path(built, name) for name in (silver.TABLE, silver.HISTORY_TABLE)}
    assert {path.name for path in paths} == {first.id}
    silver.point(built, second)
    paths = {silver.table_path(built, name) for name in (silver.TABLE, silver.HISTORY_TABLE)}
    assert {path.name for path in paths} == {second.id}
    assert (second.history_rows, second.history_files, second.history_files_written) == (5, 1, 1)
    assert silver.build(built).id == second.id


def test_what_stands_in_the_place_of_its_link_is_refused(lake: Lake) -> None:
    (lake.silver / silver.HISTORY_TABLE).mkdir(parents=True)
    with pytest.raises(LakeError, match="fundamentals_history is not a link: another tool made it"):
        silver.build(lake, V2)
