"""The way of docs/from-quantmini.md on a lake that quantmini wrote, with v1 alive and with it gone.

The five business days are not waited for: the checklist's lines on them, on the sign-offs and on
v1's checksums are passed with `--force` here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from polygon_fundamentals.lake import Lake, revisions
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders import quantmini
from tests.builders.commands import call, where
from tests.conftest import KEY
from tests.lakes import fingerprint

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]
COMPANIES = int(os.environ.get("QUANTMINI_COMPANIES", "6"))
LOADED = datetime(2026, 6, 1, 6)  # noqa: DTZ001 - its timestamps have no zone


@pytest.fixture(scope="module", params=["alive", "gone"])
def market(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Some companies, whose records of a year and a half quantmini has; v1 alive or gone."""
    with Sandbox(
        companies=COMPANIES,
        seed=5,
        quirks=False,
        start=date(2025, 1, 1),
        today=date(2026, 6, 1),
        api_key=KEY,
    ) as server:
        server.v1_retired = request.param == "gone"
        yield server


def _beside(lake: Lake) -> dict[str, str]:
    return {
        name: digest
        for folder in quantmini.COMPANIONS
        for name, digest in fingerprint(lake.pointer / folder).items()
    }


def test_from_inspect_to_cleanup_restore_and_rollback(market: Sandbox, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    quantmini.write_lake(lake.root, market, LOADED)
    beside = _beside(lake)
    here, there = ["--lake", str(lake.root)], where(market.url, lake)
    code, inspected = call("inspect", *here)
    # Its silver is in the way.
    assert (code, list(inspected["found"]["tools"])) == (1, ["quantmini"])
    names = ",".join(market.tickers)
    which = "v2" if market.v1_retired else "both"
    code, report = call("historical-load", "--generation", which, "--tickers", names, *there)
    assert code == 0, report
    assert market.v1_retired or report["v1"]["rows_changed"] == 0
    _facts_are_those_of_quantmini(lake)
    assert call("silver", "--adopt-path", *here)[0] == 0

    # The old cron goes on: what it appends is noticed, and taken in by the next load.
    quantmini.cron(lake.root, market, LOADED + timedelta(hours=12), days=60)
    code, report = call("daily-update", "--generation", which, *there)
    assert code == 0, report
    _facts_are_those_of_quantmini(lake)

    code, report = call("parity", *there)
    assert (code, report.get("passed")) == (0, True), report
    assert call("drill", *here)[0] == 0
    call("checklist", "--record-checksums", *here)
    code, report = call("cutover", "--execute", "--force", "five days are not waited for", *here)
    assert code == 0, report
    assert (lake.pointer.is_symlink(), _beside(lake)) == (True, beside)

    days = ["--data-days", "0", "--deployments-days", "0"]
    code, report = call("cleanup", "--execute", *days, *here)
    assert code == 0, report
    assert _beside(lake) == beside
    for words in (["restore"], ["rollback", "--accept-stale"]):
        code, report = call(*words, "--execute", *here)
        assert code == 0, report
        assert _beside(lake) == beside
    assert not lake.pointer.is_symlink() or lake.primary is Generation.V1
    assert call("silver", "--give-path-back", *here)[0] == 0
    assert len(pd.read_parquet(next((lake.silver / "fundamentals_wide").rglob("*.parquet"))))


def _facts_are_those_of_quantmini(lake: Lake) -> None:
    """Check that nothing is a false revision, and that the first download is the observation."""
    for statement in Statement:
        dataset = lake.dataset(Generation.V1, statement)
        rows = read_dataset(dataset)
        dated = rows.filter(rows["filing_date"].is_valid()).to_pandas()
        assert set(dated["observed_at"]) == {pd.Timestamp(LOADED.replace(tzinfo=UTC))}
        for ticker in set(dated["ticker"]):
            assert revisions.read(dataset, ticker).num_rows == 0
