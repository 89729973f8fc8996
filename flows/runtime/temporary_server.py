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
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from socket import socket
from tempfile import mkstemp
from typing import Any

from flows.runtime.interrupt import signals_wait
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


@contextmanager
def started() -> Iterator[Callable[[], None]]:
    """Start a server unless there is one; end it after the block, however far it has come.

    Import the flow within the block, so that both load at once, and wait for the server then:

        with temporary_server.started() as wait:
            from flows.parity import parity

            wait()
            parity(...)

    Once Prefect is loaded it has read which server to use, and this leaves it at that.
    """
    if "prefect" in sys.modules:
        yield lambda: None
        return
    gc.disable()
    with nullcontext() if server_configured() else _TemporaryServer() as server:

        def wait() -> None:
            # Prefect imports it when a flow starts; while the server does so too it costs no time.
            import fastapi.encoders  # noqa: F401

            # Of some million objects none is garbage: to find that out takes 0.1 s each time.
            gc.freeze()
            gc.enable()
            if server is not None:
                server.wait()

        yield wait


class _TemporaryServer(AbstractContextManager["_TemporaryServer"]):
    """Starts with its block, and ends with it."""

    def __enter__(self) -> _TemporaryServer:
        with ExitStack() as ends, socket() as bound:
            # The port is bound here, so that nothing else can take it before the server does.
            bound.bind(("127.0.0.1", 0))
            self._api = f"http://127.0.0.1:{bound.getsockname()[1]}/api"
            with signals_wait():  # else nobody would end a server that was just started
                file, name = mkstemp(prefix="prefect-", suffix=".log")
                self._log, self._log_stays = Path(name), False
                ends.callback(self._drop_log)
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _PROGRAM, str(bound.fileno())],
                    pass_fds=[bound.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    start_new_session=True,  # Ctrl-C reaches us alone: the run tells how it ended
                )
                os.close(file)
                ends.callback(end_watcher, watched(str(self._process.pid)))
                ends.callback(self._stop)
            # In the environment, not in a settings context, which threads of Prefect's do not see.
            for name in ("PREFECT_API_URL", TEMPORARY_SERVER):
                os.environ[name] = self._api
                ends.callback(os.environ.pop, name)
            self._ends = ends.pop_all()
        return self

    def wait(self) -> None:
        """Wait for its first answer.

        Raises:
            ServingError: the server ended, or does not answer in time.
        """
        until = time.monotonic() + START_SECONDS
        while not answers(f"{self._api}/health"):
            if self._process.poll() is not None or time.monotonic() > until:
                raise ServingError(
                    f"Prefect's temporary server did not start, see {self._log}; `make serve` "
                    "starts one that lasts, to be named in PREFECT_API_URL"
                )
            time.sleep(0.05)
        self._ends.enter_context(_without_heartbeats())
        self._ends.callback(tell_all)

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        # Its messages while it stops do not matter: one of its own queries was cut off.
        complained = self._log.stat().st_size > 0
        named = kind is not None and issubclass(kind, ServingError)  # the error names the log
        self._log_stays = complained or named
        self._ends.close()
        if complained and not named:
            print(f"note: Prefect's temporary server complained, see {self._log}", file=sys.stderr)

    def _drop_log(self) -> None:
        if not self._log_stays:
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
