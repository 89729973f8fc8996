"""What all tests share: a sandbox on a loopback port, a key in the environment, an empty lake."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from flows.runtime import quiet
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.settings import Settings
from sandbox import Sandbox

KEY = "sandbox-key"

# Tests that a shell started in the background ignore Ctrl-C, and so would the commands they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the developer has set out of the tests; only the sandbox's key is there."""
    for name in (
        "MASSIVE_API_KEY",
        "QUANTLAKE_ROOT",
        "POLYGON_BASE_URL",
        "POLYGON_REQUESTS_PER_MINUTE",
        "POLYGON_THREADS",
        "POLYGON_PROCESSES",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("POLYGON_API_KEY", KEY)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """Sixty companies with all the oddities; not to be advanced or planted in."""
    with Sandbox(companies=60, seed=7, api_key=KEY, today=date(2026, 7, 1)) as server:
        yield server


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Serve a temporary Prefect API to the tests that run flows.

    Its runs send no heartbeats: the thread that sends them is waited for at the end of each run,
    which takes up to a second.
    """
    quiet.apply()
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    made = Lake(tmp_path / "lake")
    made.prepare()
    return made


def client_of(server: Sandbox, **settings: object) -> Client:
    """Return a client of a sandbox that does not wait between tries."""
    quick = {"first_wait": 0.001, "longest_wait": 0.01, "longest_retry_after": 0.01}
    return Client(Settings(base_url=server.url, **{**quick, **settings}), KEY)  # type: ignore[arg-type]
