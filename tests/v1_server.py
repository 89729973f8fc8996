"""`serve-v1` as a process of its own, for tests: the real command, on a free loopback port."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.conftest import KEY

PATH = "/vX/reference/financials"
BEARER = {"Authorization": f"Bearer {KEY}"}


@dataclass
class V1Server:
    """A running server; `log` is what it wrote to standard error so far."""

    url: str
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def get(self, headers: dict[str, str] | None = None, **params: Any) -> requests.Response:
        """Ask for v1's records; `__` in a parameter's name stands for a dot."""
        terms = {name.replace("__", "."): value for name, value in params.items()}
        return requests.get(
            self.url + PATH, terms, headers=BEARER if headers is None else headers, timeout=60
        )

    def everything(self, **params: Any) -> list[dict[str, Any]]:
        """Return the records of all pages of a query."""
        found: list[dict[str, Any]] = []
        answer = self.get(**params)
        while True:
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["results"]
            if "next_url" not in page:
                return found
            answer = requests.get(page["next_url"], headers=BEARER, timeout=60)

    def wait_until_complete(self, seconds: float = 300) -> None:
        """Wait until the text of every record of the lake is read."""
        until = time.monotonic() + seconds
        while True:
            health = requests.get(f"{self.url}/health", timeout=60).json()
            if health["complete"] and health["tickers_full"] == health["tickers"]:
                return
            assert time.monotonic() < until, self.log
            time.sleep(0.1)


def command(*words: str | Path) -> list[str]:
    """Return the command line of `serve-v1`."""
    return [sys.executable, "-m", "flows", "serve-v1", "--port", "0", *map(str, words)]


@contextlib.contextmanager
def serving_v1(lake: Path, *words: str, **environment: str) -> Iterator[V1Server]:
    """Serve a lake until the block ends, and see that the server then ends in good order."""
    process = subprocess.Popen(
        command("--lake", lake, *words),
        env={**os.environ, "POLYGON_API_KEY": KEY, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    first = process.stdout.readline()
    found = re.search(r"http://\S+:\d+", first)
    if found is None:
        raise AssertionError(first + process.communicate()[1])
    server = V1Server(found[0], process)
    stderr = process.stderr
    reader = threading.Thread(target=lambda: server.lines.extend(stderr), daemon=True)
    reader.start()
    try:
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=30)
        reader.join(timeout=10)
        process.stdout.close()
        stderr.close()
    assert code == 0, server.log
    assert "Traceback" not in server.log, server.log
