"""One small lake on which every rule holds, to be copied and broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.sandbox import Sandbox
from tests.conftest import KEY
from tests.filled import fill


@pytest.fixture(scope="session")
def whole_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Three ordinary companies, all of both generations; not to be changed."""
    lake = Lake(tmp_path_factory.mktemp("whole") / "lake")
    lake.prepare()
    with Sandbox(companies=3, seed=3, api_key=KEY, quirks=False, start=date(2023, 1, 1)) as server:
        fill(lake, server, server.tickers)
    return lake


@pytest.fixture
def broken_lake(whole_lake: Lake, tmp_path: Path) -> Callable[[], Lake]:
    """A copy of it."""

    def copy() -> Lake:
        shutil.copytree(whole_lake.root, tmp_path / "copy")
        return Lake(tmp_path / "copy")

    return copy
