"""A Prefect server and workers as processes of this machine, ended with whoever started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from urllib.error import URLError
from urllib.request import urlopen

from flows.runtime import quiet
from polygon_fundamentals.errors import FundamentalsError, UsageError

START_SECONDS = 180.0
STOP_SECONDS = 40.0
DRAIN_SECONDS = 10.0
# Its input is a pipe of this process, so `read` ends when this process does, however. `-s` since
# Debian's sh refuses `kill -TERM -- -GROUP`.
_WATCH = "read _; kill -s TERM -- $0 && sleep 20 && kill -s KILL -- $0"


class ServingError(FundamentalsError):
    """A server or worker did not start."""


@dataclass(frozen=True)
class Serving:
    """A running server; `environment` is what its clients need."""

    url: str
    environment: dict[str, str]

    @property
    def api(self) -> str:
        """What PREFECT_API_URL must be."""
        return f"{self.url}/api"


@contextmanager
def server(port: int, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[Serving]:
    """Serve the API and the UI at one loopback address; end cleanly.

    Raises:
        UsageError: something else listens on the port; were it another Prefect server, it
            would be taken for ours.
        ServingError: it does not answer in time, or ends; its log is named.
    """
    with socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise UsageError(f"port {port} of this machine is taken; name another with --port")
    url = f"http://127.0.0.1:{port}"
    plain = quiet.without(os.environ if environment is None else environment)
    for name in ("PREFECT_API_URL", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"):
        plain.pop(name, None)
    plain |= {
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    words = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with started(words, plain, log) as process:
        until = time.monotonic() + START_SECONDS
        while not answers(f"{url}/api/health"):
            if process.poll() is not None or time.monotonic() > until:
                raise ServingError(f"the Prefect server at {url} did not start; its log is {log}")
            time.sleep(0.3)
        yield Serving(url, plain)


@contextmanager
def worker(
    serving: Serving,
    pool: str,
    log: Path | None,
    *,
    name: str | None = None,
    limit: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker of a pool, at most `limit` runs at once.

    Without a log its lines go to the terminal.
    """
    words = ["worker", "start", "--pool", pool, "--type", "process"]
    words += ["--name", name] if name else []
    words += ["--limit", str(limit)] if limit else []
    environment = {"PREFECT_WORKER_QUERY_SECONDS": "3", **serving.environment}
    with started(words, environment, log) as process:
        yield process


@contextmanager
def started(
    words: list[str], environment: Mapping[str, str], log: Path | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `prefect WORDS` in a process group of its own, so that Ctrl-C reaches us alone.

    A watcher ends the group when this process is killed.
    """
    out = log.open("ab") if log else None
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *words],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT if out else None,
            start_new_session=True,
        )
    finally:
        if out:
            out.close()
    watcher = watched(f"-{process.pid}")
    try:
        yield process
    finally:
        _end(process)
        end_watcher(watcher)


def watched(target: str) -> subprocess.Popen[bytes]:
    """Start a watcher that ends a process (`123`) or a group (`-123`) when this process is gone.

    It asks, then forces, since a server that is only starting passes over the first. Return
    the watcher: end it once its target has ended.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", _WATCH, target],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def end_watcher(watcher: subprocess.Popen[bytes]) -> None:
    """End a watcher whose target has ended."""
    watcher.kill()
    watcher.wait()
    if watcher.stdin:
        watcher.stdin.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, then its whole group."""
    for sign, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGTERM, 10.0)):
        if process.poll() is None:
            with suppress(ProcessLookupError):
                process.send_signal(sign)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tell_all() -> None:
    """Wait until this process has sent its events to the server.

    Else it would try to at its exit, when a server that it started itself is gone.
    """
    from prefect.events.worker import EventsWorker

    EventsWorker.drain_all(timeout=DRAIN_SECONDS)


def answers(url: str) -> bool:
    """Return whether the address answers with 200."""
    try:
        with urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
