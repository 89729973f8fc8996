"""The status: what it warns of, its JSON, and a page that shows data as data."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from flows import lake_status
from flows.lake_status import TARGETS_FILE
from flows.parameters.loads import RefreshParameters
from polygon_fundamentals.business_days import STALE_DAYS
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.catalogue import DatasetCounts
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.status import (
    alarms,
    as_html,
    as_json,
    as_markdown,
    check_status,
    gather,
    load_targets,
)
from polygon_fundamentals.status.render import verdict
from polygon_fundamentals.status.row import TARGET, Row
from polygon_fundamentals.status.targets import PLANNED, Measured, check_target
from tests.builders.ledger import entry
from tests.builders.status_lakes import WHOLE, retired
from tests.unit.silver.feeding import put, v2_balance

MONDAY = datetime(2026, 7, 13, 20, tzinfo=UTC)


def run_of(lake: Lake, day: str, v1: dict[str, Any], v2: dict[str, Any], **more: Any) -> None:
    window = {"window": {"from": "2026-06-01", "to": day}, "requests": 3}
    entry(
        lake,
        f"run-{day}",
        started=f"{day}T20:00:00+00:00",
        ended=f"{day}T20:01:00+00:00",
        outcome="succeeded" if v1.get("ok") is not False else "failed",
        parameters={**WHOLE, "generation": "both", "date": day},
        generations={"v1": window | v1, "v2": window | v2},
        **more,
    )


def warnings(lake: Lake, now: datetime = MONDAY) -> list[str]:
    figures = gather(lake, load_targets(None), now)
    told: list[str] = as_json(figures, check_status(figures))["warnings"]
    return told


def test_all_is_well(lake: Lake) -> None:
    for day in ("2026-07-08", "2026-07-09", "2026-07-10", "2026-07-13"):
        run_of(lake, day, {"ok": True, "seconds": 2.0}, {"ok": True, "seconds": 3.0})
    figures = gather(lake, load_targets(None), MONDAY.replace(hour=21))
    shown = as_json(figures, check_status(figures))
    assert shown["warnings"] == []
    assert (shown["days_in_a_row"], shown["days_in_a_row_until"]) == (4, "2026-07-13")
    assert shown["time_ratio"] == 1.5
    nothing = dict.fromkeys(("since", "sunset", "failing_since"))
    assert shown["v1"] == {"state": "live", "retired": False, **nothing}
    assert all(set(row) == {"name", "ok", "detail"} for row in shown["rows"])
    assert json.loads(json.dumps(shown)) == shown


BROWNOUT = "/vX/reference/financials answered 410 in a brownout before its sunset on 2026-10-09"


def failed(reason: str) -> dict[str, Any]:
    return {"ok": False, "failed": [{"ticker": "*", "statement": "cash_flow", "reason": reason}]}


@pytest.mark.parametrize(
    ("v1", "expected"),
    [
        (failed("answered 500"), "v1 last run: answered 500"),
        (failed(BROWNOUT), "v1 endpoint: browning out"),
        (
            {"ok": True, "brownouts": 2, "sunset": "2026-10-09"},
            "v1 endpoint: browning out (answers 410 at times) before its sunset on 2026-10-09",
        ),
        ({"ok": None, "frozen_since": "2026-07-01"}, None),
    ],
)
def test_a_failing_v1(lake: Lake, v1: dict[str, Any], expected: str | None) -> None:
    run_of(lake, "2026-07-10", {"ok": True}, {"ok": True})
    run_of(lake, "2026-07-13", v1, {"ok": True})
    found = warnings(lake)
    assert any(w.startswith(expected) for w in found) if expected else found == []


def test_a_late_run_a_missing_refresh_and_a_damaged_ledger(lake: Lake) -> None:
    run_of(lake, "2026-07-01", {"ok": True}, {"ok": True})
    (lake.ops / "runs" / "20260702T0Z-x.json").write_text("{")
    found = " ".join(warnings(lake))
    assert "v2 daily update: loaded up to 2026-07-01, last success 2026-07-01" in found
    assert "7 business days ago" in found
    assert "refresh: v2 has not been read in full" in found
    assert "20260702T0Z-x.json cannot be read" in found


def test_a_load_of_a_few_tickers_or_of_days_long_gone_is_no_update_of_the_lake(lake: Lake) -> None:
    """Nor is a refresh of one ticker one of the lake."""
    run_of(lake, "2026-06-15", {"ok": True}, {"ok": True})
    window = {"from": "2026-07-06", "to": "2026-07-13"}
    some = {**WHOLE, "generation": "v2", "tickers": ["AAPL"]}
    old = {**WHOLE, "generation": "v2", "date": "2024-03-01"}
    ended = {"started": "2026-07-13T15:00:00+00:00", "ended": "2026-07-13T15:00:05+00:00"}
    ended |= {"outcome": "succeeded"}
    report = {"ok": True, "rows_received": 5}
    entry(lake, "some", parameters=some, generations={"v2": report | {"window": window}}, **ended)
    gone = {"from": "2024-02-23", "to": "2024-03-01"}
    entry(lake, "old", parameters=old, generations={"v2": report | {"window": gone}}, **ended)
    recorded = RefreshParameters(tickers=["AAPL"]).recorded("https://example.org")
    entry(lake, "refresh", flow="refresh", parameters=recorded, generations={"v2": report}, **ended)
    rows = {row.name: row for row in check_status(gather(lake, load_targets(None), MONDAY))}
    assert rows["v2 daily update"].reason == (
        "loaded up to 2026-06-15, last success 2026-06-15 20:01 UTC: 18 business days ago"
    )
    assert rows["v2 daily update"].ok is False
    assert rows["refresh"].reason.startswith("v2 has not been read in full since its load")
    targets = {m.name: m.missing for m in gather(lake, load_targets(None), MONDAY).targets}
    assert targets["lag"] == ""
    recorded = RefreshParameters().recorded("https://example.org")
    entry(lake, "whole", flow="refresh", parameters=recorded, generations={"v2": report}, **ended)
    rows = {row.name: row for row in check_status(gather(lake, load_targets(None), MONDAY))}
    assert rows["refresh"].ok is True


def test_the_failure_of_an_update_is_not_forgotten_over_one_of_a_few_tickers(lake: Lake) -> None:
    unit = {"ticker": "*", "statement": "cash_flow", "reason": "HTTP 500"}
    broken = {"ok": False, "failed": [unit]}
    run_of(lake, "2026-07-13", {"ok": True}, broken)
    some = {**WHOLE, "generation": "v2", "tickers": ["AAPL"]}
    entry(
        lake,
        "some",
        parameters=some,
        started="2026-07-13T20:30:00+00:00",
        ended="2026-07-13T20:30:05+00:00",
        outcome="succeeded",
        generations={"v2": {"ok": True, "window": {"from": "2026-07-06", "to": "2026-07-13"}}},
    )
    assert any(
        w.startswith("v2 last run: HTTP 500") for w in warnings(lake, MONDAY.replace(hour=21))
    )


PUBLISHED = {"build": "20260701T040000000000Z-v2"}
NIGHTS = ("2026-07-09", "2026-07-10", "2026-07-11", "2026-07-12", "2026-07-13")


@pytest.mark.parametrize(
    ("nights", "made", "is_late"),
    [
        # Silver changes every night, so that the newest build is a few hours old.
        (NIGHTS, "20260713T040000000000Z-v2", True),
        (NIGHTS[-1:], "20260713T040000000000Z-v2", False),
        # The nightly build made no other one.
        ((), "20260713T040000000000Z-v2", True),
        # Led back to a build of long ago, as by a rollback, hours after a publish.
        (("again",), "20260501T040000000000Z-v1", False),
    ],
)
def test_publishing_is_late_when_readers_have_seen_other_builds_for_long(
    nights: tuple[str, ...], made: str, is_late: bool, lake: Lake
) -> None:
    (lake.silver / "builds" / made).mkdir(parents=True)
    (lake.silver / "fundamentals_wide").symlink_to(f"builds/{made}")
    published = "2026-07-13" if nights == ("again",) else "2026-07-01"
    done = {"outcome": "succeeded", "parameters": {"to": "s3://bucket/f"}}
    at = {"started": f"{published}T05:00:00+00:00", "ended": f"{published}T05:01:00+00:00"}
    entry(lake, "publish", flow="publish", published=PUBLISHED, **done, **at)
    # A table of a past day, and a build that changed nothing, lead nobody to another one.
    for name, as_of, build in (
        ("past", "2024-05-31", "/lake/silver/builds/20260702T040000000000Z-v2"),
        ("same", None, f"/lake/silver/builds/{PUBLISHED['build']}"),
    ):
        at = {"started": "2026-07-02T04:00:00+00:00", "ended": "2026-07-02T04:01:00+00:00"}
        done |= {"parameters": {"as_of": as_of}}
        entry(lake, name, flow="silver", silver={"build": build}, **done, **at)
    for night in nights if nights != ("again",) else ():
        at = {"started": f"{night}T04:00:00+00:00", "ended": f"{night}T04:01:00+00:00"}
        build = f"/lake/silver/builds/{night.replace('-', '')}T040000000000Z-v2"
        done |= {"parameters": {"as_of": None}}
        entry(lake, night, flow="silver", silver={"build": build}, **done, **at)
    (place,) = gather(lake, {}, MONDAY).published
    assert (place.behind, place.late) == (made, is_late)


def test_the_age_of_the_newest_filing_counts_days_in_new_york(lake: Lake) -> None:
    put(lake, Generation.V2, v2_balance("2026-07-10", 1.0), "2026-07-10T20:00")
    late_evening = datetime(2026, 7, 14, 2, tzinfo=UTC)  # 22:00 on the 13th in New York
    figures = gather(lake, {}, late_evening)
    shown: Any = as_json(figures, check_status(figures))
    ages = [d["freshness_days"] for d in shown["datasets"] if d["records"]]
    assert ages == [3]


def test_counts_that_drift_apart(lake: Lake) -> None:
    for day, v2 in (("2026-07-10", 1000), ("2026-07-13", 950)):
        records = {"v1": {"cash_flow": 1000}, "v2": {"cash_flow": v2}}
        run_of(lake, day, {"ok": True}, {"ok": True}, records=records)
    assert warnings(lake) == [
        "difference in counts: record counts differ by 5.0%, 0.0% some runs ago; run `parity`, "
        "which names what is missing"
    ]


@pytest.mark.parametrize(
    ("name", "measured", "verdict"),
    [
        ("download", 12.0, "met"),
        ("download", 17.0, "acceptable"),
        ("download", 18.1, "missed"),
        ("requests", 100.0, "met"),
        ("requests", 80.0, "acceptable"),
        ("requests", 79.0, "missed"),
        ("lag", None, "not measured"),
    ],
)
def test_verdicts_on_targets(name: str, measured: float | None, verdict: str) -> None:
    assert PLANNED[name].verdict(measured) == verdict


def test_targets_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "targets.toml"
    path.write_text('[targets.lag]\ntitle = "lag"\nunit = "min"\ntarget = 5\nacceptable = 9\n')
    assert load_targets(path)["lag"].acceptable == 9
    path.write_text('[targets.nonsense]\ntitle="x"\nunit=""\ntarget=1\nacceptable=1\n')
    with pytest.raises(UsageError, match="nonsense is not a target"):
        load_targets(path)
    path.write_text("[targets.lag]\ntarget = 5\n")
    with pytest.raises(
        UsageError, match=r"targets\.lag\.title: Field required; .*; correct the file"
    ):
        load_targets(path)
    path.write_text('[targets.requests]\ntitle="x"\nunit=""\ntarget=0\nacceptable=1\n')
    with pytest.raises(UsageError, match=r"targets\.requests\.target: .* greater than 0"):
        load_targets(path)


def test_the_page_shows_data_as_data(lake: Lake) -> None:
    run_of(lake, "2026-07-13", failed("<script>alert(1)</script>"), {"ok": True})
    figures = gather(lake, load_targets(None), MONDAY)
    page = as_html(figures, check_status(figures))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page


def test_the_page_shows_the_figures_of_a_dataset_once(lake: Lake) -> None:
    retired(lake)
    figures = gather(lake, load_targets(None))
    page = as_html(figures, check_status(figures))
    for dataset in figures.datasets:
        assert dataset.records > 0
        assert page.count(f"<td>{dataset.generation} {dataset.statement}</td>") == 1
    assert "<code>checklist</code>" in page
    assert "`" not in page


def test_the_verdict_comes_first_and_what_needs_a_person_before_the_rest(lake: Lake) -> None:
    run_of(lake, "2026-07-10", {"ok": True}, failed("HTTP 500"))
    rows = check_status(gather(lake, load_targets(None), MONDAY))
    figures = gather(lake, load_targets(None), MONDAY)
    for text in (as_html(figures, rows), as_markdown(figures, rows)):
        places = [
            text.index(words)
            for words in (
                "need attention",
                "v2 last run",
                "HTTP 500",
                "Checked",
                "Not judged",
                "Performance",
                "download of 1,000 tickers",
                "Datasets",
            )
        ]
        assert places == sorted(places)
    calm = [row for row in rows if row.ok is not False]
    assert "All is well" in as_html(figures, calm)


def test_where_readers_are_led_is_no_verdict_on_the_lake() -> None:
    rows = [
        Row("pointer", True, "readers see v1"),
        Row("peak memory", True, "1 GB (target 3 GB)", TARGET),
        Row("parity", None, "parity has not been run"),
    ]
    assert verdict(rows) == "Nothing to judge yet"
    assert verdict([*rows, Row("verify", True, "every file as recorded")]) == "All is well"


def test_less_than_a_minute_is_told_in_seconds() -> None:
    rows = [check_target(Measured("lag", PLANNED["lag"], minutes)) for minutes in (0.093, 12.0)]
    assert [row.detail for row in rows] == ["6 s (target 30 min)", "12 min (target 30 min)"]


def test_the_artifact_has_no_entity_for_an_apostrophe_and_no_cell_for_a_reason(lake: Lake) -> None:
    run_of(lake, "2026-07-13", failed("v1's <b>answer</b>"), {"ok": True})
    figures = gather(lake, load_targets(None), MONDAY)
    text = as_markdown(figures, check_status(figures))
    assert "- not ok · **v1 last run**: v1's &lt;b&gt;answer&lt;/b&gt;" in text


def load_of(lake: Lake, tickers: int, requests: int, **more: Any) -> dict[str, dict[str, Any]]:
    """Write a historical load of ten minutes; return name → target as the status has it."""
    report = {"ok": True, "units": 3 * tickers, "requests": requests, "seconds": 600.0}
    entry(
        lake,
        "load",
        flow="historical-load",
        started="2026-07-13T10:00:00+00:00",
        ended="2026-07-13T10:10:00+00:00",
        outcome="succeeded",
        generations={"v2": report},
        parameters={"generation": "v2", "statements": []},
        **more,
    )
    figures = gather(lake, load_targets(None), MONDAY, requests_per_minute=300)
    shown = as_json(figures, check_status(figures))
    return {target["name"]: target for target in shown["targets"]}


@pytest.mark.parametrize(
    ("tickers", "requests", "limit", "download", "throughput"),
    [
        # Few requests are no fault, nor is a load that sent all it needed within a minute.
        (107, 213, {"requests_per_minute": None}, "missed", "no rate limit was set"),
        (107, 213, {}, "missed", "needed only 213 requests"),
        (800, 2700, {}, "acceptable", "acceptable"),
        (1000, 3000, {}, "met", "met"),
        # As the whole market is loaded: storing takes the time, and fewer requests are better.
        (1000, 2300, {}, "met", "230 of the 300 allowed"),
        (6000, 155, {"requests_per_minute": 100}, "met", "16 of the 100 allowed"),
        (300, 38, {"requests_per_minute": 5}, "the limit was 5", "4 of the 5 allowed"),
        (1000, 50, {"requests_per_minute": 5}, "the limit was 5", "met"),
        (12, 60, {"requests_per_minute": 5}, "had 12 tickers, not 100", "met"),
    ],
)
def test_a_load_is_judged_by_the_rate_limit_it_was_given(
    lake: Lake, tickers: int, requests: int, limit: dict[str, Any], download: str, throughput: str
) -> None:
    targets = load_of(lake, tickers, requests, **limit)
    for target, expected in ((targets["download"], download), (targets["requests"], throughput)):
        assert expected in (target["missing"] or target["verdict"])
    if targets["requests"]["measured"] is not None:
        given = limit.get("requests_per_minute", 300)
        assert targets["requests"]["target"] == given
        assert targets["requests"]["acceptable"] == pytest.approx(0.8 * given)


def test_loads_side_by_side_share_a_limit_and_are_not_judged(lake: Lake) -> None:
    entry(
        lake,
        "other",
        flow="historical-load",
        started="2026-07-13T10:05:00+00:00",
        ended="2026-07-13T10:20:00+00:00",
        outcome="failed",
    )
    targets = load_of(lake, 1000, 1500)
    assert "no other load at the same time" in targets["requests"]["missing"]
    assert "no other load at the same time" in targets["download"]["missing"]


def test_the_file_that_is_shipped_holds_the_plan_and_says_how_each_is_measured() -> None:
    text = TARGETS_FILE.read_text()
    assert load_targets(TARGETS_FILE) == PLANNED
    assert tomllib.loads(text)["targets"].keys() == PLANNED.keys()
    for name in PLANNED:
        before = text.split(f"[targets.{name}]")[0].rstrip().splitlines()[-1]
        assert before.startswith("# ")


def test_every_alarm_names_the_next_command(lake: Lake) -> None:
    run_of(lake, "2026-06-01", failed("answered 500"), {"ok": True}, peak_memory_bytes=9 * 10**9)
    run_of(lake, "2026-06-02", failed(BROWNOUT), {"ok": True}, scheduled="2026-06-01T00:00:00Z")
    day = "2026-06-02"
    entry(lake, "p", flow="parity", outcome="failed", passed=False, started=f"{day}T21:00:00+00:00")
    (lake.ops / "runs" / "20260702T0Z-x.json").write_text("{")
    figures = gather(lake, load_targets(None), MONDAY)
    bad = alarms(check_status(figures))
    assert {row.name for row in bad} == {
        "v1 endpoint",
        "ledger",
        "v1 daily update",
        "v1 last run",
        "v2 daily update",
        "last run",
        "refresh",
        "peak memory",
        "parity",
    }
    for row in bad:
        assert "`" in row.remedy, row


SHORT = {"from": "2025-11-26", "to": "2025-12-03"}


def test_old_filings_are_asked_for_again_once(lake: Lake) -> None:
    put(lake, Generation.V2, v2_balance("2025-12-01", 100.0), "2025-12-02T12:00")
    day = "2026-07-13"
    run_of(lake, day, {"ok": True}, {"ok": True})
    words = (
        "v2 freshness: the newest filing of balance_sheets is 224 days older than the last window"
    )
    again = "; load these days again: `daily-update --generation v2 --days-back 224`"
    assert warnings(lake) == [words + again]
    # Short windows at their own time prove nothing of an API that answered nothing then.
    run_of(lake, "2025-12-03", {"ok": True}, {"ok": True, "window": SHORT})
    assert words + again in warnings(lake)
    wide = {"ok": True, "window": {"from": "2025-12-01", "to": day}}
    run_of(lake, day, {"ok": True}, wide)
    asked = "; all days since 2025-12-01 were requested at once, and nothing newer came"
    vendor = "; ask the vendor whether the endpoint is still updated"
    assert words + asked + vendor in warnings(lake)


def test_the_limit_of_freshness_is_that_of_parity(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lake of companies that file once a year (20-F), whose team has raised parity's limit."""
    put(lake, Generation.V2, v2_balance("2025-12-01", 100.0), "2025-12-02T12:00")
    run_of(lake, "2026-07-13", {"ok": True}, {"ok": True})
    text = lake_status.TOLERANCES_FILE.read_text()
    raised = tmp_path / "tolerances.yaml"
    raised.write_text(text.replace("  freshness: {", "  freshness: {limit: 400, "))
    for file, limit in ((lake_status.TOLERANCES_FILE, STALE_DAYS), (raised, 400)):
        monkeypatch.setattr(lake_status, "TOLERANCES_FILE", file)
        stale_days = lake_status.status_of(lake)[0].stale_days
        assert load_tolerances(file).rules.freshness.limit == stale_days == limit
        figures = gather(lake, load_targets(None), MONDAY, stale_days=stale_days)
        stale = [row.name for row in alarms(check_status(figures)) if row.kind == "stale"]
        assert stale == (["v2 freshness"] if limit == STALE_DAYS else [])


def test_a_statement_that_stands_still_beside_others_that_do_not_is_an_alarm(lake: Lake) -> None:
    newest = {Statement.BALANCE_SHEETS: date(2026, 7, 1), Statement.CASH_FLOW: date(2026, 1, 5)}
    datasets = [DatasetCounts(Generation.V2, s, last_filed=day) for s, day in newest.items()]
    run_of(lake, "2026-07-13", {"ok": True}, {"ok": True})
    figures = gather(lake, load_targets(None), MONDAY, datasets=datasets)
    (alarm,) = alarms(check_status(figures))
    assert alarm.reason == "the newest filing of cash_flow is 189 days older than the last window"
