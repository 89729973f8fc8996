"""The vendor's daily ratios: in few requests, as the four readers see them, beside all else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from flows.__main__ import main
from polygon_fundamentals.field_map import RATIO_FIELDS
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.recovery import recover
from polygon_fundamentals.ledger.entry import read_entries
from polygon_fundamentals.statements import Snapshot
from sandbox import Sandbox
from sandbox.fields import RATIO_FIELDS as SERVED_FIELDS
from tests.builders.commands import call, where
from tests.conftest import KEY
from tests.lakes import fingerprint

pytestmark = pytest.mark.usefixtures("prefect_server")
COMPANIES = 2_000


@pytest.fixture
def market() -> Iterator[Sandbox]:
    with Sandbox(companies=10, start=date(2024, 1, 1), today=date(2026, 8, 3), api_key=KEY) as made:
        yield made


def served(market: Sandbox) -> dict[str, dict[str, object]]:
    return {str(row["ticker"]): row for row in market.rows("v2", "ratios")}


def stored(lake: Lake) -> pd.DataFrame:
    """Return the rows in order; a file of another tool may have its days as text."""
    frame = pd.read_parquet(lake.ratios.folder)
    frame["date"] = pd.to_datetime(frame["date"]).dt.date
    return frame.sort_values(["ticker", "date"], ignore_index=True)


@pytest.mark.slow
def test_two_thousand_companies_in_one_request_and_again_nothing_changes(lake: Lake) -> None:
    with Sandbox(
        companies=COMPANIES, start=date(2025, 1, 1), today=date(2026, 8, 3), api_key=KEY
    ) as market:
        expected = served(market)
        file = lake.root / "tickers.txt"
        file.write_text("\n".join(market.tickers))
        words = ["ratios", "--tickers-file", str(file), *where(market.url, lake)]
        market.forget_requests()
        code, first = call(*words)
        assert (code, market.request_count <= 4) == (0, True)
        before = fingerprint(lake.ratios.folder)
        again_code, again = call(*words)
    followed = expected.keys() & set(file.read_text().split())
    assert len(followed) > 0.95 * COMPANIES
    assert first["ratios"]["requests"] == 1
    assert first["ratios"]["rows_new"] == len(followed)
    assert (again_code, again["ratios"]["rows_unchanged"]) == (0, len(followed))
    assert [again["ratios"][k] for k in ("rows_new", "rows_changed", "files_written")] == [0, 0, 0]
    assert fingerprint(lake.ratios.folder) == before
    _each_reader_sees(lake, len(followed))


def _each_reader_sees(lake: Lake, rows: int) -> None:
    root = lake.ratios.folder
    glob = f"{root}/year=*/month=*/*.parquet"
    assert len(pd.read_parquet(root)) == rows
    assert ds.dataset(root, partitioning="hive").count_rows() == rows
    assert pl.scan_parquet(glob, hive_partitioning=True).collect().height == rows
    counted = duckdb.sql(
        f"select count(*), count(distinct (cik, ticker, date)), count(price) "
        f"from read_parquet('{glob}', hive_partitioning=true)"
    )
    assert counted.fetchall() == [(rows, rows, rows)]


def test_the_rows_are_what_the_vendor_served(market: Sandbox, lake: Lake) -> None:
    expected = served(market)
    code, _ = call("ratios", "--tickers", ",".join(expected), *where(market.url, lake))
    rows = stored(lake)
    assert code == 0
    assert rows["ticker"].tolist() == sorted(expected)
    for row in rows.to_dict("records"):
        mine = {k: None if pd.isna(row[k]) else row[k] for k in SERVED_FIELDS}
        theirs = expected[row["ticker"]]
        assert mine == {k: theirs.get(k) for k in SERVED_FIELDS}
        assert (row["cik"], str(row["date"])) == (theirs["cik"], theirs["date"])
        assert set(row["absent_fields"]) == set(SERVED_FIELDS) - theirs.keys()
    assert {field.name for field in RATIO_FIELDS} == set(SERVED_FIELDS)
    _each_reader_sees(lake, len(expected))


@pytest.mark.slow
def test_loads_that_ask_for_them_take_the_tickers_of_the_lake(market: Sandbox, lake: Lake) -> None:
    at = where(market.url, lake)
    code, loaded = call("historical-load", "--tickers", "NAN,CON", "--ratios", *at)
    assert (code, loaded["ratios"]["rows_new"]) == (0, 2)
    # Twice on one day: nothing changes. A day later: a row more in the same files.
    code, same = call("daily-update", "--date", "2026-08-03", "--ratios", *at)
    assert (code, same["ratios"]["rows_unchanged"], same["ratios"]["rows_new"]) == (0, 2, 0)
    market.advance(1)
    code, later = call("daily-update", "--date", "2026-08-04", "--ratios", *at)
    assert (code, later["ratios"]["rows_new"]) == (0, 2)
    rows = stored(lake)
    days = [date(2026, 8, 3), date(2026, 8, 4)]
    assert rows[["ticker", "date"]].to_numpy().tolist() == [
        [ticker, day] for ticker in ("CON", "NAN") for day in days
    ]
    assert len(list(lake.ratios.folder.rglob("*.parquet"))) == 2
    entries, _ = read_entries(lake)
    assert [entry.parameters.get("ratios") for entry in entries] == [True] * 3


def test_without_the_option_they_are_not_asked_for(market: Sandbox, lake: Lake) -> None:
    code, loaded = call("historical-load", "--tickers", "NAN", *where(market.url, lake))
    assert (code, "ratios" in loaded, lake.ratios.folder.exists()) == (0, False, False)
    assert not [r for r in market.requests if r.path == Snapshot.RATIOS.v2_path]


@pytest.mark.slow
def test_silver_and_the_statements_stay_as_they_are(market: Sandbox, lake: Lake) -> None:
    at = where(market.url, lake)
    assert call("historical-load", "--tickers", "NAN,CON", *at)[0] == 0
    assert call("silver", "--lake", str(lake.root))[0] == 0
    folders = [lake.silver, lake.bronze / "fundamentals", lake.bronze / "fundamentals_v2"]
    before = [fingerprint(folder) for folder in folders]
    assert call("ratios", *at)[0] == 0
    assert call("silver", "--lake", str(lake.root))[1]["files_written"] == 0
    assert [fingerprint(folder) for folder in folders][1:] == before[1:]


def test_a_corrected_figure_leaves_the_earlier_one_to_the_revisions(
    market: Sandbox, lake: Lake
) -> None:
    at = where(market.url, lake)
    assert call("ratios", "--tickers", "NAN", *at)[0] == 0
    first = stored(lake)["price"].tolist()
    # Saturday and Sunday show Friday again, with what the vendor has corrected since.
    market.advance(5)
    assert call("ratios", "--tickers", "NAN", *at)[0] == 0
    market.advance(1)
    code, again = call("ratios", "--tickers", "NAN", *at)
    assert (code, again["ratios"]["rows_changed"]) == (0, 1), again["ratios"]["failed"]
    assert len(stored(lake)) == 2
    [kept] = pq.read_table(lake.ratios.revisions_file("NAN")).to_pylist()
    assert (kept["date"], kept["event"]) == (date(2026, 8, 7), "superseded")
    assert stored(lake)["price"].tolist()[0] == first[0]


def test_an_older_tools_folder_is_left_alone_and_its_file_is_read(
    market: Sandbox, lake: Lake
) -> None:
    others = [lake.bronze / "ratios" / "all.parquet", lake.pointer / "ratios" / "AAPL.parquet"]
    for path in others:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"another tool's")
    own = lake.ratios.file(202607, "NAN")
    own.parent.mkdir(parents=True)
    row = {"ticker": "NAN", "cik": "320193", "date": "2026-07-31", "price": 12.5}
    pq.write_table(pa.Table.from_pylist([row]), own)
    assert call("ratios", "--tickers", "NAN", *where(market.url, lake))[0] == 0
    assert [path.read_bytes() for path in others] == [b"another tool's"] * 2
    rows = stored(lake)
    assert rows["date"].tolist() == [date(2026, 7, 31), date(2026, 8, 3)]
    assert rows["price"].tolist()[0] == 12.5


def test_what_cannot_be_is_said(market: Sandbox, lake: Lake) -> None:
    at = where(market.url, lake)
    assert main(["historical-load", "--generation", "v1", "--tickers", "A", "--ratios", *at]) == 2
    assert main(["daily-update", "--generation", "v1", "--ratios", *at]) == 2
    assert main(["ratios", "--tickers", "A", "--universe", "all", *at]) == 2
    code, answer = call("ratios", *at)
    assert code == 2
    assert "contains no tickers yet" in answer["error"]
    market.entitled = ("v1",)
    code, answer = call("ratios", "--tickers", "NAN,CON", *at)
    assert (code, len(answer["ratios"]["failed"])) == (3, 2)
    assert "403" in answer["ratios"]["failed"][0]["reason"]
    assert not lake.ratios.folder.exists()


def test_a_killed_commit_is_made_good(market: Sandbox, lake: Lake) -> None:
    at = where(market.url, lake)
    assert call("ratios", "--tickers", "NAN", *at)[0] == 0
    index = lake.ratios.index_file("NAN")
    index.unlink()
    bucket = f"{lake.ratios.name}.{bucket_of('NAN'):02d}"
    note = lake.ops / "unfinished" / f"{bucket}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text('{"NAN": [202608]}')
    assert recover(lake) == [bucket]
    assert index.exists()
    assert call("verify", "--lake", str(lake.root))[0] == 0
    assert call("ratios", "--tickers", "NAN", *at)[1]["ratios"]["rows_unchanged"] == 1
