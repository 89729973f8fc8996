"""Each room can be imported in a fresh process before every other room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.contract.imports import OUTSIDE, ROOT, Project, small_project

# In one process: imports what others wrote, then forks a child for each room, which imports all
# modules of that room and nothing else of ours first.
ALONE = """
import importlib, json, os, sys, traceback
for name in sys.argv[1:]:
    importlib.import_module(name)
failed = {}
for room, modules in json.load(sys.stdin).items():
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            for module in modules:
                importlib.import_module(module)
        except BaseException:
            os.write(writing, traceback.format_exc()[-4000:].encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        if text := said.read():
            failed[room] = text
    os.waitpid(child, 0)
print(json.dumps(failed))
"""


def alone(project: Project, rooms: Iterable[str], *others: str) -> dict[str, str]:
    """Return room → traceback, of rooms that cannot be imported before all others of ours."""
    path = os.pathsep.join([str(project.root / "src"), str(project.root)])
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *others],
        input=json.dumps({room: sorted(project.rooms[room]) for room in rooms}),
        env={**os.environ, "PYTHONPATH": path},
        cwd=project.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    failed: dict[str, str] = json.loads(done.stdout)
    return failed


@pytest.mark.slow
def test_each_room_of_the_library_can_be_imported_alone() -> None:
    project = Project(ROOT, OUTSIDE)
    rooms = [room for room in project.rooms if room not in OUTSIDE]
    assert alone(project, rooms, "pandas", "pyarrow.compute", "pyarrow.dataset", "requests") == {}


@pytest.mark.slow
def test_each_room_beside_the_library_can_be_imported_alone() -> None:
    project = Project(ROOT, OUTSIDE)
    # The tools that benchmarks measures beside ours have an environment of their own.
    rooms = [room for room in OUTSIDE if room != "benchmarks"]
    assert alone(project, rooms, "great_expectations", "pandas", "prefect.flows") == {}


def test_a_room_that_cannot_be_imported_alone_is_seen(tmp_path: Path) -> None:
    assert alone(small_project(tmp_path / "right"), ["lake", "flows"]) == {}
    wrong = "from polygon_fundamentals.lake.read import missing"
    failed = alone(small_project(tmp_path / "wrong", lake___init__=wrong), ["lake", "flows"])
    assert set(failed) == {"lake", "flows"}
    assert "cannot import name 'missing'" in failed["lake"]
