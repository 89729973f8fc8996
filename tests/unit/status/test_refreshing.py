"""What status says of refreshes: those that withheld rows have read v2 in full."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from polygon_fundamentals import ledger
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.status import check_status, gather
from polygon_fundamentals.status.refreshing import last_refreshed, tickers_withheld
from polygon_fundamentals.status.row import Row
from tests.builders.ledger import entry
from tests.builders.status_lakes import WHOLE

SUNDAY = datetime(2026, 7, 5, 3, tzinfo=UTC)
WEEK = timedelta(days=7)


def refresh(lake: Lake, at: datetime, withheld: list[str], **more: Any) -> None:
    """Write the entry of a refresh; `more` are tickers, statements and failed units."""
    failed = more.pop("failed", [])
    report = {"ok": not (withheld or failed), "rows_received": 900, "failed": failed}
    report |= {"rows_withheld": 9 * len(withheld), "tickers_withheld": withheld}
    entry(
        lake,
        f"refresh-{at:%d-%H}",
        flow="refresh",
        started=at.isoformat(),
        ended=(at + timedelta(minutes=20)).isoformat(),
        outcome="succeeded" if report["ok"] else "failed",
        parameters={**WHOLE, **more},
        generations={"v2": report},
    )


def rows(lake: Lake, at: datetime) -> dict[str, Row]:
    shown = check_status(gather(lake, {}, at, datasets=()))
    return {row.name: row for row in shown if row.name in ("refresh", "withheld rows")}


def test_a_ticker_of_which_rows_are_withheld_has_a_row_of_its_own_until_it_is_settled(
    lake: Lake,
) -> None:
    for week in range(4):
        refresh(lake, SUNDAY + week * WEEK, ["CUT"])
    now = SUNDAY + 3 * WEEK + timedelta(hours=5)
    shown = rows(lake, now)
    assert shown["refresh"].ok is True, "all of v2 was read"
    assert shown["withheld rows"].ok is False
    assert "refresh --tickers CUT" in shown["withheld rows"].remedy
    assert "--accept-withdrawals" in shown["withheld rows"].remedy
    refresh(lake, now, [], tickers=["CUT"])
    assert rows(lake, now + timedelta(hours=1)).keys() == {"refresh"}


def test_that_many_tickers_lose_periods_is_nothing_to_accept(lake: Lake) -> None:
    refresh(lake, SUNDAY, [f"T{number:03}" for number in range(200)])
    row = rows(lake, SUNDAY + timedelta(hours=1))["withheld rows"]
    assert "200 tickers: T000," in row.reason
    assert "ask the vendor" in row.remedy
    assert "--accept-withdrawals" not in row.remedy


def test_a_refresh_with_failed_units_has_not_read_v2_in_full(lake: Lake) -> None:
    lost = {"ticker": "LOST", "statement": "cash_flow", "reason": "answered 503"}
    refresh(lake, SUNDAY, ["CUT", "LOST"])
    refresh(lake, SUNDAY + WEEK, [], failed=[lost])
    refresh(lake, SUNDAY + 2 * WEEK, [], statements=["cash_flow_statements"])
    entries, _ = ledger.read_entries(lake)
    assert last_refreshed(entries) == SUNDAY + timedelta(minutes=20)
    assert tickers_withheld(entries) == ("LOST",)
