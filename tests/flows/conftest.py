"""All tests of flows run on the temporary Prefect server."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _on_a_server(prefect_server: None) -> None:
    """Have a server before the first test."""


@pytest.fixture(autouse=True)
def _no_writer_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have quick tests write without processes of their own, which take a second to start."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setenv("POLYGON_PROCESSES", "1")
