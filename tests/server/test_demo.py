"""The demo as a newcomer runs it, on a machine whose Prefect is set up for something else."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.world import ROOT, declared, processes_of

pytestmark = pytest.mark.slow


def test_the_demo_serves_itself_and_leaves_nothing_running(tmp_path: Path) -> None:
    lake, home = tmp_path / "lake", tmp_path / "home"
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "POLYGON"))}
    theirs = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "POLYGON_API_KEY": "theirs",
        "POLYGON_REQUESTS_PER_MINUTE": "5",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "flows", "demo", "--lake", str(lake)],
        cwd=ROOT,
        env=plain | theirs,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    said = ended.stdout + ended.stderr
    assert [word for word in ("Traceback", "Exception", "Warning") if word in said] == [], said
    assert re.search(r"see its flow runs and schedules at http://127.0.0.1:\d+\n", said)
    assert re.findall(r"^(\d) of 6 · ", ended.stdout, re.M) == list("123456")
    page = re.search(r"^Done in \d+ s. Open the review page: .*\n  (.+)$", ended.stdout, re.M)
    assert page
    assert Path(page[1]).is_file()
    after = ended.stdout.partition("Three commands to try next:\n")[2].splitlines()[:3]
    assert [line.split()[0] for line in after] == [".venv/bin/polygon-fundamentals"] * 3
    assert processes_of(lake / "prefect") == []
    proven = re.search(r"^note: proven: .* in 8-K (\d{10}-\d\d-\d{6}) .*; the sandbox", said, re.M)
    assert proven
    page = (lake / "ops" / "parity" / "data_docs" / "review.html").read_text()
    assert proven[1] in page
    # No link leads to a filing of a company that the sandbox invented.
    assert not re.search(r'href="https://www\.sec\.gov/Archives', page)
    assert not home.exists()
    with sqlite3.connect(lake / "prefect" / "prefect.db") as database:
        assert database.execute("SELECT count(*) FROM deployment").fetchone() == (len(declared()),)
        (runs,) = database.execute("SELECT count(*) FROM flow_run WHERE start_time").fetchone()
        assert runs >= 5
        # The cutover switched the schedules, and the rollback switched them back.
        active = database.execute(
            "SELECT d.name, s.active FROM deployment_schedule s JOIN deployment d "
            "ON d.id = s.deployment_id WHERE d.name LIKE 'daily%'"
        ).fetchall()
    assert dict(active) == {"daily-v1": 0, "daily-v2": 0, "daily-both": 1}


def test_the_demo_without_v1_ends_on_v2(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "POLYGON"))}
    ended = subprocess.run(
        [sys.executable, "-m", "flows", "demo", "--v1-retired", "--lake", str(lake)],
        cwd=ROOT,
        env=plain | {"PREFECT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert [word for word in ("Traceback", "Exception", "Warning") if word in said] == [], said
    assert re.findall(r"^(\d) of 6 · ", ended.stdout, re.M) == list("123456")
    assert "note: v1 is retired: frozen since 2026-10-09" in said
    assert "v1 is retired: this compares its history" in said
    assert re.search(r"^All is well\nReaders see v2", ended.stdout, re.M), said
    assert (lake / "bronze" / "fundamentals").resolve().name == "fundamentals_v2"
    after = ended.stdout.partition("Three commands to try next:\n")[2]
    assert f"polygon-fundamentals rollback --lake {lake}" in after
    assert processes_of(lake / "prefect") == []
