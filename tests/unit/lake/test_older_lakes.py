"""Lakes that older tools wrote are read as they are, deduplicated and updated."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.lake import Lake, revisions
from polygon_fundamentals.lake.commit import Counts, Incoming, Scope, commit
from polygon_fundamentals.lake.read import read_dataset, repeated_rows
from polygon_fundamentals.normalise import v1_tables
from polygon_fundamentals.statements import Generation, Statement

MOMENT = datetime.now(UTC) + timedelta(minutes=1)


def leaf(value: float, order: int = 100) -> dict[str, Any]:
    return {"value": value, "unit": "USD", "label": "Line", "order": order}


def record(end: str, filed: str | None, assets: float) -> dict[str, Any]:
    return {
        "cik": "0009000001",
        "tickers": ["AAA"],
        "company_name": "Synthetic A",
        "end_date": end,
        "filing_date": filed,
        "fiscal_year": "2024",
        "fiscal_period": "Q1",
        "timeframe": "quarterly",
        "financials": {
            "balance_sheet": {"assets": leaf(assets), "equity": leaf(assets / 2, 1400)},
            "income_statement": {"revenues": leaf(7.0)},
            "cash_flow_statement": {"net_cash_flow": leaf(3.0, 1100)},
        },
    }


def write(lake: Lake, statement: str, filed: str, table: pa.Table) -> Path:
    folder = lake.bronze / "fundamentals" / statement
    path = folder / f"year={filed[:4]}/month={filed[5:7]}/ticker=AAA.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def put(lake: Lake, rows: list[dict[str, Any]], scope: Scope = Scope.PERIODS) -> Counts:
    statement = Statement.BALANCE_SHEETS
    table = v1_tables(rows, MOMENT)[statement]
    incoming = Incoming(table, {"AAA": range(len(rows))}, scope, frozenset(), MOMENT)
    return commit(lake.dataset(Generation.V1, statement), incoming)


def balance(lake: Lake) -> pa.Table:
    return read_dataset(lake.dataset(Generation.V1, Statement.BALANCE_SHEETS))


def test_rows_appended_twice_count_once_and_are_tidied_up(lake: Lake) -> None:
    first = record("2024-03-31", "2024-05-02", 10.0)
    path = write(lake, "balance_sheets", "2024-05-02", pa.Table.from_pylist([first, first]))
    assert balance(lake)["balance_sheet.assets"].to_pylist() == [10.0]
    counts = put(lake, [first])
    assert (counts.rows_new, counts.rows_changed, counts.rows_unchanged) == (0, 0, 1)
    assert pq.read_table(path, partitioning=None).num_rows == 1
    kept = lake.ops / "adopted/v1.balance_sheets/year=2024/month=05/ticker=AAA.parquet"
    assert pq.read_table(kept, partitioning=None).num_rows == 2
    assert put(lake, [first]).files_written == 0


def test_a_file_that_another_tool_writes_after_our_first_keeps_its_rows(lake: Lake) -> None:
    """A user's own job goes on writing v1 while both run, as it should."""
    put(lake, [record("2023-12-31", "2024-02-02", 9.0)])
    year = {**record("2024-03-31", "2024-05-02", 40.0), "fiscal_period": "FY"}
    theirs = [{**year, "timeframe": "annual"}, {**year, "timeframe": "ttm"}]
    write(lake, "balance_sheets", "2024-05-02", pa.Table.from_pylist(theirs))
    counts = put(lake, [record("2024-03-31", "2024-05-09", 10.0)], Scope.WINDOW)
    assert (counts.rows_new, counts.rows_changed, counts.rows_withdrawn) == (1, 0, 0)
    found = balance(lake)
    assert sorted(
        zip(found["timeframe"].to_pylist(), found["balance_sheet.assets"].to_pylist(), strict=True)
    ) == [
        ("annual", 40.0),
        ("quarterly", 9.0),
        ("quarterly", 10.0),
        ("ttm", 40.0),
    ]
    assert (
        revisions.read(lake.dataset(Generation.V1, Statement.BALANCE_SHEETS), "AAA").num_rows == 0
    )


def test_the_whole_financials_in_a_file_are_read_and_not_taken_for_a_change(lake: Lake) -> None:
    first = record("2024-03-31", "2024-05-02", 10.0)
    path = write(lake, "balance_sheets", "2024-05-02", pa.Table.from_pylist([first]))
    before = path.read_bytes()
    assert put(lake, [first]).rows_unchanged == 1
    assert path.read_bytes() == before
    counts = put(lake, [record("2024-03-31", "2024-05-02", 11.0)])
    assert counts.rows_changed == 1
    assert balance(lake)["balance_sheet.assets"].to_pylist() == [11.0]


def test_columns_that_vary_integers_and_json_text(lake: Lake) -> None:
    odd = {
        "ticker": "AAA",
        "cik": 9000001,
        "end_date": date(2024, 3, 31),
        "filing_date": datetime(2024, 5, 2, tzinfo=UTC),
        "fiscal_year": 2024,
        "fiscal_period": "Q1",
        "timeframe": "quarterly",
        "financials": json.dumps({"balance_sheet": {"assets": leaf(10)}}),
    }
    write(lake, "balance_sheets", "2024-05-02", pa.Table.from_pylist([odd]))
    later = record("2024-06-30", "2024-08-02", 20)
    later["financials"]["balance_sheet"]["assets"]["value"] = 20
    frame = pd.DataFrame([later])
    write(lake, "balance_sheets", "2024-08-02", pa.Table.from_pandas(frame))
    found = balance(lake)
    assert sorted(found["balance_sheet.assets"].to_pylist()) == [10.0, 20.0]
    assert found["cik"].to_pylist() == ["0009000001", "0009000001"]
    assert found["fiscal_year"].to_pylist() == ["2024", "2024"]
    assert sorted(found["filing_date"].to_pylist()) == [date(2024, 5, 2), date(2024, 8, 2)]


def test_not_a_number_of_an_older_file_is_written_again_as_it_was(lake: Lake) -> None:
    older = record("2024-03-31", "2024-05-02", float("nan"))
    path = write(lake, "balance_sheets", "2024-05-02", pa.Table.from_pylist([older]))
    assert put(lake, [record("2023-12-31", "2024-05-20", 9.0)]).rows_new == 1
    values = pq.read_table(path, partitioning=None)["financials"].to_pylist()
    assert [str(row["balance_sheet"]["assets"]["value"]) for row in values] == ["nan", "9.0"]


def test_the_same_key_in_two_files_counts_once(lake: Lake) -> None:
    older = write(
        lake,
        "balance_sheets",
        "2024-05-02",
        pa.Table.from_pylist([record("2024-03-31", "2024-05-02", 10.0)]),
    )
    os.utime(older, (1, 1))
    write(
        lake,
        "balance_sheets",
        "2024-06-02",
        pa.Table.from_pylist([record("2024-03-31", "2024-06-02", 12.0)]),
    )
    assert balance(lake)["balance_sheet.assets"].to_pylist() == [12.0]
    put(lake, [record("2024-03-31", "2024-06-02", 12.0)])
    assert not older.exists()


ORIGINAL = {
    **record("2024-03-31", "2024-05-02", 100.0),
    "acceptance_datetime": "2024-05-02T06:00:00Z",
}
AMENDMENT = {
    **record("2024-03-31", "2024-06-10", 999.0),
    "acceptance_datetime": "20240610060000",  # as v1's first records have it
}


@pytest.mark.parametrize(
    ("original", "amendment"),
    [
        ({}, {}),
        # Without the moment, or with the same one, the filing date tells.
        ({"acceptance_datetime": None}, {"acceptance_datetime": None}),
        (
            {"acceptance_datetime": "2024-05-02T06:00:00Z"},
            {"acceptance_datetime": "20240502060000"},
        ),
        # A derived record has no date at all.
        ({"acceptance_datetime": None, "filing_date": None}, {"acceptance_datetime": None}),
    ],
)
@pytest.mark.parametrize("in_one_file", [True, False])
def test_an_amendment_stands_over_an_original_that_was_touched_later(
    lake: Lake, in_one_file: bool, original: dict[str, Any], amendment: dict[str, Any]
) -> None:
    first, second = ORIGINAL | original, AMENDMENT | amendment
    if in_one_file:
        write(lake, "balance_sheets", "2024-06-10", pa.Table.from_pylist([second, first]))
    else:
        later = write(lake, "balance_sheets", "2024-06-10", pa.Table.from_pylist([second]))
        os.utime(later, (1, 1))
        write(lake, "balance_sheets", "2024-05-02", pa.Table.from_pylist([first]))
    dataset = lake.dataset(Generation.V1, Statement.BALANCE_SHEETS)
    assert balance(lake)["balance_sheet.assets"].to_pylist() == [999.0]
    both = repeated_rows(dataset, ["AAA"])["balance_sheet.assets"].to_pylist()
    assert sorted(both) == [100.0, 999.0]
    # A load of something else tidies up, and keeps the same one.
    put(lake, [record("2024-06-30", "2024-08-02", 5.0)], Scope.WINDOW)
    assert sorted(balance(lake)["balance_sheet.assets"].to_pylist()) == [5.0, 999.0]
    told = revisions.read(dataset, "AAA")["financials"].to_pylist()
    assert [row["balance_sheet"]["assets"]["value"] for row in told] == [100.0]
    assert put(lake, [first], Scope.WINDOW).rows_changed == 0


def test_the_cache_follows_what_changes(lake: Lake) -> None:
    write(
        lake,
        "balance_sheets",
        "2024-05-02",
        pa.Table.from_pylist([record("2024-03-31", "2024-05-02", 10.0)]),
    )
    assert balance(lake).num_rows == 1
    path = write(
        lake,
        "balance_sheets",
        "2024-08-02",
        pa.Table.from_pylist([record("2024-06-30", "2024-08-02", 20.0)]),
    )
    assert sorted(balance(lake)["partition"].to_pylist()) == [202405, 202408]
    assert balance(lake).num_rows == 2
    path.unlink()
    assert balance(lake)["partition"].to_pylist() == [202405]
    assert (
        read_dataset(lake.dataset(Generation.V1, Statement.BALANCE_SHEETS), ["NONE"]).num_rows == 0
    )
