"""`rollback --delayed` and what is left where v1 is gone, as a user runs them, on a sandbox."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from flows import daily_update, parity, rollback
from polygon_fundamentals import ledger
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.checksums import checksums
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.pointer import leads_to
from polygon_fundamentals.load import undated
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders.commands import call, where
from tests.conftest import KEY
from tests.filled import change_rows
from tests.lakes import contents

pytestmark = pytest.mark.slow
# A Friday; the cutover was three weeks before, with a season of quarterly reports between.
ALL_FRAMES = ["--timeframe=quarterly", "--timeframe=annual", "--timeframe=ttm"]
TODAY, SWITCHED = date(2026, 8, 14), date(2026, 7, 24)


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_RETRY_DEADLINE", "1")
    monkeypatch.setattr(rollback, "today", lambda: TODAY)
    monkeypatch.setattr(daily_update, "today_in_new_york", lambda: TODAY)


def market() -> Sandbox:
    """Return eight companies on the day of the cutover."""
    return Sandbox(
        companies=8, seed=3, quirks=False, start=date(2024, 1, 1), today=SWITCHED, api_key=KEY
    )


@pytest.fixture(scope="module")
def switched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake three weeks after its cutover: v2 went on, v1 did not."""
    lake = Lake(tmp_path_factory.mktemp("delayed") / "lake")
    with pytest.MonkeyPatch.context() as patch, market() as server:
        patch.setenv("POLYGON_API_KEY", KEY)
        patch.setattr(daily_update, "today_in_new_york", lambda: TODAY)
        common = where(server.url, lake)
        names = ",".join(server.tickers)
        words = ["historical-load", "--generation", "both", "--tickers", names, *ALL_FRAMES]
        assert call(*words, *common)[0] == 0
        assert call("cutover", "--execute", "--force", "test", *common)[0] == 0
        done = journals.last_done(lake, "cutover")
        assert done is not None
        done.ended = f"{SWITCHED}T20:00:00+00:00"
        done.write()
        server.advance((TODAY - SWITCHED).days)
        words = ["daily-update", "--generation", "v2", "--days-back", "21", *ALL_FRAMES]
        assert call(*words, *common)[0] == 0
    return lake.root


@pytest.fixture
def later() -> Iterator[Sandbox]:
    """The market as it is today."""
    with market() as server:
        server.advance((TODAY - SWITCHED).days)
        yield server


@pytest.fixture
def lake(switched: Path, tmp_path: Path) -> Lake:
    """A copy of the lake."""
    shutil.copytree(switched, tmp_path / "lake", symlinks=True)
    return Lake(tmp_path / "lake")


def v1_of(lake: Lake) -> dict[str, list[str]]:
    return {name: rows for name, rows in contents(lake).items() if name.startswith("v1")}


def test_v1_is_filled_and_checked_before_it_is_primary_again(
    lake: Lake,
    later: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As in a market of 6,000 companies: more pages of fourth quarters than a nightly run reads.
    monkeypatch.setattr(undated, "V1_PAGE", 1)
    really, asked = parity.parity, list[tuple[str, str | None]]()

    def noted(**given: Any) -> Any:
        asked.append((given["base_url"], given["witness"]))
        return really(**given)

    here = where(later.url, lake)
    # Parity's own question is asked again: this operator has a witness.
    monkeypatch.delenv("EDGAR_IDENTITY", raising=False)
    call("parity", "--witness", "edgar", *here)
    monkeypatch.setattr(parity, "parity", noted)
    code, report = call("rollback", "--execute", *here)
    assert code == 1
    assert "v1 missed 14 business days since the cutover (2026-07-27 to 2026-08-13)" in str(report)
    before = checksums(lake.bronze)
    code, report = call("rollback", "--delayed", *here)
    assert (code, report["executed"]) == (0, False)
    assert [s["name"] for s in report["steps"]] == ["check", "v1 answers"]
    assert checksums(lake.bronze) == before
    old = v1_of(lake)
    code, report = call("rollback", "--delayed", "--execute", *here)
    assert code == 0, report
    assert asked == [(later.url, "edgar")]
    names = [step["name"] for step in report["steps"]]
    assert names[:4] == ["v1 answers", "backfill v1", "parity", "check"]
    assert names.index("move pointer") > 3
    assert "since 2026-07-27" in report["steps"][1]["detail"]
    assert (leads_to(lake), report["pointer"]) == (Generation.V1, "v1")
    build = lake.silver / "fundamentals_wide"
    kinds = pq.read_table(build, columns=["generation"], partitioning=None)[0].unique()
    assert kinds.to_pylist() == ["v1"]
    # What v1 holds is what a load of today gives, derived quarters and twelve months without a
    # filing date too.
    fresh = Lake(tmp_path / "fresh")
    words = ["historical-load", "--generation", "v1", "--tickers", ",".join(later.tickers)]
    words += ALL_FRAMES
    assert call(*words, *where(later.url, fresh))[0] == 0
    assert v1_of(lake) == v1_of(fresh) != old
    # v2 stays for examination, and went on while v1 was filled.
    assert (lake.bronze / "fundamentals_v2" / "cash_flow").is_dir()
    flows = [r.content["flow"] for r in ledger.read_entries(lake)[0]]
    assert flows[-3:] == ["daily-update", "parity", "rollback"]


def spoiled(table: pa.Table) -> pa.Table:
    """Return v1's records with another value of total assets."""
    rows = table.to_pylist()
    for row in rows:
        leaf = row["financials"]["balance_sheet"]["assets"]
        if leaf is not None:
            leaf["value"] = leaf["value"] * 3 + 1e9
    return pa.Table.from_pylist(rows, schema=table.schema)


def test_where_parity_does_not_pass_v2_stays_primary(lake: Lake, later: Sandbox) -> None:
    change_rows(lake, Generation.V1, Statement.BALANCE_SHEETS, spoiled)
    here = where(later.url, lake)
    code, report = call("rollback", "--delayed", "--execute", *here)
    assert code == 1
    assert "parity does not pass" in report["error"]
    assert "v2 stays primary" in report["error"]
    assert "rollback --delayed --accept-parity REASON --execute" in report["error"]
    assert leads_to(lake) is Generation.V2
    assert journals.last_done(lake, "rollback") is None
    # v1 is filled: one window covers all of the days that were missed.
    code, report = call("rollback", *here)
    assert (code, report["steps"][0]["detail"].split("; ")[1]) == (
        0,
        "0 business days missed since the cutover",
    )
    reason = ["--accept-parity", "v2 lost its assets"]
    code, report = call("rollback", "--delayed", *reason, "--execute", *here)
    assert (code, leads_to(lake)) == (0, Generation.V1)
    (step,) = [s for s in report["steps"] if s["name"] == "parity"]
    assert step["detail"].startswith("accepted (v2 lost its assets): did not pass: ")
    done = journals.last_done(lake, "rollback")
    assert done is not None
    assert done.parameters["accept_parity"] == "v2 lost its assets"
    entry = ledger.read_entries(lake)[0][-1].content
    assert (entry["flow"], entry["parameters"]["accept_parity"]) == ("rollback", reason[1])


def test_of_a_v1_known_to_be_gone_no_line_advises_to_fill_it(lake: Lake, later: Sandbox) -> None:
    later.v1_retired = True
    here = where(later.url, lake)
    call("daily-update", "--generation", "v1", *here)
    code, report = call("rollback", "--execute", *here)
    assert code == 1
    assert "its endpoint is retired since" in report["error"]
    assert "--delayed" not in report["error"]


def test_v1s_archive_comes_back_before_it_is_filled(lake: Lake, later: Sandbox) -> None:
    assert (
        call(
            "cleanup",
            "--execute",
            "--data-days=0",
            "--deployments-days=0",
            "--lake",
            str(lake.root),
        )[0]
        == 0
    )
    later.forget_requests()
    here = where(later.url, lake)
    code, report = call("rollback", "--delayed", "--execute", *here)
    assert code == 4
    assert "restore --execute" in report["error"]
    assert later.requests == []
    assert not (lake.bronze / "fundamentals_v1_archive").exists()


@pytest.mark.parametrize("execute", [[], ["--execute"]])
def test_a_v1_that_is_gone_is_told_first_with_what_is_left(
    lake: Lake,
    later: Sandbox,
    execute: list[str],
    tmp_path: Path,
) -> None:
    later.v1_retired = True
    here = where(later.url, lake)
    before, runs = checksums(lake.bronze), len(ledger.read_entries(lake)[0])
    code, report = call("rollback", "--delayed", *execute, *here)
    assert code == 1
    assert "v1's missed days cannot be filled. Instead, " in report["error"]
    command = "export --shape v1 --continue-v1 --output DIR"
    assert f"`polygon-fundamentals {command}`" in report["error"]
    assert "--accept-stale" in report["error"]
    assert (checksums(lake.bronze), len(ledger.read_entries(lake)[0])) == (before, runs)
    if not execute:
        return
    # What it offers does what it says.
    words = command.replace("DIR", str(tmp_path / "old")).split()
    code, report = call(*words, "--lake", str(lake.root))
    assert code == 0
    frozen = v1_of(lake)
    for statement in Statement:
        files = [pq.read_table(p, partitioning=None) for p in _files(tmp_path / "old", statement)]
        marks = pa.concat_tables(files)["generation"]
        told = {e["values"]: e["counts"] for e in pc.value_counts(marks).to_pylist()}
        assert told["v1"] == len(frozen[f"v1.{statement}"])
        assert told["v2"] > 0
        assert sum(told.values()) == report["rows"][statement.value]
    code, report = call("rollback", "--execute", "--accept-stale", *here)
    assert (code, leads_to(lake)) == (0, Generation.V1)


def _files(folder: Path, statement: Statement) -> list[Path]:
    return sorted((folder / statement.value).glob("year=*/month=*/ticker=*.parquet"))
