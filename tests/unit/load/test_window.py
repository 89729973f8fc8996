"""Windows: how wide they are, what they must not undo, and the sweep over undated records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake, revisions
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.load import store as store_module
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.store import Stored, StoreJob, relabelled, store_v1, store_v2
from polygon_fundamentals.load.window_v1 import PAGES_AT_ONCE, update_v1
from polygon_fundamentals.load.window_v2 import Window, update_v2, window_until
from polygon_fundamentals.reports import WindowReport
from polygon_fundamentals.settings import Settings
from polygon_fundamentals.statements import V1_PATH, Generation, Statement, Timeframe
from sandbox import Sandbox
from tests.conftest import KEY, client_of
from tests.lakes import stored_rows
from tests.servers import Answer, Asked, Script, results, serving

NOW = datetime(2026, 7, 2, tzinfo=UTC)
BOTH = [Timeframe.QUARTERLY, Timeframe.ANNUAL]
FRAMES = frozenset(("quarterly", "annual"))


@pytest.mark.parametrize(
    ("success", "first"),
    [
        (None, "2026-06-24"),
        ("2026-07-01", "2026-06-24"),
        ("2026-06-30", "2026-06-24"),
        ("2026-06-26", "2026-06-20"),
        ("2026-06-11", "2026-06-05"),
    ],
)
def test_a_window_is_that_of_all_days_since_the_last_success(
    success: str | None, first: str
) -> None:
    """What v1 published late before an outage was in no window, then or later."""
    last = date.fromisoformat(success) if success else None
    found = window_until(date(2026, 7, 1), 7, last)
    assert found == Window(date.fromisoformat(first), date(2026, 7, 1))
    assert found.filters(BOTH).filing_date_lt == "2026-07-02"


def record(filed: str | None, value: float, **changes: Any) -> dict[str, Any]:
    return {
        "cik": "0000000001",
        "tickers": ["AA"],
        "timeframe": "annual",
        "end_date": "2025-12-31",
        "fiscal_year": "2025",
        "fiscal_period": "FY",
        "filing_date": filed,
        "financials": {"balance_sheet": {"assets": {"value": value, "unit": "USD"}}},
        **changes,
    }


def store(lake: Lake, *rows: dict[str, Any], **more: Any) -> Stored:
    job = StoreJob(
        root=str(lake.root),
        statements=[Statement.BALANCE_SHEETS],
        bodies=[json.dumps({"results": rows}).encode()],
        companies={"AA": ["0000000001"]},
        scope=Scope.WINDOW,
        timeframes=FRAMES,
        observed_at=NOW,
        window=True,
    )
    return store_v1(replace(job, **more))


def assets(lake: Lake) -> list[float]:
    rows = stored_rows(lake, Generation.V1, Statement.BALANCE_SHEETS)["AA"]
    return [row["financials"]["balance_sheet"]["assets"]["value"] for row in rows]


def test_an_original_does_not_undo_its_amendment(lake: Lake) -> None:
    store(lake, record("2026-05-01", 2.0))
    stored = store(lake, record("2026-02-01", 1.0))
    counts = stored.counts
    assert (counts.rows_received, counts.rows_changed, counts.rows_unchanged) == (1, 0, 1)
    assert (stored.unfollowed, stored.reports) == (0, (("annual", "0000000001", "2025-12-31"),))
    assert assets(lake) == [2.0]
    old = revisions.read(lake.dataset(Generation.V1, Statement.BALANCE_SHEETS), "AA")
    assert [str(day) for day in old["filing_date"].to_pylist()] == ["2026-02-01"]
    assert store(lake, record("2026-02-01", 1.0)).counts.bytes_written == 0
    store(lake, record("2026-06-01", 3.0))
    assert assets(lake) == [3.0]


def test_what_a_page_leaves_out(lake: Lake) -> None:
    other = record("2026-05-01", 5.0, cik="0000000002", tickers=["BB"])
    yearly = record(None, 6.0, timeframe="ttm", fiscal_period="TTM")
    stored = store(lake, record("2026-05-01", 2.0), other, yearly)
    assert (stored.counts.rows_new, stored.unfollowed) == (1, 1)
    stored = store(lake, record("2026-06-01", 9.0), undated_only=True)
    assert stored.counts.rows_received == 0
    store(lake, other, owner="AA")
    assert sorted(assets(lake)) == [2.0, 5.0]


def in_pages(rows: list[dict[str, Any]], fails_at: int | None = None) -> Script:
    """Serve a window, a row a page."""

    def answer(asked: Asked) -> Answer:
        number = int(asked.query.get("cursor", 0))
        if number == fails_at:
            return Answer(400, b'{"error":"no such cursor"}')
        more = {"next_url": f"{V1_PATH}?cursor={number + 1}"} if number + 1 < len(rows) else {}
        return results([rows[number]], **more)

    return answer


def updated(lake: Lake, url: str) -> WindowReport:
    client = Client(Settings(base_url=url), "key-of-the-test")
    window, sheets = Window(date(2026, 1, 1), date(2026, 6, 30)), [Statement.BALANCE_SHEETS]
    follow = {"AA": ["0000000001"]}
    return update_v1(Loader(client, lake), sheets, window, [Timeframe.ANNUAL], follow)


def filings(count: int) -> list[dict[str, Any]]:
    """So many filings of the same fiscal year, each amending the one before."""
    return [record(f"2026-05-{day:02d}", float(day)) for day in range(1, count + 1)]


def test_the_last_of_many_amendments_stands_whatever_is_committed_together(lake: Lake) -> None:
    rows = filings(2 * PAGES_AT_ONCE + 3)
    with serving(in_pages(rows)) as server:
        counts = updated(lake, server.url)
    assert counts.rows_received == len(server.asked) == len(rows)
    assert assets(lake) == [float(len(rows))]
    old = revisions.read(lake.dataset(Generation.V1, Statement.BALANCE_SHEETS), "AA")
    assert old.num_rows == len(rows) - 1


@pytest.mark.parametrize("pages", [3, PAGES_AT_ONCE, PAGES_AT_ONCE + 3])
def test_pages_before_one_that_fails_are_stored(lake: Lake, pages: int) -> None:
    with serving(in_pages(filings(pages + 4), fails_at=pages)) as server:
        (failure,) = updated(lake, server.url).failed
    assert failure.error == "BadRequestError"
    assert "no such cursor" in failure.reason
    assert assets(lake) == [float(pages)]


def test_only_a_new_label_of_a_known_period_is_asked_again(lake: Lake, sandbox: Sandbox) -> None:
    rows = [r for r in sandbox.rows("v2", "cash_flow") if r["cik"] == "0009000002"]
    follow = {"NAN": ["0009000002"]}
    assert new_labels(lake, Statement.CASH_FLOW, rows, follow) == {}
    client = client_of(sandbox)
    window = Window(date(2000, 1, 1), date(2026, 7, 1))
    frames = list(Timeframe)
    update_v2(Loader(client, lake), Statement.CASH_FLOW, window, frames, follow, True)
    assert new_labels(lake, Statement.CASH_FLOW, rows, follow) == {}
    changed = [{**rows[-1], "fiscal_year": 2040}]
    end = rows[-1]["period_end"]
    asked_again = new_labels(lake, Statement.CASH_FLOW, changed, follow)
    assert asked_again == {"0009000002": [(end, end)]}
    assert new_labels(lake, Statement.CASH_FLOW, changed, {"ZZ": []}) == {}


@pytest.mark.parametrize("old_end_stands", [False, True])
def test_a_quarter_whose_end_the_vendor_set_right_stands_once(
    lake: Lake, old_end_stands: bool
) -> None:
    """A 52-week year; the other company's quarter, which ends as early, was not asked for."""
    sheets, follow = Statement.BALANCE_SHEETS, {"AA": ["0000000001"], "BB": ["0000000002"]}
    wrong = v2_row("AA", 1) | {"period_end": "2024-09-30", "filing_date": "2024-11-01"}
    right = wrong | {"period_end": "2024-09-28", "filing_date": "2025-10-31"}
    others = [v2_row("BB", 2) | {"period_end": f"2024-09-{day}"} for day in (25, 29)]
    store_v2(v2_job(lake, sheets, [wrong, *others], follow))
    market = [right, *others, *([wrong] if old_end_stands else [])]

    def script(asked: Asked) -> Answer:
        first, last = asked.query.get("period_end.gte"), asked.query.get("period_end.lte")
        if not first or not last:
            return results([right])
        return results([row for row in market if first <= str(row["period_end"]) <= last])

    window = Window(date(2025, 10, 31), date(2025, 11, 1))
    with serving(script) as server:
        client = Client(Settings(base_url=server.url), "key-of-the-test")
        report = update_v2(Loader(client, lake), sheets, window, BOTH, follow, False)
    assert (report.periods_asked_again, len(server.asked)) == (1, 2)
    assert report.rows_withdrawn == (not old_end_stands)
    ends = ["2024-09-28"] + ["2024-09-30"] * old_end_stands
    assert ends_of(lake, "AA") == ends
    assert ends_of(lake, "BB") == ["2024-09-25", "2024-09-29"]


def ends_of(lake: Lake, ticker: str) -> list[str]:
    table = read_dataset(lake.dataset(Generation.V2, Statement.BALANCE_SHEETS), [ticker])
    return sorted(map(str, table["period_end"].to_pylist()))


@pytest.mark.parametrize(
    "changes", [{"period_end": None}, {"period_end": "0000-00-00"}, {"cik": ["1"]}, {"cik": None}]
)
def test_a_row_without_a_period_or_company_makes_nothing_be_asked_again(
    lake: Lake, changes: dict[str, Any]
) -> None:
    old, sheets = v2_row("AA", 1) | changes, Statement.BALANCE_SHEETS
    follow = {"AA": ["0000000001"]}
    store_v2(v2_job(lake, sheets, [old], follow))
    assert new_labels(lake, sheets, [old | {"fiscal_quarter": 4}], follow) == {}
    without = {name: value for name, value in old.items() if name != "period_end"}
    assert new_labels(lake, sheets, [without], follow) == {}


def v2_job(
    lake: Lake, statement: Statement, rows: list[dict[str, Any]], follow: dict[str, list[str]]
) -> StoreJob:
    body = json.dumps({"results": rows}).encode()
    return StoreJob(str(lake.root), [statement], [body], follow, Scope.WINDOW, FRAMES, NOW)


def new_labels(
    lake: Lake, statement: Statement, rows: list[dict[str, Any]], follow: dict[str, list[str]]
) -> dict[str, list[str]]:
    return relabelled(v2_job(lake, statement, rows, follow))


def v2_row(ticker: str, number: int) -> dict[str, Any]:
    return {
        "cik": f"{number:010}",
        "tickers": [ticker],
        "timeframe": "quarterly",
        "period_end": "2026-03-31",
        "filing_date": "2026-05-01",
        "fiscal_year": 2026,
        "fiscal_quarter": 1,
    }


def v1_record(ticker: str, number: int) -> dict[str, Any]:
    return record("2026-05-01", 1.0, cik=f"{number:010}", tickers=[ticker])


MARKET = [("AA", 1), ("BB", 2), ("CC", 3), ("DD", 4), ("EE", 5)]


@pytest.mark.parametrize("generation", list(Generation))
@pytest.mark.parametrize("ends", ["with an odd row", "on a page that fails"])
def test_all_but_the_failing_row_is_stored_and_counted(
    lake: Lake, generation: Generation, ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    v1, odd_row = generation is Generation.V1, ends == "with an odd row"
    make, table = (v1_record, "v1_tables") if v1 else (v2_row, "v2_table")
    rows = [make(*one) for one in MARKET]
    if odd_row:
        rows[3]["odd"] = "sandbox-key"
    tables = getattr(store_module, table)

    def refusing(some: list[dict[str, Any]], *more: Any) -> Any:
        if any("odd" in row for row in some):
            raise KeyError("odd")
        return tables(some, *more)

    monkeypatch.setattr(store_module, table, refusing)

    def script(asked: Asked) -> Answer:
        if "cursor" in asked.query:
            return results(rows[3:]) if odd_row else Answer(400, b"{}")
        return results(rows[:3], next_url=f"{asked.path}?cursor=1")

    sheets, window = Statement.BALANCE_SHEETS, Window(date(2026, 1, 1), date(2026, 6, 30))
    follow: dict[str, list[str]] = {ticker: [] for ticker, _ in MARKET}
    with serving(script) as server:
        loader = Loader(client_of(server), lake)  # type: ignore[arg-type]
        report = (
            update_v1(loader, [sheets], window, [Timeframe.ANNUAL], follow)
            if v1
            else update_v2(loader, sheets, window, BOTH, follow, False)
        )
    (failure,) = report.failed
    assert failure.error == ("ContentError" if odd_row else "BadRequestError")
    wanted = ["AA", "BB", "CC", "EE"] if odd_row else ["AA", "BB", "CC"]
    assert sorted(stored_rows(lake, generation, sheets)) == wanted
    assert report.rows_new == len(wanted)
    if odd_row:
        said = failure.reason
        assert said.startswith("1 rows were left out and all others stored; the first begins {")
        assert '"cik": "0000000004"' in said
        assert "(KeyError: 'odd')" in said
        assert "sandbox-key" not in said


@pytest.mark.parametrize("generation", list(Generation))
def test_a_row_that_is_null_costs_no_other(lake: Lake, generation: Generation) -> None:
    v1 = generation is Generation.V1
    make = v1_record if v1 else v2_row
    rows = [make(*MARKET[0]), None, make(*MARKET[1])]
    window, follow = Window(date(2026, 1, 1), date(2026, 6, 30)), {"AA": [], "BB": []}
    sheets = Statement.BALANCE_SHEETS
    with serving(lambda asked: results(rows)) as server:  # type: ignore[arg-type]
        client = client_of(server)  # type: ignore[arg-type]
        loader = Loader(client, lake)
        report = (
            update_v1(loader, [sheets], window, [Timeframe.ANNUAL], follow)
            if v1
            else update_v2(loader, sheets, window, BOTH, follow, False)
        )
    (failure,) = report.failed
    assert (failure.error, "the first begins null" in failure.reason) == ("ContentError", True)
    assert sorted(stored_rows(lake, generation, sheets)) == ["AA", "BB"]


@pytest.fixture
def crowd() -> Iterator[Sandbox]:
    with Sandbox(
        companies=900, start=date(2025, 6, 1), today=date(2026, 5, 11), quirks=False, api_key=KEY
    ) as server:
        yield server


@pytest.mark.slow
def test_the_sweep_stops_after_some_pages_and_goes_on_the_next_time(
    lake: Lake, crowd: Sandbox
) -> None:
    followed = {ticker: [] for ticker in crowd.tickers[-30:]}
    window = Window(date(2026, 5, 11), date(2026, 5, 11))
    cursor = lake.ops / "cache" / "undated.v1.quarterly.json"
    statements = [Statement.BALANCE_SHEETS]

    def update() -> int:
        crowd.forget_requests()
        update_v1(Loader(client_of(crowd), lake), statements, window, BOTH, followed)
        return sum(
            "period_of_report_date.gte" in r.query or "cursor" in r.query for r in crowd.requests
        )

    undated = {
        (row["cik"], row["end_date"])
        for row in crowd.rows("v1")
        if row["timeframe"] == "quarterly"
        and not row.get("filing_date")
        and row["end_date"] >= "2025-10-23"
        and row["tickers"][0] in followed
    }
    assert len(undated) > 10

    def stored() -> set[tuple[str, str]]:
        found = stored_rows(lake, Generation.V1, Statement.BALANCE_SHEETS)
        return {
            (row["cik"], str(row["end_date"]))
            for rows in found.values()
            for row in rows
            if row["filing_date"] is None
        }

    assert update() <= 8
    assert cursor.exists()
    assert stored() < undated
    update()
    assert stored() == undated
    cursor.write_text('{"cursor": "not one of theirs"}')
    update()
    assert stored() == undated


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_kept_cursor_goes_where_the_api_refuses_it_and_stays_where_it_fails(
    lake: Lake, status: int
) -> None:
    def script(asked: Asked) -> Answer:
        if "cursor" in asked.query:
            return Answer(status, b"{}")
        undated = asked.query.get("period_of_report_date.gte")
        quarter = {"timeframe": "quarterly", "fiscal_period": "Q4"}
        return results([record(None, 4.0, **quarter)] if undated else [])

    cursor = lake.ops / "cache" / "undated.v1.quarterly.json"
    cursor.parent.mkdir(parents=True, exist_ok=True)
    cursor.write_text('{"cursor": "of last month"}')
    window, sheets = Window(date(2026, 6, 20), date(2026, 6, 30)), [Statement.BALANCE_SHEETS]
    with serving(script) as server:
        client = client_of(server, attempts=1)  # type: ignore[arg-type]
        report = update_v1(Loader(client, lake), sheets, window, BOTH, {"AA": ["0000000001"]})
    assert bool(report.failed) == (status == 500)
    assert cursor.exists() == (status == 500)
    if status != 500:
        assert assets(lake) == [4.0]


@pytest.mark.parametrize("ticker", [None, "AA"])
def test_the_fourth_quarter_of_a_late_filer_comes_with_its_annual_report(
    lake: Lake, ticker: str | None
) -> None:
    """Filed nine months after the year's end: the sweep over undated records is past it."""
    asked_for: list[str] = []

    def script(asked: Asked) -> Answer:
        if "filing_date.gte" in asked.query:
            return results([record("2026-09-30", 1.0)])
        end = asked.query.get("period_of_report_date")
        asked_for.append(end or "sweep")
        quarter = {"timeframe": "quarterly", "fiscal_period": "Q4"}
        return results([record(None, 4.0, **quarter)] if end == "2025-12-31" else [])

    window, sheets = Window(date(2026, 9, 24), date(2026, 9, 30)), [Statement.BALANCE_SHEETS]
    with serving(script) as server:
        loader = Loader(client_of(server), lake)  # type: ignore[arg-type]
        for _ in range(2):  # the second time the lake has it
            report = update_v1(loader, sheets, window, BOTH, {"AA": ["0000000001"]}, ticker)
            assert (report.failed, report.fourths_left) == ((), 0)
    assert sorted(assets(lake)) == [1.0, 4.0]
    assert asked_for == ["sweep", "2025-12-31", "sweep"]


@pytest.mark.parametrize("source", ["quarterly", "annual"])
def test_the_twelve_months_of_a_late_filer_come_with_its_report(lake: Lake, source: str) -> None:
    """Filed a year after the quarter's end: the sweep over undated records is past it."""
    asked_for: list[tuple[str, str]] = []
    period = {"end_date": "2025-09-30", "fiscal_period": "Q3"}

    def script(asked: Asked) -> Answer:
        if "filing_date.gte" in asked.query:
            return results([record("2026-09-30", 1.0, **period, timeframe=source)])
        end = asked.query.get("period_of_report_date", "sweep")
        asked_for.append((asked.query["timeframe"], end))
        year = {**period, "fiscal_period": "TTM", "timeframe": "ttm"}
        is_late = asked_for[-1] == ("ttm", "2025-09-30")
        return results([record(None, 4.0, **year)] if is_late else [])

    window, sheets = Window(date(2026, 9, 24), date(2026, 9, 30)), [Statement.BALANCE_SHEETS]
    with serving(script) as server:
        loader = Loader(client_of(server), lake)  # type: ignore[arg-type]
        for _ in range(2):  # the second time the lake has it
            report = update_v1(loader, sheets, window, list(Timeframe), {"AA": ["0000000001"]})
            assert (report.failed, report.fourths_left) == ((), 0)
    assert sorted(assets(lake)) == [1.0, 4.0]
    assert asked_for.count(("ttm", "2025-09-30")) == 1


@pytest.mark.parametrize(("late_filers", "by_company"), [(5, True), (40, False)])
def test_a_few_late_filers_are_asked_for_one_by_one_and_many_by_the_day(
    lake: Lake, late_filers: int, by_company: bool
) -> None:
    """Many where the window reaches far back, after a pause."""
    ciks = [f"{number:010d}" for number in range(1, late_filers + 1)]
    asked_for: list[str] = []

    def script(asked: Asked) -> Answer:
        quarter: dict[str, Any] = {"timeframe": "quarterly", "fiscal_period": "Q4"}
        who = asked.query.get("cik")
        if "filing_date.gte" in asked.query:
            return results([record("2026-09-30", 1.0, cik=c, tickers=[f"T{c}"]) for c in ciks])
        if "period_of_report_date" not in asked.query:
            return results([])
        asked_for.append(who or "the day")
        mine = [c for c in ciks if who in (None, c)]
        return results([record(None, 4.0, cik=c, tickers=[f"T{c}"], **quarter) for c in mine])

    window, sheets = Window(date(2026, 8, 1), date(2026, 9, 30)), [Statement.BALANCE_SHEETS]
    follow = {f"T{cik}": [cik] for cik in ciks}
    with serving(script) as server:
        loader = Loader(client_of(server), lake)  # type: ignore[arg-type]
        report = update_v1(loader, sheets, window, BOTH, follow)
    assert (report.rows_new, report.fourths_left) == (2 * late_filers, 0)
    assert asked_for == (ciks if by_company else ["the day"])


@pytest.mark.parametrize("first", ["2026-01-01", "2026-08-15", "2026-09-24"])
def test_no_fourth_quarter_is_left_that_no_later_run_comes_to(lake: Lake, first: str) -> None:
    """After a pause, or where many file late: more pages than a run has for the years just filed.

    The year ended within the sweep of the first window, and before that of the other two.
    """
    ciks = [f"{number:010d}" for number in range(1, 11)]

    def rows(filed: str | None, **more: Any) -> list[dict[str, Any]]:
        return [record(filed, 1.0, cik=c, tickers=[f"T{c}"], **more) for c in ciks]

    quarters = rows(None, timeframe="quarterly", fiscal_period="Q4")

    def script(asked: Asked) -> Answer:
        number = int(asked.query.get("cursor", 0))
        if "filing_date.gte" in asked.query:
            return results(rows("2026-09-29"))
        since = asked.query.get("period_of_report_date.gte", "")
        if since > "2025-12-31":
            return results([])
        more = {"next_url": f"{V1_PATH}?cursor={number + 1}"} if number + 1 < len(ciks) else {}
        return results(quarters[number : number + 1], **more)

    window = Window(date.fromisoformat(first), date(2026, 9, 30))
    sheets, follow = [Statement.BALANCE_SHEETS], {f"T{cik}": [cik] for cik in ciks}
    with serving(script) as server:
        loader = Loader(client_of(server), lake)  # type: ignore[arg-type]
        report = update_v1(loader, sheets, window, BOTH, follow)
    assert (report.failed, report.fourths_left) == ((), 0)
    assert report.rows_new == 2 * len(ciks)
