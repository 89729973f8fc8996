"""Loads that a server starts: what they are refused leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect import Flow

from flows import runs, shards
from flows.historical_load import historical_load
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.archived_rows import archived_file
from polygon_fundamentals.lake.their_form import form_file
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.statements import Generation, Statement


@pytest.mark.parametrize("flow", [historical_load, shards.sharded_load], ids=lambda f: f.name)
def test_a_mistyped_path_makes_no_lake(
    tmp_path: Path, flow: Flow[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form of a deployment has no tickers, as that of a lake that is there may be left."""
    monkeypatch.setattr(shards, "server_configured", lambda: True)
    typo = tmp_path / "typo"
    state = flow.fn(generation="v2", lake=str(typo))
    assert state.message.startswith(f"there is no lake at {typo}")
    assert not typo.exists()


def refused(lake: Lake) -> str:
    """Return why a load of v1 that is to adopt another tool's files is refused."""
    state = historical_load.fn(generation="v1", tickers=["AAPL"], adopt=True, lake=str(lake.root))
    return str(state.message)


def test_a_load_that_is_refused_leaves_the_form_of_v1s_files_open(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "LOCK_SECONDS", 0.1)
    with exclusive(lake.lock("writers")):
        assert "the lock of a switch or drill of the lake is held" in refused(lake)
    archived = archived_file(lake.dataset(Generation.V1, Statement.CASH_FLOW))
    archived.parent.mkdir(parents=True)
    archived.touch()
    assert "restore" in refused(lake)
    archived.unlink()
    monkeypatch.delenv("POLYGON_API_KEY")
    assert "no API key" in refused(lake)
    assert not form_file(lake).exists()
