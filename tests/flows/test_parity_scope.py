"""A run of parity that is not of all of v1, or not of today: nothing is decided by it or signed."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from flows.commands.report_lines import parity_lines
from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.catalogue import companies_of
from polygon_fundamentals.ledger.queries import newest_parity
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders.commands import call
from tests.conftest import KEY
from tests.filled import change_rows, fill

SIGN = "sign-off parity"


def review_of(lake: Lake) -> str:
    return (lake.ops / "parity" / "data_docs" / "review.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("scope") / "lake")
    lake.prepare()
    with Sandbox(companies=2, seed=3, api_key=KEY, quirks=False, start=date(2025, 1, 1)) as server:
        fill(lake, server, server.tickers)
    return lake


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_no_run_but_that_of_all_of_v1_today_may_be_signed(small: Lake) -> None:
    where = ["--lake", str(small.root), "--base-url", "http://127.0.0.1:9"]
    today = today_in_new_york()
    yesterday = today - timedelta(days=1)

    code, answer = call("parity", "--date", str(yesterday), *where)
    assert (code, answer.get("day"), answer.get("whole")) == (0, str(yesterday), False), answer
    assert f"compared as if today were {yesterday}; status, checklist" in answer["notes"][-1]
    page = review_of(small)
    assert f"<h1>Parity of the whole history, as if today were {yesterday}</h1>" in page
    assert "What was compared agrees: all " in page
    assert "This page cannot be signed." in page
    assert "v2 may take over" not in page
    assert SIGN not in page
    [entry] = ledger.read_entries(small)[0]
    assert entry.parameters["date"] == str(yesterday)
    assert newest_parity([entry]) is None
    code, answer = call("sign-off", "parity", "--by", "Ada", *where[:2])
    assert code == 2
    _, checklist = call("checklist", *where[:2])
    [line] = [item for item in checklist["steps"] if item["name"] == "parity"]
    assert line["detail"] == "parity has not been run"

    ticker = Path(next(small.pointer.rglob("ticker=*.parquet"))).stem.partition("=")[2]
    code, answer = call("parity", "--tickers", ticker, *where)
    assert (code, answer["whole"]) == (0, False)
    page = review_of(small)
    assert "<h1>Parity of some tickers</h1>" in page
    assert "v2 may take over" not in page
    assert SIGN not in page

    # Today by name is today.
    code, answer = call("parity", "--date", str(today), *where)
    assert (code, answer["whole"], answer["notes"]) == (0, True, [])
    assert "v2 may take over: all " in review_of(small)
    assert SIGN in review_of(small)
    newest = newest_parity(ledger.read_entries(small)[0])
    assert newest is not None
    assert newest.parameters["date"] == str(today)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_tickers_that_v2_lacks_are_shown_and_not_compared(small: Lake, tmp_path: Path) -> None:
    shutil.copytree(small.root, tmp_path / "lake")
    lake = Lake(tmp_path / "lake")
    shutil.rmtree(lake.ops / "runs", ignore_errors=True)
    gone = min(path.stem.partition("=")[2] for path in lake.pointer.rglob("ticker=*.parquet"))
    for statement in Statement:
        change_rows(lake, Generation.V2, statement, lambda table: table.slice(0, 0), gone)
    inactive = {"active": False, "cik": None, "asked": today_in_new_york().isoformat()}
    [cik] = companies_of(lake, Generation.V1)[gone]
    file = lake.ops / "reference" / "tickers.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({gone: inactive, f"CIK{cik}": {**inactive, "cik": cik}}))

    where = ["--lake", str(lake.root), "--base-url", "http://127.0.0.1:9"]
    code, answer = call("parity", *where)
    assert (code, answer["absent_tickers"]) == (0, {"delisted": [gone]})
    assert (answer["tickers_compared"], answer["tickers_total"]) == (1, 2)
    assert answer["tickers_not_compared"] == {"delisted": 1}
    assert "of 1 tickers (v1 has 2; 1 delisted)" in next(iter(parity_lines(answer)))
    page = " ".join(review_of(lake).split())
    link = '<a href="#absent">1 delisted</a>'
    assert f"1 of v1's 2 tickers compared ({link}) ·" in page
    assert '<td class="d">delisted</td><td class="n">1</td>' in page
    assert f'<div class="cell">{gone}</div>' in page
    _, checklist = call("checklist", *where[:2])
    [line] = [item for item in checklist["steps"] if item["name"] == "parity"]
    assert line["ok"] is True
    assert line["detail"] == "passed, 1 of v1's 2 tickers compared, 1 delisted, whole history"

    # Of such a ticker alone, v2 has nothing that could be new.
    code, answer = call("parity", "--tickers", gone, *where)
    assert {rule["rule"] for rule in answer["rules_broken"]} == {"v2 has new records"}
    assert (code, answer["compared"], answer["absent_tickers"]) == (1, 0, {"delisted": [gone]})
    assert "no value could be compared." in " ".join(review_of(lake).split())


def test_a_day_to_come_is_refused(lake: Lake) -> None:
    tomorrow = today_in_new_york() + timedelta(days=1)
    code, answer = call("parity", "--date", str(tomorrow), "--lake", str(lake.root))
    assert (code, f"the day {tomorrow} is in the future" in answer["error"]) == (2, True)
    assert ledger.read_entries(lake) == ([], [])
