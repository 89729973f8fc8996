"""In files of another tool's form stands what the index says, and an answer has the same hash."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.cutover.verify import verify
from polygon_fundamentals.datasets.keys import content_hashes
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import Lake, cache, index, revisions
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.lake.storage import checked
from polygon_fundamentals.load.store import StoreJob, store_v1
from polygon_fundamentals.normalise import v1_tables
from polygon_fundamentals.normalise.exact import ExactNumber
from polygon_fundamentals.reports import UpsertCounts
from polygon_fundamentals.statements import Generation, Statement
from tests.builders import quantmini

INCOME = Statement.INCOME_STATEMENTS
Row = dict[str, Any]


def leaf(value: Any, **more: Any) -> Row:
    return {"value": value, "unit": "USD", "label": "Revenues", "order": 100, **more}


def record(end: str, period: str, filed: str | None, revenues: Any, **more: Any) -> Row:
    return {
        "cik": "0000000001",
        "tickers": ["XYZ"],
        "company_name": "XYZ Inc",
        "start_date": "2023-01-01",
        "end_date": end,
        "filing_date": filed,
        "fiscal_year": end[:4],
        "fiscal_period": period,
        "timeframe": "quarterly",
        "source_filing_url": f"https://example.org/{filed}",
        "financials": {"income_statement": {"revenues": leaf(revenues)}},
        **more,
    }


ORIGINAL = record("2023-06-30", "Q2", "2023-08-05", 200.0)
AMENDMENT = record("2023-06-30", "Q2", "2023-09-20", 220.0)


@pytest.fixture
def theirs(lake: Lake) -> Lake:
    """A lake of one quarter that quantmini has loaded."""
    first = record("2023-03-31", "Q1", "2023-05-10", 100.0)
    quantmini.append(lake.bronze / "fundamentals", [first], datetime(2023, 5, 11))  # noqa: DTZ001
    return lake


def load(lake: Lake, *rows: Row) -> UpsertCounts:
    job = StoreJob(
        str(lake.root), [INCOME], [], {}, Scope.PERIODS, frozenset(["quarterly"]),
        datetime.now(UTC), owner="XYZ", rows=rows,
    )  # fmt: skip
    return store_v1(job).counts


def file_of(lake: Lake, month: int) -> Path:
    return lake.dataset(Generation.V1, INCOME).file(month, "XYZ")


def rows_of(lake: Lake, month: int) -> list[Row]:
    return pq.read_table(file_of(lake, month), partitioning=None).to_pylist()


def revenues(rows: list[Row]) -> list[float]:
    return [row["financials"]["income_statement"]["revenues"]["value"] for row in rows]


def changes(counts: UpsertCounts) -> tuple[int, int, int]:
    return counts.rows_new, counts.rows_changed, counts.rows_unchanged


def hashes_agree(lake: Lake) -> bool:
    """Whether the index has of each row the hash that its file gives."""
    dataset = lake.dataset(Generation.V1, INCOME)
    stored: dict[str, tuple[int, str]] = {}
    for partition, _, _ in dataset.files():
        file = index.read_file(dataset, partition, "XYZ")
        assert file is not None
        stored |= {k: (partition, h) for k, h in zip(file.keys, file.hashes, strict=True)}
    return index.written(dataset, "XYZ").rows == stored


@pytest.mark.parametrize("rows", [(ORIGINAL, AMENDMENT), (AMENDMENT, ORIGINAL)])
def test_the_file_holds_the_latest_filing_in_whatever_order_they_come(
    theirs: Lake, rows: tuple[Row, Row]
) -> None:
    assert changes(load(theirs, *rows)) == (1, 0, 0)
    assert revenues(rows_of(theirs, 202309)) == [220.0]
    assert hashes_agree(theirs)
    dataset = theirs.dataset(Generation.V1, INCOME)
    assert revenues(revisions.read(dataset, "XYZ").to_pylist()) == [200.0]
    assert load(theirs, *rows).files_written == 0
    third = record("2023-09-30", "Q3", "2023-09-28", 300.0)  # into the amendment's file
    assert changes(load(theirs, *rows, third)) == (1, 0, 1)
    assert sorted(revenues(rows_of(theirs, 202309))) == [220.0, 300.0]


def test_a_record_without_a_cik_keeps_all_its_sections(theirs: Lake) -> None:
    row = {**ORIGINAL, "cik": None}
    row["financials"] = {**row["financials"], "balance_sheet": {"assets": leaf(5.0)}}
    load(theirs, row)
    [stored] = rows_of(theirs, 202308)
    assert stored["financials"]["balance_sheet"]["assets"]["value"] == 5.0
    assert revenues([stored]) == [200.0]


NULLS: Mapping[str, Row] = {
    "no filing date": {"filing_date": None, "fiscal_period": "Q4"},
    "a null of the record": {"sic": None, "id": None},
    "no CIK": {"cik": None},
    "no tickers": {"tickers": []},
    "a null line": {"financials": {"income_statement": {"revenues": leaf(2.0), "costs": None}}},
    "a null value": {"financials": {"income_statement": {"revenues": leaf(None)}}},
    "a null of an unknown line": {
        "financials": {"income_statement": {"revenues": leaf(2.0), "new": leaf(1, xpath=None)}}
    },
    "an empty section": {
        "financials": {"income_statement": {"revenues": leaf(2.0)}, "balance_sheet": {}}
    },
    "a number beyond float64": {
        "financials": {"income_statement": {"revenues": leaf(ExactNumber("9007199254740993"))}}
    },
    "an integer beyond 64 bits": {"financials": {"income_statement": {"revenues": leaf(2**70)}}},
}


@pytest.mark.parametrize("name", NULLS)
def test_what_their_files_cannot_hold_is_no_difference(theirs: Lake, name: str) -> None:
    """The file takes the next row of its month, and the first one is not taken for damaged."""
    first = {**ORIGINAL, **NULLS[name]}
    assert changes(load(theirs, first)) == (1, 0, 0)
    assert hashes_agree(theirs)
    assert changes(load(theirs, first)) == (0, 0, 1)
    following = {**first, "end_date": "2023-07-31"}
    assert changes(load(theirs, first, following)) == (1, 0, 1)
    assert hashes_agree(theirs)


def test_an_empty_section_is_no_record_of_its_statement(theirs: Lake) -> None:
    row = {**ORIGINAL, "financials": {"income_statement": {}, "balance_sheet": {"a": leaf(1.0)}}}
    assert load(theirs, row).rows_new == 0
    assert not file_of(theirs, 202308).exists()


def test_rows_that_come_without_their_records_keep_what_we_know_of_them(theirs: Lake) -> None:
    """A restore and the quarantine bring rows of ours."""
    row = {**ORIGINAL, "sic": None, "new": "of v1"}
    row["financials"] = {"income_statement": {"revenues": leaf(2.0), "unknown": leaf(3.0)}}
    at = datetime.now(UTC)
    table = v1_tables([row], at)[INCOME]
    incoming = Incoming(table, {"XYZ": [0]}, Scope.WINDOW, frozenset(), at)
    commit(theirs.dataset(Generation.V1, INCOME), incoming)
    [stored] = rows_of(theirs, 202308)
    assert (stored["new"], stored["filing_date"]) == ("of v1", "2023-08-05")
    assert stored["financials"]["income_statement"]["unknown"]["value"] == 3.0
    assert hashes_agree(theirs)
    assert changes(load(theirs, row)) == (0, 0, 1)


def _as_an_earlier_version_left_it(lake: Lake, stored: Row, *sent: Row) -> None:
    """Give the index the hash of what v1 sent last, and the revisions what it sent before that."""
    dataset = lake.dataset(Generation.V1, INCOME)
    month = int(str(stored["filing_date"] or "1900-01")[:7].replace("-", ""))
    file = index.read_file(dataset, month, "XYZ")
    assert file is not None
    content = orjson.loads(dataset.index_file("XYZ").read_bytes())
    del content["own"]
    content.pop("as_read", None)
    seen = file.table["observed_at"][0].as_py()
    table = v1_tables(sent, seen)[INCOME]
    content["rows"][file.keys[0]][1] = content_hashes(table)[-1]
    dataset.index_file("XYZ").write_bytes(checked.dumps(content))
    if len(sent) > 1:
        before = table.slice(0, len(sent) - 1)
        events = [revisions.SUPERSEDED] * before.num_rows
        revisions.append(dataset, "XYZ", revisions.as_revisions(before, events, seen))


@pytest.mark.parametrize("original", [ORIGINAL, {**ORIGINAL, "sic": None}])
def test_an_amendment_that_an_earlier_version_lost_is_taken_when_it_comes_again(
    theirs: Lake, original: Row
) -> None:
    amendment = {**AMENDMENT, "filing_date": "2023-08-20"}
    load(theirs, original)
    _as_an_earlier_version_left_it(theirs, original, original, amendment)
    assert changes(load(theirs, amendment, original)) == (0, 1, 0)
    assert revenues(rows_of(theirs, 202308)) == [220.0]
    assert hashes_agree(theirs)
    dataset = theirs.dataset(Generation.V1, INCOME)
    past = revisions.read(dataset, "XYZ")
    assert revenues(past.to_pylist()) == [200.0]  # as before, and no second time
    assert load(theirs, amendment, original).files_written == 0
    assert revisions.read(dataset, "XYZ").equals(past)


def test_a_derived_quarter_of_an_earlier_version_stays_the_record_that_it_is(theirs: Lake) -> None:
    first = record("2023-12-31", "Q4", None, 400.0)
    load(theirs, first)
    before = file_of(theirs, 190001).read_bytes()
    _as_an_earlier_version_left_it(theirs, first, first)
    assert changes(load(theirs, first)) == (0, 0, 1)
    assert file_of(theirs, 190001).read_bytes() == before
    assert hashes_agree(theirs)
    read_at = index.written(theirs.dataset(Generation.V1, INCOME), "XYZ")
    assert read_at.as_read  # and the files are not read another time
    _as_an_earlier_version_left_it(theirs, first, first)
    second = record("2024-12-31", "Q4", None, 500.0)
    assert changes(load(theirs, first, second)) == (1, 0, 1)
    assert revisions.read(theirs.dataset(Generation.V1, INCOME), "XYZ").num_rows == 0


def test_the_cache_of_an_earlier_version_is_not_believed(theirs: Lake) -> None:
    """It shows rows of an answer that their file does not hold."""
    load(theirs, ORIGINAL)
    dataset = theirs.dataset(Generation.V1, INCOME)
    [part] = [p for p in (theirs.ops / "cache").rglob("*.parquet") if "income" in str(p)]
    table = pq.read_table(part, partitioning=None)
    files = orjson.loads(table.schema.metadata[b"files"]) | {"version": 3}
    place = table.schema.get_field_index("income_statement.revenues")
    wrong = table.set_column(place, table.schema.field(place), [[999.0] * len(table)])
    pq.write_table(wrong.replace_schema_metadata({"files": orjson.dumps(files)}), part)
    assert 999.0 not in read_dataset(dataset)["income_statement.revenues"].to_pylist()
    assert cache.VERSIONS[Generation.V1] > 3


def test_the_day_of_observation_is_that_of_each_row(theirs: Lake) -> None:
    at = datetime.now(UTC)
    tables = [v1_tables([row], at - timedelta(days=n))[INCOME] for n, row in enumerate(
        [ORIGINAL, record("2023-09-30", "Q3", "2023-11-05", 300.0)]
    )]  # fmt: skip
    incoming = Incoming(pa.concat_tables(tables), {"XYZ": [0, 1]}, Scope.WINDOW, frozenset(), at)
    commit(theirs.dataset(Generation.V1, INCOME), incoming)
    days = [rows_of(theirs, month)[0]["downloaded_at"].date() for month in (202308, 202311)]
    assert days == [at.date(), (at - timedelta(days=1)).date()]


def test_a_file_that_vanished_is_missed_by_the_next_load(theirs: Lake) -> None:
    load(theirs, ORIGINAL)
    file_of(theirs, 202305).unlink()
    with pytest.raises(DamagedFileError, match=r"month=05/ticker=XYZ\.parquet is not there, and"):
        load(theirs, AMENDMENT)
    assert [problem.file.split("/", 2)[-1] for problem in verify(theirs).problems] == [
        "income_statements/year=2023/month=05/ticker=XYZ.parquet"
    ]


def test_a_file_whose_rows_the_tool_moved_to_another_month_is_not_missed(theirs: Lake) -> None:
    load(theirs, ORIGINAL)
    [moved] = rows_of(theirs, 202305)
    file_of(theirs, 202305).unlink()
    later = {**moved, "filing_date": "2023-06-10"}
    quantmini.append(theirs.bronze / "fundamentals", [later], datetime(2023, 6, 11))  # noqa: DTZ001
    assert changes(load(theirs, AMENDMENT)) == (0, 1, 0)
    assert revenues(rows_of(theirs, 202306)) == [100.0]
    assert hashes_agree(theirs)
