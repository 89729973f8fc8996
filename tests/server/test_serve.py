"""`serve` in a terminal: Ctrl-C ends all of it, at rest and in the middle of a run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.runtime import serving
from sandbox import Sandbox
from tests.server.world import KEY, ROOT, TODAY, World, free_port, processes_of, until

pytestmark = pytest.mark.slow
STILL = ("SCHEDULED", "PENDING", "RUNNING", "CANCELLING")
WITHOUT_TRACEBACK = ("Traceback", "Error:", "Exception ")


class Serve:
    """A `serve` as a shell starts it: its terminal sends Ctrl-C to it and to nobody else."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder, self.sandbox, self.port = folder, sandbox, free_port()
        self.home, self.log = folder / "prefect", folder / "output.log"
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "POLYGON"))}
        self.environment = plain | {
            "PREFECT_HOME": str(self.home),
            "POLYGON_API_KEY": KEY,
            "POLYGON_BASE_URL": sandbox.url,
            "POLYGON_REQUESTS_PER_MINUTE": "60",
            "QUANTLAKE_ROOT": str(folder / "lake"),
        }
        self.process = self.started()

    def started(self) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "flows", "serve", "--port", str(self.port)],
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        """Return what stands in the terminal."""
        return self.log.read_text(encoding="utf-8")

    def ended_by(self, number: signal.Signals) -> float:
        """Send a signal; return how many seconds it took until all had ended."""
        began = time.monotonic()
        os.killpg(self.process.pid, number)
        self.process.wait(90)
        return time.monotonic() - began


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with Sandbox(companies=12, seed=7, api_key=KEY, today=TODAY) as sandbox:
        made = Serve(tmp_path, sandbox)
        try:
            until(lambda: "look at http" in made.output(), 180, "serve is up")
            until(lambda: "Worker 'ProcessWorker" in made.output(), 60, "its worker is up")
            yield made
        finally:
            if made.process.poll() is None:
                made.process.kill()
                made.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("busy", [False, True])
def test_ctrl_c_ends_all_of_it(serve: Serve, number: signal.Signals, busy: bool) -> None:
    assert len(processes_of(serve.home)) >= 3, "serve, server, worker"
    if busy:
        at = serving.Serving(f"http://127.0.0.1:{serve.port}", serve.environment)
        with Sandbox(companies=1, seed=7) as unused:
            world = World(serve.folder, at, unused, "sqlite")
            few = {"parameters": {"tickers": ["AAPL", "MSFT", "NAN"]}}
            place = f"/deployments/{world.deployments()['history-v2']['id']}/create_flow_run"
            world.api(place, few | {"state": {"type": "SCHEDULED"}})
        runs = serve.folder / "lake" / "ops" / "runs"
        until(lambda: list(runs.rglob("*.json")), 90, "a run under way")
    seconds = serve.ended_by(number)
    output = serve.output()
    assert serve.process.returncode == 0, output
    assert [word for word in WITHOUT_TRACEBACK if word in output] == [], output
    assert output.splitlines()[-1].startswith("stopped the server and the worker"), output
    assert processes_of(serve.home) == []
    assert seconds < 45
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", serve.port)) != 0


def test_what_it_started_ends_when_it_is_killed(serve: Serve) -> None:
    serve.process.kill()
    serve.process.wait()
    until(lambda: processes_of(serve.home) == [], 45, "server and worker ended")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_its_end_cut_off_is_settled_and_the_next_one_runs(
    serve: Serve, number: signal.Signals
) -> None:
    """`daily-both` cancels a second run while the first one holds its place."""
    lake = serve.folder / "lake"
    loaded = subprocess.run(
        [sys.executable, "-m", "flows", "historical-load", "--tickers", "AAPL,MSFT,NAN"],
        cwd=ROOT,
        env=serve.environment | {"POLYGON_REQUESTS_PER_MINUTE": "6000"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    serve.sandbox.latency = 15.0
    with Sandbox(companies=1, seed=7) as unused:
        at = serving.Serving(f"http://127.0.0.1:{serve.port}", serve.environment)
        world = World(serve.folder, at, unused, "sqlite")
        place = f"/deployments/{world.deployments()['daily-both']['id']}/create_flow_run"
        body = {"parameters": {"day": TODAY.isoformat()}, "state": {"type": "SCHEDULED"}}
        first = world.api(place, body)["id"]
        runs = lake / "ops" / "runs"
        until(lambda: len(list(runs.rglob("*.json"))) > 1, 90, "the first run under way")
        serve.ended_by(number)
        until(lambda: processes_of(serve.home) == [], 60, "all processes ended")
        serve.sandbox.latency = 0.0
        serve.process = serve.started()
        until(lambda: "Worker 'ProcessWorker" in serve.output(), 180, "serve is up again")

        def state(run: str) -> str:
            return str(world.api(f"/flow_runs/{run}", method="GET")["state"]["type"])

        assert state(first) in ("CRASHED", "FAILED", "CANCELLED")
        if number == signal.SIGKILL:
            assert "set to Crashed: daily both" in serve.output(), serve.output()
            assert state(first) == "CRASHED"
        second = world.api(place, body)["id"]
        ended = until(lambda: state(second) not in STILL and state(second), 120, "the next run")
        assert ended == "COMPLETED", world.api(f"/flow_runs/{second}", method="GET")["state"]


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "POLYGON"))}
    environment |= {"PREFECT_HOME": str(tmp_path), "POLYGON_API_KEY": KEY}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "flows", "serve", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr == (
        f"error: port {port} of this machine is taken; name another with --port\n"
    )
    assert processes_of(tmp_path) == []
