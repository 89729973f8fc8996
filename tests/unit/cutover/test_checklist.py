"""The checklist: every line met and unmet, judged from a ledger written for the purpose."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import missed_since, streak
from polygon_fundamentals.cutover import checksums
from polygon_fundamentals.cutover.checklist import ChecklistItem, evaluate_checklist
from polygon_fundamentals.cutover.sign_offs import Contacts, Person, load_contacts, sign
from polygon_fundamentals.cutover.thresholds import Thresholds, load_thresholds
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.ledger import queries
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.parity_report import parity_report
from tests.cutover_world import fill

# Friday evening in New York; the five business days before it had their runs.
NOW = datetime(2026, 6, 12, 22, tzinfo=UTC)
WEEK = [date(2026, 6, day) for day in (8, 9, 10, 11, 12)]
PEOPLE = Contacts(
    migration_lead=Person(name="Ada", email="ada@example.com"),
    rollback_authority=Person(name="Grace"),
)


@pytest.fixture
def ready(lake: Lake) -> Lake:
    """A lake on which every line is met."""
    fill(lake)
    for day in WEEK:
        daily(lake, day)
    at = NOW - timedelta(hours=1)
    report = parity_report(lake, "signed")
    entry(lake, "parity", at, tickers_compared=2, sample=None, **report)
    entry(lake, "drill", at, passed=True, schema_same=True, answers_differ=[], checks=2)
    for item in PEOPLE.sign_offs:
        for who in ("Ada", "Grace"):
            if any(PEOPLE.person(role).is_called(who) for role in PEOPLE.sign_offs[item]):
                sign(lake, PEOPLE, item, who, clock=lambda: NOW)
    return lake


def entry(lake: Lake, flow: str, started: datetime, **facts: Any) -> Path:
    """Write a ledger entry."""
    folder = lake.ops / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{started:%Y%m%dT%H%M%S%f}Z-{flow}-{len(list(folder.iterdir())):012x}.json"
    found = {
        "flow": flow,
        "outcome": "succeeded",
        "started": started.isoformat(),
        "ended": (started + timedelta(minutes=5)).isoformat(),
        "parameters": {},
        **facts,
    }
    path.write_text(json.dumps(found))
    return path


def daily(
    lake: Lake, day: date, v1: Mapping[str, Any] | None = None, v2: Mapping[str, Any] | None = None
) -> Path:
    """Write the entry of a daily update of both generations."""
    good: dict[str, Any] = {
        "failed": [],
        "seconds": 10.0,
        "rows_new": 0,
        "rows_changed": 0,
        "rows_withdrawn": 0,
    }
    good["window"] = {"from": str(day - timedelta(days=7)), "to": str(day)}
    reports = {"v1": {**good, **(v1 or {})}, "v2": {**good, "seconds": 8.0, **(v2 or {})}}
    started = datetime(day.year, day.month, day.day, 20, tzinfo=UTC)
    parameters = {
        "generation": "both",
        "tickers": [],
        "universe": None,
        "statements": [statement.value for statement in Statement],
        "timeframes": ["quarterly", "annual"],
    }
    return entry(lake, "daily-update", started, parameters=parameters, generations=reports)


def lines(lake: Lake, v1: Any = "live", **thresholds: Any) -> dict[str, ChecklistItem]:
    limits = Thresholds(**{"storage_ratio": 50.0, **thresholds})
    return {
        line.name: line
        for line in evaluate_checklist(lake, limits, PEOPLE, v1=v1, clock=lambda: NOW).items
    }


def unmet(found: Mapping[str, ChecklistItem]) -> dict[str, str]:
    return {name: line.detail for name, line in found.items() if not line.ok}


def test_a_lake_that_is_ready_meets_every_line(ready: Lake) -> None:
    found = lines(ready)
    assert unmet(found) == {}
    assert found["parallel runs"].detail.startswith("both pipelines succeeded on 5 business days")
    assert "median v2 8.0 s, v1 10.0 s over 5 days" in found["run time"].detail


def break_runs(lake: Lake) -> None:
    for path in sorted((lake.ops / "runs").glob("*daily-update*"))[2:3]:
        path.unlink()


def break_runs_of_all(lake: Lake) -> None:
    path = sorted((lake.ops / "runs").glob("*daily-update*"))[2]
    found = json.loads(path.read_text())
    found["parameters"]["tickers"] = ["AAA"]
    path.write_text(json.dumps(found))


def break_parity(lake: Lake) -> None:
    entry(lake, "parity", NOW, passed=False, tickers_compared=2, sample=None)


def break_parity_coverage(lake: Lake) -> None:
    entry(lake, "parity", NOW, passed=True, tickers_compared=1, sample=None)


def break_parity_age(lake: Lake) -> None:
    entry(
        lake,
        "historical-load",
        NOW,
        parameters={"generation": "v2"},
        generations={"v2": {"rows_new": 1}},
    )


def break_parity_whole(lake: Lake) -> None:
    for path in (lake.ops / "runs").glob("*parity*"):
        path.unlink()


def break_parity_form(lake: Lake) -> None:
    entry(lake, "parity", NOW, passed=True)


def break_time(lake: Lake) -> None:
    for path in (lake.ops / "runs").glob("*daily-update*"):
        found = json.loads(path.read_text())
        found["generations"]["v2"]["seconds"] = 11.0
        path.write_text(json.dumps(found))


def break_drill_age(lake: Lake) -> None:
    for path in (lake.ops / "runs").glob("*drill*"):
        found = json.loads(path.read_text())
        path.unlink()
        facts = {k: v for k, v in found.items() if k not in ("flow", "started", "ended")}
        entry(lake, "drill", NOW - timedelta(days=8), **facts)


def break_drill(lake: Lake) -> None:
    entry(lake, "drill", NOW, passed=False, schema_same=True, answers_differ=[], checks=2)


def break_silver(lake: Lake) -> None:
    entry(
        lake,
        "drill",
        NOW,
        passed=True,
        schema_same=True,
        answers_differ=["rows: 5 and 4"],
        checks=2,
    )


def break_sign_offs(lake: Lake) -> None:
    (lake.ops / "cutover" / "sign_offs" / "training.json").unlink()


def break_ledger(lake: Lake) -> None:
    (lake.ops / "runs" / "20260612T000000000000Z-x-1.json").write_text("{ damaged")


BREAKS = [
    (break_runs, "parallel runs", "on 2 business days in a row"),
    (break_runs_of_all, "parallel runs", "on 2 business days in a row"),
    (break_parity, "parity", "did not pass"),
    (break_parity_coverage, "parity", "2 tickers are required"),
    (break_parity_age, "parity", "older than the last change of the lake"),
    (break_parity_whole, "parity", "has not been run"),
    (break_parity_form, "parity", "cannot be judged"),
    (break_time, "run time", "median v2 11.0 s"),
    (break_drill_age, "drill", "8.0 days ago; at most 7 days may have passed"),
    (break_drill, "drill", "within the last 24 hours"),
    (break_silver, "silver", "rows: 5 and 4"),
    (break_sign_offs, "sign-offs", "training (migration_lead), training (rollback_authority)"),
    (break_ledger, "ledger", "cannot be read"),
]


@pytest.mark.parametrize(
    ("breaks", "name", "words"), BREAKS, ids=lambda v: getattr(v, "__name__", v)
)
def test_each_line_is_unmet_where_its_own_matter_is_not(
    ready: Lake, breaks: Any, name: str, words: str
) -> None:
    breaks(ready)
    found = unmet(lines(ready))
    assert set(found) == {name}
    assert words in found[name]


def test_storage_is_judged_by_bytes_and_by_room(ready: Lake) -> None:
    assert "storage" in unmet(lines(ready, storage_ratio=0.001))
    assert "storage" in unmet(lines(ready, free_space_ratio=1e12))
    shutil.rmtree(ready.pointer)
    line = lines(ready)["storage"]
    assert (line.ok, "import-v1" in line.remedy) == (None, True)


def test_without_v2_its_storage_is_not_judged(ready: Lake) -> None:
    """It was ok: nothing is less than anything."""
    shutil.rmtree(ready.bronze / "fundamentals_v2")
    line = lines(ready)["storage"]
    assert (line.ok, line.detail) == (None, "v2 is not loaded")


def test_without_v1_there_is_nothing_to_compare_whatever_parity_ended_in(ready: Lake) -> None:
    """Users were sent to load a v1 that no longer answers, and read the name of a class."""
    entry(ready, "parity", NOW, outcome="failed", message="UsageError: the lake has no records")
    shutil.rmtree(ready.pointer)
    line = lines(ready)["parity"]
    assert (line.ok, line.detail) == (None, "nothing to compare: the lake has no records of v1")
    assert "import-v1" in line.remedy
    assert "cutover --execute --force REASON" in line.remedy


NOT_JUDGED = {
    "parallel runs": "no successful daily update of the whole lake is in the ledger",
    "parity": "parity has not been run",
    "run time": "there is no business day yet on which both ran",
    "silver": "no drill has built it from v2 yet",
    "drill": "the rollback has not been drilled on this lake",
    "only our writers": "no load of v1 in the ledger to judge by",
}


def test_what_nobody_measured_is_not_judged_and_unmet(lake: Lake) -> None:
    fill(lake)
    checklist = evaluate_checklist(
        lake, Thresholds(storage_ratio=50.0), PEOPLE, v1="live", clock=lambda: NOW
    )
    assert {i.name: i.detail for i in checklist.items if i.ok is None} == NOT_JUDGED
    assert checklist.unmet == [i.name for i in checklist.items if not i.ok]
    assert [i.name for i in checklist.items if i.ok] == ["storage"]
    [run_time] = [item.remedy for item in checklist.items if item.name == "run time"]
    assert "daily-update --generation both" in run_time, "not to raise the threads of no run"
    assert "v1 checksums" in evaluate_checklist(lake, Thresholds(), PEOPLE, v1="retired").not_judged


def test_silver_without_readers_checks_is_never_met(ready: Lake) -> None:
    entry(ready, "drill", NOW, passed=True, schema_same=True, answers_differ=[], checks=0)
    checklist = evaluate_checklist(
        ready, Thresholds(storage_ratio=50.0), PEOPLE, v1="live", clock=lambda: NOW
    )
    assert (checklist.unmet, checklist.not_judged) == (["silver"], ["silver"])
    assert checklist.sentence() == "unmet: silver"
    (line,) = [item for item in checklist.items if item.name == "silver"]
    assert "no readers' check compared a figure" in line.detail


def test_a_drill_that_ended_in_an_error_is_told_in_words(ready: Lake) -> None:
    entry(ready, "drill", NOW, outcome="failed", message="LakeError: no room")
    unmet_lines = unmet(lines(ready))
    words = "the drill of 2026-06-12 22:00 UTC ended in an error: no room"
    assert unmet_lines == {"silver": words, "drill": words}


def test_checksums_of_links_and_of_names_that_are_no_utf_8(ready: Lake, tmp_path: Path) -> None:
    folder = ready.pointer / "cash_flow"
    (folder / os.fsdecode(b"notes-\xe9.txt")).write_bytes(b"notes")
    (tmp_path / "disk").mkdir()
    (folder / "year=2011").symlink_to(tmp_path / "disk")
    names = {"cash_flow/notes-\\xe9.txt", "cash_flow/year=2011"}
    assert checksums.record(ready).keys() >= names
    assert unmet(lines(ready, v1="retired")) == {}
    (folder / os.fsdecode(b"notes-\xe9.txt")).write_bytes(b"other")
    (folder / "year=2011").unlink()
    (folder / "year=2011").symlink_to("elsewhere")
    detail = unmet(lines(ready, v1="retired"))["v1 checksums"]
    assert detail == "2 files changed since: " + ", ".join(sorted(names))


def test_a_file_that_no_run_of_ours_wrote_is_named(ready: Lake) -> None:
    intruder = next(ready.dataset(Generation.V1, Statement.CASH_FLOW).folder.rglob("*.parquet"))
    pq.write_table(pq.read_table(intruder, partitioning=None), intruder)
    found = unmet(lines(ready))
    assert set(found) == {"only our writers"}
    assert "1 files changed without a run" in found["only our writers"]
    assert intruder.name in found["only our writers"]


def test_where_v1_is_retired_other_lines_stand(ready: Lake) -> None:
    found = lines(ready, v1="retired")
    assert set(found) == {
        "v2 runs",
        "parity",
        "storage",
        "silver",
        "drill",
        "sign-offs",
        "v1 checksums",
    }
    assert unmet(found) == {"v1 checksums": "not recorded"}
    checksums.record(ready)
    assert unmet(lines(ready, v1="retired")) == {}
    next(ready.pointer.rglob("*.parquet")).write_bytes(b"changed")
    assert "1 files changed since" in unmet(lines(ready, v1="retired"))["v1 checksums"]


def test_a_look_at_a_sample_does_not_undo_a_whole_parity(ready: Lake) -> None:
    entry(ready, "parity", NOW, passed=True, tickers_compared=1, sample=1)
    assert unmet(lines(ready)) == {}
    # A sample that did not pass does.
    entry(ready, "parity", NOW, passed=False, tickers_compared=1, sample=1)
    assert unmet(lines(ready)).keys() == {"parity"}


def test_a_retired_v1_asks_for_the_whole_history(ready: Lake) -> None:
    loaded = {"v2": {"failed": [], "rows_new": 1}}
    entry(ready, "historical-load", NOW - timedelta(minutes=30), generations=loaded)
    entry(ready, "parity", NOW, passed=True, tickers_compared=2, sample=100)
    assert unmet(lines(ready)) == {}
    assert "the whole history are required" in unmet(lines(ready, v1="retired"))["parity"]


@pytest.mark.parametrize("v1", ["live", "retired"])
def test_tickers_without_a_value_in_v1_need_not_be_compared(ready: Lake, v1: str) -> None:
    """The run looked at both of v1's tickers; one has records without any value."""
    run = {"passed": True, "tickers_compared": 1, "sample": None}
    entry(ready, "parity", NOW, **run, tickers_total=2)
    line = lines(ready, v1=v1)["parity"]
    assert line.ok is True
    assert "1 of v1's 2 tickers compared, the others have no value to compare" in line.detail
    # What v2 lacks is not compared, and is named.
    entry(ready, "parity", NOW, **run, tickers_total=2, tickers_not_compared={"delisted": 1})
    line = lines(ready, v1=v1)["parity"]
    assert line.ok is True
    assert line.detail == "passed, 1 of v1's 2 tickers compared, 1 delisted, whole history"
    none = {**run, "tickers_compared": 0, "tickers_not_compared": {"delisted": 2}}
    entry(ready, "parity", NOW, **none, tickers_total=2)
    assert "0 of v1's 2 tickers compared, 2 delisted" in unmet(lines(ready, v1=v1))["parity"]
    # The second ticker came after the run.
    entry(ready, "parity", NOW, **run, tickers_total=1)
    assert "2 tickers" in unmet(lines(ready, v1=v1))["parity"]


def test_only_those_whom_the_contacts_name_may_sign(lake: Lake) -> None:
    with pytest.raises(UsageError, match="may not sign off 'training'"):
        sign(lake, PEOPLE, "training", "Mallory")
    with pytest.raises(UsageError, match="not an item to sign off"):
        sign(lake, PEOPLE, "lunch", "Ada")
    assert "still to sign: rollback_authority" in sign(lake, PEOPLE, "training", "ada@example.com")
    assert Person(name="Ada ").is_called(" ada")


def test_settings_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("business_dais = 3\n")
    with pytest.raises(UsageError, match=r"x\.toml: business_dais: is not a key of this file; "):
        load_thresholds(file)
    file.write_text('[sign_offs]\ntraining = ["janitor"]\n')
    with pytest.raises(UsageError, match=r"training\.0: Input should be 'migration_lead' or 'roll"):
        load_contacts(file)
    assert load_thresholds(None) == Thresholds()
    file.write_text("business_days = 3\n")
    assert load_thresholds(file).business_days == 3


def test_rows_of_business_days() -> None:
    friday, monday = date(2026, 6, 12), date(2026, 6, 15)
    assert streak(WEEK, friday) == WEEK
    assert streak(WEEK, monday) == WEEK  # Monday's run may still come
    assert streak(WEEK, date(2026, 6, 16)) == []
    assert streak([], friday) == []
    since = datetime(2026, 6, 17, 20, tzinfo=UTC)
    # 19 June is a federal holiday, 20 and 21 a weekend.
    assert missed_since(since, [], date(2026, 6, 23)) == [date(2026, 6, 18), date(2026, 6, 22)]
    assert missed_since(since, [date(2026, 6, 18)], date(2026, 6, 19)) == []


def test_a_comparison_of_some_tickers_does_not_replace_that_of_all(ready: Lake) -> None:
    later = NOW - timedelta(minutes=5)
    some = {"tickers": ["AAA"], "sample": None, "seed": 0}
    entry(ready, "parity", later, passed=False, tickers_compared=1, sample=None, parameters=some)
    newest = queries.newest_parity(ledger.read_entries(ready)[0])
    assert newest is not None
    assert newest.started < later
    assert lines(ready)["parity"].ok is True
