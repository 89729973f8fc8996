"""Each fault that the campaign found, as the shortest test that showed it."""

from __future__ import annotations

import os
import time

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.recovery import recover
from polygon_fundamentals.lake.storage import local


def test_what_a_host_left_that_never_came_back_is_removed_after_a_day(lake: Lake) -> None:
    folder = lake.ops / "cache"
    folder.mkdir(parents=True)
    names = [f".catalogue.json.{host}.4026531836-77-7fe1.tmp" for host in ("gone", "busy")]
    for name in names:
        (folder / name).write_text("{")
    old = time.time() - local.ABANDONED_SECONDS - 60
    os.utime(folder / names[0], (old, old))
    recover(lake)
    assert os.listdir(folder) == [names[1]]
