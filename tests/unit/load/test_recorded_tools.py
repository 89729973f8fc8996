"""What databases, numpy, spreadsheets and other tools make of v1's records in their files."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import os
import tarfile
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.__main__ import main
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.recorded import import_v1
from polygon_fundamentals.load.recorded_rows import Problem, Row, recorded_rows
from polygon_fundamentals.statements import Statement
from polygon_fundamentals.v1_view.v1_records import stored
from tests.unit.silver.feeding import v1_balance

HEADER = (
    "cik,tickers,end_date,filing_date,timeframe,fiscal_period,fiscal_year,"
    "financials.balance_sheet.assets.value\n"
)


def line(tickers: str = "ABC", assets: str = "5") -> str:
    return f"1652044,{tickers},2024-03-31,2024-04-26,quarterly,Q1,2024,{assets}\n"


def read(path: Path, content: str | bytes) -> tuple[list[Row], list[Problem]]:
    """Write a recording; return its records and its problems."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    problems: list[Problem] = []
    return [row for row, _ in recorded_rows(path, None, problems)], problems


@pytest.mark.parametrize(
    ("text", "tickers"),
    [
        ("[AAPL]", ["AAPL"]),  # DuckDB
        ('"[GOOG, GOOGL]"', ["GOOG", "GOOGL"]),
        ('"[NULL, BRK.A]"', ["BRK.A"]),
        ("{MSFT}", ["MSFT"]),  # PostgreSQL
        ('"{BRK.A,BRK.B}"', ["BRK.A", "BRK.B"]),
        ("['GOOG' 'GOOGL']", ["GOOG", "GOOGL"]),  # numpy, of a Parquet file that pandas read
        ("\"['A'\n 'B']\"", ["A", "B"]),
        ("\"['GOOG', 'GOOGL']\"", ["GOOG", "GOOGL"]),  # Python
        ("\"('GOOG', 'GOOGL')\"", ["GOOG", "GOOGL"]),
        ("\"('GOOG',)\"", ["GOOG"]),
        ('"[""GOOG"",""GOOGL""]"', ["GOOG", "GOOGL"]),  # JSON
        ('"[null,""GOOG""]"', ["GOOG"]),
        ('"GOOG, GOOGL"', ["GOOG", "GOOGL"]),
        ("BACpB", ["BACpB"]),
        ("[]", []),
    ],
)
def test_the_text_of_a_list_of_tickers(tmp_path: Path, text: str, tickers: list[str]) -> None:
    ((row,), problems) = read(tmp_path / "t.csv", HEADER + line(text))
    assert (row.get("tickers", []), problems) == (tickers, [])


@pytest.mark.parametrize(
    "text", ["['A' 'B' ... 'Y' 'Z']", "array(['A'])", "[[A]]", "GOOG GOOGL", "[A; B]"]
)
def test_a_ticker_that_no_vendor_has_costs_its_record(tmp_path: Path, text: str) -> None:
    """It was imported under that name, and was missing under its own."""
    rows, (problem,) = read(tmp_path / "t.csv", HEADER + line(text))
    assert (rows, problem.kind, problem.line) == ([], "damaged", 2)
    assert "cannot be read as a list of tickers" in problem.reason
    rows, (problem,) = read(tmp_path / "t.json", json.dumps(v1_balance(tickers=[text])))
    assert (rows, problem.kind) == ([], "damaged")


@pytest.mark.parametrize("name", ["downloaded_at", "fetched_at", "_sdc_received_at"])
def test_a_record_was_observed_when_its_tool_says(tmp_path: Path, name: str) -> None:
    """A copy gives every file the time of the copy: the older snapshot replaced the newer one."""
    lake, moment = Lake(tmp_path / "lake"), datetime(2025, 6, 1, 12, tzinfo=UTC)
    for number, (file, value, at) in enumerate(
        (("new", 90.0, moment), ("old", 100.0, moment - timedelta(days=380)))
    ):
        row = v1_balance() | {name: at}
        row["financials"]["balance_sheet"]["assets"]["value"] = value
        path = tmp_path / "in" / f"{file}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist([row]), path)
        os.utime(path, (1_790_000_000 + number, 1_790_000_000 + number))
    assert import_v1(lake, [tmp_path / "in"]).problems == []
    (row,) = stored(lake, Statement.BALANCE_SHEETS).to_pylist()
    value = row["financials"]["balance_sheet"]["assets"]["value"]
    assert (value, row["observed_at"], row["unmapped"]) == (90.0, moment, None)


def test_the_first_moment_that_can_be_read_counts(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(
        json.dumps(v1_balance(downloaded_at="May 2024", fetched_at="2024-05-10T12:00:00"))
    )
    ((row, moment),) = recorded_rows(path, None, [])
    assert moment == datetime(2024, 5, 10, 12, tzinfo=UTC)
    assert not row.keys() & {"downloaded_at", "fetched_at"}


def test_a_json_schema_beside_the_recordings_is_skipped(tmp_path: Path) -> None:
    """Its type is a list; the import ended in a TypeError before anything was imported."""
    kinds = {"end_date": {"type": "string"}, "financials": {"type": ["null", "object"]}}
    schema = {"type": ["null", "object"], "properties": kinds}
    rows, (problem,) = read(tmp_path / "schema.json", json.dumps(schema))
    assert (rows, problem.kind) == ([], "skipped")


@pytest.mark.parametrize("text", ["1.24301E+11", "1.24301e+11", "-1E+05", "1.23457E+17"])
def test_a_figure_that_a_spreadsheet_shortened_is_not_v1s(tmp_path: Path, text: str) -> None:
    rows, (problem,) = read(tmp_path / "t.csv", HEADER + line(assets=text) + line())
    assert ([row["tickers"] for row in rows], problem.kind, problem.line) == (
        [["ABC"]],
        "damaged",
        2,
    )
    assert f"assets.value is '{text}', whose last digits a spreadsheet has cut" in problem.reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.24301234E11", 124301234000),  # Java and Spark: always exact
        ("1.24301E+3", 1243.01),
        ("1e+16", 10**16),  # Python and pandas, from 16 digits on
        ("1.5e-05", 0.000015),
        ("0E+3", 0),
    ],
)
def test_an_exact_figure_may_have_an_exponent(tmp_path: Path, text: str, value: float) -> None:
    ((row,), problems) = read(tmp_path / "t.csv", HEADER + line(assets=text))
    assert (row["financials"]["balance_sheet"]["assets"]["value"], problems) == (value, [])


def packed(name: str, data: bytes) -> bytes:
    """Return an archive with one recording in it."""
    packed = io.BytesIO()
    if name == "zip":
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("a.json", data)
    elif name.startswith("tar"):
        with tarfile.open(None, "w:gz" if name == "tar.gz" else "w", packed) as archive:
            member = tarfile.TarInfo("a.json")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    else:
        return {"bz2": bz2.compress, "xz": lzma.compress, "zst": zstd}[name](data)
    return packed.getvalue()


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


PAGE = json.dumps({"status": "OK", "results": [v1_balance()]})


@pytest.mark.parametrize("name", ["zip", "tar", "tar.gz", "bz2", "xz", "zst"])
def test_an_archive_is_not_passed_over(tmp_path: Path, name: str) -> None:
    rows, (problem,) = read(tmp_path / "a", packed(name, PAGE.encode()))
    assert (rows, problem.kind) == ([], "damaged")
    assert "unpack it" in problem.reason


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ((HEADER + line()).replace(",", ";"), "separated by commas"),
        ((HEADER + line()).replace(",", "\t").encode("utf-16"), "separated by commas"),
        ("sep=,\n" + HEADER + line(), "separated by commas"),
        ("# saved by fetch.py\n" + PAGE, "it holds records of v1, but is not JSON"),
        (b"SQLite format 3\0\xff cik end_date filing_date financials", "neither text nor Parquet"),
        (PAGE.encode("utf-16")[:-1], "UTF-16"),
        (json.dumps({"cik": {"0": "1"}, "end_date": {"0": "2024-03-31"}}), "orient='records'"),
        (json.dumps({"columns": ["cik", "end_date"], "data": [["1", "2024"]]}), "orient='records'"),
    ],
)
def test_records_that_cannot_be_read_are_not_passed_over(
    tmp_path: Path, content: str | bytes, words: str
) -> None:
    """They were skipped with exit code 0, and the recordings were deleted after that."""
    rows, (problem,) = read(tmp_path / "a", content)
    assert (rows, problem.kind) == ([], "damaged")
    assert words in problem.reason


FLAT = {
    "cik": 320193,
    "tickers": ["ABC"],
    "end_date": "2024-03-31",
    "sic": None,
    "financials.balance_sheet.assets.value": 5.0,
    "financials.balance_sheet.assets.unit": None,
}


@pytest.mark.parametrize(
    "content",
    [
        PAGE.encode("utf-16"),
        (HEADER + line()).encode("utf-16"),
        json.dumps({"data": json.loads(PAGE)}),
        json.dumps({"ABC": [v1_balance()], "DEF": []}),
        json.dumps([FLAT]),
        json.dumps({"schema": {"fields": []}, "data": [FLAT]}),
    ],
)
def test_records_in_a_form_of_another_tool_are_read(tmp_path: Path, content: str | bytes) -> None:
    ((row,), problems) = read(tmp_path / "a", content)
    assert (row["tickers"], problems) == (["ABC"], [])
    assert "value" in row["financials"]["balance_sheet"]["assets"]


def test_a_flat_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    rows, (problem,) = read(tmp_path / "a", json.dumps([FLAT | {"end_date": 1711843200000}]))
    assert (rows, problem.kind) == ([], "damaged")
    assert "end_date is '1711843200000', which is not a day" in problem.reason


def test_a_wrapped_page_was_observed_when_its_wrapper_says(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"fetched_at": "2025-06-01T12:00Z", "data": json.loads(PAGE)}))
    ((_, moment),) = recorded_rows(path, None, [])
    assert moment == datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["recorded by Ada; see end_date", "import requests\n", '{"a": [1]}']
)
def test_what_holds_no_record_is_skipped(tmp_path: Path, text: str) -> None:
    rows, (problem,) = read(tmp_path / "a", text)
    assert (rows, problem.kind) == ([], "skipped")


def test_the_message_counts_what_was_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "page.json").write_text(PAGE)
    (tmp_path / "in" / "notes.txt").write_text("recorded by Ada")
    assert main(["import-v1", str(tmp_path / "in"), "--lake", str(tmp_path / "lake")]) == 0
    assert "1 file or line without a record of v1 was skipped" in capsys.readouterr().out
