"""A real Prefect server, the sandbox and a lake, for the tests of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import yaml

from deployments.declared import FILE
from flows.runtime import serving
from flows.runtime.serving import free_port
from sandbox import Sandbox

ROOT = Path(__file__).parents[2]
# Long and strange, so that finding it anywhere means that it was leaked.
KEY = "pk-c0ffee-7Zq9-never-to-be-seen"
TODAY = date(2026, 7, 1)


@dataclass
class World:
    """What a test works with; everything that a run leaves is under `folder`."""

    folder: Path
    serving: serving.Serving
    sandbox: Sandbox
    kind: str

    @property
    def lake(self) -> Path:
        """The lake that runs use unless told otherwise."""
        return self.folder / "lake"

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a command or worker."""
        return {
            **self.serving.environment,
            "QUANTLAKE_ROOT": str(self.lake),
            "POLYGON_BASE_URL": self.sandbox.url,
            "POLYGON_API_KEY": KEY,
            **more,
        }

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m flows WORDS`; an empty value leaves a variable out."""
        # As a user has it: the level is for the server and the workers, whose logs are read.
        more = {"PREFECT_LOGGING_LEVEL": "", **more}
        environment = {k: v for k, v in self.environment(**more).items() if v}
        return subprocess.run(
            [sys.executable, "-m", "flows", *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )

    def api(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """Ask the server directly, without Prefect's client or our code.

        As Prefect's client does, again where it answers 503: SQLite was locked.
        """
        request = Request(
            f"{self.serving.api}{path}",
            data=None if method == "GET" else json.dumps(body or {}).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        for waits in (1, 2, 4, 8, None):
            try:
                with urlopen(request, timeout=90) as answer:
                    text = answer.read()
                break
            except HTTPError as error:
                if error.code != 503 or waits is None:
                    raise
                time.sleep(waits)
        return json.loads(text) if text else None

    def deployments(self) -> dict[str, dict[str, Any]]:
        """Return name → deployment, as the server has them."""
        return {d["name"]: d for d in self.api("/deployments/filter", {"limit": 200})}

    @contextmanager
    def worker(self, name: str, limit: int = 4, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker; its log is `worker-NAME.log`."""
        environment = {k: v for k, v in self.environment(**more).items() if v}
        at = serving.Serving(self.serving.url, environment)
        log = self.folder / f"worker-{name}.log"
        with serving.worker(at, "fundamentals", log, name=name, limit=limit) as process:
            yield process


@contextmanager
def world(folder: Path, companies: int, **environment: str) -> Iterator[World]:
    """Serve Prefect and the sandbox; end both."""
    home = folder / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "POLYGON"))}
    plain |= {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "INFO", **environment}
    with (
        Sandbox(companies=companies, seed=7, api_key=KEY, today=TODAY) as sandbox,
        serving.server(free_port(), folder / "server.log", plain) as server,
    ):
        kind = "postgres" if "PREFECT_API_DATABASE_CONNECTION_URL" in environment else "sqlite"
        yield World(folder, server, sandbox, kind)


def processes_of(home: Path) -> list[str]:
    """Return the living processes whose environment names this PREFECT_HOME."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if f"PREFECT_HOME={home}".encode() in environment and state != "Z":
            found.append(f"{folder.name} {words}")
    return found


def declared() -> list[dict[str, Any]]:
    """Return the deployments of prefect.yaml, read without our models."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = content["deployments"]
    return found


def until(seen: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return the first true answer; fail after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = seen()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")
