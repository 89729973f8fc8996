"""One small lake on which every rule holds, to be copied and broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from polygon_fundamentals.lake import Lake
from tests.filled import filled


@pytest.fixture(scope="session")
def whole_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Three ordinary companies, all of both generations; not to be changed."""
    root = tmp_path_factory.mktemp("whole") / "lake"
    return filled(root, companies=3, seed=3, quirks=False, start=date(2023, 1, 1))


@pytest.fixture
def broken_lake(whole_lake: Lake, tmp_path: Path) -> Callable[[], Lake]:
    """A copy of it."""

    def copy() -> Lake:
        shutil.copytree(whole_lake.root, tmp_path / "copy")
        return Lake(tmp_path / "copy")

    return copy
