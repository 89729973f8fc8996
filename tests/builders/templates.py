"""Lakes that are made once in a process and copied for each test that wants one."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from polygon_fundamentals.lake import Lake

_made: dict[tuple[Hashable, ...], Path] = {}
_numbers = itertools.count()


@functools.cache
def _home() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="templates-")


def copied(lake: Lake, make: Callable[..., Any], *arguments: Hashable) -> Lake:
    """Give a lake without rows what `make(lake, *arguments)` writes, and return it.

    Only the first call of a process makes it; the others copy files, links and times of change,
    which are what the index knows files by. So `make` may depend on nothing but its arguments.
    Folders are changed at this moment, as those of a lake that was just made.
    """
    what = (make, *arguments)
    if what not in _made:
        folder = Path(_home().name) / str(next(_numbers)) / "lake"
        template = Lake(folder)
        make(template, *arguments)
        _made[what] = folder
    shutil.copytree(_made[what], lake.root, symlinks=True, dirs_exist_ok=True)
    for folder, _, _ in os.walk(lake.root):
        os.utime(folder)
    return lake
