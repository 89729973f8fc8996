"""SIGKILL at every point of cutover, rollback, cleanup and restore; the next call mends it.

The points are those that the operations pass, found by running each once: before, within
and after every step, and between the calls of the file system inside the switch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.companions import link_companions
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.pointer import ignore
from polygon_fundamentals.statements import Generation
from tests.cutover_world import Killer, fill, load_later, run, silver_of, state

ROOT = Path(__file__).parents[2]
# One process that has imported everything and forks a child for each kill.
FORKS = """
import os, sys
from tests.cutover_world import run_until
import polygon_fundamentals.cutover.operations
import polygon_fundamentals.silver
for line in sys.stdin:
    root, operation, at, silver = line.split()
    child = os.fork()
    if not child:
        run_until(root, operation, int(at), silver)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
# What must have been carried out before an operation.
BEFORE = {
    "cutover": [],
    "rollback": ["cutover"],
    "cleanup": ["cutover"],
    "restore": ["cutover", "cleanup"],
}
# How the next call may go on: with the same, or with what undoes it.
NEXT = {
    "cutover": ["cutover", "rollback"],
    "rollback": ["rollback", "cutover"],
    "cleanup": ["cleanup"],
    "restore": ["restore"],
}
LEAST_POINTS = {"cutover": 60, "rollback": 36, "cleanup": 28, "restore": 16}


def template(folder: Path, operation: str, silver: Any) -> Lake:
    lake = fill(Lake(folder))
    for step in BEFORE[operation]:
        assert run(lake, step, checks=(), silver=silver)["exit_code"] == 0
    return lake


def copied(lake: Lake, to: Path) -> Lake:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(lake.root, to, symlinks=True)
    return Lake(to)


@pytest.fixture
def forks() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", FORKS],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: each operation flushes dozens of times."""
    with tempfile.TemporaryDirectory(
        dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path
    ) as found:
        yield Path(found)


def kill(
    forks: subprocess.Popen[str], lake: Lake, operation: str, at: int, silver: str = "fake"
) -> int:
    assert forks.stdin
    assert forks.stdout
    forks.stdin.write(f"{lake.root} {operation} {at} {silver}\n")
    forks.stdin.flush()
    return int(forks.stdout.readline())


def outcome(lake: Lake, operation: str, **other: Any) -> dict[str, Any]:
    found = run(lake, operation, checks=(), **other)
    assert found["exit_code"] == 0, found["message"]
    return found


@pytest.mark.parametrize(
    ("operation", "every"),
    [
        # The quick tests have some points of the rollback; make test-all has them all.
        ("rollback", 4),
        *(pytest.param(name, 1, marks=pytest.mark.slow) for name in BEFORE),
    ],
)
def test_killed_at_every_point_the_next_call_finishes_or_undoes_it(
    operation: str, every: int, folder: Path, forks: subprocess.Popen[str]
) -> None:
    kill_everywhere(operation, NEXT[operation], folder, forks, "fake", every=every)


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["cutover", "rollback"])
def test_killed_at_every_point_with_the_real_silver(
    operation: str, folder: Path, forks: subprocess.Popen[str]
) -> None:
    names = kill_everywhere(operation, [operation], folder, forks, "real")
    if operation == "cutover":
        # A build makes its folders, and a rename puts it into place.
        assert names.count("silver's mkdir") >= 3
        assert names.count("silver's rename") >= 1


@pytest.mark.slow
def test_killed_at_every_point_a_restore_joins_what_was_loaded_after_the_cleanup(
    folder: Path, forks: subprocess.Popen[str]
) -> None:
    names = kill_everywhere("restore", ["restore"], folder, forks, "fake", load_later)
    assert {"set aside", "in place", "joined"} <= set(names)


BESIDE = "short_interest/data.parquet"


def put_beside(lake: Lake) -> None:
    """Put other data beside v1's statements, as an older tool does."""
    path = lake.generation_folder(Generation.V1) / BESIDE
    path.parent.mkdir()
    path.write_bytes(b"other data")
    if lake.pointer.is_symlink():
        link_companions(lake, lake.generation_folder(Generation.V2))


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["cutover", "rollback", "cleanup"])
def test_killed_at_every_point_what_lies_beside_the_statements_is_at_its_path(
    operation: str, folder: Path, forks: subprocess.Popen[str]
) -> None:
    names = kill_everywhere(operation, [operation], folder, forks, "fake", put_beside)
    assert "done keep other data" in names


def kill_everywhere(
    operation: str,
    followed_by: list[str],
    folder: Path,
    forks: subprocess.Popen[str],
    silver: str,
    first: Callable[[Lake], object] | None = None,
    every: int = 1,
) -> list[str]:
    """Kill an operation at each of its points, after doing something first; return their names.

    Above 1 `every` leaves points out.
    """
    real = silver_of(silver, ignore)
    start = template(folder / "template", operation, real)
    if first is not None:
        first(start)
    beside = (start.pointer / BESIDE).exists()
    counted = Killer(0)
    whole = copied(start, folder / "whole")
    outcome(whole, operation, on_reached=counted, silver=silver_of(silver, counted))
    assert len(counted.names) >= LEAST_POINTS[operation]
    finished, begun = state(whole), state(start)

    for at, name in list(enumerate(counted.names, 1))[::every]:
        for following in followed_by:
            lake = copied(start, folder / "killed")
            assert kill(forks, lake, operation, at, silver) == -9, name
            assert lake.pointer.exists(), f"after a kill at {name} the path leads nowhere"
            assert (lake.pointer / BESIDE).exists() == beside, name
            outcome(lake, following, silver=real)
            assert (lake.pointer / BESIDE).exists() == beside, name
            wanted = finished if following == operation else begun
            found = state(lake)
            if following != operation and found["bronze"] != wanted["bronze"]:
                # Adoption stays: the link to v1's folder is what every later switch starts from.
                assert found["bronze"] == finished["bronze"]
                wanted = {**wanted, "bronze": found["bronze"]}
            if begun["silver"] is None and found["pointer"] == "v1":
                wanted = {**wanted, "silver": found["silver"]}
                assert found["silver"] in (None, "v1")
            assert found == wanted, f"killed at {name}, then {following}"
            assert journals.unfinished(lake) is None, name
            assert not [p for p in lake.ops.rglob("*.tmp")]
            if silver == "real":
                parts = [p.name for p in (lake.silver / "builds").iterdir()]
                assert not [n for n in parts if n.endswith(".partial")], name
    print(operation, silver, "silver:", len(counted.names), "points, then", followed_by)
    return counted.names
