"""A lake in the middle of a switch, for the tests of what follows it."""

from __future__ import annotations

import pytest

from polygon_fundamentals.lake import Lake
from tests.cutover_world import fill, run


@pytest.fixture
def switched(lake: Lake) -> Lake:
    """A lake on v2, with v1's folder in the archive's place."""
    fill(lake)
    assert run(lake, "cutover", checks=())["exit_code"] == 0
    return lake
