"""What a command does not load."""

from __future__ import annotations

import os
import subprocess
import sys

SERVER = "prefect.server.api.server"


def test_a_run_on_a_server_does_not_load_the_code_of_one() -> None:
    """Loading it takes some 3 s of processor time; only a temporary server needs it."""
    told = subprocess.run(
        [sys.executable, "-c", f"import flows.fundamentals, sys; print({SERVER!r} in sys.modules)"],
        env={**os.environ, "PREFECT_API_URL": "http://127.0.0.1:1/api"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "False"
