"""Prefect's temporary server ends with the run that started it, even when that is killed.

Prefect stops it at a normal exit. After SIGKILL it would stay for ever, one more for every
killed run; so each is given a watcher that waits for this process to go. Drop this when
Prefect's own server does it.
"""

from __future__ import annotations

import subprocess
from typing import Any

from prefect.settings import PREFECT_API_URL

from flows.serving import watched


def end_with_this_process() -> None:
    """Have every temporary server that this process starts from now on watched.

    Where a server is configured there will be none, and its code, some 3 s of processor time to
    import, is left alone.
    """
    if PREFECT_API_URL.value():
        return
    from prefect.server.api.server import SubprocessASGIServer

    start = SubprocessASGIServer._run_uvicorn_command

    def start_watched(server: SubprocessASGIServer) -> subprocess.Popen[Any]:
        process = start(server)
        watched(str(process.pid))
        return process

    SubprocessASGIServer._run_uvicorn_command = start_watched  # type: ignore[method-assign,assignment]
