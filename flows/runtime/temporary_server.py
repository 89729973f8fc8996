"""A Prefect server for the length of one command, started while Prefect is still being imported.

Prefect would start one itself, but only when first asked, after it has imported the server's code
into this process too (some 3 s of processor time and 80 MB), and a killed run would leave it
behind. Drop this when Prefect's own does neither.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from socket import socket
from tempfile import mkstemp
from typing import Any

from flows.runtime.serving import (
    START_SECONDS,
    ServingError,
    answers,
    end_watcher,
    tell_all,
    watched,
)
from polygon_fundamentals.settings import TEMPORARY_SERVER, server_configured

STOP_SECONDS = 5.0
# The garbage collector finds nothing in code being imported, and takes a tenth of the time.
_PROGRAM = """
import gc, socket, sys
gc.disable()
import uvicorn
from prefect.server.api.server import create_app
app = create_app(ephemeral=True, final=True)
gc.freeze()
gc.enable()
bound = socket.socket(fileno=int(sys.argv[1]))
uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")).run(sockets=[bound])
"""


def start() -> AbstractContextManager[None]:
    """Start a server unless there is one; return what waits for it and ends it.

    Import the flow between the two, so that both load at once:

        server = temporary_server.start()
        from flows.parity import parity

        with server:
            parity(...)

    Once Prefect is loaded it has read which server to use, and this leaves it at that.
    """
    if "prefect" in sys.modules:
        return nullcontext()
    gc.disable()
    return _imported(nullcontext() if server_configured() else _TemporaryServer())


@contextmanager
def _imported(server: AbstractContextManager[None]) -> Iterator[None]:
    """Within its block all is imported, and the server answers."""
    # Prefect imports it when a flow starts; while the server does so too it costs no time.
    import fastapi.encoders  # noqa: F401

    # Of some million objects none is garbage: to find that out takes 0.1 s each time.
    gc.freeze()
    gc.enable()
    with server:
        yield


class _TemporaryServer(AbstractContextManager[None]):
    """Starts when made. Flows run on it within its block, which waits for its first answer."""

    def __init__(self) -> None:
        self._ends = ExitStack()
        # The port is bound here, so that nothing else can take it before the server does.
        with socket() as bound:
            bound.bind(("127.0.0.1", 0))
            self._api = f"http://127.0.0.1:{bound.getsockname()[1]}/api"
            file, name = mkstemp(prefix="prefect-", suffix=".log")
            self._log = Path(name)
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(bound.fileno())],
                pass_fds=[bound.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # Ctrl-C reaches us alone: the run tells it how it ended
            )
            os.close(file)
        self._ends.callback(end_watcher, watched(str(self._process.pid)))
        self._ends.callback(self._stop)
        # In the environment, not in a settings context, which threads of Prefect's do not see.
        for name in ("PREFECT_API_URL", TEMPORARY_SERVER):
            os.environ[name] = self._api
            self._ends.callback(os.environ.pop, name)

    def __enter__(self) -> None:
        """Wait for it.

        Raises:
            ServingError: the server ended, or does not answer in time.
        """
        until = time.monotonic() + START_SECONDS
        while not answers(f"{self._api}/health"):
            if self._process.poll() is not None or time.monotonic() > until:
                self._ends.close()
                raise ServingError(
                    f"Prefect's temporary server did not start, see {self._log}; `make serve` "
                    "starts one that lasts, to be named in PREFECT_API_URL"
                )
            time.sleep(0.05)
        self._ends.enter_context(_without_heartbeats())
        self._ends.callback(tell_all)

    def __exit__(self, *error: Any) -> None:
        # Its messages while it stops do not matter: one of its own queries was cut off.
        complained = self._log.stat().st_size > 0
        self._ends.close()
        if complained:
            print(f"note: Prefect's temporary server complained, see {self._log}", file=sys.stderr)
        else:
            self._log.unlink()

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _without_heartbeats() -> AbstractContextManager[Any]:
    """Return Prefect's settings without the heartbeats of flows.

    They tell a server that outlives a run whether the run does; stopping them takes up to a
    second. No setting of the environment says "none".
    """
    from prefect.context import SettingsContext, get_settings_context

    now = get_settings_context()
    flows = now.settings.flows.model_copy(update={"heartbeat_frequency": None})
    return SettingsContext(
        profile=now.profile, settings=now.settings.model_copy(update={"flows": flows})
    )
