"""What a command loads, and the server that it starts for itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def test_a_command_starts_a_server_and_ends_it(tmp_path: Path) -> None:
    """The flow's end is in the database that the server wrote, and nothing is left over."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (tmp_path / "lake").mkdir()
    words = ("-m", "flows", "silver", "--lake", str(tmp_path / "lake"))
    done = run(*words, PREFECT_HOME=str(tmp_path / "home"), TMPDIR=str(logs))
    assert (done.returncode, done.stderr) == (0, "")
    asked = (
        "import sqlite3, sys; "
        "print(sqlite3.connect(sys.argv[1]).execute('select state_type from flow_run').fetchall())"
    )
    assert "COMPLETED" in run("-c", asked, str(tmp_path / "home" / "prefect.db")).stdout
    assert list(logs.iterdir()) == []


def test_a_server_that_does_not_start_is_told_in_one_line(tmp_path: Path) -> None:
    nowhere = "sqlite+aiosqlite:////nonexistent/prefect.db"
    words = ("-m", "flows", "silver", "--lake", str(tmp_path))
    failed = run(*words, PREFECT_SERVER_DATABASE_CONNECTION_URL=nowhere, TMPDIR=str(tmp_path))
    assert failed.returncode == 3
    assert failed.stderr.startswith("error: Prefect's temporary server did not start, see ")
    assert failed.stderr.count("\n") == 1
    log = Path(failed.stderr.split(" see ")[1].split(";")[0])
    assert log.parent == tmp_path
    assert "unable to open database file" in log.read_text(encoding="utf-8")
