"""The rows of the rule on record keys, in a lake that another tool wrote."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.plugin.rules import ExpectRecordKeyToBeUnique
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.parity.records import record_rows
from polygon_fundamentals.statements import Generation, Statement
from tests.cutover_world import v1_row

FILED = "https://www.sec.gov/Archives/edgar/data/1/0000000001-24-00000{}"


def cases(lake: Lake, *files: list[tuple[str, float, int]]) -> list[str]:
    """The filings that break the rule; the files, a month each, hold (day, assets, filing)."""
    for month, rows in enumerate(files, start=5):
        path = (
            lake.bronze / f"fundamentals/balance_sheets/year=2024/month={month:02}/"
            "ticker=ABC.parquet"
        )
        path.parent.mkdir(parents=True)
        content = [
            {
                **v1_row("0000000001", "ABC", ("2024-03-31", day, 1), assets),
                "acceptance_datetime": f"{day.replace('-', '')}160000",
                "source_filing_url": FILED.format(number),
            }
            for day, assets, number in rows
        ]
        pq.write_table(pa.Table.from_pylist(content), path)
    dataset = lake.dataset(Generation.V1, Statement.BALANCE_SHEETS)
    rows = record_rows(read_dataset(dataset), dataset, ["ABC"])
    rule = ExpectRecordKeyToBeUnique(generation="v1", at_most=0)
    return sorted(rows[rule._broken(rows)]["accession"])


def test_an_original_and_its_amendment_are_versions_of_one_record(lake: Lake) -> None:
    assert cases(lake, [("2024-05-01", 100.0, 1)], [("2024-06-10", 110.0, 2)]) == []


def test_two_contents_of_one_filing_are_both_shown(lake: Lake) -> None:
    shown = cases(lake, [("2024-05-01", 100.0, 1), ("2024-05-01", 999.0, 3)])
    assert shown == ["0000000001-24-000001", "0000000001-24-000003"]


def test_two_contents_of_a_filing_that_was_amended_leave_nothing_open(lake: Lake) -> None:
    first = [("2024-05-01", 100.0, 1), ("2024-05-01", 999.0, 3)]
    assert cases(lake, first, [("2024-06-10", 110.0, 2)]) == []


def test_of_an_amendment_with_two_contents_the_original_is_not_shown(lake: Lake) -> None:
    amended = [("2024-06-10", 110.0, 2), ("2024-06-10", 120.0, 4)]
    shown = cases(lake, [("2024-05-01", 100.0, 1)], amended)
    assert shown == ["0000000001-24-000002", "0000000001-24-000004"]


ORIGINAL: dict[str, Any] = {
    **v1_row("0000000001", "ABC", ("2024-03-31", "2024-05-01", 1), 100.0),
    "acceptance_datetime": "20240501160000",
    "source_filing_url": FILED.format(1),
    "sic": "3711",
}
UNDATED: dict[str, Any] = v1_row("0000000001", "ABC", ("2024-12-31", None, 4), 100.0)
ANEW: dict[str, Any] = v1_row("0000000001", "ABC", ("2024-12-31", None, 4), 101.0)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ORIGINAL, ORIGINAL | {"company_name": "ABC Holdings Inc"}),
        (ORIGINAL, ORIGINAL | {"tickers": ["ABC", "ABC.B"]}),
        (ORIGINAL, ORIGINAL | {"sic": "3714"}),
        (UNDATED, ANEW),
    ],
    ids=["renamed", "a second class", "industry", "a quarter derived anew"],
)
def test_what_was_appended_on_another_day_is_a_version(
    lake: Lake, first: dict[str, Any], second: dict[str, Any]
) -> None:
    path = lake.bronze / "fundamentals/balance_sheets/year=2024/month=05/ticker=ABC.parquet"
    path.parent.mkdir(parents=True)
    appended = [
        first | {"downloaded_at": datetime(2025, 3, 2, tzinfo=UTC)},
        second | {"downloaded_at": datetime(2025, 7, 2, tzinfo=UTC)},
    ]
    pq.write_table(pa.Table.from_pylist(appended), path)
    dataset = lake.dataset(Generation.V1, Statement.BALANCE_SHEETS)
    rows = record_rows(read_dataset(dataset), dataset, ["ABC"])
    assert len(rows) == 1
    assert not ExpectRecordKeyToBeUnique(generation="v1", at_most=0)._broken(rows).any()
