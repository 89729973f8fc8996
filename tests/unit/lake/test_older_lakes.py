"""Lakes that older tools wrote are read as they are, deduplicated and updated."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.business_days import day_of
from polygon_fundamentals.datasets.keys import content_hashes
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import Lake, revisions
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.read import read_dataset, repeated_rows
from polygon_fundamentals.normalise import v1_tables
from polygon_fundamentals.reports import UpsertCounts
from polygon_fundamentals.statements import Generation, Statement

DOWNLOADED = datetime(2024, 5, 3, 10, tzinfo=UTC)
# After every file of a test, however long the tests before it take.
MOMENT = datetime.now(UTC) + timedelta(days=1)


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


def put(lake: Lake, rows: list[dict[str, Any]], scope: Scope = Scope.PERIODS) -> UpsertCounts:
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


def flat(**columns: Any) -> pa.Table:
    """One row of v2 as an older tool may have written it."""
    told = {
        "cik": "0009000001",
        "period_end": "2024-03-31",
        "filing_date": "2024-05-02",
        "fiscal_year": 2024,
        "fiscal_quarter": 1,
        "timeframe": "quarterly",
        "total_assets": 10.0,
    }
    return pa.table({name: [value] for name, value in told.items()} | columns)


@pytest.mark.parametrize(
    ("columns", "stored", "unmapped"),
    [
        ({"total_assets": [Decimal("12.50")]}, {"total_assets": 12.5}, None),
        (
            {"total_assets": [Decimal("12345678901234567.89")]},
            {"total_assets": 12345678901234568.0},
            {"total_assets": 12345678901234567.89},
        ),
        ({"total_assets": [True]}, {"total_assets": None}, {"total_assets": True}),
        ({"cik": ["9000001"]}, {"cik": "0009000001"}, None),
        ({"cik": ["9000001.0"]}, {"cik": "0009000001"}, None),
        ({"cik": [b"9000001"]}, {"cik": "0009000001"}, None),
        ({"cik": [9000001.0]}, {"cik": "0009000001"}, None),
        ({"cik": [Decimal("9000001")]}, {"cik": "0009000001"}, None),
        ({"cik": [" "]}, {"cik": None}, None),
        ({"cik": [float("nan")]}, {"cik": None}, None),
        ({"cik": [float("inf")]}, {"cik": None}, {"cik": "inf"}),
        ({"fiscal_year": ["2024.0"]}, {"fiscal_year": 2024}, None),
        ({"fiscal_year": [float("nan")]}, {"fiscal_year": None}, None),
        ({"fiscal_year": [2024.7]}, {"fiscal_year": None}, {"fiscal_year": 2024.7}),
        ({"more": [b"\xff"]}, {}, {"more": "b'\\xff'"}),
        ({"more": [time(1, 2)]}, {}, {"more": "01:02:00"}),
        ({"more": [timedelta(days=2)]}, {}, {"more": "2 days, 0:00:00"}),
        (
            {"more": [datetime(2024, 5, 1, 1, 2, 3, tzinfo=UTC)]},
            {},
            {"more": "2024-05-01 01:02:03+00:00"},
        ),
        ({"more": [[Decimal("1.5"), None]]}, {}, {"more": [1.5, None]}),
        ({"more": [[float("nan")]]}, {}, {"more": ["nan"]}),
        ({"more": [float("nan")]}, {}, None),
    ],
)
def test_odd_columns_of_an_older_file_are_read_or_kept(
    lake: Lake, columns: dict[str, Any], stored: dict[str, Any], unmapped: Any
) -> None:
    dataset = lake.dataset(Generation.V2, Statement.BALANCE_SHEETS)
    path = dataset.file(202405, "AAA")
    path.parent.mkdir(parents=True)
    pq.write_table(flat(**columns), path)
    [row] = read_dataset(dataset).to_pylist()
    expected = {"cik": "0009000001", "fiscal_year": 2024, "total_assets": 10.0} | stored
    assert {name: row[name] for name in expected} == expected
    assert (row["unmapped"] and json.loads(row["unmapped"])) == unmapped


def test_numbers_in_a_json_text_are_kept_as_they_are_in_an_answer(lake: Lake) -> None:
    text = '{"balance_sheet":{"assets":{"value":9007199254740993.123}}}'
    odd = {**record("2024-03-31", "2024-05-02", 1.0), "financials": text}
    blank = {**record("2024-06-30", "2024-05-09", 1.0), "financials": ""}
    write(lake, "balance_sheets", "2024-05-02", pa.Table.from_pylist([odd, blank]))
    assert balance(lake)["balance_sheet.assets"].to_pylist() == [9007199254740994.0, None]
    assert balance(lake)["unmapped"].to_pylist() == [
        '{"financials.balance_sheet.assets.value":9007199254740993.123}',
        None,
    ]


@pytest.mark.parametrize(
    ("financials", "reason"),
    [
        ("{'balance_sheet': None}", "a text in financials is not JSON"),
        (f'{{"x":{"[" * 400}{"]" * 400}}}', "(recursion|nested too deep)"),
        (f'{{"x":{"[" * 900}{"]" * 900}}}', "(recursion|nested too deep)"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_file_that_cannot_be_understood_is_named_and_stays(
    lake: Lake, financials: str, reason: str
) -> None:
    odd = {**record("2024-03-31", "2024-05-02", 1.0), "financials": financials}
    path = write(lake, "balance_sheets", "2024-05-02", pa.Table.from_pylist([odd]))
    before = path.read_bytes()
    for act in (balance, lambda lake: put(lake, [record("2024-03-31", "2024-05-02", 2.0)])):
        with pytest.raises(DamagedFileError, match=f"ticker=AAA.parquet cannot be read.*{reason}"):
            act(lake)
    assert path.read_bytes() == before


def test_an_unpadded_cik_of_an_older_file_is_the_same_company(lake: Lake) -> None:
    first = record("2024-03-31", "2024-05-02", 10.0)
    path = write(
        lake, "balance_sheets", "2024-05-02", pa.Table.from_pylist([{**first, "cik": "9000001"}])
    )
    assert put(lake, [first]).rows_unchanged == 1
    # An index of an earlier version knew it under the CIK as it stands there.
    told = lake.dataset(Generation.V1, Statement.BALANCE_SHEETS).index_file("AAA")
    index = json.loads(told.read_bytes())
    rows = {key.removeprefix("000"): row for key, row in index["rows"].items()}
    told.write_text(json.dumps(index | {"version": 1, "rows": rows}))
    second = record("2024-06-30", "2024-05-09", 20.0)
    assert put(lake, [second]).rows_new == 1
    assert pq.read_table(path, partitioning=None)["cik"].to_pylist() == ["9000001", "0009000001"]
    assert set(balance(lake)["cik"].to_pylist()) == {"0009000001"}
    assert sorted(balance(lake)["balance_sheet.assets"].to_pylist()) == [10.0, 20.0]


@pytest.mark.parametrize("with_pandas", [True, False])
def test_a_file_of_ours_that_an_older_tool_appended_to_keeps_what_we_noted(
    lake: Lake, with_pandas: bool
) -> None:
    first = {**record("2024-03-31", "2024-05-02", 10.0), "new_key": 1}
    second = record("2024-06-30", "2024-05-09", 20.0)
    put(lake, [first])
    [before] = balance(lake).to_pylist()
    dataset = lake.dataset(Generation.V1, Statement.BALANCE_SHEETS)
    path = dataset.file(202405, "AAA")
    ours = pq.read_table(path, partitioning=None).replace_schema_metadata(None)
    days = ("end_date", "filing_date")
    theirs = second | {name: date.fromisoformat(second[name]) for name in days}
    if with_pandas:
        frame = pd.concat([ours.to_pandas(), pd.DataFrame([theirs])], ignore_index=True)
        frame.to_parquet(path)
    else:
        other = pa.Table.from_pylist([theirs])
        pq.write_table(pa.concat_tables([ours, other], promote_options="permissive"), path)
    found = {str(row["end_date"]): row for row in balance(lake).to_pylist()}
    assert found["2024-03-31"] == before
    assert found["2024-06-30"]["balance_sheet.assets"] == 20.0
    assert found["2024-06-30"]["unmapped"] is None
    assert found["2024-06-30"]["observed_at"] != MOMENT
    counts = put(lake, [first, second])
    assert (counts.rows_new, counts.rows_changed, counts.rows_unchanged) == (0, 0, 2)
    assert revisions.read(dataset, "AAA").num_rows == 0


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


def test_an_original_that_an_older_tool_writes_again_does_not_displace_our_amendment(
    lake: Lake,
) -> None:
    put(lake, [AMENDMENT])
    path = write(lake, "balance_sheets", "2024-05-02", pa.Table.from_pylist([ORIGINAL]))
    os.utime(path, (MOMENT.timestamp() + 9, MOMENT.timestamp() + 9))
    assert balance(lake)["balance_sheet.assets"].to_pylist() == [999.0]
    put(lake, [record("2023-12-31", "2024-05-20", 5.0)], Scope.WINDOW)
    assert sorted(balance(lake)["balance_sheet.assets"].to_pylist()) == [5.0, 999.0]
    assert pq.read_table(path, partitioning=None).num_rows == 1


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


def _without_partition(rows: pa.Table) -> pa.Table:
    return rows.drop_columns(["partition"])


@pytest.mark.parametrize(
    "moments",
    [
        ("2024-05-03T10:00:00", "2024-06-03T10:00:00"),
        (pd.Timestamp(2024, 6, 3, 10), pd.Timestamp(2024, 5, 3, 10)),
        (DOWNLOADED, None),
        ("2024-05-03T10:00:00+00:00", "yesterday"),
        ("2024-05-03T10:00:00Z", "2199-01-01T00:00:00Z"),
    ],
    ids=["text", "timestamps", "one without", "one that is no time", "one after the file"],
)
def test_when_a_tool_downloaded_a_row_is_evidence_and_no_content(
    moments: tuple[Any, Any], lake: Lake
) -> None:
    first = record("2024-03-31", "2024-05-02", 10.0)
    table = pa.Table.from_pylist([first | {"downloaded_at": moment} for moment in moments])
    write(lake, "balance_sheets", "2024-05-02", table)
    dataset = lake.dataset(Generation.V1, Statement.BALANCE_SHEETS)
    stored = read_dataset(dataset)
    assert stored["observed_at"].to_pylist() == [DOWNLOADED]
    assert stored["unmapped"].to_pylist() == [None]
    assert len(set(content_hashes(_without_partition(repeated_rows(dataset, ["AAA"]))))) == 1
    counts = put(lake, [first])
    assert (counts.rows_new, counts.rows_changed, counts.rows_unchanged) == (0, 0, 1)
    assert revisions.read(dataset, "AAA").num_rows == 0
    assert read_dataset(dataset)["observed_at"].to_pylist() == [
        datetime(2024, 5, 3, 10, tzinfo=UTC)
    ]


def test_a_day_on_which_a_tool_downloaded_is_one_of_new_york(lake: Lake) -> None:
    row = record("2024-03-31", "2024-05-02", 10.0) | {"downloaded_at": "2024-05-31"}
    write(lake, "balance_sheets", "2024-05-02", pa.Table.from_pylist([row]))
    [moment] = balance(lake)["observed_at"].to_pylist()
    assert (moment, day_of(moment)) == (datetime(2024, 5, 31, 4, tzinfo=UTC), date(2024, 5, 31))


def test_columns_of_singer_are_no_content(lake: Lake) -> None:
    first = record("2024-03-31", "2024-05-02", 10.0)
    noted = first | {"_sdc_extracted_at": "2024-05-04T00:00:00Z", "_sdc_sequence": 5}
    write(lake, "balance_sheets", "2024-05-02", pa.Table.from_pylist([noted]))
    assert (put(lake, [first]).rows_changed, balance(lake)["unmapped"].to_pylist()) == (0, [None])


def test_a_row_that_differs_in_what_the_vendor_said_is_another_version(lake: Lake) -> None:
    rows = [
        record("2024-03-31", "2024-05-02", assets) | {"downloaded_at": f"2024-05-0{day}T00:00:00Z"}
        for day, assets in ((3, 10.0), (4, 11.0))
    ]
    write(lake, "balance_sheets", "2024-05-02", pa.Table.from_pylist(rows))
    dataset = lake.dataset(Generation.V1, Statement.BALANCE_SHEETS)
    assert balance(lake)["balance_sheet.assets"].to_pylist() == [11.0]
    assert len(set(content_hashes(_without_partition(repeated_rows(dataset, ["AAA"]))))) == 2
