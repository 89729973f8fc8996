"""Prefect's temporary server ends with the run that started it, even when that is killed.

Prefect stops it at a normal exit. After SIGKILL it would stay for ever, one more for every
killed run; so each is given a watcher that waits for this process to go. Drop this when
Prefect's own server does it.
"""

from __future__ import annotations

import subprocess
from typing import Any

from prefect.server.api.server import SubprocessASGIServer

_start = SubprocessASGIServer._run_uvicorn_command


def _start_watched(server: SubprocessASGIServer) -> subprocess.Popen[Any]:
    process = _start(server)
    # The shell's input is a pipe of this process: it ends when this process does, however.
    subprocess.Popen(
        ["/bin/sh", "-c", "read _; kill $0 2>/dev/null", str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return process


def end_with_this_process() -> None:
    """Have every temporary server that this process starts from now on watched."""
    SubprocessASGIServer._run_uvicorn_command = _start_watched  # type: ignore[method-assign]
