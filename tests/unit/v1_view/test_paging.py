"""Pages of a query, from the first to the last by their cursors."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.recorded import import_v1
from polygon_fundamentals.v1_view.query import Records, V1Query, decode_cursor, encode_cursor
from polygon_fundamentals.v1_view.view import View
from tests.unit.v1_view.shelves import shelves

TICKERS = ("AAA", "BBB", "CCC", "DDD")
# The fourth quarters of one year: without a filing date, they end on the same day.
FOURTH_QUARTERS = "tickers,end_date,timeframe,fiscal_period,fiscal_year,balance_sheet.assets\n" + (
    "".join(f"{ticker},2023-12-31,quarterly,Q4,2023,5\n" for ticker in TICKERS)
)


def test_companies_without_a_cik_are_all_listed(tmp_path: Path) -> None:
    path = tmp_path / "q4_2024-05-31.csv"
    path.write_text(FOURTH_QUARTERS)
    lake = Lake(tmp_path / "lake")
    lake.prepare()
    assert import_v1(lake, [path]).records == len(TICKERS)
    listed = shelves(View(str(lake.root)), tmp_path / "shelves", bare=False)
    records = Records(record for shelf in listed for record in shelf.records)
    for sort, order in product(("filing_date", "period_of_report_date"), ("asc", "desc")):
        query = V1Query.model_validate({"sort": sort, "order": order, "limit": 1})
        after, owners = None, []
        for _ in range(len(TICKERS) + 1):
            page, place = records.page(query, after)
            owners += [owner for record in page for owner in record.owners]
            if place is None:
                break
            query, after = decode_cursor(encode_cursor(query, place))
        assert owners == list(TICKERS), (sort, order)
