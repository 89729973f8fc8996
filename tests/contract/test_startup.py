"""What a command loads, and the server that it starts for itself."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from polygon_fundamentals.lake import Lake
from tests.servers import Answer, Asked, results, serving

SERVER = "prefect.server.api.server"


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PREFECT_API_URL": "", **environment},
        capture_output=True,
        text=True,
    )


def test_a_command_does_not_load_the_code_of_a_server() -> None:
    """Loading it takes some 3 s of processor time; a temporary server is another process."""
    told = run("-c", f"import flows.fundamentals, sys; print({SERVER!r} in sys.modules)")
    assert told.stdout.strip() == "False", told.stderr


def test_status_does_not_load_pandas() -> None:
    """Loading it takes 0.4 s, a fifth of a status of 6,000 companies, and none of it is used."""
    done = run("-c", "import flows.lake_status, sys; print('pandas' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.slow
def test_what_reads_the_lake_for_serve_v1_does_not_load_http() -> None:
    """It takes 7 MB in every such process, and a second of a start on a busy machine."""
    done = run("-c", "import polygon_fundamentals.v1_view.shelving, sys; print(*sys.modules)")
    assert {"requests", "tenacity"} & set(done.stdout.split()) == set()
    assert "pandas" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_command_starts_a_server_and_ends_it(tmp_path: Path) -> None:
    """The flow's end is in the database that the server wrote, and nothing is left over."""
    logs = tmp_path / "logs"
    logs.mkdir()
    Lake(tmp_path / "lake").prepare()
    words = ("-m", "flows", "silver", "--lake", str(tmp_path / "lake"))
    done = run(*words, PREFECT_HOME=str(tmp_path / "home"), TMPDIR=str(logs))
    assert (done.returncode, done.stderr) == (0, "")
    asked = (
        "import sqlite3, sys; "
        "print(sqlite3.connect(sys.argv[1]).execute('select state_type from flow_run').fetchall())"
    )
    assert "COMPLETED" in run("-c", asked, str(tmp_path / "home" / "prefect.db")).stdout
    assert list(logs.iterdir()) == []


@pytest.mark.slow
def test_a_run_has_the_threads_that_its_environment_names(tmp_path: Path) -> None:
    lock, under_way, most = threading.Lock(), 0, 0

    def slow(_: Asked) -> Answer:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.3)
        with lock:
            under_way -= 1
        return results([])

    with serving(slow) as server:
        words = ["historical-load", "--generation", "v1", "--tickers", "A,B,C,D,E,F"]
        words += ["--from", "2020-01-01"]
        words += ["--base-url", server.url, "--lake", str(tmp_path / "lake")]
        home = str(tmp_path / "home")
        done = run("-m", "flows", *words, POLYGON_THREADS="2", PREFECT_HOME=home)
    assert done.returncode == 0, done.stderr
    assert most == 2


FLOWS = ("historical_load", "fundamentals", "daily_update", "refresh")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("named", "threads"), [("3", 3), pytest.param("many", 8, marks=pytest.mark.slow)]
)
def test_each_loading_flow_is_imported_with_its_threads(named: str, threads: int) -> None:
    """A worker imports the flow; a value that is none is for the run to tell, in one line."""
    made = ", ".join(f"flows.{name}.{name}.task_runner._max_workers" for name in FLOWS)
    imports = ", ".join(f"flows.{name}" for name in FLOWS)
    told = run("-c", f"import {imports}; print({made})", POLYGON_THREADS=named)
    assert told.stdout.split() == [str(threads)] * len(FLOWS), told.stderr


def test_threads_that_are_no_number_are_told_in_one_line(tmp_path: Path) -> None:
    words = ("-m", "flows", "refresh", "--lake", str(tmp_path))
    told = run(*words, POLYGON_THREADS="many")
    assert told.returncode == 2
    assert told.stderr == "error: POLYGON_THREADS='many' is not a number of at least 1\n"
    assert run("-m", "flows", "refresh", "--help", POLYGON_THREADS="many").returncode == 0


@pytest.mark.slow
def test_a_server_that_does_not_start_is_told_in_one_line(tmp_path: Path) -> None:
    nowhere = "sqlite+aiosqlite:////nonexistent/prefect.db"
    Lake(tmp_path).prepare()
    words = ("-m", "flows", "silver", "--lake", str(tmp_path))
    failed = run(*words, PREFECT_SERVER_DATABASE_CONNECTION_URL=nowhere, TMPDIR=str(tmp_path))
    assert failed.returncode == 3
    assert failed.stderr.startswith("error: Prefect's temporary server did not start, see ")
    assert failed.stderr.count("\n") == 1
    log = Path(failed.stderr.split(" see ")[1].split(";")[0])
    assert log.parent == tmp_path
    assert "unable to open database file" in log.read_text(encoding="utf-8")
