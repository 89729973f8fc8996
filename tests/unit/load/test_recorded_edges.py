"""What recordings hold besides whole pages: days without a time, cut files, odd characters."""

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

from polygon_fundamentals import silver
from polygon_fundamentals.business_days import day_of, start_of, today_in_new_york
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.recorded import ImportReport, files_of, import_v1
from polygon_fundamentals.load.recorded_rows import published_on, recorded_at, recorded_rows
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view.v1_records import stored
from tests.lakes import fingerprint, stored_rows
from tests.recordings import run

HEADER = (
    "cik,tickers,end_date,filing_date,timeframe,fiscal_period,fiscal_year,"
    "balance_sheet.equity.value,balance_sheet.assets.value\n"
)
FIRST = "0000000777,ZZZ,2023-03-31,2023-05-02,quarterly,Q1,2023,5,1234567890\n"
LAST = "0000000777,ZZZ,2023-06-30,2023-08-02,quarterly,Q2,2023,5,9876543210\n"


def record(assets: Any, **others: Any) -> dict[str, Any]:
    return {
        "end_date": "2023-03-31",
        "filing_date": "2023-05-02",
        "acceptance_datetime": "2023-05-02T20:00:00Z",
        "timeframe": "quarterly",
        "fiscal_period": "Q1",
        "fiscal_year": "2023",
        "cik": "0000000777",
        "tickers": ["ZZZ"],
        "financials": {"balance_sheet": {"assets": {"value": assets, "unit": "USD"}}},
    } | others


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.prepare()
    return lake


def written(path: Path, *records: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records))
    return path


def assets(lake: Lake) -> dict[str, list[Any]]:
    """Return the assets in the lake, by ticker."""
    values: dict[str, list[Any]] = {}
    for row in stored(lake, Statement.BALANCE_SHEETS).to_pylist():
        line = row["financials"]["balance_sheet"]["assets"]
        values.setdefault(row["ticker"], []).append(line and line["value"])
    return values


def reasons(report: ImportReport) -> list[tuple[str, int | None, str]]:
    return [(p.kind, p.line, p.reason) for p in report.problems]


def known(lake: Lake) -> list[tuple[float, date]]:
    history = silver.history_table(lake, Generation.V1)
    return sorted(
        zip(history["bs_total_assets"].to_pylist(), history["known_from"].to_pylist(), strict=True)
    )


def test_a_day_without_a_time_is_known_from_that_day_in_new_york(tmp_path: Path) -> None:
    one = written(tmp_path / "one.json", record(100))
    two = written(tmp_path / "two.json", record(250))
    root = tmp_path / "lake"
    lake = Lake(root)
    import_v1(lake, [one], start_of(date(2023, 6, 1)))
    assert run(root, two, "--as-recorded", "2024-05-31")[0] == 0
    assert known(lake) == [(100.0, date(2023, 5, 2)), (250.0, date(2024, 5, 31))]
    assert silver.as_of(lake, date(2024, 5, 30))["bs_total_assets"].to_pylist() == [100.0]
    assert silver.as_of(lake, date(2024, 5, 31))["bs_total_assets"].to_pylist() == [250.0]
    before = fingerprint(root)
    for path, day in ((one, date(2023, 6, 1)), (two, date(2024, 5, 31))):
        assert import_v1(lake, [path], start_of(day)).counts.rows_unchanged == 1
    assert fingerprint(root) == before


@pytest.mark.parametrize(
    ("own", "folder", "moment"),
    [
        ("2024-05-31", "x", "2024-05-31T04:00:00+00:00"),
        ("2024-12-31", "x", "2024-12-31T05:00:00+00:00"),
        ("2024-05-31 00:00:00", "x", "2024-05-31T04:00:00+00:00"),
        ("2024-05-31T00:00:00Z", "x", "2024-05-31T00:00:00+00:00"),
        ("2024-05-31T12:30:00", "x", "2024-05-31T12:30:00+00:00"),
        (None, "2024-05-31", "2024-05-31T04:00:00+00:00"),
        (None, "2023-05-02", "2023-05-02T04:00:00+00:00"),
        # Named for a period, or for what was asked for, and not for the day of the recording.
        (None, "2023-05-01", "2025-03-03T00:00:00+00:00"),
        (None, "2024-05-31/ZZZ_2023-03-31", "2024-05-31T04:00:00+00:00"),
        (None, "filing_date.gte=2023-01-01", "2025-03-03T00:00:00+00:00"),
    ],
)
def test_the_moment_of_a_record(tmp_path: Path, own: str | None, folder: str, moment: str) -> None:
    row = record(1) if own is None else record(1, observed_at=own)
    path = written(tmp_path / folder / "page.json", row)
    at = datetime(2025, 3, 3, tzinfo=UTC).timestamp()
    os.utime(path, (at, at))
    assert observed(path).isoformat() == moment


def observed(path: Path) -> datetime:
    """Return when the one record of a recording was observed."""
    ((row, own),) = recorded_rows(path, None, [])
    moment = own or recorded_at(path, published_on(row))
    assert moment is not None
    return moment


def test_a_filing_accepted_in_the_evening_can_be_had_the_day_before_its_date() -> None:
    late = record(1, acceptance_datetime="20230505214500", filing_date="2023-05-08")
    assert published_on(late) == date(2023, 5, 5)
    unfiled = {"filing_date": None, "acceptance_datetime": None}
    assert published_on(record(1, **unfiled)) == date(2023, 4, 18)
    assert published_on(record(1, **unfiled, end_date="9999-12-31")) == date.max
    assert published_on(record(1, filing_date="soon", end_date=7)) == date(2023, 5, 2)


ANNUAL = {
    "end_date": "2024-12-31",
    "fiscal_year": "2024",
    "timeframe": "annual",
    "fiscal_period": "FY",
    "filing_date": "2025-02-20",
    "acceptance_datetime": "2025-02-20T21:00:00Z",
}
FOURTH = {
    **ANNUAL,
    "timeframe": "quarterly",
    "fiscal_period": "Q4",
    "filing_date": None,
    "acceptance_datetime": None,
}


@pytest.mark.parametrize("by_timeframe", [False, True])
def test_a_recording_named_for_its_period_was_not_made_on_that_day(
    lake: Lake, tmp_path: Path, by_timeframe: bool
) -> None:
    """A derived fourth quarter has no filing date: it would be known before its report."""
    annual, fourth = record(400, **ANNUAL), record(120, **FOURTH)
    if by_timeframe:
        paths = [
            written(tmp_path / "ZZZ_annual_2024-12-31.json", annual),
            written(tmp_path / "ZZZ_quarterly_2024-12-31.json", fourth, record(100)),
        ]
    else:
        paths = [written(tmp_path / "ZZZ_2024-12-31.json", annual, fourth)]
    at = datetime(2025, 3, 3, 12, tzinfo=UTC).timestamp()
    for path in paths:
        os.utime(path, (at, at))
    assert import_v1(lake, paths).problems == []
    of_2024 = [row for row in known(lake) if row[0] >= 120]
    assert of_2024 == [(120.0, date(2025, 2, 20)), (400.0, date(2025, 2, 20))]


def test_a_file_time_before_the_records_is_named_and_not_taken(lake: Lake, tmp_path: Path) -> None:
    """Archives give their files times such as 1980-01-01: the records would be known then."""
    old = written(tmp_path / "old.json", record(400, **ANNUAL), record(120, **FOURTH))
    # A filing of the evening before a long weekend: it was there when the file was made.
    evening = written(tmp_path / "evening.json", record(1, cik="0000000778"))
    for path, day in ((old, "1980-01-01"), (evening, "2023-04-28T22:00")):
        at = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
        os.utime(path, (at, at))
    report = import_v1(lake, [old, evening])
    ((kind, _, reason),) = reasons(report)
    assert (kind, report.records) == ("damaged", 1)
    assert "before 2025-02-20, but the file's time is 1980-01-01" in reason
    assert "give --as-recorded DAY" in reason
    code, _ = run(tmp_path / "lake", old, "--as-recorded", "2025-03-03")[:2]
    assert code == 0
    of_2024 = [row for row in known(lake) if row[0] >= 120]
    assert of_2024 == [(120.0, date(2025, 2, 20)), (400.0, date(2025, 2, 20))]


@pytest.mark.parametrize("own", ["31 May 2024", 17171856, ["2024-05-31"]])
def test_a_moment_that_cannot_be_read_is_named_and_not_guessed(
    lake: Lake, tmp_path: Path, own: Any
) -> None:
    """The file's own time may be years later: the record would count from the wrong day."""
    path = written(tmp_path / "page.json", record(1, observed_at=own), record(2, cik="0000000778"))
    report = import_v1(lake, [path])
    ((kind, _, reason),) = reasons(report)
    assert kind == "damaged"
    assert f"it says that it was recorded at {str(own)!r}" in reason
    assert (report.records, assets(lake)) == (1, {"ZZZ": [2.0]})
    assert import_v1(lake, [path], start_of(date(2024, 5, 31))).problems == []
    assert sorted(assets(lake)["ZZZ"]) == [1.0, 2.0]


@pytest.mark.parametrize(
    "own", [1717185600, 1717185600.25, "1717185600000", "Fri, 31 May 2024 20:00:00 GMT"]
)
def test_a_page_says_in_many_ways_when_it_was_fetched(
    lake: Lake, tmp_path: Path, own: object
) -> None:
    """As `time.time()`, pandas' `to_json` and HTTP's `Date` have it."""
    path = tmp_path / "page.json"
    path.write_text(json.dumps({"fetched_at": own, "results": [record(1)]}))
    assert import_v1(lake, [path]).problems == []
    [row] = stored_rows(lake, Generation.V1, Statement.BALANCE_SHEETS)["ZZZ"]
    assert row["observed_at"].replace(microsecond=0) == datetime(2024, 5, 31, 20, tzinfo=UTC)


def test_tables_say_when_their_records_were_fetched(tmp_path: Path) -> None:
    """Singer's targets write the moment into a column, and pandas a day as a timestamp."""
    fetched = datetime(2024, 5, 31, 20, tzinfo=UTC)
    row = {k: [v] for k, v in record(1).items()} | {"_sdc_extracted_at": [fetched]}
    pq.write_table(pa.table(row), tmp_path / "singer.parquet")
    day = {k: [v] for k, v in record(1).items()} | {"observed_at": [pd.Timestamp("2024-05-31")]}
    pq.write_table(pa.table(day), tmp_path / "pandas.parquet")
    (tmp_path / "t.csv").write_text(
        HEADER.replace("\n", ",_sdc_extracted_at\n") + FIRST.replace("\n", ",2024-05-31T20:00Z\n")
    )
    for name, moment in (
        ("singer.parquet", fetched),
        ("pandas.parquet", start_of(date(2024, 5, 31))),
        ("t.csv", fetched),
    ):
        assert observed(tmp_path / name) == moment, name


def test_a_lake_imported_with_midnight_in_utc_is_not_changed_by_importing_again(
    lake: Lake, tmp_path: Path
) -> None:
    """Earlier versions took that moment for a day, on two days in a row here."""
    days = [date(2024, 5, 30), date(2024, 5, 31)]
    for number, day in enumerate(days):
        path = written(tmp_path / "in" / str(day) / "page.json", record(number))
        import_v1(lake, [path], datetime.combine(day, datetime.min.time(), UTC))
    before = fingerprint(lake.root)
    report = import_v1(lake, [tmp_path / "in"])
    assert (report.records, report.problems) == (2, [])
    assert fingerprint(lake.root) == before


@pytest.mark.parametrize("missing", [1, 5, 15])
def test_the_last_line_of_a_cut_csv_is_not_imported(
    lake: Lake, tmp_path: Path, missing: int
) -> None:
    path = tmp_path / "t.csv"
    path.write_text((HEADER + FIRST + LAST)[:-missing])
    report = import_v1(lake, [path])
    assert assets(lake) == {"ZZZ": [1234567890.0]}
    ((kind, line, reason),) = reasons(report)
    assert (kind, line) == ("damaged", 3)
    assert ("without a line end" if missing < 12 else "header's 9 fields") in reason
    path.write_text(HEADER + FIRST + LAST)
    assert import_v1(lake, [path]).problems == []
    assert assets(lake) == {"ZZZ": [1234567890.0, 9876543210.0]}


def test_lines_of_another_length_and_cut_texts_are_reported(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEADER + FIRST.replace(",5,", ",5,7,") + "\n" + LAST)
    code, report, _ = run(lake.root, path)
    assert code == 3
    ((line, reason),) = ((p["line"], p["reason"]) for p in report["failed"])
    assert (line, reason) == (2, "the line does not have the header's 9 fields")
    assert assets(lake) == {"ZZZ": [9876543210.0]}
    path.write_text(HEADER.replace("cik", "name,cik") + '"Zed\nand' + "\n")
    ((kind, line, reason),) = reasons(import_v1(lake, [path]))
    assert kind == "damaged"
    assert "line 3: unexpected end of data" in reason


def test_numbers_of_a_csv_are_what_their_texts_say(tmp_path: Path) -> None:
    texts = ["12345678901234567891", "2.50", "-3.0", "0.1", " 7 "]
    path = tmp_path / "t.csv"
    path.write_text(HEADER + "".join(FIRST.replace("1234567890", text) for text in texts))
    rows = [row for row, _ in recorded_rows(path, None, [])]
    values = [row["financials"]["balance_sheet"]["assets"]["value"] for row in rows]
    assert values == ["12345678901234567891", 2.5, -3, 0.1, 7]
    path.write_text(HEADER + FIRST.replace("1234567890", "NaN"))
    ((row, _),) = recorded_rows(path, None, [])
    assert "assets" not in row["financials"]["balance_sheet"]


@pytest.mark.parametrize("text", ['"1,234,567"', "1_000", "1e400", "n/a", "$5"])
def test_a_text_in_place_of_a_number_costs_its_line(lake: Lake, tmp_path: Path, text: str) -> None:
    """It was stored as no value at all, without a word."""
    path = tmp_path / "t.csv"
    path.write_text(HEADER + FIRST.replace("1234567890", text) + LAST)
    ((kind, line, reason),) = reasons(import_v1(lake, [path]))
    assert (kind, line) == ("damaged", 2)
    said = text.strip('"')
    assert f"balance_sheet.assets.value is {said!r}, which is not a number" in reason
    assert assets(lake) == {"ZZZ": [9876543210.0]}


def test_one_row_of_a_table_that_cannot_be_read_costs_that_row(lake: Lake, tmp_path: Path) -> None:
    good = json.dumps(record(1)["financials"])
    rows = [record(1, financials=good), record(2, financials="{", cik="0000000778")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    ((kind, line, reason),) = reasons(import_v1(lake, [tmp_path / "t.parquet"]))
    assert (kind, line) == ("damaged", None)
    assert "row 2 cannot be read (a text in financials is not JSON" in reason
    assert assets(lake) == {"ZZZ": [1.0]}


def test_folders_above_the_given_one_may_be_hidden(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / ".cache" / "in" / "page.json", record(1))
    written(tmp_path / ".cache" / "in" / ".trash" / "page.json", record(2))
    (tmp_path / ".cache" / "work").mkdir()
    monkeypatch.chdir(tmp_path / ".cache" / "work")
    assert import_v1(lake, [Path("../in")]).records == 1
    assert import_v1(lake, [tmp_path / ".cache" / "in"]).records == 1


def test_an_import_of_nothing_is_no_success(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "in" / ".hidden").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "in", f"there is no file in {tmp_path / 'in'}, hidden ones aside"),
        (tmp_path / "pipe", "not a file but a pipe or device"),
    ):
        with pytest.raises(UsageError, match=message):
            files_of([path])
        code, _, stderr = run(lake.root, path)
        assert code == 2
        assert message in stderr
        assert stderr.count("\n") == 1
    (tmp_path / "in" / "notes.txt").write_text("recorded by Ada")
    code, report, stderr = run(lake.root, tmp_path / "in")
    assert (code, report["records"], stderr) == (3, 0, "")
    assert [p["kind"] for p in report["failed"]] == ["skipped"]


def test_a_file_that_the_disk_does_not_give_is_named(lake: Lake, tmp_path: Path) -> None:
    whole = written(tmp_path / "page.json", record(1))
    report = import_v1(lake, [Path("/proc/self/mem"), whole])
    assert reasons(report) == [("damaged", None, "the file cannot be read (Input/output error)")]
    assert report.records == 1


def test_separators_of_unicode_are_text(lake: Lake, tmp_path: Path) -> None:
    names = ["A\u0085B", "A\u2028B", "A\u001cB", "A\fB"]
    rows = [record(1, cik=f"{n:010d}", company_name=name) for n, name in enumerate(names, 1)]
    path = tmp_path / "n.jsonl"
    path.write_text("\r\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + "\r\n", "utf-8")
    report = import_v1(lake, [path])
    assert (report.records, report.problems) == (4, [])
    rows_stored = stored(lake, Statement.BALANCE_SHEETS)
    assert set(rows_stored["company_name"].to_pylist()) == set(names)


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"company_name": "x\ud800y"}, "half a character"),
        ({"odd": {"k": "\udfff"}}, "half a character"),
        ({"tickers": ["\ud800"]}, "half a character"),
        ({"tickers": ["A" * 300]}, "is not a ticker"),
        ({"tickers": [], "cik": "1" * 300}, "is not a ticker"),
        ({"tickers": [7], "cik": None}, "names no company"),
        ({"tickers": 7, "cik": ""}, "names no company"),
        ({"timeframe": "monthly"}, "its timeframe is 'monthly', which is none of v1's"),
    ],
)
def test_one_record_that_no_row_can_hold_costs_itself_alone(
    lake: Lake, tmp_path: Path, odd: dict[str, Any], words: str
) -> None:
    written(tmp_path / "in" / "1.json", record(1, **odd), record(2, cik="0000000001"))
    written(tmp_path / "in" / "2.json", record(3, cik="0000000002", tickers=["AAA"]))
    report = import_v1(lake, [tmp_path / "in"])
    ((kind, _, reason),) = reasons(report)
    assert kind == "damaged"
    assert words in reason
    assert report.records == 2
    assert assets(lake) == {"ZZZ": [2.0], "AAA": [3.0]}


def test_a_half_character_in_a_recording_costs_one_line(tmp_path: Path) -> None:
    path = tmp_path / "n.jsonl"
    rows = [record(1), record(2, company_name="x\ud800y"), record(3, cik="0000000778")]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    code, report, stderr = run(tmp_path / "lake", path)
    assert (code, stderr, report["records"]) == (3, "", 2)
    assert [(p["line"], p["kind"]) for p in report["failed"]] == [(2, "damaged")]


def test_a_file_of_another_form_leaves_no_other_file_out(lake: Lake, tmp_path: Path) -> None:
    odd = [record(1, cik=f"{n:010d}", company_name={"en": "Zed"}) for n in range(1, 6)]
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    one = written(tmp_path / "1.json", *odd)
    two = written(tmp_path / "2.json", record(2, tickers=["AAA"]))
    report = import_v1(lake, [one, two], moment)
    ((_, _, reason),) = reasons(report)
    assert report.problems[0].file == str(one)
    assert "do not match the API's description" in reason
    assert report.records == 1
    assert assets(lake) == {"AAA": [2.0]}


def test_a_company_is_followed_however_its_record_writes_its_name(
    lake: Lake, tmp_path: Path
) -> None:
    without = record(1, cik=777)
    del without["tickers"]
    path = written(tmp_path / "1.json", without, record(2, cik="0000000778", tickers="AAA"))
    report = import_v1(lake, [path])
    assert (report.records, report.problems) == (2, [])
    assert assets(lake) == {"CIK0000000777": [1.0], "AAA": [2.0]}


def test_days_that_are_none_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "page.json", record(1))
    tomorrow = today_in_new_york() + timedelta(days=1)
    assert day_of(start_of(tomorrow)) == tomorrow
    for day, message in (
        ("2024-W22-5", "'2024-W22-5' is not a valid date; write it as YYYY-MM-DD"),
        (str(tomorrow), f"{tomorrow} is in the future"),
    ):
        code, _, stderr = run(tmp_path / "lake", path, "--as-recorded", day)
        assert code == 2
        assert message in stderr
        assert stderr.count("\n") == 1
