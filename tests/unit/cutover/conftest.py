"""A lake in the middle of a switch, for the tests of what follows it."""

from __future__ import annotations

import pytest

from polygon_fundamentals.lake import Lake
from tests.builders.templates import copied
from tests.cutover_world import fill, run


@pytest.fixture
def switched(lake: Lake) -> Lake:
    """A lake on v2, with v1's folder in the archive's place."""
    return copied(lake, _switch)


def _switch(lake: Lake) -> None:
    assert run(fill(lake), "cutover", checks=())["exit_code"] == 0
