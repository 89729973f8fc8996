"""The daily ratios, row by row: what cannot be stored costs no other row, and no day is doubled."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.cutover.verify import verify
from polygon_fundamentals.datasets.keys import content_hashes
from polygon_fundamentals.lake import Lake, codec, revisions
from polygon_fundamentals.lake.index import TickerIndex
from polygon_fundamentals.lake.listing import stamp_of
from polygon_fundamentals.lake.storage.checked import bytes_checksum, dumps
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.ratios import load_ratios
from polygon_fundamentals.reports import LoadReport
from tests.conftest import client_of
from tests.servers import Answer, Asked, results, serving

Row = dict[str, Any]
DAY = "2026-11-27"
TICKERS = ["AA", "BB", "CC", "DD", "EE", "FF"]


def row(ticker: Any, **changes: Any) -> Row:
    return {"ticker": ticker, "cik": "0000000007", "date": DAY, "price": 1.5, **changes}


def load(lake: Lake, *pages: list[Row], tickers: list[str] = TICKERS) -> LoadReport:
    def script(asked: Asked) -> Answer:
        number = int(asked.query.get("cursor", 0))
        more = {"next_url": f"{asked.path}?cursor={number + 1}"} if number + 1 < len(pages) else {}
        return results(pages[number], **more)

    with serving(script) as server:
        return load_ratios(Loader(client_of(server), lake), tickers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (row("CC", date=None), "a row of CC has no date"),
        (row("CC", date="yesterday"), "a row of CC has no date"),
        (row(["CC"]), "unhashable type"),
    ],
    ids=["without a date", "a date that is none", "a list of tickers"],
)
def test_a_row_that_cannot_be_stored_costs_that_row_alone(lake: Lake, bad: Row, why: str) -> None:
    stray = row("ZZ", date=None)  # of a ticker that is not followed
    report = load(lake, [row("AA"), row("BB"), bad], [row("DD"), stray, row("EE")])
    (failure,) = report.failed
    assert failure.error == "ContentError"
    assert failure.reason.startswith("1 rows were left out and all others stored; the first begins")
    assert '"CC"' in failure.reason
    assert why in failure.reason
    assert (report.units, report.rows_new, report.rows_received) == (6, 4, 4)
    assert report.rows_unfollowed == 1
    assert (report.tickers_without_rows, report.exit_code) == (("CC", "FF"), 3)
    assert sorted(p.stem for p in lake.ratios.folder.rglob("*.parquet")) == [
        f"ticker={ticker}" for ticker in ("AA", "BB", "DD", "EE")
    ]


def prices(lake: Lake) -> list[tuple[str, str | None, float]]:
    """Return (date, CIK, price) of what is stored, in order."""
    rows = pq.read_table(lake.ratios.folder).select(["date", "cik", "price"]).to_pylist()
    return [(str(r["date"]), r["cik"], r["price"]) for r in sorted(rows, key=lambda r: r["date"])]


@pytest.mark.parametrize("ciks", [("0000000007", None), (None, "0000000007")])
def test_a_ticker_has_one_row_a_day_whether_or_not_a_run_has_its_cik(
    lake: Lake, ciks: tuple[str | None, str | None]
) -> None:
    first, second = (row("AA", cik=cik) for cik in ciks)
    assert load(lake, [first]).rows_new == 1
    report = load(lake, [second])
    assert (report.rows_new, report.rows_changed) == (0, 1)
    assert prices(lake) == [(DAY, ciks[1], 1.5)]
    [kept] = revisions.read(lake.ratios, "AA").to_pylist()
    assert (kept["cik"], kept["event"]) == (ciks[0], revisions.SUPERSEDED)
    assert load(lake, [second]).rows_unchanged == 1
    assert verify(lake).problems == ()


def double_as_an_earlier_version_did(lake: Lake) -> None:
    """Store two days of AA; of the second one, whose second run lacked the CIK, two rows."""
    load(lake, [row("AA", date="2026-11-25")])
    load(lake, [row("AA", date="2026-11-26")])
    file = lake.ratios.file(202611, "AA")
    table, _ = codec.read(file, lake.ratios, "AA")
    [last] = table.slice(1).to_pylist()
    last |= {"cik": None, "observed_at": datetime.now(UTC)}
    table = pa.concat_tables([table, pa.Table.from_pylist([last], table.schema)])
    file.write_bytes(codec.encode(table, lake.ratios))
    days = ("0000000007|day|2026-11-25||", "0000000007|day|2026-11-26||")
    keys = (*days, "ticker:AA|day|2026-11-26||")
    stamp = stamp_of(file)
    assert stamp is not None
    known = TickerIndex(
        {key: (202611, digest) for key, digest in zip(keys, content_hashes(table), strict=True)},
        {202611: (*stamp, 3)},
        checksums={202611: bytes_checksum(file.read_bytes())},
    )
    content = orjson.loads(known.dumps(lake.ratios))
    del content["own"]
    lake.ratios.index_file("AA").write_bytes(dumps(content | {"version": 3}))


def test_a_day_that_an_earlier_version_doubled_becomes_one_row_with_the_next_load(
    lake: Lake,
) -> None:
    double_as_an_earlier_version_did(lake)
    assert len(prices(lake)) == 3
    assert verify(lake).problems == ()
    report = load(lake, [row("AA")])
    assert (report.rows_new, report.rows_changed, report.failed) == (1, 0, ())
    assert prices(lake) == [
        ("2026-11-25", "0000000007", 1.5),
        ("2026-11-26", None, 1.5),  # what was seen last
        (DAY, "0000000007", 1.5),
    ]
    [kept] = revisions.read(lake.ratios, "AA").to_pylist()
    assert (kept["cik"], str(kept["date"])) == ("0000000007", "2026-11-26")
    assert verify(lake).problems == ()
    assert load(lake, [row("AA")]).rows_unchanged == 1


def test_a_file_that_is_missing_is_forgotten_where_the_answer_has_all_of_its_rows(
    lake: Lake,
) -> None:
    load(lake, [row("AA")])
    lake.ratios.file(202611, "AA").unlink()
    assert load(lake, [row("AA")]).failed == ()
    assert prices(lake) == [(DAY, "0000000007", 1.5)]
